package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/jackc/pgx/v5"
)

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
