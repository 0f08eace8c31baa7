package migrate

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
)

// probed puts a probe right before the file's row in the ledger, and right before its COMMIT: closing statements of
// ours go between the file and the stamp. Nothing before the file, and nothing after it but the second probe, returns a
// row: theirs are the first and the last of the message.
func (m message) probed(probe string, closing int) message {
	if probe == "" {
		return m
	}
	const stamped, untimed = 2, 1 // the end of the row and the stamp; and what takes off a timeout of the file's
	m.probeAt = stamped + closing + untimed
	m.before = m.begin + " " + probe + "\n;" + m.before[len(m.begin):]
	m.after = m.after[:len(m.after)-len("COMMIT")] + "SET LOCAL statement_timeout = 0; " + probe + "\n; COMMIT"
	m.lead++
	return m
}

// probeFailed reports whether one of the two probes failed, and so whether the file is not to blame.
func (m message) probeFailed(out pg.Outcome) bool {
	return m.probeAt > 0 &&
		(out.Completed == m.lead-2 || out.Completed == m.lead+len(m.migration.Spans())+m.probeAt)
}

// askProbe asks the probe by itself; nil when there is none or it fails. The error is the connection's.
func (r *run) askProbe(ctx context.Context, conn *pgconn.PgConn) (json.RawMessage, error) {
	if r.Probe == "" {
		return nil, nil
	}
	limited, cancel := r.limited(ctx)
	defer cancel()
	// Not by Batch, which takes a syntax error for the loss of its connection.
	answer, err := pg.Exec(limited, conn, pg.Untimed+"SET LOCAL search_path = pg_catalog, pg_temp; "+r.Probe)
	if err != nil {
		return nil, err
	}
	var value json.RawMessage
	if err := answer.Decode(&value); err != nil {
		_ = r.withoutProbe(err) // there is nothing to try again
		return nil, nil
	}
	return value, nil
}

// withoutProbe lets the run go on without its probe.
func (r *run) withoutProbe(why error) error {
	r.Log.Warn("the probe failed; going on without it, so that what the files do is not measured", "error", why)
	r.Probe = ""
	return &retryError{err: why, soon: true}
}
