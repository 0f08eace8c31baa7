package sqltext_test

import (
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// longBody has more words than are kept of a statement.
var longBody = "create function f() returns int begin atomic select 1" + strings.Repeat(" + 1", 5000) + "; end"

func TestCutFindsStatementsLikePostgreSQL(t *testing.T) {
	for name, c := range map[string]struct {
		sql  string
		want []string // the statements' texts
	}{
		"empty":                        {"", nil},
		"a long body in small letters": {longBody + "; SELECT 2", []string{longBody, "SELECT 2"}},
		"only semicolons":              {" ; ;; ", nil},
		"comments only":                {"-- a;b\n/* c; /* nested; */ d */", nil},
		"no semicolon at the end":      {"SELECT 1", []string{"SELECT 1"}},
		"two":                          {"SELECT 1; SELECT 2;", []string{"SELECT 1", "SELECT 2"}},
		"comment between":              {"SELECT /* ; */ 1 -- ;\n; SELECT 2", []string{"SELECT /* ; */ 1", "SELECT 2"}},
		"string":                       {"SELECT ';''; '; SELECT 2", []string{"SELECT ';''; '", "SELECT 2"}},
		"backslash in a plain string":  {`SELECT '\'; SELECT 2`, []string{`SELECT '\'`, "SELECT 2"}},
		"escape string":                {`SELECT E'\';'; SELECT 2`, []string{`SELECT E'\';'`, "SELECT 2"}},
		"escape string goes on": {
			"SELECT E'a'\n  'b\\';'; SELECT 2",
			[]string{"SELECT E'a'\n  'b\\';'", "SELECT 2"},
		},
		"escape string, comment": {
			"SELECT E'a' -- x\n '\\';'; SELECT 2",
			[]string{"SELECT E'a' -- x\n '\\';'", "SELECT 2"},
		},
		"unicode string": {`SELECT U&'\0441;'; SELECT 2`, []string{`SELECT U&'\0441;'`, "SELECT 2"}},
		"quoted name":    {`SELECT ";"";" ; SELECT 2`, []string{`SELECT ";"";"`, "SELECT 2"}},
		"dollar":         {"SELECT $$;'$$; SELECT 2", []string{"SELECT $$;'$$", "SELECT 2"}},
		"tagged dollar": {
			"SELECT $a$;$$;$b$;$a$; SELECT 2",
			[]string{"SELECT $a$;$$;$b$;$a$", "SELECT 2"},
		},
		"dollar in a name": {"SELECT a$b$; SELECT c$b$", []string{"SELECT a$b$", "SELECT c$b$"}},
		"parameter":        {"SELECT $1; SELECT 2", []string{"SELECT $1", "SELECT 2"}},
		"parentheses of a rule": {
			"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3",
			[]string{"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 3"},
		},
		"begin atomic": {
			"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END; SELECT 2",
			[]string{
				"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END",
				"SELECT 2",
			},
		},
		"or replace, case in parentheses": {
			"create or replace procedure p() begin atomic select (case when true then 1 end); end; SELECT 2",
			[]string{
				"create or replace procedure p() begin atomic select (case when true then 1 end); end",
				"SELECT 2",
			},
		},
		"a column called atomic": {"SELECT begin atomic; SELECT 2", []string{"SELECT begin atomic", "SELECT 2"}},
		"letters of all scripts": {"SELECT größe; SELECT 'ж'", []string{"SELECT größe", "SELECT 'ж'"}},
		"number with a letter":   {"SELECT 1end; SELECT 0xFF", []string{"SELECT 1end", "SELECT 0xFF"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sqltext.Cut(c.sql, "watched")
			var got []string
			for _, st := range s.Statements {
				got = append(got, c.sql[st.Start:st.End])
			}
			if strings.Join(got, "¶") != strings.Join(c.want, "¶") {
				t.Errorf("Cut(%q)\n got %q\nwant %q", c.sql, got, c.want)
			}
			if len(s.Errors) > 0 {
				t.Errorf("Cut(%q): unexpected error %q", c.sql, s.Errors[0].Message)
			}
		})
	}
}

func TestCutRefusesWhatWouldSwallowTheRest(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT 'abc":         "string is never closed",
		`SELECT E'abc\'`:      "string is never closed",
		`SELECT "abc`:         "quoted name is never closed",
		"SELECT $x$ abc $y$":  "$x$ opens is never closed",
		"SELECT 1 /* a /* */": "comment is never closed",
		"\\i other.sql":       "psql commands",
	} {
		s := sqltext.Cut(sql, "watched")
		if len(s.Errors) == 0 || !strings.Contains(s.Errors[0].Message, want) {
			t.Errorf("Cut(%q): got %v, want an error with %q", sql, s.Errors, want)
		}
	}
}

func FuzzCut(f *testing.F) {
	for _, s := range []string{
		"SELECT 1; SELECT ';'", "/* /* */ */", "$a$ $a$", "E'\\''", "U&\"\\0041\"",
		"CREATE FUNCTION f() BEGIN ATOMIC CASE END; END;",
		"(;)", "\\", "'", "\"", "$", "1e", ".5", "\x80\xff", "e'\n'x'",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		end := 0
		for _, s := range sqltext.Cut(sql, "watched").Statements {
			if s.Start < end || s.End <= s.Start || s.End > len(sql) || len(s.Words) == 0 {
				t.Fatalf("Cut(%q): statement from %d to %d behind %d, %d words", sql, s.Start, s.End, end, len(s.Words))
			}
			end = s.End
		}
	})
}
