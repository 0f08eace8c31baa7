package migrate_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// counted is a Backup that counts its calls.
func counted(calls *atomic.Int32) func(context.Context, migrate.Status) error {
	return func(context.Context, migrate.Status) error { calls.Add(1); return nil }
}

func TestBackupIsCalledOnceBeforeWhatIsPending(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	var calls atomic.Int32
	start := func(n int) {
		m := migrator(t, db, tables(n)...)
		m.Backup = counted(&calls)
		up(t, m, db.MigratorConn)
	}
	start(2)
	if n := calls.Load(); n != 0 {
		t.Errorf("a blank database: %d calls, want none", n)
	}
	start(2)
	if n := calls.Load(); n != 0 {
		t.Errorf("nothing pending: %d calls, want none", n)
	}
	m := migrator(t, db, tables(70)...)
	m.Backup = func(_ context.Context, s migrate.Status) error {
		calls.Add(1)
		if got := ledger(t, db); got != "1,2" || s.State != migrate.Behind || s.Version != 2 || s.Target != 70 {
			t.Errorf("during the backup: ledger %s, status %v %d of %d; want 1,2 and behind, 2 of 70", got, s.State,
				s.Version, s.Target)
		}
		return nil
	}
	if report := up(t, m, db.MigratorConn); len(report.Applied) != 68 || calls.Load() != 1 {
		t.Errorf("68 pending: %d applied after %d calls, want one call", len(report.Applied), calls.Load())
	}
	if got := ledger(t, db); got != upTo(70) {
		t.Errorf("ledger %s, want 1 to 70", got)
	}
}

func TestAFailedBackupStopsTheStartBeforeAnythingIsChanged(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(2)...), db.MigratorConn)
	before := fingerprint(t, db)
	m := migrator(t, db, tables(3)...)
	full := errors.New("the disk is full")
	m.Backup = func(context.Context, migrate.Status) error { return full }
	report, err := m.Up(t.Context(), db.MigratorConn)
	var failed *migrate.BackupError
	if !errors.As(err, &failed) || !errors.Is(err, full) ||
		!strings.Contains(err.Error(), "nothing was migrated: the disk is full") {
		t.Errorf("got %v, want a BackupError with its reason", err)
	}
	if report.To != 2 || len(report.Applied) != 0 || fingerprint(t, db) != before {
		t.Errorf("something was changed: %+v", report)
	}
	m.Backup = nil
	if report := up(t, m, db.MigratorConn); report.To != 3 {
		t.Errorf("the next start ended at %d, want 3", report.To)
	}
}

func TestAnInterruptedBackupIsNoFailedOne(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(2)...), db.MigratorConn)
	m := migrator(t, db, tables(3)...)
	stop := errors.New("stopped by the test")
	ctx, cancel := context.WithCancelCause(t.Context())
	m.Backup = func(ctx context.Context, _ migrate.Status) error {
		cancel(stop)
		<-ctx.Done()
		return ctx.Err()
	}
	_, err := m.Up(ctx, db.MigratorConn)
	var failed *migrate.BackupError
	if !errors.Is(err, stop) || errors.As(err, &failed) {
		t.Errorf("got %v, want what ended the context", err)
	}
	if got := ledger(t, db); got != "1,2" {
		t.Errorf("ledger %s, want 1,2", got)
	}
}

func TestOneOfManyReplicasMakesTheBackup(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"direct", "pooled"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			const replicas, n = 8, 20
			db := pgtest.Blank(t)
			up(t, migrator(t, db, tables(2)...), db.MigratorConn)
			conn := db.MigratorConn
			if way == "pooled" {
				conn = pgtest.PgBouncer(t, 4, map[string]string{"migrator": db.MigratorConn})["migrator"]
			}
			var calls, applied atomic.Int32
			var looked, all sync.WaitGroup
			looked.Add(replicas)
			for range replicas {
				m := migrator(t, db, tables(n)...)
				m.Log = onceLogged("looked at the database", looked.Done)
				m.Backup = func(ctx context.Context, s migrate.Status) error {
					looked.Wait() // all others are there, and wait
					return counted(&calls)(ctx, s)
				}
				all.Go(func() {
					report, err := m.Up(t.Context(), conn)
					if err != nil || report.To != n {
						t.Errorf("a replica ended at %d: %v", report.To, err)
					}
					applied.Add(int32(len(report.Applied)))
				})
			}
			all.Wait()
			if calls.Load() != 1 || applied.Load() != n-2 {
				t.Errorf("%d backups and %d files applied, want 1 and %d", calls.Load(), applied.Load(), n-2)
			}
		})
	}
}

// TestADBAsTimeoutsDoNotEndABackup sets those that would end an idle transaction.
func TestADBAsTimeoutsDoNotEndABackup(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(2)...), db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.Migrator()+" SET idle_in_transaction_session_timeout = '1s'")
	if pgtest.Value[int](t, db.SuperConn, "SELECT current_setting('server_version_num')::int") >= 17_00_00 {
		pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.Migrator()+" SET transaction_timeout = '1s'")
	}
	m := migrator(t, db, tables(3)...)
	var calls atomic.Int32
	m.Backup = func(ctx context.Context, s migrate.Status) error {
		pgtest.Exec(t, db.SuperConn, "SELECT pg_sleep(1.5)") // longer than the timeouts, on the same clock
		return counted(&calls)(ctx, s)
	}
	if up(t, m, db.MigratorConn); calls.Load() != 1 {
		t.Errorf("%d backups, want 1", calls.Load())
	}
}

// TestALostConnectionLosesTheTurnButNotTheBackup ends the migrator's server process
// while the backup is made.
func TestALostConnectionLosesTheTurnButNotTheBackup(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(2)...), db.MigratorConn)
	m := migrator(t, db, tables(4)...)
	var calls atomic.Int32
	m.Backup = func(ctx context.Context, s migrate.Status) error {
		pgtest.Exec(t, db.SuperConn, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '"+
			db.Migrator()+"' AND application_name LIKE 'test-migrator/%'")
		return counted(&calls)(ctx, s)
	}
	if report := up(t, m, db.MigratorConn); report.To != 4 || calls.Load() != 1 {
		t.Errorf("ended at %d after %d backups, want 4 after one", report.To, calls.Load())
	}
}

// TestTheFirstFileAfterABackupFailsLikeAnyOther holds the place in the message and the
// retry to what they are without a backup: that file goes on in the backup's transaction.
func TestTheFirstFileAfterABackupFailsLikeAnyOther(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(2)...), db.MigratorConn)
	var calls atomic.Int32
	bad := migrator(t, db, append(tables(2), "SELECT 1;\n  SELECT nothing FROM app.t1;")...)
	bad.Backup = counted(&calls)
	_, err := bad.Up(t.Context(), db.MigratorConn)
	if want := "0003_m3.sql:2:10: statement 2 of 2: column \"nothing\" does not exist (42703)"; err == nil ||
		!strings.HasPrefix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if got := ledger(t, db); got != "1,2" {
		t.Errorf("ledger %s, want 1,2", got)
	}

	calls.Store(0)
	ctx := t.Context()
	blocker := db.Connect(t, db.SuperConn)
	if _, err := blocker.Exec(ctx, "BEGIN; LOCK TABLE app.t1"); err != nil {
		t.Fatal(err)
	}
	m := migrator(t, db, append(tables(2), "ALTER TABLE app.t1 ADD COLUMN x int")...)
	m.LockTimeout = 1
	m.Backup = counted(&calls)
	m.Log = onceLogged("a migration was rolled back because another session was in its way; trying again", func() {
		if _, err := blocker.Exec(ctx, "ROLLBACK"); err != nil {
			t.Error(err)
		}
	})
	if report := up(t, m, db.MigratorConn); report.To != 3 || calls.Load() != 1 {
		t.Errorf("after waiting for a lock: at %d after %d backups, want 3 after one", report.To, calls.Load())
	}
}

// onceLogged is a logger that calls a function at the first record with a message.
func onceLogged(message string, then func()) *slog.Logger {
	return slog.New(&listener{Handler: slog.DiscardHandler, message: message, then: sync.OnceFunc(then)})
}

type listener struct {
	slog.Handler
	message string
	then    func()
}

func (l *listener) Enabled(context.Context, slog.Level) bool { return true }

func (l *listener) Handle(_ context.Context, r slog.Record) error {
	if r.Message == l.message {
		l.then()
	}
	return nil
}
