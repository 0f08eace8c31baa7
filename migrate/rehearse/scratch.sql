-- The server process that asks, by which a scratch database is named, and how the current database takes text.
-- psql -f scratch.sql
SELECT json_build_object(
    'pid', a.pid, 'start', (extract(epoch FROM backend_start) * 1000000)::bigint,
    'encoding', pg_encoding_to_char(encoding), 'provider', datlocprovider, 'collate', datcollate, 'ctype', datctype,
    'locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', ''),
    'rules', coalesce(to_jsonb(d) ->> 'daticurules', ''))
FROM pg_database d, pg_stat_activity a
WHERE d.datname = current_database() AND a.pid = pg_backend_pid()
