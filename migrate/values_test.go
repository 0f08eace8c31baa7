package migrate_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// TestNoValueOfARowIsShown makes a migration fail on the data of a table, in each way in which the server repeats
// values, and looks for them in the error and in the log. What stands in the file itself may be shown.
func TestNoValueOfARowIsShown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ sql, want string }{
		"22001 too long": {
			"ALTER TABLE app.t1 ALTER v TYPE varchar(2)",
			"value too long for type character varying(2) (22001)",
		},
		"22003 out of range": {"ALTER TABLE app.t1 ALTER n TYPE smallint", "out of range (22003)"},
		"22003 of text": {
			"ALTER TABLE app.t1 ALTER big TYPE int USING big::int",
			`value "…" is out of range for type integer (22003)`,
		},
		"22P02 number": {
			"ALTER TABLE app.t1 ALTER v TYPE int USING v::int",
			`invalid input syntax for type integer: "…" (22P02)`,
		},
		"22P02 uuid": {
			"UPDATE app.t1 SET id = v::uuid::text::int",
			`invalid input syntax for type uuid: "…"`,
		},
		"22P02 json": {"UPDATE app.t1 SET v = v::json::text", "(22P02)"},
		"22P02 enum": {"CREATE TYPE app.mood AS ENUM ('sad'); UPDATE app.t1 SET v = " +
			"v::app.mood::text", `invalid input value for enum mood: "…"`},
		"42P01 looked up":        {"SELECT left(v, 6)::regclass FROM app.t1", `relation "…" does not exist`},
		"42704 a role looked up": {"SELECT left(v, 6)::regrole FROM app.t1", `role "…" does not exist`},
		"42704 a setting": {
			"SELECT set_config(v, 'x', true) FROM app.t1",
			`configuration parameter "…"`,
		},
		"42601 tsquery": {
			"SELECT (left(v, 6) || ' &')::tsquery FROM app.t1",
			`no operand in tsquery: "…"`,
		},
		"42601 dotted": {
			"SELECT (left(v, 6) || '.a.b.c')::regclass FROM app.t1",
			"dotted names): …",
		},
		"0A000 another database": {
			"SELECT nextval(left(v, 6) || '.b.c') FROM app.t1",
			"not implemented: \"…\"",
		},
		"3F000 a schema looked up": {
			"SELECT nextval(left(v, 6) || '.b') FROM app.t1",
			`schema "…" does not exist`,
		},
		"42P07 names stay": {"CREATE TABLE app.T1 ()", `relation "t1" already exists`},
		"22P02 literal":    {"SELECT 'literal'::int", `"literal"`},
		"22007 date": {
			"UPDATE app.t1 SET v = v::date::text",
			`invalid input syntax for type date: "…"`,
		},
		"22008 date": {"UPDATE app.t1 SET v = (day || '-99')::date::text", "(22008)"},
		"22023 unit": {
			"UPDATE app.t1 SET v = date_trunc(v, now())::text",
			`unit "…" not recognized`,
		},
		"22021 bytes": {
			`UPDATE app.t1 SET v = convert_from(convert_to(v, 'UTF8') || '\xff', 'UTF8')`, "(22021)",
		},
		"2201B expression": {"UPDATE app.t1 SET v = regexp_replace('a', v || '(', '')", "(2201B)"},
		"22P02 array":      {"UPDATE app.t1 SET v = v::int[]::text", "malformed array literal"},
		"23502 not null": {"ALTER TABLE app.t1 ADD m text; INSERT INTO app.t1 SELECT NULL, v, n, " +
			"big, day, m FROM app.t1", "column: id"},
		"23505 unique": {"INSERT INTO app.t1 SELECT * FROM app.t1", "constraint: t1_pkey"},
		"23505 index": {"INSERT INTO app.t1 SELECT 2, v, n, big, day FROM app.t1; CREATE UNIQUE " +
			"INDEX t1_v ON app.t1 (v)", "constraint: t1_v"},
		"23503 foreign": {"ALTER TABLE app.t1 ADD CONSTRAINT fk FOREIGN KEY (n) REFERENCES " +
			"app.t1 (id)", "constraint: fk\ntable: app.t1"},
		"23514 check": {
			"ALTER TABLE app.t1 ADD CONSTRAINT short CHECK (length(v) < 2)",
			"constraint: short",
		},
		"23514 check of a new row": {"CREATE TABLE app.t2 (v text CHECK (v = '')); INSERT INTO app.t2 SELECT " +
			"v FROM app.t1", "constraint: t2_v_check\ntable: app.t2"},
		"23514 partition": {"CREATE TABLE app.t3 (v text) PARTITION BY LIST (v); INSERT INTO app.t3 " +
			"SELECT v FROM app.t1", "(23514)"},
		"23P01 exclusion": {"INSERT INTO app.t1 SELECT 2, v, n, big, day FROM app.t1; ALTER TABLE " +
			"app.t1 ADD CONSTRAINT ex EXCLUDE USING btree (v WITH =)", "constraint: ex"},
		"domain": {"CREATE DOMAIN app.d AS text CHECK (VALUE = ''); ALTER TABLE app.t1 " +
			"ALTER v TYPE app.d", "(23514)"},
		"21000 many rows": {"INSERT INTO app.t1 SELECT 2, v, n, big, day FROM app.t1; UPDATE app.t1 " +
			"SET v = (SELECT v FROM app.t1)", "(21000)"},
		"P0001 raise": {"DO $$ BEGIN RAISE EXCEPTION 'bad row: %', (SELECT v FROM app.t1) USING " +
			"DETAIL = (SELECT v FROM app.t1), HINT = (SELECT v FROM app.t1); END $$", "bad row: …"},
		"P0001 raise with a code": {"DO $$ BEGIN RAISE EXCEPTION 'bad row: %', (SELECT v FROM app.t1) USING " +
			"ERRCODE = '42704', TABLE = (SELECT v FROM app.t1); END $$", "bad row: …"},
		"P0001 raise of an error": {"DO $$ BEGIN PERFORM v::int FROM app.t1; EXCEPTION WHEN OTHERS THEN " +
			"RAISE EXCEPTION 'it says %', SQLERRM; END $$", "it says …"},
		"P0004 assert": {"DO $$ BEGIN ASSERT false, (SELECT v FROM app.t1); END $$", "(P0004)"},
		"a notice": {"DO $$ BEGIN RAISE WARNING 'look at %', (SELECT v FROM app.t1) USING " +
			"DETAIL = (SELECT v FROM app.t1); RAISE EXCEPTION 'stop'; END $$", "stop (P0001)"},
		"a notice of an error": {"DO $$ BEGIN PERFORM v::int FROM app.t1; EXCEPTION WHEN OTHERS THEN " +
			"RAISE NOTICE '%', SQLERRM; RAISE EXCEPTION 'stop'; END $$", "stop (P0001)"},
		"42601 dynamic SQL": {"DO $$ BEGIN EXECUTE 'SELECT ' || (SELECT v FROM app.t1) || ' FROM " +
			"FROM'; END $$", "(42601)"},
		"42703 dynamic SQL": {"DO $$ BEGIN EXECUTE 'SELECT ' || quote_ident((SELECT v FROM " +
			"app.t1)); END $$", "(42703)"},
		"42P07 dynamic SQL": {"DO $$ BEGIN EXECUTE format('CREATE TABLE app.%I ()', (SELECT v FROM " +
			"app.t1)); EXECUTE format('CREATE TABLE app.%I ()', (SELECT v FROM app.t1)); END $$", "(42P07)"},
		"22012 in dynamic SQL": {"DO $$ BEGIN EXECUTE format('SELECT 1/0, %L', (SELECT v FROM " +
			"app.t1)); END $$", "division by zero (22012)"},
		"22P02 in a function of the file": {"CREATE FUNCTION app.f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN " +
			"RETURN (SELECT v::int FROM app.t1); END $$; SELECT app.f()", "PL/pgSQL function f() line 1 at RETURN"},
		"22003 setval": {
			"CREATE SEQUENCE app.s MAXVALUE 5; SELECT setval('app.s', n) FROM app.t1",
			"is out of bounds for sequence",
		},
		"2BP01 names stay": {"CREATE VIEW app.w AS SELECT v FROM app.t1; ALTER TABLE app.t1 " +
			"DROP COLUMN v", "view w depends on column v of table t1"},
		"42703 names stay": {"SELECT nosuch FROM app.t1", `column "nosuch" does not exist`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			const table = "CREATE TABLE app.t1 (id int PRIMARY KEY, v text, n int, big text, day text);"
			up(t, migrator(t, db, table), db.MigratorConn)
			const secret = "S3CRET alice's \"pass\" w\u00f6rd"
			conn := db.Connect(t, db.SuperConn)
			if _, err := conn.Exec(t.Context(), "INSERT INTO app.t1 VALUES (1, $1, 7741977, '77419777741977', "+
				"'7741-12')", secret); err != nil {
				t.Fatal(err)
			}
			m := migrator(t, db, table, c.sql+";")
			var log bytes.Buffer
			m.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			_, err := m.Up(t.Context(), db.MigratorConn)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "0002_m2.sql:") {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if err == nil {
				return
			}
			for _, part := range []string{"S3CRET", "s3cret", "alice", "pass\\", "\"pass", "w\u00f6rd", "77419"} {
				if strings.Contains(err.Error(), part) || strings.Contains(log.String(), part) {
					t.Errorf("%q is shown in\n%v\n%s", part, err, log.String())
				}
			}
		})
	}
}

// TestASettingOfADBAThatTheServerRefusesIsNamed in the log, without its value.
func TestASettingOfADBAThatTheServerRefusesIsNamed(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	setForTheRole(t, db, "default_tablespace = 'not_there'")
	log := &syncBuffer{}
	m := migrator(t, db, tables(1)...)
	m.Log = slog.New(slog.NewTextHandler(log, nil))
	up(t, m, db.MigratorConn)
	if text := log.String(); !strings.Contains(text, `invalid value for parameter \"default_tablespace\"`) ||
		strings.Contains(text, "not_there") {
		t.Errorf("the log is:\n%s", text)
	}
}
