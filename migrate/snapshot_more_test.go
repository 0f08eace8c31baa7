package migrate_test

import (
	"strconv"
	"strings"
)

// more is a statement of the kinds that statement has not: partitions of what there is, foreign
// data, casts, operators, text search, publications, names of constraints, long expressions.
func (d *ddl) more() string {
	t, u := d.of(append(d.tables, "app.none")...), d.of(append(d.tables, "app.none")...)
	n := strconv.Itoa(d.n)
	switch d.IntN(20) {
	case 0:
		p := d.name("t")
		d.tables = append(d.tables, p)
		return "CREATE TABLE " + p + " PARTITION OF " + t +
			d.maybe(" (a NOT NULL)", " (a DEFAULT 3 NOT NULL)", " (CONSTRAINT px"+n+" NOT NULL b)",
				" (b GENERATED ALWAYS AS (a * 3) STORED)", " (UNIQUE (a, b))") + " " +
			d.of("FOR VALUES IN (7)", "FOR VALUES IN (7, 8)", "FOR VALUES FROM (70) TO (80)",
				"FOR VALUES WITH (MODULUS 3, REMAINDER 2)", "DEFAULT", "FOR VALUES FROM ('b') TO ('c')") +
			d.maybe(" PARTITION BY RANGE (b)", " PARTITION BY HASH (a, b)", " PARTITION BY LIST (lower(c))")
	case 1:
		// a partition has an identity from PostgreSQL 17 on, which LIKE takes over, so that the schemas differ
		p := d.name("t")
		d.tables = append(d.tables, p)
		return "CREATE TABLE " + p + " (LIKE " + t +
			d.of("", " INCLUDING ALL", " INCLUDING DEFAULTS", " INCLUDING CONSTRAINTS INCLUDING GENERATED",
				" INCLUDING ALL EXCLUDING INDEXES") + " EXCLUDING IDENTITY)" +
			d.maybe(" PARTITION BY RANGE (a)", " INHERITS ("+u+")")
	case 2:
		return "ALTER TABLE " + t + " ATTACH PARTITION " + u + " " +
			d.of("DEFAULT", "FOR VALUES IN (11)", "FOR VALUES FROM (110) TO (120)",
				"FOR VALUES WITH (MODULUS 3, REMAINDER 0)")
	case 3:
		return "ALTER TABLE " + t + " " + d.of("DETACH PARTITION "+u, "RENAME TO \"r "+n+"\"", "RENAME b TO bb",
			"RENAME \"A\" TO a", "RENAME bb TO b", "SET LOGGED", "SET WITHOUT CLUSTER", "RESET (fillfactor)", "NOT OF",
			"FORCE ROW LEVEL SECURITY", "REPLICA IDENTITY NOTHING", "ENABLE REPLICA TRIGGER ALL", "ENABLE TRIGGER USER",
			"ALTER c RESET (n_distinct)", "DROP CONSTRAINT k", "ALTER CONSTRAINT fkx DEFERRABLE INITIALLY DEFERRED",
			"VALIDATE CONSTRAINT fkx", "DROP COLUMN b CASCADE", "ALTER a DROP IDENTITY IF EXISTS",
			"ALTER a RESTART WITH 7", "ALTER c TYPE varchar COLLATE \"C\"", "ALTER c TYPE text USING upper(c)",
			"ALTER e TYPE timestamp", "ALTER e SET DEFAULT now() AT TIME ZONE 'UTC'",
			"ALTER d SET DEFAULT jsonb_build_object('a', ARRAY[1, 2], 'b', now()::date)", "ADD CONSTRAINT nn"+n+
				" CHECK (a IS NOT NULL) NO INHERIT", "ADD CONSTRAINT fkx FOREIGN KEY (b) REFERENCES "+u+" NOT VALID")
	case 4:
		return d.of("CREATE FOREIGN DATA WRAPPER fdw", "CREATE SERVER srv FOREIGN DATA WRAPPER fdw",
			"CREATE SERVER srv TYPE 'x' VERSION '1' FOREIGN DATA WRAPPER fdw")
	case 5:
		p := d.name("t")
		d.tables = append(d.tables, p)
		return "CREATE FOREIGN TABLE " + p + " (a int" + d.maybe(" NOT NULL", " OPTIONS (x 'y''z')", " DEFAULT 4") +
			", b int, c text" + d.maybe(" COLLATE \"C\"") + ", d jsonb, e timestamptz" + d.maybe(", CHECK (a > 1)") +
			") SERVER srv" + d.maybe(" OPTIONS (t 'u', \"V w\" 'x')")
	case 6:
		return d.of("CREATE CAST ("+d.plainType()+" AS "+d.plainType()+") WITH INOUT"+
			d.maybe(" AS IMPLICIT", " AS ASSIGNMENT"), "CREATE CAST ("+d.plainType()+" AS text) WITHOUT FUNCTION",
			"CREATE OPERATOR app."+d.of("<<<", ">>>", "===")+
				" (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq, NEGATOR = OPERATOR(app.<<<), RESTRICT = "+
				"eqsel, HASHES)", "CREATE OPERATOR FAMILY "+d.name("of")+" USING hash", "CREATE OPERATOR FAMILY "+
				d.name("of")+" USING btree",
			"ALTER TEXT SEARCH CONFIGURATION app.tsc ADD MAPPING FOR word WITH simple",
			"CREATE TEXT SEARCH CONFIGURATION app.tsc (PARSER = \"default\")", "CREATE TEXT SEARCH TEMPLATE "+
				d.name("tt")+" (LEXIZE = dsimple_lexize)", "CREATE TEXT SEARCH PARSER "+d.name("tp")+
				" (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype)",
			"CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal))")
	case 7:
		return d.of("CREATE PUBLICATION pub"+n+" FOR TABLE "+t, "CREATE PUBLICATION pub"+n+" FOR TABLES IN SCHEMA app",
			"CREATE PUBLICATION pub"+n+" FOR ALL TABLES", "CREATE EVENT TRIGGER et"+n+
				" ON ddl_command_end EXECUTE FUNCTION app.event_function()",
			"CREATE FUNCTION app.event_function() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
			"COMMENT ON TABLE "+t+" IS 'x'", "COMMENT ON COLUMN "+t+".a IS 'x'", "GRANT SELECT ON "+t+" TO pg_monitor",
			"ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC", "CREATE ACCESS METHOD am"+n+
				" TYPE TABLE HANDLER heap_tableam_handler")
	case 8:
		return "CREATE TRIGGER g" + n + d.of(" BEFORE INSERT OR UPDATE OF c, a", " AFTER DELETE",
			" INSTEAD OF INSERT") + " ON " + d.of(append([]string{t}, append(d.tables, d.views...)...)...) +
			" FOR EACH ROW" +
			d.maybe(" WHEN (new.a IS DISTINCT FROM 5 AND new.c LIKE 'x%')", " WHEN (old.a BETWEEN 1 AND 5)",
				" WHEN (new.d @> '{}' OR new.e < now())") + " EXECUTE FUNCTION app.trigger_function('a''b', 'c')"
	case 9:
		return "ALTER TABLE " + t + " " + d.of("DISABLE", "ENABLE", "ENABLE ALWAYS", "ENABLE REPLICA") + " " +
			d.of("TRIGGER g"+strconv.Itoa(d.IntN(d.n+1)), "RULE r"+strconv.Itoa(d.IntN(d.n+1)))
	case 10:
		e := d.long(4)
		return "ALTER TABLE " + t + " ADD CONSTRAINT long" + n + " CHECK ((" + e + ") IS NOT NULL) NOT VALID"
	case 11, 12, 13:
		v := d.name("v")
		d.views = append(d.views, v)
		return "CREATE VIEW " + v + " AS " + d.moreQuery()
	case 14:
		return "CREATE INDEX ON " + t + " " +
			d.of("USING btree (("+d.long(2)+"))", "USING gist (int4range(a, b) range_ops)",
				"USING gin (d jsonb_ops, (to_tsvector('simple'::regconfig, c)))",
				"(c varchar_pattern_ops DESC NULLS LAST, a) INCLUDE (b, e) WHERE "+d.expression(),
				"USING brin (e timestamptz_minmax_multi_ops (values_per_range = 16))",
				"USING gist (box(point(a, b), point(b, a)))", "USING hash (c text_pattern_ops)",
				"USING spgist (c text_ops) WITH (fillfactor = 80)",
				"USING gist (tsvector_to_array(to_tsvector('simple', c))) ",
				"USING gist (to_tsvector('simple', c) tsvector_ops (siglen = 100))")
	case 15:
		return "CREATE POLICY o" + n + " ON " + t + " USING (" +
			d.of("EXISTS (SELECT FROM "+u+" x WHERE x.a = "+t+".a)", "a = (SELECT max(y.b) FROM "+u+" y)",
				"c = CURRENT_USER AND a > 1", "(a, b) IN (SELECT a, b FROM "+u+")", d.long(2)+" IS NOT NULL") + ")"
	case 16:
		return "CREATE RULE r" + n + " AS ON " + d.of("INSERT", "UPDATE", "DELETE") + " TO " +
			d.of(append([]string{t}, append(d.tables, d.views...)...)...) + " DO " +
			d.of("INSTEAD", "ALSO") + " " + d.of("INSERT INTO "+u+" DEFAULT VALUES", "INSERT INTO "+u+
			" (a, c) OVERRIDING USER VALUE VALUES (1, 'x'), (2, DEFAULT)", "UPDATE "+u+
			" SET (a, b) = (SELECT 1, 2), c = DEFAULT", "UPDATE "+u+" x SET d['k'] = '1' FROM "+u+" y WHERE y.a = x.b",
			"DELETE FROM "+u+" x USING "+u+" y WHERE x.a = y.b RETURNING x.*",
			"INSERT INTO "+u+" (a, b) SELECT a, b FROM "+u+" WHERE a > 1 ON CONFLICT DO NOTHING",
			"WITH w AS (SELECT 1 AS q) INSERT INTO "+u+" (a) SELECT q FROM w")
	case 17:
		f := d.name("f")
		return d.of("CREATE FUNCTION "+f+"(x "+d.plainType()+" DEFAULT NULL, OUT y "+d.plainType()+
			") LANGUAGE plpgsql AS 'BEGIN y := NULL; END'"+
			d.maybe(" SET TimeZone = 'UTC' SET DateStyle = 'ISO, MDY'", " SET search_path TO ''",
				" SET search_path FROM CURRENT", " SUPPORT pg_catalog.generate_series_int4_support"),
			"CREATE FUNCTION "+f+"() RETURNS SETOF "+t+" LANGUAGE sql STABLE BEGIN ATOMIC SELECT * FROM "+t+"; END",
			"CREATE FUNCTION "+f+"(r "+t+") RETURNS int LANGUAGE sql RETURN (r).a", "CREATE FUNCTION "+f+
				"() RETURNS bigint LANGUAGE sql BEGIN ATOMIC "+
				d.of("DELETE FROM "+t+" WHERE a = 1; ", "", "INSERT INTO "+t+" (a) VALUES (DEFAULT); ")+
				"SELECT count(*) FROM ("+d.moreQuery()+") q; END",
			"CREATE PROCEDURE "+f+"(IN a int, OUT b int) LANGUAGE plpgsql AS 'BEGIN b := a; END'", "CREATE FUNCTION "+
				f+"(a int, b int, c text, d jsonb, e timestamptz) RETURNS text IMMUTABLE LANGUAGE sql RETURN ("+
				d.long(2)+")::text", "CREATE AGGREGATE "+f+"(int, text) (SFUNC = "+f+"_s, STYPE = text)",
			"CREATE AGGREGATE "+f+"(anyelement) (SFUNC = array_append, STYPE = anycompatiblearray, INITCOND = '{}')",
			"CREATE AGGREGATE "+f+"(bigint) (SFUNC = int8pl, STYPE = bigint, MSFUNC = int8pl, MINVFUNC = int8mi, "+
				"MSTYPE = bigint, SORTOP = >)", "CREATE FUNCTION "+f+
				"(int) RETURNS int LANGUAGE internal WINDOW STRICT IMMUTABLE AS 'window_row_number'")
	case 18:
		y := d.name("y")
		d.types = append(d.types, y)
		return d.of("CREATE DOMAIN "+y+" AS "+d.of(append(d.types, "int4multirange", "text[]", "uuid")...)+
			d.maybe(" CONSTRAINT \"c c\" CHECK (VALUE IS DISTINCT FROM NULL) NOT NULL", " DEFAULT NULL",
				" CHECK (VALUE::text ~ '^a')"), "CREATE TYPE "+y+" AS ENUM ()", "CREATE TYPE "+y, "CREATE TYPE "+y+
			" AS ()", "CREATE TYPE "+y+" AS RANGE (SUBTYPE = timestamptz, SUBTYPE_OPCLASS = timestamptz_ops)",
			"ALTER TYPE "+d.of(append(d.types, "app.none")...)+" "+
				d.of("ADD VALUE 'late' BEFORE 'a'", "ADD ATTRIBUTE w int CASCADE",
					"RENAME ATTRIBUTE x TO \"X x\" CASCADE", "RENAME VALUE 'a' TO 'z'", "DROP ATTRIBUTE y CASCADE",
					"ALTER ATTRIBUTE x TYPE bigint"),
			"ALTER DOMAIN "+d.of(append(d.types, "app.none")...)+" "+
				d.of("SET DEFAULT 7", "DROP DEFAULT", "DROP NOT NULL", "SET NOT NULL",
					"ADD CONSTRAINT late CHECK (VALUE IS NOT NULL) NOT VALID", "VALIDATE CONSTRAINT late",
					"DROP CONSTRAINT late", "RENAME CONSTRAINT late TO later"))
	}
	return d.of("DROP TABLE "+t+d.maybe(" CASCADE"), "DROP VIEW "+d.of(append(d.views, "app.none")...)+
		d.maybe(" CASCADE"), "ALTER SEQUENCE "+t+"_a_seq OWNED BY NONE", "ALTER STATISTICS app.st_"+n+
		" SET STATISTICS 5", "ALTER VIEW "+d.of(append(d.views, "app.none")...)+" "+
		d.of("ALTER a SET DEFAULT 5", "SET (security_invoker)", "RENAME a TO aa", "RESET (security_barrier)"),
		"CREATE COLLATION "+d.name("co")+" (provider = icu, locale = 'de-u-co-phonebk', deterministic = "+
			d.of("true", "false")+")", "CREATE COLLATION "+d.name("co")+" (provider = libc, locale = 'POSIX')",
		"CREATE COLLATION "+d.name("co")+" (provider = icu, locale = '')", "CREATE COLLATION "+d.name("co")+
			" (provider = icu, locale = 'und')", "CREATE COLLATION "+d.name("co")+" FROM \"de-x-icu\"",
		"CREATE COLLATION "+d.name("co")+" FROM \"POSIX\"", "CREATE COLLATION "+d.name("co")+" FROM \"default\"",
		"CREATE COLLATION "+d.name("co")+" FROM \"C.utf8\"")
}

// plainType is a type without a collation.
func (d *ddl) plainType() string {
	return strings.ReplaceAll(strings.ReplaceAll(d.dataType(), ` COLLATE "C"`, ""), ` COLLATE "POSIX"`, "")
}

// long is an expression of several.
func (d *ddl) long(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = "(" + d.of(d.expression(), d.moreExpression()) + ")::text"
	}
	return "CASE WHEN a > 1 THEN " + strings.Join(all, " || ") + " ELSE coalesce(" + strings.Join(all, ", ") + ") END"
}

func (d *ddl) moreExpression() string {
	return d.of("COLLATION FOR (c)", "CURRENT_CATALOG", "CURRENT_ROLE", "CURRENT_SCHEMA", "CURRENT_TIME(3)",
		"CURRENT_TIMESTAMP", "LOCALTIME", "substring(c similar 'a#\"b#\"c' escape '#')", "substring(c for 3)",
		"c LIKE 'x!%' ESCAPE '!'", "c NOT ILIKE '%y'", "c !~ 'x'", "a::numeric(6,2)", "'5'::app.none",
		"xmlparse(content '<a/>')", "xmlpi(name php, 'x')",
		"xmlroot(xmlparse(document '<a/>'), version '1.0', standalone yes)",
		"xmlconcat(xmlelement(name a), xmlelement(name b, xmlattributes(c AS x)))",
		"xmlexists('/a' PASSING BY VALUE '<a/>'::xml)", "'<a/>'::xml IS DOCUMENT",
		"GREATEST(a, b, 3) = LEAST(a, b)", "NULLIF(c, '')", "(ARRAY[a, b])[1]", "(ARRAY[[1, 2], [3, 4]])[1:1][2:2]",
		"ARRAY[]::int[]", "ARRAY(SELECT 1)", "ROW(a, b, c) < ROW(1, 2, 'x')", "ROW(a) IS NULL",
		"ROW(1, NULL) IS NOT NULL", "a IS NOT DISTINCT FROM b", "(a > 1) IS NOT UNKNOWN", "(a > b) IS FALSE",
		"interval '1' year", "interval '90 minutes' hour to minute", "interval(2) '1.234 s'", "time '10:00'",
		"timestamptz '2020-01-01 00:00 Europe/Berlin'", "date '2020-02-30' - 1", "'infinity'::date", "'NaN'::float8",
		"1e-5", "-0.0", "0x1F", "'\\x00'::bytea", "B'0' || B'1'", "U&'\\0441'", "'{\"a b\"}'::text[]", "'(1,2)'::point",
		"'[1,5)'::int4range @> a", "'{[1,2)}'::int4multirange", "to_tsvector('simple', c) @@ 'a & b'::tsquery",
		"a + '5'", "5 / 2.0", "+a", "|/ a", "a |/ 5", "c::regclass", "'pg_class'::regclass", "'app.none'::regclass",
		"'int4'::regtype", "'now()'::regprocedure", "'C'::regcollation",
		"extract(isodow from e)", "date_part('year', e)", "age(e)", "e - interval '1 month' * a",
		"make_date(2020, 1, 1)", "timezone('UTC', e)", "e::date + time '03:00'", "to_char(e, 'YYYY')",
		"jsonb_set(d, '{a,0}', '1')", "d ->> 0", "d #>> '{a,b}'", "d ? 'x'", "d ?| ARRAY['a']", "d - 'a'",
		"jsonb_array_length(d -> 'a')", "d @? '$.a[*] ? (@ > 1)'",
		"CASE a WHEN b THEN 1 WHEN 3 THEN 2 END", "CASE WHEN c IS NULL THEN NULL::int END", "CAST(c AS char(3))",
		"c::name", "c::\"char\"", "a::bool", "a::oid::int", "'x' || a || c", "concat(c, VARIADIC ARRAY['x'])",
		"format('%1$s', VARIADIC ARRAY[c])", "ltrim(c)", "trim(leading from c)", "trim(trailing 'x' from c)",
		"btrim(c, 'y')",
		"overlay(c placing 'x' from 2 for 1)", "position('a' in c) > 0", "octet_length(c)", "convert_to(c, 'UTF8')",
		"md5(c)::uuid", "sha256(c::bytea)", "gcd(a, b)", "width_bucket(a, ARRAY[1, 5])", "a BETWEEN SYMMETRIC b AND 1",
		"NOT a BETWEEN 1 AND 2", "a < ALL (ARRAY[1, b])", "a = SOME (ARRAY[b])", "a IN (1)", "c IN ('a', 'b')",
		"a OPERATOR(pg_catalog.+) b",
		"json_object('{a,1}')", "current_setting('x', true)", "pg_typeof(a)", "a IS NORMALIZED",
		"c IS NOT NFKC NORMALIZED", "normalize(c, NFD)", "c COLLATE \"de-x-icu\" < 'x'", "starts_with(c, 'a')",
		"c ^@ 'a'", "unistr('\\0441')", "string_to_table(c, ',')")
}

func (d *ddl) moreQuery() string {
	t := d.of(append([]string{"app.none"}, append(d.tables, d.views...)...)...)
	u := d.of(append([]string{"app.none"}, append(d.tables, d.views...)...)...)
	e := d.moreExpression()
	return d.of("SELECT "+e+" AS e1, a FROM "+t, "SELECT a + 1 AS a1, count(*) AS n FROM "+t+
		" GROUP BY a + 1 HAVING max(b) > a + 1", "SELECT a % 2 AS p, b, sum(a) AS s FROM "+t+
		" GROUP BY GROUPING SETS ((a % 2, b), (b), ()) ORDER BY a % 2", "SELECT x.a FROM "+t+
		" x GROUP BY DISTINCT ROLLUP (x.a, x.b), CUBE (x.a)",
		"SELECT lower(c) AS l, grouping(lower(c)) AS g FROM "+t+" GROUP BY CUBE (lower(c))",
		"SELECT DISTINCT a, c FROM "+t+" ORDER BY c COLLATE \"C\"", "SELECT a AS q, a FROM "+t+
			" GROUP BY a, 1 HAVING a > 1", "SELECT x.a, y.a AS ya FROM "+t+" x FULL JOIN "+u+
			" y ON x.a = y.a AND x.b > 1", "SELECT a FROM "+t+" x RIGHT JOIN "+u+" y USING (a, b)",
		"SELECT a, x.c FROM ("+t+" x JOIN "+u+" y USING (a)) JOIN "+u+" z USING (a)", "SELECT z.* FROM "+t+
			" x CROSS JOIN LATERAL (SELECT x.a AS la, count(*) FROM "+u+" y WHERE y.b = x.a) z",
		"SELECT * FROM (SELECT a, b FROM "+t+" UNION SELECT b, a FROM "+u+") s(p, q) WHERE p > q", "(SELECT a FROM "+t+
			" ORDER BY b LIMIT 1) UNION ALL (SELECT b FROM "+u+" LIMIT 2)",
		"SELECT a FROM "+t+" INTERSECT ALL SELECT b FROM "+u, "WITH w AS NOT MATERIALIZED (SELECT * FROM "+t+
			"), v AS (SELECT a FROM w) SELECT v.a, w.c FROM v, w",
		"WITH RECURSIVE r AS (SELECT a, b, 1 AS depth FROM "+t+" UNION SELECT x.a, x.b, depth + 1 FROM "+t+
			" x JOIN r USING (a)) SEARCH BREADTH FIRST BY a, b SET o SELECT a, o FROM r",
		"WITH RECURSIVE r AS (SELECT a, b FROM "+t+" UNION ALL SELECT x.a, x.b FROM "+t+
			" x, r) CYCLE a SET c TO 'Y' DEFAULT 'N' USING p SELECT a, c FROM r",
		"SELECT a, sum(b) OVER (w ROWS UNBOUNDED PRECEDING) AS s, first_value(c) OVER w AS f FROM "+t+
			" WINDOW w AS (PARTITION BY a % 2 ORDER BY c NULLS FIRST)",
		"SELECT count(*) OVER (ORDER BY e RANGE BETWEEN '1 day' PRECEDING AND '2 days' FOLLOWING EXCLUDE GROUP) "+
			"AS n FROM "+t, "SELECT ntile(4) OVER (ORDER BY a GROUPS BETWEEN 1 PRECEDING AND 2 FOLLOWING EXCLUDE "+
			"CURRENT ROW) AS n FROM "+t, "SELECT array_agg(a ORDER BY b DESC) FILTER (WHERE c IS NOT NULL) AS x FROM "+
			t, "SELECT mode() WITHIN GROUP (ORDER BY c) AS m, rank(5) WITHIN GROUP (ORDER BY a) AS r FROM "+t,
		"SELECT a FROM "+t+" WHERE (a, b) IN (SELECT a, b FROM "+u+")", "SELECT a FROM "+t+
			" WHERE a > ALL (SELECT b FROM "+u+" WHERE c = 'x')", "SELECT a FROM "+t+
			" WHERE NOT EXISTS (SELECT 1 FROM "+u+" y WHERE y.a = "+t+".a)", "SELECT ARRAY(SELECT b FROM "+u+
			" ORDER BY 1) AS arr, a FROM "+t, "SELECT (SELECT y FROM "+u+" y LIMIT 1) AS whole FROM "+t,
		"SELECT x.*, x AS r FROM "+t+" x", "SELECT k.key, k.value FROM "+t+" x, jsonb_each(x.d) k",
		"SELECT f.a, f.b FROM json_to_recordset('[]') AS f(a int, b text)",
		"SELECT f.* FROM ROWS FROM (jsonb_to_record('{}') AS (x int), generate_series(1, 2)) WITH ORDINALITY AS f",
		"SELECT * FROM pg_catalog.unnest(ARRAY[1], ARRAY['a']) AS u(i, s)",
		"SELECT a FROM "+t+" x FOR SHARE OF x NOWAIT", "SELECT a FROM "+t+" FOR NO KEY UPDATE", "SELECT a FROM "+t+
			" TABLESAMPLE bernoulli (10)", "SELECT x.a AS \"A b\", x.\"z z\" FROM "+t+" x", "SELECT a FROM "+t+
			" LIMIT ALL OFFSET 1 ROWS", "SELECT a FROM "+t+" OFFSET 1 FETCH NEXT 2 ROWS ONLY",
		"SELECT c COLLATE \"C\" AS c FROM "+t+" ORDER BY 1", "SELECT 1 AS \"select\", 'x' AS \"user\"",
		"SELECT t.a FROM "+t+" t, "+u+" AS \"T\" WHERE t.a = \"T\".a", "SELECT a.a FROM "+t+" a", "SELECT app.a FROM "+
			t+" app", "SELECT x.a FROM "+t+" x WHERE x.ctid IS NOT NULL AND x.tableoid = 5", "SELECT xt.a FROM "+t+
			", xmltable(xmlnamespaces('http://x' AS x), '/x:r' PASSING BY VALUE '<r/>' COLUMNS a int PATH '@a' "+
			"DEFAULT 5 NOT NULL) xt", "SELECT NULL AS n, 'u' AS u, ARRAY['a'] AS arr",
		"SELECT a, count(DISTINCT b) AS d FROM "+t+" GROUP BY ALL a", "SELECT (x.r).a AS ra FROM (SELECT y AS r FROM "+
			u+" y) x", "SELECT coalesce(x.a, y.a) AS a FROM "+t+" x LEFT JOIN "+u+" y ON true WHERE y.a IS NULL",
		"SELECT a FROM "+t+" NATURAL LEFT JOIN "+u, "SELECT b FROM "+t+" GROUP BY b ORDER BY max(a), b",
		"SELECT sum(a) AS s FROM "+t+" HAVING true")
}
