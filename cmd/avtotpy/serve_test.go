package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/database"
	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/observe"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
)

// serviceOf is a web server in mode SKIP that the test starts itself.
func serviceOf(t *testing.T, webConn, address string) service {
	t.Helper()
	ring, err := keyring.Parse(keyring.Generate("k1"))
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := schema.Load(schema.Files())
	if err != nil {
		t.Fatal(err)
	}
	observers, err := observe.Start(t.Context(), observe.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(observers.Close)
	return service{
		cfg:       config.Config{Mode: config.Skip, WebConn: config.Secret(webConn), ListenAddr: address},
		ring:      ring,
		migrator:  &migrate.Migrator{Bundle: bundle, Schema: schema.Name, Program: "AVTotpy", Version: "test"},
		observers: observers,
	}
}

// askReady gets /readyz, as a probe does.
func askReady(t *testing.T, s service) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	s.observers.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
	return w.Code, w.Body.String()
}

// TestTheHealthAddressIsNotReadyWithoutTheMainPort: probes on their own address send people to the main one.
func TestTheHealthAddressIsNotReadyWithoutTheMainPort(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	s := serviceOf(t, db.WebConn, taken.Addr().String())
	if err := s.serve(t.Context()); !is[*settingsError](err) {
		t.Fatalf("got %v, want that the port is taken", err)
	}
	if status, body := askReady(t, s); status != http.StatusServiceUnavailable {
		t.Errorf("the main port was never open: %d %s, want 503", status, body)
	}
}

// TestTheHealthAddressIsNotReadyWhileStopping: the main port is closed then, and the last requests are answered.
func TestTheHealthAddressIsNotReadyWhileStopping(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	address := pgtest.FreeAddress(t)
	s := serviceOf(t, db.WebConn, address)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx) }()
	pgtest.Eventually(t, "it is ready", func() error {
		status, body := askReady(t, s)
		return pgtest.Unless(status == http.StatusOK, "%d %s", status, body)
	})
	last := startRequest(t, address)
	cancel(&signalError{syscall.SIGTERM})
	pgtest.Eventually(t, "the main port is closed", func() error {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return nil //nolint:nilerr // that is what is waited for
		}
		_ = conn.Close()
		return errors.New("it is open")
	})
	if status, body := askReady(t, s); status != http.StatusServiceUnavailable ||
		!strings.Contains(body, "stopping") {
		t.Errorf("while a request is answered: %d %s, want 503 because it stops", status, body)
	}
	_ = last.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if status, body := askReady(t, s); status != http.StatusServiceUnavailable {
		t.Errorf("afterwards: %d %s, want 503", status, body)
	}
}

// startRequest returns when the server waits for the rest of a request.
func startRequest(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST /api/v1/session HTTP/1.1\r\nHost: %s\r\nSec-Fetch-Site: same-origin\r\n"+
		"Content-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n", address)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("got %q, %v, want that it reads the body", line, err)
	}
	return conn
}

// TestASlowInspectionIsNoReasonToRefuse while the database answers others, as long as the last good answer is young.
func TestASlowInspectionIsNoReasonToRefuse(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	s := serviceOf(t, db.WebConn, "")
	web, err := openDatabase(t.Context(), s.cfg, s.observers.Log())
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	slow := false
	f := &readinessCheck{
		migrator: s.migrator, db: web, log: s.observers.Log(),
		inspected: func(migrate.Status) {}, clockAhead: func(float64) {},
		prepare: func(context.Context) error { return nil },
		keys: func(ctx context.Context) error {
			if !slow {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		},
	}
	if err := f.check(t.Context()); err != nil {
		t.Fatal(err)
	}
	slow = true
	f.asked = time.Time{} // the answer is old
	if err := f.check(t.Context()); err != nil {
		t.Errorf("got %v, want that nobody waits for a slow inspection", err)
	}
	f.mu.Lock()
	inspecting := f.inspecting
	f.mu.Unlock()
	if inspecting != nil {
		<-inspecting
	}
	if err := f.check(t.Context()); err != nil {
		t.Errorf("after a slow inspection: got %v, want the good answer from before", err)
	}
	f.asked, f.readyAt = time.Time{}, time.Now().Add(-staleFor) // for too long
	if err := f.check(t.Context()); !errors.Is(err, errSlow) {
		t.Errorf("after half a minute of slow inspections: got %v, want %v", err, errSlow)
	}
}

// TestNobodyWaitsForAConnectionWithoutALimit: a request ends when others keep all of them.
func TestNobodyWaitsForAConnectionWithoutALimit(t *testing.T) {
	t.Parallel()
	s := serviceOf(t, pgtest.Migrated(t).WebConn+" pool_max_conns=1", "")
	web, err := openDatabase(t.Context(), s.cfg, s.observers.Log())
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	only, err := web.Pool().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer only.Release()
	if _, err := web.Pool().Acquire(t.Context()); database.KindOf(err) != database.Cancelled {
		t.Errorf("got %v, want that its time is over", err)
	}
	if err := web.Starved(); !is[*database.StarvedError](err) {
		t.Errorf("got %v, want that there are too few", err)
	}
}

// TestARightThatWasTakenAwayEndsReadiness until it is granted again, and a refusal that the declared rights do not
// explain does not, but is logged.
func TestARightThatWasTakenAwayEndsReadiness(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	s := serviceOf(t, db.WebConn, "")
	s.migrator.Role.Privileges = schema.Privileges()
	web, err := openDatabase(t.Context(), s.cfg, s.observers.Log())
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	said := new(pgtest.Output)
	f := readinessCheckOf(s, web, said)
	request := func(sql string) {
		t.Helper()
		_, err := web.Pool().Exec(t.Context(), sql)
		if database.KindOf(err) != database.Unprivileged {
			t.Fatalf("%s: got %v, want that it is refused", sql, err)
		}
		f.failed(err)
	}
	if err := f.check(t.Context()); err != nil {
		t.Fatal(err)
	}
	request("TRUNCATE avtotpy.sessions")
	if err := f.check(t.Context()); err != nil || strings.Count(said.String(), "level=ERROR") != 1 {
		t.Errorf("with all rights: got %v; the log is %s", err, said)
	}
	pgtest.Exec(t, db.SuperConn, "REVOKE DELETE ON avtotpy.sessions FROM "+db.WebRole)
	for range 3 {
		request("DELETE FROM avtotpy.sessions")
		if err := f.check(t.Context()); !errors.Is(err, errLacks) {
			t.Errorf("without a right: got %v, want %v", err, errLacks)
		}
	}
	if n := strings.Count(said.String(), "NOT READY"); n != 1 || !strings.Contains(said.String(), "GRANT DELETE") {
		t.Errorf("said %d times that it is not ready, want once with the SQL: %s", n, said)
	}
	pgtest.Exec(t, db.SuperConn, "GRANT DELETE ON avtotpy.sessions TO "+db.WebRole)
	pgtest.Eventually(t, "the right is there again", func() error { return f.check(t.Context()) })
	if f.lacked != nil || strings.Count(said.String(), "ready: the schema is fit now") != 1 {
		t.Errorf("afterwards: %v; the log is %s", f.lacked, said)
	}
	// A right without which the others cannot be read.
	pgtest.Exec(t, db.SuperConn, "REVOKE USAGE ON SCHEMA avtotpy FROM "+db.WebRole)
	request("SELECT count(*) FROM avtotpy.sessions")
	if err := f.check(t.Context()); !errors.Is(err, errLacks) {
		t.Errorf("without the schema: got %v, want %v", err, errLacks)
	}
	pgtest.Exec(t, db.SuperConn, "GRANT USAGE ON SCHEMA avtotpy TO "+db.WebRole)
	pgtest.Eventually(t, "the schema can be used again", func() error { return f.check(t.Context()) })
	if n := strings.Count(said.String(), "holds all that are declared"); n != 1 {
		t.Errorf("said %d times that no right is missing, want once, before one was: %s", n, said)
	}
}

// TestARefusedChangeEndsReadinessAtOnce: a good answer holds for some seconds, and not after a request has met a
// database that takes no changes; nor does the answer of an inspection that began before that.
func TestARefusedChangeEndsReadinessAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	s := serviceOf(t, db.WebConn, "")
	web, err := openDatabase(t.Context(), s.cfg, s.observers.Log())
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	during := func() {}
	f := &readinessCheck{
		migrator: s.migrator, db: web, log: s.observers.Log(),
		inspected: func(migrate.Status) {}, clockAhead: func(float64) {},
		prepare: func(context.Context) error { return nil },
		keys:    func(context.Context) error { during(); return nil },
	}
	setting := "ALTER DATABASE " + db.Name + " SET default_transaction_read_only = on"
	for name, event := range map[string]func(){
		"after an inspection": func() {
			if err := f.check(t.Context()); err != nil {
				t.Fatal(err)
			}
			pgtest.Exec(t, db.SuperConn, setting)
			f.failed(&pgconn.PgError{Code: "25006"})
		},
		"during an inspection": func() {
			during = sync.OnceFunc(func() {
				pgtest.Exec(t, db.SuperConn, setting)
				f.failed(&pgconn.PgError{Code: "25006"})
			})
			f.asked, f.readyAt = time.Time{}, time.Time{}
			_ = f.check(t.Context()) // began before that
		},
	} {
		event()
		web.Pool().Reset()
		if err := f.check(t.Context()); !errors.Is(err, errReadOnly) {
			t.Errorf("%s: got %v, want %v", name, err, errReadOnly)
		}
		pgtest.Exec(t, db.SuperConn, "SET default_transaction_read_only = off", "ALTER DATABASE "+db.Name+
			" RESET default_transaction_read_only")
		web.Pool().Reset()
		f.asked, f.readyAt = time.Time{}, time.Time{}
	}
}
