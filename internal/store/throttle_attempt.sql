-- Counts an attempt, and returns no row; or returns how many seconds it has to wait.
-- $1 mac, $2 attempts that are free, $3 seconds of a ceiling's period or 0, $4 the longest wait
-- $5 longer than any wait: a row that says more was damaged, or the server's clock was set back
WITH counted AS (
    INSERT INTO avtotpy.login_throttle AS t (name_mac, failures, wait_until)
    VALUES ($1, 1, now() + $3::float8 * interval '1 second')
    ON CONFLICT (name_mac) DO UPDATE SET
        failures = CASE
            WHEN t.failed_at < now() - interval '1 hour' OR t.wait_until > now() + $5::interval THEN 1
            ELSE least(t.failures, 1000) + 1
        END,
        failed_at = now(),
        wait_until = CASE
            WHEN t.wait_until > now() + $5::interval THEN now() + $3::float8 * interval '1 second'
            WHEN $3::float8 > 0 THEN greatest(t.wait_until, now()) + $3::float8 * interval '1 second'
            WHEN t.failed_at < now() - interval '1 hour' OR t.failures < $2::int THEN now()
            ELSE now() + least($4::int, 2 ^ least(t.failures - $2::int, 10)) * interval '1 second'
        END
    -- A ceiling's wait_until is when all of its attempts are there again.
    WHERE t.wait_until <= now()
        + CASE WHEN $3::float8 > 0 THEN ($2::int - 1) * $3::float8 ELSE 0 END * interval '1 second'
        OR t.wait_until > now() + $5::interval
    RETURNING name_mac
)
SELECT greatest(
    extract(epoch FROM wait_until - now())
        - CASE WHEN $3::float8 > 0 THEN ($2::int - 1) * $3::float8 ELSE 0 END,
    0.001)::float8
FROM avtotpy.login_throttle
WHERE name_mac = $1 AND NOT EXISTS (SELECT FROM counted);
