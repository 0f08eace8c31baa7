package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

const (
	table      = "CREATE TABLE app.t1 (id int PRIMARY KEY, a int); INSERT INTO app.t1 SELECT i, i FROM generate_series(1, 1000) i"
	indexAlone = "-- migrate:no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY t1_a ON app.t1 (a);\n"
)

// valid tells of an index: "valid", "invalid" or "none".
func valid(tb testing.TB, db *pgtest.DB, index string) string {
	tb.Helper()
	return pgtest.Value[string](tb, db.SuperConn, fmt.Sprintf(`SELECT coalesce((SELECT CASE WHEN indisvalid THEN 'valid' ELSE 'invalid' END
		FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relname = '%s'), 'none')`, index))
}

// claimOf2 is what a migrator wrote that died while it applied the second file.
func claimOf2(m *migrate.Migrator) string {
	return fmt.Sprintf(`INSERT INTO app.migrations (version, prev, name, checksum, min_version, app_version, claimed_by_pid, claimed_by_start)
		SELECT 2, 1, 'm2', decode('%x', 'hex'), 1, '1.0', 1, '2020-01-01'`, m.Bundle.Migrations()[1].Checksum)
}

func TestAFileWithoutATransactionIsAppliedBetweenOthers(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, table, indexAlone, "INSERT INTO app.t1 VALUES (0, 0)", "-- migrate:no-transaction\nDROP INDEX CONCURRENTLY app.t1_a",
		"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY t1_b ON app.t1 (a)", "-- migrate:no-transaction\nREINDEX TABLE CONCURRENTLY app.t1", "-- migrate:no-transaction\nVACUUM app.t1")
	report := up(t, m, db.MigratorConn)
	if report.To != 7 || len(report.Applied) != 7 || !report.RoleCreated {
		t.Errorf("report %+v", report)
	}
	if got := ledger(t, db); got != upTo(7) {
		t.Errorf("the ledger holds %s, want %s", got, upTo(7))
	}
	if a, b := valid(t, db, "t1_a"), valid(t, db, "t1_b"); a != "none" || b != "valid" {
		t.Errorf("t1_a is %s, want none; t1_b is %s, want valid", a, b)
	}
	if report := up(t, m, db.MigratorConn); report.State != migrate.Current {
		t.Errorf("the next start found %s", report.State)
	}
}

func TestABundleMayBeginWithoutATransaction(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, "-- migrate:no-transaction\nVACUUM pg_description", "CREATE TABLE app.t1 (id int)")
	up(t, m, db.MigratorConn)
}

func TestWhatMayGoWithoutATransaction(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"CREATE INDEX CONCURRENTLY i ON s.t (a)":                                                   "",
		"create unique index concurrently if not exists i on s.t (a)":                              "",
		"REINDEX INDEX CONCURRENTLY s.i":                                                           "",
		"VACUUM (ANALYZE) s.t":                                                                     "",
		"DROP INDEX CONCURRENTLY IF EXISTS s.i":                                                    "",
		"CREATE INDEX i ON s.t (a)":                                                                "only CREATE INDEX CONCURRENTLY",
		"CREATE TABLE s.t (id int)":                                                                "only CREATE INDEX CONCURRENTLY",
		"ALTER TABLE s.t DETACH PARTITION s.p CONCURRENTLY":                                        "only CREATE INDEX CONCURRENTLY",
		`CREATE INDEX CONCURRENTLY "I" ON s.t (a)`:                                                 "without quotes",
		"CREATE INDEX CONCURRENTLY ON s.t (a)":                                                     "without quotes",
		"CREATE INDEX CONCURRENTLY i ON s.t (a); CREATE INDEX CONCURRENTLY j ON s.t (b)":           "exactly one statement",
		"CREATE INDEX CONCURRENTLY i ON s.t (a); -- migrate:no-transaction\n":                      "only above the first statement",
		"-- migrate:no-transactions\nCREATE INDEX CONCURRENTLY i ON s.t (a)":                       "there is no directive",
		"-- migrate:no_transaction\nVACUUM s.t":                                                    "there is no directive",
		"-- migrate:no-transaction please\nVACUUM s.t":                                             "takes no argument",
		"-- Migrate: no-transaction\nCREATE INDEX CONCURRENTLY i ON s.t (a)":                       "write the directive as",
		"/* a comment */ CREATE INDEX CONCURRENTLY i ON s.t (a) -- migrate has nothing to do here": "",
	} {
		_, err := migrate.Load(files("-- migrate:no-transaction\n" + sql))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", sql, err, want)
		}
	}
	if _, err := migrate.Load(files("CREATE INDEX CONCURRENTLY i ON s.t (a)")); err == nil || !strings.Contains(err.Error(), "migrate:no-transaction") {
		t.Errorf("without the directive: %v, want that it is named", err)
	}
}

func TestAFailedFileWithoutATransactionLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, table+"; INSERT INTO app.t1 VALUES (0, 1)", indexAlone, "SELECT 1")
	_, err := m.Up(t.Context(), db.MigratorConn)
	failed, ok := errors.AsType[*migrate.MigrationError](err)
	if !ok || failed.Line != 2 || failed.Statement != 1 || !strings.Contains(err.Error(), "0002_m2.sql:2") || !strings.Contains(err.Error(), "23505") {
		t.Fatalf("got %v, want a MigrationError that points to 0002_m2.sql:2", err)
	}
	if !strings.HasSuffix(err.Error(), "\nit ran without a transaction, and what it left unfinished was removed; the schema is at version 1. Mend the file and start again") {
		t.Errorf("got %v\nwant that nothing was rolled back, and what it left was removed", err)
	}
	if got := ledger(t, db); got != "1" {
		t.Errorf("the ledger holds %s, want 1", got)
	}
	if rows := pgtest.Value[int](t, db.SuperConn, "SELECT count(*) FROM app.migrations"); rows != 1 {
		t.Errorf("the ledger has %d rows; the claim was not given back", rows)
	}
	if got := valid(t, db, "t1_a"); got != "none" {
		t.Errorf("the index is %s, want none", got)
	}
	pgtest.Exec(t, db.MigratorConn, "DELETE FROM app.t1 WHERE id = 0")
	if report := up(t, m, db.MigratorConn); report.From != 1 || report.To != 3 {
		t.Errorf("the next start: %+v", report)
	}
}

func TestAnIndexThatExistsIsNotTakenForOurs(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, table), db.MigratorConn)
	pgtest.Exec(t, db.MigratorConn, "CREATE INDEX t1_a ON app.t1 (id)")
	_, err := migrator(t, db, table, indexAlone).Up(t.Context(), db.MigratorConn)
	if err == nil || !strings.Contains(err.Error(), "42P07") || valid(t, db, "t1_a") != "valid" {
		t.Errorf("got %v, and the index is %s; want that it exists and stays", err, valid(t, db, "t1_a"))
	}
	if !strings.Contains(err.Error(), "\nit ran without a transaction, so it was not rolled back; the schema is at version 1") {
		t.Errorf("got %v, want that nothing was rolled back or removed", err)
	}
}

// TestAClaimIsTakenOverAtEachStep leaves behind what a migrator leaves that dies at
// each step: after its claim, in the middle of the statement, and before it finished
// the row.
func TestAClaimIsTakenOverAtEachStep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		left string
	}{
		"claimed, nothing done":      {indexAlone, ""},
		"an invalid index":           {indexAlone, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.t1_a'::regclass"},
		"created and not finished":   {indexAlone, "CREATE UNIQUE INDEX t1_a ON app.t1 (a)"},
		"dropped and not finished":   {"-- migrate:no-transaction\nDROP INDEX CONCURRENTLY app.t1_a", ""},
		"a vacuum":                   {"-- migrate:no-transaction\nVACUUM app.t1", ""},
		"a reindex that left a copy": {"-- migrate:no-transaction\nREINDEX INDEX CONCURRENTLY app.t1_pkey", "CREATE INDEX t1_pkey_ccnew ON app.t1 (id); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.t1_pkey_ccnew'::regclass"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			m := migrator(t, db, table, c.file, "SELECT 1")
			up(t, migrator(t, db, table), db.MigratorConn)
			if strings.Contains(c.left, "app.t1_a'") {
				pgtest.Exec(t, db.MigratorConn, "CREATE UNIQUE INDEX t1_a ON app.t1 (a)")
			}
			pgtest.Exec(t, db.MigratorConn, claimOf2(m))
			if c.left != "" {
				pgtest.Exec(t, db.SuperConn, strings.Split(c.left, "; ")...)
			}
			if status, err := m.Status(t.Context(), db.WebConn); err != nil || status.State != migrate.Behind || status.Version != 1 {
				t.Errorf("before: %+v, %v, want behind at 1", status, err)
			}
			if report := up(t, m, db.MigratorConn); report.To != 3 || len(report.Applied) != 2 {
				t.Errorf("report %+v", report)
			}
			wantIndex := "none"
			if c.file == indexAlone {
				wantIndex = "valid"
			}
			if got := valid(t, db, "t1_a"); got != wantIndex {
				t.Errorf("the index is %s, want %s", got, wantIndex)
			}
			if got := valid(t, db, "t1_pkey_ccnew"); got != "none" {
				t.Errorf("the copy is %s, want none", got)
			}
		})
	}
}

func TestAClaimOnAnotherFileIsRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, table), db.MigratorConn)
	pgtest.Exec(t, db.MigratorConn, `INSERT INTO app.migrations (version, prev, name, checksum, min_version, app_version, claimed_by_pid, claimed_by_start) SELECT 2, 1, 'm2', sha256('other'), 1, '1.0', 1, '2020-01-01'`)
	_, err := migrator(t, db, table, indexAlone).Up(t.Context(), db.MigratorConn)
	if _, ok := errors.AsType[*migrate.DivergedError](err); !ok {
		t.Errorf("got %v, want a DivergedError", err)
	}
}

// TestAClaimIsToldAndItsWorkIsNoDrift: while a file without a transaction is under way,
// what it has done already is neither drift nor damage, and what others did is.
func TestAClaimIsToldAndItsWorkIsNoDrift(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		left string
		want []string // the drift
	}{
		"nothing done":        {"SELECT 1", nil},
		"an invalid index":    {"CREATE UNIQUE INDEX t1_a ON app.t1 (a); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.t1_a'::regclass", nil},
		"the index is whole":  {"CREATE UNIQUE INDEX t1_a ON app.t1 (a)", nil},
		"a column by hand":    {"CREATE UNIQUE INDEX t1_a ON app.t1 (a); ALTER TABLE app.t1 ADD b int", []string{"table t1: has   column b integer"}},
		"another valid index": {"CREATE INDEX t1_b ON app.t1 (a)", []string{"table t1: has   index t1_b btree (a)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := rehearsing(t)
			m := remembering(t, migrator(t, db, table, indexAlone, "SELECT 1"))
			up(t, migrator(t, db, table), db.MigratorConn)
			pgtest.Exec(t, db.MigratorConn, claimOf2(m))
			pgtest.Exec(t, db.SuperConn, strings.Split(c.left, "; ")...)

			status, rows, err := m.History(t.Context(), db.WebConn)
			if err != nil || status.State != migrate.Behind || status.Claimed != 2 || len(rows) != 2 || !rows[1].Claimed {
				t.Errorf("History: %+v, %+v, %v, want that 2 is claimed", status, rows, err)
			}
			v, err := m.Verify(t.Context(), db.MigratorConn)
			if err != nil || v.Status.Claimed != 2 || len(v.Status.Damage) != 0 || !v.Compared {
				t.Errorf("Verify: %+v, %v, want that 2 is claimed, and no damage", v, err)
			}
			p, err := m.Plan(t.Context(), db.MigratorConn)
			if err != nil || p.Refusal != nil || p.Status.Claimed != 2 || len(p.Status.Pending) != 2 {
				t.Errorf("Plan: %+v, %v, want both files, the first of them claimed", p, err)
			}
			r := rehearse(t, m, db, migrate.RehearseOptions{})
			if r.Status.Claimed != 2 || len(r.Files) != 2 {
				t.Errorf("Rehearse: %+v, want both files, the first of them claimed", r)
			}
			for of, drift := range map[string][]migrate.Drift{"Verify": v.Drift, "Rehearse": r.Drift} {
				var got []string
				for _, d := range drift {
					got = append(got, d.String())
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("%s: drift %q, want %q", of, got, c.want)
				}
			}
		})
	}
}

// TestReplicasAndReadersBesideAFileWithoutATransaction: CREATE INDEX CONCURRENTLY waits
// for a reader that began before it; the other migrators must wait without a snapshot of
// their own, for which it would wait, too.
func TestReplicasAndReadersBesideAFileWithoutATransaction(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, table), db.MigratorConn)
	release := longRead(t, db)
	const replicas = 8
	var wg sync.WaitGroup
	reports, errs := make([]migrate.Report, replicas), make([]error, replicas)
	for i := range replicas {
		m := migrator(t, db, table, indexAlone, "SELECT 1")
		wg.Go(func() { reports[i], errs[i] = m.Up(context.Background(), db.MigratorConn) })
	}
	awaitWaiter(t, db, "virtualxid")
	release()
	wg.Wait()
	applied := 0
	for i := range replicas {
		if errs[i] != nil {
			t.Errorf("replica %d: %v", i, errs[i])
		}
		applied += len(reports[i].Applied)
	}
	if applied != 2 || valid(t, db, "t1_a") != "valid" {
		t.Errorf("%d files were applied in all, want 2; the index is %s", applied, valid(t, db, "t1_a"))
	}
}

// longRead begins a transaction that reads and goes on until release is called: CREATE
// INDEX CONCURRENTLY waits for it.
func longRead(t *testing.T, db *pgtest.DB) (release func()) {
	t.Helper()
	reader := db.Connect(t, db.SuperConn)
	if _, err := reader.Exec(t.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM app.t1"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := reader.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAServerProcessThatDiesInTheMiddleIsReplaced terminates the server process while
// its statement waits: the migrator connects again and takes over its own claim.
func TestAServerProcessThatDiesInTheMiddleIsReplaced(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, table), db.MigratorConn)
	release := longRead(t, db)
	m := migrator(t, db, table, indexAlone)
	done := make(chan error)
	go func() { _, err := m.Up(context.Background(), db.MigratorConn); done <- err }()
	awaitWaiter(t, db, "virtualxid")
	pgtest.Exec(t, db.SuperConn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'virtualxid'")
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := valid(t, db, "t1_a"); got != "valid" {
		t.Errorf("the index is %s, want valid", got)
	}
}

func TestAnInterruptedFileWithoutATransactionLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, table), db.MigratorConn)
	release := longRead(t, db)
	m := migrator(t, db, table, indexAlone)
	m.Grace = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := m.Up(ctx, db.MigratorConn); done <- err }()
	awaitWaiter(t, db, "virtualxid")
	cancel()
	// The invalid index is dropped concurrently, which waits for the reader, too.
	pgtest.EventuallyValue(t, db.SuperConn, `SELECT EXISTS (SELECT FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE 'DROP INDEX%' AND wait_event_type = 'Lock')`, true)
	release()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was interrupted", err)
	}
	if got, rows := valid(t, db, "t1_a"), pgtest.Value[int](t, db.SuperConn, "SELECT count(*) FROM app.migrations"); got != "none" || rows != 1 {
		t.Errorf("the index is %s, want none; the ledger has %d rows, want 1", got, rows)
	}
}

func TestFilesWithoutATransactionWorkThroughAPooler(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	const serverConnections = 3
	pooled := pgtest.PgBouncer(t, serverConnections, map[string]string{"migrator": db.MigratorConn})["migrator"]
	const replicas = 6
	var wg sync.WaitGroup
	errs := make([]error, replicas)
	for i := range replicas {
		m := migrator(t, db, table, indexAlone, "SELECT 1")
		wg.Go(func() { _, errs[i] = m.Up(context.Background(), pooled) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("replica %d: %v", i, err)
		}
	}
	if got := ledger(t, db); got != upTo(3) || valid(t, db, "t1_a") != "valid" {
		t.Errorf("the ledger holds %s, and the index is %s", got, valid(t, db, "t1_a"))
	}
}
