// Command house measures how the code of this repository is built: what its packages show to others, which files of a
// package know which, and where lines, functions and words are not what the style wants.
//
//	cd tools && go run ./house            # the repository around it
//	cd tools && go run ./house -dir DIR   # another checkout, for a comparison
//
// An arrow runs from a file to another one of its package that declares something the first names. Of all orders in
// which files could be read, from the ground up, the one with the fewest arrows against it is looked for; those are the
// arrows that run up, and a file in which none begins needs nothing that stands above it.
package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/uudashr/gocognit"
	"golang.org/x/tools/go/packages"
)

const (
	longestLine      = 120 // columns; a tab is four
	longestFunction  = 60  // lines
	hardestFunction  = 15  // cognitive complexity
	module           = "github.com/avtotpy/avtotpy/"
	heart            = module + "migrate"
	reviewedByItself = heart + "/review"
)

// plain are words that Go's and PostgreSQL's manuals say in another way.
var plain = regexp.MustCompile(`(?i)\b(tells?|told|whoever|somebody|nobody|anew|mends?|bears?|meanwhile|beside)\b`)

func main() {
	dir := flag.String("dir", "..", "the checkout")
	each := flag.Bool("v", false, "name each line, function and arrow")
	flag.Parse()
	h := house{verbose: *each}
	if err := h.read(*dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	h.print()
}

// A house is what was measured.
type house struct {
	verbose bool
	rooms   []room

	wide, functions, long, hard, comments, archaic int
}

// A room is one package of the heart.
type room struct {
	name                     string
	lines, exported, methods int
	arrows, up               int
}

func (h *house) read(dir string) error {
	all, err := packages.Load(&packages.Config{
		Dir: dir,
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes |
			packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps,
	}, "./...")
	if err != nil {
		return err
	}
	for _, p := range all {
		if len(p.Errors) > 0 {
			return p.Errors[0]
		}
		h.readFunctions(p)
		if p.PkgPath == heart || strings.HasPrefix(p.PkgPath, heart+"/") &&
			!strings.HasPrefix(p.PkgPath, reviewedByItself) {
			h.rooms = append(h.rooms, h.readRoom(p))
		}
	}
	return h.readLines(dir)
}

func (h *house) readFunctions(p *packages.Package) {
	for _, f := range p.Syntax {
		for _, d := range f.Decls {
			function, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			h.functions++
			at := p.Fset.Position(function.Pos())
			if n := p.Fset.Position(function.End()).Line - at.Line + 1; n > longestFunction {
				h.long++
				h.say("%s:%d: %s has %d lines", at.Filename, at.Line, function.Name, n)
			}
			if n := gocognit.Complexity(function); n > hardestFunction {
				h.hard++
				h.say("%s:%d: %s has a cognitive complexity of %d", at.Filename, at.Line, function.Name, n)
			}
		}
		h.readComments(p, f)
	}
}

func (h *house) readComments(p *packages.Package, f *ast.File) {
	for _, group := range f.Comments {
		for line := range strings.Lines(group.Text()) {
			h.comments++
			if plain.MatchString(line) {
				h.archaic++
				h.say("%s: %s", p.Fset.Position(group.Pos()), strings.TrimSpace(line))
			}
		}
	}
}

func (h *house) readRoom(p *packages.Package) room {
	r := room{name: strings.TrimPrefix(p.PkgPath, module)}
	for _, f := range p.GoFiles {
		content, err := os.ReadFile(f)
		if err == nil {
			r.lines += strings.Count(string(content), "\n")
		}
	}
	for _, name := range p.Types.Scope().Names() {
		object := p.Types.Scope().Lookup(name)
		if !object.Exported() {
			continue
		}
		r.exported++
		if named, ok := object.Type().(*types.Named); ok && name == "Migrator" {
			r.methods = exportedMethods(named)
		}
	}
	arrows := arrowsOf(p)
	r.arrows = len(arrows)
	for _, a := range upward(arrows) {
		r.up++
		h.say("%s: %s knows %s, which stands above it", r.name, a.from, a.to)
	}
	return r
}

func exportedMethods(named *types.Named) (n int) {
	for m := range named.Methods() {
		if m.Exported() {
			n++
		}
	}
	return n
}

type arrow struct{ from, to string }

// arrowsOf returns each pair of files once.
func arrowsOf(p *packages.Package) []arrow {
	seen := map[arrow]bool{}
	file := func(at token.Pos) string { return filepath.Base(p.Fset.Position(at).Filename) }
	for name, object := range p.TypesInfo.Uses {
		if object.Pkg() != p.Types || !object.Pos().IsValid() || isLocal(p, object) {
			continue
		}
		if a := (arrow{file(name.Pos()), file(object.Pos())}); a.from != a.to {
			seen[a] = true
		}
	}
	var all []arrow
	for a := range seen {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b arrow) int { return strings.Compare(a.from+"\x00"+a.to, b.from+"\x00"+b.to) })
	return all
}

// isLocal reports what is declared within a function.
func isLocal(p *packages.Package, object types.Object) bool {
	scope := object.Parent()
	return scope != nil && scope != p.Types.Scope()
}

// upward returns the arrows against the best order that is found: one of a greedy search (Eades, Lin and Smyth, 1993),
// in which files are then moved as long as that helps.
func upward(arrows []arrow) []arrow {
	order := greedy(arrows)
	best := against(order, arrows)
	for better := true; better; {
		better = false
		for i := range order {
			for j := range order {
				moved := slices.Insert(slices.Delete(slices.Clone(order), i, i+1), j, order[i])
				if up := against(moved, arrows); len(up) < len(best) {
					order, best, better = moved, up, true
				}
			}
		}
	}
	return best
}

func against(order []string, arrows []arrow) (up []arrow) {
	place := map[string]int{}
	for i, f := range order {
		place[f] = i
	}
	for _, a := range arrows {
		if place[a.to] > place[a.from] {
			up = append(up, a)
		}
	}
	return up
}

// greedy orders files from the ground up: what knows no other comes first, and what no other knows last; of those
// that are left, the one that is known most and knows least.
func greedy(arrows []arrow) []string {
	var files []string
	for _, a := range arrows {
		files = append(files, a.from, a.to)
	}
	slices.Sort(files)
	files = slices.Compact(files)
	var ground, top []string
	for len(files) > 0 {
		pick, best := 0, -1<<31
		for i, f := range files {
			if score := groundScore(f, files, arrows); score > best {
				pick, best = i, score
			}
		}
		if best == ofTop {
			top = append(top, files[pick])
		} else {
			ground = append(ground, files[pick])
		}
		files = slices.Delete(files, pick, pick+1)
	}
	slices.Reverse(top)
	return append(ground, top...)
}

const (
	ofGround = 1 << 30
	ofTop    = 1<<29 - 1
)

// groundScore is higher the more a file belongs to the ground, among those that are left.
func groundScore(file string, left []string, arrows []arrow) int {
	known, knows := 0, 0
	for _, a := range arrows {
		if a.from == file && slices.Contains(left, a.to) {
			knows++
		}
		if a.to == file && slices.Contains(left, a.from) {
			known++
		}
	}
	switch {
	case knows == 0:
		return ofGround
	case known == 0:
		return ofTop
	}
	return known - knows
}

// readLines counts wide lines of Go and SQL, tests too.
func (h *house) readLines(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != dir && isLeftOut(path) {
			return filepath.SkipDir
		}
		if ext := filepath.Ext(path); ext != ".go" && ext != ".sql" {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		number := 0
		for line := range strings.Lines(string(content)) {
			number++
			line = strings.ReplaceAll(strings.TrimRight(line, "\n"), "\t", "    ")
			if n := utf8.RuneCountInString(line); n > longestLine {
				h.wide++
				h.say("%s:%d: %d columns", path, number, n)
			}
		}
		return nil
	})
}

// isLeftOut reports folders whose lines do not count. A migration that was applied keeps its checksum, and with it its
// lines.
func isLeftOut(folder string) bool {
	return strings.HasPrefix(filepath.Base(folder), ".") ||
		strings.HasSuffix(filepath.ToSlash(folder), "internal/schema/migrations")
}

func (h *house) say(format string, values ...any) {
	if h.verbose {
		fmt.Printf(format+"\n", values...)
	}
}

func (h *house) print() {
	fmt.Println("| package | lines | exported | methods of Migrator | arrows | up |")
	fmt.Println("|---|--:|--:|--:|--:|--:|")
	var sum room
	for _, r := range h.rooms {
		fmt.Printf("| %s | %d | %d | %d | %d | %d |\n", r.name, r.lines, r.exported, r.methods, r.arrows, r.up)
		sum.lines, sum.arrows, sum.up = sum.lines+r.lines, sum.arrows+r.arrows, sum.up+r.up
	}
	fmt.Printf("| the heart, without review | %d | | | %d | %d |\n\n", sum.lines, sum.arrows, sum.up)
	fmt.Println("| the repository | |")
	fmt.Println("|---|--:|")
	fmt.Printf("| lines over %d columns, Go and SQL | %d |\n", longestLine, h.wide)
	fmt.Printf("| functions over %d lines, of %d | %d |\n", longestFunction, h.functions, h.long)
	fmt.Printf("| with a cognitive complexity over %d | %d |\n", hardestFunction, h.hard)
	fmt.Printf("| comment lines with words to replace, of %d | %d |\n", h.comments, h.archaic)
}
