package migrate

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// check refuses what could not work later or not everywhere.
func (r Role) check(schema string) error {
	switch {
	case len(r.Name) > 63 || strings.ContainsRune(r.Name, 0):
		return errors.New("the role's name is longer than the 63 bytes that PostgreSQL keeps")
	case strings.HasPrefix(r.Name, "pg_") || r.Name == "public" || r.Name == "none":
		return fmt.Errorf("the role's name %q is reserved by PostgreSQL", r.Name)
	case r.Password == "":
		return fmt.Errorf("the role %q needs a password", r.Name)
	case strings.ContainsFunc(r.Password, func(c rune) bool { return c < ' ' || c > '~' }):
		// Clients and server prepare other characters in different ways (SASLprep), and then the login fails.
		return fmt.Errorf("the password of the role %q holds a character that is not printable ASCII", r.Name)
	}
	_, err := r.declared(schema)
	return err
}

// verifier computes what PostgreSQL stores for a password (RFC 5803), so that the
// password itself is in no statement: the server's log and pg_stat_statements
// keep statements.
func verifier(password string, salt []byte) (string, error) {
	const iterations = 4096 // PostgreSQL's own number
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", err
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		_, _ = h.Write([]byte(text)) // a hash never fails
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt), encode(stored[:]), encode(mac("Server Key"))), nil
}

// attributes are given all at once at creation: a role without superuser rights
// may deny them in CREATE ROLE, but not in ALTER ROLE.
const attributes = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS"

// createRole creates the role with a mark that tells it from somebody else's.
func (r *run) createRole(database string) []string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	password, err := verifier(r.Role.Password, salt)
	if err != nil {
		panic("migrate: PBKDF2 refuses the parameters of SCRAM-SHA-256: " + err.Error())
	}
	name := quoteName(r.Role.Name)
	return []string{
		"CREATE ROLE " + name + " " + attributes + " PASSWORD " + quoteText(password),
		"COMMENT ON ROLE " + name + " IS " + quoteText(fmt.Sprintf("created by %s for database %s", r.Program, database)),
	}
}

// bootstrap creates the schema, the ledger and the role in one transaction. Of
// two migrators that race, one fails on a unique index and looks again; IF NOT
// EXISTS would not help, it is not safe in a race.
func (r *run) bootstrap(s seen) message {
	var statements []string
	if s.Schema == nil {
		statements = append(statements, "CREATE SCHEMA "+quoteName(r.Schema))
	}
	statements = append(statements, createLedger(r.Schema))
	if r.Role.Name != "" && s.Role == nil {
		statements = append(statements, r.createRole(s.Database)...)
	}
	m := r.wrap("bootstrap", s, statements)
	m.createsRole = r.Role.Name != "" && s.Role == nil
	return m
}

// rights makes the role's rights equal to the declared ones. It takes a lock on
// the ledger that only one migrator can have, because concurrent GRANTs on one
// table fail in ways that are hard to tell from real ones; NOWAIT, because waiting
// is always polling here.
func (r *run) rights(s seen, create bool, missing, excess []grant) message {
	sql := rightsSQL{database: s.Database, schema: r.Schema, role: r.Role.Name}
	statements := []string{"LOCK TABLE " + quoteName(r.Schema, ledgerName) + " IN SHARE ROW EXCLUSIVE MODE NOWAIT"}
	if create {
		statements = append(statements, r.createRole(s.Database)...)
	}
	if (s.Role == nil || !s.Role.Connects) && s.Me.MayConnect {
		statements = append(statements, sql.grant(grant{Kind: "DATABASE", Verb: "CONNECT"}))
	}
	for _, g := range missing {
		if g.Kind != "DATABASE" {
			statements = append(statements, sql.grant(g))
		}
	}
	for _, g := range excess {
		statements = append(statements, sql.revoke(g))
	}
	m := r.wrap("rights", s, statements)
	m.createsRole = create
	return m
}

// wrap makes one transaction of our own statements.
func (r *run) wrap(what string, s seen, statements []string) message {
	begin, lead := r.begin(s.Server.Version, flushed(s))
	return message{what: what, before: begin + "\n", sql: strings.Join(statements, ";\n"), after: "\n;COMMIT", lead: lead}
}

// mayUseRole refuses a role that could do more than the declared privileges say,
// or that cannot be created. An existing role is read and never altered: it may
// belong to another application.
func (r *run) mayUseRole(s seen) error {
	if r.Role.Name == "" {
		return nil
	}
	name := quoteName(r.Role.Name)
	refuse := func(lacks string, sql ...string) error { return &PrivilegeError{Lacks: lacks, SQL: sql} }
	if r.Role.Name == s.Me.Name {
		return refuse(fmt.Sprintf("the unprivileged role %q is the role that the migrator itself connects as; give the service a role of its own, by another name", r.Role.Name))
	}
	if s.Role == nil {
		if s.Me.Superuser || s.Me.CreatesRole {
			return nil
		}
		return refuse(fmt.Sprintf("the role %q does not exist, and %q may not create roles", r.Role.Name, s.Me.Name),
			"CREATE ROLE "+name+" "+attributes,
			"GRANT CONNECT ON DATABASE "+quoteName(s.Database)+" TO "+name,
			`-- then, in psql, which sends only a verifier: \password `+name)
	}
	dangers := []struct {
		is   bool
		what string
		sql  string
	}{
		{s.Role.Superuser, "is a superuser", "ALTER ROLE " + name + " NOSUPERUSER"},
		{s.Role.CreatesDB, "may create databases", "ALTER ROLE " + name + " NOCREATEDB"},
		{s.Role.CreatesRole, "may create roles", "ALTER ROLE " + name + " NOCREATEROLE"},
		{s.Role.Replicates, "may replicate", "ALTER ROLE " + name + " NOREPLICATION"},
		{s.Role.BypassesRLS, "bypasses row level security", "ALTER ROLE " + name + " NOBYPASSRLS"},
		{!s.Role.Login, "may not log in", "ALTER ROLE " + name + " LOGIN"},
		{s.Role.Owns > 0, fmt.Sprintf("owns %d objects of this server", s.Role.Owns), "REASSIGN OWNED BY " + name + " TO " + quoteName(s.Me.Name) + " -- in each database"},
	}
	var what, sql []string
	for _, d := range dangers {
		if d.is {
			what, sql = append(what, d.what), append(sql, d.sql)
		}
	}
	for _, group := range s.Role.MemberOf {
		what, sql = append(what, fmt.Sprintf("is a member of %q", group)), append(sql, "REVOKE "+quoteName(group)+" FROM "+name)
	}
	if len(what) == 0 {
		return nil
	}
	return refuse(fmt.Sprintf("the role %q already exists and %s: it is not fit to be the service's role. Choose another name, or let a DBA mend it", r.Role.Name, strings.Join(what, ", ")), sql...)
}

// tooMuch lists what the role that looks could do beyond a service's own.
func (s seen) tooMuch() []string {
	var found []string
	for _, power := range []struct {
		has  bool
		what string
	}{
		{s.Me.Superuser, "is a superuser"},
		{s.Me.CreatesRole, "may create roles"},
		{s.Me.CreatesDB, "may create databases"},
		{s.Me.Replicates, "may replicate"},
		{s.Me.BypassesRLS, "bypasses row level security"},
		{s.Me.Member, "is a member of another role"},
		{s.Me.Owns, "owns objects"},
		{s.Me.MayCreate, "may create schemas"},
		{s.Schema != nil && s.Schema.Creates, "may create objects in the schema"},
		{s.Me.WritesOurs, "may write the ledger of migrations"},
	} {
		if power.has {
			found = append(found, power.what)
		}
	}
	return found
}

// unmended is the error for rights that GRANT and REVOKE did not change: a
// statement that lacks the right to grant only warns.
func (r *run) unmended(s seen, missing, excess []grant) error {
	sql := rightsSQL{database: s.Database, schema: r.Schema, role: r.Role.Name}
	err := &PrivilegeError{Lacks: fmt.Sprintf("the rights of the role %q differ from the declared ones, and %q may not change them", r.Role.Name, s.Me.Name)}
	for _, g := range missing {
		err.SQL = append(err.SQL, sql.grant(g))
	}
	for _, g := range excess {
		err.SQL = append(err.SQL, sql.revoke(g))
	}
	return err
}
