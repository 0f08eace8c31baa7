package migrate_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// probed are files of every kind that a probe goes with: one that returns rows itself, one that moves the search_path
// and sets a timeout, one without a transaction. Each makes one relation.
func probed() []string {
	return append(tables(70), // more than one window
		"SELECT generate_series(1, 1000); CREATE TABLE app.r (); VALUES (1), (2)",
		"SET LOCAL search_path = ''; SET LOCAL statement_timeout = '1min'; CREATE TABLE app.s ()",
		"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY t1_i ON app.t1 (id)",
		"CREATE TABLE app.last ()")
}

// relationsMade counts what the files of probed have made so far.
const relationsMade = `SELECT to_json(count(*)) FROM pg_class c WHERE relnamespace = to_regnamespace('app')
	AND (relkind = 'r' AND relname <> 'migrations' OR relname = 't1_i') -- a comment`

func TestEachFileCarriesWhatTheProbeReturned(t *testing.T) {
	t.Parallel()
	for name, pooled := range map[string]bool{"directly": false, "through a pooler": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			conn := db.MigratorConn
			if pooled {
				conn = pgtest.PgBouncer(t, 2, map[string]string{"migrator": conn})["migrator"]
			}
			m := migrator(t, db, probed()...)
			m.Probe = relationsMade
			m.Backup = func(context.Context, migrate.Status) error { return nil }
			first := *m
			first.Bundle = m.Bundle.UpTo(3) // the others keep the turn for their backup
			applied := append(up(t, &first, conn).Applied, up(t, m, conn).Applied...)
			for i, a := range applied {
				if string(a.Before) != strconv.Itoa(i) || string(a.After) != strconv.Itoa(i+1) {
					t.Errorf("file %d: before %s and after %s, want %d and %d", a.Version, a.Before, a.After, i, i+1)
				}
			}
			if len(applied) != m.Bundle.Version() {
				t.Errorf("%d files were applied, want %d", len(applied), m.Bundle.Version())
			}
		})
	}
}

func TestWithoutAProbeNothingIsCarried(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	for _, a := range up(t, migrator(t, db, probed()...), db.MigratorConn).Applied {
		if a.Before != nil || a.After != nil {
			t.Errorf("file %d: before %s and after %s, want nothing", a.Version, a.Before, a.After)
		}
	}
}

// TestAProbeThatFailsCostsNoMigration, wherever it fails: the log warns, and all files are applied, the ones after it
// without its values.
func TestAProbeThatFailsCostsNoMigration(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		probe    string
		measured int // how many files have values
	}{
		"always":          {"SELECT 1/0", 0},
		"it is not SQL":   {"SELECT 'one of two quotes", 0},
		"it is not JSON":  {"SELECT 'x'", 0},
		"it is forbidden": {"SELECT to_json(rolpassword) FROM pg_authid", 0},
		"after the file that makes t3": {
			"SELECT to_json(1 / (1 - count(*))) FROM pg_class WHERE oid = to_regclass('app.t3')", 2,
		},
		"before the file after t1_i": {
			"SELECT to_json(1 / (1 - count(*))) FROM pg_class WHERE oid = to_regclass('app.t1_i')", 72,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			m := migrator(t, db, probed()...)
			m.Probe = c.probe
			warnings := 0
			m.Log = pgtest.LogTo(func(r slog.Record) {
				if r.Level == slog.LevelWarn {
					warnings++
				}
			})
			report := up(t, m, db.MigratorConn)
			measured := 0
			for _, a := range report.Applied {
				if a.Before != nil && a.After != nil {
					measured++
				}
			}
			if len(report.Applied) != m.Bundle.Version() || measured != c.measured || warnings != 1 {
				t.Errorf("%d files applied, %d measured, %d warnings; want %d, %d and 1", len(report.Applied), measured,
					warnings, m.Bundle.Version(), c.measured)
			}
			if m.Probe != c.probe {
				t.Error("the Migrator's own probe was changed")
			}
		})
	}
}

func TestAFileThatFailsIsNamedWithAProbe(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"SELECT 1;\n  SELECT nonsense": "0002_m2.sql:2:10: statement 2 of 2: column \"nonsense\" does not exist",
		"CREATE TABLE app.d (id int PRIMARY KEY, up int REFERENCES app.d DEFERRABLE INITIALLY DEFERRED); " +
			"INSERT INTO app.d VALUES (1, 2)": "0002_m2.sql: at its commit: insert or update on table \"d\"",
		"DO $$ BEGIN DELETE FROM app.migrations; END $$": "0002_m2.sql: the file deleted its own row",
	} {
		db := pgtest.Blank(t)
		m := migrator(t, db, tables(1)[0], sql)
		m.Probe = relationsMade
		_, err := m.Up(t.Context(), db.MigratorConn)
		failed, ok := errors.AsType[*migrate.MigrationError](err)
		if !ok || failed.Version != 1 || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}
