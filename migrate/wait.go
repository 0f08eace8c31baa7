package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// awaitTurn is a courtesy, so that sixty replicas do not queue up on one row: it
// returns when no other session holds the ledger's lock. When the ledger has moved on,
// the error says that it is time to look again.
func (r *run) awaitTurn(ctx context.Context, conn *pgconn.PgConn, version int) error {
	return r.poll(ctx, func() (*pg.Blocker, error) {
		h, head, err := r.askBlocker(ctx, conn)
		if err == nil && head != version {
			err = &retryError{err: errRaceLost, soon: true}
		}
		return h, err
	})
}

// poll asks until nothing blocks it any more. It polls instead of blocking: a
// blocked statement holds a snapshot, and CREATE INDEX CONCURRENTLY in the other
// migrator would wait for it for ever.
func (r *run) poll(ctx context.Context, ask func() (*pg.Blocker, error)) error {
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
			r.Log.Info("waiting for another migrator", logAttrs(now)...)
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
	blocker := b.Ask(pg.Untimed+strings.NewReplacer("$schema", sqltext.QuoteText(r.Schema),
		"$ledger", sqltext.QuoteText(ledger.Name), "$blocker", pg.BlockerOf).Replace(`
		SELECT coalesce((SELECT $blocker
			FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
			WHERE l.relation = (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname = $schema AND c.relname = $ledger)
				AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
				AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock') AND l.granted AND l.pid <> pg_backend_pid()
			LIMIT 1), 'null')`), &other)
	last := b.Ask(r.patiently(ctx, 1)+"SELECT coalesce(max(version) FILTER (WHERE duration IS NOT NULL), 0) FROM "+
		ledger.Table(r.Schema), &head)
	err := b.Run(ctx)
	return other, head, cmp.Or(err, blocker.Err, last.Err)
}

// retry waits before the next attempt and says so: in the log when it is the first
// at this file, for a lock may be fought for long.
func (r *run) retry(ctx context.Context, why error) error {
	before, _ := r.teller.moment()
	r.retrying(why)
	now, _ := r.teller.moment()
	if now.File != "" && now.File != r.teller.retried && isLockConflict(why) {
		r.teller.retried = now.File
		now.Since = before.Since // of the first attempt
		r.Log.Warn("a migration was rolled back because another session was in its way; trying again",
			append(logAttrs(now), "for", r.Wait)...)
	}
	var err error
	if pg.SQLState(why) == pg.LockNotAvailable && now.File != "" {
		err = r.pause.queued(ctx)
	}
	if err == nil {
		err = r.pause.before(ctx, why)
	}
	if busy, ok := errors.AsType[*BusyError](err); ok && now.Blocker != nil {
		busy.Blocker = now.Blocker.String()
	}
	return err
}

// isLockConflict distinguishes a lock that was not to be had from a race that was lost, which
// the next look explains.
func isLockConflict(why error) bool {
	again, ok := errors.AsType[*retryError](why)
	return ok && !again.soon
}

// Await asks for the Status until a service with this bundle can work with the
// schema: it is for services whose schema another program migrates. What a migration
// that has yet to come may remove is waited for: files that are pending, a database
// that does not answer, a role that cannot log in or read the ledger because it is
// still to be made. A state in which waiting is no use ends it at once; Status.Err says
// which. When Migrator.Wait is over, the error is a *BusyError with the last obstacle.
func (m *Migrator) Await(ctx context.Context, connString string) (Status, error) {
	r, err := newRun(*m, connString)
	if err != nil {
		return Status{}, err
	}
	timeIsUp, until := errors.New("the database has not answered"), r.started.Add(r.Wait)
	inTime, cancel := context.WithTimeoutCause(ctx, r.Wait+leastAnswer, timeIsUp) // an attempt under way ends by itself
	defer cancel()
	var obstacle error
	one := *m
	left := func() time.Duration { return time.Until(until) }
	inTime = pg.Metered(inTime, pg.Meter{Left: left})
	polls := pg.Backoff{First: 100 * time.Millisecond, Longest: 2 * time.Second}
	for {
		one.ConnectWait = min(r.ConnectWait, max(left(), leastAnswer))
		var status Status
		err := one.Connect(inTime, connString, func(ctx context.Context, conn *pgx.Conn) (err error) {
			status, err = one.Status(ctx, conn)
			return err
		})
		why := cmp.Or(err, status.Err())
		cutOff := err != nil && inTime.Err() != nil // then the error says nothing about the database
		switch {
		case !cutOff && !mayPass(why):
			return status, err
		case !cutOff && obstacle == nil:
			r.Log.Info("waiting until the schema is migrated", "for", r.Wait, "now", explained(why))
		}
		if !cutOff {
			obstacle = explained(why)
		}
		if left := left(); left > 0 && pg.Sleep(inTime, min(polls.Next(), left)) == nil {
			continue
		}
		if ctx.Err() != nil {
			return status, context.Cause(ctx)
		}
		return status, &BusyError{Waited: time.Since(r.started), Err: cmp.Or(obstacle, timeIsUp)}
	}
}

// mayPass reports whether a migration, or a server that comes up, may remove an
// obstacle.
func mayPass(why error) bool {
	_, unmigrated := errors.AsType[*UnmigratedError](why)
	_, unreachable := errors.AsType[*ConnectError](why)
	_, forbidden := errors.AsType[*pg.PrivilegeError](why)
	_, broken := errors.AsType[*pg.ConnLostError](why)
	_, busy := errors.AsType[*BusyError](why) // another session has locked the ledger
	return unmigrated || unreachable || forbidden || broken || busy
}

// explained adds to an obstacle what is likely while one waits, and leaves out the SQL
// for a DBA.
func explained(why error) error {
	if connect, ok := errors.AsType[*ConnectError](why); ok && connect.DeniesRole() {
		return fmt.Errorf("%w, unless the migrations that create this role have yet to run", why)
	}
	if forbidden, ok := errors.AsType[*pg.PrivilegeError](why); ok {
		return errors.New(forbidden.Lacks + ", unless the migrations that grant it have yet to run")
	}
	return why
}
