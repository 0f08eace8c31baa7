package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/rehearse"
)

// TestLimitsFollowFromWhatIsLeftOfTheTimeToWait: neither a lock nor an answer is waited for longer than that, but for a
// little, which a busy server needs.
func TestLimitsFollowFromWhatIsLeftOfTheTimeToWait(t *testing.T) {
	t.Parallel()
	const s, ms = time.Second, time.Millisecond
	for _, c := range []struct {
		wait, waited, connect, lock time.Duration
		wantLock                    time.Duration
		wantQuestion                string
		wantAnswers                 time.Duration
	}{
		{10 * time.Minute, 0, time.Minute, 5 * s, 5 * s, "5000", 30 * s},
		{10 * time.Minute, 10*time.Minute - 8*s, time.Minute, 5 * s, 5 * s, "4000", 8 * s},
		{10 * time.Minute, 0, time.Minute, time.Hour, 10 * time.Minute, "7000", 30 * s},
		{10 * time.Minute, 0, 3 * s, 5 * s, 5 * s, "1500", 5 * s},
		{3 * s, 0, time.Minute, 5 * s, 3 * s, "1500", 5 * s},
		{3 * s, 2 * s, time.Minute, 5 * s, s, "500", 5 * s},
		{3 * s, 0, time.Minute, 200 * ms, 200 * ms, "200", 5 * s},
		{3 * s, 3 * s, time.Minute, 5 * s, 100 * ms, "100", 5 * s},
		{3 * s, time.Hour, time.Minute, 5 * s, 100 * ms, "100", 5 * s},
		{3 * s, time.Hour, time.Minute, 20 * ms, 20 * ms, "20", 5 * s},
	} {
		m := migrator(t, &pgtest.DB{WebRole: "w", WebPassword: "p"}, tables(1)...)
		m.Wait, m.ConnectWait, m.LockTimeout = c.wait, c.connect, c.lock
		lock, question, answers, err := migrate.Limits(*m, c.waited)
		if err != nil {
			t.Fatal(err)
		}
		if lock != c.wantLock || question != "SET LOCAL lock_timeout = "+c.wantQuestion || answers != c.wantAnswers {
			t.Errorf("%+v: got %s, %q, %s", c, lock, question, answers)
		}
	}
}

// modes are all that asks a database something, each with a limit of its own.
func modes(m *migrate.Migrator, conn string) map[string]func() error {
	ctx := context.Background()
	return map[string]func() error{
		"up":       func() error { _, err := m.Up(ctx, conn); return err },
		"await":    func() error { _, err := m.Await(ctx, conn); return err },
		"status":   func() error { _, err := askStatus(ctx, m, conn); return err },
		"history":  func() error { _, _, err := askHistory(ctx, m, conn); return err },
		"verify":   func() error { _, err := askVerify(ctx, m, conn); return err },
		"audit":    func() error { _, err := askAudit(ctx, m, conn); return err },
		"plan":     func() error { _, err := askPlan(ctx, m, conn); return err },
		"rehearse": func() error { _, err := rehearse.Run(ctx, m, conn); return err },
		"repair":   func() error { _, err := m.Repair(ctx, conn, migrate.RepairOptions{}); return err },
	}
}

// TestNothingWaitsBeyondItsLimit, in no mode and for nothing, although LOCK_TIMEOUT and the other limits would allow
// an hour: each row is something that never comes. How long it took is not asked, for a machine may be busy.
func TestNothingWaitsBeyondItsLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		holds string // what another session holds for good
		file  string // that is pending
		looks bool   // whether those that only look meet it, too
		want  string
	}{
		"a table that a file changes": {
			"LOCK TABLE app.t1", "ALTER TABLE app.t1 ADD COLUMN b int", false,
			"blocked by the report",
		},
		"a row that a file changes": {
			"UPDATE app.t1 SET id = id", "UPDATE app.t1 SET id = id", false, "blocked by the report",
		},
		"what a file without a transaction waits for": {
			"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM app.t1",
			"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY t1_b ON app.t1 (id)", false,
			"blocked by the report",
		},
		"a table that a privilege is granted on": {
			"GRANT UPDATE ON app.t1 TO PUBLIC", "", false,
			"blocked by the report",
		},
		"another migrator": {
			"LOCK TABLE app.migrations IN ROW EXCLUSIVE MODE", "SELECT 1", false, "blocked by the report",
		},
		"another migrator that makes a backup": {
			"LOCK TABLE app.migrations IN SHARE ROW EXCLUSIVE MODE", "SELECT 1", false, "blocked by the report",
		},
		"the ledger": {"LOCK TABLE app.migrations", "SELECT 1", true, "blocked by the report"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.Migrator()+" CREATEDB")
			up(t, migrator(t, db, tables(1)...), db.MigratorConn)
			if c.file == "" { // a right is missing
				pgtest.Exec(t, db.MigratorConn, "REVOKE SELECT ON app.t1 FROM "+db.WebRole)
			}
			blocker := db.Connect(t, db.MigratorConn+" application_name='the report'")
			if _, err := blocker.Exec(t.Context(), "BEGIN; "+c.holds); err != nil {
				t.Fatal(err)
			}
			files := tables(1)
			if c.file != "" {
				files = append(files, c.file)
			}
			for what := range modes(nil, "") {
				if what != "up" && !c.looks {
					continue
				}
				t.Run(what, func(t *testing.T) {
					t.Parallel()
					pgtest.WithMoreTime(t, 500*time.Millisecond, func(limit time.Duration) error {
						m := migrator(t, db, files...)
						m.LockTimeout, m.Wait, m.ConnectWait = time.Hour, limit, pgtest.Patience
						if what != "up" && what != "await" {
							m.Wait, m.ConnectWait = time.Hour, limit
						}
						began := time.Now()
						err := modes(m, db.MigratorConn)[what]()
						busy, ok := errors.AsType[*migrate.BusyError](err)
						switch {
						case !ok || !strings.Contains(err.Error(), c.want):
							return fmt.Errorf("got %w, want a BusyError with %q", err, c.want)
						case busy.Waited > time.Since(began) || busy.Waited == 0:
							t.Errorf("it says that it waited %s, and took %s", busy.Waited, time.Since(began))
						}
						return nil
					})
				})
			}
		})
	}
}

// TestLocksThatAreWaitedForOneAfterTheOtherAreLimitedTogether, although none of them takes as long as the limit.
func TestLocksThatAreWaitedForOneAfterTheOtherAreLimitedTogether(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	const locks = 12
	up(t, migrator(t, db, tables(locks)...), db.MigratorConn)
	blocker := db.Connect(t, db.SuperConn)
	hold, file := []string{"BEGIN"}, ""
	for i := locks; i > 0; i-- { // to go back to a savepoint gives up the lock after it
		hold = append(hold, fmt.Sprintf("SAVEPOINT t%d; LOCK TABLE app.t%[1]d", i))
		file = fmt.Sprintf("LOCK TABLE app.t%d;\n", i) + file
	}
	if _, err := blocker.Exec(t.Context(), strings.Join(hold, "; ")); err != nil {
		t.Fatal(err)
	}
	m := migrator(t, db, append(tables(locks), file)...)
	m.LockTimeout, m.Wait = time.Hour, time.Second
	seen := make(chan string, 1000)
	m.Progress = func(p migrate.Progress) { seen <- p.WaitsFor }
	done := make(chan error)
	go func() { _, err := m.Up(context.Background(), db.MigratorConn); done <- err }()
	times := map[string]int{}
	for {
		select {
		case err := <-done:
			if _, ok := errors.AsType[*migrate.BusyError](err); !ok ||
				strings.Contains(err.Error(), "somebody cancelled") {
				t.Errorf("got %v, want a BusyError", err)
			}
			return
		case what := <-seen: // each is given up when it was seen twice, which is a third of the time later
			_, table, waits := strings.Cut(what, " of app.")
			if times[table]++; !waits || times[table] != 2 {
				continue
			}
			if _, err := blocker.Exec(t.Context(), "ROLLBACK TO "+table); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestSilenceAfterTheLoginIsLimitedByTheTimeToWait in each mode: an answer is waited for for five seconds where the
// limit is less, and a start does not go on connecting for longer than it may wait.
func TestSilenceAfterTheLoginIsLimitedByTheTimeToWait(t *testing.T) {
	t.Parallel()
	conn := silentServer(t, func(c net.Conn) {
		server := pgproto3.NewBackend(c, c)
		if _, err := server.ReceiveStartupMessage(); err != nil {
			return
		}
		server.Send(&pgproto3.AuthenticationOk{})
		server.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
		server.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: "17.0"})
		server.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
		server.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		_ = server.Flush()
		_, _ = io.Copy(io.Discard, c)
	}) + " sslmode=disable"
	for what := range modes(nil, "") {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := migrator(t, &pgtest.DB{WebRole: "w", WebPassword: "p"}, tables(1)...)
			m.LockTimeout, m.Wait, m.ConnectWait = time.Hour, 300*time.Millisecond, time.Hour
			if what != "up" && what != "await" {
				m.Wait, m.ConnectWait = time.Hour, time.Second
			}
			err := modes(m, conn)[what]()
			if err == nil || !strings.Contains(err.Error(), "no answer for 5s") ||
				!strings.Contains(err.Error(), "a pooler is paused") {
				t.Errorf("got %v, want that there was no answer for 5s", err)
			}
		})
	}
}

// TestAServerThatGoesAwayDuringAStartIsWaitedForWithinTheTimeToWait, and not for as long as one that is not there yet.
func TestAServerThatGoesAwayDuringAStartIsWaitedForWithinTheTimeToWait(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	c := &cutter{n: 4}
	c.gone = func() { _ = c.Close() }
	conn := startCutter(t, db, c)
	m := migrator(t, db, tables(1)...)
	m.Wait, m.ConnectWait = 300*time.Millisecond, time.Hour
	_, err := m.Up(context.Background(), conn)
	if _, ok := errors.AsType[*migrate.ConnectError](err); !ok {
		t.Errorf("got %v, want a ConnectError", err)
	}
}
