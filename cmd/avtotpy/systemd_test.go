package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/schema"
)

// releaseWith is the folder of a release that has one file more than this one.
func releaseWith(t *testing.T, sql string) string {
	t.Helper()
	folder := t.TempDir()
	names, err := fs.Glob(schema.Files(), "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		content, err := fs.ReadFile(schema.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	last := fmt.Sprintf("%04d_last.sql", len(names)+1)
	if err := os.WriteFile(filepath.Join(folder, last), []byte(sql), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// commandOn is the real program on a database, with some more of an environment.
func commandOn(t *testing.T, db *pgtest.DB, args []string, environ ...string) *exec.Cmd {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), own, args...)
	cmd.Args[0] = "avtotpy" // what TestMain goes by
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "AVTOTPY_MASTER_KEY=" + keyring.Generate("k1"), "AVTOTPY_LOG_FORMAT=text",
		"POSTGRES_MIGRATOR_CONNECTION_STR=" + db.MigratorConn, "POSTGRES_CONNECTION_STR=" + db.WebConn,
		"POSTGRES_MIGRATOR_UNPRIVILEGED_USER=" + db.WebRole, "POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD=" +
			db.WebPassword,
	}, environ...)
	t.Cleanup(func() {
		if cmd.Process != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it has ended, unless the test failed
		}
	})
	return cmd
}

// TestSystemdHearsOfTheWholeStart: while it takes long, through the hand-over, and
// until it stops.
func TestSystemdHearsOfTheWholeStart(t *testing.T) {
	t.Parallel()
	for name, socket := range map[string]string{
		"a path":           filepath.Join(t.TempDir(), "notify"),
		"an abstract name": "@avtotpy-test-" + pgtest.FreeAddress(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = listener.Close() }()
			db := pgtest.Migrated(t)
			blocker := db.Connect(t, db.SuperConn)
			if _, err := blocker.Exec(t.Context(), "BEGIN; LOCK TABLE avtotpy.users"); err != nil {
				t.Fatal(err)
			}
			cmd := commandOn(t, db, nil, "NOTIFY_SOCKET="+socket, "AVTOTPY_LISTEN_ADDR="+pgtest.FreeAddress(t),
				"BUNDLE="+releaseWith(t, "ALTER TABLE avtotpy.users ADD COLUMN colour text"))
			var said bytes.Buffer
			cmd.Stderr = &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			heard := hear(t, listener, fmt.Sprintf("STATUS=applying %04d_last.sql (1 of 1) for", lastVersion(t)+1))
			if _, err := blocker.Exec(t.Context(), "ROLLBACK"); err != nil {
				t.Fatal(err)
			}
			heard += hear(t, listener, "READY=1")
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			heard += hear(t, listener, "STOPPING=1")
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v, want the exit code 0:\n%s", err, &said)
			}
			if !regexp.MustCompile(`^EXTEND_TIMEOUT_USEC=\d+(?s:.)*\nREADY=1\n` +
				`STATUS=serving http://127.0.0.1:\d+\nSTOPPING=1\nSTATUS=stopping\n$`).MatchString(heard) {
				t.Errorf("it heard\n%s", heard)
			}
		})
	}
}

// hear reads messages up to one that holds a text, and returns them all.
func hear(t *testing.T, listener *net.UnixConn, until string) string {
	t.Helper()
	var all strings.Builder
	buffer := make([]byte, 4096)
	for !strings.Contains(all.String(), until) {
		if err := listener.SetReadDeadline(time.Now().Add(pgtest.Patience)); err != nil {
			t.Fatal(err)
		}
		n, err := listener.Read(buffer)
		if err != nil {
			t.Fatalf("%v after\n%s\nwithout %q", err, all.String(), until)
		}
		all.Write(buffer[:n])
		all.WriteByte('\n')
	}
	return all.String()
}
