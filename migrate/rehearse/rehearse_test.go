package rehearse_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/rehearse"
)

// rehearsing is a blank database whose migrator may make scratch databases.
func rehearsing(tb testing.TB) *pgtest.DB {
	tb.Helper()
	db := pgtest.Blank(tb)
	pgtest.Exec(tb, db.SuperConn, "ALTER ROLE "+db.Migrator()+" CREATEDB")
	return db
}

// rehearsed is what a rehearsal reports that succeeds.
func rehearsed(tb testing.TB, m *migrate.Migrator, db *pgtest.DB) rehearse.Report {
	tb.Helper()
	r, err := rehearse.Run(tb.Context(), m, db.MigratorConn)
	if err != nil {
		tb.Fatalf("Run: %v", err)
	}
	return r
}

// traces is all that a rehearsal could leave behind of a migrator and its database.
func traces(tb testing.TB, db *pgtest.DB, m *migrate.Migrator) string {
	tb.Helper()
	text, err := migrate.Snapshot(tb.Context(), db.Connect(tb, db.SuperConn), m.Schema)
	if err != nil {
		tb.Fatal(err)
	}
	var ledger string
	if pgtest.Value[bool](tb, db.SuperConn, "SELECT to_regnamespace('app') IS NOT NULL") {
		ledger = pgtest.Value[string](tb, db.SuperConn,
			"SELECT obj_description('app'::regnamespace) || string_agg(m::text || xmin, ',' ORDER BY version) FROM "+
				"app.migrations m")
	}
	return text + ledger + pgtest.Value[string](tb, db.SuperConn, fmt.Sprintf(`SELECT concat_ws(' ',
		(SELECT string_agg(datname, ',') FROM pg_database WHERE pg_get_userbyid(datdba) = '%[1]s'),
		(SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolname = '%[2]s'),
		(SELECT string_agg(d::text, ',' ORDER BY d::text) FROM pg_shdepend d WHERE refobjid IN (SELECT oid FROM pg_roles WHERE rolname IN ('%[1]s', '%[2]s'))),
		(SELECT string_agg(m::text, ',') FROM pg_auth_members m WHERE pg_get_userbyid(member) = '%[1]s'),
		(SELECT count(*) FROM pg_largeobject_metadata))`, db.Migrator(), db.WebRole))
}

// describe is what is reported of a file's locks and rewrites, in one line.
func describe(f rehearse.File) string {
	var parts []string
	for _, l := range f.Locks {
		parts = append(parts, fmt.Sprintf("%s %s %s", l.Mode, l.Kind, l.Relation))
	}
	for _, table := range f.Rewritten {
		parts = append(parts, "rewrites "+table)
	}
	return strings.Join(parts, ", ")
}

func TestRehearsalTellsLocksAndRewrites(t *testing.T) {
	t.Parallel()
	history := []string{"CREATE TABLE app.t1 (id int PRIMARY KEY, a text); INSERT INTO app.t1 SELECT i, repeat('x', " +
		"100) FROM generate_series(1, 1000) i; CREATE TABLE app.t2 (id int PRIMARY KEY); CREATE VIEW app.v AS " +
		"SELECT id FROM app.t2"}
	steps := []struct{ sql, want string }{
		{"ALTER TABLE app.t1 ADD COLUMN b int", "AccessExclusiveLock table t1"},
		{
			"ALTER TABLE app.t1 ADD COLUMN c uuid NOT NULL DEFAULT gen_random_uuid()",
			"AccessExclusiveLock table t1, rewrites t1",
		},
		{"CREATE INDEX t1_a ON app.t1 (a)", "ShareLock table t1"},
		{
			"ALTER TABLE app.t1 ADD CONSTRAINT fk FOREIGN KEY (b) REFERENCES app.t2",
			"ShareRowExclusiveLock table t1, ShareRowExclusiveLock table t2",
		},
		{"UPDATE app.t1 SET b = NULL WHERE id = 1", "RowExclusiveLock table t1"},
		{"CREATE TABLE app.t3 (id int); ALTER TABLE app.t3 ADD COLUMN b int", ""},
		{
			"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY t1_b ON app.t1 (b)",
			"ShareUpdateExclusiveLock table t1",
		},
		{"-- migrate:no-transaction\nREINDEX INDEX CONCURRENTLY app.t1_b", "ShareUpdateExclusiveLock table t1"},
		{"-- migrate:no-transaction\nREINDEX TABLE CONCURRENTLY app.t1", "ShareUpdateExclusiveLock table t1"},
		{"-- migrate:no-transaction\nVACUUM app.t1", "ShareUpdateExclusiveLock table t1"},
		{"-- migrate:no-transaction\nVACUUM (FULL) app.t2", "AccessExclusiveLock table t2, rewrites t2"},
		{"-- migrate:no-transaction\nDROP INDEX CONCURRENTLY app.t1_b", "ShareUpdateExclusiveLock table t1"},
		{"DROP INDEX app.t1_a", "AccessExclusiveLock table t1"},
		{"REINDEX INDEX app.t1_pkey", "AccessExclusiveLock index t1_pkey of t1, ShareLock table t1"},
		{
			"CREATE OR REPLACE VIEW app.v AS SELECT id, 1 AS one FROM app.t2",
			"AccessExclusiveLock view v, AccessShareLock table t2",
		},
		{"DROP TABLE app.t3", "AccessExclusiveLock table t3"},
	}
	db := rehearsing(t)
	up(t, migrator(t, db, history...), db.MigratorConn)
	sql := history
	for _, s := range steps {
		sql = append(sql, s.sql)
	}
	m := migrator(t, db, sql...)
	before := traces(t, db, m)
	r := rehearsed(t, m, db)
	if err := r.Err(); err != nil || r.Audit == nil || r.AuditSkipped != "" || len(r.Files) != len(steps) {
		t.Fatalf("%v, audit %v %s, %d files; want %d and all well", err, r.Audit, r.AuditSkipped, len(r.Files), len(steps))
	}
	for i, s := range steps {
		f := r.Files[i]
		got := describe(f)
		if got != s.want {
			t.Errorf("%s\ngot  %s\nwant %s", s.sql, got, s.want)
		}
		if f.Version != i+2 || f.Elapsed <= 0 || f.WAL <= 0 || f.NoTransaction != strings.Contains(s.sql, "no-transaction") {
			t.Errorf("%s: %+v", s.sql, f)
		}
	}
	const atLeast = 100_000 // bytes; there is no upper bound, because the tests beside this one write to the same log
	if rewrite := r.Files[1].WAL; rewrite < atLeast {
		t.Errorf("WAL of the rewrite %d, want at least %d", rewrite, atLeast)
	}
	if after := traces(t, db, m); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	report := up(t, m, db.MigratorConn) // as was said
	if len(report.Applied) != len(steps) {
		t.Errorf("the start after it: %+v", report)
	}
}

func TestRehearsalOfABlankDatabaseLeavesItBlank(t *testing.T) {
	t.Parallel()
	db := rehearsing(t)
	m := migrator(t, db, tables(3)...)
	before := traces(t, db, m)
	r := rehearsed(t, m, db)
	if r.Err() != nil || r.Status.State != migrate.Blank || len(r.Files) != 3 || r.Audit == nil {
		t.Errorf("%v, %+v; want three files and the proof of a role that does not exist yet", r.Err(), r)
	}
	if after := traces(t, db, m); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

func TestAFileThatFailsInARehearsalIsNamed(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]struct{ sql, want string }{
		"a statement": {
			"SELECT 1;\n  SELECT nonsense",
			"0003_m3.sql:2:10: statement 2 of 2: column \"nonsense\" does not exist",
		},
		"at its commit": {
			"CREATE TABLE app.d (id int PRIMARY KEY, up int REFERENCES app.d DEFERRABLE " +
				"INITIALLY DEFERRED); INSERT INTO app.d VALUES (1, 2)",
			"0003_m3.sql: at its commit: insert or update on table \"d\"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := rehearsing(t)
			up(t, migrator(t, db, tables(1)...), db.MigratorConn)
			m := migrator(t, db, tables(1)[0], tables(2)[1], bad.sql, "SELECT 4")
			before := traces(t, db, m)
			r, err := rehearse.Run(t.Context(), m, db.MigratorConn)
			failed, ok := errors.AsType[*migrate.MigrationError](err)
			if !ok || failed.Version != 1 || !strings.Contains(err.Error(), bad.want) ||
				!strings.Contains(err.Error(), "rehearsed only; the database is as it was, at version 1") {
				t.Errorf("got %v\nwant %s", err, bad.want)
			}
			if len(r.Files) != 1 || r.Files[0].Version != 2 {
				t.Errorf("the report holds %+v, want the file before it", r.Files)
			}
			if after := traces(t, db, m); after != before {
				t.Errorf("before\n%s\nafter\n%s", before, after)
			}
		})
	}
}

func TestRehearsalFindsDriftWithoutSnapshots(t *testing.T) {
	t.Parallel()
	db := rehearsing(t)
	up(t, migrator(t, db, tables(2)...), db.MigratorConn)
	pgtest.Exec(t, db.MigratorConn, "ALTER TABLE app.t2 ADD COLUMN mine int")
	r := rehearsed(t, migrator(t, db, tables(3)...), db)
	drift, ok := errors.AsType[*migrate.DriftError](r.Err())
	if !ok || len(drift.Drift) != 1 || drift.Drift[0].String() != "table t2: has   column mine integer" ||
		len(r.Files) != 1 {
		t.Errorf("got %v and %d files, want a column that nobody's migration made, and one file", r.Err(), len(r.Files))
	}
}

func TestRehearsalWithoutTheRightSaysWhatToDo(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	_, err := rehearse.Run(t.Context(), migrator(t, db, tables(1)...), db.MigratorConn)
	lacks, ok := errors.AsType[*pg.PrivilegeError](err)
	if !ok || !slices.Equal(lacks.SQL, []string{"ALTER ROLE " + `"` + db.Migrator() + `" CREATEDB`}) ||
		!strings.Contains(lacks.Lacks, "restored copy") {
		t.Errorf("got %v, want the SQL and the other way", err)
	}
}

func TestRehearsalWithoutCreateRoleLeavesTheProofOut(t *testing.T) {
	t.Parallel()
	db := rehearsing(t)
	pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.Migrator()+" NOCREATEROLE")
	r := rehearsed(t, migrator(t, db, tables(2)...), db)
	if r.Audit != nil || !strings.Contains(r.AuditSkipped, "may not create roles") || len(r.Files) != 2 {
		t.Errorf("%+v, want two files and no proof", r)
	}
	if _, ok := errors.AsType[*pg.PrivilegeError](r.Err()); !ok {
		t.Errorf("got %v, want that a start would refuse, too", r.Err())
	}
}

func TestRehearsalFindsADeclaredRightThatCannotBeGranted(t *testing.T) {
	t.Parallel()
	db := rehearsing(t)
	m := migrator(t, db, tables(1)...)
	m.Role.Privileges = append(m.Role.Privileges, privilege.Privilege{On: "TABLE forgotten", Allow: "SELECT"})
	_, err := rehearse.Run(t.Context(), m, db.MigratorConn)
	if err == nil || !strings.Contains(err.Error(), `"app.forgotten" does not exist`) {
		t.Errorf("got %v, want the table that does not exist", err)
	}
}

func TestRehearsalRefusesWhatAStartRefuses(t *testing.T) {
	t.Parallel()
	db := rehearsing(t)
	up(t, migrator(t, db, tables(2)...), db.MigratorConn)
	for name, c := range map[string]struct {
		sql  []string
		want func(error) bool
	}{
		"diverged": {
			[]string{tables(1)[0] + "-- edited", tables(2)[1], "SELECT 3"},
			func(err error) bool { _, ok := errors.AsType[*migrate.DivergedError](err); return ok },
		},
		"ahead":   {tables(1), func(err error) bool { return err == nil }},
		"current": {tables(2), func(err error) bool { return err == nil }},
	} {
		r, err := rehearse.Run(t.Context(), migrator(t, db, c.sql...), db.MigratorConn)
		if !c.want(err) || len(r.Files) != 0 {
			t.Errorf("%s: got %v and %d files", name, err, len(r.Files))
		}
	}
	pgtest.Exec(t, db.SuperConn, "DELETE FROM app.migrations WHERE version = 2")
	_, err := rehearse.Run(t.Context(), migrator(t, db, tables(3)...), db.MigratorConn)
	if _, ok := errors.AsType[*migrate.LedgerLostError](err); !ok {
		t.Errorf("lost: got %v", err)
	}
}

// scratches lists the scratch databases of a migrator.
func scratches(tb testing.TB, db *pgtest.DB) string {
	tb.Helper()
	return pgtest.Value[string](tb, db.SuperConn,
		"SELECT coalesce(string_agg(datname, ',' ORDER BY datname), '') FROM pg_database WHERE datname LIKE "+
			"'%\\_rehearsal\\_%' AND pg_get_userbyid(datdba) = '"+db.Migrator()+"'")
}

func TestTheNextRehearsalSweepsWhatAKilledOneLeft(t *testing.T) {
	t.Parallel()
	db := rehearsing(t)
	m := migrator(t, db, tables(1)...)
	const mark = "scratch database of a rehearsal by Test; it holds nothing of value"
	maker := db.Connect(t, db.MigratorConn)
	var me string
	if err := maker.QueryRow(t.Context(),
		"SELECT pid || '_' || (extract(epoch FROM backend_start) * 1000000)::bigint FROM pg_stat_activity WHERE pid "+
			"= pg_backend_pid()").Scan(&me); err != nil {
		t.Fatal(err)
	}
	foreign := "test_rehearsal_" + strings.ToLower(db.Name) // a name that is not ours
	for name, comment := range map[string]string{
		"test_rehearsal_1_1_gone": mark, "test_rehearsal_1_2_early": "", "test_rehearsal_1_3_yours": "keep me",
		"test_rehearsal_" + me + "_busy": mark, foreign: mark, "test_rehearsal_1_4_used": mark,
	} {
		name = strings.Replace(name, "_1_", "_1_"+strconv.FormatInt(time.Now().UnixNano(), 10), 1)
		pgtest.Exec(t, db.MigratorConn, "CREATE DATABASE "+name)
		t.Cleanup(func() { pgtest.Exec(t, db.SuperConn, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
		if comment != "" {
			pgtest.Exec(t, db.MigratorConn, "COMMENT ON DATABASE "+name+" IS '"+comment+"'")
		}
		if strings.HasSuffix(name, "_used") {
			db.Connect(t, db.MigratorConn+" dbname="+name)
		}
	}
	rehearsed(t, m, db)
	left := scratches(t, db)
	for _, gone := range []string{"_gone", "_early"} {
		if strings.Contains(left, gone) {
			t.Errorf("%s: is still there: %s", gone, left)
		}
	}
	for _, kept := range []string{"_yours", "_busy", "_used", foreign} {
		if !strings.Contains(left, kept) {
			t.Errorf("%s was dropped; left are %s", kept, left)
		}
	}
}

func TestRehearsalsDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	db := rehearsing(t)
	m := migrator(t, db, tables(3)...)
	before := traces(t, db, m)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			r, err := rehearse.Run(t.Context(), m, db.MigratorConn)
			if err != nil || r.Err() != nil || len(r.Files) != 3 || r.Audit == nil {
				t.Errorf("%v, %v: %+v", err, r.Err(), r)
			}
		})
	}
	wg.Wait()
	if after := traces(t, db, m); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

func TestAnInterruptedRehearsalLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"cancelled", "cut off"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			db := rehearsing(t)
			up(t, migrator(t, db, tables(1)...), db.MigratorConn)
			long := "SELECT pg_sleep(60)"
			if how == "cut off" { // it begins again
				long = "SELECT pg_sleep(3)"
			}
			m := migrator(t, db, append(tables(1), long)...)
			m.Grace = time.Millisecond
			before := traces(t, db, m)
			ctx, cancel := context.WithCancelCause(t.Context())
			stopped := errors.New("stopped")
			var once sync.Once
			m.Progress = func(p migrate.Progress) {
				if p.File == "" {
					return
				}
				if how == "cancelled" {
					cancel(stopped)
					return
				}
				once.Do(func() {
					pgtest.Exec(t, db.SuperConn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "+
						"usename = '"+db.Migrator()+"' AND backend_type = 'client backend'")
				})
			}
			_, err := rehearse.Run(ctx, m, db.MigratorConn)
			if how == "cancelled" && !errors.Is(err, stopped) || how == "cut off" && err != nil {
				t.Errorf("got %v", err)
			}
			m.Progress = nil
			if after := traces(t, db, m); after != before {
				t.Errorf("before\n%s\nafter\n%s", before, after)
			}
		})
	}
}

func TestRehearsalTakesAnyNamesAndLocales(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]string{
		"LATIN1": "ENCODING 'LATIN1' LOCALE 'C'",
		"ICU":    "ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'de-u-kn'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blank := pgtest.Blank(t)
			role, database := `Mi"gr's `+blank.Name, `D b"`+blank.Name
			quoted := strings.NewReplacer("$role", `"Mi""gr's `+blank.Name+`"`, "$db", `"D b""`+blank.Name+`"`)
			pgtest.Exec(t, blank.SuperConn, quoted.Replace("CREATE ROLE $role LOGIN CREATEDB CREATEROLE "+
				"PASSWORD 'test'"), quoted.Replace("CREATE DATABASE $db TEMPLATE template0 "+options),
				quoted.Replace("GRANT CREATE ON DATABASE $db TO $role"))
			t.Cleanup(func() {
				pgtest.Exec(t, blank.SuperConn, quoted.Replace("DROP DATABASE $db WITH (FORCE)"),
					quoted.Replace("DROP ROLE $role"))
			})
			value := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
			conn := fmt.Sprintf("%s user='%s' dbname='%s'", blank.MigratorConn, value.Replace(role),
				value.Replace(database))
			m := migrator(t, blank, fmt.Sprintf(`CREATE TABLE "s ""x".t1 (id int PRIMARY KEY, "Ä b" text);
				SELECT 1 / (count(DISTINCT (encoding, datlocprovider, datcollate, datctype, coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'))) = 1)::int
				FROM pg_database d WHERE datname IN (current_database(), '%s')`, database), `ALTER TABLE "s ""x".t1 ADD COLUMN c int`)
			m.Schema, m.Program, m.Role.Name = `s "x`, `Größe "1" of a very long name indeed`, `we"b `+blank.Name
			for range 2 {
				r, err := rehearse.Run(t.Context(), m, conn)
				if err != nil || r.Err() != nil || r.Audit == nil {
					t.Errorf("%v, %v", err, r.Err())
				}
				up(t, m, conn)
			}
			pgtest.Exec(t, blank.SuperConn+fmt.Sprintf(" dbname='%s'", value.Replace(database)),
				`DROP OWNED BY "we""b `+blank.Name+`"`, `DROP ROLE "we""b `+blank.Name+`"`)
		})
	}
}

func TestADBAsDefaultsDoNotCutARehearsal(t *testing.T) {
	t.Parallel()
	db := rehearsing(t)
	for _, setting := range []string{
		"statement_timeout = '1s'", "lock_timeout = '1ms'",
		"default_transaction_isolation = serializable",
	} {
		pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.Migrator()+" SET "+setting)
	}
	m := migrator(t, db, tables(1)[0], "SELECT pg_sleep(1.5)",
		"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY t1_a ON app.t1 (id)")
	r := rehearsed(t, m, db)
	if r.Err() != nil || len(r.Files) != 3 || r.Audit == nil {
		t.Errorf("%v: %+v", r.Err(), r)
	}
	if left := scratches(t, db); left != "" {
		t.Errorf("%s was left behind", left)
	}
}

func TestRehearsalThroughAPoolerSaysWhatToDo(t *testing.T) {
	t.Parallel()
	db := rehearsing(t)
	m := migrator(t, db, tables(1)...)
	pooled := pgtest.PgBouncer(t, 2, map[string]string{"migrator": db.MigratorConn})
	_, err := rehearse.Run(t.Context(), m, pooled["migrator"])
	if _, ok := errors.AsType[*migrate.ConnectError](err); !ok ||
		!strings.Contains(err.Error(), "the server's own address") {
		t.Errorf("got %v, want the server's own address", err)
	}
	if left := scratches(t, db); left != "" {
		t.Errorf("%s was left behind", left)
	}
}

// TestAScratchDatabaseThatSomebodyElseIsIn is dropped when a superuser's monitoring agent has
// left, whom the migrator may not end. What happens when it stays has the next test.
func TestAScratchDatabaseThatSomebodyElseIsIn(t *testing.T) {
	t.Parallel()
	db := rehearsing(t)
	m := migrator(t, db, tables(1)...)
	var agent *pgx.Conn
	m.Log = pgtest.LogTo(func(r slog.Record) {
		if r.Message == "made a scratch database" {
			r.Attrs(func(a slog.Attr) bool {
				agent = db.Connect(t, db.SuperConn+" dbname="+a.Value.String())
				return true
			})
		}
	})
	left := make(chan struct{})
	go func() {
		defer close(left)
		pgtest.EventuallyValue(t, db.SuperConn,
			"SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'DROP DATABASE%rehearsal%' AND usename = '"+
				db.Migrator()+"'", true)
		_ = agent.Close(context.Background())
	}()
	rehearsed(t, m, db)
	<-left
	if n := pgtest.Value[int](t, db.SuperConn, "SELECT count(*)::int FROM pg_database WHERE datdba = '"+db.Migrator()+
		"'::regrole"); n != 0 {
		t.Errorf("%d scratch databases are left", n)
	}
}

// TestAScratchDatabaseThatCannotBeDropped is no failure of the rehearsal: the log says what to do
// by hand, and the next rehearsal drops the database when nothing is in its way any more. Each case
// takes the minute for which a drop is tried, so it is in the long form only (AVTOTPY_LONG=1, make test-long).
func TestAScratchDatabaseThatCannotBeDropped(t *testing.T) {
	t.Parallel()
	if os.Getenv("AVTOTPY_LONG") == "" {
		t.Skip("it takes a minute: AVTOTPY_LONG=1")
	}
	for name, c := range map[string]struct{ stays, goes string }{
		"an agent stays connected": {stays: "SELECT 1", goes: "SELECT 1"},
		// Its session stays, since only one in the database may end it, and nobody gets in any more.
		"there is a prepared transaction": {
			stays: "BEGIN; CREATE TABLE p (); PREPARE TRANSACTION 'p'", goes: "ROLLBACK PREPARED 'p'",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := pgtest.OwnServer(t, "max_prepared_transactions=2")
			pgtest.Exec(t, own.SuperConn, "ALTER ROLE "+own.Migrator()+" CREATEDB")
			m := migrator(t, own.DB, tables(1)...)
			var agent *pgx.Conn
			var warnings []string
			m.Log = pgtest.LogTo(func(r slog.Record) {
				if r.Message == "made a scratch database" && agent == nil {
					r.Attrs(func(a slog.Attr) bool {
						agent = own.Connect(t, own.SuperConn+" dbname="+a.Value.String())
						run(t, agent, c.stays)
						return true
					})
				}
				if r.Level >= slog.LevelWarn {
					r.Attrs(func(a slog.Attr) bool { warnings = append(warnings, a.Value.String()); return true })
				}
			})
			rehearsed(t, m, own.DB)
			left := scratches(t, own.DB)
			byHand := `By hand: DROP DATABASE IF EXISTS "` + left + `"`
			if left == "" || !strings.Contains(strings.Join(warnings, "\n"), byHand) {
				t.Fatalf("%q is left, and the log warns of %q", left, warnings)
			}
			run(t, agent, c.goes)
			if err := agent.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			pgtest.EventuallyValue(t, own.SuperConn, "SELECT count(*)::int FROM pg_stat_activity WHERE datname = '"+
				left+"'", 0)
			rehearsed(t, m, own.DB)
			if left := scratches(t, own.DB); left != "" {
				t.Errorf("%s is still there after the next rehearsal", left)
			}
		})
	}
}
