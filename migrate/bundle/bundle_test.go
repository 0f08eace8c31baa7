package bundle

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

func bundleFS(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return fsys
}

func TestLoadRefusesBadBundles(t *testing.T) {
	const good = "CREATE TABLE app.t (id int);"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"nothing":        {nil, "no migrations here"},
		"a folder above": {map[string]string{"migrations/0001_a.sql": good}, `fs.Sub(files, "migrations")`},
		"gap": {
			map[string]string{"0001_a.sql": good, "0003_c.sql": good},
			"0003_c.sql: there is no 0002 before it",
		},
		"first missing": {map[string]string{"0002_b.sql": good}, "there is no 0001"},
		"duplicate": {
			map[string]string{"0001_a.sql": good, "0001_b.sql": good},
			"0001_b.sql: has the same version as 0001_a.sql",
		},
		"upper case":        {map[string]string{"0001_A.sql": good}, "not called NNNN_snake_case.sql"},
		"upper case ending": {map[string]string{"0001_a.SQL": good}, "not called NNNN_snake_case.sql"},
		"dash":              {map[string]string{"0001-a.sql": good}, "not called NNNN_snake_case.sql"},
		"signed version":    {map[string]string{"+001_a.sql": good}, "not called NNNN_snake_case.sql"},
		"no name":           {map[string]string{"0001_.sql": good}, "not called NNNN_snake_case.sql"},
		"short version":     {map[string]string{"001_a.sql": good}, "0001, 0002"},
		"long version":      {map[string]string{"00001_a.sql": good}, "0001, 0002"},
		"version zero":      {map[string]string{"0000_a.sql": good}, "0001, 0002"},
		"stray file": {
			map[string]string{"0001_a.sql": good, "0002_b.sql.bak": good},
			"0002_b.sql.bak: is not called",
		},
		"empty":         {map[string]string{"0001_a.sql": ""}, "holds no statement"},
		"comments only": {map[string]string{"0001_a.sql": "-- later\n/* or never */\n;"}, "holds no statement"},
		"NUL": {
			map[string]string{"0001_a.sql": "SELECT 1;\nSELECT '\x00';"},
			"0001_a.sql:2:9: holds a NUL byte",
		},
		"not UTF-8": {
			map[string]string{"0001_a.sql": "SELECT 1;\nSELECT 'ä\xe4';"},
			"0001_a.sql:2:10: is not UTF-8",
		},
		"UTF-16":          {map[string]string{"0001_a.sql": "\xff\xfeS\x00"}, "is UTF-16"},
		"byte order mark": {map[string]string{"0001_a.sql": "\ufeffSELECT 1"}, "byte order mark"},
		"open string": {
			map[string]string{"0001_a.sql": "SELECT 1;\n SELECT 'x"},
			"0001_a.sql:2:9: this string is never closed",
		},
		"open comment": {
			map[string]string{"0001_a.sql": "SELECT 1; /* x"},
			"0001_a.sql:1:11: this comment is never closed",
		},
		"unknown directive": {
			map[string]string{"0001_a.sql": "-- migrate:min-verson 1\n" + good},
			`0001_a.sql:1:1: there is no directive "min-verson"`,
		},
		"spaced directive": {
			map[string]string{"0001_a.sql": "-- Migrate: min-version 1\n" + good},
			"write the directive as",
		},
		"late directive": {
			map[string]string{"0001_a.sql": good + "\n-- migrate:min-version 1\n"},
			"0001_a.sql:2:1: a directive counts only above",
		},
		"min-version no digit": {
			map[string]string{"0001_a.sql": "-- migrate:min-version one\n" + good},
			`"one" is not a version`,
		},
		"min-version ahead": {
			map[string]string{"0001_a.sql": "-- migrate:min-version 2\n" + good},
			"min-version 2 is behind this file",
		},
		"min-version twice": {map[string]string{"0001_a.sql": "-- migrate:min-version 1\n-- " +
			"migrate:min-version 1\n" + good}, "given twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(bundleFS(c.files))
			var bad *Error
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %q", err, c.want)
			}
		})
	}
}

func TestLoadRefusesStatementsThatBreakTheTransaction(t *testing.T) {
	for _, sql := range []string{
		"BEGIN", "begin transaction", "START TRANSACTION", "COMMIT", "commit and chain", "END", "ROLLBACK",
		"ROLLBACK TO x", "ABORT",
		"SAVEPOINT x", "RELEASE x", "PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'", "ROLLBACK PREPARED 'x'",
		"EXECUTE p", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "CHECKPOINT", "CLUSTER", "CLUSTER (VERBOSE)",
		"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET LOCAL TRANSACTION READ ONLY",
		"SET TRANSACTION SNAPSHOT 'x'", "SET LOCAL transaction_isolation = 'serializable'",
		"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET SESSION AUTHORIZATION x",
		"SET LOCAL SESSION AUTHORIZATION x", "SET LOCAL ROLE x", "SET TIME ZONE 'UTC'",
		"REINDEX (VERBOSE, CONCURRENTLY) INDEX i", "REINDEX (CONCURRENTLY TRUE) TABLE t", "REINDEX SCHEMA s",
		"REINDEX (VERBOSE) SYSTEM d", "ALTER DATABASE d SET TABLESPACE x",
		"ALTER SUBSCRIPTION s REFRESH PUBLICATION", "PREPARE p AS SELECT 1", "DEALLOCATE p",
		"SET search_path = x", "SET SESSION x = 1", "SET ROLE x", "SET /* LOCAL */ x = 1", "RESET ALL", "DISCARD ALL",
		"LISTEN x", "UNLISTEN x", "LOAD 'x'",
		"CREATE INDEX CONCURRENTLY i ON t (a)", "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)",
		"DROP INDEX CONCURRENTLY i", "REINDEX TABLE CONCURRENTLY t",
		"REINDEX DATABASE d", "VACUUM", "VACUUM FULL t", "ALTER SYSTEM SET x = 1", "CREATE DATABASE d",
		"DROP DATABASE d", "CREATE TABLESPACE t LOCATION '/'",
		"ALTER TABLE t DETACH PARTITION p CONCURRENTLY", "COPY t FROM STDIN", "COPY t (a) TO STDOUT",
		"CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p",
	} {
		_, err := Load(bundleFS(map[string]string{"0001_a.sql": "SELECT 1;\n " + sql + ";"}))
		if err == nil || !strings.HasPrefix(err.Error(), "0001_a.sql:2:2: ") {
			t.Errorf("%s: got %v, want an error at 0001_a.sql:2:2", sql, err)
		}
	}
	for _, sql := range []string{
		"SET LOCAL x.y = 1", "SET LOCAL TIME ZONE 'UTC'", "SET CONSTRAINTS ALL DEFERRED",
		"REINDEX (CONCURRENTLY off) TABLE t", "CLUSTER VERBOSE t", "DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1",
		"CREATE INDEX i ON t (concurrently)", "DO $$ BEGIN NULL; END $$", "SELECT 'COMMIT'",
		"CREATE TABLE begin_end (id int)", "COPY t FROM '/file'",
		"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END", "REINDEX TABLE t",
		"CREATE TABLE index (concurrently int)", "COMMENT ON TABLE t IS 'BEGIN'", "LOCK TABLE t", "DROP TABLE t",
	} {
		if _, err := Load(bundleFS(map[string]string{"0001_a.sql": sql})); err != nil {
			t.Errorf("%s: got %v, want no error", sql, err)
		}
	}
}

func TestLoadReportsEveryProblemAtOnce(t *testing.T) {
	_, err := Load(bundleFS(map[string]string{
		"0001_a.sql": "BEGIN;\nSELECT 1;\nCOMMIT;", "0003_c.sql": "SELECT 'x", "notes.txt": "?",
	}))
	var bad *Error
	if !errors.As(err, &bad) || len(bad.Problems) != 5 {
		t.Fatalf("got %v, want five problems", err)
	}
}

func TestChecksumIgnoresLineEnds(t *testing.T) {
	load := func(sql string) Migration {
		b, err := Load(bundleFS(map[string]string{"0001_a.sql": sql}))
		if err != nil {
			t.Fatal(err)
		}
		return b.migrations[0]
	}
	lf, crlf := load("SELECT 1;\nSELECT 2;\n"), load("SELECT 1;\r\nSELECT 2;\r\n")
	if lf.Checksum != crlf.Checksum {
		t.Errorf("LF %x, CRLF %x: a checkout with other line ends is not another file", lf.Checksum, crlf.Checksum)
	}
	if crlf.SQL != "SELECT 1;\r\nSELECT 2;\r\n" {
		t.Errorf("got %q, want the file byte for byte", crlf.SQL)
	}
	if other := load("SELECT 1;\nSELECT 3;\n"); other.Checksum == lf.Checksum {
		t.Error("another file has the same checksum")
	}
}

func TestMinVersionIsCarriedForward(t *testing.T) {
	b, err := Load(bundleFS(map[string]string{
		"0001_a.sql": "SELECT 1", "0002_b.sql": "SELECT 1",
		"0003_c.sql": "-- drops what 0001 used\n-- migrate:min-version 2\nSELECT 1", "0004_d.sql": "SELECT 1",
	}))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 1, 2, 2} {
		if got := b.migrations[i].MinVersion; got != want {
			t.Errorf("%s: min-version %d, want %d", b.migrations[i].File, got, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("0001_a.sql", "-- migrate:min-version 1\nSELECT 1;")
	f.Add("0002_b.sql", "BEGIN; /* */ COMMIT")
	f.Fuzz(func(_ *testing.T, name, content string) {
		m, problems := Migration{}, []Problem(nil)
		if version, short, err := parseFileName(name); err == nil {
			m = Migration{Version: version, Name: short, File: name, SQL: content, Checksum: checksum([]byte(content))}
			problems = m.check()
		}
		_ = (&Error{problems}).Error()
	})
}

func TestDirectivesAreThoseOfTheFile(t *testing.T) {
	bundle, err := Load(bundleFS(map[string]string{
		"0001_a.sql": "SELECT 1", "0002_b.sql": "-- migrate:min-version 2\n-- a remark\nSELECT 2",
		"0003_c.sql": "SELECT 3",
	}))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "min-version 2", ""} {
		if got := strings.Join(bundle.Migrations()[i].Directives(), ", "); got != want {
			t.Errorf("%04d: got %q, want %q", i+1, got, want)
		}
	}
}

func TestAStatementThatEndsTheTransactionIsToBeLeftOut(t *testing.T) {
	for _, sql := range []string{
		"BEGIN", "COMMIT", "END", "ROLLBACK", "ABORT", "START TRANSACTION",
		"PREPARE TRANSACTION 'x'",
	} {
		_, err := Load(bundleFS(map[string]string{"0001_a.sql": sql}))
		if want := ": each file already is one transaction; leave this statement out"; err == nil ||
			!strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", sql, err, want)
		}
	}
}

func BenchmarkHotFingerprint10000Files(b *testing.B) {
	files := make([]string, 10_000)
	for i := range files {
		files[i] = "SELECT 1"
	}
	bundle := Unchecked(files...)
	for b.Loop() {
		bundle.computeFingerprints()
	}
}
