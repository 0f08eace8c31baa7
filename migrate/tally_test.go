package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// lazily are settings of a server that writes nothing to its disk which it does not have to.
var lazily = []string{"wal_writer_delay=10s", "wal_writer_flush_after=0", "bgwriter_delay=10s", "checkpoint_timeout=1d"}

// gatedFiles are files of which the one after n waits until there is a role go_on.
func gatedFiles(n, all int) []string {
	sql := tables(all)
	sql[n] += "\nDO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'go_on') LOOP PERFORM " +
		"pg_sleep(0.01); END LOOP; END $$;"
	return sql
}

// reported is what a report lists, and what a log says was applied.
func reported(report migrate.Report, log string) (listed, logged []int) {
	for _, a := range report.Applied {
		listed = append(listed, a.Version)
	}
	for _, line := range regexp.MustCompile(`msg="applied a migration" version=(\d+)`).FindAllStringSubmatch(log, -1) {
		var version int
		_, _ = fmt.Sscan(line[1], &version) // digits
		logged = append(logged, version)
	}
	return listed, logged
}

func through(from, to int) (versions []int) {
	for v := from; v <= to; v++ {
		versions = append(versions, v)
	}
	return versions
}

// TestAReportOutlivesACrashOfTheServer: what a report and the log call applied is on disk when
// the server loses what it has not written yet, and is listed once when the same call goes on.
func TestAReportOutlivesACrashOfTheServer(t *testing.T) {
	t.Parallel()
	const n, all = 30, 40
	for _, goesOn := range []bool{false, true} {
		t.Run(fmt.Sprintf("goesOn=%t", goesOn), func(t *testing.T) {
			t.Parallel()
			server := pgtest.OwnServer(t, lazily...)
			up(t, migrator(t, server.DB, tables(2)...), server.MigratorConn)
			log := &syncBuffer{}
			m := migrator(t, server.DB, gatedFiles(n, all)...)
			m.Log, m.ConnectWait = slog.New(slog.NewTextHandler(log, nil)), time.Minute
			type result struct {
				migrate.Report
				err error
			}
			done := make(chan result)
			start := func() { r, err := m.Up(context.Background(), server.MigratorConn); done <- result{r, err} }
			var r result
			pgtest.WithMoreTime(t, 300*time.Millisecond, func(limit time.Duration) error { // to connect at first
				if !goesOn {
					m.ConnectWait = limit
				}
				applying := make(chan struct{})
				begins := sync.OnceFunc(func() { close(applying) })
				m.Progress = func(p migrate.Progress) {
					if p.Phase == migrate.Applying {
						begins()
					}
				}
				go start()
				select {
				case r = <-done:
					return r.err
				case <-applying:
					return nil
				}
			})
			whenRunning(t, server.DB, func() {
				if goesOn {
					server.Kill(t)
					server.Start(t)
					pgtest.Exec(t, server.SuperConn, "CREATE ROLE go_on")
					r = <-done
					return
				}
				server.Kill(t)
				r = <-done
				server.Start(t)
			})
			listed, logged := reported(r.Report, log.String())
			version := pgtest.Value[int](t, server.SuperConn, "SELECT max(version) FROM app.migrations")
			switch {
			case goesOn:
				if r.err != nil || r.To != all || !slices.Equal(listed, through(3, all)) ||
					!slices.Equal(logged, listed) {
					t.Errorf("got %v, to %d, listed %v, logged %v; want each file once", r.err, r.To, listed, logged)
				}
			case r.err == nil || r.To > version || len(listed) > 0 && listed[len(listed)-1] > version ||
				!slices.Equal(logged, listed):
				t.Errorf("got %v, to %d, listed %v, logged %v; the ledger ends at %d", r.err, r.To, listed, logged,
					version)
			}
			if !goesOn && version >= n {
				t.Logf("the crash lost nothing: version %d", version)
			}
		})
	}
}

// TestAReportOutlivesAFailover to a standby that had not received the last files: those are
// applied again there, and listed once.
func TestAReportOutlivesAFailover(t *testing.T) {
	t.Parallel()
	const n, all = 30, 34
	primary := pgtest.OwnServer(t)
	up(t, migrator(t, primary.DB, tables(2)...), primary.MigratorConn)
	standby := primary.Standby(t, "recovery_min_apply_delay=0")
	standby.Await(t, primary)
	log := &syncBuffer{}
	m := migrator(t, primary.DB, gatedFiles(n, all)...)
	m.Log, m.ConnectWait = slog.New(slog.NewTextHandler(log, nil)), time.Minute
	// The standby is cut off before anything is pending.
	pgtest.Exec(t, primary.SuperConn, "ALTER SYSTEM SET max_wal_senders = 0")
	pgtest.Exec(t, standby.Conn(primary.SuperConn), "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	pgtest.EventuallyValue(t, primary.SuperConn, "SELECT count(*) FROM pg_stat_replication", int64(0))
	done := make(chan error)
	var report migrate.Report
	go func() {
		var err error
		report, err = m.Up(context.Background(), both(t, standby, primary))
		done <- err
	}()
	whenRunning(t, primary.DB, func() {
		// Some of them are reported by now: a file that takes longer than a second makes it so.
		primary.Kill(t)
		standby.Promote(t)
		pgtest.Eventually(t, "the standby is a primary", func() error {
			conn, err := pgconn.Connect(t.Context(), standby.Conn(primary.SuperConn))
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(context.Background()) }()
			_, err = conn.Exec(t.Context(), "CREATE ROLE go_on").ReadAll()
			return err
		})
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	listed, logged := reported(report, log.String())
	if !slices.Equal(listed, through(3, all)) || report.To != all {
		t.Errorf("to %d, listed %v, want 3 to %d once each", report.To, listed, all)
	}
	slices.Sort(logged)
	if logged = slices.Compact(logged); !slices.Equal(logged, listed) {
		t.Errorf("the log says that %v were applied", logged)
	}
	primary.Start(t) // for the test's end to stop it
}

// TestAReportAfterLostAnswers: a connection that is cut at any message, whether that arrives
// or not, leaves a report that lists each file once. MIGRATE_LONG=1 cuts at each message, and
// not only at every third.
func TestAReportAfterLostAnswers(t *testing.T) {
	t.Parallel()
	step := 3
	if os.Getenv("MIGRATE_LONG") != "" {
		step = 1
	}
	remembered := remembering(t, migrator(t, pgtest.Blank(t), logged...)).Bundle
	for _, arrives := range []bool{false, true} {
		t.Run(fmt.Sprintf("arrives=%t", arrives), func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			for n := 1; ; n += step {
				c := &cutter{n: n, arrives: arrives}
				log := &syncBuffer{}
				m := migrator(t, db, logged...)
				m.Bundle, m.Log = remembered, slog.New(slog.NewTextHandler(log, nil))
				m.Role.Name += fmt.Sprintf("_%d", n)
				report, err := m.Up(t.Context(), startCutter(t, db, c))
				listed, said := reported(report, log.String())
				if err != nil || !slices.Equal(listed, through(1, len(logged))) || !slices.Equal(said, listed) ||
					!report.RoleCreated {
					t.Errorf("cut at message %d: %v, listed %v, logged %v, role created %t", n, err, listed, said,
						report.RoleCreated)
				}
				if strings.Count(log.String(), "created the service's role") != 1 {
					t.Errorf("cut at message %d: the role was not created once", n)
				}
				if c.heard() < n {
					return
				}
				pgtest.Exec(t, db.SuperConn, "DROP SCHEMA IF EXISTS app CASCADE")
			}
		})
	}
}

// TestAReportHasWhatTheServerFinishesLater: the server goes on with what a lost connection has brought it, while the
// program has connected again and finds that it was not applied yet.
func TestAReportHasWhatTheServerFinishesLater(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	open := gate(t, db)
	c, log := &cutter{n: math.MaxInt, hidden: true}, &syncBuffer{}
	m := migrator(t, db, "CREATE TABLE app.t1 (id int);\n"+atGate, "CREATE TABLE app.t2 (id int)")
	m.Log, m.LockTimeout = slog.New(slog.NewTextHandler(log, nil)), 150*time.Millisecond
	conn := startCutter(t, db, c)
	done := make(chan error)
	var report migrate.Report
	go func() {
		var err error
		report, err = m.Up(context.Background(), conn)
		done <- err
	}()
	whenRunning(t, db, c.end)
	pgtest.Eventually(t, "another session is in the way", func() error {
		return pgtest.Unless(strings.Contains(log.String(), "blocked_by="), "the log is\n%s", log.String())
	})
	open()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	listed, said := reported(report, log.String())
	if !slices.Equal(listed, through(1, 2)) || !slices.Equal(said, listed) {
		t.Errorf("listed %v, logged %v, want each once", listed, said)
	}
}

// TestFilesBeforeALongOneAreReportedWhileItRuns: they are committed without a wait for the disk, and the log and the
// report have them once they are there.
func TestFilesBeforeALongOneAreReportedWhileItRuns(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	open := gate(t, db)
	log := &syncBuffer{}
	m := migrator(t, db, append(tables(3), atGate, "CREATE TABLE app.last (id int)")...)
	m.Log, m.LockTimeout = slog.New(slog.NewTextHandler(log, nil)), 150*time.Millisecond
	m.Heartbeat = 100 * time.Millisecond
	var now atomic.Value
	m.Progress = func(p migrate.Progress) { now.Store(p) }
	done := make(chan error)
	var report migrate.Report
	go func() {
		var err error
		report, err = m.Up(context.Background(), db.MigratorConn)
		done <- err
	}()
	pgtest.Eventually(t, "the files before the long one are reported", func() error {
		_, logged := reported(migrate.Report{}, log.String())
		return pgtest.Unless(slices.Equal(logged, through(1, 3)), "the log has %v", logged)
	})
	pgtest.Eventually(t, "and told", func() error {
		p, _ := now.Load().(migrate.Progress)
		return pgtest.Unless(p.Applied == 3 && p.Version == 3, "%+v", p)
	})
	open()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if listed, logged := reported(report, log.String()); !slices.Equal(listed, through(1, 5)) ||
		!slices.Equal(logged, listed) {
		t.Errorf("listed %v, logged %v, want each once", listed, logged)
	}
}

// TestAMissingSynchronousStandbyIsNamedAndNotWaitedForWithoutALimit: the log says what a commit waits for, and when the
// time is over the start ends; what it did is on disk and in the report.
func TestAMissingSynchronousStandbyIsNamedAndNotWaitedForWithoutALimit(t *testing.T) {
	t.Parallel()
	server := pgtest.OwnServer(t)
	up(t, migrator(t, server.DB, tables(1)...), server.MigratorConn)
	pgtest.Exec(t, server.SuperConn, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
	pgtest.EventuallyValue(t, server.SuperConn, "SHOW synchronous_standby_names", "nobody")
	log := &syncBuffer{}
	m := migrator(t, server.DB, tables(3)...)
	m.Log, m.LockTimeout, m.Wait = slog.New(slog.NewTextHandler(log, nil)), 150*time.Millisecond, time.Second
	report, err := m.Up(t.Context(), server.MigratorConn)
	if _, busy := errors.AsType[*migrate.BusyError](err); !busy ||
		!strings.Contains(err.Error(), "synchronous standby") {
		t.Errorf("got %v, want a BusyError that names the standby", err)
	}
	if !strings.Contains(log.String(), "a commit waits for a synchronous standby") {
		t.Errorf("the log does not say what is waited for:\n%s", log.String())
	}
	version := pgtest.Value[int](t, server.SuperConn, "SELECT max(version) FROM app.migrations")
	if listed, _ := reported(report, ""); version != 3 || !slices.Equal(listed, through(2, 3)) {
		t.Errorf("listed %v; the ledger ends at %d", listed, version)
	}
	pgtest.Exec(t, server.SuperConn, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
	up(t, migrator(t, server.DB, tables(3)...), server.MigratorConn)
}
