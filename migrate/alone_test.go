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
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/rehearse"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

const (
	table = "CREATE TABLE app.t1 (id int PRIMARY KEY, a int); INSERT INTO app.t1 SELECT i, i FROM " +
		"generate_series(1, 1000) i"
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
	m := migrator(t, db, table, indexAlone, "INSERT INTO app.t1 VALUES (0, 0)",
		"-- migrate:no-transaction\nDROP INDEX CONCURRENTLY app.t1_a",
		"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY t1_b ON app.t1 (a)",
		"-- migrate:no-transaction\nREINDEX TABLE CONCURRENTLY app.t1", "-- migrate:no-transaction\nVACUUM app.t1")
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
	m := migrator(t, db, "-- migrate:no-transaction\nVACUUM pg_catalog.pg_description", "CREATE TABLE app.t1 (id int)")
	up(t, m, db.MigratorConn)
}

func TestWhatMayGoWithoutATransaction(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"CREATE INDEX CONCURRENTLY i ON s.t (a)":                           "",
		"create unique index concurrently if not exists i on only s.t (a)": "",
		`CREATE INDEX CONCURRENTLY "I ""x"".y" ON "S"."t.u" (a)`:           "",
		`CREATE INDEX CONCURRENTLY if ON db.s.t (a)`:                       "",
		`CREATE INDEX CONCURRENTLY U&"\00e4" ON s.t (a)`:                   "",
		"REINDEX INDEX CONCURRENTLY s.i":                                   "",
		"REINDEX (VERBOSE, CONCURRENTLY) INDEX s.i":                        "",
		"REINDEX TABLE s.t":                                                "",
		"REINDEX SCHEMA CONCURRENTLY s":                                    "",
		"VACUUM (ANALYZE) s.t":                                             "",
		"VACUUM":                                                           "",
		"VACUUM FULL VERBOSE s.t (a, b), ONLY s.u *":                       "",
		"DROP INDEX CONCURRENTLY IF EXISTS s.i":                            "",
		`DROP INDEX CONCURRENTLY "S"."I" RESTRICT`:                         "",
		"/* a comment */ CREATE INDEX CONCURRENTLY i ON s.t (a) -- migrate has nothing to do here": "",

		"CREATE INDEX CONCURRENTLY i ON t (a)": "0001_m1.sql:2:32: t " +
			"needs its schema: through a pooler, a file without a transaction may run with another search_path; " +
			"write ON SCHEMA.t, with",
		`CREATE INDEX CONCURRENTLY i ON "T" (a)`: `2:32: "T" needs its schema`,
		"REINDEX INDEX CONCURRENTLY i":           "2:28: i needs its schema",
		"REINDEX (CONCURRENTLY) TABLE t": "write REINDEX TABLE " +
			"CONCURRENTLY SCHEMA.t",
		"DROP INDEX CONCURRENTLY IF EXISTS i": "2:35: i needs its schema",
		"VACUUM (ANALYZE) s.t, u":             "2:23: u needs its schema",
		"CREATE INDEX CONCURRENTLY s.i ON s.t (a)": "an index is always in " +
			"the schema of its table",
		"CREATE INDEX CONCURRENTLY ON s.t (a)":               "needs the index's name",
		"CREATE INDEX CONCURRENTLY IF NOT EXISTS ON s.t (a)": "needs the index's name",
		"DROP INDEX CONCURRENTLY s.i, s.j":                   "one index",
		"DROP INDEX CONCURRENTLY s.i CASCADE":                "without CASCADE",
		"REINDEX DATABASE CONCURRENTLY d":                    "REINDEX SCHEMA CONCURRENTLY",
		"REINDEX SYSTEM d":                                   "REINDEX SCHEMA CONCURRENTLY",
		"CREATE INDEX i ON s.t (a)": "only CREATE INDEX " +
			"CONCURRENTLY",
		"CREATE TABLE s.t (id int)": "only CREATE INDEX " +
			"CONCURRENTLY",
		"ALTER TYPE s.mood ADD VALUE 'x'": "leave the directive out",
		"DROP INDEX CONCURRENTLY": "only CREATE INDEX " +
			"CONCURRENTLY",
		"ALTER TABLE s.t DETACH PARTITION s.p CONCURRENTLY": "only CREATE INDEX " +
			"CONCURRENTLY",
		"CREATE INDEX CONCURRENTLY i ON app.migrations (name)": "",
		"CREATE INDEX CONCURRENTLY i ON migrations (name)": "this name is kept for " +
			"the ledger",
		"CREATE INDEX CONCURRENTLY i ON s.t (a); CREATE INDEX CONCURRENTLY j ON s.t (b)": "exactly one statement",
		"CREATE INDEX CONCURRENTLY i ON s.t (a); -- migrate:no-transaction\n": "only above the " +
			"first statement",
		"-- migrate:no-transactions\nCREATE INDEX CONCURRENTLY i ON s.t (a)": "there is no directive",
		"-- migrate:no_transaction\nVACUUM s.t":                              "there is no directive",
		"-- migrate:no-transaction please\nVACUUM s.t":                       "takes no argument",
		"-- Migrate: no-transaction\nCREATE INDEX CONCURRENTLY i ON s.t (a)": "write the directive as",
	} {
		_, err := bundle.Load(files("-- migrate:no-transaction\n" + sql))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", sql, err, want)
		}
	}
	if _, err := bundle.Load(files("CREATE INDEX CONCURRENTLY i ON s.t (a)")); err == nil ||
		!strings.Contains(err.Error(), "migrate:no-transaction") {
		t.Errorf("without the directive: %v, want that it is named", err)
	}
}

func TestAFailedFileWithoutATransactionLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, table+"; INSERT INTO app.t1 VALUES (0, 1)", indexAlone, "SELECT 1")
	_, err := m.Up(t.Context(), db.MigratorConn)
	failed, ok := errors.AsType[*migrate.MigrationError](err)
	if !ok || failed.Line != 2 || failed.Statement != 1 || !strings.Contains(err.Error(), "0002_m2.sql:2") ||
		!strings.Contains(err.Error(), "23505") {
		t.Fatalf("got %v, want a MigrationError that points to 0002_m2.sql:2", err)
	}
	if !strings.HasSuffix(err.Error(),
		"\nit ran without a transaction, and what it left unfinished was removed; the schema is at version 1. Mend "+
			"the file and start again") {
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
	if !strings.Contains(err.Error(),
		"\nit ran without a transaction, so it was not rolled back; the schema is at version 1") {
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
		"claimed, nothing done": {indexAlone, ""},
		"an invalid index": {
			indexAlone,
			"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.t1_a'::regclass",
		},
		"created and not finished": {indexAlone, "CREATE UNIQUE INDEX t1_a ON app.t1 (a)"},
		"dropped and not finished": {"-- migrate:no-transaction\nDROP INDEX CONCURRENTLY app.t1_a", ""},
		"a vacuum":                 {"-- migrate:no-transaction\nVACUUM app.t1", ""},
		"a reindex that left a copy": {
			"-- migrate:no-transaction\nREINDEX INDEX CONCURRENTLY app.t1_pkey",
			"CREATE INDEX t1_pkey_ccnew ON app.t1 (id); UPDATE pg_index SET indisvalid = false WHERE indexrelid = " +
				"'app.t1_pkey_ccnew'::regclass",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			m := migrator(t, db, table, c.file, "SELECT 1")
			up(t, migrator(t, db, table), db.MigratorConn)
			if strings.Contains(c.left, "app.t1_a'") {
				pgtest.Exec(t, db.MigratorConn, "CREATE UNIQUE INDEX t1_a ON app.t1 (a)")
			}
			pgtest.Exec(t, db.MigratorConn, claimOf2(m),
				"UPDATE app.migrations SET applied_at = now() - interval '2 days' WHERE version = 2")
			if c.left != "" {
				pgtest.Exec(t, db.SuperConn, strings.Split(c.left, "; ")...)
			}
			if status, err := askStatus(t.Context(), m, db.WebConn); err != nil || status.State != migrate.Behind ||
				status.Version != 1 {
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
			if took := pgtest.Value[string](t, db.SuperConn, `SELECT duration::text FROM app.migrations
				WHERE version = 2 AND NOT (applied_at > now() - interval '1 day' AND duration < '1 day') UNION ALL SELECT ''`); took != "" {
				t.Errorf("the ledger says that the file took %s, from when its first migrator began", took)
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
		"nothing done": {"SELECT 1", nil},
		"an invalid index": {"CREATE UNIQUE INDEX t1_a ON app.t1 (a); UPDATE pg_index SET indisvalid = false " +
			"WHERE indexrelid = 'app.t1_a'::regclass", nil},
		"the index is whole": {"CREATE UNIQUE INDEX t1_a ON app.t1 (a)", nil},
		"a column by hand": {
			"CREATE UNIQUE INDEX t1_a ON app.t1 (a); ALTER TABLE app.t1 ADD b int",
			[]string{"table t1: has   column b integer"},
		},
		"another valid index": {"CREATE INDEX t1_b ON app.t1 (a)", []string{"table t1: has   index t1_b btree (a)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := rehearsing(t)
			m := remembering(t, migrator(t, db, table, indexAlone, "SELECT 1"))
			up(t, migrator(t, db, table), db.MigratorConn)
			pgtest.Exec(t, db.MigratorConn, claimOf2(m))
			pgtest.Exec(t, db.SuperConn, strings.Split(c.left, "; ")...)

			status, rows, err := askHistory(t.Context(), m, db.WebConn)
			if err != nil || status.State != migrate.Behind || status.Claimed != 2 || len(rows) != 2 ||
				!rows[1].Claimed {
				t.Errorf("History: %+v, %+v, %v, want that 2 is claimed", status, rows, err)
			}
			v, err := askVerify(t.Context(), m, db.MigratorConn)
			if err != nil || v.Status.Claimed != 2 || len(v.Status.Damage) != 0 || !v.Compared {
				t.Errorf("Verify: %+v, %v, want that 2 is claimed, and no damage", v, err)
			}
			p, err := askPlan(t.Context(), m, db.MigratorConn)
			if err != nil || p.Refusal != nil || p.Status.Claimed != 2 || len(p.Status.Pending) != 2 {
				t.Errorf("Plan: %+v, %v, want both files, the first of them claimed", p, err)
			}
			r, err := rehearse.Run(t.Context(), m, db.MigratorConn)
			if err != nil || r.Status.Claimed != 2 || len(r.Files) != 2 {
				t.Errorf("Rehearse: %+v, %v, want both files, the first of them claimed", r, err)
			}
			for of, drift := range map[string][]snapshot.Difference{"Verify": v.Drift, "Rehearse": r.Drift} {
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
	if _, err := reader.Exec(t.Context(),
		"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM app.t1"); err != nil {
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
	pgtest.Exec(t, db.SuperConn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "+
		"current_database() AND wait_event = 'virtualxid'")
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
	if got, rows := valid(t, db, "t1_a"),
		pgtest.Value[int](t, db.SuperConn, "SELECT count(*) FROM app.migrations"); got != "none" || rows != 1 {
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

// TestNamesOfFilesWithoutATransaction applies each form with names that need quotes, are folded,
// escaped, too long or in another schema, directly and through a pooler: at once, after a crash that left an
// invalid index, and after one that came behind the statement.
func TestNamesOfFilesWithoutATransaction(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 40) // 80 bytes, of which the server keeps 62
	names := []struct{ schema, table, index, escaped string }{
		{"app", "t", "t_n_idx", ""},
		{"app", "t", `"t_N_idx"`, ""},
		{"app", `"User.x"`, `"User email_key"`, ""},
		{"app", `"a ""b"""`, `"it's; -- /*"`, ""},
		{"app", "TABLE_ÄÖ", "INDEX_ÄÖ", ""},
		{"app", "t", `"ä"`, `U&"\00e4"`},
		{"app", "t", long, ""},
		{`"Other.s"`, `"on"`, `"if"`, ""},
		{"other", "t", "i", ""},
	}
	for i, n := range names {
		for _, pooled := range []bool{false, true} {
			if pooled && n.schema == "app" && i != 1 { // the same path
				continue
			}
			t.Run(fmt.Sprintf("%d %s pooled %t", i, n.index, pooled), func(t *testing.T) {
				t.Parallel()
				db := pgtest.Blank(t)
				conn := db.MigratorConn
				if pooled {
					conn = pgtest.PgBouncer(t, 2, map[string]string{"migrator": conn})["migrator"]
				}
				create, table := "", n.schema+"."+n.table
				if n.schema != "app" {
					create = "CREATE SCHEMA " + n.schema + "; "
				}
				written := n.index
				if n.escaped != "" {
					written = n.escaped
				}
				sql := []string{create + "CREATE TABLE " + table + " (n int)"}
				alone := func(format string, args ...any) {
					sql = append(sql, "-- migrate:no-transaction\n"+fmt.Sprintf(format, args...))
				}
				alone("CREATE INDEX CONCURRENTLY %s ON %s (n)", written, table)
				alone("REINDEX INDEX CONCURRENTLY %s.%s", n.schema, written)
				alone("REINDEX (VERBOSE, CONCURRENTLY) TABLE %s", table)
				alone("REINDEX SCHEMA CONCURRENTLY %s", n.schema)
				alone("REINDEX TABLE %s", table)
				alone("DROP INDEX CONCURRENTLY IF EXISTS %s.%s", n.schema, written)
				alone("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS %s ON ONLY %s (n)", written, table)
				alone("VACUUM (ANALYZE) %s (n), ONLY %s", table, table)
				if pgtest.Value[int](t, db.SuperConn, "SELECT current_setting('server_version_num')::int") < 18_00_00 {
					sql[len(sql)-1] = strings.ReplaceAll(sql[len(sql)-1], "ONLY ", "")
				}
				m := withoutRole(t, db, sql...)
				index := n.schema + "." + n.index
				exists := func() bool {
					return pgtest.Value[bool](t, db.SuperConn, "SELECT bool_and(indisvalid) FROM pg_index WHERE "+
						"indexrelid = to_regclass($1)", index)
				}
				invalid := func(name string) {
					pgtest.Exec(t, db.SuperConn, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = "+
						quoteLiteral(name)+"::regclass")
				}
				for version := 2; version <= len(sql); version++ {
					up(t, withoutRole(t, db, sql[:version-1]...), conn)
					pgtest.Exec(t, db.MigratorConn, claimed(m, version))
					if strings.HasPrefix(sql[version-1], "-- migrate:no-transaction\nCREATE") {
						pgtest.Exec(t, db.MigratorConn, "CREATE INDEX "+n.index+" ON "+table+" (n)")
						invalid(index)
					}
					left := ""
					if strings.HasPrefix(sql[version-1], "-- migrate:no-transaction\nREINDEX") {
						left = pgtest.Value[string](t, db.SuperConn, "SELECT format('%I.%I', nspname, left(relname, "+
							"28) || '_ccnew1') FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE "+
							"c.oid = to_regclass($1)", index)
						pgtest.Exec(t, db.MigratorConn, "CREATE INDEX "+left[strings.LastIndex(left, ".")+1:]+" ON "+
							table+" (n)")
						invalid(left)
					}
					if report := up(t, withoutRole(t, db, sql[:version]...), conn); report.To != version ||
						len(report.Applied) != 1 {
						t.Fatalf("%s: report %+v", sql[version-1], report)
					}
					if left != "" && pgtest.Value[bool](t, db.SuperConn, "SELECT to_regclass($1) IS NOT NULL", left) {
						t.Errorf("%s: %s is still there", sql[version-1], left)
					}
				}
				if !exists() {
					t.Errorf("%s is not valid", index)
				}
			})
		}
	}
}

// claimed is what a migrator wrote that died while it applied a file.
func claimed(m *migrate.Migrator, version int) string {
	file := m.Bundle.Migrations()[version-1]
	return fmt.Sprintf(`INSERT INTO app.migrations (version, prev, name, checksum, min_version, app_version, claimed_by_pid, claimed_by_start)
		SELECT %d, %d, '%s', decode('%x', 'hex'), 1, '1.0', 1, '2020-01-01'`, version, version-1, file.Name, file.Checksum)
}

func quoteLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// TestAnIndexOfThatNameOnAnotherTableIsNotTakenForOurs: not after a crash, and not by IF NOT EXISTS.
func TestAnIndexOfThatNameOnAnotherTableIsNotTakenForOurs(t *testing.T) {
	t.Parallel()
	for _, ifNotExists := range []string{"", "IF NOT EXISTS "} {
		for _, left := range []string{
			"CREATE INDEX i ON app.t2 (id)",
			"CREATE INDEX i ON app.t1 (id); UPDATE pg_index SET indisvalid = false WHERE indexrelid = " +
				"'app.i'::regclass",
		} {
			for _, crashed := range []bool{false, true} {
				db := pgtest.Blank(t)
				sql := []string{
					table + "; CREATE TABLE app.t2 (id int)",
					"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY " + ifNotExists + "i ON app.t1 (a)",
				}
				up(t, migrator(t, db, sql[0]), db.MigratorConn)
				pgtest.Exec(t, db.SuperConn, strings.Split(left, "; ")...)
				m := migrator(t, db, sql...)
				ours := crashed && strings.Contains(left, "t1")
				if crashed {
					pgtest.Exec(t, db.MigratorConn, claimed(m, 2))
				}
				_, err := m.Up(t.Context(), db.MigratorConn)
				if ours && err != nil || !ours && (err == nil || !strings.Contains(err.Error(), "42P07")) {
					t.Errorf("%q, %s, crashed %t: got %v", ifNotExists, left, crashed, err)
				}
				if want := map[bool]int{true: 2, false: 1}[ours]; pgtest.Value[int](t, db.SuperConn,
					"SELECT count(*)::int FROM app.migrations") != want {
					t.Errorf("%q, %s, crashed %t: the ledger has not %d rows", ifNotExists, left, crashed, want)
				}
			}
		}
	}
}
