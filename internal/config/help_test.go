package config

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write docs/configuration.md")
	flag.Parse()
	os.Exit(m.Run())
}

func TestDocumentationIsFresh(t *testing.T) {
	const path = "../../docs/configuration.md"
	var want bytes.Buffer
	if err := WriteMarkdown(&want); err != nil {
		t.Fatal(err)
	}
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.MkdirAll("../../docs", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what the table of variables says (%v); run go test ./internal/config -update", path, err)
	}
}

func TestHelpFitsATerminalAndNamesEveryVariable(t *testing.T) {
	var b strings.Builder
	if err := WriteHelp(&b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 100 || strings.HasSuffix(line, " \n") {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	for _, v := range variables() {
		if !strings.Contains(b.String(), "\n  "+v.name+" ") {
			t.Errorf("%s is not in the help", v.name)
		}
	}
}

func TestEveryVariableIsDescribed(t *testing.T) {
	for _, v := range variables() {
		if v.group == "" || v.help == "" || v.byDefault() == "" || v.set == nil ||
			!strings.HasSuffix(v.help, ".") {
			t.Errorf("%s: incomplete: %+v", v.name, v)
		}
		for what, value := range map[string]string{"default": v.def, "example": v.example} {
			if value != "" {
				if err := v.set(&Config{}, value); err != nil {
					t.Errorf("%s: its %s %q is wrong: %v", v.name, what, value, err)
				}
			}
		}
		if (len(v.neededBy) > 0) != (v.neededFor != "") {
			t.Errorf("%s: neededBy and neededFor go together", v.name)
		}
	}
}
