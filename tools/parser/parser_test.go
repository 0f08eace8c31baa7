// Package parser holds the migrator's lexer against PostgreSQL's own parser. It
// lives in the module of the tools, because that parser is a large C library which
// the program itself has no use for.
package parser

import (
	"testing"
	"testing/fstest"

	pgquery "github.com/pganalyze/pg_query_go/v6"

	"github.com/avtotpy/avtotpy/migrate/bundle"
)

// FuzzStatements demands that whatever PostgreSQL parses is cut by the loader into
// the same statements, or refused. The other way round it may differ: what does not
// parse fails on the server, before anything is done.
func FuzzStatements(f *testing.F) {
	for _, sql := range []string{
		"SELECT 1; SELECT ';'",
		"SELECT E'\\';' ; SELECT U&'\\0041;' UESCAPE '\\'; SELECT B'1', X'F', N'x;'",
		"SELECT $a$ ; $$ ; $a$; SELECT $$;$$",
		"/* a /* ; */ */ SELECT 1 -- ;\n; SELECT 2",
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 ELSE 2 " +
			"END; END; SELECT 1",
		"CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC INSERT INTO t VALUES (1); END",
		"CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (1); DELETE FROM b); SELECT 1",
		"SELECT \"a;\"\"b\"; SELECT 1e5, .5, 1., $1, 0xFF, 1_000",
		"SELECT 'a'\n'b;' ; SELECT E'a'\n'\\';' ; SELECT 1",
		"SELECT a$b$c FROM t; SELECT größe FROM t",
		"DO $do$ BEGIN COMMIT; END $do$; ; ;SELECT 1",
		"SELECT 1 OPERATOR(pg_catalog.+) 2; SELECT a -- b\n - 1; SELECT @-1",
	} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		bundle, err := bundle.Load(fstest.MapFS{"0001_a.sql": {Data: []byte(sql)}})
		if err != nil {
			return
		}
		parsed, err := pgquery.Parse(sql)
		if err != nil {
			return
		}
		got, want := bundle.Migrations()[0].Statements(), len(parsed.GetStmts())
		if got != want {
			t.Errorf("%q: the loader sees %d statements, PostgreSQL %d", sql, got, want)
		}
		for _, s := range parsed.GetStmts() {
			if transaction := s.GetStmt().GetTransactionStmt(); transaction != nil {
				t.Errorf("%q: the loader let a transaction statement through: %v", sql, transaction.GetKind())
			}
		}
	})
}
