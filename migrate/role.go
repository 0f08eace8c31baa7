package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// check refuses what could not work later or not everywhere.
func (r Role) check(schema string) error {
	switch {
	case len(r.Name) > 63 || strings.ContainsRune(r.Name, 0):
		return errors.New("the role's name is longer than the 63 bytes that PostgreSQL keeps")
	case strings.HasPrefix(r.Name, "pg_") || r.Name == "public" || r.Name == "none":
		return fmt.Errorf("the role's name %q is reserved by PostgreSQL", r.Name)
	case strings.ContainsFunc(r.Password, func(c rune) bool { return c < ' ' || c > '~' }):
		// Clients and server prepare other characters in different ways (SASLprep), and then the login fails.
		return fmt.Errorf("the password of the role %q holds a character that is not printable ASCII", r.Name)
	}
	_, err := r.declared(schema)
	return err
}

// attributes are given all at once at creation: a role without superuser rights
// may deny them in CREATE ROLE, but not in ALTER ROLE.
const attributes = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS"

// createRole creates the role with a mark that distinguishes it from the roles of other programs.
func (r *run) createRole(database string) []string {
	name := sqltext.QuoteName(r.Role.Name)
	return []string{
		"CREATE ROLE " + name + " " + attributes + " PASSWORD " + sqltext.QuoteText(newVerifier(r.Role.Password)),
		"COMMENT ON ROLE " + name + " IS " + sqltext.QuoteText(r.mark(database)),
	}
}

// bootstrap creates the schema, the ledger and the role in one transaction. Of
// two migrators that race, one fails on a unique index and looks again; IF NOT
// EXISTS would not help, it is not safe in a race.
func (r *run) bootstrap(s seen) message {
	var statements []string
	if s.Schema == nil {
		statements = append(statements, "CREATE SCHEMA "+sqltext.QuoteName(r.Schema))
	}
	statements = append(statements, ledger.Create(r.Schema), ledger.WithoutRowSecurity(r.Schema), ledger.WriteStamp(r.Schema, 0, r.Bundle.Fingerprint(0)))
	if r.Role.Name != "" && s.Role == nil {
		statements = append(statements, r.createRole(s.Database)...)
	}
	return r.wrap("bootstrap", s, statements)
}

// rights makes the role's rights equal to the declared ones. It takes a lock on
// the ledger that only one migrator can have, because concurrent GRANTs on one
// table fail in ways that are hard to distinguish from real failures; NOWAIT, because waiting
// is always polling here.
func (r *run) rights(s seen, create bool, missing []grant, excess []heldGrant) message {
	sql := r.rightsSQL(s)
	statements := []string{"LOCK TABLE " + ledger.Table(r.Schema) +
		" IN SHARE ROW EXCLUSIVE MODE NOWAIT"}
	if create {
		statements = append(statements, r.createRole(s.Database)...)
	}
	declared, _ := r.Role.declared(r.Schema) // newRun has checked it
	for _, h := range excess {               // before the grants, because a REVOKE may take more than it names
		statements = append(statements, sql.revoke(h))
		missing = append(missing, undone(declared, h)...)
	}
	if (s.Role == nil || !s.Role.Connects) && s.Me.MayConnect {
		statements = append(statements, sql.grant(grant{Kind: "DATABASE", Verb: "CONNECT"}))
	}
	for _, g := range missing {
		if g.Kind != "DATABASE" {
			statements = append(statements, sql.grant(g))
		}
	}
	return r.wrap("rights", s, statements)
}

// wrap makes one transaction of our own statements.
func (r *run) wrap(what string, s seen, statements []string) message {
	begin, lead := r.begin(s.Server, flushed(s))
	m := message{
		what: what, before: begin + "\n", sql: strings.Join(statements, ";\n"), after: "\n;COMMIT",
		lead: lead, flushes: true,
	}
	if i := slices.IndexFunc(statements,
		func(sql string) bool { return strings.HasPrefix(sql, "CREATE ROLE ") }); i >= 0 {
		m.byHand, m.roleAt = r.createByHand(s), lead+i
	}
	return m
}

// mark is the role's comment, which distinguishes ours from the roles of other programs.
func (r *run) mark(database string) string {
	return fmt.Sprintf("created by %s for database %s", r.Program, database)
}

// mayHaveRole refuses a role that cannot be created, or that must not be the
// service's. An existing role is read and never altered: it may belong to another
// application.
func (m *Migrator) mayHaveRole(s seen) error {
	switch {
	case m.Role.Name == "":
		return nil
	case m.Role.Name == s.Me.Name:
		return &pg.PrivilegeError{Lacks: fmt.Sprintf("the unprivileged role %q is the role that the migrator itself "+
			"connects as; give the service a role of its own, by another name", m.Role.Name)}
	case s.Role != nil:
		return unfit(fmt.Sprintf("the role %q already exists and is not fit to be the service's role (choose "+
			"another name, or let a DBA mend it)", m.Role.Name), m.dangers(s))
	case s.Me.Superuser || s.Me.CreatesRole:
		return nil
	}
	return &pg.PrivilegeError{
		Lacks: fmt.Sprintf("the role %q does not exist, and %q may not create roles", m.Role.Name, s.Me.Name),
		SQL:   []string{m.createByHand(s)},
	}
}

// createByHand is what a DBA runs where the migrator may not create roles. The
// password stays out of it: statements are kept in logs.
func (m *Migrator) createByHand(s seen) string {
	name := sqltext.QuoteName(m.Role.Name)
	return strings.Join([]string{
		"CREATE ROLE " + name + " " + attributes,
		"GRANT CONNECT ON DATABASE " + sqltext.QuoteName(s.Database) + " TO " + name,
		`-- then, in psql, which sends only a verifier: \password ` + name,
	}, ";\n")
}
