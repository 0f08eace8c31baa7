package web

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/problem"
)

// TestEveryProblemHasASentence reads the source: each code that some package declares has a sentence, each sentence a
// code, and each place that finds a problem gives the arguments that its sentence takes.
func TestEveryProblemHasASentence(t *testing.T) {
	t.Parallel()
	files := sourceFiles(t, "..")
	codes := map[string]problem.Code{} // by the names of their constants, which are different in all packages
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !isCode(spec.Type) || len(spec.Values) == 0 {
				return true
			}
			for i, name := range spec.Names {
				text, err := strconv.Unquote(spec.Values[i].(*ast.BasicLit).Value)
				if _, known := codes[name.Name]; err != nil || known {
					t.Errorf("%s is declared twice, or is not a text", name.Name)
				}
				codes[name.Name] = problem.Code(text)
			}
			return true
		})
	}
	all := sentences()
	used := map[problem.Code]bool{}
	for name, code := range codes {
		if all[code] == "" {
			t.Errorf("%s (%s) has no sentence", name, code)
		}
		used[code] = true
	}
	for code := range all {
		if !used[code] {
			t.Errorf("the sentence of %s belongs to no constant", code)
		}
	}
	if len(used) != len(codes) {
		t.Errorf("%d constants have %d codes", len(codes), len(used))
	}

	found := map[string]bool{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			for i, arg := range call.Args {
				name := nameOf(arg)
				if codes[name] == "" || i == 0 || call.Ellipsis.IsValid() {
					continue
				}
				rest := len(call.Args) - i - 1
				if function := nameOf(call.Fun); function == "number" { // it has the three arguments of a range itself
					continue
				}
				if verbs := strings.Count(all[codes[name]], "%"); verbs != rest {
					t.Errorf("%s is found with %d arguments, its sentence has %d: %q", name, rest, verbs,
						all[codes[name]])
				}
				found[name] = true
			}
			return true
		})
	}
	if len(found) < 20 {
		t.Errorf("only %d places that find problems were found in the source", len(found))
	}
}

func isCode(e ast.Expr) bool { return e != nil && nameOf(e) == "Code" }

// nameOf returns the name of an identifier, without its package.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func sourceFiles(t *testing.T, root string) (files []*ast.File) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		files = append(files, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestASentenceUsesItsArguments(t *testing.T) {
	t.Parallel()
	for code, format := range sentences() {
		var args []any
		for _, verb := range strings.Split(format, "%")[1:] {
			if strings.HasPrefix(verb, "d") {
				args = append(args, 1)
			} else {
				args = append(args, "x")
			}
		}
		if text := sentenceOf(problem.Problem{Code: code, Args: args}); strings.Contains(text, "%!") ||
			!strings.HasSuffix(text, ".") {
			t.Errorf("%s: %s", code, text)
		}
	}
}
