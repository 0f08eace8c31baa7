-- What lies outside of the schema, reaches its tables with the privileges of another role, and the role may use.
-- A view that asks with the privileges of its user ends a chain of views.
-- psql -v schema=avtotpy -v role=avtotpy_web -f detours.sql; an empty role is the one that asks.
WITH RECURSIVE role AS (
    SELECT oid, rolname FROM pg_roles
    WHERE rolname = coalesce(nullif(:'role', ''), current_user) AND NOT rolsuper
),
space AS (SELECT oid FROM pg_namespace WHERE nspname = :'schema'),
inside AS MATERIALIZED (SELECT oid FROM pg_class
	WHERE relnamespace = (SELECT oid FROM space) AND relkind IN ('r', 'p', 'v', 'm', 'f')),
reaching AS (SELECT oid, oid AS reached FROM inside UNION
	SELECT above.oid, reached FROM reaching below, LATERAL (
		SELECT ev_class AS oid FROM pg_depend JOIN pg_rewrite w ON w.oid = objid
			WHERE classid = 'pg_rewrite'::regclass AND refclassid = 'pg_class'::regclass AND refobjid = below.oid
		UNION SELECT inhparent FROM pg_inherits WHERE inhrelid = below.oid) above
	WHERE NOT EXISTS (SELECT FROM pg_class c, pg_options_to_table(reloptions)
		WHERE c.oid = above.oid AND option_name = 'security_invoker' AND option_value::bool)),
relations AS (SELECT c.oid,
		CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END AS kind,
		(pg_identify_object('pg_class'::regclass, c.oid, 0)).identity,
		concat_ws(', ', CASE WHEN has_any_column_privilege(role.oid, c.oid, 'SELECT') THEN 'SELECT' END,
			CASE WHEN has_any_column_privilege(role.oid, c.oid, 'INSERT') THEN 'INSERT' END,
			CASE WHEN has_any_column_privilege(role.oid, c.oid, 'UPDATE') THEN 'UPDATE' END,
			CASE WHEN has_table_privilege(role.oid, c.oid, 'DELETE') THEN 'DELETE' END,
			CASE WHEN has_table_privilege(role.oid, c.oid, 'TRUNCATE') THEN 'TRUNCATE' END) AS verbs,
		(SELECT string_agg((pg_identify_object('pg_class'::regclass, reached, 0)).identity, ', ' ORDER BY reached)
			FROM reaching r WHERE r.oid = c.oid) AS reaches
	FROM pg_class c, role WHERE c.oid IN (SELECT oid FROM reaching) AND relnamespace <> (SELECT oid FROM space)
		AND has_schema_privilege(role.oid, relnamespace, 'USAGE')),
definers AS MATERIALIZED (SELECT p.oid, proowner FROM pg_proc p, role
	WHERE prosecdef AND proowner <> role.oid AND pronamespace NOT IN (SELECT oid FROM space)
		AND pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
		AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
		AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
		AND has_schema_privilege(role.oid, pronamespace, 'USAGE') AND has_function_privilege(role.oid, p.oid, 'EXECUTE')),
mighty AS (SELECT o.oid, o.rolname FROM pg_roles o, role WHERE o.oid IN (SELECT proowner FROM definers)
	AND (rolsuper OR has_schema_privilege(o.oid, (SELECT oid FROM space), 'USAGE') AND (rolbypassrls OR EXISTS (
		SELECT FROM inside t, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) verb
		WHERE has_table_privilege(o.oid, t.oid, verb) AND NOT has_table_privilege(role.oid, t.oid, verb))
	OR EXISTS (SELECT FROM inside t, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) verb
		WHERE has_any_column_privilege(o.oid, t.oid, verb) AND NOT has_any_column_privilege(role.oid, t.oid, verb)))))
SELECT coalesce(json_agg(json_build_object('what', what, 'sql', mend) ORDER BY what), '[]') FROM (
	SELECT format('%s ON %s %s, which reaches %s from outside of the schema', verbs, kind, identity, reaches) AS what,
		format('REVOKE ALL ON %s FROM PUBLIC, %I', identity, role.rolname) AS mend
	FROM relations, role WHERE verbs <> ''
	UNION ALL SELECT format('EXECUTE ON ROUTINE %s, which runs with the rights of %I on the tables of the schema',
			(pg_identify_object('pg_proc'::regclass, d.oid, 0)).identity, m.rolname),
		format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC, %I',
			(pg_identify_object('pg_proc'::regclass, d.oid, 0)).identity, role.rolname)
	FROM definers d JOIN mighty m ON m.oid = proowner, role) detours
