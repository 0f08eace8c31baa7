package migrate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A Role is the unprivileged role that the service itself connects as. The
// migrator creates it when it does not exist, never alters somebody else's, and
// keeps its rights equal to the declared ones. The zero Role means that the
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
	// sees. It is turned on again when somebody has turned it off; that the policies are
	// there and right is for the migrations to see to.
	RowSecurity bool
}

// A grant is one right: one verb on one object, or on one column of it.
type grant struct {
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

// isRowSecurity reports whether it is no right, but says how rows are kept from roles.
func (g grant) isRowSecurity() bool { return g.Verb == rowSecurity || g.Verb == forcedSecurity }

// rightsIn leaves row level security out, which a migration turns on itself.
func rightsIn(declared []grant) []grant {
	return slices.DeleteFunc(declared, func(g grant) bool { return g.Verb == rowSecurity })
}

// declared lists the grants that the role is meant to have inside the schema.
func (r Role) declared(schema string) ([]grant, error) {
	grants := []grant{
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

func (p Privilege) grants() ([]grant, error) {
	kind, object, _ := strings.Cut(p.On, " ")
	object = strings.TrimSpace(object)
	verbs := verbsOf(kind)
	if object == "" || verbs == nil {
		return nil, fmt.Errorf("declared privilege on %q: write TABLE, SEQUENCE or FUNCTION and a name", p.On)
	}
	var grants []grant
	switch {
	case p.RowSecurity && kind != "TABLE":
		return nil, fmt.Errorf("declared privilege on %q: only a table has row security", p.On)
	case p.RowSecurity:
		grants = append(grants, grant{Kind: kind, Object: object, Verb: rowSecurity})
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
			grants = append(grants, grant{Kind: kind, Object: object, Column: strings.TrimSpace(column), Verb: verb})
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
// the database may come from anywhere, PUBLIC included, and is never too much. Of a
// declared right that may be handed on, only the handing on is too much: it stays
// Grantable in excess.
func changes(declared []grant, held []heldGrant, mayConnect bool) (missing []grant, excess []heldGrant) {
	connect := grant{Kind: "DATABASE", Verb: "CONNECT"}
	has, meant := make(map[grant]bool, len(held)), map[grant]bool{connect: true}
	for _, h := range held {
		has[h.grant] = has[h.grant] || h.Ours
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
		isMeant := h.Ours && meant[h.grant]
		if isMeant && !h.Grantable || h.isRowSecurity() {
			continue
		}
		h.Grantable = isMeant
		excess = append(excess, h)
	}
	return missing, excess
}

// neverMeant reports whether no service's role is declared to have a right, in any
// version of a program: making objects, writing the ledger, and settings by which the server
// checks less or loads code.
func (h heldGrant) neverMeant() bool {
	switch {
	case h.Kind == parameter:
		return h.Verb == "ALTER SYSTEM" || slices.Contains(dangerous(), h.Object)
	case !h.Ours:
		return false
	case h.Kind == "DATABASE", h.Kind == "SCHEMA":
		return h.Verb == "CREATE"
	}
	return h.Kind == "TABLE" && h.Object == ledger.Name && h.Verb != "SELECT" && !h.isRowSecurity()
}

const parameter = "PARAMETER"

// dangerous are the parameters that only a superuser sets, because with them the server checks no
// constraints, rights or pages, or loads other code.
func dangerous() []string {
	return []string{
		"session_replication_role", "lo_compat_privileges", "allow_system_table_mods", "ignore_checksum_failure",
		"zero_damaged_pages", "ignore_invalid_pages", "session_preload_libraries", "dynamic_library_path",
		"extension_control_path", "jit_provider", "plperl.on_plperl_init", "plperl.on_plperlu_init", "pltcl.start_proc",
		"pltclu.start_proc",
	}
}

// everybodys are the rights of PUBLIC that are too much for the service's role: all on tables
// and sequences of ours, whatever the role itself is declared to have, and on functions those
// that it is not. PostgreSQL gives everybody each new function. What belongs to another role,
// such as the functions of an extension, is not for us to decide.
func everybodys(declared []grant, public []heldGrant) []heldGrant {
	return everybodysThat(public, func(h heldGrant) bool {
		return h.neverMeant() || h.Ours && !h.Stray &&
			(h.Kind == "TABLE" || h.Kind == "SEQUENCE" || h.Kind == "FUNCTION" && !slices.Contains(declared, h.grant))
	})
}

// everybodysThat are rights of PUBLIC that are too much.
func everybodysThat(public []heldGrant, tooMuch func(heldGrant) bool) []heldGrant {
	found := those(public, tooMuch)
	for i := range found {
		found[i].everybodys = true
	}
	return found
}

// outside reports whether a right is neither in the schema nor the role's own on the
// database: what everybody may do there is not for a migrator to decide.
func (h heldGrant) outside() bool { return !h.Ours || h.everybodys && h.Kind == "DATABASE" }

// those are held rights that are too much as a whole, not only to be handed on.
func those(held []heldGrant, tooMuch func(heldGrant) bool) []heldGrant {
	var found []heldGrant
	for _, h := range held {
		if tooMuch(h) {
			h.Grantable = false
			found = append(found, h)
		}
	}
	return found
}

// undone lists the declared columns that a REVOKE takes away with the whole: it is
// like that for a verb on a table.
func undone(declared []grant, revoked heldGrant) []grant {
	var columns []grant
	for _, g := range declared {
		if g.Column != "" && revoked.Ours && revoked.Column == "" && !revoked.Grantable && g.Kind == revoked.Kind &&
			g.Object == revoked.Object && g.Verb == revoked.Verb {
			columns = append(columns, g)
		}
	}
	return columns
}

// A rightsSQL writes rights of one role, as statements and for people.
type rightsSQL struct{ database, schema, role string }

func (r rightsSQL) grant(g grant) string {
	if g.Verb == rowSecurity {
		return "ALTER " + r.object(g, true) + " ENABLE ROW LEVEL SECURITY"
	}
	return "GRANT " + g.verb() + " ON " + r.object(g, true) + " TO " + sqltext.QuoteName(r.role)
}

// revoke takes back what is too much.
func (r rightsSQL) revoke(h heldGrant) string {
	switch {
	case h.Verb == rowSecurity:
		return "ALTER " + r.object(h.grant, true) + " DISABLE ROW LEVEL SECURITY"
	case h.Verb == forcedSecurity:
		return "ALTER " + r.object(h.grant, true) + " NO FORCE ROW LEVEL SECURITY"
	case h.everybodys:
		return r.revokeFrom(h, "PUBLIC")
	}
	return r.revokeFrom(h, sqltext.QuoteName(r.role))
}

func (r rightsSQL) revokeFrom(h heldGrant, whom string) string {
	option := ""
	if h.Grantable {
		option = "GRANT OPTION FOR "
	}
	if h.Kind == defaults {
		return "ALTER " + h.Kind + " " + h.Object + " REVOKE " + option + h.Verb + " ON " + h.Column + " FROM " +
			whom + " CASCADE"
	}
	return "REVOKE " + option + h.verb() + " ON " + r.object(h.grant, h.Ours) + " FROM " + whom + " CASCADE"
}

// defaults is the kind of a grant on objects that do not exist yet.
const defaults = "DEFAULT PRIVILEGES"

func (g grant) verb() string {
	if g.Column == "" {
		return g.Verb
	}
	return g.Verb + " (" + sqltext.QuoteName(g.Column) + ")"
}

// object names it as GRANT does. ours tells names that are still to be quoted and
// put into the schema from those that the server wrote.
func (r rightsSQL) object(g grant, ours bool) string {
	switch {
	case g.Kind == "DATABASE":
		return "DATABASE " + sqltext.QuoteName(r.database)
	case g.Kind == "SCHEMA":
		return "SCHEMA " + sqltext.QuoteName(g.Object)
	case !ours || g.Kind == "TYPE":
		return g.Kind + " " + g.Object
	case g.Kind == "FUNCTION":
		name, arguments, _ := strings.Cut(g.Object, "(")
		return "ROUTINE " + sqltext.QuoteName(r.schema, name) + "(" + arguments // procedures, too
	}
	return g.Kind + " " + sqltext.QuoteName(r.schema, g.Object)
}

// describe writes a right for people.
func (r rightsSQL) describe(g grant, ours bool) string {
	switch {
	case g.Kind == defaults:
		return g.Verb + " ON FUTURE " + g.Column + ", " + strings.ToLower(g.Kind) + " " + g.Object
	case g.Kind == "DATABASE":
		g.Object = r.database
	case ours && g.Kind != "SCHEMA" && g.Kind != "TYPE":
		g.Object = r.schema + "." + g.Object
	}
	if g.Column != "" {
		g.Verb += " (" + g.Column + ")"
	}
	return g.Verb + " ON " + g.Kind + " " + g.Object
}
