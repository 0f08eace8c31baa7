package snapshot

import (
	"strings"
	"testing"
)

func TestUnqualifiedTakesOnlyTheSchemasNameAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ schema, text, want string }{
		{"app", "app.t", "t"},
		{"app", "app.t.a = other.app.a AND \"app\".f(1)", "t.a = other.app.a AND f(1)"},
		{"app", "'sad'::app.mood[] OPERATOR(app.+) 1", "'sad'::mood[] OPERATOR(+) 1"},
		{"app", "nextval('app.s'::regclass)", "nextval('s'::regclass)"},
		{"app", "current_setting('app.user'::text)", "current_setting('app.user'::text)"},
		{"app", "wrapp.t + app1.t + app", "wrapp.t + app1.t + app"},
		{"app", `"app.t"."app"`, `"app.t"."app"`},
		{"App", `"App".t + app.t`, `t + app.t`},
		{`o"d'd`, `"o""d'd".t || nextval('"o""d''d"."t''t"'::regclass)`, `t || nextval('"t''t"'::regclass)`},
		{"app", "app.t '", "t '"},
	} {
		if got := unqualified(c.text, c.schema); got != c.want {
			t.Errorf("%s without %s: got %s, want %s", c.text, c.schema, got, c.want)
		}
	}
}

// TestUnprefixedTurnsTheTextOfVersion15IntoThatOf16 has what both write, as they do.
func TestUnprefixedTurnsTheTextOfVersion15IntoThatOf16(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ before, after string }{
		{
			"SELECT t.id, (t.p).x, t.* FROM t WHERE t.a IS DISTINCT FROM t.b;",
			"SELECT id, (p).x, t.* FROM t WHERE a IS DISTINCT FROM b;",
		},
		{`SELECT "T 1"."A" AS b FROM "T 1" ORDER BY "T 1"."A"`, `SELECT "A" AS b FROM "T 1" ORDER BY "A"`},
		{
			"SELECT t.a::other.kind, other.f(t.a, count(t.*)), t.b COLLATE other.c FROM other.t t",
			"SELECT a::other.kind, other.f(a, count(t.*)), b COLLATE other.c FROM other.t t",
		},
		{
			"SELECT ( SELECT u.a FROM u WHERE u.a = t.a) AS a, EXTRACT(year FROM t.b) FROM t",
			"SELECT ( SELECT u.a FROM u WHERE u.a = t.a) AS a, EXTRACT(year FROM b) FROM t",
		},
		{"WITH w AS (SELECT t.a FROM t) SELECT w.a FROM w", "WITH w AS (SELECT t.a FROM t) SELECT a FROM w"},
		{"SELECT f.a FROM f(1, 2) f(a, b)", "SELECT a FROM f(1, 2) f(a, b)"},
		{"SELECT t.a, u.a FROM t JOIN u ON t.a = u.a", ""},
		{"SELECT t.a, u.a FROM t, u", ""},
		{"SELECT t.a FROM t UNION SELECT t.b FROM t", ""},
		{"VALUES (1.5), (2.5)", ""},
	} {
		if c.after == "" {
			c.after = c.before
		}
		for _, text := range []string{c.before, c.after} {
			if got := unprefixed(text); got != c.after {
				t.Errorf("%s: got %s, want %s", text, got, c.after)
			}
		}
	}
}

func TestOneLineKeepsStringsApart(t *testing.T) {
	t.Parallel()
	const text, want = "CHECK (\n  CASE\n    WHEN a = 'x\n  y' THEN \"b\nc\"\n  END)",
		`CHECK ( CASE WHEN a = 'x\n  y' THEN "b\nc" END)`
	if got := oneLine(text); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSinceVersion16TakesOnlyNoIndentAway(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"XMLSERIALIZE(CONTENT x AS text NO INDENT)": "XMLSERIALIZE(CONTENT x AS text)",
		"XMLSERIALIZE(CONTENT x AS text INDENT)":    "XMLSERIALIZE(CONTENT x AS text INDENT)",
		"('a NO INDENT)'::text)":                    "('a NO INDENT)'::text)",
	} {
		if got := sinceVersion16(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestUnquotedTakesOnlyTheQuotesOfNewKeywords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"json_object"('"json"'::text)`:         `json_object('"json"'::text)`,
		`nextval('a."json"'::regclass)`:         `nextval('a.json'::regclass)`,
		`"JSON", "json x", "select", "json""v"`: `"JSON", "json x", "select", "json""v"`,
	} {
		if got := unquoted(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func FuzzDeparsed(f *testing.F) {
	f.Add("SELECT app.t.a FROM app.t WHERE 'app.t'::regclass IS DISTINCT FROM \"a\"\"b\".c", "app")
	f.Add("'", "'")
	f.Fuzz(func(t *testing.T, text, schema string) {
		if got := together(tokens(text)); got != text {
			t.Errorf("got %q, want the text %q", got, text)
		}
		if got := oneLine(text); strings.ContainsAny(got, "\n\r") {
			t.Errorf("%q is %q, more than one line", text, got)
		}
		if once := unprefixed(unqualified(text, schema)); len(once) > len(text) {
			t.Errorf("%q became %q", text, once)
		}
	})
}
