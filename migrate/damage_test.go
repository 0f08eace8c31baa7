package migrate_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/rehearse"
)

// TestTheLedgersTableIsWhatItIsComparedWith holds for every version of PostgreSQL.
func TestTheLedgersTableIsWhatItIsComparedWith(t *testing.T) {
	t.Parallel()
	const file = "internal/ledger/ledger.txt"
	db := pgtest.Blank(t)
	m := migrator(t, db, story...)
	up(t, m, db.MigratorConn)
	got, err := m.LedgerTable(t.Context(), db.Connect(t, db.WebConn))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || got != string(want) {
		t.Errorf("%s is stale (%v); run go test ./migrate -update. Got\n%s", file, err, got)
	}
}

// TestADamagedTableIsSeenAndMadeAnew: rows that are right are worth nothing in a table
// that keeps nobody out, forgets, or hides them.
func TestADamagedTableIsSeenAndMadeAnew(t *testing.T) {
	t.Parallel()
	const table, grants = "ALTER TABLE app.migrations ",
		"; GRANT SELECT, DELETE ON app.migrations TO pg_monitor; GRANT REFERENCES (version) ON app.migrations TO " +
			"pg_monitor WITH GRANT OPTION"
	for damage, says := range map[string]string{
		table + "DROP CONSTRAINT migrations_pkey CASCADE": "lacks constraint migrations_pkey PRIMARY KEY (version)",
		table + "DROP CONSTRAINT migrations_pkey CASCADE; " + table +
			"DROP CONSTRAINT migrations_prev_key; INSERT INTO app.migrations TABLE app.migrations": "",
		table + "DROP CONSTRAINT migrations_prev_check; UPDATE app.migrations SET " +
			"prev = NULL": "lacks constraint migrations_prev_check",
		table + "DROP CONSTRAINT migrations_prev_fkey": "lacks constraint migrations_prev_fkey",
		table + "DISABLE TRIGGER ALL": "has   constraint migrations_prev_fkey FOREIGN KEY (prev) REFERENCES " +
			"migrations(version) disabled",
		table + "ADD COLUMN note text NOT NULL DEFAULT ''; " + table +
			"ALTER note DROP DEFAULT": "has   column note text not null",
		table + "ALTER app_version DROP NOT NULL": "has   column " +
			"app_version text",
		table + "ALTER applied_at DROP DEFAULT": "has   column " +
			"applied_at timestamp with time zone not null",
		table + "ALTER version TYPE bigint": "has   column " +
			"version bigint not null",
		table + "SET UNLOGGED": "has   unlogged",
		table + "ENABLE ROW LEVEL SECURITY; " + table +
			"FORCE ROW LEVEL SECURITY; CREATE POLICY newer ON app.migrations USING (version > 1)": "",
		table + "ENABLE ROW LEVEL SECURITY": "", // which a start takes off
		"CREATE TRIGGER g BEFORE UPDATE ON app.migrations FOR EACH ROW EXECUTE FUNCTION " +
			"suppress_redundant_updates_trigger()": "has   trigger g",
		"CREATE RULE forget AS ON DELETE TO app.migrations DO " +
			"INSTEAD NOTHING": "has   rule forget",
		"CREATE TABLE public.heir () INHERITS " +
			"(app.migrations)": "has   inherited by public.heir",
	} {
		t.Run(damage, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			m := remembering(t, migrator(t, db, story...))
			up(t, migrator(t, db, story[:2]...), db.MigratorConn)
			pgtest.Exec(t, db.SuperConn, strings.Split(damage+grants, "; ")...)
			if says != "" {
				seesDamage(t, m, db, says)
			}
			twice := ""
			if strings.HasSuffix(damage, "INSERT INTO app.migrations TABLE app.migrations") {
				twice = "1,2"
			}
			before := pgtest.Value[string](t, db.SuperConn,
				"SELECT string_agg(DISTINCT version || applied_at::text, ',') FROM app.migrations")
			if strings.Contains(damage, "INHERITS") { // what depends on it is not dropped
				_, err := m.Repair(t.Context(), db.MigratorConn, migrate.RepairOptions{Write: true})
				if err == nil || !strings.Contains(err.Error(), "table public.heir depends on") {
					t.Fatalf("repair: %v, want that it names what depends on the table", err)
				}
				pgtest.Exec(t, db.SuperConn, "DROP TABLE public.heir")
			} else if r := repaired(t, m, db, true); !r.Table || rowsOf(r) != twice || r.Comment != "" ||
				!strings.Contains(fmt.Sprint(r.Damage), strings.TrimPrefix(says, "")) {
				t.Errorf("got %+v, want only the table, because of %q", r, says)
			}
			if after := pgtest.Value[string](t, db.SuperConn,
				"SELECT string_agg(version || applied_at::text, ',') FROM app.migrations WHERE "+
					"NOT rebuilt"); after != before {
				t.Errorf("the rows were %s and are %s", before, after)
			}
			for _, has := range []string{
				"has_table_privilege('pg_monitor', 'app.migrations', 'DELETE')",
				"has_column_privilege('pg_monitor', 'app.migrations', 'version', 'REFERENCES WITH GRANT OPTION')",
				"has_table_privilege('" + db.WebRole + "', 'app.migrations', 'SELECT')",
			} {
				if !pgtest.Value[bool](t, db.SuperConn, "SELECT "+has) {
					t.Errorf("not so any more: %s", has)
				}
			}
			if v, err := askVerify(t.Context(), m, db.WebConn); err != nil || v.Status.State != migrate.Behind ||
				!v.Compared || len(v.Drift) > 0 {
				t.Errorf("verify: %+v, %v; want that all is well", v, err)
			}
			if report := up(t, m, db.MigratorConn); report.To != 4 {
				t.Errorf("the next start: %+v", report)
			}
		})
	}
}

// seesDamage: with files pending all commands and a start tell; nothing is changed.
func seesDamage(t *testing.T, m *migrate.Migrator, db *pgtest.DB, says string) {
	t.Helper()
	before := fingerprint(t, db)
	plain := *m
	plain.Bundle = migrator(t, db, story...).Bundle // without snapshots
	plan, err := askPlan(t.Context(), m, db.MigratorConn)
	errs := map[string]error{"plan": errors.Join(plan.Refusal, err)}
	v, err := askVerify(t.Context(), m, db.MigratorConn)
	errs["verify"] = errors.Join(v.Err(), err)
	_, errs["a start"] = m.Up(t.Context(), db.MigratorConn)
	_, errs["a start without snapshots"] = plain.Up(t.Context(), db.MigratorConn)
	_, errs["a rehearsal"] = rehearse.Run(t.Context(), m, db.MigratorConn)
	for who, err := range errs {
		if lost, ok := errors.AsType[*migrate.LedgerLostError](err); !ok || !strings.Contains(err.Error(), says) ||
			len(lost.Damage) == 0 {
			t.Errorf("%s: got %v\nwant that the ledger is lost, and %q", who, err, says)
		}
	}
	if after := fingerprint(t, db); after != before {
		t.Errorf("the database was changed:\nbefore %s\nafter  %s", before, after)
	}
}

// TestWhatADBADoesToAnyTableIsNoDamage: replication and tuning stop no start.
func TestWhatADBADoesToAnyTableIsNoDamage(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := remembering(t, migrator(t, db, story...))
	up(t, migrator(t, db, story[:2]...), db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, "ALTER TABLE app.migrations REPLICA IDENTITY FULL",
		"ALTER TABLE app.migrations SET (autovacuum_enabled = off)", "CREATE INDEX ON app.migrations (applied_at)",
		"ALTER TABLE app.migrations ADD COLUMN note text",
		"CREATE TABLE public.deployments (version int REFERENCES app.migrations)",
		"COMMENT ON COLUMN app.migrations.name IS 'x'", "CREATE PUBLICATION p FOR TABLE app.migrations")
	if r := repaired(t, m, db, false); r.Needed() {
		t.Errorf("repair: %+v, want that nothing is needed", r)
	}
	if report := up(t, m, db.MigratorConn); report.To != 4 {
		t.Errorf("a start: %+v", report)
	}
}

// TestASoundTableIsRepairedInPlace: rows are mended where they are, and what others
// built upon the table stays.
func TestASoundTableIsRepairedInPlace(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := remembering(t, migrator(t, db, story...))
	up(t, m, db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, "CREATE VIEW public.upon AS SELECT version FROM app.migrations",
		"GRANT SELECT ON app.migrations TO pg_monitor",
		"UPDATE app.migrations SET name = 'x', checksum = sha256('x') WHERE version = 2",
		"DELETE FROM app.migrations WHERE version = 4", "UPDATE app.migrations SET min_version = 7 WHERE version = 1")
	before := pgtest.Value[string](t, db.SuperConn,
		"SELECT 'app.migrations'::regclass::oid::text || (SELECT relacl::text FROM pg_class WHERE oid = "+
			"'app.migrations'::regclass)")
	r := repaired(t, m, db, true)
	if r.Table || rowsOf(r) != "1,2,4" {
		t.Errorf("got %+v, want rows 1, 2 and 4 in the same table", r)
	}
	if after := pgtest.Value[string](t, db.SuperConn,
		"SELECT 'app.migrations'::regclass::oid::text || (SELECT relacl::text FROM pg_class WHERE oid = "+
			"'app.migrations'::regclass)"); after != before {
		t.Errorf("the table was %s and is %s", before, after)
	}
	if v, err := askVerify(t.Context(), m, db.WebConn); err != nil || v.Err() != nil {
		t.Errorf("verify: %+v, %v", v, errors.Join(err, v.Err()))
	}
}

// TestRepairTakesAClaimIntoAccount: what a file without a transaction has done of its
// work is no change by hand, and who has claimed it is told where it matters.
func TestRepairTakesAClaimIntoAccount(t *testing.T) {
	t.Parallel()
	const invalid = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.t1_late'::regclass"
	files := append(slices.Clone(story),
		"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY t1_late ON app.t1 (id, note)")
	claim := "INSERT INTO app.migrations (version, prev, name, checksum, min_version, app_version, claimed_by_pid, " +
		"claimed_by_start) VALUES (5, 4, 'm5', decode('%x', 'hex'), 1, '', 4711, now() - interval '1 hour')"
	for name, c := range map[string]struct {
		releases int // files that the repairing program has
		damage   string
		says     string
	}{
		"not begun":                 {5, "SELECT 1", ""},
		"begun":                     {5, "CREATE INDEX t1_late ON app.t1 (id, note); " + invalid, ""},
		"done":                      {5, "CREATE INDEX t1_late ON app.t1 (id, note)", ""},
		"begun, no comment":         {5, "CREATE INDEX t1_late ON app.t1 (id, note); " + invalid + noWord, ""},
		"begun, by a newer program": {4, "CREATE INDEX t1_late ON app.t1 (id, note); " + invalid, ""},
		"done, by a newer program": {
			4, "CREATE INDEX t1_late ON app.t1 (id, note)",
			"Server process 4711 has claimed 0005_m5, a file of a newer program that runs without a transaction: " +
				"repair with that program",
		},
		"something else is different, too": {
			5, "CREATE INDEX t1_late ON app.t1 (id, note); " + invalid + byHand,
			"What 0005_m5 does may stay: it runs without a transaction, and server process 4711 has claimed it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			up(t, migrator(t, db, story...), db.MigratorConn)
			newest := migrator(t, db, files...)
			pgtest.Exec(t, db.SuperConn, append(strings.Split(c.damage, "; "),
				fmt.Sprintf(claim, newest.Bundle.Migrations()[4].Checksum),
				"UPDATE app.migrations SET name = 'x' WHERE version = 2")...)
			m := remembering(t, migrator(t, db, files[:c.releases]...))
			r, err := m.Repair(t.Context(), db.MigratorConn, migrate.RepairOptions{Write: true})
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v\nwant %q", err, c.says)
				}
				return
			}
			if err != nil || rowsOf(r) != "2" || r.Version != 4 {
				t.Errorf("got %+v, %v; want row 2 of version 4", r, err)
			}
			if report := up(t, remembering(t, newest), db.MigratorConn); report.To != 5 {
				t.Errorf("the next start: %+v", report)
			}
		})
	}
}

// TestADamagedTableIsNotWrittenToBesideALock: what keeps the schema from being compared
// does not keep a start from looking at the ledger's table.
func TestADamagedTableIsNotWrittenToBesideALock(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := remembering(t, migrator(t, db, story...))
	m.RepairCommand = "app repair"
	up(t, migrator(t, db, story[:2]...), db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, "ALTER TABLE app.migrations DROP CONSTRAINT migrations_prev_key")
	held := db.Connect(t, db.SuperConn)
	execute(t, held, "BEGIN; LOCK TABLE app.t1")
	_, err := m.Up(t.Context(), db.MigratorConn)
	if lost, ok := errors.AsType[*migrate.LedgerLostError](err); !ok || len(lost.Damage) == 0 ||
		!strings.Contains(err.Error(), `"app repair" shows what can be rebuilt`) {
		t.Errorf("got %v\nwant that the ledger's table is damaged, and the command against it", err)
	}
	if n := pgtest.Value[int](t, db.SuperConn, "SELECT count(*) FROM app.migrations"); n != 2 {
		t.Errorf("%d rows, want the 2 that were there", n)
	}
}

// TestARowThatIsSwallowedIsNotBelieved: a trigger can make the ledger forget between the
// look and the row. Somebody else makes it here between two files of one start: it waits
// for the first one's lock on the ledger, and the second one waits behind it.
func TestARowThatIsSwallowedIsNotBelieved(t *testing.T) {
	t.Parallel()
	const function = "CREATE FUNCTION app.forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
	const forget = "CREATE TRIGGER f BEFORE INSERT ON app.migrations FOR EACH ROW EXECUTE FUNCTION app.forget()"
	for name, last := range map[string]string{
		"in a transaction": "CREATE TABLE app.t3 (id int)",
		"without one":      "-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY late ON app.t1 (id)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			files := []string{"CREATE TABLE app.t1 (id int); " + function, atGate, last}
			up(t, migrator(t, db, files[0]), db.MigratorConn)
			open := gate(t, db)
			var all sync.WaitGroup
			all.Go(func() {
				whenRunning(t, db, func() {
					all.Go(func() { pgtest.Exec(t, db.SuperConn, forget) })
					pgtest.EventuallyValue(t, db.SuperConn, `SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database d ON d.oid = database
						WHERE datname = current_database() AND NOT granted AND mode = 'ShareRowExclusiveLock')`, true)
					open()
				})
			})
			report, err := migrator(t, db, files...).Up(t.Context(), db.MigratorConn)
			all.Wait()
			if _, ok := errors.AsType[*migrate.LedgerLostError](err); !ok ||
				!strings.Contains(err.Error(), "0003_m3.sql: a trigger or a rule swallows it") || report.To != 2 {
				t.Errorf("got %+v, %v; want that the ledger does not take the third row", report, err)
			}
			if pgtest.Value[bool](t, db.SuperConn, "SELECT to_regclass('app.t3') IS NOT NULL OR "+
				"to_regclass('app.late') IS NOT NULL") {
				t.Error("the third file was applied")
			}
		})
	}
}

// TestWhatGoesWithADamagedTableIsTold: only its rows and rights are made anew, and nobody
// gets a right by it.
func TestWhatGoesWithADamagedTableIsTold(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := remembering(t, migrator(t, db, story...))
	up(t, m, db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, "ALTER TABLE app.migrations DROP CONSTRAINT migrations_prev_key",
		"ALTER TABLE app.migrations ADD COLUMN note text", "CREATE INDEX by_time ON app.migrations (applied_at)",
		"ALTER TABLE app.migrations REPLICA IDENTITY FULL", "COMMENT ON COLUMN app.migrations.name IS 'x'",
		"CREATE STATISTICS app.both ON version, prev FROM app.migrations",
		"CREATE PUBLICATION gone FOR TABLE app.migrations",
		"ALTER DEFAULT PRIVILEGES FOR ROLE "+owner(t, db)+" GRANT ALL ON TABLES TO PUBLIC")
	r := repaired(t, m, db, true)
	got := fmt.Sprint(r.Gone)
	for _, want := range []string{
		"column note text", "index by_time btree (applied_at)", "replica identity full",
		"comment on name 'x'", `statistics "both"`, "published by gone",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s goes with the table, and is not told: %s", want, got)
		}
	}
	if len(r.Gone) != 6 || r.Label {
		t.Errorf("got %+v, want the six, and no comment of its own", r)
	}
	if pgtest.Value[bool](t, db.SuperConn,
		"SELECT EXISTS (SELECT FROM pg_class, aclexplode(relacl) WHERE oid = 'app.migrations'::regclass AND "+
			"grantee = 0)") {
		t.Error("everybody has a right on the ledger now")
	}
	if again := repaired(t, m, db, false); again.Needed() {
		t.Errorf("once more: %+v, want that nothing is needed", again)
	}
}

// TestALedgerThatCannotBeReadIsDamaged: columns of another type are no other tool's table,
// and no error of ours.
func TestALedgerThatCannotBeReadIsDamaged(t *testing.T) {
	t.Parallel()
	for column, drops := range map[string]string{
		"duration":   "",
		"applied_at": "ALTER TABLE app.migrations ALTER applied_at DROP DEFAULT",
		"rebuilt":    "ALTER TABLE app.migrations ALTER rebuilt DROP DEFAULT", "claimed_by_start": "",
	} {
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			m := remembering(t, migrator(t, db, story...))
			up(t, m, db.MigratorConn)
			if drops != "" {
				pgtest.Exec(t, db.SuperConn, drops)
			}
			pgtest.Exec(t, db.SuperConn, "ALTER TABLE app.migrations ALTER "+column+" TYPE text")
			status, _, err := askHistory(t.Context(), m, db.WebConn)
			if err != nil || status.State != migrate.LedgerLost ||
				!strings.Contains(status.Err().Error(), "column "+column+" text") {
				t.Errorf("status: %+v, %v; want that the ledger is lost", status, err)
			}
			if v, err := askVerify(t.Context(), m, db.WebConn); err != nil || v.Status.State != migrate.LedgerLost {
				t.Errorf("verify: %+v, %v; want that the ledger is lost", v, err)
			}
			if r := repaired(t, m, db, true); !r.Table || rowsOf(r) != "1,2,3,4" {
				t.Errorf("got %+v, want the table and its rows", r)
			}
			if v, err := askVerify(t.Context(), m, db.WebConn); err != nil || v.Err() != nil {
				t.Errorf("verify: %v, %v", err, v.Err())
			}
		})
	}
}

// TestTheLedgersOwnCommentIsPartOfIt: without it a table that lost a column, too, would be
// another tool's.
func TestTheLedgersOwnCommentIsPartOfIt(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := remembering(t, migrator(t, db, story...))
	up(t, m, db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, "COMMENT ON TABLE app.migrations IS NULL")
	if v, err := askVerify(t.Context(), m, db.WebConn); err != nil || len(v.Drift) != 1 ||
		!strings.Contains(v.Err().Error(), "table migrations: lacks comment") {
		t.Errorf("verify: %+v, %v; want that the table lacks its comment", v, err)
	}
	if r := repaired(t, m, db, true); !r.Label || r.Table || len(r.Rows) > 0 {
		t.Errorf("got %+v, want the comment", r)
	}
	if v, err := askVerify(t.Context(), m, db.WebConn); err != nil || v.Err() != nil {
		t.Errorf("verify: %v, %v", err, v.Err())
	}
}

// TestAViewInTheLedgersPlaceIsNotTouched: it may be somebody's compatibility layer.
func TestAViewInTheLedgersPlaceIsNotTouched(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"VIEW", "MATERIALIZED VIEW"} {
		db := pgtest.Blank(t)
		m := remembering(t, migrator(t, db, story...))
		up(t, m, db.MigratorConn)
		pgtest.Exec(t, db.SuperConn, "ALTER TABLE app.migrations SET SCHEMA public", "CREATE "+kind+
			" app.migrations AS TABLE public.migrations", "GRANT SELECT ON app.migrations TO "+db.WebRole,
			"ALTER "+kind+" app.migrations OWNER TO "+owner(t, db))
		if v, err := askVerify(t.Context(), m, db.WebConn); err != nil || v.Status.State != migrate.LedgerLost {
			t.Errorf("%s: verify: %+v, %v; want that the ledger is lost", kind, v.Status, err)
		}
		_, err := m.Repair(t.Context(), db.MigratorConn, migrate.RepairOptions{Write: true})
		if _, ok := errors.AsType[*migrate.UnrepairableError](err); !ok ||
			!strings.Contains(err.Error(), strings.ToLower(kind)+" stands where its table belongs") {
			t.Errorf("%s: got %v, want that it is not touched", kind, err)
		}
	}
}
