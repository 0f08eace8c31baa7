package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// A sweep deletes a batch of rows that are no longer needed, at most $1.
type sweep struct{ table, sql string }

// sweeps are those of the tables that grow by requests. Rows that are locked are left for the next time.
func sweeps() []sweep {
	return []sweep{
		{"sessions", `
			DELETE FROM avtotpy.sessions WHERE id IN (
				SELECT id FROM avtotpy.sessions WHERE expires_at < now() LIMIT $1 FOR UPDATE SKIP LOCKED)`},
		{"login_throttle", `
			DELETE FROM avtotpy.login_throttle WHERE name_mac IN (
				SELECT name_mac FROM avtotpy.login_throttle
				WHERE failed_at < now() - interval '1 day' LIMIT $1 FOR UPDATE SKIP LOCKED)`},
		{"devices", `
			DELETE FROM avtotpy.devices WHERE id IN (
				SELECT id FROM avtotpy.devices
				WHERE last_used_at < now() - interval '180 days' LIMIT $1 FOR UPDATE SKIP LOCKED)`},
		{trash, ""},
	}
}

// sweepBatch is how many rows one transaction deletes: it holds up others only briefly.
const sweepBatch = 1000

// Sweep deletes what has ended: sessions, counts of failed logins and, when keep is above zero, rows of the audit log
// that are older. It works in batches for up to a time, one server at a time, and returns how many rows of
// each table it deleted, also with an error. The rest is for the next time.
func (s *Store) Sweep(ctx context.Context, keep, upTo time.Duration) (deleted map[string]int64, err error) {
	deleted = map[string]int64{}
	until := time.Now().Add(upTo)
	all := sweeps()
	if keep > 0 {
		all = append(all, sweep{auditLog, ""})
	}
	for _, one := range all {
		deleted[one.table] = 0
		for more := true; more && time.Now().Before(until); {
			n, turn, err := s.sweepBatchOf(ctx, one, keep)
			if err != nil || !turn {
				return deleted, err
			}
			deleted[one.table] += n
			more = n > 0 // fewer than a batch may be left, or locked
		}
	}
	return deleted, nil
}

// sweepBatchOf deletes a batch, unless it is another server's turn.
func (s *Store) sweepBatchOf(ctx context.Context, one sweep, keep time.Duration) (n int64, turn bool, err error) {
	err = s.inTx(ctx, uuid.Nil, func(tx pgx.Tx) (err error) {
		if turn, err = sweepsNow(ctx, tx); err != nil || !turn {
			return err
		}
		n, err = one.batch(ctx, tx, keep)
		return err
	})
	return n, turn, err
}

// What functions delete, which see the rows of all users, or may delete what the web role may not.
const (
	auditLog = "audit_log"
	trash    = "accounts"
)

// SweptTables returns the tables that Sweep deletes from.
func SweptTables() []string {
	names := []string{auditLog}
	for _, one := range sweeps() {
		names = append(names, one.table)
	}
	return names
}

// sweepsNow reports whether no other server sweeps, for the length of a transaction.
func sweepsNow(ctx context.Context, tx pgx.Tx) (turn bool, err error) {
	err = tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtextextended('avtotpy sweep', 0))`).Scan(&turn)
	return turn, err
}

// batch deletes some rows. Those of the audit log a function deletes: the web role may not, and the function
// takes nothing that is younger than 90 days.
func (one sweep) batch(ctx context.Context, tx pgx.Tx, keep time.Duration) (n int64, err error) {
	if one.table == auditLog {
		const day = 24 * time.Hour
		err = tx.QueryRow(ctx, `SELECT avtotpy.sweep_audit_log($1, $2)`, int(keep/day), sweepBatch).Scan(&n)
		return n, err
	}
	if one.table == trash {
		err = tx.QueryRow(ctx, `SELECT avtotpy.empty_trash($1)`, sweepBatch).Scan(&n)
		return n, err
	}
	tag, err := tx.Exec(ctx, one.sql, sweepBatch)
	return tag.RowsAffected(), err
}
