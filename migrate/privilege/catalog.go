package privilege

import (
	"cmp"
	_ "embed" // for the questions
	"maps"
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// Facts are what is known of a role, and of the database and the schema in which it works.
type Facts struct {
	Database      string
	Schema        string
	Owner         string // of the schema; "" when it does not exist
	Me            string // the role that asks
	ServerVersion int    // such as 150018

	Role    *RoleFacts // nil when it does not exist
	Catalog *Catalog   // nil unless it was asked for

	Ledger   bool   // whether the schema has a ledger, whose version the snapshot is of
	Snapshot string // of the schema as the migrations make it
	Compared bool   // whether there is one
}

// RoleFacts are a role's attributes.
type RoleFacts struct {
	Name        string `json:"name"`
	Login       bool   `json:"login"`
	Expired     string `json:"expired"` // when its password expired; "" when it did not
	Limit       int    `json:"limit"`   // of connections; -1 when there is none
	Superuser   bool   `json:"superuser"`
	CreatesDB   bool   `json:"creates_db"`
	CreatesRole bool   `json:"creates_role"`
	Replicates  bool   `json:"replicates"`
	BypassesRLS bool   `json:"bypasses_rls"`
	MemberOf    []struct {
		Role    string `json:"role"`
		Grantor string `json:"grantor"`
	} `json:"member_of"`
	Connects bool   `json:"connects"`
	Comment  string `json:"comment"`
}

// A Catalog is what the catalogue says that a role holds, beyond its attributes. When a
// start finds nothing odd about the role, only Grants and Public are known.
type Catalog struct {
	Grants         []Held          `json:"grants"`
	Owned          []owned         `json:"owned"`
	OtherDatabases []otherDatabase `json:"other_databases"`
	Settings       []roleSetting   `json:"settings"`
	Secured        secured         `json:"secured"`

	Detours      []detour `json:"-"`             // of an audit alone
	LargeObjects int      `json:"large_objects"` // owned, in this database
	Public       []Held   `json:"public"`        // what PUBLIC holds, where that concerns the role
}

// A Held is one entry of an access control list of the database at hand, or
// of an object that all databases share.
type Held struct {
	Grant
	InSchema  bool `json:"in_schema"` // that is migrated, or on the database itself
	Grantable bool `json:"grantable"` // has the grant option
	// set when it is not the object's owner: then only the grantor's REVOKE removes it
	Grantor string `json:"grantor"`

	Stray  bool `json:"stray"` // of PUBLIC: the object is in the schema, and belongs to another role than that
	Public bool `json:"-"`     // it is held as PUBLIC
	bare   bool // row level security without a policy, which hides every row
}

// inOrder puts what the server returns in any order into one that is the same each time, in which a reader looks
// for it: what is larger first, and objects by their names.
func (c *Catalog) inOrder() {
	slices.SortFunc(c.Grants, Held.compare)
	slices.SortFunc(c.Public, Held.compare)
	slices.SortFunc(c.Owned, func(a, b owned) int {
		return cmp.Or(strings.Compare(a.Database, b.Database), strings.Compare(a.What, b.What),
			strings.Compare(a.Mapping, b.Mapping))
	})
	slices.SortFunc(c.OtherDatabases, func(a, b otherDatabase) int { return strings.Compare(a.Database, b.Database) })
	slices.SortFunc(c.Settings, func(a, b roleSetting) int {
		return cmp.Or(strings.Compare(a.Database, b.Database), strings.Compare(a.Value, b.Value))
	})
}

func (h Held) compare(other Held) int {
	place := func(kind string) int {
		kinds := []string{"DATABASE", "SCHEMA", "TABLE", "SEQUENCE", "FUNCTION"}
		if i := slices.Index(kinds, kind); i >= 0 {
			return i
		}
		return len(kinds)
	}
	return cmp.Or(cmp.Compare(place(h.Kind), place(other.Kind)), strings.Compare(h.Kind, other.Kind),
		strings.Compare(h.Object, other.Object), strings.Compare(h.Column, other.Column),
		strings.Compare(h.Verb, other.Verb), strings.Compare(h.Grantor, other.Grantor))
}

// secured has the tables of the schema that have row level security, each with a letter for one that is enabled (e),
// that lacks every policy (x), and that is forced (f).
type secured map[string]string

func (s secured) grants() (grants []Held) {
	for _, table := range slices.Sorted(maps.Keys(s)) {
		is := Held{
			Grant: Grant{Kind: "TABLE", Object: table, Verb: rowSecurity}, InSchema: true,
			bare: strings.Contains(s[table], "x"),
		}
		if strings.Contains(s[table], "e") {
			grants = append(grants, is)
		}
		if is.Verb = forcedSecurity; strings.Contains(s[table], "f") {
			grants = append(grants, is)
		}
	}
	return grants
}

// An owned is an object that belongs to the role.
type owned struct {
	Database       string `json:"database"`
	What           string `json:"what"` // empty in another database, where it cannot be read
	MaybeTemporary bool   `json:"maybe_temporary"`
	Mapping        string `json:"mapping"` // the foreign server, as SQL writes it, of a user mapping
}

// OwnsSQL is the condition of a row of pg_shdepend that is about an object which a role owns and which is not
// temporary, as in audit.sql. Of another database it cannot be known in which schema an object is; there only what is
// in none counts.
const OwnsSQL = `deptype = 'o' AND classid NOT IN ('pg_largeobject'::regclass, 'pg_default_acl'::regclass)
	AND CASE WHEN dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
		THEN coalesce((pg_identify_object(classid, objid, 0)).schema, '') NOT LIKE 'pg\_temp%'
		ELSE classid IN ('pg_namespace'::regclass, 'pg_extension'::regclass, 'pg_foreign_data_wrapper'::regclass,
			'pg_foreign_server'::regclass, 'pg_user_mapping'::regclass, 'pg_publication'::regclass,
			'pg_event_trigger'::regclass, 'pg_language'::regclass) END`

// An otherDatabase is the sum of a role's privileges in another database.
type otherDatabase struct {
	Database string `json:"database"`
	Connect  bool   `json:"connect"` // CONNECT, TEMPORARY or CREATE on the database itself
	Objects  int    `json:"objects"` // in it
}

// A roleSetting is what ALTER ROLE … SET left behind.
type roleSetting struct {
	Database string `json:"database"` // empty for all
	Value    string `json:"value"`    // name=value
	All      bool   `json:"all"`      // for each role
}

// A detour is an object outside of the schema that reaches its tables with the privileges of another role, and that
// the service's role may use: a view, or a function that is SECURITY DEFINER. What a function does is not known; its
// owner may do more than the role.
type detour struct {
	What string `json:"what"`
	SQL  string `json:"sql"`
}

var (
	//go:embed start.sql
	startSQL string
	//go:embed audit.sql
	auditSQL string
	//go:embed detours.sql
	detoursSQL string
)

// StartQuery is what every start asks of a role; an empty role is the one that asks. ReadStart reads the answer.
func StartQuery(schema, role string) string { return query(startSQL, schema, role) }

// AuditQuery asks for all that a role holds and owns; an empty role is the one that asks. ReadAudit reads the answer.
func AuditQuery(schema, role string) string { return query(auditSQL, schema, role) }

// DetoursQuery asks for the ways around the schema's privileges, which only warnings are about.
func DetoursQuery(schema, role string) string { return query(detoursSQL, schema, role) }

func query(question, schema, role string) string {
	return snapshot.Qualified + sqltext.Bind(question, map[string]string{"schema": schema, "role": role})
}

// ReadStart reads the answer to StartQuery, about a role, which is nil when it does not exist, in a schema with an
// owner. odd reports whether the role holds or owns something that only AuditQuery describes.
func ReadStart(answer pg.Result, role *RoleFacts, owner string) (c *Catalog, odd bool, err error) {
	var lists aclLists
	if err := answer.Decode(&lists); err != nil {
		return nil, false, err
	}
	c, odd = lists.expand(role, owner)
	return c, odd, nil
}

// ReadAudit reads the answer to AuditQuery.
func ReadAudit(answer pg.Result) (*Catalog, error) {
	c := new(Catalog)
	err := answer.Decode(c)
	c.Grants = append(c.Grants, c.Secured.grants()...)
	c.inOrder()
	return c, err
}

// ReadDetours reads the answer to DetoursQuery.
func (c *Catalog) ReadDetours(answer pg.Result) error { return answer.Decode(&c.Detours) }
