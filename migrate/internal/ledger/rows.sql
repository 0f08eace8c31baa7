-- The whole ledger, as one JSON array. The empty second half of the UNION refuses a column of another type.
-- psql -v schema=avtotpy -f rows.sql
SELECT coalesce(json_agg(json_build_object(
    'version', version, 'name', name, 'checksum', encode(checksum, 'hex'), 'min_version', min_version,
    'applied_at', CASE WHEN applied_at BETWEEN '0001-01-01' AND '9999-12-31' THEN applied_at ELSE '0001-01-01' END,
    'seconds', extract(epoch FROM duration), 'applied_by', applied_by, 'app_version', app_version,
    'claimed', claimed_by_pid IS NOT NULL, 'rebuilt', rebuilt) ORDER BY version), '[]')
FROM (
    SELECT version, prev, name, checksum, min_version, applied_at, duration, applied_by, app_version,
        claimed_by_pid, claimed_by_start, rebuilt
    FROM :"schema"."migrations"
    UNION ALL
    SELECT NULL::int, NULL::int, NULL::text, NULL::bytea, NULL::int, NULL::timestamptz, NULL::interval,
        NULL::text, NULL::text, NULL::int, NULL::timestamptz, NULL::boolean
    WHERE false
) l
