package migrate

import "strings"

// A heldSeen is what the catalogue says a role holds, beyond its attributes. Of a
// start with nothing odd about the role only the Grants are known.
type heldSeen struct {
	Grants    []heldGrant `json:"grants"`
	Owned     []owned     `json:"owned"`
	Elsewhere []elsewhere `json:"elsewhere"`
	Settings  []setting   `json:"settings"`

	LargeObjects int         `json:"large_objects"` // owned, in this database
	Public       []heldGrant `json:"public"`        // what everybody holds, where that concerns us
}

// A heldGrant is one entry of an access control list of the database at hand, or
// of an object that all databases share.
type heldGrant struct {
	grant
	Ours      bool   `json:"ours"`      // in the schema that is migrated, or on the database itself
	Grantable bool   `json:"grantable"` // may be handed on
	Grantor   string `json:"grantor"`   // set when it is not the object's owner: then only the grantor's REVOKE removes it
}

// An owned is an object that belongs to the role.
type owned struct {
	Database string `json:"database"`
	What     string `json:"what"`    // empty in another database, where it cannot be read
	Mapping  string `json:"mapping"` // the foreign server, as SQL writes it, of a user mapping
}

// owns tells what a role owns in earnest. Its temporary objects, large objects and own
// default privileges are left out: a role can make these without any right, so they must
// not stop a start.
const owns = `deptype = 'o' AND classid NOT IN ('pg_largeobject'::regclass, 'pg_default_acl'::regclass)
	AND (dbid NOT IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) OR coalesce((pg_identify_object(classid, objid, 0)).schema, '') NOT LIKE 'pg\_temp%')`

// An elsewhere is the sum of a role's rights in another database.
type elsewhere struct {
	Database string `json:"database"`
	Connect  bool   `json:"connect"` // CONNECT, TEMPORARY or CREATE on the database itself
	Objects  int    `json:"objects"` // in it
}

// A setting is what ALTER ROLE … SET left behind.
type setting struct {
	Database string `json:"database"` // empty for all
	Value    string `json:"value"`    // name=value
}

// A rightsSeen is what the role holds on the database, the schema and the objects
// in it. Objects of a kind with the same rights are together.
type rightsSeen struct {
	Rights []struct {
		Kind    string      `json:"kind"`
		Objects []string    `json:"objects"`
		Columns []string    `json:"columns"` // of the objects, one for each
		Verbs   []heldGrant `json:"verbs"`
	} `json:"rights"`
	Odd bool `json:"odd"` // it holds or owns something else, too
}

func (r rightsSeen) grants() []heldGrant {
	n := 0
	for _, right := range r.Rights {
		n += len(right.Objects) * len(right.Verbs)
	}
	grants := make([]heldGrant, 0, n)
	for _, right := range r.Rights {
		for i, object := range right.Objects {
			for _, g := range right.Verbs {
				g.Ours, g.Kind, g.Object, g.Column = true, right.Kind, object, right.Columns[i]
				grants = append(grants, g)
			}
		}
	}
	return grants
}

// askRights is what every start asks; role is an expression. Like askHeld it starts
// from pg_shdepend, so that its time follows what the role holds and not how many tables
// there are. Access control lists that are equal are taken apart once: on 200
// tables it takes a tenth of the time of askHeld, which is asked only when there is
// something odd.
func (m *Migrator) askRights(role string) string {
	return strings.NewReplacer("$schema", quoteText(m.Schema), "$role", role).Replace(`
	WITH role AS (SELECT oid FROM pg_roles WHERE rolname = $role),
	space AS (SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname = $schema),
	here AS (SELECT oid, datdba, datacl FROM pg_database WHERE datname = current_database()),
	entry AS MATERIALIZED (SELECT dbid, classid, objid, deptype FROM pg_shdepend
		WHERE refclassid = 'pg_authid'::regclass AND refobjid = (SELECT oid FROM role)),
	relation AS MATERIALIZED (SELECT oid, CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, relname::text, relowner, relacl
		FROM pg_class WHERE relnamespace = (SELECT oid FROM space) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
			AND oid = ANY (ARRAY(SELECT objid FROM entry WHERE classid = 'pg_class'::regclass AND dbid = (SELECT oid FROM here)))),
	routine AS MATERIALIZED (SELECT oid, proname || '(' || oidvectortypes(proargtypes) || ')' AS name, proowner, proacl
		FROM pg_proc WHERE pronamespace = (SELECT oid FROM space)
			AND oid = ANY (ARRAY(SELECT objid FROM entry WHERE classid = 'pg_proc'::regclass AND deptype = 'a' AND dbid = (SELECT oid FROM here)))),
	alike AS (
		SELECT kind, relowner AS owner, relacl AS acl, json_agg(relname) AS objects, json_agg(''::text) AS columns FROM relation WHERE relacl IS NOT NULL GROUP BY kind, relowner, relacl
		UNION ALL SELECT 'TABLE', relowner, attacl, json_agg(relname), json_agg(attname)
			FROM relation r JOIN pg_attribute ON attrelid = r.oid WHERE attacl IS NOT NULL AND NOT attisdropped GROUP BY relowner, attacl
		UNION ALL SELECT 'FUNCTION', proowner, proacl, json_agg(name), json_agg(''::text) FROM routine GROUP BY proowner, proacl
		UNION ALL SELECT 'SCHEMA', nspowner, nspacl, json_build_array(nspname), '[""]' FROM space
		UNION ALL SELECT 'DATABASE', datdba, datacl, '[""]', '[""]' FROM here)
	SELECT json_build_object(
		'rights', (SELECT coalesce(json_agg(json_build_object('kind', kind, 'objects', objects, 'columns', columns, 'verbs', verbs)), '[]') FROM alike, LATERAL (
			SELECT coalesce(json_agg(json_build_object('verb', privilege_type, 'grantable', is_grantable, 'grantor', CASE WHEN grantor = owner THEN '' ELSE pg_get_userbyid(grantor) END)), '[]') AS verbs
			FROM aclexplode(acl) WHERE grantee = (SELECT oid FROM role)) v),
		'odd', EXISTS (SELECT FROM entry
			WHERE deptype = 'o' OR deptype = 'a' AND CASE
				WHEN dbid = 0 THEN classid <> 'pg_database'::regclass
				WHEN dbid <> (SELECT oid FROM here) THEN false
				WHEN classid = 'pg_class'::regclass THEN objid NOT IN (SELECT oid FROM relation)
				WHEN classid = 'pg_proc'::regclass THEN objid NOT IN (SELECT oid FROM routine)
				WHEN classid = 'pg_namespace'::regclass THEN objid <> coalesce((SELECT oid FROM space), 0)
				ELSE true END))`)
}

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
	return strings.NewReplacer("$schema", quoteText(m.Schema), "$role", role, "$owns", owns, "$classes", classes).Replace(`
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
			coalesce(x.nspname = $schema, false), defaclrole, defaclacl
			FROM pg_default_acl d LEFT JOIN pg_namespace x ON x.oid = defaclnamespace WHERE n.classid = 'pg_default_acl'::regclass AND d.oid = n.objid) o),
	everybodys AS (
		SELECT 'DATABASE' AS kind, '' AS object, '' AS col, true AS ours, coalesce(datacl, acldefault('d', datdba)) AS acl FROM here
		UNION ALL SELECT 'SCHEMA', nspname, '', nspname = $schema, nspacl FROM pg_namespace
		UNION ALL SELECT 'DEFAULT PRIVILEGES', 'FOR ROLE ' || quote_ident(pg_get_userbyid(defaclrole)) || ' IN SCHEMA ' || quote_ident(nspname), $classes, true, defaclacl
			FROM pg_default_acl JOIN pg_namespace n ON n.oid = defaclnamespace WHERE nspname = $schema
		UNION ALL SELECT 'PARAMETER', parname, '', false, paracl FROM pg_parameter_acl
		UNION ALL SELECT 'TABLESPACE', quote_ident(spcname), '', false, spcacl FROM pg_tablespace
		UNION ALL SELECT 'FUNCTION', (pg_identify_object(classoid, objoid, 0)).identity, '', false, proacl -- that initdb took from everybody
			FROM pg_init_privs i JOIN pg_proc p ON p.oid = objoid WHERE classoid = 'pg_proc'::regclass AND NOT EXISTS (SELECT FROM aclexplode(initprivs) WHERE grantee = 0)
		UNION ALL SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, relname, '', true, relacl
			FROM pg_class WHERE relnamespace = (SELECT oid FROM space) AND relacl IS NOT NULL
		UNION ALL SELECT 'TABLE', relname, attname, true, attacl
			FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid
			WHERE relnamespace = (SELECT oid FROM space) AND relkind IN ('r', 'v', 'm', 'f', 'p') AND attacl IS NOT NULL AND NOT attisdropped
		UNION ALL SELECT 'FUNCTION', proname || '(' || oidvectortypes(proargtypes) || ')', '', true, coalesce(proacl, acldefault('f', proowner))
			FROM pg_proc WHERE pronamespace = (SELECT oid FROM space))
	SELECT json_build_object(
		'grants', (SELECT coalesce(json_agg(json_build_object('kind', kind, 'object', object, 'column', col, 'verb', privilege_type, 'ours', coalesce(ours, false),
				'grantable', is_grantable, 'grantor', CASE WHEN grantor = owner THEN '' ELSE pg_get_userbyid(grantor) END)), '[]')
			FROM listed, aclexplode(acl) WHERE grantee = (SELECT oid FROM role)),
		'owned', (SELECT coalesce(json_agg(json_build_object('database', coalesce(datname, current_database()),
				'what', CASE WHEN dbid IN (0, (SELECT oid FROM here)) THEN pg_describe_object(classid, objid, objsubid) ELSE '' END,
				'mapping', coalesce(quote_ident(srvname), ''))), '[]')
			FROM (SELECT * FROM entry WHERE $owns LIMIT 100) e LEFT JOIN pg_database d ON d.oid = dbid
				LEFT JOIN pg_user_mappings u ON classid = 'pg_user_mapping'::regclass AND dbid = (SELECT oid FROM here) AND umid = objid),
		'large_objects', (SELECT count(*) FROM entry WHERE deptype = 'o' AND classid = 'pg_largeobject'::regclass AND dbid = (SELECT oid FROM here)),
		'elsewhere', (SELECT coalesce(json_agg(json_build_object('database', datname, 'connect', connect, 'objects', objects)), '[]')
			FROM (SELECT datname, bool_or(dbid = 0) AS connect, count(*) FILTER (WHERE dbid <> 0) AS objects
				FROM entry JOIN pg_database d ON d.oid = CASE WHEN dbid = 0 AND classid = 'pg_database'::regclass THEN objid ELSE dbid END
				WHERE deptype = 'a' AND d.oid <> (SELECT oid FROM here) GROUP BY datname) other),
		'settings', (SELECT coalesce(json_agg(json_build_object('database', coalesce(datname, ''), 'value', value)), '[]')
			FROM pg_db_role_setting LEFT JOIN pg_database d ON d.oid = setdatabase, unnest(setconfig) value WHERE setrole = (SELECT oid FROM role)),
		'public', (SELECT coalesce(json_agg(json_build_object('kind', kind, 'object', object, 'column', col, 'verb', privilege_type, 'ours', ours, 'grantable', is_grantable)), '[]')
			FROM everybodys, aclexplode(acl) WHERE grantee = 0 AND (ours OR kind <> 'SCHEMA' OR privilege_type = 'CREATE')))`)
}
