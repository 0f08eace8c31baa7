-- What the server shows of a database at a moment: the position of its log, the relations and where each is stored, and
-- the locks of the own transaction. It reads catalogues only. The catalogue's own relations and the table of applied
-- migrations are left out.
-- psql -v schema=avtotpy -f impact.sql
SELECT json_build_object(
    'began', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    'wal', (pg_current_wal_insert_lsn() - '0/0')::bigint,
    'relations', (
        SELECT coalesce(json_agg(json_build_object(
            'oid', c.oid::bigint, 'storage', c.relfilenode::bigint, 'table', coalesce(indrelid, c.oid)::bigint,
            'schema', nspname, 'relation', c.relname,
            'kind', CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
                WHEN 'f' THEN 'foreign table' WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' ELSE 'table' END,
            'name', CASE WHEN nspname = :'schema' THEN '' ELSE nspname || '.' END || c.relname
                || coalesce(' of ' || t.relname, ''))), '[]')
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_index ON indexrelid = c.oid
        LEFT JOIN pg_catalog.pg_class t ON t.oid = indrelid
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I')
            AND nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\_t%'
            AND NOT (nspname = :'schema' AND coalesce(t.relname, c.relname) = 'migrations')),
    'locks', (
        SELECT coalesce(json_agg(json_build_object('oid', relation::bigint, 'mode', mode)), '[]')
        FROM pg_catalog.pg_locks
        WHERE pid = pg_backend_pid() AND locktype = 'relation'
            AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())),
    'ended', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
