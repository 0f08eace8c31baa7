package migrate_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
)

func TestAFileOf50MegabytesIsApplied(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	const rows, length = 1000, 50_000
	var sql strings.Builder
	sql.WriteString("CREATE TABLE app.t1 (id int, filler text);\n")
	for i := range rows {
		fmt.Fprintf(&sql, "INSERT INTO app.t1 VALUES (%d, '%s');\n", i, strings.Repeat("ж", length/2))
	}
	if report := up(t, migrator(t, db, sql.String(), "SELECT 1"), db.MigratorConn); report.To != 2 {
		t.Errorf("report %+v", report)
	}
	if got := pgtest.Value[string](t, db.SuperConn,
		"SELECT count(*) || ' rows of ' || sum(octet_length(filler)) FROM app.t1"); got != "1000 rows of 50000000" {
		t.Errorf("got %s, want 1000 rows of 50000000", got)
	}
}

// TestAFileThatNoServerTakesIsRefusedUnread: the file is a hole of 1 GiB.
func TestAFileThatNoServerTakesIsRefusedUnread(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "0001_huge.sql")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, 1<<30)); err != nil {
		t.Fatal(err)
	}
	_, err := bundle.Load(os.DirFS(folder))
	if _, bad := errors.AsType[*bundle.Error](err); !bad ||
		err.Error() != "0001_huge.sql: is longer than the 1 GiB that PostgreSQL takes as one message; split it" {
		t.Errorf("got %v, want only that it is too long", err)
	}
}

// TestCheckoutsWithOtherLineEndsTakeTurns on one database: they are the same bundle.
func TestCheckoutsWithOtherLineEndsTakeTurns(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	unix := []string{
		"CREATE TABLE app.t1 (id int);\n-- a comment\nINSERT INTO app.t1\nVALUES (1);\n",
		"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY i\n  ON app.t1 (id);\n", "SELECT 1;\n",
		"-- migrate:min-version 4\nSELECT\n2;\n",
	}
	for n := 1; n <= len(unix); n++ {
		windows := make([]string, n)
		for i := range windows {
			windows[i] = strings.ReplaceAll(unix[i], "\n", "\r\n")
		}
		turns := [][]string{unix[:n], windows}
		if n%2 == 0 {
			turns[0], turns[1] = turns[1], turns[0]
		}
		first := remembering(t, migrator(t, db, turns[0]...))
		second := migrator(t, db, turns[1]...)
		if report := up(t, first, db.MigratorConn); report.To != n || len(report.Applied) != 1 {
			t.Errorf("version %d: %+v, want it applied", n, report)
		}
		if report := up(t, second, db.MigratorConn); report.State != migrate.Current {
			t.Errorf("version %d, with the other line ends: found %s", n, report.State)
		}
		if v, err := askVerify(t.Context(), first, db.MigratorConn); err != nil || v.Err() != nil {
			t.Errorf("version %d: verify found %v, %v", n, err, v.Err())
		}
	}
}

// TestTablesOfOtherToolsBesideAreNoMatter as long as they do not stand where ours belong.
func TestTablesOfOtherToolsBesideAreNoMatter(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	pgtest.Exec(t, db.SuperConn, "CREATE TABLE public.schema_migrations (version bigint PRIMARY KEY, dirty boolean)",
		"INSERT INTO public.schema_migrations VALUES (7, true)",
		"CREATE TABLE public.migrations (id int)", "CREATE TABLE public.goose_db_version (id int)")
	up(t, migrator(t, db, tables(1)...), db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, "CREATE TABLE app.schema_migrations (version bigint PRIMARY KEY, dirty boolean)")
	if report := up(t, migrator(t, db, tables(2)...), db.MigratorConn); report.To != 2 {
		t.Errorf("report %+v", report)
	}

	other := pgtest.Blank(t)
	pgtest.Exec(t, other.MigratorConn, "CREATE SCHEMA app CREATE TABLE migrations (id int, name text)",
		"INSERT INTO app.migrations VALUES (1, 'theirs')")
	_, err := migrator(t, other, tables(1)...).Up(t.Context(), other.MigratorConn)
	if lost, ok := errors.AsType[*migrate.LedgerLostError](err); !ok || !lost.Foreign ||
		!strings.Contains(err.Error(), "Rename that table, or choose another schema") {
		t.Errorf("got %v, want that another tool's table stands there", err)
	}
	if got := pgtest.Value[string](t, other.SuperConn, "SELECT name FROM app.migrations"); got != "theirs" {
		t.Errorf("their table holds %q", got)
	}
}

// TestALedgerThatSomebodyAlteredIsToldFromAnotherToolsTable, noticed before anything is
// applied, and repaired.
func TestALedgerThatSomebodyAlteredIsToldFromAnotherToolsTable(t *testing.T) {
	t.Parallel()
	bundle := remembering(t, migrator(t, pgtest.Blank(t), tables(3)...)).Bundle
	for _, change := range []string{
		"DROP COLUMN version CASCADE", "DROP COLUMN prev", "DROP COLUMN applied_at", "DROP COLUMN app_version",
		"DROP COLUMN rebuilt", "DROP COLUMN claimed_by_start",
		"RENAME COLUMN name TO title", "ALTER checksum TYPE text",
	} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			m := migrator(t, db, tables(3)...)
			up(t, migrator(t, db, tables(2)...), db.MigratorConn)
			pgtest.Exec(t, db.SuperConn, "ALTER TABLE app.migrations DROP CONSTRAINT migrations_checksum_check, "+
				"DROP CONSTRAINT migrations_prev_fkey, DROP CONSTRAINT migrations_prev_check",
				"ALTER TABLE app.migrations "+change)
			m.Bundle, m.RepairCommand = bundle, "mend it"
			report, err := m.Up(t.Context(), db.MigratorConn)
			lost, ok := errors.AsType[*migrate.LedgerLostError](err)
			if !ok || lost.Foreign || !strings.Contains(err.Error(), "a column is missing, or has another type") ||
				!strings.Contains(err.Error(), `"mend it" shows`) || len(report.Applied) > 0 {
				t.Errorf("got %v, want that the ledger is not as it was made, and how to repair it", err)
			}
			if _, rows, err := askHistory(t.Context(), m, db.MigratorConn); err != nil || len(rows) > 0 {
				t.Errorf("history: got %v, %v, want no rows", rows, err)
			}
			if repair, err := m.Repair(t.Context(), db.MigratorConn, migrate.RepairOptions{Write: true}); err != nil ||
				!repair.Written || !repair.Table || repair.Version != 2 {
				t.Errorf("repair: %+v, %v", repair, err)
			}
			if report := up(t, m, db.MigratorConn); report.From != 2 || report.To != 3 {
				t.Errorf("after the repair: %+v", report)
			}
			if v, err := askVerify(t.Context(), m, db.MigratorConn); err != nil || v.Err() != nil {
				t.Errorf("after the repair verify found %v, %v", err, v.Err())
			}
		})
	}
}

// TestALedgerThatRefusesARowIsNotTheFilesFault: here an index that somebody made, which
// is no damage otherwise, does not take the row of the fourth file.
func TestALedgerThatRefusesARowIsNotTheFilesFault(t *testing.T) {
	t.Parallel()
	for _, next := range []string{
		"SELECT 1",
		"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY t1_late ON app.t1 (id)",
	} {
		db := pgtest.Blank(t)
		files := append(tables(1), "SELECT 2", "SELECT 3", next)
		up(t, migrator(t, db, files[:2]...), db.MigratorConn)
		pgtest.Exec(t, db.SuperConn, `CREATE FUNCTION app.refuses(version int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
			IF version = 4 THEN RAISE EXCEPTION 'null value in column "note"' USING ERRCODE = 'not_null_violation'; END IF; RETURN 1; END $$`,
			"CREATE INDEX refuses ON app.migrations (app.refuses(version))")
		report, err := migrator(t, db, files...).Up(t.Context(), db.MigratorConn)
		if _, ok := errors.AsType[*migrate.LedgerLostError](err); !ok ||
			!strings.Contains(err.Error(), "does not take the row of 0004_m4.sql") || report.To != 3 {
			t.Errorf("got %v, want that somebody changed the ledger's table", err)
		}
		pgtest.Exec(t, db.SuperConn, "DROP INDEX app.refuses")
		up(t, migrator(t, db, files...), db.MigratorConn)
	}
}
