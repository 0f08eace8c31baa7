package review_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// A piece is something that a release made, and the statements that may follow it. In
// both, {a|b|c} is one of the three, and «x» is a name that no other statement uses.
type piece struct {
	made    []string
	changes []string
}

// base is what every release has.
const base = `CREATE TABLE app.u (id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO app.u SELECT g, 'n' || g FROM generate_series(1, 20) g;
CREATE TYPE app.mood AS ENUM ('sad', 'glad');
CREATE DOMAIN app.plain AS text;
CREATE DOMAIN app.checked AS text CHECK (VALUE <> '');
CREATE SEQUENCE app.counter;
CREATE FUNCTION app.stable() RETURNS integer LANGUAGE sql STABLE AS 'SELECT 1';
CREATE FUNCTION app.shaky() RETURNS integer LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION app.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE app.t (id integer PRIMARY KEY, a varchar(10) NOT NULL, b text, n integer, k integer CONSTRAINT t_k_key UNIQUE, u integer, d text DEFAULT 'd' NOT NULL, e app.mood, w app.plain);
INSERT INTO app.t SELECT g, 'a' || g, 'b' || g, g, g, g, 'd', 'sad', 'w' FROM generate_series(1, 20) g;
`

// pieces are over app.t and app.u, and what the first part of each makes.
func pieces() []piece {
	return []piece{
		{nil, []string{ // ADD COLUMN
			"ALTER TABLE app.t ADD COLUMN «c» {integer|text|numeric(8, " +
				"2)|varchar|timestamptz|uuid|jsonb|app.mood|app.plain|app.checked|app.checked[]|app.plain[]|text[]}{|| NULL}",
			"ALTER TABLE app.t ADD «c» integer{| NOT NULL} DEFAULT {0|-1|1 + " +
				"1|app.stable()|app.shaky()|nextval('app.counter')|(random() * 10)::int|extract(year FROM " +
				"now())::int|length('x')|abs(-1)|hashtext('a')|pg_backend_pid()}",
			"ALTER TABLE app.t ADD «c» timestamptz DEFAULT " +
				"{now()|CURRENT_TIMESTAMP|clock_timestamp()|statement_timestamp()|now() + interval '1 " +
				"day'|timezone('UTC', now())|timeofday()::timestamptz|to_timestamp(0)|date_trunc('day', " +
				"now())|'2026-01-01'}",
			"ALTER TABLE app.t ADD «c» text{| NOT NULL} DEFAULT " +
				"{''|'x'::text|md5('a')|gen_random_uuid()::text|CURRENT_USER|current_setting('TimeZone')|lower('X')|concat('a', 'b')|format('%s', 1)|('a' || 'b')|NULL|CAST(1 AS text)|CASE WHEN true THEN 'a' ELSE 'b' END}",
			"ALTER TABLE app.t ADD «c» {app.plain|app.checked} {DEFAULT 'x'|DEFAULT 'x' NOT NULL|NULL}",
			"ALTER TABLE app.t ADD «c» uuid DEFAULT {gen_random_uuid()|'00000000-0000-0000-0000-000000000000'|NULL}",
			"ALTER TABLE app.t ADD «c» app.mood DEFAULT {'sad'|'sad'::app.mood|NULL}",
			"ALTER TABLE app.t ADD «c» {bigint|integer} GENERATED {ALWAYS|BY DEFAULT} AS IDENTITY",
			"ALTER TABLE app.t ADD «c» {serial|bigserial|smallserial}",
			"ALTER TABLE app.t ADD «c» integer GENERATED ALWAYS AS ({n + 1|1}) STORED",
			"ALTER TABLE app.t ADD «c» integer {UNIQUE|CHECK («c» > 0)|CONSTRAINT «k» CHECK («c» > 0)|REFERENCES " +
				"app.u|DEFAULT 1 REFERENCES app.u|DEFAULT NULL REFERENCES app.u|NOT NULL DEFAULT 1 CHECK («c» > " +
				"0)|CONSTRAINT «k» REFERENCES app.u (id) ON DELETE CASCADE}",
			"ALTER TABLE app.t ADD «c» integer, ADD «d» integer REFERENCES app.u",
			"ALTER TABLE app.t ADD «c» integer DEFAULT 1, ADD «d» integer REFERENCES app.u",
			"ALTER TABLE app.t ADD «c» integer, ADD FOREIGN KEY («c») REFERENCES app.u",
			"ALTER TABLE app.t ADD «c» integer, ADD CONSTRAINT «k» FOREIGN KEY («c») REFERENCES app.u NOT VALID",
			"ALTER TABLE app.t ADD «c» text COLLATE \"C\" {|DEFAULT 'x'}",
			"ALTER TABLE app.t ADD «c» integer[] DEFAULT {'{}'|ARRAY[1, 2]|ARRAY[]::integer[]|array_fill(0, ARRAY[2])}",
			"ALTER TABLE app.t ADD «c» text COMPRESSION pglz",
		}},
		{nil, []string{ // NOT NULL and defaults
			"ALTER TABLE app.t ALTER {a|b|id|n|d} SET NOT NULL",
			"ALTER TABLE app.t ALTER {a|d|b} DROP NOT NULL",
			"ALTER TABLE app.t ALTER {a|d} DROP NOT NULL, ALTER {a|d} SET NOT NULL",
			"ALTER TABLE app.t ALTER {d|b|n} DROP DEFAULT",
			"ALTER TABLE app.t ALTER b SET DEFAULT {'x'|gen_random_uuid()::text}",
			"ALTER TABLE app.t ALTER {n|id} ADD GENERATED {BY DEFAULT|ALWAYS} AS IDENTITY",
		}},
		{
			[]string{"ALTER TABLE app.t ADD CONSTRAINT proof CHECK ({b IS NOT NULL|b IS NOT NULL AND n > 0|(b IS NOT " +
				"NULL)|b IS NOT NULL OR n > 0|b <> ''|NOT b IS NULL|b IS NOT NULL AND n IS NOT NULL}){| NOT VALID}"},
			[]string{
				"ALTER TABLE app.t ALTER {b|n} SET NOT NULL",
				"ALTER TABLE app.t ALTER b SET NOT NULL, DROP CONSTRAINT proof",
				"ALTER TABLE app.t DROP CONSTRAINT proof",
				"ALTER TABLE app.t VALIDATE CONSTRAINT proof",
				"ALTER TABLE app.t RENAME CONSTRAINT proof TO prove",
				"ALTER TABLE app.t VALIDATE CONSTRAINT proof, ALTER b SET NOT NULL",
			},
		},
		{nil, []string{ // constraints
			"ALTER TABLE app.t ADD{| CONSTRAINT «k»} CHECK ({n > 0|b <> ''|b IS NOT NULL}){| NOT VALID}",
			"ALTER TABLE app.t ADD{| CONSTRAINT «k»} {UNIQUE (n)|UNIQUE (b, n)|FOREIGN KEY (u) REFERENCES " +
				"app.u|FOREIGN KEY (u) REFERENCES app.u (id) NOT VALID|EXCLUDE USING btree (n WITH =)}",
			"ALTER TABLE app.t ADD CONSTRAINT «k» FOREIGN KEY (u) REFERENCES app.u{| NOT VALID}",
			"ALTER TABLE app.t ADD CONSTRAINT «k» UNIQUE NULLS {NOT |}DISTINCT (n)",
			"ALTER TABLE app.t DROP CONSTRAINT {t_k_key|t_pkey}",
			"ALTER TABLE app.t DROP CONSTRAINT t_k_key, ADD CONSTRAINT t_k_key UNIQUE (k)",
			"ALTER TABLE app.t RENAME CONSTRAINT t_k_key TO «k»",
		}},
		{[]string{"ALTER TABLE app.t ADD CONSTRAINT fk FOREIGN KEY (u) REFERENCES app.u{| NOT VALID}"}, []string{
			"ALTER TABLE app.t DROP CONSTRAINT fk", "ALTER TABLE app.t VALIDATE CONSTRAINT fk",
			"ALTER TABLE app.t ALTER u TYPE {bigint|integer|int}", "ALTER TABLE app.u ALTER id TYPE int",
		}},
		{nil, []string{ // indexes
			"CREATE{| UNIQUE} INDEX «i» ON app.t{| USING btree| USING hash} ({n|id})",
			"CREATE INDEX «i» ON {app.t|ONLY app.t} ({n|lower(b)|n DESC, b})",
			"CREATE INDEX «i» ON app.t (n) WHERE n > 5",
			"REINDEX {TABLE app.t|INDEX app.t_pkey}",
			"CLUSTER app.t USING t_pkey",
			"ALTER TABLE app.t CLUSTER ON t_pkey", "ALTER TABLE app.t SET WITHOUT CLUSTER",
			"ALTER INDEX app.t_k_key RENAME TO «i»",
			"ALTER INDEX app.t_k_key SET (fillfactor = 90)",
			"CREATE STATISTICS app.«s» ON n, k FROM app.t",
		}},
		{[]string{"CREATE UNIQUE INDEX t_uni ON app.t ({n|lower(b)|b, n|a COLLATE \"C\"}){| WHERE n > 0}"}, []string{
			"DROP INDEX app.t_uni", "ALTER INDEX app.t_uni RENAME TO «i»",
			"ALTER TABLE app.t ADD CONSTRAINT «k» UNIQUE USING INDEX t_uni",
			"ALTER TABLE app.t ADD CONSTRAINT again UNIQUE USING INDEX t_uni, DROP CONSTRAINT t_k_key",
			"ALTER TABLE app.t RENAME n TO «n»", "ALTER TABLE app.t REPLICA IDENTITY USING INDEX t_uni",
			"REINDEX INDEX app.t_uni",
		}},
		{[]string{"CREATE UNIQUE INDEX twin ON app.t (k)"}, []string{
			"DROP INDEX app.twin", "ALTER TABLE app.t DROP CONSTRAINT t_k_key",
			"ALTER TABLE app.t DROP CONSTRAINT t_k_key, ADD CONSTRAINT t_k_key UNIQUE USING INDEX twin",
		}},
		{[]string{"CREATE INDEX t_idx ON app.t ({n|b|lower(b)}){| WHERE n > 0}"}, []string{
			"DROP INDEX app.t_idx", "ALTER INDEX app.t_idx RENAME TO «i»",
			"ALTER TABLE app.t ALTER b TYPE {varchar|text}",
		}},
		{nil, []string{ // how it is stored
			"ALTER TABLE app.t SET ({fillfactor = 80|autovacuum_enabled = off})",
			"ALTER TABLE app.t RESET (fillfactor)",
			"ALTER TABLE app.t SET {UNLOGGED|WITHOUT OIDS}",
			"ALTER TABLE app.t ALTER b SET {STORAGE EXTERNAL|STATISTICS 100|COMPRESSION pglz|(n_distinct = 5)}",
			"ALTER TABLE app.t REPLICA IDENTITY {FULL|DEFAULT|USING INDEX t_pkey}",
			"ALTER TABLE app.t {ENABLE|DISABLE} TRIGGER USER",
			"COMMENT ON {TABLE app.t|COLUMN app.t.a|CONSTRAINT t_k_key ON app.t|TYPE app.mood|FUNCTION " +
				"app.stable()} IS 'x'",
		}},
		{nil, []string{ // data
			"UPDATE app.t SET n = n + 1 WHERE {n > 0|n < 0}", "DELETE FROM app.t WHERE n > 15",
			"UPDATE app.u SET name = 'x' WHERE name <> 'x'",
			"INSERT INTO app.u VALUES (100, 'x')", "INSERT INTO app.u SELECT n + 100, b FROM app.t",
			"INSERT INTO app.u (id, name) VALUES (100 + (SELECT count(*) FROM app.t)::int, 'x')",
			"SELECT count(*) FROM app.t", "SELECT setval('app.counter', {5|(SELECT sum(n) FROM app.t)})",
			"CREATE TABLE app.«t» AS SELECT * FROM app.t{| WITH NO DATA}",
			"CREATE MATERIALIZED VIEW app.«m» AS SELECT * FROM app.t",
			"LOCK TABLE {app.t|app.u|app.u, app.t|ONLY app.t} IN {ACCESS EXCLUSIVE|SHARE|ROW EXCLUSIVE|SHARE ROW " +
				"EXCLUSIVE|EXCLUSIVE|ACCESS SHARE|SHARE UPDATE EXCLUSIVE} MODE",
			"LOCK app.t", "WITH x AS (SELECT id FROM app.u) UPDATE app.t SET n = 1 FROM x WHERE x.id = t.id",
			"MERGE INTO app.t USING app.u ON u.id = t.id WHEN MATCHED THEN UPDATE SET n = 1",
			"WITH x AS (DELETE FROM app.t WHERE n > 3 RETURNING id) SELECT count(*) FROM x",
			"CREATE TEMPORARY TABLE «x» ON COMMIT DROP AS SELECT id FROM app.t",
		}},
		{[]string{
			"CREATE VIEW app.v AS SELECT {id, b|id, b AS c|*} FROM app.t",
			"CREATE FUNCTION app.g(x integer) RETURNS integer LANGUAGE sql AS 'SELECT x'",
			"CREATE FUNCTION app.trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
			"CREATE TRIGGER trg BEFORE UPDATE ON app.t FOR EACH ROW EXECUTE FUNCTION app.trg()",
		}, []string{
			"DROP VIEW app.v", "DROP VIEW app.v;CREATE VIEW app.v AS SELECT {id, b|b, id|id, b, n|id|id AS x, b|*} " +
				"FROM app.t", "CREATE OR REPLACE VIEW app.v AS SELECT id, b, n FROM app.t",
			"CREATE VIEW app.«v» AS SELECT 1 AS x", "ALTER VIEW app.v RENAME TO «v»",
			"ALTER VIEW app.v SET (security_barrier)",
			"DROP TRIGGER trg ON app.t;DROP FUNCTION app.trg()", "DROP FUNCTION app.trg() CASCADE",
			"DROP TRIGGER trg ON app.t", "ALTER TRIGGER trg ON app.t RENAME TO «x»",
			"ALTER TABLE app.t DISABLE TRIGGER trg",
			"CREATE TRIGGER «x» AFTER INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION app.trg()",
			"DROP FUNCTION app.g(integer)", "DROP FUNCTION app.g(integer);CREATE FUNCTION app.g({x integer|x " +
				"integer, z integer|x integer, z integer DEFAULT 1|x text[]}) RETURNS integer LANGUAGE sql AS " +
				"'SELECT 1'",
			"CREATE OR REPLACE FUNCTION app.g(x integer) RETURNS integer LANGUAGE sql AS 'SELECT 2'",
			"ALTER FUNCTION app.g(integer) RENAME TO «f»", "ALTER FUNCTION app.g(integer) IMMUTABLE",
			"CREATE FUNCTION app.g(x integer, y integer) RETURNS integer LANGUAGE sql AS 'SELECT 2'",
			"CREATE RULE «r» AS ON INSERT TO app.u DO ALSO NOTHING",
		}},
		{[]string{
			"CREATE MATERIALIZED VIEW app.mv AS SELECT id, b FROM app.t",
			"CREATE UNIQUE INDEX mv_key ON app.mv (id)",
		}, []string{
			"REFRESH MATERIALIZED VIEW{| CONCURRENTLY} app.mv",
			"DROP MATERIALIZED VIEW app.mv;CREATE MATERIALIZED VIEW app.mv AS SELECT id, b FROM app.t",
			"CREATE INDEX «i» ON app.mv (b)", "ALTER MATERIALIZED VIEW app.mv RENAME TO «m»",
		}},
		{
			[]string{
				"CREATE POLICY pol ON app.t USING (true)",
				"{ALTER TABLE app.t ENABLE ROW LEVEL SECURITY|SELECT 1}",
			},
			[]string{
				"ALTER TABLE app.t {ENABLE|DISABLE|FORCE|NO FORCE} ROW LEVEL SECURITY",
				"ALTER TABLE app.u ENABLE ROW LEVEL SECURITY",
				"ALTER TABLE app.u ENABLE ROW LEVEL SECURITY;CREATE POLICY «p» ON app.u USING ({true|id > 5})",
				"DROP POLICY pol ON app.t", "ALTER POLICY pol ON app.t RENAME TO «p»",
				"CREATE POLICY «p» ON app.t{| AS RESTRICTIVE} USING (n > 5)",
				"DROP POLICY pol ON app.t;CREATE POLICY pol ON app.t USING (true)",
			},
		},
		{[]string{
			"CREATE TABLE app.i (id integer GENERATED BY DEFAULT AS IDENTITY, x integer NOT NULL DEFAULT " +
				"nextval('app.counter'), y integer NOT NULL GENERATED ALWAYS AS (x + 1) STORED)",
			"INSERT INTO app.i SELECT FROM generate_series(1, 20)",
		}, []string{
			"ALTER TABLE app.i ALTER id {DROP IDENTITY|SET GENERATED ALWAYS|SET GENERATED BY " +
				"DEFAULT|RESTART WITH 100}", "ALTER TABLE app.i ALTER x DROP DEFAULT",
			"ALTER TABLE app.i ALTER y DROP EXPRESSION",
			"ALTER TABLE app.i ALTER y {SET EXPRESSION AS (x + 2)|TYPE bigint}",
			"ALTER TABLE app.i ALTER x TYPE {bigint|integer}", "ALTER TABLE app.i DROP COLUMN y",
			"ALTER TABLE app.i ADD PRIMARY KEY (id)",
			"ALTER SEQUENCE app.counter {INCREMENT BY 2|RESTART WITH 50|AS bigint|RENAME TO «s»|OWNED BY " +
				"app.i.x|NO CYCLE}", "DROP SEQUENCE app.counter CASCADE",
		}},
		{nil, []string{ // what goes
			"ALTER TABLE app.t DROP COLUMN {a|b|n|k|e}", "DROP TABLE app.{t|u} CASCADE",
			"DROP TABLE app.t;CREATE TABLE app.t (id integer PRIMARY KEY)", "DROP TYPE app.mood CASCADE",
			"ALTER TABLE app.t RENAME {a|b|n|k} TO «c»", "ALTER TABLE app.t RENAME TO «t»",
			"ALTER TYPE app.mood RENAME VALUE 'sad' TO 'blue'", "ALTER TYPE app.mood ADD VALUE '«v»'",
			"ALTER TYPE app.mood RENAME TO «m»", "DROP FUNCTION app.stable()",
			"CREATE TABLE app.«t» (id integer PRIMARY KEY REFERENCES app.u)",
			"CREATE TABLE app.«t» (LIKE app.t INCLUDING ALL)",
			"CREATE TABLE app.«t» () INHERITS (app.t)",
			"CREATE TABLE app.«t» (id integer REFERENCES app.u);UPDATE app.u SET name = 'x'||name WHERE name <> ''",
			"DROP TYPE app.mood", "DROP DOMAIN app.plain CASCADE",
		}},
		{[]string{
			"CREATE TABLE app.dt (id integer, x app.checked, y app.plain{| NOT NULL})",
			"INSERT INTO app.dt SELECT g, 'x', 'y' FROM generate_series(1, 20) g",
		}, []string{
			"ALTER DOMAIN app.{plain|checked} ADD CONSTRAINT «k» CHECK (VALUE <> 'q'){| NOT VALID}",
			"ALTER DOMAIN app.checked DROP CONSTRAINT checked_check",
			"ALTER DOMAIN app.plain SET {NOT NULL|DEFAULT 'x'}",
			"ALTER DOMAIN app.checked RENAME TO «d»",
			"ALTER TABLE app.dt ALTER x TYPE {text|app.plain|app.checked|varchar|varchar(5)}",
			"ALTER TABLE app.dt ALTER y TYPE {text|app.plain|app.checked|varchar}",
			"ALTER TABLE app.dt ALTER x SET NOT NULL",
			"ALTER DOMAIN app.plain ADD CONSTRAINT late CHECK (VALUE <> 'q') NOT VALID;ALTER DOMAIN app.plain " +
				"VALIDATE CONSTRAINT late",
		}},
		{[]string{
			"CREATE TABLE app.p (id integer, at date{ NOT NULL|}, x text) PARTITION BY RANGE (at)",
			"CREATE TABLE app.p1 PARTITION OF app.p FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
			"INSERT INTO app.p SELECT g, '2026-01-05', 'x' FROM generate_series(1, 20) g",
			"{CREATE TABLE app.pd PARTITION OF app.p DEFAULT; INSERT INTO app.p SELECT g, '2025-01-05', 'x' FROM " +
				"generate_series(1, 20) g|SELECT 1}",
			"CREATE TABLE app.q (id integer, at date{ NOT NULL| NOT NULL|}, x text)",
			"INSERT INTO app.q SELECT g, '2026-03-05', 'x' FROM generate_series(1, 20) g",
			"{ALTER TABLE app.q ADD CONSTRAINT fits CHECK (at >= '2026-03-01' AND at < '2026-04-01')|ALTER TABLE " +
				"app.q ADD CONSTRAINT fits CHECK (at IS NOT NULL AND at >= '2026-03-01' AND at < " +
				"'2026-04-01')|ALTER TABLE app.q ADD CONSTRAINT fits CHECK (at >= '2026-03-01' AND at < " +
				"'2026-04-01') NOT VALID|ALTER TABLE app.q ADD CONSTRAINT fits CHECK (at >= '2026-03-01')|SELECT 1}",
			"{ALTER TABLE app.pd ADD CONSTRAINT apart CHECK (at < '2026-03-01')|SELECT 2|SELECT 1}",
		}, []string{
			"ALTER TABLE app.p ATTACH PARTITION app.q FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')",
			"ALTER TABLE app.p ATTACH PARTITION app.q DEFAULT", "ALTER TABLE app.p DETACH PARTITION app.p1",
			"CREATE TABLE app.«n» PARTITION OF app.p FOR VALUES FROM ('2026-05-01') TO ('2026-06-01')",
			"CREATE TABLE app.«n» PARTITION OF app.p DEFAULT", "CREATE INDEX «i» ON app.p (id)",
			"CREATE INDEX «i» ON ONLY app.p (id)",
			"CREATE INDEX «i» ON app.p1 (id)", "ALTER TABLE app.p ADD CONSTRAINT «k» CHECK (id > 0){| NOT VALID}",
			"ALTER TABLE app.p ADD FOREIGN KEY (id) REFERENCES app.u{| NOT VALID}",
			"ALTER TABLE app.p1 ADD CONSTRAINT «k» FOREIGN KEY (id) REFERENCES app.u{| NOT VALID}",
			"ALTER TABLE app.p ADD UNIQUE (id, at)", "ALTER TABLE ONLY app.p ADD UNIQUE (id, at)",
			"ALTER TABLE app.p ADD COLUMN «c» integer{| DEFAULT 1| DEFAULT random()}",
			"ALTER TABLE app.p ALTER at SET NOT NULL", "ALTER TABLE app.p ALTER x TYPE {text|varchar|varchar(9)}",
			"ALTER TABLE app.p DETACH PARTITION app.p1;ALTER TABLE app.p ATTACH PARTITION app.p1 FOR VALUES FROM " +
				"('2026-01-01') TO ('2026-02-01')", "CREATE TABLE app.«n» (id integer, at date, x text);ALTER TABLE " +
				"app.p ATTACH PARTITION app.«n» FOR VALUES FROM ('2026-05-01') TO ('2026-06-01')",
			"DROP TABLE app.p CASCADE", "UPDATE app.p SET x = 'y' WHERE x = 'x'",
		}},
		{[]string{
			"CREATE TABLE app.l (id integer NOT NULL, x text) PARTITION BY LIST (id)",
			"CREATE TABLE app.l1 PARTITION OF app.l FOR VALUES IN (1)",
			"INSERT INTO app.l SELECT 1, 'x' FROM generate_series(1, 20)",
			"CREATE TABLE app.lq (id integer NOT NULL, x text)",
			"INSERT INTO app.lq SELECT 2, 'x' FROM generate_series(1, 20)",
			"{ALTER TABLE app.lq ADD CONSTRAINT fits CHECK (id = 2)|ALTER TABLE app.lq ADD CONSTRAINT fits CHECK " +
				"(id IN (2, 3))|ALTER TABLE app.lq ADD CONSTRAINT fits CHECK (id IN (2))|SELECT 1}",
		}, []string{
			"ALTER TABLE app.l ATTACH PARTITION app.lq FOR VALUES IN ({2|2, 3})", "CREATE INDEX «i» ON app.l (x)",
			"CREATE INDEX «i» ON ONLY app.l (x)", "ALTER TABLE app.l ADD «c» integer",
		}},
		{[]string{
			"CREATE TABLE app.parent (id integer, x text)",
			"INSERT INTO app.parent SELECT g, 'x' FROM generate_series(1, 20) g",
			"CREATE TABLE app.child () INHERITS (app.parent)", "CREATE TABLE app.alone (id integer, x text)",
			"INSERT INTO app.child SELECT g, 'x' FROM generate_series(1, 20) g",
		}, []string{
			"ALTER TABLE app.child NO INHERIT app.parent", "ALTER TABLE app.alone INHERIT app.parent",
			"ALTER TABLE app.parent ADD «c» integer", "ALTER TABLE app.parent ALTER id TYPE bigint",
			"ALTER TABLE app.parent ADD CHECK (id > 0)",
			"ALTER TABLE app.parent ALTER id SET NOT NULL", "DROP TABLE app.child",
		}},
		{[]string{
			"CREATE TYPE app.pair AS (x integer, y text)", "CREATE TABLE app.typed OF app.pair",
			"INSERT INTO app.typed SELECT g, 'x' FROM generate_series(1, 20) g",
		}, []string{
			"ALTER TYPE app.pair {DROP ATTRIBUTE y CASCADE|ALTER ATTRIBUTE x TYPE bigint CASCADE}",
		}},
	}
}

// kinds are types between which a column goes, with a value for it.
func kinds() []string {
	return []string{
		"text|'a'", "varchar|'a'", "varchar(10)|'a'", "varchar(20)|'a'", "character varying(10)|'a'", "char(5)|'a'",
		"char(10)|'a'", "bpchar|'a'", "name|'a'", `"char"|'a'`,
		"numeric|1", "numeric(8, 2)|1", "numeric(10, 2)|1", "numeric(10, 3)|1", "numeric(8)|1", "numeric(9, 0)|1",
		"decimal(8, 2)|1",
		"integer|1", "int4|1", "bigint|1", "smallint|1", "oid|1", "regclass|1", "float4|1", "double precision|1",
		"real|1",
		"timestamp|'2026-01-01'", "timestamptz|'2026-01-01'", "timestamp(3)|'2026-01-01'", "timestamp(6)|'2026-01-01'",
		"timestamptz(0)|'2026-01-01'", "timestamp(3) with time zone|'2026-01-01'",
		"timestamp with time zone|'2026-01-01'", "timestamp without time zone|'2026-01-01'",
		"date|'2026-01-01'", "time|'01:00'", "time(3)|'01:00'", "time(0)|'01:00'", "timetz|'01:00'",
		"timetz(3)|'01:00'", "interval|'1 day'", "interval(3)|'1 day'", "interval(6)|'1 day'",
		"interval day to second|'1 day'", "interval year|'1 year'", "interval day to second(3)|'1 day'",
		"bit(8)|B'10101010'", "bit(4)|B'1010'", "varbit|B'1010'", "varbit(8)|B'1010'", "bit varying(16)|B'1010'",
		"inet|'127.0.0.1'", "cidr|'127.0.0.1'", "xml|'<a/>'", "json|'1'", "jsonb|'1'", "bytea|'a'",
		"text[]|'{a}'", "varchar[]|'{a}'", "varchar(10)[]|'{a}'", "varchar(20)[]|'{a}'", "integer[]|'{1}'",
		"bigint[]|'{1}'", "app.mood|'sad'", "app.mood[]|'{sad}'", "app.plain|'a'", "app.checked|'a'", "app.ten|'a'",
		"app.small|1", "uuid|'00000000-0000-0000-0000-000000000000'", "boolean|true",
	}
}

// alterType is a change of a column's type with what depends on the column.
func alterType(r *rand.Rand) change {
	all := kinds()
	from, value, _ := strings.Cut(all[r.IntN(len(all))], "|")
	to, _, _ := strings.Cut(all[r.IntN(len(all))], "|")
	if r.IntN(2) == 0 { // near to each other in the list, they are alike
		for i, k := range all {
			if k == from+"|"+value {
				to, _, _ = strings.Cut(all[min(max(i+r.IntN(9)-4, 0), len(all)-1)], "|")
			}
		}
	}
	made := "CREATE TYPE app.mood AS ENUM ('sad', 'glad'); CREATE DOMAIN app.plain AS text; CREATE DOMAIN " +
		"app.checked AS text CHECK (VALUE <> ''); CREATE DOMAIN app.ten AS varchar(10); CREATE DOMAIN app.small AS " +
		"integer;\n" +
		fmt.Sprintf("CREATE TABLE app.t (id integer PRIMARY KEY, n integer, x %s%s);\nINSERT INTO app.t SELECT g, "+
			"g, %s FROM generate_series(1, 20) g;\n", from, pick(r, "", "", " NOT NULL"), value)
	var more strings.Builder
	for range r.IntN(3) {
		more.WriteString(fill(r, pick(r, "CREATE INDEX «i» ON app.t (x)", "CREATE INDEX «i» ON app.t (n, x)",
			"CREATE INDEX «i» ON app.t (n) WHERE x IS NOT NULL", "CREATE INDEX «i» ON app.t ((x IS NULL))",
			"CREATE INDEX «i» ON app.t (n)", "CREATE INDEX «i» ON app.t (n) INCLUDE (x)",
			"CREATE INDEX «i» ON app.t (x text_pattern_ops)", "CREATE INDEX «i» ON app.t (x COLLATE \"C\")",
			"CREATE INDEX «i» ON app.t (n) WHERE n > 3", "CREATE INDEX «i» ON app.t (lower(x))",
			"CREATE INDEX «i» ON app.t USING brin (x)", "CREATE UNIQUE INDEX «i» ON app.t (id, x)",
			"ALTER TABLE app.t ADD UNIQUE (id, x)", "ALTER TABLE app.t ADD CHECK (x IS NOT NULL)",
			"ALTER TABLE app.t ADD CHECK (x = x AND n > 0)", "ALTER TABLE app.t ADD CHECK (x IS NOT NULL) NOT VALID",
			"ALTER TABLE app.t ADD CHECK (n > 0)",
			"CREATE STATISTICS app.«s» ON n, x FROM app.t", "ALTER TABLE app.t ALTER x SET DEFAULT "+value)) + ";\n")
	}
	using := pick(r, "", "", "", " USING x", " USING x::"+to, " USING (x::"+to+")", " USING CAST(x AS "+to+")",
		` COLLATE "C"`, " USING NULL")
	return change{
		made + more.String(),
		[][]string{{"ALTER TABLE app.t ALTER x " + pick(r, "TYPE ", "SET DATA TYPE ") + to + using}},
	}
}

func pick(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

// fill decides for one of what stands in braces, and makes names.
func fill(r *rand.Rand, s string) string {
	for {
		open := -1
		for i, c := range s {
			if c == '{' && strings.Contains(s[i:], "}") && strings.Contains(s[i:i+strings.Index(s[i:], "}")], "|") {
				open = i
			}
		}
		if open < 0 {
			break
		}
		end := open + strings.Index(s[open:], "}")
		s = s[:open] + pick(r, strings.Split(s[open+1:end], "|")...) + s[end+1:]
	}
	id := strconv.Itoa(r.IntN(1000000))
	s = strings.ReplaceAll(s, "«", "")
	return strings.ReplaceAll(s, "»", id)
}

// random is a change.
func random(r *rand.Rand, _ int) change {
	if r.IntN(3) == 0 {
		return alterType(r)
	}
	all := append(pieces(), morePieces()...)
	first, second := all[r.IntN(len(all))], all[r.IntN(len(all))]
	c := change{made: base}
	for _, m := range first.made {
		c.made += fill(r, m) + ";\n"
	}
	if len(first.made) > 0 && len(second.made) > 0 {
		second = first
	}
	for _, m := range second.made {
		if len(first.made) == 0 {
			c.made += fill(r, m) + ";\n"
		}
	}
	statements := []string{}
	add := func(p piece) {
		for s := range strings.SplitSeq(fill(r, pick(r, p.changes...)), ";") {
			if !slices.Contains(statements, s) {
				statements = append(statements, s)
			}
		}
	}
	add(first)
	for range max(0, r.IntN(5)-2) {
		if r.IntN(2) == 0 {
			add(first)
		} else {
			add(second)
		}
	}
	cut := len(statements)
	if len(statements) > 1 && r.IntN(4) == 0 {
		cut = 1
	}
	c.files = [][]string{statements[:cut]}
	if cut < len(statements) {
		c.files = append(c.files, statements[cut:])
	}
	return c
}
