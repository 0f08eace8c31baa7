package migrate_test

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// atGate is a statement that goes on while a gate is shut: a file that is in its middle as
// long as a test wants, and no longer. It does not queue for the lock, for which
// lock_timeout would strike.
const (
	shut = "EXISTS (SELECT FROM pg_locks JOIN pg_database d ON d.oid = database WHERE locktype = 'advisory' AND " +
		"objid = 1 AND datname = current_database())"
	atGate = "DO $$ BEGIN WHILE " + shut + " LOOP PERFORM pg_sleep(0.01); END LOOP; END $$"
)

// gate shuts the gate of a database until open is called.
func gate(t *testing.T, db *pgtest.DB) (open func()) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	keeper, err := pgconn.Connect(ctx, db.SuperConn)
	if err == nil {
		_, err = keeper.Exec(ctx, "SELECT pg_advisory_lock(1)").ReadAll()
	}
	if err != nil {
		t.Fatal(err)
	}
	open = sync.OnceFunc(func() { _ = keeper.Close(ctx) }) // the server may be gone, and then the lock is
	t.Cleanup(open)
	return open
}

// whenRunning calls f once a file sleeps in the database, as it does at a gate.
func whenRunning(t *testing.T, db *pgtest.DB, f func()) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	super, err := pgconn.Connect(ctx, db.SuperConn)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = super.Close(ctx) }()
	err = pgtest.Poll("a file is in its middle", func() error {
		results, err := super.Exec(ctx, `SELECT 1 FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event = 'PgSleep'`).ReadAll()
		if err == nil {
			err = pgtest.Unless(len(results[0].Rows) > 0, "none sleeps")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	f()
}

// awaitWaiter waits until somebody waits for an event.
func awaitWaiter(t *testing.T, db *pgtest.DB, event string) {
	t.Helper()
	pgtest.EventuallyValue(t, db.SuperConn,
		"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = '"+event+"')",
		true)
}
