SELECT coalesce(json_agg(json_build_object('kind', kind, 'name', name)), '[]') FROM (
	SELECT 'of functions' AS kind, proname::text AS name FROM pg_catalog.pg_proc
		WHERE pronamespace = 'pg_catalog'::regnamespace AND proname::text = ANY ($words) AND NOT has_function_privilege(oid, 'EXECUTE')
	UNION SELECT 'of catalogues', relname::text FROM pg_catalog.pg_class
		WHERE relnamespace = 'pg_catalog'::regnamespace AND relname::text = ANY ($words) AND relkind IN ('r', 'v') AND NOT has_table_privilege(oid, 'SELECT')
	UNION SELECT 'of languages', lanname::text FROM pg_catalog.pg_language
		WHERE lanname::text = ANY ($words) AND lanpltrusted AND NOT has_language_privilege(oid, 'USAGE')
	UNION SELECT 'of types', typname::text FROM pg_catalog.pg_type
		WHERE typnamespace = 'pg_catalog'::regnamespace AND typname::text = ANY ($words) AND NOT has_type_privilege(oid, 'USAGE')) withheld
