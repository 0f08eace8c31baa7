package migrate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A Role is the unprivileged role that the service itself connects as. The
// migrator creates it when it does not exist, never alters somebody else's, and
// keeps its rights equal to the declared ones. The zero Role means that the
// service has none, and nothing is created or granted.
type Role struct {
	Name       string      // any identifier of up to 63 bytes
	Password   string      // printable ASCII; reaches the server only as a SCRAM-SHA-256 verifier
	Privileges []Privilege // one for each object that it may use
}

// A Privilege is what the role may do with one object of the schema. The role
// can always connect, use the schema and read the ledger; these are not declared.
type Privilege struct {
	On    string // "TABLE accounts" (views too), "SEQUENCE numbers", "FUNCTION total(uuid)"
	Allow string // as GRANT writes it: "SELECT, INSERT (id, name), DELETE"; empty for nothing
	Why   string // the reason, where it is not plain
}

// A grant is one entry of an access control list: one verb on one object, or on
// one column of it.
type grant struct {
	Kind      string // DATABASE, SCHEMA, TABLE, SEQUENCE or FUNCTION
	Object    string // its name within the schema; a function with its argument types
	Column    string // empty for the whole object
	Verb      string
	Grantable bool
}

// String describes the grant as GRANT would write it, for people.
func (g grant) String() string {
	verb := g.Verb
	if g.Column != "" {
		verb += " (" + g.Column + ")"
	}
	if g.Grantable {
		verb += " WITH GRANT OPTION"
	}
	return verb + " ON " + g.Kind + " " + g.Object
}

// declared lists the grants that the role is meant to have inside the schema.
func (r Role) declared(schema string) ([]grant, error) {
	grants := []grant{
		{Kind: "SCHEMA", Object: schema, Verb: "USAGE"},
		{Kind: "TABLE", Object: ledgerName, Verb: "SELECT"},
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
	for rest := strings.TrimSpace(p.Allow); rest != ""; {
		var verb, columns string
		verb, columns, rest = nextVerb(rest)
		if !slices.Contains(verbs, verb) || (columns != "" && !slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "REFERENCES"}, verb)) {
			return nil, fmt.Errorf("declared privilege on %q: %q is none of %s, alone or for SELECT, INSERT and UPDATE with (columns)", p.On, p.Allow, strings.Join(verbs, ", "))
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
// declared right that may be handed on, only the handing on is too much.
func changes(declared, held []grant, mayConnect bool) (missing, excess []grant) {
	for _, g := range declared {
		if !slices.Contains(held, g) && !slices.Contains(held, g.grantable(true)) {
			missing = append(missing, g)
		}
	}
	if !mayConnect {
		missing = append(missing, grant{Kind: "DATABASE", Verb: "CONNECT"})
	}
	for _, g := range held {
		plain := g.grantable(false)
		meant := slices.Contains(declared, plain) || plain == grant{Kind: "DATABASE", Verb: "CONNECT"}
		switch {
		case !meant:
			excess = append(excess, plain)
		case g.Grantable:
			excess = append(excess, g)
		}
	}
	return missing, excess
}

func (g grant) grantable(is bool) grant {
	g.Grantable = is
	return g
}

// A rightsSQL writes GRANT and REVOKE statements for one role in one schema.
type rightsSQL struct{ database, schema, role string }

func (r rightsSQL) grant(g grant) string {
	return "GRANT " + g.verb() + " ON " + r.object(g) + " TO " + quoteName(r.role)
}

func (r rightsSQL) revoke(g grant) string {
	option := ""
	if g.Grantable {
		option = "GRANT OPTION FOR "
	}
	return "REVOKE " + option + g.verb() + " ON " + r.object(g) + " FROM " + quoteName(r.role) + " CASCADE"
}

func (g grant) verb() string {
	if g.Column == "" {
		return g.Verb
	}
	return g.Verb + " (" + quoteName(g.Column) + ")"
}

func (r rightsSQL) object(g grant) string {
	switch g.Kind {
	case "DATABASE":
		return "DATABASE " + quoteName(r.database)
	case "SCHEMA":
		return "SCHEMA " + quoteName(r.schema)
	case "FUNCTION":
		name, arguments, _ := strings.Cut(g.Object, "(")
		return "FUNCTION " + quoteName(r.schema, name) + "(" + arguments
	}
	return g.Kind + " " + quoteName(r.schema, g.Object)
}

func quoteName(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// quoteText writes a string literal that means the same whatever
// standard_conforming_strings says.
func quoteText(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
