-- What the server itself keeps from everybody, such as pg_read_file, was not taken away by a DBA.
WITH kept AS (
	SELECT classoid, objoid FROM pg_catalog.pg_init_privs
	WHERE objsubid = 0 AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(initprivs) WHERE grantee = 0))
SELECT coalesce(json_agg(json_build_object('kind', kind, 'name', name)), '[]') FROM (
	SELECT 'of functions' AS kind, proname::text AS name FROM pg_catalog.pg_proc
		WHERE pronamespace = 'pg_catalog'::regnamespace AND proname::text = ANY ($words) AND NOT has_function_privilege(oid, 'EXECUTE')
			AND (tableoid, oid) NOT IN (SELECT classoid, objoid FROM kept)
	UNION SELECT 'of catalogues', relname::text FROM pg_catalog.pg_class
		WHERE relnamespace = 'pg_catalog'::regnamespace AND relname::text = ANY ($words) AND relkind IN ('r', 'v') AND NOT has_table_privilege(oid, 'SELECT')
			AND (tableoid, oid) NOT IN (SELECT classoid, objoid FROM kept)
	UNION SELECT 'of languages', lanname::text FROM pg_catalog.pg_language
		WHERE lanname::text = ANY ($words) AND lanpltrusted AND NOT has_language_privilege(oid, 'USAGE')
	UNION SELECT 'of types', typname::text FROM pg_catalog.pg_type
		WHERE typnamespace = 'pg_catalog'::regnamespace AND typname::text = ANY ($words) AND NOT has_type_privilege(oid, 'USAGE')) withheld
