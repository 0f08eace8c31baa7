package migrate_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

var update = flag.Bool("update", false, "write testdata/everything/snapshots and internal/ledger/ledger.txt")

// everything is a schema with every kind of object that a role without superuser can
// make.
func everything(t *testing.T, schema string) *migrate.Migrator {
	t.Helper()
	bundle, err := bundle.Load(os.DirFS("testdata/everything"))
	if err != nil {
		t.Fatal(err)
	}
	return &migrate.Migrator{Bundle: bundle, Schema: schema}
}

// TestASnapshotTellsEveryKindOfObject holds for every version of PostgreSQL: the
// golden files are the same for all.
func TestASnapshotTellsEveryKindOfObject(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	texts, err := migrate.Snapshots(t.Context(), everything(t, "app"), db.MigratorConn)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		file := fmt.Sprintf("testdata/everything/snapshots/%04d.txt", i+1)
		text = strings.ReplaceAll(text, db.Migrator(), "the_migrator") // in a policy
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if text != string(want) {
			t.Errorf("version %d: got\n%s\nwant %s, which differs:", i+1, text, file)
			for _, d := range snapshot.Compare(string(want), text) {
				t.Error(d)
			}
		}
	}
}

// TestASnapshotDependsOnNothingElse reads the same schema under other names, as other
// roles, and where a DBA, a client or a temporary table would change what the server
// writes.
func TestASnapshotDependsOnNothingElse(t *testing.T) {
	t.Parallel()
	golden, err := os.ReadFile("testdata/everything/snapshots/0004.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, schema := range []string{"app", "order", `An "odd" schema's name`, "ñandú"} {
		t.Run(schema, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			m := everything(t, schema)
			m.Role = privilege.Role{Name: db.WebRole, Password: db.WebPassword}
			up(t, m, db.MigratorConn)
			for _, setting := range []string{
				"DateStyle = German", "IntervalStyle = sql_standard", "TimeZone = 'Asia/Kathmandu'",
				"bytea_output = escape", "extra_float_digits = -15", "quote_all_identifiers = on",
				"search_path = " + quote(schema) + ", public", "standard_conforming_strings = off",
				"default_transaction_read_only = on",
			} {
				pgtest.Exec(t, db.SuperConn, "SET default_transaction_read_only = off; ALTER DATABASE "+db.Name+
					" SET "+setting)
			}
			shadowed := db.Connect(t, db.WebConn)
			for _, sql := range []string{
				"SET default_transaction_read_only = off", "CREATE TEMPORARY TABLE pg_class (oid oid)",
				"CREATE TEMPORARY TABLE parent ()", "CREATE DOMAIN pg_temp.bigint AS pg_catalog.int8",
			} {
				if _, err := shadowed.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			want := strings.ReplaceAll(string(golden), "the_migrator", db.Migrator())
			for who, conn := range map[string]*pgx.Conn{
				"migrator": db.Connect(t, db.MigratorConn),
				"web":      db.Connect(t, db.WebConn), "superuser": db.Connect(t, db.SuperConn),
				"web beside temporary tables": shadowed,
			} {
				got, err := migrate.Snapshot(t.Context(), conn, m.Schema)
				if err != nil {
					t.Fatalf("%s: %v", who, err)
				}
				if got != want {
					t.Errorf("%s: not what it is elsewhere: %v", who, snapshot.Compare(want, got))
				}
			}
		})
	}
}

// TestASnapshotSeesWhatSomebodyChanged changes one thing at a time, in a transaction
// that is rolled back.
func TestASnapshotSeesWhatSomebodyChanged(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := everything(t, "app")
	m.Role = privilege.Role{Name: db.WebRole, Password: db.WebPassword}
	up(t, m, db.MigratorConn)
	conn := db.Connect(t, db.SuperConn)
	before, err := migrate.Snapshot(t.Context(), conn, m.Schema)
	if err != nil {
		t.Fatal(err)
	}
	changes := map[string][]string{
		"ALTER TABLE app.quick ADD COLUMN colour text": {"table quick: has   column " +
			"colour text"},
		"ALTER TABLE app.quick ALTER COLUMN a SET NOT NULL": {
			"table quick: lacks column a integer",
			"table quick: has   column a integer not null",
		},
		"ALTER TABLE app.quick ALTER COLUMN a SET DEFAULT 5": {
			"table quick: lacks column a integer",
			"table quick: has   column a integer default 5",
		},
		"ALTER TABLE app.to_parts ALTER COLUMN id " +
			"TYPE bigint": {"table to_parts: lacks column id integer", "table to_parts: has   column id bigint"},
		"ALTER TABLE app.quick SET LOGGED": {"table quick: lacks unlogged"},
		"ALTER TABLE app.quick SET (fillfactor = 50)": {"table quick: has   with " +
			"(fillfactor=50)"},
		"ALTER TABLE app.quick REPLICA IDENTITY NOTHING": {"table quick: lacks replica " +
			"identity full", "table quick: has   replica identity nothing"},
		"ALTER TABLE app.quick RENAME TO quicker": nil, // too many views tell of it
		"DROP TABLE app.to_parts":                 {"table to_parts: is missing"},
		"CREATE TABLE app.notes (id int PRIMARY KEY)": {"table notes: was made by " +
			"no migration"},
		"ALTER TABLE app.parts DETACH PARTITION app.parts_2020": nil,
		"CREATE SCHEMA other; CREATE TABLE other.heir () INHERITS " +
			"(app.child)": {"table child: has   inherited by other.heir"},
		"CREATE SCHEMA other; CREATE TABLE other.day PARTITION OF app.parts FOR VALUES FROM ('1990-01-01') TO " +
			"('1990-01-02')": {"table parts: has   inherited by other.day"},
		"CREATE SCHEMA other; CREATE TABLE other.guest (id int, day date, CONSTRAINT host FOREIGN KEY (id, day) " +
			"REFERENCES app.parts)": {"table parts: has   referenced by other.guest, constraint host"},
		"ALTER TABLE app.child NO INHERIT app.parent": {"table child: lacks inherits parent"},
		"DROP INDEX app.document_idx": {"table parent: lacks index document_idx gin (document " +
			"jsonb_path_ops)"},
		"CREATE INDEX ON app.quick (a)": {"table quick: has   index quick_a_idx btree (a)"},
		"UPDATE pg_index SET indisvalid = false WHERE indexrelid = " +
			"'app.document_idx'::regclass": {
			"table parent: lacks index document_idx gin (document jsonb_path_ops)",
			"table parent: has   index document_idx gin (document jsonb_path_ops) invalid",
		},
		"UPDATE pg_index SET indisvalid = false WHERE indexrelid = " +
			"'app.parts_pkey'::regclass": {"table parts: has   unique index parts_pkey btree (id, day) invalid"},
		`ALTER TABLE app."Child ""Two""" VALIDATE CONSTRAINT also_later`: {
			`table "Child ""Two""": lacks constraint also_later CHECK (parent_too > 0) NOT VALID`,
			`table "Child ""Two""": has   constraint also_later CHECK (parent_too > 0)`,
		},
		"ALTER TABLE app.parent DROP " +
			"CONSTRAINT heavy": {"table parent: lacks constraint heavy CHECK ( CASE WHEN weight IS NULL THEN true " +
			"ELSE weight > 0::numeric END) NO INHERIT"},
		"ALTER TABLE app.to_parts DISABLE " +
			"TRIGGER ALL": {"table to_parts: lacks constraint to_parts_id_day_fkey FOREIGN KEY (id, day) REFERENCES " +
			"parts(id, day)", "table to_parts: has   constraint to_parts_id_day_fkey FOREIGN KEY (id, day) " +
			"REFERENCES parts(id, day) disabled"},
		"ALTER TABLE app.parts DISABLE " +
			"TRIGGER stamped": nil,
		"ALTER TABLE app.parent DISABLE ROW " +
			"LEVEL SECURITY": {"table parent: lacks row security enabled"},
		"ALTER TABLE app.parent NO FORCE ROW " +
			"LEVEL SECURITY": {"table parent: lacks row security forced"},
		"ALTER POLICY fewer ON app.parent " +
			"USING (true)": {"table parent: lacks policy fewer restrictive for update using ((( SELECT " +
			"parent.mood)) = 'happy'::mood)", "table parent: has   policy fewer restrictive for update using (true)"},
		"ALTER POLICY fewer ON app.parent TO " + db.WebRole +
			", pg_monitor": {"table parent: lacks policy fewer restrictive for update using ((( SELECT " +
			"parent.mood)) = 'happy'::mood)", "table parent: has   policy fewer restrictive for update to " +
			"pg_monitor, " + db.WebRole + " using ((( SELECT parent.mood)) = 'happy'::mood)"},
		"DROP RULE refused " +
			"ON app.quick": {"table quick: lacks rule refused AS ON DELETE TO quick DO INSTEAD NOTHING;"},
		"CREATE OR REPLACE FUNCTION app.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN " +
			"NULL; END'": {"function stamp(): has another body"},
		"ALTER FUNCTION app.stamp() SECURITY DEFINER SET " +
			"search_path = app": {
			"function stamp(): has   security definer",
			`function stamp(): has   set search_path = "$own"`,
		},
		"ALTER FUNCTION " +
			"app.plain(int) STABLE": {
			"function plain(integer): lacks immutable",
			"function plain(integer): has   stable",
		},
		"DROP FUNCTION " +
			"app.plain(int)": {"function plain(integer): is missing"},
		"CREATE OR REPLACE PROCEDURE app.act(INOUT a integer) LANGUAGE sql AS " +
			"'SELECT 1'": {
			"procedure act(integer): lacks language plpgsql",
			"procedure act(integer): has   language sql", "procedure act(integer): has another body",
		},
		"CREATE OR REPLACE AGGREGATE app.total(int) (SFUNC = app.add, STYPE = int, INITCOND = '1', COMBINEFUNC = " +
			"app.add, PARALLEL = safe)": {
			"aggregate total(integer): lacks initval 0",
			"aggregate total(integer): has   initval 1",
		},
		"CREATE OR REPLACE VIEW app.crossed AS SELECT p.id, q.a FROM app.parent p, " +
			"app.quick q": {"view crossed: has another body"},
		"ALTER VIEW app.aliased RESET " +
			"(security_invoker)": {
			"view aliased: lacks with (security_barrier=true, security_invoker=true)",
			"view aliased: has   with (security_barrier=true)",
		},
		"DROP MATERIALIZED " +
			"VIEW app.kept": {"materialized view kept: is missing"},
		"ALTER SEQUENCE app.plain_sequence CYCLE " +
			"MAXVALUE 9": {"sequence plain_sequence: lacks bigint start 1 increment 1 minimum 1 maximum " +
			"9223372036854775807 cache 1", "sequence plain_sequence: has   bigint start 1 increment 1 minimum 1 " +
			"maximum 9 cache 1 cycle"},
		"ALTER SEQUENCE app.owned_sequence " +
			"OWNED BY NONE": {"sequence owned_sequence: lacks owned by parent.number"},
		"ALTER TYPE app.mood ADD VALUE 'angry' " +
			"BEFORE 'sad'": {
			`enum mood: lacks values 'sad', 'it''s ok', 'happy'`,
			`enum mood: has   values 'angry', 'sad', 'it''s ok', 'happy'`,
		},
		"ALTER DOMAIN app.word DROP " +
			"CONSTRAINT no_space": {`domain word: lacks constraint no_space CHECK (VALUE !~ '\s'::text)`},
		"ALTER DOMAIN app.word " +
			"SET NOT NULL": {`domain word: lacks text collate "C"`, `domain word: has   text collate "C" not null`},
		"ALTER TYPE app.point3 ADD ATTRIBUTE z " +
			"real CASCADE": {"composite type point3: has   attribute z real", "table typed: has   column z real"},
		"DROP STATISTICS " +
			"app.together": {"statistics together: is missing"},
		"DROP OPERATOR app.%%% (int, " +
			"int) CASCADE": nil,
		"DROP CONVERSION " +
			"app.odd_conversion": {"conversion odd_conversion: is missing"},
		"CREATE OPERATOR app.@@@ (LEFTARG = int, RIGHTARG = int, " +
			"FUNCTION = int4pl)": {"operator @@@(integer,integer): was made by no migration"},
		"CREATE TYPE app.shell": {"type shell: was made by no migration"},
		"CREATE OPERATOR FAMILY app.family " +
			"USING btree": {"operator family family USING btree: was made by no migration"},
		"CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE app.f (a int) " +
			"SERVER s OPTIONS (k 'v')": {"foreign table f: was made by no migration"},

		"COMMENT ON TABLE app.quick IS 'x'; COMMENT ON SCHEMA " +
			"app IS 'x'": {},
		"GRANT ALL ON app.quick TO PUBLIC; GRANT SELECT (a) ON app.quick TO PUBLIC; REVOKE ALL ON FUNCTION " +
			"app.stamp() FROM PUBLIC": {},
		"ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON " +
			"TABLES TO PUBLIC": {},
		"ALTER TABLE app.quick OWNER " +
			"TO postgres": {},
		"INSERT INTO app.quick VALUES (1); SELECT nextval('app.plain_sequence'); REFRESH MATERIALIZED VIEW " +
			"app.kept; ANALYZE": {},
		"DROP TABLE app.migrations":                                                   {},
		"CREATE PUBLICATION p FOR TABLES IN SCHEMA app":                               {},
		"SAVEPOINT s; ALTER TABLE app.quick ADD COLUMN b int; ROLLBACK TO s":          {},
		"ALTER TABLE app.quick ADD COLUMN b int; ALTER TABLE app.quick DROP COLUMN b": {},
	}
	// not every server comes with them
	const extension = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citext')"
	if pgtest.Value[bool](t, db.SuperConn, extension) {
		// without its members
		changes["CREATE EXTENSION citext SCHEMA app"] = []string{"extension citext: was made by no migration"}
	}
	for sql, want := range changes {
		t.Run(sql, func(t *testing.T) {
			after := changed(t, m, conn, sql)
			var got []string
			for _, d := range snapshot.Compare(before, after) {
				got = append(got, d.String())
			}
			if want == nil && len(got) > 0 {
				return
			}
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// changed is the snapshot with a change that is undone.
func changed(t *testing.T, m *migrate.Migrator, conn *pgx.Conn, sql string) string {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatal(err)
	}
	text, err := migrate.Snapshot(t.Context(), conn, m.Schema)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestASnapshotLeavesATransactionAsItWas(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(1)...)
	up(t, m, db.MigratorConn)
	conn := db.Connect(t, db.MigratorConn)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SET LOCAL search_path = app; SET LOCAL DateStyle = German"); err != nil {
		t.Fatal(err)
	}
	if _, err := migrate.Snapshot(t.Context(), conn, m.Schema); err != nil {
		t.Fatal(err)
	}
	var path, style string
	if err := tx.QueryRow(t.Context(),
		"SELECT current_setting('search_path'), current_setting('DateStyle')").Scan(&path, &style); err != nil {
		t.Fatal(err)
	}
	if path != "app" || !strings.HasPrefix(style, "German") {
		t.Errorf("search_path %q, DateStyle %q: not as they were", path, style)
	}
	if _, err := tx.Exec(t.Context(), "INSERT INTO t1 VALUES (2)"); err != nil {
		t.Error(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNothingIsAnEmptySnapshot(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(1)...)
	for _, sql := range []string{"SELECT 1", "CREATE SCHEMA app"} {
		pgtest.Exec(t, db.SuperConn, sql)
		if got, err := takeSnapshot(t.Context(), m, db.MigratorConn); got != "" || err != nil {
			t.Errorf("after %s: got %q, %v, want nothing", sql, got, err)
		}
	}
}

func TestSnapshotsAreMadeOnlyInABlankDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(3)...)
	texts, err := migrate.Snapshots(t.Context(), m, db.MigratorConn)
	if err != nil || len(texts) != 3 {
		t.Fatalf("%d texts, %v", len(texts), err)
	}
	for i, text := range texts {
		if want := strings.Count(text, "table "); want != i+1 {
			t.Errorf("after version %d: %d tables in\n%s", i+1, want, text)
		}
	}
	if pgtest.Value[bool](t, db.SuperConn, "SELECT to_regrole($1) IS NOT NULL", db.WebRole) {
		t.Error("the service's role was made, too")
	}
	if _, err := migrate.Snapshots(t.Context(), m, db.MigratorConn); err == nil ||
		!strings.Contains(err.Error(), `the schema "app" holds something already`) {
		t.Errorf("a second time: got %v", err)
	}
}

// quotedIn15 are the words that PostgreSQL 15 quotes as names (pg_get_keywords, all but the unreserved ones).
const quotedIn15 = `
all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case
cast char character check coalesce collate collation column concurrently constraint create cross current_catalog
current_date current_role current_schema current_time current_timestamp current_user dec decimal default
deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full grant
greatest group grouping having ilike in initially inner inout int integer intersect interval into is isnull join
lateral leading least left like limit localtime localtimestamp national natural nchar none normalize not notnull
null nullif numeric offset on only or order out outer overlaps overlay placing position precision primary real
references returning right row select session_user setof similar smallint some substring symmetric table
tablesample then time timestamp to trailing treat trim true union unique user using values varchar variadic
verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse
xmlpi xmlroot xmlserialize xmltable`

// TestNamesAreQuotedAlikeOnEachVersion asks the server of this run, so that a version with more keywords fails it.
func TestNamesAreQuotedAlikeOnEachVersion(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	columns := pgtest.Value[string](t, db.SuperConn,
		"SELECT string_agg(quote_ident(word) || ' int', ', ') FROM pg_get_keywords() WHERE catcode <> 'U'")
	m := migrator(t, db, "CREATE TABLE app.t1 (id int); CREATE TABLE app.words ("+columns+")")
	up(t, m, db.MigratorConn)
	text, err := takeSnapshot(t.Context(), m, db.MigratorConn)
	if err != nil {
		t.Fatal(err)
	}
	quoted := 0
	for line := range strings.Lines(text) {
		name, ok := strings.CutPrefix(line, `  column "`)
		if !ok {
			continue
		}
		quoted++
		if name, _, _ = strings.Cut(name, `"`); !slices.Contains(strings.Fields(quotedIn15), name) {
			t.Errorf("%s is quoted, and PostgreSQL 15 does not quote it", name)
		}
	}
	if quoted != len(strings.Fields(quotedIn15)) {
		t.Errorf("%d names are quoted, want %d", quoted, len(strings.Fields(quotedIn15)))
	}
}
