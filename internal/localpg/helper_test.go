package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// helperDir names the folder on which the test binary runs a server and waits to be killed.
const helperDir = "LOCALPG_TEST_HELPER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		runHelper(dir)
	}
	os.Exit(m.Run())
}

func runHelper(dir string) {
	s, err := Start(context.Background(), options(dir))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.command.Process.Pid)
	<-s.Done()
	os.Exit(0)
}

// options leave out what only protects from power cuts.
func options(dir string) Options {
	return Options{DataDir: dir, Settings: []string{"fsync=off", "shared_buffers=16MB"}}
}

// needServer skips a test where no PostgreSQL is installed, except in CI.
func needServer(t *testing.T) string {
	t.Helper()
	bin, err := FindBin("")
	if err == nil {
		return bin
	}
	if os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	t.Skip(err)
	return ""
}

// newDir returns a folder that does not exist yet, where the server's user can get at it.
func newDir(t *testing.T) string {
	t.Helper()
	parent := t.TempDir()
	for dir := parent; dir != filepath.Clean(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(parent, "avtotpy")
}

func start(t *testing.T, o Options) *Server {
	t.Helper()
	needServer(t)
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatalf("start on %s: %v", o.DataDir, err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// startError returns the error of a start that must fail with type T.
func startError[T error](t *testing.T, o Options) T {
	t.Helper()
	needServer(t)
	s, err := Start(t.Context(), o)
	if err == nil {
		stop(t, s)
	}
	want, ok := errors.AsType[T](err)
	if !ok {
		t.Fatalf("start: got error %v, want a %T", err, want)
	}
	return want
}

func connect(t *testing.T, conn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), conn)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func execute(t *testing.T, conn string, statements ...string) {
	t.Helper()
	c := connect(t, conn)
	for _, statement := range statements {
		if _, err := c.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	_ = c.Close(t.Context())
}

func ask[T any](t *testing.T, conn, query string) T {
	t.Helper()
	c := connect(t, conn)
	var answer T
	if err := c.QueryRow(t.Context(), query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	_ = c.Close(t.Context())
	return answer
}

// contents returns every path below dir with its mode and, for files, its text.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text := ""
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(b)
		}
		all[path] = info.Mode().String() + " " + text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// patience is how long an event is waited for; pgtest, which has the like, is made of this package.
const patience = 2 * time.Minute

// awaitEnd waits until the server has ended; its process may not have been collected yet.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		if program, _ := commandLine(t.Context(), pid); program != "postgres" {
			return
		}
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGQUIT)
			t.Fatalf("PostgreSQL, process %d, is still there %s after its parent was killed", pid, patience)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
