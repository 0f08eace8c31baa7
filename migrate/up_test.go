package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// files names SQL texts 0001_m1.sql, 0002_m2.sql and so on.
func files(sql ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i, s := range sql {
		fsys[fmt.Sprintf("%04d_m%d.sql", i+1, i+1)] = &fstest.MapFile{Data: []byte(s)}
	}
	return fsys
}

// tables is a history of n files that each create a table and leave a row in it.
func tables(n int) []string {
	sql := make([]string, n)
	for i := range sql {
		sql[i] = fmt.Sprintf("CREATE TABLE app.t%d (id int PRIMARY KEY);\nINSERT INTO app.t%d VALUES (1);", i+1, i+1)
	}
	return sql
}

func migrator(tb testing.TB, db *pgtest.DB, sql ...string) *migrate.Migrator {
	tb.Helper()
	bundle, err := bundle.Load(files(sql...))
	if err != nil {
		tb.Fatal(err)
	}
	return &migrate.Migrator{
		Bundle: bundle, Schema: "app", Program: "Test", Version: "1.0", Wait: 10 * time.Minute,
		ConnectWait: pgtest.Patience,
		Role: privilege.Role{
			Name: db.WebRole, Password: db.WebPassword,
			Privileges: []privilege.Privilege{{On: "TABLE t1", Allow: "SELECT, INSERT (id)"}},
		},
		Log: slog.New(slog.DiscardHandler),
	}
}

// rehearsing is a blank database whose migrator may make scratch databases.
func rehearsing(tb testing.TB) *pgtest.DB {
	tb.Helper()
	db := pgtest.Blank(tb)
	pgtest.Exec(tb, db.SuperConn, "ALTER ROLE "+db.Migrator()+" CREATEDB")
	return db
}

// awaitClients waits until so many clients are connected to the database: a server process
// ends a little later than its client.
func awaitClients(tb testing.TB, db *pgtest.DB, want int) {
	tb.Helper()
	pgtest.EventuallyValue(tb, db.SuperConn+" dbname=postgres",
		"SELECT count(*)::int FROM pg_stat_activity WHERE datname = '"+db.Name+"' AND usesysid IS NOT NULL", want)
}

func up(tb testing.TB, m *migrate.Migrator, connString string) migrate.Report {
	tb.Helper()
	report, err := m.Up(tb.Context(), connString)
	if err != nil {
		tb.Fatalf("Up: %v", err)
	}
	return report
}

func ledger(tb testing.TB, db *pgtest.DB) string {
	tb.Helper()
	return pgtest.Value[string](tb, db.SuperConn,
		`SELECT coalesce(string_agg(version::text, ',' ORDER BY version), '') FROM app.migrations WHERE duration IS NOT NULL`)
}

func upTo(n int) string {
	versions := make([]string, n)
	for i := range versions {
		versions[i] = strconv.Itoa(i + 1)
	}
	return strings.Join(versions, ",")
}

func TestUpCreatesABlankDatabaseAndThenDoesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(70)...) // more than one window
	first := up(t, m, db.MigratorConn)
	if first.State != migrate.Blank || first.From != 0 || first.To != 70 || len(first.Applied) != 70 ||
		!first.RoleCreated {
		t.Errorf("first start: %+v", first)
	}
	if got := ledger(t, db); got != upTo(70) {
		t.Errorf("ledger %s, want 1 to 70", got)
	}
	before := pgtest.Value[string](t, db.SuperConn,
		"SELECT string_agg(xmin::text || ctid::text, ',' ORDER BY version) FROM app.migrations")
	second := up(t, m, db.MigratorConn)
	if second.State != migrate.Current || len(second.Applied) != 0 || second.RoleCreated || len(second.Granted)+
		len(second.Revoked) != 0 {
		t.Errorf("second start: %+v, want that it found nothing to do", second)
	}
	if after := pgtest.Value[string](t, db.SuperConn,
		"SELECT string_agg(xmin::text || ctid::text, ',' ORDER BY version) FROM app.migrations"); after != before {
		t.Error("a start with nothing to do wrote to the ledger")
	}
}

func TestUpUsesAnEmptySchemaThatADBAMade(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	pgtest.Exec(t, db.SuperConn, "CREATE SCHEMA app AUTHORIZATION "+owner(t, db))
	if report := up(t, migrator(t, db, tables(2)...), db.MigratorConn); report.State != migrate.Blank ||
		report.To != 2 {
		t.Errorf("%+v, want that an empty schema counts as blank", report)
	}
}

// owner returns the quoted name of the migrator's role.
func owner(tb testing.TB, db *pgtest.DB) string {
	tb.Helper()
	return pgtest.Value[string](tb, db.MigratorConn, "SELECT quote_ident(current_user)")
}

func TestUpAppliesOnlyWhatIsPending(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(3)...), db.MigratorConn)
	report := up(t, migrator(t, db, tables(5)...), db.MigratorConn)
	if report.State != migrate.Behind || report.From != 3 || report.To != 5 || len(report.Applied) != 2 ||
		report.Applied[0].Version != 4 {
		t.Errorf("%+v, want 4 and 5 applied", report)
	}
}

func TestReplicasApplyEachMigrationOnce(t *testing.T) {
	t.Parallel()
	for _, start := range []string{"blank", "behind"} {
		t.Run(start, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			const replicas, n = 16, 50
			from := 0
			if start == "behind" {
				from = 7
				up(t, migrator(t, db, tables(from)...), db.MigratorConn)
			}
			m := migrator(t, db, tables(n)...)
			applied := map[int]int{}
			var mu sync.Mutex
			var all sync.WaitGroup
			for range replicas {
				all.Go(func() {
					report, err := m.Up(t.Context(), db.MigratorConn)
					if err != nil || report.To != n {
						t.Errorf("a replica ended at %d: %v", report.To, err)
					}
					mu.Lock()
					defer mu.Unlock()
					for _, a := range report.Applied {
						applied[a.Version]++
					}
				})
			}
			all.Wait()
			for v := from + 1; v <= n; v++ {
				if applied[v] != 1 {
					t.Errorf("version %d was applied %d times", v, applied[v])
				}
			}
			if got := ledger(t, db); got != upTo(n) {
				t.Errorf("ledger %s, want 1 to %d", got, n)
			}
		})
	}
}

func TestReplicasSurviveTerminatedConnections(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	const n = 60
	sql := tables(n)
	for i := range sql {
		sql[i] += "\nSELECT pg_sleep(0.01);"
	}
	m := migrator(t, db, sql...)
	ctx, cancel := context.WithCancel(t.Context())
	var killer, all sync.WaitGroup
	killer.Go(func() {
		super := db.Connect(t, db.SuperConn)
		const most = 5 // kills without progress: on a slow machine none would ever get to the end of a file
		for kills, rows := 0, 0; ctx.Err() == nil; {
			var now int // fails before the ledger is there
			if err := super.QueryRow(ctx, "SELECT count(*) FROM app.migrations").Scan(&now); err == nil && now > rows {
				kills, rows = 0, now
			}
			if kills < most {
				var killed int // ends with ctx
				_ = super.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
					WHERE datname = current_database() AND application_name LIKE 'test-migrator/%' ORDER BY random() LIMIT 1) one`).Scan(&killed)
				kills += killed
			}
			select {
			case <-ctx.Done():
			case <-time.After(150 * time.Millisecond):
			}
		}
	})
	for range 4 {
		all.Go(func() {
			for try := 1; ; try++ { // a replica that gave up is started again, as an orchestrator does
				report, err := m.Up(t.Context(), db.MigratorConn)
				if err == nil && report.To == n {
					return
				}
				if try == 400 {
					t.Errorf("a replica ended at %d after %d starts: %v", report.To, try, err)
					return
				}
			}
		})
	}
	all.Wait()
	cancel()
	killer.Wait()
	if got := ledger(t, db); got != upTo(n) {
		t.Errorf("ledger %s, want 1 to %d", got, n)
	}
}

func TestAFailedMigrationLeavesTheOnesBefore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ bad, want string }{
		"at run time": {
			"SELECT 1;\n  ALTER TABLE app.t1 ADD CHECK (id > 1);",
			"0003_m3.sql:2: statement 2 of 2: check constraint",
		},
		"a name": {
			"SELECT 1;\n  SELECT nothing FROM app.t1;",
			"0003_m3.sql:2:10: statement 2 of 2: column \"nothing\" does not exist (42703)",
		},
		"its syntax": {"SELECT 1;\n  SELEC 2;", "0003_m3.sql:2:3: statement 2 of 2: syntax error"},
		"its commit": {"CREATE TABLE app.d (a int REFERENCES app.t1 DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO " +
			"app.d VALUES (5);", "0003_m3.sql: at its commit: insert or update on table"},
		"read-only": {
			"DO $$ BEGIN EXECUTE 'SET TRANSACTION READ ONLY'; END $$;\nCREATE TABLE app.d ();",
			"0003_m3.sql:2: statement 2 of 2: cannot execute CREATE TABLE in a read-only transaction",
		},
		"and empty": {
			"DO $$ BEGIN EXECUTE 'SET TRANSACTION READ ONLY'; END $$;",
			"0003_m3.sql: at its commit: cannot execute MERGE in a read-only transaction",
		},
		"a function": {
			"DO $$ BEGIN\n PERFORM 1/0; END $$;",
			"0003_m3.sql:1: statement 1 of 1: division by zero (22012)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			sql := tables(90)
			sql[2] = c.bad
			report, err := migrator(t, db, sql...).Up(t.Context(), db.MigratorConn)
			var failed *migrate.MigrationError
			if !errors.As(err, &failed) || !strings.HasPrefix(err.Error(), c.want) ||
				!strings.Contains(err.Error(), "rolled back; the schema is at version 2.") {
				t.Fatalf("got  %v\nwant %s", err, c.want)
			}
			if report.To != 2 || len(report.Applied) != 2 {
				t.Errorf("report %+v, want two applied", report)
			}
			if got := ledger(t, db); got != "1,2" {
				t.Errorf("ledger %s, want 1,2", got)
			}
			if left := pgtest.Value[int](t, db.SuperConn,
				"SELECT count(*)::int FROM pg_class WHERE relnamespace = 'app'::regnamespace AND "+
					"relkind = 'r'"); left != 3 {
				t.Errorf("%d tables are there, want the ledger and two", left)
			}
			sql[2] = tables(3)[2]
			if report := up(t, migrator(t, db, sql...), db.MigratorConn); report.From != 2 || report.To != 90 {
				t.Errorf("the next start with the file mended: %+v, want 2 to 90", report)
			}
		})
	}
}

func TestAFileThatEndsItsTransactionIsNoticed(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, "SELECT 1")
	m.Bundle = bundle.Unchecked("CREATE TABLE app.t1 (id int)",
		"CREATE TABLE app.t2 (id int); COMMIT; CREATE TABLE app.t3 (id int)", "SELECT 1")
	_, err := m.Up(t.Context(), db.MigratorConn)
	var failed *migrate.MigrationError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "ended its own transaction") {
		t.Fatalf("got %v, want that the file ended its own transaction", err)
	}
	_, err = m.Up(t.Context(), db.MigratorConn)
	var diverged *migrate.DivergedError
	if !errors.As(err, &diverged) || !strings.Contains(err.Error(), "0002: was begun and never finished") {
		t.Errorf("the next start: got %v, want that 0002 was never finished", err)
	}
}

// TestAFileThatDeletesItsRowIsRolledBack: it would be applied again and again.
func TestAFileThatDeletesItsRowIsRolledBack(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"DELETE FROM app.migrations", "DELETE FROM app.migrations WHERE version = 2",
		"TRUNCATE app.migrations", "UPDATE app.migrations SET version = 7, prev = 6 WHERE version = 2",
	} {
		db := pgtest.Blank(t)
		_, err := migrator(t, db, "CREATE TABLE app.t1 (id int)", "CREATE TABLE app.t2 (id int); DO $$ BEGIN "+sql+
			"; END $$", "SELECT 1").Up(t.Context(), db.MigratorConn)
		failed, ok := errors.AsType[*migrate.MigrationError](err)
		if !ok || failed.File != "0002_m2.sql" {
			t.Errorf("%s: got %v, want that 0002_m2.sql failed", sql, err)
		}
		if !strings.HasPrefix(sql, "UPDATE") &&
			!strings.Contains(err.Error(), "the file deleted its own row from the ledger of applied "+
				"migrations (2201F)") {
			t.Errorf("%s: got %v, want that the file deleted its own row", sql, err)
		}
		if report := up(t, migrator(t, db, "CREATE TABLE app.t1 (id int)", "CREATE TABLE app.t2 (id int)"),
			db.MigratorConn); report.From != 1 || report.To != 2 {
			t.Errorf("%s: the next start: %+v", sql, report)
		}
	}
}

func TestRefusedStatesChangeNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		damage string
		bundle []string
		want   any
		says   string
	}{
		"a changed file": {
			"", append([]string{"SELECT 'changed'"}, tables(3)[1:]...),
			new(*migrate.DivergedError), "0001: 0001_m1.sql was changed after it was applied",
		},
		"a row changed": {
			"UPDATE app.migrations SET name = 'x' WHERE version = 2", tables(3),
			new(*migrate.LedgerLostError), "0002: the ledger calls it \"x\"",
		},
		"a row deleted": {
			"ALTER TABLE app.migrations DROP CONSTRAINT migrations_prev_fkey; DELETE FROM " +
				"app.migrations WHERE version = 2", tables(3), new(*migrate.LedgerLostError),
			"0002: is missing from the ledger",
		},
		"the last row deleted": {
			"DELETE FROM app.migrations WHERE version = 3", tables(3),
			new(*migrate.LedgerLostError), "says version 2, and the schema's comment version 3",
		},
		"a row added": {
			"INSERT INTO app.migrations (version, prev, name, checksum, min_version, " +
				"app_version, duration) SELECT 4, 3, 'm4', checksum, 1, '', '0' FROM app.migrations WHERE version = 3",
			tables(3), new(*migrate.LedgerLostError), "says version 4, and the schema's comment version 3",
		},
		"the comment gone": {
			"COMMENT ON SCHEMA app IS NULL", tables(3), new(*migrate.LedgerLostError),
			"is missing",
		},
		"another comment": {
			"COMMENT ON SCHEMA app IS 'ours'", tables(3), new(*migrate.LedgerLostError),
			`is "ours"`,
		},
		"the ledger emptied": {
			"TRUNCATE app.migrations", tables(3), new(*migrate.LedgerLostError),
			"missing or empty",
		},
		"the ledger dropped": {
			"DROP TABLE app.migrations", tables(3), new(*migrate.LedgerLostError),
			"missing or empty",
		},
		"another tool's ledger": {
			"DROP TABLE app.migrations; CREATE TABLE app.migrations (id text)", tables(3),
			new(*migrate.LedgerLostError), "belongs to another tool",
		},
		"another tool's view": {
			"DROP TABLE app.migrations; CREATE VIEW app.migrations AS SELECT 1 AS version",
			tables(3), new(*migrate.LedgerLostError), "belongs to another tool",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			up(t, migrator(t, db, tables(3)...), db.MigratorConn)
			if c.damage != "" {
				pgtest.Exec(t, db.SuperConn, c.damage)
			}
			before := fingerprint(t, db)
			m := migrator(t, db, append(c.bundle, "CREATE TABLE app.never (id int)")...)
			_, err := m.Up(t.Context(), db.MigratorConn)
			if !errors.As(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got  %v\nwant %T with %q", err, c.want, c.says)
			}
			if !strings.Contains(err.Error(), "Nothing was changed") {
				t.Errorf("the message does not say that nothing was changed: %v", err)
			}
			if after := fingerprint(t, db); after != before {
				t.Errorf("the database was changed:\nbefore %s\nafter  %s", before, after)
			}
		})
	}
}

// fingerprint condenses the catalogue entries of the schema.
func fingerprint(tb testing.TB, db *pgtest.DB) string {
	tb.Helper()
	return pgtest.Value[string](tb, db.SuperConn,
		`SELECT coalesce(string_agg(relname || xmin::text || coalesce(relacl::text, ''), ',' ORDER BY relname), '') FROM pg_class WHERE relnamespace = 'app'::regnamespace`)
}

func TestAnOlderBundleKnowsWhetherItCanServe(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	sql := append(tables(3), "-- migrate:min-version 3\nDROP TABLE app.t2")
	up(t, migrator(t, db, sql...), db.MigratorConn)
	before := fingerprint(t, db)
	report, err := migrator(t, db, sql[:3]...).Up(t.Context(), db.MigratorConn)
	if err != nil || report.State != migrate.AheadCompatible || report.To != 4 {
		t.Errorf("a bundle that ends at 3: %+v, %v; want that it may serve", report, err)
	}
	_, err = migrator(t, db, sql[:2]...).Up(t.Context(), db.MigratorConn)
	var ahead *migrate.AheadError
	if !errors.As(err, &ahead) || ahead.MinVersion != 3 || ahead.Target != 2 {
		t.Errorf("a bundle that ends at 2: got %v, want an AheadError", err)
	}
	if after := fingerprint(t, db); after != before {
		t.Error("an older program changed a database that is ahead of it")
	}
}

// TestAnOlderBundleWaitsForWhatANewerOneGrants: a newer program commits its last file, and
// grants in the next transaction; between the two an older one may look.
func TestAnOlderBundleWaitsForWhatANewerOneGrants(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(2)...), db.MigratorConn)
	take, give := "REVOKE USAGE ON SCHEMA app FROM "+db.WebRole, "GRANT USAGE ON SCHEMA app TO "+db.WebRole
	pgtest.Exec(t, db.MigratorConn, take)
	m := migrator(t, db, tables(1)...)
	waiting := make(chan struct{}, 1)
	l := onlooker{on: func(p migrate.Progress) {
		if p.Phase == migrate.Waiting {
			select {
			case waiting <- struct{}{}:
			default:
			}
		}
	}}
	m.Progress = l.hear
	var granting sync.WaitGroup
	granting.Go(func() {
		<-waiting
		pgtest.Exec(t, db.MigratorConn, give)
	})
	report := up(t, m, db.MigratorConn)
	granting.Wait()
	if report.State != migrate.AheadCompatible || report.Waited == 0 {
		t.Errorf("report %+v, want that it waited", report)
	}
	pgtest.Exec(t, db.MigratorConn, take)
	_, err := m.Up(t.Context(), db.MigratorConn)
	lacks, ok := errors.AsType[*pg.PrivilegeError](err)
	if !ok || !slices.Equal(lacks.SQL, []string{`GRANT USAGE ON SCHEMA "app" TO "` + db.WebRole + `"`}) ||
		!strings.Contains(err.Error(), "changes no rights") {
		t.Errorf("nobody grants: got %v, want a PrivilegeError with the GRANT", err)
	}
}

func TestStatusWorksWithTheRoleOfTheService(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(2)...), db.MigratorConn)
	web := db.Connect(t, db.WebConn)
	for n, want := range map[int]migrate.State{1: migrate.AheadCompatible, 2: migrate.Current, 4: migrate.Behind} {
		status, err := migrator(t, db, tables(n)...).Status(t.Context(), web)
		if err != nil || status.State != want || status.Version != 2 || status.Target != n {
			t.Errorf("a bundle of %d: %+v, %v; want %s", n, status, err, want)
		}
	}
	other := migrator(t, db, tables(2)...)
	other.Schema = "elsewhere"
	if status, err := other.Status(t.Context(), web); err != nil || status.State != migrate.Blank {
		t.Errorf("a schema that does not exist: %+v, %v; want blank", status, err)
	}
}

func TestStatusTellsAServiceWhatItsRoleCouldDoBeyondItsWork(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(1)...)
	up(t, m, db.MigratorConn)
	tooMuch := func(connString string) string {
		status, err := askStatus(t.Context(), m, connString)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(status.TooMuch, ", ")
	}
	if got := tooMuch(db.WebConn); got != "" {
		t.Errorf("the role as we made it: %s", got)
	}
	if got := tooMuch(db.SuperConn); !strings.HasPrefix(got, "is a superuser, ") {
		t.Errorf("a superuser: %q", got)
	}
	for _, c := range []struct{ plant, remove, want string }{
		{"ALTER ROLE $web CREATEROLE", "ALTER ROLE $web NOCREATEROLE", "may create roles"},
		{"ALTER ROLE $web CREATEDB", "ALTER ROLE $web NOCREATEDB", "may create databases"},
		{"ALTER ROLE $web REPLICATION", "ALTER ROLE $web NOREPLICATION", "may replicate"},
		{"ALTER ROLE $web BYPASSRLS", "ALTER ROLE $web NOBYPASSRLS", "bypasses row level security"},
		{"GRANT pg_read_all_data TO $web", "REVOKE pg_read_all_data FROM $web", "is a member of another role"},
		{"GRANT CREATE ON DATABASE $db TO $web", "REVOKE CREATE ON DATABASE $db FROM $web", "may create schemas"},
		{
			"GRANT CREATE ON SCHEMA app TO $web", "REVOKE CREATE ON SCHEMA app FROM $web",
			"may create objects in the schema",
		},
		{
			"GRANT UPDATE ON app.migrations TO $web", "REVOKE UPDATE ON app.migrations FROM $web",
			"may write the ledger of migrations",
		},
		{
			"GRANT UPDATE (name) ON app.migrations TO $web", "REVOKE UPDATE (name) ON app.migrations FROM $web",
			"may write the ledger of migrations",
		},
		// any role may
		{"SET ROLE $web; SELECT lo_create(0)", "SELECT lo_unlink(oid) FROM pg_largeobject_metadata", ""},
		{
			"CREATE TABLE public.mine (); ALTER TABLE public.mine OWNER TO $web", "DROP TABLE public.mine",
			"owns objects",
		},
	} {
		name := strings.NewReplacer("$web", db.WebRole, "$db", db.Name)
		pgtest.Exec(t, db.SuperConn, strings.Split(name.Replace(c.plant), "; ")...)
		if got := tooMuch(db.WebConn); got != c.want {
			t.Errorf("%s: got %q, want %q", c.plant, got, c.want)
		}
		pgtest.Exec(t, db.SuperConn, name.Replace(c.remove))
	}
}

func TestHostileDefaultsOfADBADoNoHarm(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	me := owner(t, db)
	for _, setting := range []string{
		"statement_timeout = '1s'", "idle_in_transaction_session_timeout = '1s'", "lock_timeout = '1ms'",
		"default_transaction_isolation = 'serializable'", "search_path = nowhere", "standard_conforming_strings = off",
		"TimeZone = 'Asia/Tokyo'",
		"client_encoding = 'LATIN1'", "synchronous_commit = off", "escape_string_warning = off",
		"default_transaction_deferrable = on",
	} {
		pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+me+" SET "+setting)
	}
	up(t, migrator(t, db,
		`CREATE TABLE app.t1 (id int, path text, at timestamptz, name text);
		SELECT pg_sleep(1.5);
		INSERT INTO t1 VALUES (1, 'C:\temp', '2026-01-01 00:00', 'größe ж')`), db.MigratorConn)
	got := pgtest.Value[string](t, db.SuperConn,
		`SELECT path || '|' || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24') || '|' || name FROM app.t1`)
	if want := `C:\temp|2026-01-01 00|größe ж`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestTheServerIsToldToNoticeAProgramThatIsGone: a server process that goes on with the
// work of a program that was killed keeps all others out.
func TestTheServerIsToldToNoticeAProgramThatIsGone(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	if !pgtest.Value[bool](t, db.SuperConn, "SELECT version() LIKE '%linux%'") {
		t.Skip("this server may not be able to")
	}
	up(t, migrator(t, db, "CREATE TABLE app.t1 (id text); INSERT INTO app.t1 VALUES "+
		"(current_setting('client_connection_check_interval'))"), db.MigratorConn)
	if got := pgtest.Value[string](t, db.SuperConn, "SELECT id FROM app.t1"); got != "2s" {
		t.Errorf("it looks every %s, want 2s", got)
	}
}

func TestWhoLockedTheLedgerIsNamed(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(1)...)
	up(t, m, db.MigratorConn)
	blocker := db.Connect(t, db.SuperConn)
	if _, err := blocker.Exec(t.Context(), "BEGIN; LOCK TABLE app.migrations"); err != nil {
		t.Fatal(err)
	}
	m.LockTimeout = 20 * time.Millisecond
	pid := fmt.Sprintf("(pid %d)", blocker.PgConn().PID())
	pgtest.WithMoreTime(t, 100*time.Millisecond, func(limit time.Duration) error {
		m.Wait = limit
		_, err := m.Up(t.Context(), db.MigratorConn)
		busy, ok := errors.AsType[*migrate.BusyError](err)
		return pgtest.Unless(ok && strings.Contains(busy.Blocker, pid),
			"a start: got %w, want a BusyError that names the session %s", err, pid)
	})
	_, err := askStatus(t.Context(), m, db.WebConn)
	if busy, ok := errors.AsType[*migrate.BusyError](err); !ok ||
		!strings.Contains(err.Error(), "has locked the ledger") || !strings.Contains(busy.Blocker, pid) {
		t.Errorf("got %v, want a BusyError that says so and names the session %s", err, pid)
	}
}

func TestUpWaitsForATableLock(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(1)...), db.MigratorConn)
	blocker := db.Connect(t, db.SuperConn)
	if _, err := blocker.Exec(t.Context(), "BEGIN; LOCK TABLE app.t1"); err != nil {
		t.Fatal(err)
	}
	m := migrator(t, db, append(tables(1), "ALTER TABLE app.t1 ADD COLUMN a int")...)
	m.LockTimeout, m.Wait = 20*time.Millisecond, 300*time.Millisecond
	_, err := m.Up(t.Context(), db.MigratorConn)
	var busy *migrate.BusyError
	if !errors.As(err, &busy) || !strings.Contains(err.Error(), "0002_m2.sql") {
		t.Fatalf("got %v, want a BusyError that names the file", err)
	}
	m.Wait = pgtest.Patience
	m.Log = onceLogged("a migration was rolled back because another session was in its way; trying again", func() {
		if _, err := blocker.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
	})
	if report := up(t, m, db.MigratorConn); report.To != 2 || report.Waited == 0 {
		t.Errorf("%+v, want that it waited and applied", report)
	}
}

// TestQueueingForALockCountsAsWaiting, and leaves the application's queries at least as
// long without a statement to queue behind.
func TestQueueingForALockCountsAsWaiting(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(1)...), db.MigratorConn)
	blocker := db.Connect(t, db.SuperConn)
	if _, err := blocker.Exec(t.Context(), "BEGIN; LOCK TABLE app.t1"); err != nil {
		t.Fatal(err)
	}
	m := migrator(t, db, append(tables(1), "ALTER TABLE app.t1 ADD COLUMN a int")...)
	m.LockTimeout, m.Wait = 200*time.Millisecond, 600*time.Millisecond
	attempts := 0
	was := migrate.Looking
	m.Progress = func(p migrate.Progress) {
		if p.Phase == migrate.Applying && was != migrate.Applying {
			attempts++
		}
		was = p.Phase
	}
	_, err := m.Up(t.Context(), db.MigratorConn)
	if busy, ok := errors.AsType[*migrate.BusyError](err); !ok || busy.Waited < m.Wait || attempts > 2 {
		t.Errorf("got %v after %d attempts; want a BusyError after two, of 200 ms each and as much between them", err,
			attempts)
	}
}

func TestUpWaitsForAnotherMigratorAndSaysForWhom(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(1)...), db.MigratorConn)
	other := db.Connect(t, db.SuperConn+" application_name=other-migrator")
	if _, err := other.Exec(t.Context(),
		"BEGIN; INSERT INTO app.migrations (version, prev, name, checksum, min_version, app_version) VALUES (2, 1, "+
			"'x', sha256(''), 1, '')"); err != nil {
		t.Fatal(err)
	}
	m := migrator(t, db, tables(2)...)
	pgtest.WithMoreTime(t, 200*time.Millisecond, func(limit time.Duration) error {
		m.Wait = limit
		_, err := m.Up(t.Context(), db.MigratorConn)
		busy, ok := errors.AsType[*migrate.BusyError](err)
		return pgtest.Unless(ok && strings.Contains(busy.Blocker, "other-migrator (pid "),
			"got %v, want a BusyError that names the blocker", err)
	})
	if _, err := other.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	up(t, m, db.MigratorConn)
}

func TestInterruptLetsTheRunningFileFinishAndStartsNoOther(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, "CREATE TABLE app.t1 (id int); "+atGate, "CREATE TABLE app.t2 (id int); SELECT pg_sleep(30)",
		"CREATE TABLE app.t3 (id int)")
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the operator pressed a key")
	open := gate(t, db)
	m.Grace = pgtest.Patience
	var running sync.WaitGroup
	running.Go(func() { whenRunning(t, db, func() { cancel(stop); open() }) })
	defer running.Wait()
	report, err := m.Up(ctx, db.MigratorConn)
	if !errors.Is(err, stop) || !strings.Contains(err.Error(), "interrupted; the schema is at version 1") {
		t.Errorf("got %v, want interrupted at version 1", err)
	}
	if report.To != 1 || ledger(t, db) != "1" {
		t.Errorf("report %+v, ledger %s; want only the first file", report, ledger(t, db))
	}
}

func TestInterruptCancelsAFileThatOutlastsTheGrace(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, "CREATE TABLE app.t1 (id int); SELECT pg_sleep(60)")
	m.Grace = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { whenRunning(t, db, cancel) })
	defer running.Wait()
	if _, err := m.Up(ctx, db.MigratorConn); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	if got := ledger(t, db); got != "" {
		t.Errorf("ledger %s, want that nothing was applied", got)
	}
}

func TestAnyIdentifierWorks(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	for _, name := range []string{
		`we "b`, "SELECT", strings.Repeat("ü", 31) + "x", "it's; DROP", `back\slash`,
		"$role", "a,b",
	} {
		name := name + db.Name[max(0, len(db.Name)-4):]
		if len(name) > 63 {
			name = name[:62-len(name)%2]
			name = strings.ToValidUTF8(name, "")
		}
		bundle, err := bundle.Load(files("CREATE TABLE t1 (id int)"))
		if err != nil {
			t.Fatal(err)
		}
		m := &migrate.Migrator{
			Bundle: bundle, Schema: name, Version: `1'0\`,
			Role: privilege.Role{
				Name: name, Password: `p'"\ $1`,
				Privileges: []privilege.Privilege{{On: "TABLE t1", Allow: "SELECT"}},
			},
		}
		up(t, m, db.MigratorConn)
		if report := up(t, m, db.MigratorConn); report.State != migrate.Current || len(report.Granted) > 0 {
			t.Errorf("%q: the second start found %+v", name, report)
		}
		config, err := pgconn.ParseConfig(db.MigratorConn)
		if err != nil {
			t.Fatal(err)
		}
		config.User, config.Password = name, `p'"\ $1`
		conn, err := pgconn.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Errorf("the role %q cannot log in: %v", name, err)
			continue
		}
		_ = conn.Close(t.Context())
		pgtest.Exec(t, db.SuperConn, fmt.Sprintf("DROP SCHEMA %s CASCADE", quote(name)), "DROP OWNED BY "+quote(name),
			"DROP ROLE "+quote(name))
	}
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func TestConnectErrorsNameTheNextStepAndNoSecret(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	config, err := pgconn.ParseConfig(db.MigratorConn)
	if err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("host=%s port=%d dbname=%s user=%s", config.Host, config.Port, config.Database, config.User)
	for name, c := range map[string]struct {
		conn, want string
		wait       time.Duration // 0 where the server's answer ends it, however slow the machine is
	}{
		"wrong password": {at + " password=hunter2hunter2", "Check the user and the password", 0},
		"no database":    {db.MigratorConn + " dbname=nowhere", "Create the database", 0},
		"nobody listens": {
			"host=127.0.0.1 port=1 user=u password=hunter2hunter2 dbname=d",
			"Check that the server runs", 50 * time.Millisecond,
		},
		"nonsense": {"postgres://u:hunter2hunter2@host:port/", "has a port that cannot be used", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := migrator(t, db, tables(1)...)
			m.ConnectWait = c.wait
			_, err := m.Up(t.Context(), c.conn)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

// TestAnAbandonedQuestionClosesItsConnection: of a pool, it would hand its late answers to
// whoever asks next.
func TestAnAbandonedQuestionClosesItsConnection(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(1)...)
	up(t, m, db.MigratorConn)
	blocker := db.Connect(t, db.SuperConn)
	if _, err := blocker.Exec(t.Context(), "BEGIN; LOCK TABLE app.migrations"); err != nil {
		t.Fatal(err)
	}
	conn := db.Connect(t, db.WebConn)
	m.LockTimeout = pgtest.Patience
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := m.Status(ctx, conn); done <- err }()
	awaitWaiter(t, db, "relation")
	cancel()
	if err := <-done; err == nil {
		t.Error("got a status although the ledger was locked")
	}
	if !conn.IsClosed() {
		t.Error("the connection is still in use")
	}
}

func TestSettingsOfTheDriverDoNotReachTheServer(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(1)...), db.MigratorConn+
		" default_query_exec_mode=simple_protocol statement_cache_capacity=10 pool_max_conns=5 pool_min_conns=1")
}

func TestNoticesAndProgressAreLogged(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	var out strings.Builder
	m := migrator(t, db, "CREATE TABLE app.t1 (id int); DO $$ BEGIN RAISE NOTICE 'halfway there'; END $$")
	m.Log = slog.New(slog.NewTextHandler(&out, nil))
	up(t, m, db.MigratorConn)
	for _, want := range []string{"halfway there", "applied a migration", "created the service's role"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), db.WebPassword) {
		t.Error("the log shows the password")
	}
}

func TestLoadedFilesAreNotChangedByWhoeverHoldsThem(t *testing.T) {
	t.Parallel()
	fsys := files(tables(3)...)
	bundle, err := bundle.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	clear(bundle.Migrations())
	maps.DeleteFunc(fsys, func(string, *fstest.MapFile) bool { return true })
	if got := bundle.Migrations()[2].Name; got != "m3" {
		t.Errorf("got %q, want m3", got)
	}
}
