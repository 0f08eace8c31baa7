package review_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestEachMessageHasACase finds the messages in the source, and looks for each among those of
// mistakes, whose good forms show that the advice can be followed.
func TestEachMessageHasACase(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	for _, list := range mistakes {
		for _, m := range list {
			said.WriteString(strings.Join(judge(t, m.bad), "\n") + "\n")
		}
	}
	found := 0
	for _, message := range messages(t) {
		found++
		pattern := regexp.MustCompile(`%[sd]`).ReplaceAllString(regexp.QuoteMeta(message), ".*")
		if !regexp.MustCompile(pattern).MatchString(said.String()) {
			t.Errorf("no case of mistakes gets %q", message)
		}
	}
	if found == 0 {
		t.Error("found no message")
	}
}

// messages are the third arguments of breaks, where they are literals.
func messages(t *testing.T) (all []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 3 {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "breaks" {
				if s := literal(call.Args[2]); s != "" && s != "%s" {
					all = append(all, s)
				}
			}
			return true
		})
	}
	return all
}

// literal is the text of a string, or of several that are added.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.BinaryExpr:
		return literal(e.X) + literal(e.Y)
	}
	return ""
}
