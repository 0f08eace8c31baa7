package migrate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

func TestAwaitReturnsWhenAnotherProgramHasMigrated(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(3)...)
	type answer struct {
		status migrate.Status
		err    error
	}
	answers := make(chan answer)
	go func() { // as the service's role, which the migration is yet to create
		status, err := m.Await(t.Context(), db.WebConn)
		answers <- answer{status, err}
	}()
	up(t, migrator(t, db, tables(3)...), db.MigratorConn)
	if got := <-answers; got.err != nil || got.status.State != migrate.Current {
		t.Errorf("got %v, %v, want current", got.status.State, got.err)
	}
}

func TestAwaitGivesUpInTimeWithTheReason(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(1)...), db.MigratorConn)
	m := migrator(t, db, tables(2)...)
	pgtest.WithMoreTime(t, 100*time.Millisecond, func(limit time.Duration) error {
		m.Wait = limit
		_, err := m.Await(t.Context(), db.WebConn)
		if _, busy := errors.AsType[*migrate.BusyError](err); !busy {
			t.Errorf("got %v, want a BusyError", err)
		}
		why, ok := errors.AsType[*migrate.UnmigratedError](err)
		return pgtest.Unless(ok && why.Version == 1 && why.Target == 2,
			"got %v, want that it is at version 1 and not at 2", err)
	})
}

func TestAwaitEndsAtOnceWhereWaitingIsNoUse(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(2)...)
	m.Wait = time.Hour
	up(t, m, db.MigratorConn)
	edited := migrator(t, db, append(tables(1), "SELECT 'edited'")...)
	if status, err := edited.Await(t.Context(), db.WebConn); err != nil || status.State != migrate.Diverged {
		t.Errorf("got %v, %v, want diverged", status.State, err)
	}
	pgtest.Exec(t, db.SuperConn, "UPDATE app.migrations SET name = 'other' WHERE version = 1")
	if status, err := m.Await(t.Context(), db.WebConn); err != nil || status.State != migrate.LedgerLost {
		t.Errorf("got %v, %v, want ledger lost", status.State, err)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(1)...)
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	if _, err := m.Await(ctx, db.MigratorConn); !errors.Is(err, stopped) {
		t.Errorf("got %v, want %v", err, stopped)
	}
}
