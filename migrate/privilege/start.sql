-- What every start asks about a role: the access control lists in which it may stand, as they are, each once for all
-- objects that have the same. To take them apart costs less in Go than in a server process that has just begun and has
-- to look up each function of a question. Like audit.sql it starts from pg_shdepend.
-- psql -v schema=avtotpy -v role=avtotpy_web -f start.sql; an empty role is the one that asks.
WITH here AS (SELECT oid, datdba, datacl FROM pg_database WHERE datname = current_database()),
space AS (SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname = :'schema'),
entry AS MATERIALIZED (
    SELECT classid, objid, objsubid FROM pg_shdepend
    WHERE refclassid = 'pg_authid'::regclass
        AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = coalesce(nullif(:'role', ''), current_user))
        AND (deptype = 'o' OR deptype = 'a' AND (dbid = (SELECT oid FROM here)
            OR dbid = 0 AND (classid <> 'pg_database'::regclass OR objid = (SELECT oid FROM here))))
),
object AS (
    SELECT 'DATABASE' AS kind, datdba AS owner, datacl AS acl, NULL AS secured, '' AS object, '' AS col FROM here
    UNION ALL SELECT 'PARAMETER', 10, paracl, NULL, parname, '' FROM pg_parameter_acl
    UNION ALL SELECT 'SCHEMA', nspowner, nspacl, NULL, nspname, '' FROM space
    UNION ALL SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, relowner, relacl,
            -- row level security that is enabled (e), that lacks every policy (x), and that is forced (f)
            nullif(CASE WHEN relrowsecurity THEN
                CASE WHEN EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid) THEN 'e' ELSE 'ex' END ELSE '' END
                || CASE WHEN relforcerowsecurity THEN 'f' ELSE '' END, ''),
            relname, ''
        FROM pg_class c
        WHERE relnamespace = (SELECT oid FROM space) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL SELECT 'TABLE', relowner, attacl, NULL, relname, attname
        FROM pg_class c JOIN pg_attribute ON attrelid = c.oid AND attacl IS NOT NULL AND NOT attisdropped
        WHERE relnamespace = (SELECT oid FROM space)
    UNION ALL SELECT 'FUNCTION', proowner, coalesce(proacl, acldefault('f', proowner)), NULL,
            proname || '(' || oidvectortypes(proargtypes) || ')', ''
        FROM pg_proc WHERE oid = ANY (ARRAY(
            SELECT objid FROM pg_depend
            WHERE refclassid = 'pg_namespace'::regclass AND refobjid = (SELECT oid FROM space)
                AND classid = 'pg_proc'::regclass))
),
list AS (
    SELECT kind, owner, acl, secured, json_agg(json_build_array(object, col)) AS objects
    FROM object WHERE acl IS NOT NULL OR secured IS NOT NULL
    GROUP BY kind, owner, acl, secured
)
SELECT json_build_object(
    'entries', (SELECT count(*) FROM entry),
    'lists', (SELECT json_agg(json_build_object('kind', kind, 'owner', pg_get_userbyid(owner), 'acl', acl,
        'secured', coalesce(secured, ''), 'objects', objects)) FROM list))
