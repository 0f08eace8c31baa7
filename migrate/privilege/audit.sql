-- All that a role holds and owns. It starts from pg_shdepend, in which the server notes every object that has the role
-- in its access control list or belongs to it, in all databases: DROP ROLE relies on it. So it finds grants on whatever
-- there is, and reads only the lists of those objects, however large the catalogue is; a database may hold millions of
-- large objects.
-- psql -v schema=avtotpy -v role=avtotpy_web -f audit.sql; an empty role is the one that asks.
WITH role AS (SELECT oid FROM pg_roles WHERE rolname = coalesce(nullif(:'role', ''), current_user)),
here AS (SELECT oid, datdba, datacl FROM pg_database WHERE datname = current_database()),
space AS (SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname = :'schema'),
entry AS MATERIALIZED (
    SELECT dbid, classid, objid, objsubid, deptype, dbid IN (0, (SELECT oid FROM here)) AS here FROM pg_shdepend
    WHERE refclassid = 'pg_authid'::regclass AND refobjid = (SELECT oid FROM role)
),
granted_here AS (
    SELECT * FROM entry
    WHERE deptype = 'a' AND here
        AND (dbid <> 0 OR classid <> 'pg_database'::regclass OR objid = (SELECT oid FROM here))
),
class AS (
    SELECT oid, CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
            WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END AS name,
        'FOR ROLE ' || quote_ident(pg_get_userbyid(defaclrole)) || coalesce(' IN SCHEMA ' || quote_ident((
            SELECT nspname FROM pg_namespace n WHERE n.oid = defaclnamespace)), '') AS whose
    FROM pg_default_acl
),
listed AS (SELECT o.* FROM granted_here n, LATERAL (
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
            CASE WHEN relnamespace = s.oid THEN relname
                ELSE (pg_identify_object(classid, objid, 0)).identity END AS object,
            '' AS col, relnamespace = s.oid AS in_schema, relowner AS owner, relacl AS acl
        FROM pg_class c LEFT JOIN space s ON true
        WHERE n.classid = 'pg_class'::regclass AND c.oid = n.objid AND n.objsubid = 0
    UNION ALL SELECT 'TABLE',
            CASE WHEN relnamespace = s.oid THEN relname ELSE (pg_identify_object(classid, objid, 0)).identity END,
            attname, relnamespace = s.oid, relowner, attacl
        FROM pg_class c JOIN pg_attribute ON attrelid = c.oid LEFT JOIN space s ON true
        WHERE n.classid = 'pg_class'::regclass AND c.oid = n.objid AND n.objsubid <> 0 AND attnum = n.objsubid
    UNION ALL SELECT 'FUNCTION', CASE WHEN pronamespace = s.oid
                THEN proname || '(' || oidvectortypes(proargtypes) || ')'
                ELSE (pg_identify_object(classid, objid, 0)).identity END,
            '', pronamespace = s.oid, proowner, proacl
        FROM pg_proc p LEFT JOIN space s ON true WHERE n.classid = 'pg_proc'::regclass AND p.oid = n.objid
    UNION ALL SELECT 'SCHEMA', nspname, '', x.nspname = :'schema', nspowner, nspacl
        FROM pg_namespace x WHERE n.classid = 'pg_namespace'::regclass AND x.oid = n.objid
    UNION ALL SELECT 'DATABASE', '', '', true, datdba, datacl FROM here WHERE n.classid = 'pg_database'::regclass
    UNION ALL SELECT 'TYPE', (pg_identify_object(classid, objid, 0)).identity, '', typnamespace = s.oid, typowner,
            typacl
        FROM pg_type t LEFT JOIN space s ON true WHERE n.classid = 'pg_type'::regclass AND t.oid = n.objid
    UNION ALL SELECT 'LANGUAGE', quote_ident(lanname), '', false, lanowner, lanacl
        FROM pg_language l WHERE n.classid = 'pg_language'::regclass AND l.oid = n.objid
    UNION ALL SELECT 'FOREIGN DATA WRAPPER', quote_ident(fdwname), '', false, fdwowner, fdwacl
        FROM pg_foreign_data_wrapper f WHERE n.classid = 'pg_foreign_data_wrapper'::regclass AND f.oid = n.objid
    UNION ALL SELECT 'FOREIGN SERVER', quote_ident(srvname), '', false, srvowner, srvacl
        FROM pg_foreign_server f WHERE n.classid = 'pg_foreign_server'::regclass AND f.oid = n.objid
    UNION ALL SELECT 'TABLESPACE', quote_ident(spcname), '', false, spcowner, spcacl
        FROM pg_tablespace t WHERE n.classid = 'pg_tablespace'::regclass AND t.oid = n.objid
    UNION ALL SELECT 'LARGE OBJECT', l.oid::text, '', false, lomowner, lomacl
        FROM pg_largeobject_metadata l WHERE n.classid = 'pg_largeobject'::regclass AND l.oid = n.objid
    UNION ALL SELECT 'PARAMETER', parname, '', false, 10, paracl
        FROM pg_parameter_acl p WHERE n.classid = 'pg_parameter_acl'::regclass AND p.oid = n.objid
    UNION ALL SELECT 'DEFAULT PRIVILEGES', class.whose, class.name,
            coalesce(x.nspname = :'schema', false) OR defaclrole = (SELECT nspowner FROM space), defaclrole, defaclacl
        FROM pg_default_acl d JOIN class USING (oid) LEFT JOIN pg_namespace x ON x.oid = defaclnamespace
        WHERE n.classid = 'pg_default_acl'::regclass AND d.oid = n.objid
) o),
public AS ( -- without what PostgreSQL itself, or an extension, grants to PUBLIC
    SELECT 'DATABASE' AS kind, '' AS object, '' AS col, true AS in_schema,
            coalesce(datacl, acldefault('d', datdba)) AS acl, NULL::aclitem[] AS given, false AS stray
        FROM here
    UNION ALL SELECT 'SCHEMA', nspname, '', nspname = :'schema', nspacl, NULL, false FROM pg_namespace
    UNION ALL SELECT 'DEFAULT PRIVILEGES', class.whose, class.name, true, defaclacl,
            CASE WHEN nspname IS NULL
                THEN acldefault(CASE defaclobjtype WHEN 'S' THEN 's' ELSE defaclobjtype END, defaclrole) END, false
        FROM pg_default_acl d JOIN class USING (oid) LEFT JOIN pg_namespace n ON n.oid = defaclnamespace
        WHERE nspname = :'schema' OR defaclnamespace = 0 AND defaclrole = (SELECT nspowner FROM space)
    UNION ALL SELECT 'PARAMETER', parname, '', false, paracl, NULL, false FROM pg_parameter_acl
    UNION ALL SELECT 'TABLESPACE', quote_ident(spcname), '', false, spcacl, NULL, false FROM pg_tablespace
    UNION ALL SELECT 'FOREIGN DATA WRAPPER', quote_ident(fdwname), '', false, fdwacl, NULL, false
        FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'FOREIGN SERVER', quote_ident(srvname), '', false, srvacl, NULL, false FROM pg_foreign_server
    UNION ALL SELECT 'FUNCTION', (pg_identify_object(classoid, objoid, 0)).identity, '', false, proacl, initprivs, false
        FROM pg_init_privs JOIN pg_proc p ON p.oid = objoid
        WHERE classoid = 'pg_proc'::regclass AND proacl IS DISTINCT FROM initprivs
    UNION ALL SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
            (pg_identify_object(classoid, objoid, 0)).identity, '', false, relacl, initprivs, false
        FROM pg_init_privs JOIN pg_class c ON c.oid = objoid
        WHERE classoid = 'pg_class'::regclass AND objsubid = 0 AND relacl IS DISTINCT FROM initprivs
    UNION ALL SELECT 'TABLE', (pg_identify_object(i.classoid, i.objoid, 0)).identity, attname, false, attacl,
            col.initprivs, false
        FROM pg_init_privs i JOIN pg_attribute ON attrelid = i.objoid AND attacl IS NOT NULL
            LEFT JOIN pg_init_privs col
                ON col.classoid = i.classoid AND col.objoid = i.objoid AND col.objsubid = attnum
        WHERE i.classoid = 'pg_class'::regclass AND i.objsubid = 0 AND attacl IS DISTINCT FROM col.initprivs
    UNION ALL SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, relname, '', true, relacl, NULL,
            relowner <> (SELECT nspowner FROM space)
        FROM pg_class WHERE relnamespace = (SELECT oid FROM space) AND relacl IS NOT NULL
    UNION ALL SELECT 'TABLE', relname, attname, true, attacl, NULL, relowner <> (SELECT nspowner FROM space)
        FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid
        WHERE relnamespace = (SELECT oid FROM space) AND relkind IN ('r', 'v', 'm', 'f', 'p')
            AND attacl IS NOT NULL AND NOT attisdropped
    UNION ALL SELECT 'FUNCTION', proname || '(' || oidvectortypes(proargtypes) || ')', '', true,
            coalesce(proacl, acldefault('f', proowner)), NULL, proowner <> (SELECT nspowner FROM space)
        FROM pg_proc WHERE pronamespace = (SELECT oid FROM space)
),
owned AS ( -- without temporary objects, large objects and own default privileges: any role can make these
    SELECT *, NOT here AND classid NOT IN ('pg_namespace'::regclass, 'pg_extension'::regclass,
            'pg_foreign_data_wrapper'::regclass, 'pg_foreign_server'::regclass, 'pg_user_mapping'::regclass,
            'pg_publication'::regclass, 'pg_event_trigger'::regclass, 'pg_language'::regclass) AS maybe_temporary
    FROM entry
    WHERE deptype = 'o' AND classid NOT IN ('pg_largeobject'::regclass, 'pg_default_acl'::regclass)
        AND (NOT here OR coalesce((pg_identify_object(classid, objid, 0)).schema, '') NOT LIKE 'pg\_temp%')
    ORDER BY maybe_temporary LIMIT 100
)
SELECT json_build_object(
    'grants', (SELECT coalesce(json_agg(json_build_object('kind', kind, 'object', object, 'column', col,
            'verb', privilege_type, 'in_schema', coalesce(in_schema, false), 'grantable', is_grantable,
            'grantor', CASE WHEN grantor = owner THEN '' ELSE pg_get_userbyid(grantor) END)), '[]')
        FROM listed, aclexplode(acl) WHERE grantee = (SELECT oid FROM role)),
    'owned', (SELECT coalesce(json_agg(json_build_object('database', coalesce(datname, current_database()),
            'what', CASE WHEN here THEN pg_describe_object(classid, objid, objsubid) ELSE '' END,
            'mapping', coalesce(quote_ident(srvname), ''), 'maybe_temporary', maybe_temporary)), '[]')
        FROM owned LEFT JOIN pg_database d ON d.oid = dbid
            LEFT JOIN pg_user_mappings u ON classid = 'pg_user_mapping'::regclass
                AND dbid = (SELECT oid FROM here) AND umid = objid),
    'secured', (SELECT coalesce(json_object_agg(relname, -- as in start.sql
            CASE WHEN relrowsecurity THEN
                CASE WHEN EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid) THEN 'e' ELSE 'ex' END ELSE '' END
                || CASE WHEN relforcerowsecurity THEN 'f' ELSE '' END), '{}')
        FROM pg_class c WHERE relnamespace = (SELECT oid FROM space) AND (relrowsecurity OR relforcerowsecurity)),
    'large_objects', (SELECT count(*) FROM entry
        WHERE deptype = 'o' AND classid = 'pg_largeobject'::regclass AND dbid = (SELECT oid FROM here)),
    'other_databases', (SELECT coalesce(json_agg(json_build_object('database', datname, 'connect', connect,
            'objects', objects)), '[]')
        FROM (SELECT datname, bool_or(dbid = 0) AS connect, count(*) FILTER (WHERE dbid <> 0) AS objects
            FROM entry JOIN pg_database d
                ON d.oid = CASE WHEN dbid = 0 AND classid = 'pg_database'::regclass THEN objid ELSE dbid END
            WHERE deptype = 'a' AND d.oid <> (SELECT oid FROM here) GROUP BY datname) other),
    -- of what a DBA sets for each role, those by which the service breaks, and which it does not pin
    'settings', (SELECT coalesce(json_agg(json_build_object('database', coalesce(datname, ''), 'value', value,
            'all', setrole = 0)), '[]')
        FROM pg_db_role_setting LEFT JOIN pg_database d ON d.oid = setdatabase, unnest(setconfig) value
        WHERE setrole = (SELECT oid FROM role) OR setrole = 0 AND setdatabase IN (0, (SELECT oid FROM here))
            AND split_part(value, '=', 1) IN ('session_replication_role', 'role', 'exit_on_error',
                'transaction_timeout', 'restrict_nonsystem_relation_kind')),
    'public', (SELECT coalesce(json_agg(json_build_object('kind', kind, 'object', object, 'column', col,
            'verb', privilege_type, 'in_schema', in_schema, 'grantable', is_grantable, 'stray', stray)), '[]')
        FROM public, aclexplode(acl) held
        WHERE grantee = 0 AND (in_schema OR kind <> 'SCHEMA' OR privilege_type = 'CREATE')
            AND NOT EXISTS (SELECT FROM aclexplode(given) g
                WHERE g.grantee = 0 AND g.privilege_type = held.privilege_type)))
