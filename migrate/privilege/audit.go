package privilege

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
	// held through PUBLIC, set for the role or in another database: the migrator does not change it
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
	SQL      string   `json:"sql"`  // what fixes it, in this database unless a comment in it names another
}

// String is one line, without the SQL.
func (f Finding) String() string { return f.Severity.String() + " " + f.What }

// An Audit compares what a role can do with what is declared, both ways, as the
// catalogue has it.
type Audit struct {
	Role     string    `json:"role"`
	Findings []Finding `json:"findings"` // the worst first

	// Detours are how many warnings are about objects outside of the schema that reach what is in it with the
	// privileges of another role: those of this role then do not prove what it can do.
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
// and otherwise a *pg.PrivilegeError with the SQL that fixes it.
func (a Audit) Err() error {
	return Error(fmt.Sprintf("the role %q is not what it is meant to be", a.Role),
		slices.DeleteFunc(slices.Clone(a.Findings), func(f Finding) bool { return f.Severity == Warn }))
}

// Error turns findings into one error, nil when there are none.
func Error(lacks string, findings []Finding) error {
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

// Audit compares the role with the declaration. It fails only on a declaration that
// cannot be read.
func (r Role) Audit(f Facts) (Audit, error) {
	w := r.Writer(f)
	a := Audit{Role: w.Role}
	if f.Role == nil {
		a.Findings = []Finding{{Missing, "the role does not exist", r.ManualSQL(f)}}
		return a, nil
	}
	declared, err := r.declared(f.Schema)
	if err != nil {
		return a, err
	}
	missing, excess := r.differing(declared, f)
	a.Detours = len(f.Catalog.Detours)
	a.Findings = slices.Concat(AttributeFindings(f), r.ExcessFindings(f, excess), missingFindings(w, missing),
		warnings(w, f, excess))
	worstFirst(a.Findings)
	return a, nil
}

// differing lists all in which the privileges of the role, those of PUBLIC and the row level
// security of tables differ from what is declared.
func (r Role) differing(declared []Grant, f Facts) (missing []Grant, excess []Held) {
	missing, excess = changes(declared, f.Catalog.Grants, f.Role != nil && f.Role.Connects)
	return missing, slices.Concat(excess, publicExcess(declared, f.Catalog.Public), undeclaredSecurity(declared, f))
}

func worstFirst(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int { return cmp.Compare(a.Severity, b.Severity) })
}

// AuditAhead judges what does not depend on the version, of a schema that is ahead or
// cannot be read: only the program that brought the schema there knows which other
// privileges are declared.
func (r Role) AuditAhead(f Facts) Audit {
	if f.Role == nil {
		return Audit{Role: r.Name, Findings: []Finding{{Missing, "the role does not exist", r.ManualSQL(f)}}}
	}
	w := r.Writer(f)
	declared, _ := Role{}.declared(f.Schema) // of no object: there is nothing to misread
	missing, _ := changes(declared, f.Catalog.Grants, f.Role.Connects)
	excess := slices.Concat(Filter(f.Catalog.Grants, func(h Held) bool { return !h.InSchema || h.AlwaysForbidden() }),
		FilterPublic(f.Catalog.Public, Held.AlwaysForbidden))
	a := Audit{Role: w.Role, Findings: slices.Concat(AttributeFindings(f), r.ExcessFindings(f, excess),
		missingFindings(w, missing), warnings(w, f, excess))}
	worstFirst(a.Findings)
	return a
}

func missingFindings(w Writer, missing []Grant) []Finding {
	var found []Finding
	for _, g := range missing {
		found = append(found, Finding{Missing, w.Describe(g, true), w.Grant(g)})
	}
	return found
}

// ExcessFindings has one finding for each privilege that is in excess, with the SQL that takes it back.
func (r Role) ExcessFindings(f Facts, excess []Held) []Finding {
	w := r.Writer(f)
	declared, _ := r.declared(f.Schema) // the caller has checked it
	var found []Finding
	for _, h := range excess {
		what, fix := w.Describe(h.Grant, h.InSchema), []string{w.Revoke(h)}
		switch {
		case h.Public:
			what += ", as everybody (PUBLIC)"
		case h.IsRowSecurity():
			what += ", which no migration turns on"
		case h.Grantable:
			what += " WITH GRANT OPTION"
		}
		if h.Grantor != "" { // REVOKE takes back only what the owner, or the role that runs it, has granted
			what += fmt.Sprintf(", granted by %q", h.Grantor)
			fix = []string{"SET ROLE " + sqltext.QuoteName(h.Grantor), fix[0], "RESET ROLE"}
		}
		for _, g := range revokedColumns(declared, h) {
			fix = append(fix, w.Grant(g))
		}
		found = append(found, Finding{Excess, what, strings.Join(fix, "; ")})
	}
	return found
}

// AttributeFindings are what makes an existing role unfit, whatever it was granted. The migrator
// never fixes them: the role may be another application's.
func AttributeFindings(f Facts) []Finding {
	name := sqltext.QuoteName(f.Role.Name)
	var found []Finding
	for _, d := range []struct {
		is        bool
		what, sql string
	}{
		{f.Role.Superuser, "is a superuser", "NOSUPERUSER"},
		{f.Role.CreatesDB, "may create databases", "NOCREATEDB"},
		{f.Role.CreatesRole, "may create roles", "NOCREATEROLE"},
		{f.Role.Replicates, "may replicate", "NOREPLICATION"},
		{f.Role.BypassesRLS, "bypasses row level security", "NOBYPASSRLS"},
	} {
		if d.is {
			found = append(found, Finding{Excess, d.what, "ALTER ROLE " + name + " " + d.sql})
		}
	}
	for _, group := range f.Role.MemberOf {
		revoke := "REVOKE " + sqltext.QuoteName(group.Role) + " FROM " + name
		if f.ServerVersion >= 16_00_00 { // from there on a REVOKE takes back only what its grantor gave
			revoke += " GRANTED BY " + sqltext.QuoteName(group.Grantor)
		}
		found = append(found, Finding{Excess, fmt.Sprintf("is a member of %q", group.Role), revoke})
	}
	found = append(found, ownershipFindings(f)...)
	if !f.Role.Login {
		found = append(found, Finding{Missing, "may not log in", "ALTER ROLE " + name + " LOGIN"})
	}
	if f.Role.Expired != "" {
		found = append(found, Finding{
			Missing, "may not log in with a password: it expired at " + f.Role.Expired,
			"ALTER ROLE " + name + " VALID UNTIL 'infinity'",
		})
	}
	if f.Role.Limit == 0 {
		found = append(found, Finding{Missing, "may not log in: its limit of connections is 0", "ALTER ROLE " + name +
			" CONNECTION LIMIT -1"})
	}
	return found
}

// ownershipFindings has one finding for each database: one statement hands over all that
// the role owns there. What REASSIGN OWNED leaves alone has one of its own.
func ownershipFindings(f Facts) []Finding {
	var found []Finding
	role := sqltext.QuoteName(f.Role.Name)
	things := map[string][]string{}
	var databases []string
	for _, o := range f.Catalog.Owned {
		if o.MaybeTemporary {
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
		what, newOwner := strings.Join(things[database], ", "), f.newOwner()
		if few := 5; database != f.Database || len(things[database]) > few {
			what = fmt.Sprintf("%d objects in the database %q", len(things[database]), database)
		}
		if database != f.Database {
			newOwner = "CURRENT_USER"
		}
		found = append(found, Finding{Excess, "owns " + what, InDatabase(database, f.Database) + "REASSIGN OWNED BY " +
			role + " TO " + newOwner})
	}
	return found
}

// newOwner is the role, as SQL writes it, that should have what the service's role must not:
// the owner of the schema or, where that is the service's role itself, who asks. When it
// asks about itself, it is the DBA who runs the statement.
func (f Facts) newOwner() string {
	names := []string{f.Me}
	if f.Owner != "" {
		names = []string{f.Owner, f.Me}
	}
	for _, name := range names {
		if name != f.Role.Name {
			return sqltext.QuoteName(name)
		}
	}
	return "CURRENT_USER"
}

// InDatabase says where a statement has to run, when not here. Comments nest in
// PostgreSQL, so a name can neither end one nor begin another.
func InDatabase(database, here string) string {
	if database == here {
		return ""
	}
	return fmt.Sprintf("/* in the database %s */ ",
		strings.ReplaceAll(strings.ReplaceAll(database, "*/", "* /"), "/*", "/ *"))
}

// warnings are about what the migrator does not change, because others may rely
// on it. What is in excess is left out.
func warnings(w Writer, f Facts, excess []Held) []Finding {
	return slices.Concat(publicWarnings(w, f, excess), ownershipWarnings(w, f), elsewhereWarnings(w, f),
		settingWarnings(w, f))
}

// publicWarnings are about what the role may do as PUBLIC, and by way of objects outside of the schema.
func publicWarnings(w Writer, f Facts, excess []Held) (found []Finding) {
	for _, p := range f.Catalog.Public {
		if slices.ContainsFunc(excess, func(h Held) bool {
			return h.Public && h.Grant == p.Grant && h.InSchema == p.InSchema
		}) {
			continue
		}
		fix := w.revokeFrom(p, "PUBLIC")
		if p.Kind == "DATABASE" && p.Verb == "CONNECT" { // or no role could connect afterwards
			fix = w.Grant(p.Grant) + ", " + f.newOwner() + "; " + fix
		}
		found = append(found, Finding{Warn, w.Describe(p.Grant, p.InSchema) + ", as everybody (PUBLIC)", fix})
	}
	for _, d := range f.Catalog.Detours {
		found = append(found, Finding{Warn, d.What, d.SQL})
	}
	return found
}

// ownershipWarnings are about objects that any role can create, so that they must not stop a start.
func ownershipWarnings(w Writer, f Facts) (found []Finding) {
	if n := f.Catalog.LargeObjects; n > 0 {
		found = append(found, Finding{
			Warn, fmt.Sprintf("owns %d large objects", n),
			"SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE pg_get_userbyid(lomowner) = " +
				sqltext.QuoteText(w.Role),
		})
	}
	temporary := map[string]int{}
	for _, o := range f.Catalog.Owned {
		if o.MaybeTemporary {
			temporary[o.Database]++
		}
	}
	for _, database := range slices.Sorted(maps.Keys(temporary)) {
		found = append(found, Finding{
			Warn,
			fmt.Sprintf("owns %d objects in the database %q, temporary ones or not", temporary[database], database),
			InDatabase(database, w.Database) + "REASSIGN OWNED BY " + sqltext.QuoteName(w.Role) + " TO CURRENT_USER",
		})
	}
	return found
}

// elsewhereWarnings are about other databases.
func elsewhereWarnings(w Writer, f Facts) (found []Finding) {
	role := sqltext.QuoteName(w.Role)
	for _, other := range f.Catalog.OtherDatabases {
		if other.Connect {
			found = append(found, Finding{
				Warn, fmt.Sprintf("rights on the database %q", other.Database),
				"REVOKE ALL ON DATABASE " + sqltext.QuoteName(other.Database) + " FROM " + role,
			})
		}
		if other.Objects > 0 {
			found = append(found, Finding{
				Warn, fmt.Sprintf("rights on %d objects in the database %q", other.Objects, other.Database),
				InDatabase(other.Database, w.Database) + "DROP OWNED BY " + role,
			})
		}
	}
	return found
}

// settingWarnings are about what ALTER ROLE … SET left behind.
func settingWarnings(w Writer, f Facts) (found []Finding) {
	for _, set := range f.Catalog.Settings {
		name, _, _ := strings.Cut(set.Value, "=")
		in := ""
		if set.Database != "" {
			in = " IN DATABASE " + sqltext.QuoteName(set.Database)
		}
		role, each := sqltext.QuoteName(w.Role), ""
		if set.All {
			role, each = "ALL", ", for each role"
		}
		found = append(found, Finding{
			Warn, "the setting " + set.Value + strings.ToLower(in) + each,
			"ALTER ROLE " + role + in + " RESET " + name,
		})
	}
	return found
}
