package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// both lists two servers in one connection string.
func both(t *testing.T, standby *pgtest.Standby, primary *pgtest.Own) string {
	t.Helper()
	config, err := pgx.ParseConfig(primary.MigratorConn)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s host=%s,%s port=5432,%d", primary.MigratorConn, standby.Host, config.Host, config.Port)
}

// TestAStandbyIsToldFromAPrimary: of several hosts the one that can be written to is
// taken; a standby alone is enough when nothing is to be written, and otherwise refused;
// after a failover the other one is the primary.
func TestAStandbyIsToldFromAPrimary(t *testing.T) {
	t.Parallel()
	primary := pgtest.OwnServer(t)
	m := migrator(t, primary.DB, tables(2)...)
	up(t, m, primary.MigratorConn)
	standby := primary.Standby(t)
	standby.Await(t, primary)
	alone, hosts := standby.Conn(primary.MigratorConn), both(t, standby, primary)

	if report := up(t, m, alone); report.State != migrate.Current || report.To != 2 {
		t.Errorf("nothing to do, on a standby: %+v", report)
	}
	if status, err := askStatus(t.Context(), m, standby.Conn(primary.WebConn)); err != nil ||
		status.State != migrate.Current {
		t.Errorf("status on a standby: %v, %v", status.State, err)
	}
	if v, err := askVerify(t.Context(), m, alone); err != nil || v.Err() != nil {
		t.Errorf("verify on a standby: %v, %v", err, v.Err())
	}
	if plan, err := askPlan(t.Context(), m, alone); err != nil || plan.Status.State != migrate.Current {
		t.Errorf("plan on a standby: %v, %v", plan.Status.State, err)
	}

	pending := migrator(t, primary.DB, tables(3)...)
	_, err := pending.Up(t.Context(), alone)
	if _, refused := errors.AsType[*migrate.StandbyError](err); !refused ||
		!strings.Contains(err.Error(), "connect to the primary") {
		t.Errorf("pending, on a standby: got %v, want a StandbyError with the next step", err)
	}
	if report := up(t, pending, hosts); report.To != 3 {
		t.Errorf("pending, with the standby as the first host: %+v", report)
	}
	standby.Await(t, primary)
	up(t, pending, alone)

	// Read-only defaults are not what makes a standby.
	pgtest.Exec(t, primary.SuperConn, "ALTER DATABASE "+primary.Name+" SET default_transaction_read_only = on")
	if _, err := migrator(t, primary.DB, tables(4)...).Up(t.Context(), hosts); !strings.Contains(err.Error(),
		"RESET default_transaction_read_only") {
		t.Errorf("pending, with read-only defaults: %v", err)
	}
	pgtest.Exec(t, primary.SuperConn, "SET default_transaction_read_only = off", "ALTER DATABASE "+primary.Name+
		" RESET default_transaction_read_only")
	up(t, migrator(t, primary.DB, tables(4)...), hosts)

	// In a failover there is no primary for a while.
	standby.Await(t, primary)
	primary.Kill(t)
	last := migrator(t, primary.DB, tables(5)...)
	pgtest.WithMoreTime(t, 200*time.Millisecond, func(limit time.Duration) error {
		last.ConnectWait = limit
		_, err := last.Up(t.Context(), hosts)
		_, ok := errors.AsType[*migrate.ConnectError](err)
		return pgtest.Unless(ok && strings.Contains(err.Error(), "none is a primary"),
			"without a primary: got %v, want a ConnectError that says so", err)
	})
	last.ConnectWait = pgtest.Patience
	done, waits := make(chan error), atomic.Bool{}
	last.Progress = func(p migrate.Progress) {
		if p.WaitsFor != "" && !waits.Swap(true) {
			standby.Promote(t)
		}
	}
	go func() { _, err := last.Up(context.Background(), hosts); done <- err }()
	if err := <-done; err != nil {
		t.Errorf("after a failover: %v", err)
	}
	if got := pgtest.Value[int](t, standby.Conn(primary.SuperConn), "SELECT count(*) FROM app.migrations"); got != 5 {
		t.Errorf("the new primary's ledger has %d rows, want 5", got)
	}
	primary.Start(t) // for the test's end to stop it
}

// TestAServerThatComesUpLateIsWaitedFor: first nobody listens, then the server says that
// it starts up (57P03), and at last it answers.
func TestAServerThatComesUpLateIsWaitedFor(t *testing.T) {
	t.Parallel()
	primary := pgtest.OwnServer(t)
	m := migrator(t, primary.DB, tables(2)...)

	t.Run("that answers that it starts up", func(t *testing.T) {
		standby := primary.Standby(t, "hot_standby=off")
		said, promoted := make(chan string, 1), false
		m := *m
		m.ConnectWait = pgtest.Patience
		m.Progress = func(p migrate.Progress) {
			// before that it cannot be promoted yet
			if strings.Contains(p.WaitsFor, "not accepting connections") && !promoted {
				promoted = true
				said <- p.WaitsFor
				standby.Promote(t)
			}
		}
		if report := up(t, &m, standby.Conn(primary.MigratorConn)); report.To != 2 {
			t.Errorf("report %+v", report)
		}
		if said := <-said; !strings.Contains(said, "57P03") {
			t.Errorf("it waited for %q, want 57P03", said)
		}
	})
	t.Run("that is not there yet", func(t *testing.T) {
		primary.Stop(t)
		started := make(chan struct{})
		m := *m
		m.ConnectWait = pgtest.Patience
		m.Progress = func(p migrate.Progress) {
			if p.WaitsFor != "" {
				select {
				case <-started:
				default:
					close(started)
				}
			}
		}
		done := make(chan error)
		go func() { _, err := m.Up(context.Background(), primary.MigratorConn); done <- err }()
		<-started
		primary.Start(t)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestACrashOfTheServerIsSurvived kills the server in the middle of a file: when it comes
// back in time the same start goes on, and otherwise the next one.
func TestACrashOfTheServerIsSurvived(t *testing.T) {
	t.Parallel()
	server := pgtest.OwnServer(t)
	up(t, migrator(t, server.DB, tables(1)...), server.MigratorConn)
	slow := append(tables(2), "CREATE TABLE app.slow (id int); INSERT INTO app.slow SELECT 1; "+atGate)
	m := migrator(t, server.DB, slow...)

	gate(t, server.DB) // until the crash
	done := make(chan error)
	pgtest.WithMoreTime(t, 300*time.Millisecond, func(limit time.Duration) error { // to connect at first
		applying := make(chan struct{})
		once := sync.OnceFunc(func() { close(applying) })
		m.ConnectWait, m.Progress = limit, func(p migrate.Progress) {
			if p.Phase == migrate.Applying {
				once()
			}
		}
		go func() { _, err := m.Up(context.Background(), server.MigratorConn); done <- err }()
		select {
		case err := <-done:
			return fmt.Errorf("it never connected: %w", err)
		case <-applying:
		}
		whenRunning(t, server.DB, func() { server.Kill(t) })
		err := <-done
		if _, ok := errors.AsType[*migrate.ConnectError](err); !ok {
			t.Errorf("got %v, want a ConnectError", err)
		}
		return nil
	})
	m.Progress = nil
	server.Start(t)
	if got := pgtest.Value[string](t, server.SuperConn,
		"SELECT string_agg(version::text, ',' ORDER BY version) || coalesce(to_regclass('app.slow')::text, '') FROM "+
			"app.migrations"); got != "1" && got != "1,2" {
		t.Errorf("after the crash the ledger holds %s", got)
	}

	m.ConnectWait = pgtest.Patience
	gate(t, server.DB)
	go func() { _, err := m.Up(context.Background(), server.MigratorConn); done <- err }()
	whenRunning(t, server.DB, func() { server.Kill(t); server.Start(t) })
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := pgtest.Value[int](t, server.SuperConn, "SELECT count(*) FROM app.slow"); got != 1 ||
		ledger(t, server.DB) != upTo(3) {
		t.Errorf("the slow file left %d rows, and the ledger holds %s", got, ledger(t, server.DB))
	}
}
