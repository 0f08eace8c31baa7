-- What the role $1 can do, one privilege a line.
WITH granted (line, grantee, is_grantable) AS (
    SELECT format('%s %s', c.relname, a.privilege_type), a.grantee, a.is_grantable
    FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.relnamespace = 'avtotpy'::regnamespace
    UNION ALL
    SELECT format('%s %s (%s)', c.relname, a.privilege_type, string_agg(attname, ', ' ORDER BY attnum)),
        a.grantee, a.is_grantable
    FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
    WHERE c.relnamespace = 'avtotpy'::regnamespace
    GROUP BY c.relname, a.privilege_type, a.grantee, a.is_grantable
    UNION ALL
    SELECT format('%s(%s) %s', proname, oidvectortypes(proargtypes), a.privilege_type), a.grantee, a.is_grantable
    FROM pg_proc p, aclexplode(p.proacl) a
    WHERE p.pronamespace = 'avtotpy'::regnamespace
)
SELECT line || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
FROM granted
WHERE grantee = to_regrole($1)
ORDER BY 1
