// Package privilege compares what a role may do with what is declared, and writes the SQL that closes the gap.
//
// What a role may do is what the catalogue says: its attributes, the access control lists in which it stands, what it
// owns, and what everyone (PUBLIC) may do where that concerns the schema. All but the questions are pure functions, so
// that what Up grants, what Plan prints and what an audit reports cannot differ.
package privilege

import (
	"fmt"
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A Role is the unprivileged role that the service itself connects as. The
// migrator creates it when it does not exist, never alters another program's, and
// keeps its privileges equal to the declared ones. The zero Role means that the
// service has none, and nothing is created or granted.
type Role struct {
	Name       string      // any identifier of up to 63 bytes
	Password   string      // printable ASCII; reaches the server only as a SCRAM-SHA-256 verifier
	Privileges []Privilege // one for each object that it may use

	// Rotate gives a role that this program made the Password when that no longer logs in,
	// so that changing the setting changes the password. It costs a login at each Up.
	Rotate bool

	// MustLogIn makes it an error of Up when Rotate finds that the Password does not log in and
	// cannot be set: for who has no other way to notice. Otherwise that is a warning.
	MustLogIn bool
}

// A Privilege is what the role may do with one object of the schema. The role
// can always connect, use the schema and read the ledger; these are not declared.
type Privilege struct {
	// On is "TABLE accounts" (views too), "SEQUENCE numbers" or "FUNCTION total(uuid, app.mood)":
	// the object's bare name, and for a function the types of its arguments as format_type
	// writes them, those of PostgreSQL bare and all others with their schema, the own one included.
	On    string
	Allow string // as GRANT writes it: "SELECT, INSERT (id, name), DELETE"; empty for nothing
	Why   string // the reason, where it is not plain

	// RowSecurity says of a table that its policies are to decide which rows the role
	// sees. It is turned on again after it was turned off; that the policies are
	// there and right is up to the migrations.
	RowSecurity bool
}

// A Grant is one privilege: one verb on one object, or on one column of it.
type Grant struct {
	Kind string `json:"kind"` // DATABASE, SCHEMA, TABLE and so on, as GRANT writes it
	// its bare name within the schema, a function's with its argument types; outside as SQL writes it
	Object string `json:"object"`
	Column string `json:"column"` // empty for the whole object
	Verb   string `json:"verb"`
}

// rowSecurity stands as a verb for row level security: a table on which it is off lets
// the role do more with its verbs than was declared.
const rowSecurity = "ROW LEVEL SECURITY"

// forcedSecurity holds the owner of the table by it, too, and so the migrations.
const forcedSecurity = "FORCED ROW LEVEL SECURITY"

// IsRowSecurity reports whether it is not a privilege, but says how rows are hidden from roles.
func (g Grant) IsRowSecurity() bool { return g.Verb == rowSecurity || g.Verb == forcedSecurity }

// WithoutRowSecurity leaves row level security out, which a migration turns on itself.
func WithoutRowSecurity(declared []Grant) []Grant {
	return slices.DeleteFunc(declared, func(g Grant) bool { return g.Verb == rowSecurity })
}

// declared lists the grants that the role is meant to have inside the schema.
func (r Role) declared(schema string) ([]Grant, error) {
	grants := []Grant{
		{Kind: "SCHEMA", Object: schema, Verb: "USAGE"},
		{Kind: "TABLE", Object: ledger.Name, Verb: "SELECT"},
	}
	for _, p := range r.Privileges {
		more, err := p.grants()
		if err != nil {
			return nil, err
		}
		grants = append(grants, more...)
	}
	return grants, nil
}

func (p Privilege) grants() ([]Grant, error) {
	kind, object, _ := strings.Cut(p.On, " ")
	object = strings.TrimSpace(object)
	verbs := verbsOf(kind)
	if object == "" || verbs == nil {
		return nil, fmt.Errorf("declared privilege on %q: write TABLE, SEQUENCE or FUNCTION and a name", p.On)
	}
	var grants []Grant
	switch {
	case p.RowSecurity && kind != "TABLE":
		return nil, fmt.Errorf("declared privilege on %q: only a table has row security", p.On)
	case p.RowSecurity:
		grants = append(grants, Grant{Kind: kind, Object: object, Verb: rowSecurity})
	}
	for rest := strings.TrimSpace(p.Allow); rest != ""; {
		var verb, columns string
		verb, columns, rest = nextVerb(rest)
		if !slices.Contains(verbs, verb) || (columns != "" &&
			!slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "REFERENCES"}, verb)) {
			return nil, fmt.Errorf("declared privilege on %q: %q is none of %s, alone or for SELECT, INSERT and "+
				"UPDATE with (columns)", p.On, p.Allow, strings.Join(verbs, ", "))
		}
		for column := range strings.SplitSeq(columns, ",") {
			grants = append(grants, Grant{Kind: kind, Object: object, Column: strings.TrimSpace(column), Verb: verb})
		}
	}
	return grants, nil
}

// nextVerb cuts "INSERT (id, name), DELETE" into INSERT, "id, name" and DELETE.
func nextVerb(s string) (verb, columns, rest string) {
	end := strings.IndexAny(s, "(,")
	if end < 0 {
		return strings.TrimSpace(s), "", ""
	}
	verb, rest = strings.TrimSpace(s[:end]), s[end:]
	if rest[0] == '(' {
		columns, rest, _ = strings.Cut(rest[1:], ")")
	}
	return verb, columns, strings.TrimLeft(rest, " ,\n\t")
}

// verbsOf leaves out what no web role should ever be declared to have:
// TRIGGER runs its code as others, MAINTAIN locks tables.
func verbsOf(kind string) []string {
	switch kind {
	case "TABLE":
		return []string{"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES"}
	case "SEQUENCE":
		return []string{"USAGE", "SELECT", "UPDATE"}
	case "FUNCTION":
		return []string{"EXECUTE"}
	}
	return nil
}

// changes compares what the role has with what it is meant to have. CONNECT on
// the database may come from anywhere, PUBLIC included, and is never in excess. Of a
// declared privilege with the grant option, only the option is in excess: it stays
// Grantable there.
func changes(declared []Grant, held []Held, mayConnect bool) (missing []Grant, excess []Held) {
	connect := Grant{Kind: "DATABASE", Verb: "CONNECT"}
	has, meant := make(map[Grant]bool, len(held)), map[Grant]bool{connect: true}
	for _, h := range held {
		has[h.Grant] = has[h.Grant] || h.InSchema
	}
	for _, g := range declared {
		meant[g] = true
		if !has[g] {
			missing = append(missing, g)
		}
	}
	if !mayConnect {
		missing = append(missing, connect)
	}
	for _, h := range held {
		isMeant := h.InSchema && meant[h.Grant]
		if isMeant && !h.Grantable || h.IsRowSecurity() {
			continue
		}
		h.Grantable = isMeant
		excess = append(excess, h)
	}
	return missing, excess
}

// AlwaysForbidden reports whether no service's role is declared to have a privilege, in any
// version of a program: creating objects, writing the ledger, and settings by which the server
// checks less or loads code.
func (h Held) AlwaysForbidden() bool {
	switch {
	case h.Kind == parameter:
		return h.Verb == "ALTER SYSTEM" || slices.Contains(dangerous(), h.Object)
	case !h.InSchema:
		return false
	case h.Kind == "DATABASE", h.Kind == "SCHEMA":
		return h.Verb == "CREATE"
	}
	return h.Kind == "TABLE" && h.Object == ledger.Name && h.Verb != "SELECT" && !h.IsRowSecurity()
}

const parameter = "PARAMETER"

// dangerous are the parameters that only a superuser sets, because with them the server checks no
// constraints, privileges or pages, or loads other code.
func dangerous() []string {
	return []string{
		"session_replication_role", "lo_compat_privileges", "allow_system_table_mods", "ignore_checksum_failure",
		"zero_damaged_pages", "ignore_invalid_pages", "session_preload_libraries", "dynamic_library_path",
		"extension_control_path", "jit_provider", "plperl.on_plperl_init", "plperl.on_plperlu_init", "pltcl.start_proc",
		"pltclu.start_proc",
	}
}

// publicExcess are the privileges of PUBLIC that are in excess for the service's role: all on tables
// and sequences of the schema, whatever the role itself is declared to have, and on functions those
// that it is not. PostgreSQL grants each new function to PUBLIC. What belongs to another role,
// such as the functions of an extension, is left to that role.
func publicExcess(declared []Grant, public []Held) []Held {
	return FilterPublic(public, func(h Held) bool {
		return h.AlwaysForbidden() || h.InSchema && !h.Stray &&
			(h.Kind == "TABLE" || h.Kind == "SEQUENCE" || h.Kind == "FUNCTION" && !slices.Contains(declared, h.Grant))
	})
}

// FilterPublic are privileges of PUBLIC that are in excess.
func FilterPublic(public []Held, excess func(Held) bool) []Held {
	found := Filter(public, excess)
	for i := range found {
		found[i].Public = true
	}
	return found
}

// OutsideSchema reports whether a privilege is neither in the schema nor the role's own on the
// database: what PUBLIC may do there is not for a migrator to decide.
func (h Held) OutsideSchema() bool { return !h.InSchema || h.Public && h.Kind == "DATABASE" }

// Filter are held privileges that are in excess as a whole, not only their grant option.
func Filter(held []Held, excess func(Held) bool) []Held {
	var found []Held
	for _, h := range held {
		if excess(h) {
			h.Grantable = false
			found = append(found, h)
		}
	}
	return found
}

// revokedColumns lists the declared columns that a REVOKE takes away with the whole: it is
// like that for a verb on a table.
func revokedColumns(declared []Grant, revoked Held) []Grant {
	var columns []Grant
	for _, g := range declared {
		if g.Column != "" && revoked.InSchema && revoked.Column == "" && !revoked.Grantable && g.Kind == revoked.Kind &&
			g.Object == revoked.Object && g.Verb == revoked.Verb {
			columns = append(columns, g)
		}
	}
	return columns
}

// A Writer writes the privileges of one role, as statements and for people.
type Writer struct{ Database, Schema, Role string }

// Grant is the statement that gives the role a privilege.
func (w Writer) Grant(g Grant) string {
	if g.Verb == rowSecurity {
		return "ALTER " + w.object(g, true) + " ENABLE ROW LEVEL SECURITY"
	}
	return "GRANT " + g.verb() + " ON " + w.object(g, true) + " TO " + sqltext.QuoteName(w.Role)
}

// Revoke is the statement that takes an excess back.
func (w Writer) Revoke(h Held) string {
	switch {
	case h.Verb == rowSecurity:
		return "ALTER " + w.object(h.Grant, true) + " DISABLE ROW LEVEL SECURITY"
	case h.Verb == forcedSecurity:
		return "ALTER " + w.object(h.Grant, true) + " NO FORCE ROW LEVEL SECURITY"
	case h.Public:
		return w.revokeFrom(h, "PUBLIC")
	}
	return w.revokeFrom(h, sqltext.QuoteName(w.Role))
}

func (w Writer) revokeFrom(h Held, whom string) string {
	option := ""
	if h.Grantable {
		option = "GRANT OPTION FOR "
	}
	if h.Kind == defaults {
		return "ALTER " + h.Kind + " " + h.Object + " REVOKE " + option + h.Verb + " ON " + h.Column + " FROM " +
			whom + " CASCADE"
	}
	return "REVOKE " + option + h.verb() + " ON " + w.object(h.Grant, h.InSchema) + " FROM " + whom + " CASCADE"
}

// defaults is the kind of a grant on objects that do not exist yet.
const defaults = "DEFAULT PRIVILEGES"

func (g Grant) verb() string {
	if g.Column == "" {
		return g.Verb
	}
	return g.Verb + " (" + sqltext.QuoteName(g.Column) + ")"
}

// object names it as GRANT does. Names in the schema are still to be quoted; the server wrote the others as SQL does.
func (w Writer) object(g Grant, inSchema bool) string {
	switch {
	case g.Kind == "DATABASE":
		return "DATABASE " + sqltext.QuoteName(w.Database)
	case g.Kind == "SCHEMA":
		return "SCHEMA " + sqltext.QuoteName(g.Object)
	case !inSchema || g.Kind == "TYPE":
		return g.Kind + " " + g.Object
	case g.Kind == "FUNCTION":
		name, arguments, _ := strings.Cut(g.Object, "(")
		return "ROUTINE " + sqltext.QuoteName(w.Schema, name) + "(" + arguments // procedures, too
	}
	return g.Kind + " " + sqltext.QuoteName(w.Schema, g.Object)
}

// Describe writes a privilege for people.
func (w Writer) Describe(g Grant, inSchema bool) string {
	switch {
	case g.Kind == defaults:
		return g.Verb + " ON FUTURE " + g.Column + ", " + strings.ToLower(g.Kind) + " " + g.Object
	case g.Kind == "DATABASE":
		g.Object = w.Database
	case inSchema && g.Kind != "SCHEMA" && g.Kind != "TYPE":
		g.Object = w.Schema + "." + g.Object
	}
	if g.Column != "" {
		g.Verb += " (" + g.Column + ")"
	}
	return g.Verb + " ON " + g.Kind + " " + g.Object
}
