package rehearse_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/rehearse"
)

// TestAMigrationReportsItsImpact on the data that is there, over the role that migrates in production, while the
// service is connected: with a file that rewrites a table, one that builds an index, one that does so without a
// transaction, and a backup before them, for which the first file shares a transaction.
func TestAMigrationReportsItsImpact(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	history := []string{tables(1)[0] + "CREATE TABLE app.other (id int)"}
	up(t, migrator(t, db, history...), db.MigratorConn)
	pgtest.Exec(t, db.MigratorConn, "INSERT INTO app.t1 SELECT generate_series(2, 5000)")
	db.Connect(t, db.WebConn)
	steps := []struct{ sql, want string }{
		{
			"ALTER TABLE app.t1 ADD COLUMN c uuid NOT NULL DEFAULT gen_random_uuid()",
			"AccessExclusiveLock table t1, rewrites t1",
		},
		{"CREATE INDEX t1_c ON app.t1 (c)", "ShareLock table t1"},
		{"-- migrate:no-transaction\nREINDEX TABLE CONCURRENTLY app.t1", "ShareUpdateExclusiveLock table t1"},
		{
			"-- migrate:no-transaction\nREINDEX INDEX app.t1_c",
			"AccessExclusiveLock index t1_c of t1, ShareLock table t1",
		},
		{"-- migrate:no-transaction\nVACUUM (VERBOSE false, FULL) app.t1", "AccessExclusiveLock table t1, rewrites t1"},
		{"-- migrate:no-transaction\nVACUUM FREEZE app.t1", "ShareUpdateExclusiveLock table t1"},
		{
			"-- migrate:no-transaction\nREINDEX (CONCURRENTLY) SCHEMA app",
			"ShareUpdateExclusiveLock table other, ShareUpdateExclusiveLock table t1",
		},
		{"-- migrate:no-transaction\nDROP INDEX CONCURRENTLY app.t1_c", "ShareUpdateExclusiveLock table t1"},
		{"UPDATE app.t1 SET c = gen_random_uuid() WHERE id = 1", "RowExclusiveLock table t1"},
	}
	sql := history
	for _, s := range steps {
		sql = append(sql, s.sql)
	}
	m := migrator(t, db, sql...)
	m.Probe = rehearse.Probe(m.Schema)
	m.Backup = func(context.Context, migrate.Status) error { return nil }
	files := rehearse.Files(m.Bundle, up(t, m, db.MigratorConn).Applied)
	if len(files) != len(steps) {
		t.Fatalf("%d files, want %d", len(files), len(steps))
	}
	for i, s := range steps {
		f := files[i]
		if got := describe(f); got != s.want {
			t.Errorf("%s\ngot  %s\nwant %s", s.sql, got, s.want)
		}
		if f.Version != i+2 || f.File == "" || f.Elapsed <= 0 || f.WAL <= 0 || f.Unmeasured {
			t.Errorf("%s: %+v", s.sql, f)
		}
	}
	const atLeast = 100_000 // bytes of 5,000 rows
	if rewrite := files[0].WAL; rewrite < atLeast {
		t.Errorf("WAL of the rewrite %d, want at least %d", rewrite, atLeast)
	}
}

// TestAnImpactThatCannotBeMeasuredCostsNoMigration: a DBA may have taken a catalogue from every role.
func TestAnImpactThatCannotBeMeasuredCostsNoMigration(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	pgtest.Exec(t, db.SuperConn, "REVOKE ALL ON FUNCTION pg_current_wal_insert_lsn() FROM PUBLIC")
	m := migrator(t, db, tables(2)...)
	m.Probe = rehearse.Probe(m.Schema)
	var warning string
	m.Log = pgtest.LogTo(func(r slog.Record) {
		if r.Level == slog.LevelWarn {
			r.Attrs(func(a slog.Attr) bool { warning += fmt.Sprint(a.Value); return true })
		}
	})
	files := rehearse.Files(m.Bundle, up(t, m, db.MigratorConn).Applied)
	if len(files) != 2 || !files[0].Unmeasured || !files[1].Unmeasured || files[1].Elapsed <= 0 {
		t.Errorf("%+v, want two files that were applied and not measured", files)
	}
	if want := "pg_current_wal_insert_lsn"; !strings.Contains(warning, want) {
		t.Errorf("the log warns of %q, want that it names %s", warning, want)
	}
}
