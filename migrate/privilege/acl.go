package privilege

import (
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// aclLists are the access control lists in which a role may stand: those of the
// database, of the schema and of what is in it.
type aclLists struct {
	Lists   []aclList `json:"lists"`
	Entries int       `json:"entries"` // how many lists the server has noted for the role, and what it owns
}

// An aclList is an access control list, and the objects that have it.
type aclList struct {
	Kind    string      `json:"kind"`
	Owner   string      `json:"owner"`
	ACL     acl         `json:"acl"`
	Objects [][2]string `json:"objects"` // each with a column, or none
	Secured string      `json:"secured"` // whether they have row level security: see secured
}

// expand lists what a role holds, and PUBLIC in a schema with an owner; a nil role does not exist. odd
// reports whether it holds or owns something else, too: then only AuditQuery describes all.
func (l aclLists) expand(role *RoleFacts, owner string) (c *Catalog, odd bool) {
	c = new(Catalog)
	noted := 0
	for _, list := range l.Lists {
		// a parameter that is granted to the role itself stays odd
		if named := c.add(list, role, owner); named && list.Owner != role.Name {
			// of an owner the server notes that it is one, and not that it stands in the list, too
			noted += len(list.Objects)
		}
	}
	c.inOrder()
	return c, noted != l.Entries
}

// add adds what one list grants, and reports whether it names the role.
func (c *Catalog) add(list aclList, role *RoleFacts, owner string) (named bool) {
	public, _ := list.ACL.of("", list.Owner)
	var grants []Held
	inSchema := list.Kind != parameter
	if role != nil && inSchema {
		grants, named = list.ACL.of(role.Name, list.Owner)
	}
	for _, o := range list.Objects {
		is := func(h Held) Held {
			h.InSchema, h.Kind, h.Object, h.Column = inSchema, list.Kind, o[0], o[1]
			return h
		}
		for _, h := range grants {
			c.Grants = append(c.Grants, is(h))
		}
		for _, h := range public {
			h.Stray = inSchema && owner != "" && list.Owner != owner
			c.Public = append(c.Public, is(h))
		}
		c.Grants = append(c.Grants, secured{o[0]: list.Secured}.grants()...)
	}
	return named
}

// An acl is an access control list, each item as the server writes it: the grantee, who has
// no name when it is PUBLIC, a letter for each privilege, with * after it when it has the
// grant option, and the grantor.
//
//	"the web"=ar*w/owner
type acl []string

// of lists the privileges of one role, and whether the list names it at all: it may
// have granted something.
func (l acl) of(role, owner string) (grants []Held, named bool) {
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
				grants = append(grants, Held{
					Grant:     Grant{Verb: verbOf(letter)},
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
	if end := sqltext.QuotedEnd(s); end > 0 {
		return strings.ReplaceAll(s[1:end-1], `""`, `"`), s[end:]
	}
	return s, ""
}

// verbOf is the privilege that a letter stands for. One that a later PostgreSQL brings has no
// name here, and so is a privilege that no program declares.
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
