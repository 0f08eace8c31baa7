package migrate

import (
	"strings"
	"testing"
)

func TestLexCutsStatementsLikePostgreSQL(t *testing.T) {
	for name, c := range map[string]struct {
		sql  string
		want []string // the statements' texts
	}{
		"empty":                       {"", nil},
		"only semicolons":             {" ; ;; ", nil},
		"comments only":               {"-- a;b\n/* c; /* nested; */ d */", nil},
		"no semicolon at the end":     {"SELECT 1", []string{"SELECT 1"}},
		"two":                         {"SELECT 1; SELECT 2;", []string{"SELECT 1", "SELECT 2"}},
		"comment between":             {"SELECT /* ; */ 1 -- ;\n; SELECT 2", []string{"SELECT /* ; */ 1", "SELECT 2"}},
		"string":                      {"SELECT ';''; '; SELECT 2", []string{"SELECT ';''; '", "SELECT 2"}},
		"backslash in a plain string": {`SELECT '\'; SELECT 2`, []string{`SELECT '\'`, "SELECT 2"}},
		"escape string":               {`SELECT E'\';'; SELECT 2`, []string{`SELECT E'\';'`, "SELECT 2"}},
		"escape string goes on":       {"SELECT E'a'\n  'b\\';'; SELECT 2", []string{"SELECT E'a'\n  'b\\';'", "SELECT 2"}},
		"escape string, comment":      {"SELECT E'a' -- x\n '\\';'; SELECT 2", []string{"SELECT E'a' -- x\n '\\';'", "SELECT 2"}},
		"unicode string":              {`SELECT U&'\0441;'; SELECT 2`, []string{`SELECT U&'\0441;'`, "SELECT 2"}},
		"quoted name":                 {`SELECT ";"";" ; SELECT 2`, []string{`SELECT ";"";"`, "SELECT 2"}},
		"dollar":                      {"SELECT $$;'$$; SELECT 2", []string{"SELECT $$;'$$", "SELECT 2"}},
		"tagged dollar":               {"SELECT $a$;$$;$b$;$a$; SELECT 2", []string{"SELECT $a$;$$;$b$;$a$", "SELECT 2"}},
		"dollar in a name":            {"SELECT a$b$; SELECT c$b$", []string{"SELECT a$b$", "SELECT c$b$"}},
		"parameter":                   {"SELECT $1; SELECT 2", []string{"SELECT $1", "SELECT 2"}},
		"parentheses of a rule":       {"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3", []string{"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 3"}},
		"begin atomic": {
			"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END; SELECT 2",
			[]string{"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END", "SELECT 2"},
		},
		"or replace, case in parentheses": {
			"create or replace procedure p() begin atomic select (case when true then 1 end); end; SELECT 2",
			[]string{"create or replace procedure p() begin atomic select (case when true then 1 end); end", "SELECT 2"},
		},
		"a column called atomic": {"SELECT begin atomic; SELECT 2", []string{"SELECT begin atomic", "SELECT 2"}},
		"letters of all scripts": {"SELECT größe; SELECT 'ж'", []string{"SELECT größe", "SELECT 'ж'"}},
		"number with a letter":   {"SELECT 1end; SELECT 0xFF", []string{"SELECT 1end", "SELECT 0xFF"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := lex(c.sql)
			var got []string
			for _, st := range s.statements {
				got = append(got, c.sql[st.start:st.end])
			}
			if strings.Join(got, "¶") != strings.Join(c.want, "¶") {
				t.Errorf("lex(%q)\n got %q\nwant %q", c.sql, got, c.want)
			}
			if len(s.errors) > 0 {
				t.Errorf("lex(%q): unexpected error %q", c.sql, s.errors[0].message)
			}
		})
	}
}

func TestLexRefusesWhatWouldSwallowTheRest(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT 'abc":         "string is never closed",
		`SELECT E'abc\'`:      "string is never closed",
		`SELECT "abc`:         "quoted name is never closed",
		"SELECT $x$ abc $y$":  "$x$ opens is never closed",
		"SELECT 1 /* a /* */": "comment is never closed",
		"\\i other.sql":       "psql commands",
	} {
		s := lex(sql)
		if len(s.errors) == 0 || !strings.Contains(s.errors[0].message, want) {
			t.Errorf("lex(%q): got %v, want an error with %q", sql, s.errors, want)
		}
	}
}

func FuzzLex(f *testing.F) {
	for _, s := range []string{
		"SELECT 1; SELECT ';'", "/* /* */ */", "$a$ $a$", "E'\\''", "U&\"\\0041\"", "CREATE FUNCTION f() BEGIN ATOMIC CASE END; END;",
		"(;)", "\\", "'", "\"", "$", "1e", ".5", "\x80\xff", "e'\n'x'",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		end := 0
		for _, s := range lex(sql).statements {
			if s.start < end || s.end <= s.start || s.end > len(sql) || len(s.words) == 0 {
				t.Fatalf("lex(%q): statement from %d to %d behind %d, %d words", sql, s.start, s.end, end, len(s.words))
			}
			end = s.end
		}
	})
}
