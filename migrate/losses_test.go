package migrate_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// TestAFileThatEndsItsOwnSessionIsNamed: what the server says is what it says when it restarts, too.
func TestAFileThatEndsItsOwnSessionIsNamed(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	said := new(pgtest.Output)
	m := migrator(t, db, tables(1)[0], "SELECT pg_terminate_backend(pg_backend_pid());")
	m.Log = slog.New(slog.NewTextHandler(said, nil))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := m.Up(ctx, db.MigratorConn); done <- err }()
	pgtest.Eventually(t, "the log names the file", func() error {
		return pgtest.Unless(strings.Contains(said.String(), "while the same file ran") &&
			strings.Contains(said.String(), "file=0002_m2.sql times=3"), "the log is %s", said)
	})
	cancel()
	if err := <-done; err == nil {
		t.Error("got no error")
	}
	for times, want := range map[int]string{2: "the server's words", 3: "3 times in a row while 0002_m2.sql ran"} {
		if err := migrate.BlamedLosses("0002_m2.sql", times); !strings.Contains(err.Error(), want) {
			t.Errorf("after %d: got %v, want %q", times, err, want)
		}
	}
}
