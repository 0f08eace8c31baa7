package migrate_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// decided lists the settings of settings.txt.
func decided(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for line := range strings.Lines(migrate.SettingsText()) {
		var names []string
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "\t"):
			names = strings.Fields(line)
		case strings.Contains(line, "|"):
			names = strings.Fields(line)[:1]
			if len(strings.Split(line, "|")) != 6 {
				t.Errorf("six columns are wanted: %q", line)
			}
		}
		for _, name := range names {
			if all[strings.ToLower(name)] {
				t.Errorf("%s is decided twice", name)
			}
			all[strings.ToLower(name)] = true
		}
	}
	return all
}

// TestEachSettingIsDecided fails when a server has a setting that a session can have and that
// settings.txt does not know; those of the server's own extensions are among them. Run it with
// PGTEST_BIN for another major version.
func TestEachSettingIsDecided(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	conn := db.Connect(t, db.SuperConn)
	libraries, err := conn.Query(t.Context(), `SELECT left(f, -3) FROM pg_config, pg_ls_dir(setting) f
		WHERE name = 'PKGLIBDIR' AND f LIKE '%.so' AND f !~ '_and_|^utf8|^lib|^dict_snowball|llvmjit|^pgoutput|test_decoding'`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(libraries, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		_, _ = conn.Exec(t.Context(), "LOAD '"+name+"'") // some refuse a server that is not prepared for them
	}
	rows, err := conn.Query(t.Context(), `SELECT name FROM pg_settings
		WHERE context IN ('user', 'superuser', 'backend', 'superuser-backend') OR name LIKE '%.%' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(settings) < 150 {
		t.Errorf("%d settings", len(settings))
	}
	known := decided(t)
	for _, name := range append(settings, "role", "session_authorization") {
		if !known[strings.ToLower(name)] {
			t.Errorf("nobody has decided about %s: write it into settings.txt", name)
		}
	}
}

// turnedAround has another value for each setting that is pinned to a value.
func turnedAround() map[string]string {
	return map[string]string{
		"client_encoding": "LATIN1", "standard_conforming_strings": "off", "backslash_quote": "off",
		"DateStyle": "SQL, DMY", "IntervalStyle": "sql_standard", "TimeZone": "Pacific/Kiritimati",
		"timezone_abbreviations": "India", "extra_float_digits": "-15", "bytea_output": "escape", "array_nulls": "off",
		"xmloption": "document", "xmlbinary": "hex", "lc_monetary": "C.UTF-8", "lc_numeric": "C.UTF-8",
		"lc_time":                    "C.UTF-8",
		"default_text_search_config": "pg_catalog.english", "transform_null_equals": "on",
		"quote_all_identifiers": "on",
		"check_function_bodies": "off", "row_security": "off", "gin_fuzzy_search_limit": "1",
		"restrict_nonsystem_relation_kind": "view, foreign-table", "session_replication_role": "replica",
		"createrole_self_grant": "set, inherit", "icu_validation_level": "error",
		"plpgsql.variable_conflict": "use_column",
		"plpgsql.check_asserts":     "off", "plpgsql.extra_errors": "all", "plpgsql.print_strict_params": "on",
		"pg_trgm.similarity_threshold": "0.9", "pg_trgm.word_similarity_threshold": "0.9",
		"pg_trgm.strict_word_similarity_threshold": "0.9", "exit_on_error": "on",
	}
}

// sensitive holds rows that many a setting would change, beside everything.
const sensitive = `CREATE TABLE app.said (n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text,
	parent int REFERENCES app.said);
CREATE TABLE app.preserved (d date DEFAULT '02/03/2026', t timestamptz DEFAULT '2026-03-01 12:00', i interval DEFAULT '-1 2:03:04',
	m money DEFAULT '1.50', s text DEFAULT 'a\b', e text DEFAULT E'\'ü€', x xml DEFAULT 'a<b/>c'::text::xml);
INSERT INTO app.preserved DEFAULT VALUES;
INSERT INTO app.said (what) VALUES ('a\b' || E'\'ü€'), ('02/03/2026'::date - '2000-01-01'::date), (date '2026-03-01'::text),
	('2026-03-01 12:00'::timestamptz::text), ('12:00 IST'::timetz::text), ('-1 2:03:04'::interval::text),
	(0.1::float8 + 0.2::float8), ('\x00ff5c'::bytea::text), (array_length('{NULL}'::text[], 1)::text || ('{NULL}'::text[])[1]),
	(xmlelement(name a, '\x00ff'::bytea)::text), ('a<b/>c'::text::xml::text), ('1,234.50'::money::text),
	(to_char(1234.5, 'L9G999D9')), (to_char(date '2026-03-01', 'TMMonth')), (to_tsvector('the cats')::text), (NULL::int = NULL),
	(format('%I', 'plain')), ('2026-03-01 12:00+00'::timestamptz::date::timestamptz::text), ('a' || chr(92) || 'b');
CREATE FUNCTION app.both(what text) RETURNS int LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
	DECLARE r record; BEGIN SELECT 1 AS a INTO r FROM generate_series(1, 2); ASSERT r.a = 1; RETURN r.a; END $$;
INSERT INTO app.said (what) SELECT app.both('x');
DO $$ BEGIN ASSERT false; EXCEPTION WHEN assert_failure THEN INSERT INTO app.said (what) VALUES ('asserted'); END $$;
DO $$ BEGIN INSERT INTO app.said (what, parent) VALUES ('orphan', 77); EXCEPTION WHEN foreign_key_violation THEN NULL; END $$;
DO $$ DECLARE x int; BEGIN EXECUTE 'CREATE FUNCTION app.bad() RETURNS int LANGUAGE sql AS $x$ SELECT * FROM app.nowhere $x$';
	EXCEPTION WHEN undefined_table THEN INSERT INTO app.said (what) VALUES ('refused'); END $$;
CREATE VIEW app.seen AS SELECT what FROM app.said WHERE what < 'z';
INSERT INTO app.said (what) SELECT count(*)::text FROM app.seen;
INSERT INTO app.said (what) SELECT extra::text FROM (SELECT regexp_replace('a.b', '\.', '\\') AS extra) e`

// sensitiveBundle is everything, the file above, and one that a role of its own cannot hide
// settings from: an index whose predicate holds a date, without a transaction.
func sensitiveBundle(t *testing.T) bundle.Bundle {
	t.Helper()
	all := fstest.MapFS{}
	entries, err := os.ReadDir("testdata/everything")
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for _, e := range entries {
		if text, err := os.ReadFile("testdata/everything/" + e.Name()); err == nil {
			all[e.Name()] = &fstest.MapFile{Data: text}
			last++
		}
	}
	all[fmt.Sprintf("%04d_sensitive.sql", last+1)] = &fstest.MapFile{Data: []byte(sensitive)}
	all[fmt.Sprintf("%04d_alone.sql", last+2)] = &fstest.MapFile{Data: []byte("-- migrate:no-transaction\n" +
		`CREATE INDEX CONCURRENTLY preserved_d ON app.preserved (d) WHERE d > '02/03/2026' AND e <> E'\'' AND s <> 'a\b' AND i > '-1 2:03:04'`)}
	bundle, err := bundle.Load(all)
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// made is what a bundle made of a database: its snapshot, and the rows that depend on settings.
func made(t *testing.T, db *pgtest.DB, bundle bundle.Bundle, pooled bool) (snapshot, rows string) {
	t.Helper()
	m := &migrate.Migrator{Bundle: bundle, Schema: "app", ConnectWait: pgtest.Patience}
	m.Role = privilege.Role{Name: db.WebRole, Password: db.WebPassword}
	if pooled {
		throughAPooler(t, db, m)
	} else {
		up(t, m, db.MigratorConn)
	}
	conn := db.Connect(t, db.MigratorConn+" client_encoding=LATIN1") // the snapshot asks for what it needs
	snapshot, err := migrate.Snapshot(t.Context(), conn, m.Schema)
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, db.SuperConn, "ALTER DATABASE "+db.Name+" RESET ALL")
	pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.Migrator()+" RESET ALL")
	pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.Migrator()+" IN DATABASE "+db.Name+" RESET ALL")
	rows = pgtest.Value[string](t, db.SuperConn,
		`SELECT string_agg(n || ' ' || coalesce(what, 'null'), E'\n' ORDER BY n) FROM app.said`) +
		pgtest.Value[string](t, db.SuperConn, "SELECT to_jsonb(k)::text FROM app.preserved k") +
		pgtest.Value[string](t, db.SuperConn,
			"SELECT string_agg(oid::regprocedure || array_to_string(proconfig, ','), ' ' ORDER BY proname) FROM "+
				"pg_proc WHERE pronamespace = 'app'::regnamespace AND proconfig IS NOT NULL")
	return strings.ReplaceAll(snapshot, db.Migrator(), "the_migrator"), rows
}

// throughAPooler is Up. Nothing can be pinned there for the file without a transaction, which
// has to wait until the settings that its literals depend on are taken away.
func throughAPooler(t *testing.T, db *pgtest.DB, m *migrate.Migrator) {
	t.Helper()
	to := map[string]string{"d": db.MigratorConn}
	_, err := m.Up(t.Context(), pgtest.PgBouncer(t, 2, to)["d"])
	lacks, ok := errors.AsType[*pg.PrivilegeError](err)
	if !ok || !strings.Contains(lacks.Lacks, "cannot be set through a pooler") ||
		!slices.ContainsFunc(lacks.SQL, func(sql string) bool {
			return strings.HasSuffix(sql, " RESET IntervalStyle")
		}) {
		t.Fatalf("got %v", err)
	}
	pgtest.Exec(t, db.SuperConn, lacks.SQL...)
	up(t, m, pgtest.PgBouncer(t, 2, to)["d"])
}

// TestSettingsDoNotChangeWhatAFileMeans applies the same files where each setting that is
// pinned is turned around, by each of the defaults that a DBA can set.
func TestSettingsDoNotChangeWhatAFileMeans(t *testing.T) {
	t.Parallel()
	bundle := sensitiveBundle(t)
	plain := pgtest.Blank(t)
	version := pgtest.Value[int](t, plain.SuperConn, "SELECT current_setting('server_version_num')::int")
	text, rows := made(t, plain, bundle, false)
	const pooler = "DATABASE %d, through a pooler"
	for _, by := range []string{"DATABASE %d", "ROLE %r", "ROLE %r IN DATABASE %d", pooler} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			where, _, _ := strings.Cut(by, ",")
			alter := "ALTER " + strings.NewReplacer("%d", db.Name, "%r", db.Migrator()).Replace(where)
			for name, restricted := range migrate.Pins(version) {
				value, ok := turnedAround()[name]
				if name == "search_path" {
					value, ok = "", true
				}
				if by == pooler && (name == "backslash_quote" || name == "exit_on_error") {
					// the server reads the file before it can be set: then E'\'' is an error, and one that ends the
					// session
					continue
				}
				if !ok {
					t.Errorf("the test does not turn %s around", name)
				}
				quoted := "'" + value + "'"
				if name == "search_path" {
					quoted = "public"
				}
				pgtest.Exec(t, db.SuperConn, alter+" SET "+name+" = "+quoted)
				if restricted {
					pgtest.Exec(t, db.SuperConn, "GRANT SET ON PARAMETER "+name+" TO "+db.Migrator())
					t.Cleanup(func() {
						pgtest.Exec(t, db.SuperConn, "REVOKE SET ON PARAMETER "+name+" FROM "+
							db.Migrator())
					})
				}
			}
			gotSnapshot, gotRows := made(t, db, bundle, by == pooler)
			for _, d := range snapshot.Compare(text, gotSnapshot) {
				t.Error(d)
			}
			if gotRows != rows {
				t.Errorf("got the rows\n%s\nwant\n%s", gotRows, rows)
			}
		})
	}
}

// TestASettingThatIsNotOursToPinStopsTheStart names the setting and what to run.
func TestASettingThatIsNotOursToPinStopsTheStart(t *testing.T) {
	t.Parallel()
	for name, restricted := range migrate.Pins(0) {
		if !restricted {
			continue
		}
		for _, by := range []string{"DATABASE %d", "ROLE %r", "ROLE %r IN DATABASE %d"} {
			t.Run(name+" "+by, func(t *testing.T) {
				t.Parallel()
				db := pgtest.Blank(t)
				alter := "ALTER " + strings.NewReplacer("%d", db.Name, "%r", db.Migrator()).Replace(by)
				pgtest.Exec(t, db.SuperConn, alter+" SET "+name+" = '"+turnedAround()[name]+"'")
				m := migrator(t, db, "CREATE TABLE app.t1 (id int)")
				_, err := m.Up(t.Context(), db.MigratorConn)
				lacks, ok := errors.AsType[*pg.PrivilegeError](err)
				if !ok || !slices.Equal(lacks.SQL, []string{alter + " RESET " + name}) ||
					!strings.HasPrefix(lacks.Lacks, name+" is ") {
					t.Fatalf("got %v", err)
				}
				pgtest.Exec(t, db.SuperConn, lacks.SQL...)
				up(t, m, db.MigratorConn)
			})
		}
	}
}

// TestAFileCannotChangeHowTheNextOneIsRead hides the change from the loader, for each setting.
func TestAFileCannotChangeHowTheNextOneIsRead(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	version := pgtest.Value[int](t, db.SuperConn, "SELECT current_setting('server_version_num')::int")
	for name, restricted := range migrate.Pins(version) {
		if restricted || name == "exit_on_error" { // which would end the session that is to say so
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			value := turnedAround()[name]
			if name == "search_path" {
				value = "public"
			}
			half := len(name) / 2
			hidden := fmt.Sprintf("CREATE TABLE app.t1 (id int);\nDO $$ BEGIN EXECUTE 'SET '||'%s'||'%s'||' = "+
				"'||'%s'; END $$", name[:half], name[half:], value)
			if name == "search_path" {
				hidden = strings.Replace(hidden, "= '||'public'", "= '||'public, pg_catalog'", 1)
			} else {
				hidden = strings.Replace(hidden, "'"+value+"'", "''''||'"+value+"'||''''", 1)
			}
			m := migrator(t, db, "SELECT 1", hidden, "CREATE TABLE app.t2 (u text DEFAULT 'ü€\\')")
			_, err := m.Up(t.Context(), db.MigratorConn)
			failed, ok := errors.AsType[*migrate.MigrationError](err)
			if !ok || !strings.Contains(failed.What, "the file left "+name+" = ") || failed.Version != 1 {
				t.Errorf("got %v", err)
			}
			if got := ledger(t, db); got != "1" {
				t.Errorf("applied %s", got)
			}
		})
	}
}

func TestAFileKeepsARoleAndALimit(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"DO $$ BEGIN EXECUTE 'SET '||'LOCAL lock_'||'timeout = 0'; END $$":             "lock_timeout = 0",
		"DO $$ BEGIN EXECUTE 'SET '||'ROLE '||quote_ident(current_user||'_x'); END $$": "role = ",
	} {
		db := pgtest.Blank(t)
		other := db.Migrator() + "_x"
		pgtest.Exec(t, db.SuperConn, "CREATE ROLE "+other, "GRANT "+other+" TO "+db.Migrator())
		t.Cleanup(func() { pgtest.Exec(t, db.SuperConn, "DROP OWNED BY "+other, "DROP ROLE "+other) })
		first := "CREATE TABLE app.t1 (id int)"
		up(t, migrator(t, db, first), db.MigratorConn)
		pgtest.Exec(t, db.SuperConn, "GRANT USAGE ON SCHEMA app TO "+other, "GRANT ALL ON app.migrations TO "+other)
		m := migrator(t, db, first, sql)
		if _, err := m.Up(t.Context(), db.MigratorConn); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", sql, err)
		}
	}
}

// TestTheDocsListTheSettings holds the table of docs/writing-migrations.md to settings.txt; -update writes it.
func TestTheDocsListTheSettings(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../docs/writing-migrations.md", "<!-- settings -->\n", "<!-- /settings -->"
	var table strings.Builder
	table.WriteString("| setting | in a file | `SET LOCAL` | why |\n|---|---|---|---|\n")
	for line := range strings.Lines(migrate.SettingsText()) {
		const name, value, local, why, count = 0, 2, 3, 5, 6
		c := strings.Split(strings.TrimSpace(line), "|")
		if len(c) != count || strings.HasPrefix(line, "#") {
			continue
		}
		for i := range c {
			c[i] = strings.TrimSpace(c[i])
		}
		fmt.Fprintf(&table, "| `%s` | `%s` | %s | %s |\n", c[name], c[value], c[local],
			strings.NewReplacer("<", `\<`, "*", `\*`).Replace(c[why]))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	old, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", path)
	}
	switch {
	case old == table.String():
	case *update:
		if err := os.WriteFile(path, []byte(before+begin+table.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s does not list the settings of settings.txt; write it with -update", path)
	}
}

// TestATemporaryTableTakesNoTablesPlace: neither of the file before, nor of another client of a pooler.
func TestATemporaryTableTakesNoTablesPlace(t *testing.T) {
	t.Parallel()
	column := func(db *pgtest.DB, table string) int {
		return pgtest.Value[int](t, db.SuperConn, "SELECT count(*)::int FROM pg_attribute WHERE attrelid = 'app."+
			table+"'::regclass AND attname = 'x'")
	}
	db := pgtest.Blank(t)
	up(t, migrator(t, db, table, "CREATE TEMP TABLE t2 AS SELECT 1 AS n; CREATE TABLE app.t2 (n int)",
		"ALTER TABLE t2 ADD x int",
		"CREATE TEMP TABLE t2 AS SELECT 1 AS n; ALTER TABLE t2 DROP x; ALTER TABLE t2 ADD x int"), db.MigratorConn)
	if column(db, "t2") != 1 {
		t.Error("the temporary table of a file took the place of a table of the schema")
	}

	db = pgtest.Blank(t)
	pooled := pgtest.PgBouncer(t, 1, map[string]string{"migrator": db.MigratorConn})["migrator"]
	pgtest.Exec(t, pooled, "CREATE TEMP TABLE t (n int)")
	up(t, migrator(t, db, table, "CREATE TABLE t (n int)", "ALTER TABLE t ADD x int", "CREATE TEMP TABLE own (n int)"),
		pooled)
	if column(db, "t") != 1 {
		t.Error("another client's temporary table took the place of a table of the schema")
	}
	if left := pgtest.Value[int](t, pooled, "SELECT count(*)::int FROM pg_class WHERE relname = 'own'"); left != 0 {
		t.Error("a file's temporary table outlives it")
	}
}
