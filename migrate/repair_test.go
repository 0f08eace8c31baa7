package migrate_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
)

// story is a history in which the third file changes only rows, so that versions 2 and
// 3 make the same schema.
var story = []string{
	"CREATE TABLE app.t1 (id int PRIMARY KEY, note text NOT NULL, CONSTRAINT short CHECK (length(note) < 9)); " +
		"CREATE INDEX t1_note ON app.t1 (note);\n" +
		"CREATE FUNCTION app.one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
	"CREATE TABLE app.t2 (id int PRIMARY KEY)",
	"INSERT INTO app.t2 VALUES (7)",
	"CREATE TABLE app.t3 (id int PRIMARY KEY)",
}

// remembering gives a migrator the snapshots of its bundle.
func remembering(t *testing.T, m *migrate.Migrator) *migrate.Migrator {
	t.Helper()
	texts, err := migrate.Snapshots(t.Context(), m, pgtest.Blank(t).MigratorConn)
	if err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{}
	for i, text := range texts {
		fsys[fmt.Sprintf("%04d.txt", i+1)] = &fstest.MapFile{Data: []byte(text)}
	}
	if m.Bundle, err = m.Bundle.WithSnapshots(fsys); err != nil {
		t.Fatal(err)
	}
	return m
}

const (
	dropRow = "ALTER TABLE app.migrations DROP CONSTRAINT migrations_prev_fkey; DELETE FROM app.migrations WHERE " +
		"version = "
	noWord   = "; COMMENT ON SCHEMA app IS NULL"
	byHand   = "; ALTER TABLE app.t1 ADD COLUMN colour text"
	emptied  = "TRUNCATE app.migrations"
	dropped  = "DROP TABLE app.migrations"
	isStated = "the schema's comment says so"
	isOnly   = "of all versions only this one"
)

func TestRepairHealsEachKindOfDamage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		version int // that the database is at
		damage  string
		rows    string // that are written or removed
		proof   string // or why it refuses
	}{
		"dropped":                          {4, dropped, "1,2,3,4", isStated},
		"emptied":                          {4, emptied, "1,2,3,4", isStated},
		"the first row deleted":            {4, dropRow + "1", "1", isStated},
		"a middle row deleted":             {4, dropRow + "2", "2", isStated},
		"the last row deleted":             {4, "DELETE FROM app.migrations WHERE version = 4", "4", isStated},
		"the last row, of equal snapshots": {3, "DELETE FROM app.migrations WHERE version = 3", "3", isStated},
		"a checksum changed": {
			4, "UPDATE app.migrations SET checksum = sha256('x') WHERE version = 2",
			"2", isStated,
		},
		"a name changed": {
			4, "UPDATE app.migrations SET name = 'x' WHERE version = 2", "2",
			isStated,
		},
		"a min_version changed": {
			4, "UPDATE app.migrations SET min_version = 3 WHERE version = 2", "2",
			isStated,
		},
		"a version changed": {
			4,
			"ALTER TABLE app.migrations DROP CONSTRAINT migrations_prev_fkey; UPDATE app.migrations SET version = " +
				"9, prev = 8 WHERE version = 4", "4,9", isStated,
		},
		"a row unfinished": {
			4, "UPDATE app.migrations SET duration = NULL WHERE version = 4", "4",
			isStated,
		},
		"a row added": {
			4,
			"INSERT INTO app.migrations (version, prev, name, checksum, min_version, app_version, duration) VALUES " +
				"(5, 4, 'm5', sha256('x'), 1, '', '0')", "5", isStated,
		},
		"the comment gone":                  {4, "SELECT 1" + noWord, "", "the ledger says so"},
		"the comment gone, equal snapshots": {3, "SELECT 1" + noWord, "", "the ledger says so"},
		"another comment":                   {4, "COMMENT ON SCHEMA app IS 'ours'", "", "the ledger says so"},
		"a name emptied": {
			4, "UPDATE app.migrations SET name = '' WHERE version = 2", "2",
			isStated,
		},
		"a comment of another version": {4, "COMMENT ON SCHEMA app IS 'migrated to version 2, history sha256:" +
			strings.Repeat("a", 64) + "'", "", "the ledger says so"},
		"dropped, and no comment": {4, dropped + noWord, "1,2,3,4", isOnly},
		"statistics of the ledger": {
			4,
			"CREATE STATISTICS app.both ON version, prev FROM app.migrations; UPDATE app.migrations SET name = 'x' " +
				"WHERE version = 2", "2", isStated,
		},
		"emptied, and no comment":   {1, emptied + noWord, "1", isOnly},
		"rows left, and no comment": {3, dropRow + "1" + noWord, "1", isOnly},
		"two witnesses short":       {4, "DELETE FROM app.migrations WHERE version = 4" + noWord, "4", isOnly},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			up(t, migrator(t, db, story[:c.version]...), db.MigratorConn)
			before := pgtest.Value[string](t, db.SuperConn,
				"SELECT string_agg(applied_at::text, ',' ORDER BY version) FROM app.migrations WHERE version = 1")
			pgtest.Exec(t, db.SuperConn, strings.Split(c.damage, "; ")...)
			m := remembering(t, migrator(t, db, append(story, "CREATE TABLE app.t5 (id int)")...))
			if _, err := m.Up(t.Context(), db.MigratorConn); !lostOrDiverged(err) {
				t.Fatalf("a start before: got %v, want that it refuses", err)
			}
			shown := repaired(t, m, db, false)
			if got := rowsOf(shown); got != c.rows || shown.Version != c.version ||
				!strings.HasPrefix(shown.Proof, c.proof) || shown.Written {
				t.Errorf("got version %d by %q and rows %s, written %v; want %d by %q and %s", shown.Version,
					shown.Proof, got, shown.Written, c.version, c.proof, c.rows)
			}
			if _, err := m.Up(t.Context(), db.MigratorConn); !lostOrDiverged(err) {
				t.Fatalf("only showing it changed something: a start says %v", err)
			}
			if !repaired(t, m, db, true).Written {
				t.Error("it was not written")
			}
			if again := repaired(t, m, db, true); again.Needed() || again.Written {
				t.Errorf("once more: %+v, want that nothing is needed", again)
			}
			if v, err := askVerify(t.Context(), m, db.WebConn); err != nil || v.Status.Version != c.version ||
				v.Status.State != migrate.Behind || !v.Compared || len(v.Drift) > 0 {
				t.Errorf("verify: %+v, %v; want that all is well at %d", v, err, c.version)
			}
			marks := pgtest.Value[string](t, db.SuperConn,
				"SELECT coalesce(string_agg(version::text, ',' ORDER BY version), '') FROM app.migrations "+
					"WHERE rebuilt")
			if want := strings.ReplaceAll(strings.ReplaceAll(c.rows, ",9", ""), "5", ""); marks != want {
				t.Errorf("rows %s are marked as rebuilt, want %s", marks, want)
			}
			after := pgtest.Value[string](t, db.SuperConn,
				"SELECT applied_at::text FROM app.migrations WHERE version = 1")
			if kept := before == after; kept == strings.Contains(marks, "1") {
				t.Errorf("row 1 was applied at %s and then at %s, rebuilt rows are %s", before, after, marks)
			}
			// SELECT on the ledger, at most
			if report := up(t, m, db.MigratorConn); report.To != 5 || len(report.Granted)+len(report.Revoked) > 1 {
				t.Errorf("the next start: %+v", report)
			}
		})
	}
}

func lostOrDiverged(err error) bool {
	_, lost := errors.AsType[*migrate.LedgerLostError](err)
	_, diverged := errors.AsType[*migrate.DivergedError](err)
	return lost || diverged
}

func repaired(t *testing.T, m *migrate.Migrator, db *pgtest.DB, write bool) migrate.Repair {
	t.Helper()
	repair, err := m.Repair(t.Context(), db.MigratorConn, migrate.RepairOptions{Write: write})
	if err != nil {
		t.Fatalf("repair: %v", err)
	}
	return repair
}

func rowsOf(r migrate.Repair) string {
	var versions []string
	for _, row := range r.Rows {
		versions = append(versions, strconv.Itoa(row.Version))
	}
	return strings.Join(versions, ",")
}

// TestRepairNeverGuesses: what it cannot prove it leaves as it is, and says how the
// schema differs.
func TestRepairNeverGuesses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		version int
		damage  string
		says    string
		drift   string
	}{
		"the last of equal snapshots gone": {
			3, "DELETE FROM app.migrations WHERE version = 3" + noWord,
			"versions 2, 3 make the same schema", "",
		},
		"an older comment of this history": {
			3, "COMMENT ON SCHEMA app IS '%older'",
			"the ledger has the right row of version 3", "",
		},
		"a view upon the ledger": {4, "CREATE VIEW public.upon AS SELECT version FROM app.migrations; " +
			dropRow + "4", "something depends on it: view public.upon depends", ""},
		"equal snapshots, no witness": {3, emptied + noWord, "versions 2, 3 make the same schema", ""},
		"a column added": {
			4, dropped + byHand,
			"the schema's comment says version 4, and the schema is not", "table t1: has   column colour text",
		},
		"a column added, no comment": {
			4, dropped + noWord + byHand, "the nearest is version 4",
			"table t1: has   column colour text",
		},
		"an index dropped": {
			4, emptied + "; DROP INDEX app.t1_note",
			"the schema's comment says version 4", "lacks index t1_note",
		},
		"a constraint changed": {4, emptied +
			"; ALTER TABLE app.t1 DROP CONSTRAINT short; ALTER TABLE app.t1 ADD CONSTRAINT short CHECK " +
			"(length(note) < 99)", "says version 4", "short"},
		"a function replaced": {
			4, emptied +
				"; CREATE OR REPLACE FUNCTION app.one() RETURNS int LANGUAGE sql AS 'SELECT 2'", "says version 4",
			"function one(): has another body",
		},
		"a table gone": {
			4, emptied + "; DROP TABLE app.t3", "says version 4",
			"table t3: is missing",
		},
		"a comment of a newer program": {
			4, emptied +
				"; COMMENT ON SCHEMA app IS 'migrated to version 6, history sha256:" + strings.Repeat("a", 64) + "'",
			"a newer program brought the schema to version 6", "",
		},
		"a comment of another history": {
			4, emptied +
				"; COMMENT ON SCHEMA app IS 'migrated to version 4, history sha256:" + strings.Repeat("a", 64) + "'",
			"another history", "",
		},
		"more rows than the schema has": {
			3,
			"INSERT INTO app.migrations SELECT 4, 3, 'm4', decode('%x', 'hex'), 1, now(), '0', 'x', ''" + noWord,
			"the ledger has a row of version 4", "table t3: is missing",
		},
		"another tool's table": {
			4, dropped + "; CREATE TABLE app.migrations (id text)",
			"a table of another tool", "",
		},
		"everything dropped but a comment": {
			4,
			"DROP TABLE app.t1, app.t2, app.t3, app.migrations; DROP FUNCTION app.one", "says version 4",
			"table t1: is missing",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			m := remembering(t, migrator(t, db, story...))
			up(t, migrator(t, db, story[:c.version]...), db.MigratorConn)
			sql := strings.ReplaceAll(c.damage, "%older",
				pgtest.Value[string](t, older(t, story[:2]).SuperConn, "SELECT obj_description('app'::regnamespace)"))
			if strings.Contains(sql, "%x") {
				sql = fmt.Sprintf(sql, m.Bundle.Migrations()[3].Checksum)
			}
			pgtest.Exec(t, db.SuperConn, strings.Split(sql, "; ")...)
			before := fingerprint(t, db)
			_, err := m.Repair(t.Context(), db.MigratorConn, migrate.RepairOptions{Write: true})
			refusal, ok := errors.AsType[*migrate.UnrepairableError](err)
			if !ok || !strings.Contains(err.Error(), c.says) ||
				!strings.Contains(err.Error(), "Nothing was changed") ||
				!strings.Contains(fmt.Sprint(refusal.Drift), c.drift) {
				t.Errorf("got %v\nwant %q and %q", err, c.says, c.drift)
			}
			if after := fingerprint(t, db); after != before {
				t.Errorf("the database was changed:\nbefore %s\nafter  %s", before, after)
			}
			if _, err := m.Up(t.Context(), db.MigratorConn); !lostOrDiverged(err) {
				t.Errorf("a start: got %v, want that it refuses", err)
			}
		})
	}
}

// TestNoWitnessLeavesTheLastVersionOpen: a newer program may have applied a file that
// changes only rows, of which this one knows nothing. Who knows better can say so, and is
// believed only as far as the schema agrees.
func TestNoWitnessLeavesTheLastVersionOpen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at, stated int
		says       string
	}{
		"the last one":           {4, 0, "tells whether a newer program has applied files that change only rows"},
		"the last one, stated":   {4, 4, ""},
		"another one, stated":    {4, 3, "you say version 3, and the schema is as the migrations up to 4 make it"},
		"equal ones":             {3, 0, "versions 2, 3 make the same schema"},
		"equal ones, stated":     {3, 2, ""},
		"equal ones, a lie":      {3, 4, "you say version 4, and the schema is as the migrations up to 2, 3 make it"},
		"out of range, as a lie": {3, 9, "you say version 9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			up(t, migrator(t, db, story[:c.at]...), db.MigratorConn)
			pgtest.Exec(t, db.SuperConn, strings.Split(dropped+noWord, "; ")...)
			m := remembering(t, migrator(t, db, story...))
			r, err := m.Repair(t.Context(), db.MigratorConn, migrate.RepairOptions{Write: true, Version: c.stated})
			if c.says == "" {
				if err != nil || r.Version != c.stated || !r.Written {
					t.Errorf("got %+v, %v; want version %d", r, err, c.stated)
				}
				return
			}
			if refusal, ok := errors.AsType[*migrate.UnrepairableError](err); !ok ||
				!strings.Contains(err.Error(), c.says) || (c.stated == 0) != (len(refusal.Candidates) > 0) {
				t.Errorf("got %v\nwant %q", err, c.says)
			}
		})
	}
}

// TestAStatementContradictsNoWitness: what the comment says counts more.
func TestAStatementContradictsNoWitness(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := remembering(t, migrator(t, db, story...))
	up(t, migrator(t, db, story[:3]...), db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, emptied)
	_, err := m.Repair(t.Context(), db.MigratorConn, migrate.RepairOptions{Write: true, Version: 2})
	if _, ok := errors.AsType[*migrate.UnrepairableError](err); !ok ||
		!strings.Contains(err.Error(), "you say version 2, and the schema's comment says version 3") {
		t.Errorf("got %v, want that the comment says 3", err)
	}
}

// TestARowOfANewerProgramIsNotRemoved: the comment of an older version does not prove that
// its file was never applied.
func TestARowOfANewerProgramIsNotRemoved(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	before := pgtest.Value[string](t, older(t, story[:2]).SuperConn, "SELECT obj_description('app'::regnamespace)")
	up(t, migrator(t, db, story[:3]...), db.MigratorConn) // the third changes only rows
	for _, comment := range []string{"'" + before + "'", "NULL", "'ours'"} {
		pgtest.Exec(t, db.SuperConn, "COMMENT ON SCHEMA app IS "+comment)
		_, err := remembering(t, migrator(t, db, story[:2]...)).Repair(t.Context(), db.MigratorConn,
			migrate.RepairOptions{Write: true})
		if refusal, ok := errors.AsType[*migrate.UnrepairableError](err); !ok || !refusal.Newer ||
			!strings.Contains(err.Error(), "it has the row 0003_m3 of a newer program") {
			t.Errorf("with the comment %s: got %v, want that only a newer program can tell", comment, err)
		}
	}
	if n := pgtest.Value[int](t, db.SuperConn, "SELECT count(*) FROM app.migrations"); n != 3 {
		t.Errorf("%d rows are left, want 3", n)
	}
}

// TestRepairDoesNotMakeReadersWait: who asks the ledger whether the schema is fit would
// queue behind a lock that cannot be had.
func TestRepairDoesNotMakeReadersWait(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := remembering(t, migrator(t, db, story...))
	m.Wait = 3 * time.Second
	up(t, m, db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, "ALTER TABLE app.migrations DROP CONSTRAINT migrations_prev_key")
	reader := db.Connect(t, db.SuperConn)
	execute(t, reader, "BEGIN; SELECT count(*) FROM app.migrations")
	done := make(chan error, 1)
	go func() {
		_, err := m.Repair(t.Context(), db.MigratorConn, migrate.RepairOptions{Write: true})
		done <- err
	}()
	for waiting := true; waiting; {
		select {
		case err := <-done:
			if _, ok := errors.AsType[*migrate.BusyError](err); !ok {
				t.Errorf("got %v, want that it gave up", err)
			}
			waiting = false
		case <-time.After(20 * time.Millisecond):
			if pgtest.Value[bool](t, db.SuperConn, "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = "+
				"'app.migrations'::regclass AND NOT granted)") {
				t.Fatal("it queues for its lock")
			}
		}
	}
	execute(t, reader, "COMMIT")
	if !repaired(t, m, db, true).Written {
		t.Error("it was not written")
	}
}

// older is a database that an older release migrated.
func older(t *testing.T, files []string) *pgtest.DB {
	t.Helper()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, files...), db.MigratorConn)
	return db
}

func TestAWholeLedgerNeedsNoRepair(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := remembering(t, migrator(t, db, story...))
	if _, err := m.Repair(t.Context(), db.MigratorConn, migrate.RepairOptions{Write: true}); err == nil ||
		!strings.Contains(err.Error(), "has no schema yet") {
		t.Errorf("a blank database: %v", err)
	}
	up(t, m, db.MigratorConn)
	before := fingerprint(t, db)
	if r := repaired(t, m, db, true); r.Needed() || r.Version != 4 {
		t.Errorf("got %+v, want that nothing is needed", r)
	}
	if after := fingerprint(t, db); after != before {
		t.Error("the database was changed")
	}
}

func TestOnlyTheOwnerRepairs(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := remembering(t, migrator(t, db, story...))
	up(t, m, db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, "TRUNCATE app.migrations", "ALTER SCHEMA app OWNER TO postgres",
		"GRANT USAGE ON SCHEMA app TO "+owner(t, db))
	_, err := m.Repair(t.Context(), db.MigratorConn, migrate.RepairOptions{Write: true})
	if lacks, ok := errors.AsType[*pg.PrivilegeError](err); !ok || len(lacks.SQL) == 0 {
		t.Errorf("got %v, want a PrivilegeError with SQL", err)
	}
}

// TestALedgerOfSomebodyElseIsAdvisedAlike: the SQL for a DBA is the same, whoever of the
// migrator's commands meets it, and it helps all of them.
func TestALedgerOfSomebodyElseIsAdvisedAlike(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := remembering(t, migrator(t, db, story...))
	up(t, m, db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, "ALTER TABLE app.migrations OWNER TO postgres", "REVOKE ALL ON app.migrations FROM "+
		owner(t, db))
	want := fmt.Sprint(migrate.TakeOver("app", db.Migrator()))
	for name, ask := range map[string]func() error{
		"a start": func() error { _, err := m.Up(t.Context(), db.MigratorConn); return err },
		"status":  func() error { _, err := askStatus(t.Context(), m, db.MigratorConn); return err },
		"plan":    func() error { _, err := askPlan(t.Context(), m, db.MigratorConn); return err },
		"verify":  func() error { _, err := askVerify(t.Context(), m, db.MigratorConn); return err },
		"repair": func() error {
			_, err := m.Repair(t.Context(), db.MigratorConn, migrate.RepairOptions{Write: true})
			return err
		},
	} {
		lacks, ok := errors.AsType[*pg.PrivilegeError](ask())
		if !ok || fmt.Sprint(lacks.SQL) != want {
			t.Errorf("%s: got %v\nwant a PrivilegeError with %s", name, lacks, want)
		}
	}
	pgtest.Exec(t, db.SuperConn, migrate.TakeOver("app", db.Migrator())...)
	up(t, m, db.MigratorConn)
}

func TestAChangeByHandIsToldBeforePendingFilesTouchIt(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := remembering(t, migrator(t, db, story...))
	up(t, migrator(t, db, story[:2]...), db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, "ALTER TABLE app.t1 ADD COLUMN colour text", "DROP INDEX app.t1_note")
	v, err := askVerify(t.Context(), m, db.WebConn)
	if err != nil || len(v.Drift) != 2 {
		t.Errorf("verify: %v, %v; want two differences", v.Drift, err)
	}
	if _, ok := errors.AsType[*migrate.DriftError](v.Err()); !ok ||
		!strings.Contains(v.Err().Error(), "column colour text") {
		t.Errorf("verify: %v, want a DriftError", v.Err())
	}
	report := up(t, m, db.MigratorConn)
	if len(report.Drift) != 2 || report.To != 4 {
		t.Errorf("report %+v, want two differences, and all files applied", report)
	}
}

// execute runs SQL on a connection that stays.
func execute(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatal(err)
	}
}
