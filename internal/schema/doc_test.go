package schema_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/schema"
)

// TestThePrivilegesAreDocumented keeps the tables in docs/privileges.md equal to the
// declaration; -update writes them.
func TestThePrivilegesAreDocumented(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../../docs/privileges.md", "<!-- generated: go test ./internal/schema -update -->\n",
		"<!-- end of what is generated -->\n"
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s lacks the marks around what is generated", path)
	}
	want := before + begin + privilegesAsMarkdown() + end + after
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		content = []byte(want)
	}
	if string(content) != want {
		t.Errorf("%s is not what the declaration says; run go test ./internal/schema -update and review the "+
			"difference", path)
	}
}

func privilegesAsMarkdown() string {
	var b strings.Builder
	b.WriteString("\n| on | it may | why |\n| --- | --- | --- |\n")
	b.WriteString("| the database | `CONNECT` | |\n| schema `avtotpy` | `USAGE` | |\n| table `migrations` | " +
		"`SELECT` | the web server looks whether the schema is the one that it was built for |\n")
	for _, p := range schema.Privileges() {
		kind, name, _ := strings.Cut(p.On, " ")
		allow := "`" + p.Allow + "`"
		if p.Allow == "" {
			allow = "nothing"
		}
		if p.RowSecurity {
			allow += ", with row level security"
		}
		fmt.Fprintf(&b, "| %s `%s` | %s | %s |\n", strings.ToLower(kind), name, allow, p.Why)
	}
	b.WriteString("\n")
	return b.String()
}
