package privilege

import (
	"slices"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

func TestPrivilegesReadLikeGrant(t *testing.T) {
	role := Role{Name: "web", Password: "x", Privileges: []Privilege{
		{On: "TABLE accounts", Allow: "SELECT, INSERT (id, sealed_secret), DELETE"},
		{On: "SEQUENCE numbers", Allow: "USAGE"},
		{On: "FUNCTION total(uuid, text)", Allow: "EXECUTE"},
		{On: "TABLE hidden", Allow: ""},
	}}
	declared, err := role.declared("app")
	if err != nil {
		t.Fatal(err)
	}
	got := make([]string, len(declared))
	for i, g := range declared {
		got[i] = Writer{"db", "app", `we"b`}.Grant(g)
	}
	want := []string{
		`GRANT USAGE ON SCHEMA "app" TO "we""b"`,
		`GRANT SELECT ON TABLE "app"."migrations" TO "we""b"`,
		`GRANT SELECT ON TABLE "app"."accounts" TO "we""b"`,
		`GRANT INSERT ("id") ON TABLE "app"."accounts" TO "we""b"`,
		`GRANT INSERT ("sealed_secret") ON TABLE "app"."accounts" TO "we""b"`,
		`GRANT DELETE ON TABLE "app"."accounts" TO "we""b"`,
		`GRANT USAGE ON SEQUENCE "app"."numbers" TO "we""b"`,
		`GRANT EXECUTE ON ROUTINE "app"."total"(uuid, text) TO "we""b"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestPrivilegesThatMakeNoSenseAreRefused(t *testing.T) {
	for _, p := range []Privilege{
		{On: "accounts", Allow: "SELECT"},
		{On: "TABLE", Allow: "SELECT"},
		{On: "SCHEMA x", Allow: "USAGE"},
		{On: "TABLE accounts", Allow: "ALL"},
		{On: "TABLE accounts", Allow: "SELECT;"},
		{On: "TABLE accounts", Allow: "DELETE (id)"},
		{On: "TABLE accounts", Allow: "TRIGGER"},
		{On: "FUNCTION f()", Allow: "SELECT"},
		{On: "SEQUENCE s", Allow: "USAGE", RowSecurity: true},
	} {
		if _, err := (Role{Privileges: []Privilege{p}}).declared("app"); err == nil {
			t.Errorf("%+v: got no error", p)
		}
	}
}

func TestChangesGoBothWays(t *testing.T) {
	keep := Grant{Kind: "TABLE", Object: "t", Verb: "SELECT"}
	lacks := Grant{Kind: "TABLE", Object: "t", Column: "a", Verb: "INSERT"}
	extra := Held{Grant: Grant{Kind: "TABLE", Object: "t", Verb: "TRUNCATE"}, InSchema: true}
	outside := Held{Grant: keep} // a table of the same name in another schema
	handOn, extraHandOn := Held{Grant: keep, InSchema: true, Grantable: true}, extra
	extraHandOn.Grantable = true
	connect := Grant{Kind: "DATABASE", Verb: "CONNECT"}
	missing, excess := changes([]Grant{keep, lacks},
		[]Held{handOn, extraHandOn, outside, {Grant: connect, InSchema: true}}, true)
	if !slices.Equal(missing, []Grant{lacks}) || !slices.Equal(excess, []Held{handOn, extra, outside}) {
		t.Errorf("missing %v, excess %v; want %v and %v", missing, excess, lacks, []Held{handOn, extra, outside})
	}
	if missing, _ := changes([]Grant{keep}, []Held{outside}, false); !slices.Equal(missing,
		[]Grant{keep, connect}) {
		t.Errorf("a right elsewhere, and no way to connect: missing %v, want %v and %v", missing, keep, connect)
	}
}

func TestRoleIsCheckedBeforeAnythingIsSent(t *testing.T) {
	for name, r := range map[string]Role{
		"long name":    {Name: strings.Repeat("x", 64), Password: "x"},
		"reserved":     {Name: "pg_web", Password: "x"},
		"public":       {Name: "public", Password: "x"},
		"not ASCII":    {Name: "web", Password: "pässword"},
		"control byte": {Name: "web", Password: "a\nb"},
	} {
		if err := r.Check("app"); err == nil {
			t.Errorf("%s: got no error", name)
		} else if r.Password != "" && len(r.Password) > 2 && strings.Contains(err.Error(), r.Password) {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
	if err := (Role{Name: strings.Repeat("ä", 31), Password: "p:'\"\\ %"}).Check("app"); err != nil {
		t.Errorf("a fine role: %v", err)
	}
}

func TestQuoteTextSurvivesBothStringModes(t *testing.T) {
	for in, want := range map[string]string{"a": "'a'", "it's": "'it''s'", `a\b'`: ` E'a\\b'''`} {
		if got := sqltext.QuoteText(in); got != want {
			t.Errorf("quoteText(%q) = %s, want %s", in, got, want)
		}
	}
}
