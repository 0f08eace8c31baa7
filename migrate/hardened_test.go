package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// TestWithoutAnythingOfTheServersEachStepSaysWhatItNeeds takes every function and every catalogue
// of the server from everybody, and then gives back what each message asks for and nothing else:
// with that alone each kind of work goes through, and no statement of ours fails without the SQL.
// A statement that is new is covered as soon as one of these steps sends it.
//
// With AVTOTPY_LONG=1 each step starts from nothing, and not from what looking needs.
func TestWithoutAnythingOfTheServersEachStepSaysWhatItNeeds(t *testing.T) {
	t.Parallel()
	type step func(context.Context, *migrate.Migrator, *pgtest.DB) error
	start := func(ctx context.Context, m *migrate.Migrator, db *pgtest.DB) error {
		_, err := m.Up(ctx, db.MigratorConn)
		return err
	}
	first := func(t *testing.T, m *migrate.Migrator, db *pgtest.DB, also ...string) {
		t.Helper()
		older := *m
		older.Bundle = migrator(t, db, table).Bundle
		up(t, &older, db.MigratorConn)
		pgtest.Exec(t, db.SuperConn, also...)
	}
	holds := func(t *testing.T, db *pgtest.DB, sql string) {
		t.Helper()
		if _, err := db.Connect(t, db.SuperConn+" application_name=blocker").Exec(t.Context(), "BEGIN; "+
			sql); err != nil {
			t.Fatal(err)
		}
	}
	busy := func(err error) error { // blocked, and by whom
		held, ok := errors.AsType[*migrate.BusyError](err)
		if ok {
			err = pgtest.Unless(strings.Contains(held.Blocker, "blocker (pid "), "again: %w", err)
		}
		return err
	}
	cases := map[string]struct {
		before func(*testing.T, *migrate.Migrator, *pgtest.DB) // with all rights
		do     []step
	}{
		"a first start": {nil, []step{start}},
		"a second start, a plan, a history, an audit and a snapshot": {
			func(t *testing.T, m *migrate.Migrator, db *pgtest.DB) { t.Helper(); up(t, m, db.MigratorConn) },
			[]step{
				start,
				func(ctx context.Context, m *migrate.Migrator, db *pgtest.DB) error {
					_, err := askPlan(ctx, m, db.MigratorConn)
					return err
				},
				func(ctx context.Context, m *migrate.Migrator, db *pgtest.DB) error {
					_, _, err := askHistory(ctx, m, db.MigratorConn)
					return err
				},
				func(ctx context.Context, m *migrate.Migrator, db *pgtest.DB) error {
					_, err := takeSnapshot(ctx, m, db.MigratorConn)
					return err
				},
				func(ctx context.Context, m *migrate.Migrator, db *pgtest.DB) error {
					_, err := askVerify(ctx, m, db.MigratorConn)
					return err
				},
			},
		},
		"the service's looks": {
			func(t *testing.T, m *migrate.Migrator, db *pgtest.DB) { t.Helper(); up(t, m, db.MigratorConn) },
			[]step{
				func(ctx context.Context, m *migrate.Migrator, db *pgtest.DB) error {
					_, err := askStatus(ctx, m, db.WebConn)
					return err
				},
				func(ctx context.Context, m *migrate.Migrator, db *pgtest.DB) error {
					own := *m
					own.Role.Name = ""
					_, err := askAudit(ctx, &own, db.WebConn)
					return err
				},
			},
		},
		"a wait for another migrator": {
			func(t *testing.T, m *migrate.Migrator, db *pgtest.DB) {
				t.Helper()
				first(t, m, db)
				holds(t, db, "LOCK TABLE app.migrations IN SHARE ROW EXCLUSIVE MODE")
				m.Wait = 20 * time.Millisecond
			},
			[]step{func(ctx context.Context, m *migrate.Migrator,
				db *pgtest.DB,
			) error {
				return busy(start(ctx, m, db))
			}},
		},
		"a look at a ledger that is locked": {
			func(t *testing.T, m *migrate.Migrator, db *pgtest.DB) {
				t.Helper()
				first(t, m, db)
				holds(t, db, "LOCK TABLE app.migrations")
				m.LockTimeout = 20 * time.Millisecond
			},
			[]step{func(ctx context.Context, m *migrate.Migrator, db *pgtest.DB) error {
				_, err := askStatus(ctx, m, db.MigratorConn)
				if held, ok := errors.AsType[*migrate.BusyError](err); ok && held.Blocker == "" {
					return nil // who it is stays unknown, and the message says where to look
				}
				return busy(err)
			}},
		},
		"a claim that is taken over": {
			func(t *testing.T, m *migrate.Migrator, db *pgtest.DB) {
				t.Helper()
				first(t, m, db, claimOf2(m), "CREATE UNIQUE INDEX t1_a ON app.t1 (a)",
					"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.t1_a'::regclass",
					"ALTER INDEX app.t1_a OWNER TO "+db.Migrator())
			}, []step{start},
		},
		"a repair": {
			func(t *testing.T, m *migrate.Migrator, db *pgtest.DB) {
				t.Helper()
				remembering(t, m)
				up(t, m, db.MigratorConn)
				pgtest.Exec(t, db.SuperConn, "DELETE FROM app.migrations WHERE version = 2 OR version = 3",
					"ALTER TABLE app.migrations DROP CONSTRAINT migrations_pkey CASCADE")
			},
			[]step{func(ctx context.Context, m *migrate.Migrator, db *pgtest.DB) error {
				_, err := m.Repair(ctx, db.MigratorConn, migrate.RepairOptions{Write: true})
				return err
			}},
		},
	}
	const looks = "a second start, a plan, a history, an audit and a snapshot"
	var looksNeed []string // which each of the others needs, too; only the long form has them ask for it again
	try := func(t *testing.T, name string) {
		t.Helper()
		db := rehearsing(t)
		m := migrator(t, db, table, indexAlone,
			"CREATE TABLE app.t2 (id int PRIMARY KEY); INSERT INTO app.t2 VALUES (1)")
		steps := cases[name].do
		if cases[name].before != nil {
			cases[name].before(t, m, db)
		}
		pgtest.Exec(t, db.SuperConn, "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pg_catalog FROM PUBLIC",
			"REVOKE ALL ON ALL TABLES IN SCHEMA pg_catalog FROM PUBLIC")
		if os.Getenv("AVTOTPY_LONG") == "" {
			pgtest.Exec(t, db.SuperConn, looksNeed...)
		}
		given, before := 0, ""
		for tries := 0; len(steps) > 0; tries++ {
			err := steps[0](t.Context(), m, db)
			if err == nil {
				steps = steps[1:]
				continue
			}
			if _, ok := errors.AsType[*migrate.BusyError](err); ok && tries < 1000 { // it had no time to ask
				continue
			}
			_, sql, found := strings.Cut(err.Error(), "A DBA can run:\n  ")
			if !found || !strings.Contains(sql, "GRANT ") || sql == before ||
				strings.Contains(err.Error(), "ALTER SCHEMA") {
				t.Errorf("after %d grants: %v; want the SQL that gives back what is lacking", given, err)
				break
			}
			given, before = given+1, sql
			sql = sql[:strings.LastIndex(sql, ";")+1]
			pgtest.Exec(t, db.SuperConn, sql)
			if name == looks {
				looksNeed = append(looksNeed, strings.NewReplacer(`"`+db.Migrator()+`"`, "PUBLIC").Replace(sql))
			}
		}
		if given == 0 && (name == looks || os.Getenv("AVTOTPY_LONG") != "") {
			t.Error("it needed nothing, so nothing was tried")
		}
	}
	try(t, looks)
	for name := range cases {
		if name != looks {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				try(t, name)
			})
		}
	}
}

// TestAHeartbeatThatIsRefusedSaysSo: a migration goes on without it, and the log has the SQL.
func TestAHeartbeatThatIsRefusedSaysSo(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(1)...), db.MigratorConn)
	for _, c := range []struct{ sql, want string }{
		{"REVOKE ALL ON FUNCTION pg_blocking_pids(int) FROM PUBLIC", "pg_blocking_pids"},
		{"REVOKE ALL ON pg_stat_progress_create_index FROM PUBLIC", "pg_stat_progress_create_index"},
	} {
		pgtest.Exec(t, db.SuperConn, c.sql)
		pgtest.WithMoreTime(t, 200*time.Millisecond, func(limit time.Duration) error {
			var log pgtest.Output
			m := migrator(t, db, append(tables(1), fmt.Sprintf("DO $$ BEGIN PERFORM pg_sleep(%f); RAISE 'no'; END $$",
				limit.Seconds()))...)
			m.Log, m.Heartbeat = slog.New(slog.NewTextHandler(&log, nil)), 10*time.Millisecond
			_, _ = m.Up(t.Context(), db.MigratorConn)
			return pgtest.Unless(strings.Contains(log.String(), "cannot be shown") &&
				strings.Contains(log.String(), strings.ReplaceAll(c.want, `"`, `\"`)), "the log lacks %s:\n%s", c.want,
				log.String())
		})
		pgtest.Exec(t, db.SuperConn, strings.NewReplacer("REVOKE", "GRANT", "FROM", "TO").Replace(c.sql))
	}
}

// TestWhatTheServerKeepsFromEverybodyIsNotAskedFor: no advice gives the role what no role has by default.
func TestWhatTheServerKeepsFromEverybodyIsNotAskedFor(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	pgtest.Exec(t, db.SuperConn, "REVOKE EXECUTE ON FUNCTION md5(text) FROM PUBLIC",
		"REVOKE SELECT ON pg_tables FROM PUBLIC")
	for _, c := range []struct {
		statement string
		advised   bool
	}{
		{"SELECT pg_read_file('postgresql.conf')", false},
		{"SELECT pg_ls_dir('.')", false},
		{"SELECT rolpassword FROM pg_authid", false},
		{"SELECT md5('x')", true},
		{"SELECT count(*) FROM pg_tables", true},
	} {
		_, err := migrator(t, db, c.statement).Up(t.Context(), db.MigratorConn)
		if err == nil || strings.Contains(err.Error(), "as every role may by default") != c.advised ||
			strings.Contains(err.Error(), "GRANT ") != c.advised {
			t.Errorf("%s: got %v; advised %t", c.statement, err, c.advised)
		}
	}
}
