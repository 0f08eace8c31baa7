package migrate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// setForTheRole is what a DBA may have set for the migrator's role, for good reasons that
// have nothing to do with migrations.
func setForTheRole(t *testing.T, db *pgtest.DB, settings ...string) {
	t.Helper()
	for _, setting := range settings {
		pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.Migrator()+" SET "+setting)
	}
}

func serverVersion(t *testing.T, db *pgtest.DB) int {
	t.Helper()
	return pgtest.Value[int](t, db.SuperConn, "SELECT current_setting('server_version_num')::int")
}

// read opens a transaction that has read app.t1, for which CREATE INDEX CONCURRENTLY waits.
func read(t *testing.T, db *pgtest.DB) (reader *pgx.Conn) {
	t.Helper()
	reader = db.Connect(t, db.SuperConn)
	if _, err := reader.Exec(t.Context(),
		"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM app.t1"); err != nil {
		t.Fatal(err)
	}
	return reader
}

// TestADBAsTimeoutsForTheRoleCutNothing: a slow file, and one without a transaction that
// waits for a reader, both take longer than any of them.
func TestADBAsTimeoutsForTheRoleCutNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, table), db.MigratorConn)
	setForTheRole(t, db, "statement_timeout = '1s'", "lock_timeout = '1s'",
		"idle_in_transaction_session_timeout = '1s'", "idle_session_timeout = '1s'",
		"default_transaction_isolation = 'serializable'")
	if serverVersion(t, db) >= 17_00_00 {
		setForTheRole(t, db, "transaction_timeout = '1s'")
	}
	reader := read(t, db)
	m := migrator(t, db, table, "INSERT INTO app.t1 SELECT -1, -1 FROM pg_sleep(1.5)", indexAlone,
		"INSERT INTO app.t1 VALUES (-2, -2)")
	done := make(chan error)
	go func() { _, err := m.Up(context.Background(), db.MigratorConn); done <- err }()
	waitedLong := "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = " +
		"'virtualxid' AND query_start < clock_timestamp() - interval '1500 ms'"
	for pgtest.Value[int](t, db.SuperConn, waitedLong) == 0 {
		select {
		case err := <-done:
			t.Fatalf("it ended before the reader did: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if _, err := reader.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := ledger(t, db); got != upTo(4) || valid(t, db, "t1_a") != "valid" {
		t.Errorf("the ledger holds %s, the index is %s", got, valid(t, db, "t1_a"))
	}
}

// TestATimeoutThatAPoolerBringsNamesTheWayOut: through a pooler a file without a
// transaction runs with the session's own settings, because what is set there would reach
// other clients. The error says which one struck, and what to do; when that is done, the
// next start goes on.
func TestATimeoutThatAPoolerBringsNamesTheWayOut(t *testing.T) {
	t.Parallel()
	for setting, since := range map[string]int{
		"statement_timeout = '1s'":   0,
		"transaction_timeout = '1s'": 17_00_00,
	} {
		name, _, _ := strings.Cut(setting, " ")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			if serverVersion(t, db) < since {
				t.Skip("this server has no such setting")
			}
			up(t, migrator(t, db, table), db.MigratorConn)
			setForTheRole(t, db, setting)
			reader := read(t, db)
			pooled := pgtest.PgBouncer(t, 3, map[string]string{"migrator": db.MigratorConn})["migrator"]
			m := migrator(t, db, table, indexAlone)
			done := make(chan error)
			go func() { _, err := m.Up(context.Background(), pooled); done <- err }()
			// What is left of the index is dropped at once, which waits for the reader, too.
			var err error
			for waits := "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE " +
				"'DROP INDEX%' AND wait_event_type = 'Lock'"; pgtest.Value[int](t, db.SuperConn, waits) == 0 &&
				err == nil; {
				select {
				case err = <-done:
				case <-time.After(10 * time.Millisecond):
				}
			}
			if _, err := reader.Exec(t.Context(), "ROLLBACK"); err != nil {
				t.Fatal(err)
			}
			if err == nil {
				err = <-done
			}
			failed, ok := errors.AsType[*migrate.MigrationError](err)
			if !ok || failed.Next == "" {
				t.Fatalf("got %v, want a MigrationError for which the file is not to blame", err)
			}
			for _, want := range []string{
				"0002_m2.sql", "the " + name + " of its session", "Connect past the pooler",
				"ALTER ROLE \"" + db.Migrator() + "\" SET " + name + " = ",
			} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v\nwant %q in it", err, want)
				}
			}
			pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.Migrator()+" RESET "+name)
			past := pgtest.PgBouncer(t, 3, map[string]string{"migrator": db.MigratorConn})["migrator"]
			up(t, m, past)
			if got := valid(t, db, "t1_a"); got != "valid" || ledger(t, db) != upTo(2) {
				t.Errorf("the index is %s, and the ledger holds %s", got, ledger(t, db))
			}
		})
	}
}

// TestALedgerThatSomebodyLockedHoldsNoStartForEver: looking at it gives up like any other
// wait for a table.
func TestALedgerThatSomebodyLockedHoldsNoStartForEver(t *testing.T) {
	t.Parallel()
	for name, files := range map[string][]string{"nothing to do": tables(1), "something pending": tables(2)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			up(t, migrator(t, db, tables(1)...), db.MigratorConn)
			blocker := db.Connect(t, db.SuperConn)
			if _, err := blocker.Exec(t.Context(), "BEGIN; LOCK TABLE app.migrations"); err != nil {
				t.Fatal(err)
			}
			m := migrator(t, db, files...)
			m.LockTimeout, m.Wait = 20*time.Millisecond, 200*time.Millisecond
			_, err := m.Up(t.Context(), db.MigratorConn)
			if _, busy := errors.AsType[*migrate.BusyError](err); !busy ||
				!strings.Contains(err.Error(), "look at the database: ") {
				t.Errorf("got %v, want a BusyError that says at what", err)
			}
			m.Wait = time.Minute
			done := make(chan error)
			go func() { _, err := m.Up(context.Background(), db.MigratorConn); done <- err }()
			awaitWaiter(t, db, "relation")
			if _, err := blocker.Exec(t.Context(), "ROLLBACK"); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReadOnlyByASettingIsRespected: a platform sets it when a disk is nearly full. What is
// pending waits, and nothing else stops.
func TestReadOnlyByASettingIsRespected(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ where, reset string }{
		"database": {"DATABASE %d", `ALTER DATABASE "%d" RESET default_transaction_read_only`},
		"role":     {"ROLE %m", `ALTER ROLE "%m" RESET default_transaction_read_only`},
		"role in database": {
			"ROLE %m IN DATABASE %d",
			`ALTER ROLE "%m" IN DATABASE "%d" RESET default_transaction_read_only`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			fill := strings.NewReplacer("%d", db.Name, "%m", db.Migrator()).Replace
			on := func() {
				pgtest.Exec(t, db.SuperConn,
					fill("ALTER "+c.where+" SET default_transaction_read_only = on"))
			}
			off := func() { pgtest.Exec(t, db.SuperConn, "SET default_transaction_read_only = off", fill(c.reset)) }
			refused := func(m *migrate.Migrator) {
				t.Helper()
				_, err := m.Up(t.Context(), db.MigratorConn)
				if _, ok := errors.AsType[*migrate.ReadOnlyError](err); !ok ||
					!strings.Contains(err.Error(), fill(c.reset)) {
					t.Errorf("got %v, want a ReadOnlyError with %s", err, fill(c.reset))
				}
			}
			on()
			refused(migrator(t, db, table))
			off()
			up(t, migrator(t, db, table, indexAlone), db.MigratorConn)
			on()
			up(t, migrator(t, db, table, indexAlone), db.MigratorConn)
			refused(migrator(t, db, table, indexAlone, "SELECT 1"))
			pgtest.Exec(t, db.SuperConn, "SET default_transaction_read_only = off", "GRANT DELETE ON app.t1 TO "+
				db.WebRole)
			if report := up(t, migrator(t, db, table, indexAlone), db.MigratorConn); len(report.Revoked) != 0 {
				t.Errorf("got %+v, and it is read-only", report)
			}
			off()
			if report := up(t, migrator(t, db, table, indexAlone, "SELECT 1"),
				db.MigratorConn); len(report.Revoked) != 1 || report.To != 3 {
				t.Errorf("got %+v, want the right taken away and version 3", report)
			}
		})
	}
}
