-- The scratch databases of rehearsals that were killed: with our kind of name and comment, or none yet, no session in
-- them, and their maker gone. An autovacuum worker, which has no user, is no session: DROP DATABASE ends it.
-- psql -v begins=avtotpy_rehearsal_ -f stale.sql \
--   -v mark='scratch database of a rehearsal by AVTotpy; it holds nothing of value'
SELECT coalesce(json_agg(datname), '[]')
FROM pg_database d, regexp_match(substr(datname, length(:'begins') + 1), '^([0-9]+)_([0-9]+)_[a-z0-9]+$') made
WHERE starts_with(datname, :'begins') AND made IS NOT NULL AND pg_has_role(datdba, 'USAGE')
    AND coalesce(shobj_description(d.oid, 'pg_database'), :'mark') = :'mark'
    AND NOT EXISTS (
        SELECT FROM pg_stat_activity a
        WHERE a.datid = d.oid AND a.usesysid IS NOT NULL
            OR a.pid::text = made[1] AND (backend_start IS NULL
                OR (extract(epoch FROM backend_start) * 1000000)::bigint::text = made[2]))
