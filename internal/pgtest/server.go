package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/localpg"
)

// shared is the server of this process.
var shared process //nolint:gochecknoglobals // TestMain and tests have nothing else in common

// A process starts its server when the first test asks for it.
type process struct {
	start   sync.Once
	running *server
	err     error
}

type server struct {
	*localpg.Server
	dir        string
	host, port string

	migrate    sync.Once
	migrated   *DB
	migrateErr error
}

func (p *process) server(tb testing.TB) *server {
	tb.Helper()
	p.start.Do(func() { p.running, p.err = start() })
	if missing, ok := errors.AsType[*localpg.NotFoundError](p.err); ok && os.Getenv("CI") == "" {
		tb.Skip(missing)
	}
	if p.err != nil {
		tb.Fatalf("the tests' PostgreSQL: %v", p.err)
	}
	return p.running
}

func (p *process) stop() {
	if p.running == nil {
		return
	}
	if err := p.running.Stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
	}
	_ = os.RemoveAll(p.running.dir) // the next run sweeps it
}

// template returns the migrated database that is cloned.
func (s *server) template(tb testing.TB) *DB {
	tb.Helper()
	s.migrate.Do(func() { s.migrated, s.migrateErr = s.migrateTemplate() })
	if s.migrateErr != nil {
		tb.Fatalf("migrate the template database: %v", s.migrateErr)
	}
	return s.migrated
}

const folderPrefix = "avtotpy-test-"

func start() (*server, error) {
	sweep()
	dir, err := os.MkdirTemp("", folderPrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return nil, err
	}
	// Started as root, the server runs as another user, who must get through.
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // as above
		return nil, err
	}
	local, err := localpg.Start(context.Background(), localpg.Options{
		DataDir: filepath.Join(dir, "data"),
		BinDir:  Bin(),
		// Nothing here has to survive a crash.
		Settings: []string{
			"fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300",
			"shared_buffers=64MB",
		},
	})
	if err != nil {
		_ = os.RemoveAll(dir) // the error says more
		return nil, err
	}
	config, err := pgx.ParseConfig(local.SuperConn("postgres"))
	if err != nil {
		return nil, err
	}
	return &server{Server: local, dir: dir, host: config.Host, port: strconv.Itoa(int(config.Port))}, nil
}

// Bin returns the folder of the server's programs that was asked for, or "".
func Bin() string {
	if bin := os.Getenv("PGTEST_BIN"); bin != "" {
		return bin
	}
	return os.Getenv("AVTOTPY_POSTGRES_BIN")
}

// sweep removes what a killed run left.
func sweep() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*")) // the pattern is well-formed
	for _, dir := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), folderPrefix), "-")
		n, err := strconv.Atoi(pid)
		if err == nil && errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // the next run tries again
		}
	}
}

func (s *server) conn(user, database string) string {
	return fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=%s sslmode=disable", s.host, s.port, user, password,
		database)
}

func (s *server) exec(tb testing.TB, statements ...string) {
	tb.Helper()
	Exec(tb, s.SuperConn("postgres"), statements...)
}

// ServerLog returns what the tests' server has logged so far, all databases together.
func ServerLog(tb testing.TB) string {
	tb.Helper()
	// the pattern is well-formed
	logs, _ := filepath.Glob(filepath.Join(shared.server(tb).dir, "data", "log", "postgres.log*"))
	var all strings.Builder
	for _, name := range logs {
		log, err := os.ReadFile(name) //nolint:gosec // the server's own
		if err != nil {
			tb.Fatal(err)
		}
		all.Write(log)
	}
	return all.String()
}
