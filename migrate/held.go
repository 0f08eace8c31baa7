package migrate

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A heldSeen is what the catalogue says a role holds, beyond its attributes. When a
// start finds nothing odd about the role, only the Grants are known.
type heldSeen struct {
	Grants    []heldGrant      `json:"grants"`
	Owned     []owned          `json:"owned"`
	Elsewhere []elsewhere      `json:"elsewhere"`
	Settings  []changedSetting `json:"settings"`
	Secured   secured          `json:"secured"`

	Detours      []detour    `json:"-"`             // of an audit alone
	LargeObjects int         `json:"large_objects"` // owned, in this database
	Public       []heldGrant `json:"public"`        // what everybody holds, where that concerns us
}

// A heldGrant is one entry of an access control list of the database at hand, or
// of an object that all databases share.
type heldGrant struct {
	grant
	Ours      bool `json:"ours"`      // in the schema that is migrated, or on the database itself
	Grantable bool `json:"grantable"` // may be handed on
	// set when it is not the object's owner: then only the grantor's REVOKE removes it
	Grantor string `json:"grantor"`

	Stray      bool `json:"stray"` // of PUBLIC: the object is in our schema, and belongs to another role than that
	everybodys bool // it is held as PUBLIC
	bare       bool // row level security without a policy, which hides every row
}

// inOrder puts what the server returns in any order into one that is the same each time, in which a reader looks
// for it: what is larger first, and objects by their names.
func (h *heldSeen) inOrder() {
	slices.SortFunc(h.Grants, heldGrant.compare)
	slices.SortFunc(h.Public, heldGrant.compare)
	slices.SortFunc(h.Owned, func(a, b owned) int {
		return cmp.Or(strings.Compare(a.Database, b.Database), strings.Compare(a.What, b.What),
			strings.Compare(a.Mapping, b.Mapping))
	})
	slices.SortFunc(h.Elsewhere, func(a, b elsewhere) int { return strings.Compare(a.Database, b.Database) })
	slices.SortFunc(h.Settings, func(a, b changedSetting) int {
		return cmp.Or(strings.Compare(a.Database, b.Database), strings.Compare(a.Value, b.Value))
	})
}

func (h heldGrant) compare(other heldGrant) int {
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

// A secured is the tables of the schema that have row level security, and of each a text
// as isSecured writes it.
type secured map[string]string

// isSecured has a letter for row level security that is enabled, that lacks every policy, and
// that is forced; it is null without any.
const isSecured = `nullif(CASE WHEN relrowsecurity THEN CASE WHEN EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid) THEN 'e' ELSE 'ex' END ELSE '' END
	|| CASE WHEN relforcerowsecurity THEN 'f' ELSE '' END, '')`

func (s secured) grants() (grants []heldGrant) {
	for _, table := range slices.Sorted(maps.Keys(s)) {
		is := heldGrant{
			grant: grant{Kind: "TABLE", Object: table, Verb: rowSecurity}, Ours: true,
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
	Database string `json:"database"`
	What     string `json:"what"`    // empty in another database, where it cannot be read
	Unsure   bool   `json:"unsure"`  // it may be temporary
	Mapping  string `json:"mapping"` // the foreign server, as SQL writes it, of a user mapping
}

// owns tells what a role owns in earnest. Its temporary objects, large objects and own
// default privileges are left out: a role can make these without any right, so they must
// not stop a start. Of another database it cannot be told in which schema an object is;
// there only what is in none counts, and the rest may be temporary.
const (
	owns = ownsAny + ` AND NOT ` + unsure

	ownsAny = `deptype = 'o' AND classid NOT IN ('pg_largeobject'::regclass, 'pg_default_acl'::regclass)
	AND (` + far + ` OR coalesce((pg_identify_object(classid, objid, 0)).schema, '') NOT LIKE 'pg\_temp%')`

	unsure = `(` + far + ` AND classid NOT IN ('pg_namespace'::regclass, 'pg_extension'::regclass, 'pg_foreign_data_wrapper'::regclass, 'pg_foreign_server'::regclass,
	'pg_user_mapping'::regclass, 'pg_publication'::regclass, 'pg_event_trigger'::regclass, 'pg_language'::regclass))`

	far = `dbid NOT IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))`
)

// An elsewhere is the sum of a role's rights in another database.
type elsewhere struct {
	Database string `json:"database"`
	Connect  bool   `json:"connect"` // CONNECT, TEMPORARY or CREATE on the database itself
	Objects  int    `json:"objects"` // in it
}

// A changedSetting is what ALTER ROLE … SET left behind.
type changedSetting struct {
	Database string `json:"database"` // empty for all
	Value    string `json:"value"`    // name=value
	All      bool   `json:"all"`      // for each role
}

// harmful are settings by which a database, or ALTER ROLE ALL, breaks the service, and which it
// does not pin: of what a DBA sets for everybody an audit names no other.
const harmful = "'session_replication_role', 'role', 'exit_on_error', 'transaction_timeout', " +
	"'restrict_nonsystem_relation_kind'"

// classes names what default privileges are about.
const classes = `CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END`

// askHeld lists all that a role holds and owns. role is an expression.
//
// It starts from pg_shdepend, in which the server notes every object that has the
// role in its access control list or belongs to it, in all databases: DROP ROLE
// relies on it. So it finds grants on whatever there is, and reads only the lists
// of those objects, however large the catalogue is; a database may hold millions of
// large objects.
func (m *Migrator) askHeld(role string) string {
	return strings.NewReplacer("$schema", sqltext.QuoteText(m.Schema), "$role", role, "$owns", ownsAny, "$unsure", unsure, "$classes", classes, "$secured", isSecured, "$harmful", harmful).Replace(`
	WITH role AS (SELECT oid FROM pg_roles WHERE rolname = $role),
	here AS (SELECT oid, datdba, datacl FROM pg_database WHERE datname = current_database()),
	space AS (SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname = $schema),
	entry AS MATERIALIZED (SELECT dbid, classid, objid, objsubid, deptype FROM pg_shdepend
		WHERE refclassid = 'pg_authid'::regclass AND refobjid = (SELECT oid FROM role)),
	near AS (SELECT * FROM entry
		WHERE deptype = 'a' AND (dbid = (SELECT oid FROM here) OR dbid = 0 AND (classid <> 'pg_database'::regclass OR objid = (SELECT oid FROM here)))),
	listed AS (SELECT o.* FROM near n, LATERAL (
		SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
			CASE WHEN relnamespace = s.oid THEN relname ELSE (pg_identify_object(classid, objid, 0)).identity END AS object,
			'' AS col, relnamespace = s.oid AS ours, relowner AS owner, relacl AS acl
			FROM pg_class c LEFT JOIN space s ON true WHERE n.classid = 'pg_class'::regclass AND c.oid = n.objid AND n.objsubid = 0
		UNION ALL SELECT 'TABLE', CASE WHEN relnamespace = s.oid THEN relname ELSE (pg_identify_object(classid, objid, 0)).identity END,
			attname, relnamespace = s.oid, relowner, attacl
			FROM pg_class c JOIN pg_attribute ON attrelid = c.oid LEFT JOIN space s ON true
			WHERE n.classid = 'pg_class'::regclass AND c.oid = n.objid AND n.objsubid <> 0 AND attnum = n.objsubid
		UNION ALL SELECT 'FUNCTION', CASE WHEN pronamespace = s.oid THEN proname || '(' || oidvectortypes(proargtypes) || ')' ELSE (pg_identify_object(classid, objid, 0)).identity END,
			'', pronamespace = s.oid, proowner, proacl
			FROM pg_proc p LEFT JOIN space s ON true WHERE n.classid = 'pg_proc'::regclass AND p.oid = n.objid
		UNION ALL SELECT 'SCHEMA', nspname, '', x.nspname = $schema, nspowner, nspacl FROM pg_namespace x WHERE n.classid = 'pg_namespace'::regclass AND x.oid = n.objid
		UNION ALL SELECT 'DATABASE', '', '', true, datdba, datacl FROM here WHERE n.classid = 'pg_database'::regclass
		UNION ALL SELECT 'TYPE', (pg_identify_object(classid, objid, 0)).identity, '', typnamespace = s.oid, typowner, typacl
			FROM pg_type t LEFT JOIN space s ON true WHERE n.classid = 'pg_type'::regclass AND t.oid = n.objid
		UNION ALL SELECT 'LANGUAGE', quote_ident(lanname), '', false, lanowner, lanacl FROM pg_language l WHERE n.classid = 'pg_language'::regclass AND l.oid = n.objid
		UNION ALL SELECT 'FOREIGN DATA WRAPPER', quote_ident(fdwname), '', false, fdwowner, fdwacl
			FROM pg_foreign_data_wrapper f WHERE n.classid = 'pg_foreign_data_wrapper'::regclass AND f.oid = n.objid
		UNION ALL SELECT 'FOREIGN SERVER', quote_ident(srvname), '', false, srvowner, srvacl
			FROM pg_foreign_server f WHERE n.classid = 'pg_foreign_server'::regclass AND f.oid = n.objid
		UNION ALL SELECT 'TABLESPACE', quote_ident(spcname), '', false, spcowner, spcacl FROM pg_tablespace t WHERE n.classid = 'pg_tablespace'::regclass AND t.oid = n.objid
		UNION ALL SELECT 'LARGE OBJECT', l.oid::text, '', false, lomowner, lomacl FROM pg_largeobject_metadata l WHERE n.classid = 'pg_largeobject'::regclass AND l.oid = n.objid
		UNION ALL SELECT 'PARAMETER', parname, '', false, 10, paracl FROM pg_parameter_acl p WHERE n.classid = 'pg_parameter_acl'::regclass AND p.oid = n.objid
		UNION ALL SELECT 'DEFAULT PRIVILEGES', 'FOR ROLE ' || quote_ident(pg_get_userbyid(defaclrole)) || coalesce(' IN SCHEMA ' || quote_ident(x.nspname), ''),
			$classes,
			coalesce(x.nspname = $schema, false) OR defaclrole = (SELECT nspowner FROM space), defaclrole, defaclacl
			FROM pg_default_acl d LEFT JOIN pg_namespace x ON x.oid = defaclnamespace WHERE n.classid = 'pg_default_acl'::regclass AND d.oid = n.objid) o),
	everybodys AS ( -- what PUBLIC is given by PostgreSQL itself, or by an extension, is left out
		SELECT 'DATABASE' AS kind, '' AS object, '' AS col, true AS ours, coalesce(datacl, acldefault('d', datdba)) AS acl, NULL::aclitem[] AS given, false AS stray FROM here
		UNION ALL SELECT 'SCHEMA', nspname, '', nspname = $schema, nspacl, NULL, false FROM pg_namespace
		UNION ALL SELECT 'DEFAULT PRIVILEGES', 'FOR ROLE ' || quote_ident(pg_get_userbyid(defaclrole)) || coalesce(' IN SCHEMA ' || quote_ident(nspname), ''), $classes, true, defaclacl,
				CASE WHEN nspname IS NULL THEN acldefault(CASE defaclobjtype WHEN 'S' THEN 's' ELSE defaclobjtype END, defaclrole) END, false
			FROM pg_default_acl LEFT JOIN pg_namespace n ON n.oid = defaclnamespace
			WHERE nspname = $schema OR defaclnamespace = 0 AND defaclrole = (SELECT nspowner FROM space)
		UNION ALL SELECT 'PARAMETER', parname, '', false, paracl, NULL, false FROM pg_parameter_acl
		UNION ALL SELECT 'TABLESPACE', quote_ident(spcname), '', false, spcacl, NULL, false FROM pg_tablespace
		UNION ALL SELECT 'FOREIGN DATA WRAPPER', quote_ident(fdwname), '', false, fdwacl, NULL, false FROM pg_foreign_data_wrapper
		UNION ALL SELECT 'FOREIGN SERVER', quote_ident(srvname), '', false, srvacl, NULL, false FROM pg_foreign_server
		UNION ALL SELECT 'FUNCTION', (pg_identify_object(classoid, objoid, 0)).identity, '', false, proacl, initprivs, false
			FROM pg_init_privs JOIN pg_proc p ON p.oid = objoid WHERE classoid = 'pg_proc'::regclass AND proacl IS DISTINCT FROM initprivs
		UNION ALL SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, (pg_identify_object(classoid, objoid, 0)).identity, '', false, relacl, initprivs, false
			FROM pg_init_privs JOIN pg_class c ON c.oid = objoid WHERE classoid = 'pg_class'::regclass AND objsubid = 0 AND relacl IS DISTINCT FROM initprivs
		UNION ALL SELECT 'TABLE', (pg_identify_object(i.classoid, i.objoid, 0)).identity, attname, false, attacl, col.initprivs, false
			FROM pg_init_privs i JOIN pg_attribute ON attrelid = i.objoid AND attacl IS NOT NULL
				LEFT JOIN pg_init_privs col ON col.classoid = i.classoid AND col.objoid = i.objoid AND col.objsubid = attnum
			WHERE i.classoid = 'pg_class'::regclass AND i.objsubid = 0 AND attacl IS DISTINCT FROM col.initprivs
		UNION ALL SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, relname, '', true, relacl, NULL, relowner <> (SELECT nspowner FROM space)
			FROM pg_class WHERE relnamespace = (SELECT oid FROM space) AND relacl IS NOT NULL
		UNION ALL SELECT 'TABLE', relname, attname, true, attacl, NULL, relowner <> (SELECT nspowner FROM space)
			FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid
			WHERE relnamespace = (SELECT oid FROM space) AND relkind IN ('r', 'v', 'm', 'f', 'p') AND attacl IS NOT NULL AND NOT attisdropped
		UNION ALL SELECT 'FUNCTION', proname || '(' || oidvectortypes(proargtypes) || ')', '', true, coalesce(proacl, acldefault('f', proowner)), NULL, proowner <> (SELECT nspowner FROM space)
			FROM pg_proc WHERE pronamespace = (SELECT oid FROM space))
	SELECT json_build_object(
		'grants', (SELECT coalesce(json_agg(json_build_object('kind', kind, 'object', object, 'column', col, 'verb', privilege_type, 'ours', coalesce(ours, false),
				'grantable', is_grantable, 'grantor', CASE WHEN grantor = owner THEN '' ELSE pg_get_userbyid(grantor) END)), '[]')
			FROM listed, aclexplode(acl) WHERE grantee = (SELECT oid FROM role)),
		'owned', (SELECT coalesce(json_agg(json_build_object('database', coalesce(datname, current_database()),
				'what', CASE WHEN dbid IN (0, (SELECT oid FROM here)) THEN pg_describe_object(classid, objid, objsubid) ELSE '' END,
				'mapping', coalesce(quote_ident(srvname), ''), 'unsure', unsure)), '[]')
			FROM (SELECT *, $unsure AS unsure FROM entry WHERE $owns ORDER BY unsure LIMIT 100) e LEFT JOIN pg_database d ON d.oid = dbid
				LEFT JOIN pg_user_mappings u ON classid = 'pg_user_mapping'::regclass AND dbid = (SELECT oid FROM here) AND umid = objid),
		'secured', (SELECT coalesce(json_object_agg(relname, $secured), '{}') FROM pg_class c
			WHERE relnamespace = (SELECT oid FROM space) AND (relrowsecurity OR relforcerowsecurity)),
		'large_objects', (SELECT count(*) FROM entry WHERE deptype = 'o' AND classid = 'pg_largeobject'::regclass AND dbid = (SELECT oid FROM here)),
		'elsewhere', (SELECT coalesce(json_agg(json_build_object('database', datname, 'connect', connect, 'objects', objects)), '[]')
			FROM (SELECT datname, bool_or(dbid = 0) AS connect, count(*) FILTER (WHERE dbid <> 0) AS objects
				FROM entry JOIN pg_database d ON d.oid = CASE WHEN dbid = 0 AND classid = 'pg_database'::regclass THEN objid ELSE dbid END
				WHERE deptype = 'a' AND d.oid <> (SELECT oid FROM here) GROUP BY datname) other),
		'settings', (SELECT coalesce(json_agg(json_build_object('database', coalesce(datname, ''), 'value', value, 'all', setrole = 0)), '[]')
			FROM pg_db_role_setting LEFT JOIN pg_database d ON d.oid = setdatabase, unnest(setconfig) value
				WHERE setrole = (SELECT oid FROM role) OR setrole = 0 AND setdatabase IN (0, (SELECT oid FROM here)) AND split_part(value, '=', 1) IN ($harmful)),
		'public', (SELECT coalesce(json_agg(json_build_object('kind', kind, 'object', object, 'column', col, 'verb', privilege_type, 'ours', ours, 'grantable', is_grantable, 'stray', stray)), '[]')
			FROM everybodys, aclexplode(acl) held WHERE grantee = 0 AND (ours OR kind <> 'SCHEMA' OR privilege_type = 'CREATE')
				AND NOT EXISTS (SELECT FROM aclexplode(given) g WHERE g.grantee = 0 AND g.privilege_type = held.privilege_type)))`)
}
