package localpg

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/sqlstate"
)

func TestFirstStartMakesEverything(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := start(t, options(dir))
	for _, name := range []string{"superuser-password", "migrator-password", "web-password", "master-key"} {
		info, err := os.Stat(filepath.Join(dir, "secrets", name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("mode of %s: got %o, want 600", name, got)
		}
	}
	for _, private := range []string{"secrets", "log", "postgres", s.sockets} {
		if !filepath.IsAbs(private) {
			private = filepath.Join(dir, private)
		}
		info, err := os.Stat(private)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o700 {
			t.Errorf("mode of %s: got %o, want 700", private, got)
		}
	}
	id, key, _ := strings.Cut(s.MasterKey(), ":")
	raw, err := base64.StdEncoding.DecodeString(key)
	if !regexp.MustCompile(`^k\d{8}$`).MatchString(id) || err != nil || len(raw) != 32 {
		t.Errorf("master key: got id %q and %d bytes (%v), want kYYYYMMDD and 32 bytes", id, len(raw), err)
	}
	for query, want := range map[string]string{
		"SHOW server_encoding":            "UTF8",
		"SHOW data_checksums":             "on",
		"SHOW listen_addresses":           "",
		"SHOW unix_socket_permissions":    "0700",
		"SHOW fsync":                      "off", // Settings win
		"SELECT current_database()::text": "avtotpy",
	} {
		if got := ask[string](t, s.SuperConn("avtotpy"), query); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

func TestNothingListensOnTCP(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	start(t, options(dir))
	// Line 6 of postmaster.pid is the first address the server listens on.
	lines := strings.Split(read(t, filepath.Join(dir, "postgres", "postmaster.pid")), "\n")
	if lines[5] != "" {
		t.Errorf("the server listens on %q, want no address", lines[5])
	}
}

func TestMigratorIsWeakAndCanDoItsWork(t *testing.T) {
	t.Parallel()
	s := start(t, options(newDir(t)))
	for query, want := range map[string]bool{
		`SELECT rolsuper OR rolcreatedb OR rolreplication OR rolbypassrls
			FROM pg_roles WHERE rolname = current_user`: false,
		`SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user`:                                   false,
		`SELECT pg_get_userbyid(datdba) = current_user FROM pg_database WHERE datname = current_database()`: false,
		`SELECT has_database_privilege('public', current_database(), 'CONNECT')`:                            false,
		`SELECT has_database_privilege('public', current_database(), 'TEMPORARY')`:                          false,
		`SELECT has_database_privilege(current_database(), 'CREATE')`:                                       true,
		`SELECT has_database_privilege(current_database(), 'CONNECT WITH GRANT OPTION')`:                    true,
		`SELECT has_database_privilege(current_database(), 'CREATE WITH GRANT OPTION')`:                     false,
	} {
		if got := ask[bool](t, s.MigratorConn(), query); got != want {
			t.Errorf("as the migrator, %s: got %t, want %t", query, got, want)
		}
	}
	execute(t, s.MigratorConn(), `CREATE SCHEMA avtotpy`)
	c := connect(t, s.MigratorConn())
	for _, statement := range []string{ // with CREATEROLE, PostgreSQL 15 would take the first three
		`GRANT pg_execute_server_program TO avtotpy_migrator`, `GRANT pg_read_server_files TO avtotpy_migrator`,
		`CREATE ROLE another`,
		`ALTER ROLE avtotpy_migrator CREATEROLE`, `COPY (SELECT 1) TO PROGRAM 'true'`,
	} {
		_, err := c.Exec(t.Context(), statement)
		if sqlstate.Of(err) != sqlstate.InsufficientPrivilege {
			t.Errorf("as the migrator, %s: got %v, want insufficient_privilege", statement, err)
		}
	}

	if got := ask[string](t, s.WebConn(), `SELECT current_user::text`); got != s.WebRole() {
		t.Errorf("web connection: got user %q, want %q", got, s.WebRole())
	}
	if _, err := pgx.Connect(t.Context(), strings.ReplaceAll(s.WebConn(), s.WebPassword(), "wrong")); err == nil {
		t.Error("a wrong password connects")
	}
}

func TestSecondStartKeepsDataAndSecrets(t *testing.T) {
	t.Parallel()
	o := options(newDir(t))
	first := start(t, o)
	execute(t, first.MigratorConn(), `CREATE SCHEMA kept`, `CREATE TABLE kept.t AS SELECT 42 AS n`)
	stop(t, first)
	second := start(t, o)
	if first.secrets != second.secrets {
		t.Error("the secrets changed")
	}
	if got := ask[int](t, second.MigratorConn(), `SELECT n FROM kept.t`); got != 42 {
		t.Errorf("kept row: got %d, want 42", got)
	}
}

func TestSecondInstanceOnTheSameFolderIsRefused(t *testing.T) {
	t.Parallel()
	o := options(newDir(t))
	first := start(t, o)
	locked := startError[*LockedError](t, o)
	if want := strings.TrimSpace(read(t, filepath.Join(o.DataDir, "lock"))); locked.PID != want || want == "" {
		t.Errorf("holder: got %q, want %q", locked.PID, want)
	}
	if got := ask[int](t, first.MigratorConn(), `SELECT 1`); got != 1 {
		t.Errorf("the first instance: got %d, want 1", got)
	}
}

func TestLongFolderNamesWork(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(newDir(t), strings.Repeat("long ", 30), "it's")
	s := start(t, options(dir))
	if strings.HasPrefix(s.sockets, dir) {
		t.Errorf("socket folder %q does not fit", s.sockets)
	}
	if got := ask[int](t, s.MigratorConn(), `SELECT 1`); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
	stop(t, s)
	if _, err := os.Stat(s.sockets); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Stop the socket folder is still there: %v", err)
	}
}

func TestStopMayBeCalledFromManyGoroutines(t *testing.T) {
	t.Parallel()
	s := start(t, options(newDir(t)))
	if err := s.Err(); err != nil {
		t.Errorf("Err of a running server: got %v, want nil", err)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() { stop(t, s) })
	}
	wait.Wait()
	<-s.Done()
	if err := s.Err(); err != nil {
		t.Errorf("Err after Stop: got %v, want nil", err)
	}
}

func TestStopInAHurryLeavesNoServer(t *testing.T) {
	t.Parallel()
	o := options(newDir(t))
	s := start(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Stop: got %v, want %v", err, context.Canceled)
	}
	<-s.Done()
	start(t, o)
}

func TestAServerThatCannotStartShowsItsLog(t *testing.T) {
	t.Parallel()
	o := options(newDir(t))
	o.Settings = append(o.Settings, "work_mem=nonsense")
	stopped := startError[*StoppedError](t, o)
	if !strings.Contains(stopped.Error(), "work_mem") ||
		!strings.Contains(stopped.Error(), filepath.Join("log", "postgres.log")) {
		t.Errorf("error: got %q, want the server's last lines and the path of the log", stopped)
	}
	start(t, options(o.DataDir)) // the half-finished first start is no obstacle
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	needServer(t)
	o := options(newDir(t))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s, err := Start(ctx, o)
	if err == nil {
		stop(t, s)
		t.Skip("it started within 50 ms")
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	start(t, o)
}
