package review_test

// morePieces are what pieces has not: types within types, all kinds of indexes, partitions of
// partitions, and what a statement does to a table that it does not name.
func morePieces() []piece {
	return []piece{
		{[]string{
			"CREATE DOMAIN app.inner AS integer{| CHECK (VALUE > 0)}",
			"CREATE DOMAIN app.outer AS app.inner{| NOT NULL}",
			"CREATE TYPE app.pair2 AS (x {app.inner|integer}, y text)",
			"CREATE TABLE app.dd (id integer, o app.outer, i app.inner, p app.pair2, r integer[])",
			"CREATE TABLE app.od (id integer, o app.outer); INSERT INTO app.od SELECT g, g FROM " +
				"generate_series(1, 20) g", "INSERT INTO app.dd SELECT g, g, g, ROW(g, 'x')::app.pair2, '{1}' FROM " +
				"generate_series(1, 20) g",
		}, []string{
			"ALTER TABLE app.dd ADD «c» {app.outer|app.inner|app.outer[]|app.inner[]|app.pair2|app.pair2[]}",
			"ALTER TABLE app.dd ADD «c» {app.outer|app.inner} DEFAULT 5",
			"ALTER TABLE app.dd ALTER o TYPE {app.inner|integer|app.outer|bigint}",
			"ALTER TABLE app.dd ALTER i TYPE {app.inner|integer|app.outer|bigint}",
			"ALTER DOMAIN app.{inner|outer} ADD CHECK (VALUE < 1000){| NOT VALID}",
			"ALTER DOMAIN app.{inner|outer} {SET|DROP} NOT NULL", "ALTER DOMAIN app.outer {SET DEFAULT 5|DROP DEFAULT}",
			"ALTER TABLE app.dd ALTER p SET NOT NULL",
			"ALTER TYPE app.pair2 {ADD ATTRIBUTE z integer|RENAME ATTRIBUTE y TO z|RENAME TO «y»}",
			"ALTER TABLE app.dd ALTER r TYPE {bigint[]|integer[]|app.inner[]}",
		}},
		{[]string{
			"CREATE TABLE app.x (id integer PRIMARY KEY, r integer[], e app.mood, g int4range, m int4multirange, j " +
				"jsonb, s text)", "INSERT INTO app.x SELECT g, '{1}', 'sad', '[1,2)', '{[1,2)}', '{}', 'x' FROM " +
				"generate_series(1, 20) g",
			"CREATE INDEX x_idx ON app.x {USING hash (r)|USING gin (r)|(r)|USING hash (e)|(e)|USING gist (g)|USING " +
				"spgist (g)|USING hash (g)|(g)|USING gist (m)|USING hash (m)|USING gin (j)|USING gin (j " +
				"jsonb_path_ops)|(s varchar_pattern_ops)|USING spgist (s)|USING brin (g range_inclusion_ops)|USING " +
				"hash (s)|(s) INCLUDE (r)|(id) INCLUDE (s)}",
		}, []string{
			"ALTER TABLE app.x ALTER r TYPE integer[]", "ALTER TABLE app.x ALTER e TYPE app.mood",
			"ALTER TABLE app.x ALTER g TYPE int4range", "ALTER TABLE app.x ALTER m TYPE int4multirange",
			"ALTER TABLE app.x ALTER j TYPE {jsonb|json}",
			"ALTER TABLE app.x ALTER s TYPE {text|varchar|varchar(20)|text COLLATE \"C\"}",
			"ALTER TABLE app.x DROP COLUMN {r|e|g|s}",
			"ALTER TABLE app.x ADD EXCLUDE USING gist (g WITH &&) WHERE (false)", "DROP INDEX app.x_idx",
			"REINDEX {INDEX app.x_idx|TABLE app.x}", "ALTER INDEX app.x_idx SET (fillfactor = 50)",
			"ALTER TABLE app.x ADD UNIQUE (r)",
		}},
		{nil, []string{ // what a newer server has
			"ALTER TABLE app.t ADD «c» integer GENERATED ALWAYS AS (n + 1) {VIRTUAL|STORED}",
			"ALTER TABLE app.t ADD CONSTRAINT «k» CHECK (n > 0) NOT ENFORCED",
			"ALTER TABLE app.t ADD CONSTRAINT «k» FOREIGN KEY (u) REFERENCES app.u NOT ENFORCED",
			"ALTER TABLE app.t ADD CONSTRAINT «k» NOT NULL {b|n|a}{| NOT VALID}",
			"ALTER TABLE app.t ADD CONSTRAINT late NOT NULL b NOT VALID;ALTER TABLE app.t VALIDATE CONSTRAINT late",
			"ALTER TABLE app.t ADD «c» text NOT NULL DEFAULT 'x' CHECK («c» <> '') NOT ENFORCED",
			"ALTER TABLE app.t ALTER b SET STORAGE {MAIN|DEFAULT}",
		}},
		{[]string{
			"ALTER TABLE app.t ADD CONSTRAINT fk FOREIGN KEY (u) REFERENCES app.u{| NOT VALID}",
			"CREATE TABLE app.w (id integer PRIMARY KEY REFERENCES app.t{| ON DELETE CASCADE}); INSERT INTO app.w " +
				"SELECT id FROM app.t",
		}, []string{
			"ALTER TABLE app.t DROP CONSTRAINT fk", "ALTER TABLE app.t DROP COLUMN u",
			"UPDATE app.u SET name = 'x' WHERE name <> ''", "UPDATE app.t SET n = 1 WHERE n > 0", "DROP TABLE app.w",
			"ALTER TABLE app.w DROP CONSTRAINT w_id_fkey",
			"ALTER TABLE app.t ALTER CONSTRAINT fk {DEFERRABLE|DEFERRABLE INITIALLY DEFERRED|NOT DEFERRABLE}",
			"ALTER TABLE app.t VALIDATE CONSTRAINT fk", "DELETE FROM app.w WHERE id + 0 > 0",
			"ALTER TABLE app.t RENAME CONSTRAINT fk TO «k»",
			"CREATE TABLE app.«t» (id integer PRIMARY KEY, x integer REFERENCES app.u)", "DROP TABLE app.t CASCADE",
			"ALTER TABLE app.u DROP CONSTRAINT u_pkey CASCADE", "ALTER TABLE app.t DISABLE TRIGGER ALL",
			"CREATE TABLE app.«t» (LIKE app.t INCLUDING ALL)",
		}},
		{[]string{
			"CREATE UNIQUE INDEX t_uni ON app.t ({n|b|a|n, b})",
			"{ALTER TABLE app.t ADD CONSTRAINT proof CHECK (n IS NOT NULL AND b IS NOT NULL)|SELECT 1}",
		}, []string{
			"ALTER TABLE app.t DROP CONSTRAINT t_pkey, ADD CONSTRAINT again PRIMARY KEY USING INDEX t_uni",
			"ALTER TABLE app.t DROP CONSTRAINT t_pkey;ALTER TABLE app.t ADD PRIMARY KEY USING INDEX t_uni",
			"ALTER TABLE app.t DROP CONSTRAINT t_pkey;ALTER TABLE app.t ADD PRIMARY KEY ({n|b|a})",
			"ALTER TABLE app.t ADD CONSTRAINT «k» UNIQUE USING INDEX t_uni DEFERRABLE",
			"ALTER TABLE app.t ALTER n SET NOT NULL", "ALTER TABLE app.t DROP CONSTRAINT proof",
		}},
		{[]string{
			"CREATE TABLE app.s (id integer NOT NULL, at date NOT NULL, x text) PARTITION BY LIST (id)",
			"CREATE TABLE app.s1 PARTITION OF app.s FOR VALUES IN (1) PARTITION BY RANGE (at)",
			"CREATE TABLE app.s11 PARTITION OF app.s1 FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
			"{CREATE TABLE app.s1d PARTITION OF app.s1 DEFAULT; INSERT INTO app.s SELECT 1, '2020-01-01', 'x' FROM " +
				"generate_series(1, 20)|SELECT 1}", "INSERT INTO app.s SELECT 1, '2026-01-05', 'x' FROM " +
				"generate_series(1, 20)", "CREATE TABLE app.s9 PARTITION OF app.s FOR VALUES IN (9); INSERT INTO " +
				"app.s SELECT 9, '2026-01-05', 'x' FROM generate_series(1, 20)",
			"{CREATE INDEX s_idx ON app.s (x)|ALTER TABLE app.s ADD PRIMARY KEY (id, at)|SELECT 1}",
		}, []string{
			"CREATE TABLE app.«n» PARTITION OF app.s FOR VALUES IN (2)",
			"CREATE TABLE app.«n» PARTITION OF app.s1 FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')",
			"CREATE INDEX «i» ON {app.s|ONLY app.s|app.s1|app.s11} (x)",
			"ALTER TABLE app.s ADD «c» integer{| DEFAULT 1| DEFAULT random()}",
			"ALTER TABLE app.s1 DETACH PARTITION app.s11", "ALTER TABLE app.s DETACH PARTITION app.s1",
			"ALTER TABLE app.s ALTER x TYPE {varchar|varchar(9)}",
			"ALTER TABLE app.s ADD CHECK (x <> 'q'){| NOT VALID}", "ALTER TABLE app.s{1|11|} ALTER x SET NOT NULL",
			"ALTER TABLE app.s ADD UNIQUE (id, at, x)", "UPDATE app.s SET x = 'y' WHERE x = 'x'", "TRUNCATE app.s1",
			"CREATE TRIGGER «x» AFTER INSERT ON app.s FOR EACH ROW EXECUTE FUNCTION app.nothing()",
			"ALTER TABLE app.s DROP COLUMN x",
		}},
		{[]string{
			"CREATE TABLE app.parent (id integer, x text)",
			"INSERT INTO app.parent SELECT g, 'x' FROM generate_series(1, 20) g",
			"CREATE TABLE app.child (z integer) INHERITS (app.parent)",
			"INSERT INTO app.child SELECT g, 'x' FROM generate_series(1, 20) g",
			"CREATE TABLE app.alone (id integer, x text)",
			"INSERT INTO app.alone SELECT g, 'x' FROM generate_series(1, 20) g",
			"{ALTER TABLE app.parent ADD CONSTRAINT proof CHECK (id IS NOT NULL)|SELECT 1}",
		}, []string{
			"ALTER TABLE app.alone INHERIT app.parent",
			"ALTER TABLE app.parent ADD CONSTRAINT «k» CHECK (id > 0){| NOT VALID| NO INHERIT}",
			"ALTER TABLE app.parent ALTER id {SET NOT NULL|DROP NOT NULL|SET DEFAULT 1}",
			"ALTER TABLE ONLY app.parent ALTER id SET NOT NULL",
			"ALTER TABLE app.parent DROP COLUMN x",
			"ALTER TABLE app.parent ADD «c» integer{| DEFAULT 1| DEFAULT random()}",
			"ALTER TABLE app.parent RENAME x TO «c»", "CREATE INDEX «i» ON app.{parent|child} (id)",
			"ALTER TABLE app.child ALTER id TYPE integer",
			"UPDATE {app.parent|ONLY app.parent|app.child} SET x = 'y' WHERE x = 'x'",
			"ALTER TABLE app.child ALTER z {SET NOT NULL|TYPE bigint}", "DROP TABLE app.parent CASCADE",
			"ALTER TABLE app.child NO INHERIT app.parent;ALTER TABLE app.child INHERIT app.parent",
			"ALTER TABLE app.parent ENABLE ROW LEVEL SECURITY",
			"CREATE TABLE app.«t» (q integer) INHERITS (app.parent)",
		}},
		{[]string{
			"CREATE VIEW app.v AS SELECT id, b AS c FROM app.t", "CREATE VIEW app.vv AS SELECT id FROM app.v",
			"CREATE AGGREGATE app.agg(integer) (SFUNC = int4pl, STYPE = integer)",
			"CREATE PROCEDURE app.proc(x integer) LANGUAGE sql AS 'SELECT 1'",
		}, []string{
			"DROP VIEW app.vv;DROP VIEW app.v;CREATE VIEW app.v AS SELECT id, b AS c FROM app.t",
			"DROP VIEW app.v CASCADE", "ALTER VIEW app.v RENAME {COLUMN |}c TO «c»", "ALTER TABLE app.v RENAME TO «v»",
			"ALTER VIEW app.v ALTER {COLUMN |}c SET DEFAULT 'x'", "ALTER VIEW app.v SET (security_invoker = true)",
			"CREATE OR REPLACE VIEW app.v AS SELECT id, b AS c, n FROM app.t",
			"DROP VIEW app.vv;CREATE MATERIALIZED VIEW app.vv AS SELECT id FROM app.v",
			"DROP VIEW app.vv;CREATE TABLE app.vv (id integer)",
			"CREATE OR REPLACE PROCEDURE app.proc(x integer) LANGUAGE sql AS 'SELECT 2'",
			"CREATE RULE «r» AS ON UPDATE TO app.v DO INSTEAD NOTHING",
			"CREATE OR REPLACE VIEW app.vv AS SELECT id FROM app.t", "DROP TABLE app.t CASCADE",
			"ALTER TABLE app.t RENAME b TO «c»", "ALTER TABLE app.t DROP COLUMN b CASCADE",
			"CREATE OR REPLACE TRIGGER «x» BEFORE INSERT ON app.t FOR EACH STATEMENT EXECUTE FUNCTION app.nothing()",
		}},
		{nil, []string{ // data, and what reads
			"SELECT id FROM app.t FOR UPDATE", "ALTER TABLE app.t RENAME TO t_old;CREATE VIEW app.t AS SELECT " +
				"{*|id, a, b, n, k, u, d, e, w|id, a} FROM app.t_old", "ALTER TABLE app.t_k_key RENAME TO «i»",
			"ALTER TABLE app.counter RENAME TO «s»", "TABLE app.t", "VALUES (1), ((SELECT count(*) FROM app.t))",
			"EXPLAIN ANALYZE UPDATE app.t SET n = n + 1 WHERE n > 0", "EXPLAIN UPDATE app.t SET n = n + 1 WHERE n > 0",
			"ANALYZE app.t",
			"DELETE FROM app.t USING app.u WHERE u.id = t.id AND u.id > 0",
			"UPDATE app.t SET (n, k) = (SELECT 1, 100 + t.id) WHERE id > 0",
			"INSERT INTO app.t (id, a) VALUES (500, 'x') ON CONFLICT (id) DO UPDATE SET n = 1",
			"INSERT INTO app.t (id, a) SELECT id + 100, name FROM app.u",
			"SELECT 1 AS x INTO app.«t» FROM app.t", "COPY app.t TO '/dev/null'",
			"COPY (SELECT * FROM app.t) TO '/dev/null'", "DECLARE «x» CURSOR FOR SELECT * FROM app.t",
			"CREATE TABLE app.«t» AS TABLE app.t{| WITH NO DATA}", "CREATE TABLE app.«t» AS VALUES (1)",
			"UPDATE app.t t SET n = 1 FROM app.u u WHERE u.id = t.id",
			"CREATE TABLE app.«t» PARTITION OF app.t DEFAULT", "CREATE VIEW app.«v» AS SELECT count(*) FROM app.t",
			"ALTER TABLE app.t ADD «c» integer", "LOCK app.t IN SHARE MODE", "CREATE INDEX «i» ON app.u (name)",
			"CREATE TRIGGER «x» AFTER DELETE ON app.t FOR EACH STATEMENT EXECUTE FUNCTION app.nothing()",
		}},
		{
			[]string{
				"CREATE TABLE app.g (id integer PRIMARY KEY, x integer, y integer NOT NULL GENERATED ALWAYS AS (x " +
					"* 2) STORED)", "INSERT INTO app.g SELECT g, g FROM generate_series(1, 20) g",
				"{CREATE INDEX g_idx ON app.g (y)|SELECT 1|ALTER TABLE app.g ADD CONSTRAINT g_check CHECK (y > 0)}",
			},
			[]string{
				"ALTER TABLE app.g ALTER y {TYPE bigint|TYPE integer|DROP EXPRESSION|SET NOT NULL}",
				"ALTER TABLE app.g ALTER x {TYPE bigint|TYPE integer}", "ALTER TABLE app.g DROP COLUMN x{| CASCADE}",
				"ALTER TABLE app.g ALTER x ADD GENERATED ALWAYS AS IDENTITY", "ALTER TABLE app.g RENAME x TO «c»",
				"ALTER TABLE app.g ALTER x SET NOT NULL, ALTER x ADD GENERATED {ALWAYS|BY DEFAULT} AS IDENTITY",
				"ALTER TABLE app.g DROP CONSTRAINT g_pkey",
				"ALTER TABLE app.g ADD «c» integer GENERATED ALWAYS AS (x) STORED, DROP COLUMN y",
			},
		},
		{[]string{ // constraints that ON CONFLICT names, and what has rules
			"ALTER TABLE app.t ADD CONSTRAINT t_excl EXCLUDE USING btree (n WITH =)",
			"CREATE UNIQUE INDEX t_uni ON app.t (u)", "CREATE MATERIALIZED VIEW app.mv AS SELECT id, name FROM app.u",
			"CREATE UNIQUE INDEX mv_key ON app.mv (id)", "CREATE TYPE app.shape AS (x integer, y text)",
			"CREATE TABLE app.shaped (x integer, y text); INSERT INTO app.shaped SELECT g, 'x' FROM " +
				"generate_series(1, 20) g",
		}, []string{
			"ALTER TABLE app.t RENAME CONSTRAINT {t_k_key|t_pkey|t_excl} TO «k»",
			"ALTER INDEX app.{t_k_key|t_pkey|t_excl|t_uni} RENAME TO «k»",
			"ALTER TABLE app.{t_k_key|t_excl|t_uni} RENAME TO «k»",
			"ALTER TABLE app.t DROP CONSTRAINT {t_excl|t_k_key}",
			"ALTER TABLE app.t DROP CONSTRAINT t_excl, ADD CONSTRAINT t_excl EXCLUDE USING btree (n WITH =)",
			"ALTER TABLE app.t RENAME CONSTRAINT t_k_key TO «k»;ALTER TABLE app.t RENAME CONSTRAINT «k» TO t_k_key",
			"ALTER TABLE app.t DROP CONSTRAINT t_k_key;ALTER TABLE app.t ADD CONSTRAINT t_k_key UNIQUE USING " +
				"INDEX t_uni", "ALTER INDEX app.{t|mv|counter} RENAME TO «t»",
			"ALTER INDEX app.t_uni SET (fillfactor = 90)", "ALTER INDEX app.t_uni ALTER COLUMN 1 SET STATISTICS 10",
			"ALTER MATERIALIZED VIEW app.mv {SET (fillfactor = 90)|CLUSTER ON mv_key|SET WITHOUT CLUSTER|ALTER name " +
				"SET STATISTICS 10|ALTER name SET STORAGE MAIN|RENAME name TO «c»|RESET (fillfactor)}",
			"ALTER TABLE app.mv RENAME {name|id} TO «c»",
			"ALTER TABLE app.shaped OF app.shape", "ALTER TABLE app.shaped OF app.shape;ALTER TYPE app.shape ALTER " +
				"ATTRIBUTE x TYPE bigint CASCADE", "ALTER TABLE app.shaped OF app.shape;ALTER TABLE app.shaped NOT OF",
			"ALTER TABLE app.t SET ({user_catalog_table = true|fillfactor = 70})",
			"CREATE RULE «r» AS ON {INSERT|UPDATE|DELETE} TO app.{t|u} DO {ALSO|INSTEAD} {NOTHING|SELECT 1}",
			"UPDATE app.u SET name = 'y' WHERE name <> ''",
			"EXPLAIN {ANALYZE|(ANALYZE, VERBOSE)|(ANALYZE off)|VERBOSE} DELETE FROM app.u WHERE name <> ''",
			"ALTER TABLE app.t ALTER CONSTRAINT t_excl DEFERRABLE",
			"ALTER TABLE app.t ENABLE {REPLICA|ALWAYS} RULE nothing",
			"ALTER TABLE app.t REPLICA IDENTITY {NOTHING|FULL}", "REFRESH MATERIALIZED VIEW app.mv WITH NO DATA",
			"DROP MATERIALIZED VIEW app.mv CASCADE",
			"CREATE VIEW app.«v» AS SELECT id FROM app.mv;DROP MATERIALIZED VIEW app.mv CASCADE",
		}},
	}
}
