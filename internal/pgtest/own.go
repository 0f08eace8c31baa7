package pgtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/localpg"
)

// An Own is a PostgreSQL for one test alone, which may stop, kill and starve it.
type Own struct {
	*DB
	Folder string // the server's own, with the cluster in data/postgres

	options localpg.Options
	server  *localpg.Server
}

// OwnServer starts a server in a folder that the test's end removes. Settings
// are name=value.
func OwnServer(tb testing.TB, settings ...string) *Own {
	tb.Helper()
	return OwnServerOf(tb, Bin(), settings...)
}

// OwnServerOf is OwnServer with the programs in a folder: another version's, for instance.
func OwnServerOf(tb testing.TB, bin string, settings ...string) *Own {
	tb.Helper()
	folder, err := os.MkdirTemp("", "avtotpy-own-") //nolint:usetesting // TempDir is closed to the server's user
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o711); err != nil { //nolint:gosec // as above
		tb.Fatal(err)
	}
	o := &Own{Folder: folder, options: localpg.Options{
		DataDir: filepath.Join(folder, "data"), BinDir: bin,
		Settings: append(settings, "shared_buffers=16MB"),
	}}
	o.Start(tb)
	tb.Cleanup(func() { o.Stop(tb) })
	return o
}

// Start starts the server, again.
func (o *Own) Start(tb testing.TB) {
	tb.Helper()
	s, err := localpg.Start(context.Background(), o.options)
	if _, missing := errors.AsType[*localpg.NotFoundError](err); missing && os.Getenv("CI") == "" {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	o.server = s
	o.DB = &DB{
		Name: "avtotpy", SuperConn: s.SuperConn("avtotpy"), MigratorConn: s.MigratorConn(),
		WebConn: s.WebConn(), WebRole: s.WebRole(), WebPassword: s.WebPassword(),
	}
}

// Stop stops the server in order.
func (o *Own) Stop(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := o.server.Stop(ctx); err != nil {
		tb.Error(err)
	}
}

// Kill ends the server as a crash does, and returns when it is gone.
func (o *Own) Kill(tb testing.TB) {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join(o.cluster(), "postmaster.pid"))
	if err != nil {
		tb.Fatal(err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		tb.Fatal(err)
	}
	// without writing anything out; SIGKILL would leave its children for a moment
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		tb.Fatal(err)
	}
	<-o.server.Done()
}

// Revive waits until a server that is crashing, or has crashed, answers again, and starts
// it when it has ended.
func (o *Own) Revive(tb testing.TB) {
	tb.Helper()
	Eventually(tb, "the server answers after its crash", func() error {
		select {
		case <-o.server.Done():
			o.Start(tb)
		default:
		}
		conn, err := pgx.Connect(tb.Context(), o.SuperConn)
		if err == nil {
			err = conn.Close(tb.Context())
		}
		return err
	})
}

func (o *Own) cluster() string { return filepath.Join(o.options.DataDir, "postgres") }
