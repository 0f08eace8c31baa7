package privilege

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// Check refuses what could not work later or not everywhere.
func (r Role) Check(schema string) error {
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

// attributes are given all at once at creation: a role that is not a superuser
// may deny them in CREATE ROLE, but not in ALTER ROLE.
const attributes = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS"

// Create is the statements that create the role, with a comment that distinguishes it from another application's.
func (r Role) Create(program, database string) []string {
	name := sqltext.QuoteName(r.Name)
	return []string{
		"CREATE ROLE " + name + " " + attributes + " PASSWORD " + sqltext.QuoteText(NewVerifier(r.Password)),
		"COMMENT ON ROLE " + name + " IS " + sqltext.QuoteText(Mark(program, database)),
	}
}

// Mark is the comment of a role that a program created for a database.
func Mark(program, database string) string {
	return fmt.Sprintf("created by %s for database %s", program, database)
}

// ManualSQL is what a DBA runs where the migrator may not create roles. The
// password stays out of it: statements are kept in logs.
func (r Role) ManualSQL(f Facts) string {
	name := sqltext.QuoteName(r.Name)
	return strings.Join([]string{
		"CREATE ROLE " + name + " " + attributes,
		"GRANT CONNECT ON DATABASE " + sqltext.QuoteName(f.Database) + " TO " + name,
		`-- then, in psql, which sends only a verifier: \password ` + name,
	}, ";\n")
}

// A Diff is how what a role may do differs from what is declared.
type Diff struct {
	Missing []Grant
	Excess  []Held
}

// Empty reports whether they agree.
func (d Diff) Empty() bool { return len(d.Missing) == 0 && len(d.Excess) == 0 }

// Diff compares, as far as GRANT and REVOKE can close the gap within the schema and on the database. The declaration
// has to pass Check.
func (r Role) Diff(f Facts) Diff {
	declared, _ := r.declared(f.Schema)
	missing, excess := r.differing(declared, f)
	return Diff{missing, slices.DeleteFunc(excess, Held.OutsideSchema)}
}

// SQL is the statements that close the gap. With connect they also let the role connect to the database.
func (r Role) SQL(f Facts, d Diff, connect bool) []string {
	w := r.Writer(f)
	missing := slices.Clone(d.Missing)
	declared, _ := r.declared(f.Schema)
	var statements []string
	for _, h := range d.Excess { // before the grants, because a REVOKE may take more than it names
		statements = append(statements, w.Revoke(h))
		missing = append(missing, revokedColumns(declared, h)...)
	}
	if connect && (f.Role == nil || !f.Role.Connects) {
		statements = append(statements, w.Grant(Grant{Kind: "DATABASE", Verb: "CONNECT"}))
	}
	for _, g := range missing {
		if g.Kind != "DATABASE" {
			statements = append(statements, w.Grant(g))
		}
	}
	return statements
}

// Declared lists the declared privileges, without row level security. The declaration has to pass Check.
func (r Role) Declared(schema string) []Grant {
	declared, _ := r.declared(schema)
	return WithoutRowSecurity(declared)
}

// OutsideFindings are about what no migrator changes: what the role holds outside of the schema, and what PUBLIC holds
// that no service may have.
func (r Role) OutsideFindings(f Facts) []Finding {
	return r.ExcessFindings(f, slices.Concat(Filter(f.Catalog.Grants, Held.OutsideSchema),
		FilterPublic(f.Catalog.Public, func(h Held) bool {
			return h.AlwaysForbidden() && (h.Kind == "DATABASE" || h.Kind == parameter)
		})))
}

// Writer writes statements about the role, or about the one that the facts are of.
func (r Role) Writer(f Facts) Writer {
	w := Writer{Database: f.Database, Schema: f.Schema, Role: r.Name}
	if f.Role != nil {
		w.Role = f.Role.Name
	}
	return w
}

// InsistsOnSecurity reports whether there is row level security that no migration turns on.
func (r Role) InsistsOnSecurity(f Facts) bool {
	declared, _ := r.declared(f.Schema)
	return len(undeclaredSecurity(declared, f)) > 0
}

// undeclaredSecurity lists the tables whose row level security no migration turns on: an
// event trigger of a platform does that to each new table, and then the service's role sees
// no row of it. With FORCE the migrations see none either.
//
// The snapshot of the version says what migrations turn on. Without one it is in excess on a
// table that the role is declared to use, and that has not a single policy.
func undeclaredSecurity(declared []Grant, f Facts) []Held {
	if !f.Ledger || !slices.ContainsFunc(f.Catalog.Grants, func(h Held) bool { return h.IsRowSecurity() }) {
		return nil
	}
	objects := snapshot.Objects(f.Snapshot)
	return Filter(f.Catalog.Grants, func(h Held) bool {
		switch {
		case !h.IsRowSecurity():
			return false
		case h.Object == ledger.Name:
			return true
		case f.Compared:
			return !turnedOn(objects, h)
		}
		uses := func(g Grant) bool { return g.Kind == h.Kind && g.Object == h.Object && !g.IsRowSecurity() }
		secured := Grant{Kind: h.Kind, Object: h.Object, Verb: rowSecurity}
		return h.bare && slices.ContainsFunc(declared, uses) && !slices.Contains(declared, secured)
	})
}

// turnedOn reports whether a snapshot has a table with this row level security. A table of
// which it knows nothing is for the comparison to report.
func turnedOn(objects map[string]*snapshot.Object, h Held) bool {
	line := "row security enabled"
	if h.Verb == forcedSecurity {
		line = "row security forced"
	}
	for _, name := range []string{h.Object, sqltext.QuoteName(h.Object)} {
		if table := objects["table "+name]; table != nil {
			return table.Facts[line]
		}
	}
	return true
}
