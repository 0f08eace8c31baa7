package migrate

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// awaitTurn is a courtesy, so that sixty replicas do not queue up on one row: it
// returns when no other session holds the ledger's lock. When the ledger has moved on,
// the error says that it is time to look again.
func (r *run) awaitTurn(ctx context.Context, conn *pgconn.PgConn, version int) error {
	return r.await(ctx, func() (*pg.Blocker, error) {
		h, head, err := r.askBlocker(ctx, conn)
		if err == nil && head != version {
			err = &retryError{err: errRaceLost, soon: true}
		}
		return h, err
	})
}

// await asks until nothing blocks it any more. It polls instead of blocking: a
// blocked statement holds a snapshot, and CREATE INDEX CONCURRENTLY in the other
// migrator would wait for it for ever.
func (r *run) await(ctx context.Context, ask func() (*pg.Blocker, error)) error {
	var said time.Time
	polls := pg.Backoff{First: 10 * time.Millisecond, Longest: 500 * time.Millisecond}
	for {
		h, err := ask()
		if h != nil {
			r.waitingFor(h)
		}
		switch {
		case err != nil || h == nil:
			return err
		case r.pause.waited >= r.pause.budget:
			return &BusyError{Waited: r.pause.waited, Blocker: h.String(), Err: errBusy}
		case time.Since(said) >= r.Heartbeat:
			said = time.Now()
			now, _ := r.teller.moment()
			r.Log.Info("waiting for another migrator", about(now)...)
		}
		if err := r.pause.sleep(ctx, min(polls.Next(), max(r.pause.left(), time.Millisecond))); err != nil {
			return err
		}
	}
}

func (r *run) askBlocker(ctx context.Context, conn *pgconn.PgConn) (*pg.Blocker, int, error) {
	var other *pg.Blocker
	var head int
	b := pg.NewBatch(conn)
	blocker := b.Ask(pg.Untimed+strings.NewReplacer("$schema", sqltext.QuoteText(r.Schema), "$ledger", sqltext.QuoteText(ledger.Name), "$blocker", pg.BlockerOf).Replace(`
		SELECT coalesce((SELECT $blocker
			FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
			WHERE l.relation = (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $schema AND c.relname = $ledger)
				AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
				AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock') AND l.granted AND l.pid <> pg_backend_pid()
			LIMIT 1), 'null')`), &other)
	last := b.Ask(r.patiently(ctx, 1)+"SELECT coalesce(max(version) FILTER (WHERE duration IS NOT NULL), 0) FROM "+
		ledger.Table(r.Schema), &head)
	err := b.Run(ctx)
	return other, head, cmp.Or(err, blocker.Err, last.Err)
}
