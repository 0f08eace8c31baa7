package migrate_test

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// TestReplicasTakeEachOthersFilesForNoDrift: programs that start together with pending files
// compare the schema with its snapshot while others migrate it, and none of them reports a
// change by hand; nor do those that only look. MIGRATE_LONG=1 starts 64 of them, six times.
func TestReplicasTakeEachOthersFilesForNoDrift(t *testing.T) {
	t.Parallel()
	programs, rounds := 12, 2
	if os.Getenv("MIGRATE_LONG") != "" {
		programs, rounds = 64, 6
	}
	const n = 12
	for _, way := range []string{"direct", "pooled"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			remembered := remembering(t, migrator(t, pgtest.Blank(t), tables(n)...)).Bundle
			for range rounds {
				db := pgtest.Blank(t)
				conn := db.MigratorConn
				if way == "pooled" {
					conn = pgtest.PgBouncer(t, 8, map[string]string{"migrator": conn})["migrator"]
				}
				first := migrator(t, db, tables(2)...)
				up(t, first, db.MigratorConn)
				log := &syncBuffer{}
				var all sync.WaitGroup
				for i := range programs {
					m := migrator(t, db, tables(n)...)
					m.Bundle, m.Log = remembered, slog.New(slog.NewTextHandler(log, nil))
					all.Go(func() {
						if i%4 == 3 { // one that only looks
							if v, err := askVerify(t.Context(), m, conn); err != nil || len(v.Drift) > 0 {
								t.Errorf("verify: %v, drift %v", err, v.Drift)
							}
							return
						}
						if report, err := m.Up(t.Context(), conn); err != nil || len(report.Drift) > 0 {
							t.Errorf("got %v, drift %v", err, report.Drift)
						}
					})
				}
				all.Wait()
				if strings.Contains(log.String(), "by hand") {
					t.Errorf("drift was reported:\n%s", log.String())
				}
			}
		})
	}
}

// A syncBuffer is a log that several programs write.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// TestATransactionOfOursEndsWhenItsProgramIsFrozen: the server is told to end one in which
// nothing happens, also the one that is held open during a backup.
func TestATransactionOfOursEndsWhenItsProgramIsFrozen(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(1)...), db.MigratorConn)
	m := migrator(t, db, append(tables(1),
		`CREATE TABLE app.told AS SELECT name, setting FROM pg_settings WHERE name IN ('idle_in_transaction_session_timeout', 'client_connection_check_interval')`)...)
	m.Backup = counted(new(atomic.Int32))
	up(t, m, db.MigratorConn)
	if got := pgtest.Value[string](t, db.SuperConn,
		"SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) "+
			"FROM app.told"); got != "client_connection_check_interval=2000 idle_in_transaction_session_timeout=90000" {
		t.Errorf("a file that goes on after a backup runs with %s", got)
	}
}
