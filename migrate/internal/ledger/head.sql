-- The ledger in one short row, however long it is: its last version, the oldest bundle that it admits, and two
-- fingerprints: of the part that the bundle should know by heart, and of the whole, where that is more. The whole is
-- what the stamp, the schema's comment, knows; it is read in the same snapshot. A file that a server process claimed
-- and has not finished is not applied yet. Every column is named, so that a table that lacks one is noticed before it
-- is written to.
-- psql -v schema=avtotpy -v bundle=9 -f head.sql
SELECT json_build_object(
    'version', version, 'min_version', min_version, 'rows', rows, 'unfinished', unfinished, 'claimed', claimed,
    'fingerprint', encode(sha256(convert_to(known, 'UTF8')), 'hex'),
    'whole', CASE WHEN newer <> '' THEN encode(sha256(convert_to(known || newer, 'UTF8')), 'hex') END,
    'comment', (SELECT description FROM pg_description
        WHERE objoid = (SELECT oid FROM pg_namespace WHERE nspname = :'schema')
            AND classoid = 'pg_catalog.pg_namespace'::regclass AND objsubid = 0))
FROM (
    SELECT
        max(version) FILTER (WHERE NOT open) AS version,
        max(min_version) AS min_version,
        count(*) FILTER (WHERE NOT open) AS rows,
        min(version) FILTER (WHERE duration IS NULL AND NOT open) AS unfinished,
        max(version) FILTER (WHERE open) AS claimed,
        coalesce(string_agg(line, '' ORDER BY version)
            FILTER (WHERE NOT open AND version <= :'bundle'::int), '') AS known,
        coalesce(string_agg(line, '' ORDER BY version)
            FILTER (WHERE NOT open AND version > :'bundle'::int), '') AS newer
    FROM (SELECT version, prev, name, checksum, min_version, applied_at, duration, applied_by, app_version,
            claimed_by_pid, claimed_by_start, rebuilt
        FROM :"schema"."migrations") l,
        LATERAL (SELECT duration IS NULL AND claimed_by_pid IS NOT NULL AS open,
            version || ' ' || name || ' ' || encode(checksum, 'hex') || ' ' || min_version || E'\n' AS line) line
) head
