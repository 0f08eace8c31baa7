-- Which process holds the claim on a file, and whether it is alive: it is there, and has not been idle for a minute, for
-- that one belongs to a pooler and serves others by now; or a statement with the claim's marker runs, in any process.
-- Where the server does not show the sessions of other roles, being there has to do. null when no unfinished claim is
-- left.
SELECT coalesce((
	SELECT json_build_object('pid', claimed_by_pid, 'start', claimed_by_start::text, 'checksum', encode(checksum, 'hex'),
		'alive', coalesce(a.pid IS NOT NULL
			AND NOT (a.state = 'idle' AND a.state_change < now() - interval '1 minute'), false)
			OR EXISTS (SELECT FROM pg_stat_activity q WHERE q.state = 'active' AND q.pid <> pg_backend_pid()
				AND starts_with(q.query, format($marker, version, claimed_by_pid, claimed_by_start::text))),
		'blocker', (SELECT $blocker FROM (SELECT claimed_by_pid AS pid) l LEFT JOIN pg_stat_activity a USING (pid)))
	FROM $ledger LEFT JOIN pg_stat_activity a
		ON a.pid = claimed_by_pid AND (a.backend_start IS NULL OR a.backend_start = claimed_by_start)
	WHERE version = $version AND duration IS NULL AND claimed_by_pid IS NOT NULL), 'null')
