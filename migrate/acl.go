package migrate

import (
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A rightsSeen is the access control lists in which a role may stand: those of the
// database, of the schema and of what is in it.
type rightsSeen struct {
	Lists   []listSeen `json:"lists"`
	Entries int        `json:"entries"` // how many lists the server has noted for the role, and what it owns
}

// A listSeen is an access control list, and the objects that have it.
type listSeen struct {
	Kind    string      `json:"kind"`
	Owner   string      `json:"owner"`
	ACL     acl         `json:"acl"`
	Objects [][2]string `json:"objects"` // each with a column, or none
	Secured string      `json:"secured"` // whether they have row level security: see secured
}

// askRights is what every start asks; role is an expression. Like askHeld it starts
// from pg_shdepend, and then it takes the lists as they are, each once for all that have
// the same: to take them apart here costs less than there, in a server process that has
// just begun and has to look up each function of a question.
func (m *Migrator) askRights(role string) string {
	return strings.NewReplacer("$schema", sqltext.QuoteText(m.Schema), "$role", role, "$secured", isSecured).Replace(`
	WITH here AS (SELECT oid, datdba, datacl FROM pg_database WHERE datname = current_database()),
	space AS (SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname = $schema),
	entry AS MATERIALIZED (SELECT classid, objid, objsubid FROM pg_shdepend
		WHERE refclassid = 'pg_authid'::regclass AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = $role)
			AND (deptype = 'o' OR deptype = 'a' AND (dbid = (SELECT oid FROM here) OR dbid = 0 AND (classid <> 'pg_database'::regclass OR objid = (SELECT oid FROM here)))))
	SELECT json_build_object(
		'entries', (SELECT count(*) FROM entry),
		'lists', (SELECT json_agg(json_build_object('kind', kind, 'owner', pg_get_userbyid(owner), 'acl', acl, 'secured', coalesce(secured, ''), 'objects', objects)) FROM (
			SELECT kind, owner, acl, secured, json_agg(json_build_array(object, col)) AS objects FROM (
				SELECT 'DATABASE' AS kind, datdba AS owner, datacl AS acl, NULL AS secured, '' AS object, '' AS col FROM here
				UNION ALL SELECT 'PARAMETER', 10, paracl, NULL, parname, '' FROM pg_parameter_acl
				UNION ALL SELECT 'SCHEMA', nspowner, nspacl, NULL, nspname, '' FROM space
				UNION ALL SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, relowner, relacl, $secured, relname, ''
					FROM pg_class c WHERE relnamespace = (SELECT oid FROM space) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
				UNION ALL SELECT 'TABLE', relowner, attacl, NULL, relname, attname
					FROM pg_class c JOIN pg_attribute ON attrelid = c.oid AND attacl IS NOT NULL AND NOT attisdropped WHERE relnamespace = (SELECT oid FROM space)
				UNION ALL SELECT 'FUNCTION', proowner, coalesce(proacl, acldefault('f', proowner)), NULL, proname || '(' || oidvectortypes(proargtypes) || ')', ''
					FROM pg_proc WHERE oid = ANY (ARRAY(SELECT objid FROM pg_depend
						WHERE refclassid = 'pg_namespace'::regclass AND refobjid = (SELECT oid FROM space) AND classid = 'pg_proc'::regclass))) o
			WHERE acl IS NOT NULL OR secured IS NOT NULL GROUP BY kind, owner, acl, secured) l))`)
}

// held is what a role holds, and everybody in our schema; nil is one that does not exist. odd
// reports whether it holds or owns something else, too: then only askHeld tells all.
func (r rightsSeen) held(role *roleSeen, schema *schemaSeen) (held *heldSeen, odd bool) {
	held = new(heldSeen)
	noted := 0
	for _, l := range r.Lists {
		everybodys, _ := l.ACL.of("", l.Owner)
		var grants []heldGrant
		named, ours := false, l.Kind != parameter
		if role != nil && ours { // a parameter that is granted to the role itself stays odd
			grants, named = l.ACL.of(role.Name, l.Owner)
		}
		for _, o := range l.Objects {
			is := func(g heldGrant) heldGrant {
				g.Ours, g.Kind, g.Object, g.Column = ours, l.Kind, o[0], o[1]
				return g
			}
			for _, g := range grants {
				held.Grants = append(held.Grants, is(g))
			}
			for _, g := range everybodys {
				g.Stray = ours && schema != nil && l.Owner != schema.Owner
				held.Public = append(held.Public, is(g))
			}
			held.Grants = append(held.Grants, secured{o[0]: l.Secured}.grants()...)
		}
		// of an owner the server notes that it is one, and not that it stands in the list, too
		if named && l.Owner != role.Name {
			noted += len(l.Objects)
		}
	}
	held.inOrder()
	return held, odd || noted != r.Entries
}

// An acl is an access control list, each item as the server writes it: the grantee, who has
// no name when it is everybody, a letter for each right, with * behind it when it may be
// handed on, and the grantor.
//
//	"the web"=ar*w/owner
type acl []string

// of lists the rights of one role, and tells whether the list names it at all: it may
// have granted something.
func (l acl) of(role, owner string) (grants []heldGrant, named bool) {
	for _, item := range l {
		grantee, rest := cutName(item)
		letters, grantor, _ := strings.Cut(strings.TrimPrefix(rest, "="), "/")
		grantor, _ = cutName(grantor)
		named = named || grantee == role || grantor == role
		if grantee != role {
			continue
		}
		if grantor == owner {
			grantor = ""
		}
		for i, letter := range letters {
			if letter != '*' {
				grants = append(grants, heldGrant{
					grant:     grant{Verb: verbOf(letter)},
					Grantable: strings.HasPrefix(letters[i+1:], "*"), Grantor: grantor,
				})
			}
		}
	}
	return grants, named
}

// cutName reads a role's name from the front of an item.
func cutName(s string) (name, rest string) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s+"=", "=/")
		return s[:end], s[end:]
	}
	if end := quotedEnd(s); end > 0 {
		return strings.ReplaceAll(s[1:end-1], `""`, `"`), s[end:]
	}
	return s, ""
}

// quotedEnd returns where the name in quotes ends with which a text begins, or -1.
func quotedEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '"':
		case strings.HasPrefix(s[i+1:], `"`):
			i++ // a quote in the name is doubled
		default:
			return i + 1
		}
	}
	return -1
}

// verbOf is the right that a letter stands for. One that a later PostgreSQL brings has no
// name here, and so is a right that nobody declares.
func verbOf(letter rune) string {
	verbs := map[rune]string{
		'r': "SELECT", 'a': "INSERT", 'w': "UPDATE", 'd': "DELETE", 'D': "TRUNCATE", 'x': "REFERENCES", 't': "TRIGGER",
		'm': "MAINTAIN",
		'U': "USAGE", 'C': "CREATE", 'T': "TEMPORARY", 'c': "CONNECT", 'X': "EXECUTE", 's': "SET", 'A': "ALTER SYSTEM",
	}
	if verb, known := verbs[letter]; known {
		return verb
	}
	return string(letter)
}
