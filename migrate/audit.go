package migrate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A Severity says what a Finding means.
type Severity int

// The severities, the worst first.
const (
	Excess  Severity = iota // the role holds something that is not declared
	Missing                 // the role lacks something that is declared
	// held through PUBLIC, set for the role or in another database: not the migrator's to change
	Warn
)

// String names the severity as the documentation does.
func (s Severity) String() string {
	names := [...]string{"EXCESS", "MISSING", "WARN"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("Severity(%d)", int(s))
	}
	return names[s]
}

// MarshalText is String in lower case, for machine-readable output.
func (s Severity) MarshalText() ([]byte, error) { return []byte(strings.ToLower(s.String())), nil }

// A Finding is one place where what the service's role can do is not what was
// declared.
type Finding struct {
	Severity Severity `json:"severity"`
	What     string   `json:"what"` // such as "DELETE ON TABLE app.users", or "is a superuser"
	SQL      string   `json:"sql"`  // what mends it, in this database unless a comment in it names another
}

// String is one line, without the SQL.
func (f Finding) String() string { return f.Severity.String() + " " + f.What }

// An Audit compares what a role can do with what is declared, both ways, as the
// catalogue tells it.
type Audit struct {
	Role     string    `json:"role"`
	Findings []Finding `json:"findings"` // the worst first

	// Detours are how many warnings are about objects outside of the schema that reach what is in it with the rights of
	// somebody else: the rights of the role then do not prove what it can do.
	Detours int `json:"-"`
}

// Count returns how many findings have a severity.
func (a Audit) Count(s Severity) int {
	n := 0
	for _, f := range a.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Err returns nil when the role holds exactly what is declared, warnings aside,
// and otherwise a *PrivilegeError with the SQL that mends it.
func (a Audit) Err() error {
	return unfit(fmt.Sprintf("the role %q is not what it is meant to be", a.Role),
		slices.DeleteFunc(slices.Clone(a.Findings), func(f Finding) bool { return f.Severity == Warn }))
}

// unfit turns findings into one error, nil when there are none.
func unfit(lacks string, findings []Finding) error {
	if len(findings) == 0 {
		return nil
	}
	err := &pg.PrivilegeError{}
	what := make([]string, len(findings))
	for i, f := range findings {
		what[i] = f.What
		err.SQL = append(err.SQL, f.SQL)
	}
	err.Lacks = lacks + ": " + strings.Join(what, ", ")
	return err
}

// audit is a pure function of what was seen. It fails only on a declaration that
// cannot be read.
func (m *Migrator) audit(s seen) (Audit, error) {
	sql := m.rightsSQL(s)
	a := Audit{Role: sql.role}
	if s.Role == nil {
		a.Findings = []Finding{{Missing, "the role does not exist", m.createByHand(s)}}
		return a, nil
	}
	declared, err := m.Role.declared(m.Schema)
	if err != nil {
		return a, err
	}
	missing, excess := m.differing(declared, s)
	a.Detours = len(s.Held.Detours)
	a.Findings = slices.Concat(m.dangers(s), m.excessive(s, excess), lacking(sql, missing), warnings(sql, s, excess))
	worstFirst(a.Findings)
	return a, nil
}

// differing lists all in which the rights of the role, of everybody and the row level
// security of tables differ from what is declared.
func (m *Migrator) differing(declared []grant, s seen) (missing []grant, excess []heldGrant) {
	missing, excess = changes(declared, s.Held.Grants, s.Role != nil && s.Role.Connects)
	return missing, slices.Concat(excess, everybodys(declared, s.Held.Public), m.undeclaredSecurity(declared, s))
}

func worstFirst(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int { return cmp.Compare(a.Severity, b.Severity) })
}

// auditAlways judges what does not depend on the version, of a schema that is ahead or
// cannot be read: which other rights are meant, only the program knows that brought the
// schema there.
func (m *Migrator) auditAlways(s seen) Audit {
	if s.Role == nil {
		return Audit{Role: m.Role.Name, Findings: []Finding{{Missing, "the role does not exist", m.createByHand(s)}}}
	}
	sql := m.rightsSQL(s)
	declared, _ := Role{}.declared(m.Schema) // of no object: there is nothing to misread
	missing, _ := changes(declared, s.Held.Grants, s.Role.Connects)
	excess := slices.Concat(those(s.Held.Grants, func(h heldGrant) bool { return !h.Ours || h.neverMeant() }),
		everybodysThat(s.Held.Public, heldGrant.neverMeant))
	a := Audit{Role: sql.role, Findings: slices.Concat(m.dangers(s), m.excessive(s, excess), lacking(sql, missing),
		warnings(sql, s, excess))}
	worstFirst(a.Findings)
	return a
}

func (m *Migrator) rightsSQL(s seen) rightsSQL {
	sql := rightsSQL{database: s.Database, schema: m.Schema, role: m.Role.Name}
	if s.Role != nil {
		sql.role = s.Role.Name
	}
	return sql
}

func lacking(sql rightsSQL, missing []grant) []Finding {
	var found []Finding
	for _, g := range missing {
		found = append(found, Finding{Missing, sql.describe(g, true), sql.grant(g)})
	}
	return found
}

func (m *Migrator) excessive(s seen, excess []heldGrant) []Finding {
	sql := m.rightsSQL(s)
	declared, _ := m.Role.declared(m.Schema) // whoever asks has checked it
	var found []Finding
	for _, h := range excess {
		what, mend := sql.describe(h.grant, h.Ours), []string{sql.revoke(h)}
		switch {
		case h.everybodys:
			what += ", as everybody (PUBLIC)"
		case h.isRowSecurity():
			what += ", which no migration turns on"
		case h.Grantable:
			what += " WITH GRANT OPTION"
		}
		if h.Grantor != "" { // REVOKE takes back only what the owner, or the role that runs it, has granted
			what += fmt.Sprintf(", granted by %q", h.Grantor)
			mend = []string{"SET ROLE " + sqltext.QuoteName(h.Grantor), mend[0], "RESET ROLE"}
		}
		for _, g := range undone(declared, h) {
			mend = append(mend, sql.grant(g))
		}
		found = append(found, Finding{Excess, what, strings.Join(mend, "; ")})
	}
	return found
}

// dangers are what makes an existing role unfit, whatever it was granted. They are
// never mended by the migrator: the role may be somebody else's.
func (m *Migrator) dangers(s seen) []Finding {
	name := sqltext.QuoteName(s.Role.Name)
	var found []Finding
	for _, d := range []struct {
		is        bool
		what, sql string
	}{
		{s.Role.Superuser, "is a superuser", "NOSUPERUSER"},
		{s.Role.CreatesDB, "may create databases", "NOCREATEDB"},
		{s.Role.CreatesRole, "may create roles", "NOCREATEROLE"},
		{s.Role.Replicates, "may replicate", "NOREPLICATION"},
		{s.Role.BypassesRLS, "bypasses row level security", "NOBYPASSRLS"},
	} {
		if d.is {
			found = append(found, Finding{Excess, d.what, "ALTER ROLE " + name + " " + d.sql})
		}
	}
	for _, group := range s.Role.MemberOf {
		revoke := "REVOKE " + sqltext.QuoteName(group.Role) + " FROM " + name
		if s.Server.Version >= 16_00_00 { // from there on a REVOKE takes back only what its grantor gave
			revoke += " GRANTED BY " + sqltext.QuoteName(group.Grantor)
		}
		found = append(found, Finding{Excess, fmt.Sprintf("is a member of %q", group.Role), revoke})
	}
	found = append(found, possessions(s)...)
	if !s.Role.Login {
		found = append(found, Finding{Missing, "may not log in", "ALTER ROLE " + name + " LOGIN"})
	}
	if s.Role.Expired != "" {
		found = append(found, Finding{
			Missing, "may not log in with a password: it expired at " + s.Role.Expired,
			"ALTER ROLE " + name + " VALID UNTIL 'infinity'",
		})
	}
	if s.Role.Limit == 0 {
		found = append(found, Finding{Missing, "may not log in: its limit of connections is 0", "ALTER ROLE " + name +
			" CONNECTION LIMIT -1"})
	}
	return found
}

// possessions has one finding for each database: one statement hands over all that
// the role owns there. What REASSIGN OWNED leaves alone has one of its own.
func possessions(s seen) []Finding {
	var found []Finding
	role := sqltext.QuoteName(s.Role.Name)
	things := map[string][]string{}
	var databases []string
	for _, o := range s.Held.Owned {
		if o.Unsure {
			continue
		}
		if o.Mapping != "" {
			found = append(found, Finding{
				Excess, "has a user mapping on the foreign server " + o.Mapping,
				"DROP USER MAPPING FOR " + role + " SERVER " + o.Mapping,
			})
			continue
		}
		if things[o.Database] == nil {
			databases = append(databases, o.Database)
		}
		things[o.Database] = append(things[o.Database], o.What)
	}
	for _, database := range databases {
		what, heir := strings.Join(things[database], ", "), s.heir()
		if few := 5; database != s.Database || len(things[database]) > few {
			what = fmt.Sprintf("%d objects in the database %q", len(things[database]), database)
		}
		if database != s.Database {
			heir = "CURRENT_USER"
		}
		found = append(found, Finding{Excess, "owns " + what, inDatabase(database, s.Database) + "REASSIGN OWNED BY " +
			role + " TO " + heir})
	}
	return found
}

// heir is the role, as SQL writes it, that should have what the service's role must not:
// the owner of the schema or, where that is the service's role itself, who asks. When it
// asks about itself, it is the DBA who runs the statement.
func (s seen) heir() string {
	names := []string{s.Me.Name}
	if s.Schema != nil {
		names = []string{s.Schema.Owner, s.Me.Name}
	}
	for _, name := range names {
		if name != s.Role.Name {
			return sqltext.QuoteName(name)
		}
	}
	return "CURRENT_USER"
}

// inDatabase says where a statement has to run, when not here. Comments nest in
// PostgreSQL, so a name can neither end one nor begin another.
func inDatabase(database, here string) string {
	if database == here {
		return ""
	}
	return fmt.Sprintf("/* in the database %s */ ",
		strings.ReplaceAll(strings.ReplaceAll(database, "*/", "* /"), "/*", "/ *"))
}

// warnings are about what the migrator does not change, because others may rely
// on it. What is in excess is left out.
func warnings(sql rightsSQL, s seen, excess []heldGrant) []Finding {
	role := sqltext.QuoteName(sql.role)
	var found []Finding
	warn := func(what, mend string) { found = append(found, Finding{Warn, what, mend}) }
	for _, p := range s.Held.Public {
		if slices.ContainsFunc(excess, func(h heldGrant) bool {
			return h.everybodys && h.grant == p.grant &&
				h.Ours == p.Ours
		}) {
			continue
		}
		mend := sql.revokeFrom(p, "PUBLIC")
		if p.Kind == "DATABASE" && p.Verb == "CONNECT" { // or nobody could connect afterwards
			mend = sql.grant(p.grant) + ", " + s.heir() + "; " + mend
		}
		warn(sql.describe(p.grant, p.Ours)+", as everybody (PUBLIC)", mend)
	}
	for _, d := range s.Held.Detours {
		warn(d.What, d.SQL)
	}
	if n := s.Held.LargeObjects; n > 0 { // PostgreSQL cannot forbid it, so it must not stop a start
		warn(fmt.Sprintf("owns %d large objects", n),
			"SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE pg_get_userbyid(lomowner) = "+
				sqltext.QuoteText(sql.role))
	}
	unsure := map[string]int{}
	for _, o := range s.Held.Owned {
		if o.Unsure {
			unsure[o.Database]++
		}
	}
	for _, database := range slices.Sorted(maps.Keys(unsure)) {
		warn(fmt.Sprintf("owns %d objects in the database %q, temporary ones or not", unsure[database], database),
			inDatabase(database, sql.database)+"REASSIGN OWNED BY "+role+" TO CURRENT_USER")
	}
	for _, e := range s.Held.Elsewhere {
		if e.Connect {
			warn(fmt.Sprintf("rights on the database %q", e.Database), "REVOKE ALL ON DATABASE "+
				sqltext.QuoteName(e.Database)+
				" FROM "+role)
		}
		if e.Objects > 0 {
			warn(fmt.Sprintf("rights on %d objects in the database %q", e.Objects, e.Database),
				inDatabase(e.Database, sql.database)+"DROP OWNED BY "+role)
		}
	}
	for _, set := range s.Held.Settings {
		name, _, _ := strings.Cut(set.Value, "=")
		in := ""
		if set.Database != "" {
			in = " IN DATABASE " + sqltext.QuoteName(set.Database)
		}
		whose, everybody := role, ""
		if set.All {
			whose, everybody = "ALL", ", for each role"
		}
		warn("the setting "+set.Value+strings.ToLower(in)+everybody, "ALTER ROLE "+whose+in+" RESET "+name)
	}
	return found
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
