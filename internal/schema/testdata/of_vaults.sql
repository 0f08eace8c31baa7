-- The tables of vaults: whether row security is on, for which commands there are policies, and which commands the role
-- $1 may use. The audit log can only be added to, also about vaults that are gone.
SELECT relname, relrowsecurity,
    coalesce((
        SELECT string_agg(DISTINCT polcmd::text, '' ORDER BY polcmd::text) FROM pg_policy WHERE polrelid = c.oid), ''),
    (SELECT string_agg(cmd, '' ORDER BY cmd)
     FROM (VALUES ('r', 'SELECT'), ('a', 'INSERT'), ('w', 'UPDATE'), ('d', 'DELETE')) v (cmd, verb)
     WHERE CASE verb
         WHEN 'DELETE' THEN has_table_privilege(to_regrole($1), c.oid, verb)
         ELSE has_any_column_privilege(to_regrole($1), c.oid, verb)
     END)
FROM pg_class c
WHERE relnamespace = 'avtotpy'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'audit_log'
    AND (relname = 'vaults' OR EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = c.oid AND attname IN ('vault_id', 'account_id') AND NOT attisdropped))
