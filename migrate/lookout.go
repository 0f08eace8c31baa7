package migrate

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A lookout sees the locks of a statement that runs without a transaction, in a scratch
// database, where nobody else is. When such a statement has ended its locks are gone, so the
// lookout stands in its way: it holds a lock on every table that conflicts with itself and
// with all that is harder. The first one that the statement asks for is at least as hard,
// because two of its kind must not work on one table, and it waits for it.
type lookout struct {
	run  *run
	conn *pgconn.PgConn
}

// standInTheWay connects to the scratch database a second time.
func (r *run) standInTheWay(ctx context.Context) (*lookout, error) {
	conn, err := pgconn.ConnectConfig(ctx, r.config)
	if err != nil {
		return nil, err
	}
	l := &lookout{r, conn}
	// LOCK TABLE knows neither materialised views nor foreign tables.
	answers, err := pg.Batch(ctx, conn, `SELECT 'BEGIN; LOCK TABLE ' || string_agg(format('ONLY %I.%I', nspname, relname), ', ') || ' IN SHARE UPDATE EXCLUSIVE MODE'
		FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
		WHERE relkind IN ('r', 'p') AND relpersistence <> 't' AND nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')
			AND NOT (nspname = `+sqltext.QuoteText(r.Schema)+` AND relname = `+sqltext.QuoteText(ledger.Name)+`)`)
	if err == nil && answers[0].Err != nil {
		err = answers[0].Failure()
	}
	if err == nil && len(answers[0].Values[0]) > 0 {
		err = r.order(ctx, conn, string(answers[0].Values[0]))
	}
	if err != nil {
		l.letGo(ctx)
		return nil, err
	}
	return l, nil
}

// see returns the locks that a server process holds and waits for, as soon as it waits;
// none when ctx ends before, or nothing is in its way.
func (l *lookout) see(ctx context.Context, pid uint32) []lockSeen {
	const longEnough, often = time.Minute, time.Millisecond
	for began := time.Now(); time.Since(began) < longEnough; {
		server := strconv.Itoa(int(pid))
		answers, err := pg.Batch(context.WithoutCancel(ctx), l.conn, locksOf(server)+
			" AND EXISTS (SELECT FROM pg_catalog.pg_locks WHERE pid = "+server+" AND NOT granted)")
		if err != nil {
			return nil
		}
		var locks []lockSeen
		if err := answers[0].Decode(&locks); err != nil || len(locks) > 0 {
			return locks
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(often):
		}
	}
	return nil
}

// letGo ends the lookout's transaction and connection.
func (l *lookout) letGo(ctx context.Context) { pg.Close(ctx, l.conn) }
