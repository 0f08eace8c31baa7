-- Which objects of the schema belong to a role whose rights the asking role does not have. A role that may not act as the
-- schema's owner, such as the service's, cannot know that of the migrator: it asks for what belongs neither to the schema's
-- owner, nor to one of its members, nor to the ledger's owner. Members of extensions are left out, and what follows another
-- object: the sequences of columns, the functions of ranges, which belong to the server. The schema itself is one of them when
-- the ledger's owner has not the rights of its own.
WITH space AS (SELECT oid, nspname, nspowner, pg_has_role(nspowner, 'USAGE') AS mine FROM pg_namespace WHERE nspname = $schema),
inside AS MATERIALIZED (SELECT classid, objid FROM pg_depend i
	WHERE refclassid = 'pg_namespace'::regclass AND refobjid = (SELECT oid FROM space)
		AND NOT EXISTS (SELECT FROM pg_depend o WHERE o.classid = i.classid AND o.objid = i.objid AND o.refobjid <> o.objid
			AND (o.deptype IN ('e', 'i') OR o.deptype = 'a' AND o.refobjsubid > 0))),
owned AS (
	SELECT CASE relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
			ELSE 'table' END AS kind, quote_ident(relname) AS name, relowner AS owner,
		relname = $ledger AND relkind = 'r' AS ledger
		FROM pg_class WHERE oid = ANY (ARRAY(SELECT objid FROM inside WHERE classid = 'pg_class'::regclass))
			AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
	UNION ALL SELECT CASE prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
		quote_ident(proname) || '(' || oidvectortypes(proargtypes) || ')', proowner, false
		FROM pg_proc WHERE oid = ANY (ARRAY(SELECT objid FROM inside WHERE classid = 'pg_proc'::regclass))
	UNION ALL SELECT CASE typtype WHEN 'd' THEN 'domain' WHEN 'e' THEN 'enum' WHEN 'r' THEN 'range type' ELSE 'composite type' END,
		quote_ident(typname), typowner, false
		FROM pg_type WHERE oid = ANY (ARRAY(SELECT objid FROM inside WHERE classid = 'pg_type'::regclass)) AND typtype IN ('d', 'e', 'r', 'c'))
SELECT coalesce(json_agg(json_build_object('object', kind || ' ' || name, 'change', 'has',
		'line', 'owner ' || quote_ident(pg_get_userbyid(owner)), 'sql', sql) ORDER BY kind, name), '[]')
	FROM (
		SELECT 'schema' AS kind, quote_ident(nspname) AS name, nspowner AS owner,
			format('ALTER SCHEMA %I OWNER TO %I', nspname, pg_get_userbyid(owned.owner)) AS sql
			FROM space, owned WHERE owned.ledger AND NOT pg_has_role(owned.owner, nspowner, 'USAGE')
		UNION ALL SELECT kind, name, owner, format('ALTER %s %I.%s OWNER TO %I',
			CASE WHEN kind IN ('enum', 'range type', 'composite type') THEN 'TYPE' ELSE upper(kind) END, nspname, name, pg_get_userbyid(nspowner))
			FROM owned, space
			WHERE owner <> nspowner AND CASE WHEN mine THEN NOT pg_has_role(owner, 'USAGE')
				ELSE owner <> ALL (SELECT o.owner FROM owned o WHERE o.ledger)
					AND (NOT pg_has_role(owner, nspowner, 'USAGE') OR (SELECT rolsuper FROM pg_roles r WHERE r.oid = owner)) END) s
