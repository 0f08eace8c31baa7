package bundle

import (
	"testing"
	"testing/fstest"
)

// TestOnlyAPlainFileIsNotGuarded lists what may run something that the text does not show.
func TestOnlyAPlainFileIsNotGuarded(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]bool{
		"CREATE TABLE a (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, b text NOT NULL REFERENCES c (d), " +
			"CHECK (id > 1))": true,
		"CREATE UNLOGGED TABLE a (id int DEFAULT 1); COMMENT ON TABLE a IS 'it''s (a LIKE)'; CREATE INDEX " +
			"i ON a (id)": true,
		"CREATE UNIQUE INDEX i ON a (b, c " +
			"DESC) INCLUDE": true,
		"CREATE TABLE a AS SELECT f()":                                   false,
		"CREATE TABLE a (b d DEFAULT '(1)')":                             false, // a domain in a row asks its CHECK
		"CREATE TABLE a (b d DEFAULT $$(1)$$)":                           false,
		"CREATE TABLE a (b int, EXCLUDE (b WITH =) WHERE (f(1)))":        false,
		"CREATE TABLE a (LIKE b INCLUDING ALL)":                          false,
		"CREATE TABLE a PARTITION OF b FOR VALUES FROM (f(1)) TO (f(2))": false,
		"CREATE TABLE a (b int) PARTITION BY RANGE ((f(1) + b))":         false,
		"CREATE TABLE a OF b":                                            false,
		"CREATE TEMP TABLE a (b int)":                                    false,
		"CREATE INDEX i ON a (f(b))":                                     false,
		"CREATE INDEX i ON a ((b + 1))":                                  false,
		"CREATE INDEX i ON a (b) WHERE b > 1":                            false,
		"CREATE INDEX i ON a USING gist (b)":                             false,
		"CREATE TABLE a (b int); SELECT f()":                             false,
		"CREATE TABLE a (b int); DO $$ BEGIN END $$":                     false,
		"(SELECT f())":                        false,
		"TABLE a":                             false,
		"INSERT INTO a VALUES (1)":            false,
		"ALTER TABLE a ADD b int DEFAULT f()": false,
		"SET LOCAL DateStyle = 'German'":      false,
		"CREATE EXTENSION pg_trgm":            false,
		"CREATE FUNCTION f() RETURNS int LANGUAGE plperl AS 'BEGIN { x() } 1'": false,
		"CREATE VIEW v AS SELECT f('x')":                                       false,
		"CREATE SCHEMA s CREATE TABLE t (b int)":                               false,
		"CREATE MATERIALIZED VIEW v AS SELECT f()":                             false,
		"DROP TABLE a":                         false,
		"EXPLAIN ANALYZE SELECT f()":           false,
		"CALL p()":                             false,
		"CREATE STATISTICS s ON (f(b)) FROM a": false,
		"CREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION f()": false,
		"CREATE RULE r AS ON INSERT TO a DO ALSO SELECT f()":                   false,
		"CREATE DOMAIN d AS int CHECK (f(value))":                              false,
		"CREATE SEQUENCE s": false,
		"CREATE TYPE t AS RANGE (SUBTYPE = int, SUBTYPE_DIFF = f)": false,
		"REFRESH MATERIALIZED VIEW v":                              false,
		"LOCK TABLE a":                                             false,
		"ALTER TABLE a ALTER b TYPE int USING f(b)":                false,
		"WITH x AS (SELECT f()) SELECT 1":                          false,
		"VALUES (f())":                                             false,
		"COMMENT ON TABLE a IS 'x'; MERGE INTO a USING b ON f() WHEN MATCHED THEN DELETE": false,
	} {
		b, err := Load(fstest.MapFS{"0001_a.sql": {Data: []byte(sql)}})
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		if got := b.migrations[0].plain; got != want {
			t.Errorf("%s: plain is %t", sql, got)
		}
	}
}
