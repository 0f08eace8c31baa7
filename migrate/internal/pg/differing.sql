-- Which settings do not have the value that they have to have, whether the current role may set them, and which
-- default has the last word: those of the role in the database go first, then the role's, the database's, and those of
-- all roles.
SELECT coalesce(json_agg(json_build_object('name', n, 'value', v, 'may', has_parameter_privilege(n, 'SET'),
	'by', coalesce((SELECT format('ALTER %s RESET %s', CASE
			WHEN setrole = 0 THEN format('DATABASE %I', current_database())
			WHEN setdatabase = 0 THEN format('ROLE %I', session_user)
			ELSE format('ROLE %I IN DATABASE %I', session_user, current_database()) END, n)
		FROM pg_db_role_setting
		WHERE setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
			AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
			AND EXISTS (SELECT FROM unnest(setconfig) c WHERE c LIKE replace(n, '_', '\_') || '=%')
		ORDER BY setrole = 0, setdatabase = 0 LIMIT 1), '')))::text, '[]')
FROM (VALUES $values) s (n, v, pinned) WHERE v <> pinned
