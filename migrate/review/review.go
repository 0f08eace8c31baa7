// Package review finds a contributor's mistakes in migrations: what the server would
// accept, and an operator would pay for with an outage, a program that runs beside it
// with errors, and the next contributor with a schema that nobody knows.
//
// It is for a test in the program that bundles the files; a start does not ask it.
//
// Every message ends with its rule's name in parentheses; docs/writing-migrations.md
// has them all. A file for which a rule is wrong says so at its top:
//
//	-- migrate:allow RULE because REASON
//
// What a string holds, the body of a DO block or of a PL/pgSQL function, is not read.
package review

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// Bundle finds the mistakes in the files behind version released, the last one of the
// last release. Files up to released are history: they are only read to know what
// there is.
func Bundle(b bundle.Bundle, schema string, released int) []bundle.Problem {
	files := b.Migrations()
	r := &review{schema: schema, released: released, made: made{
		objects: map[object]int{}, tables: map[string]*table{}, domains: map[string]domain{},
		views: map[string][]string{}, calls: map[string]routine{},
		polymorphic: map[string]bool{}, quiet: map[string]bool{}, over: map[string][]string{},
	}}
	for i := range files {
		r.read(&files[i])
	}
	r.keysWithoutIndex()
	return r.problems(files)
}

// A review is what is known between two statements.
type review struct {
	schema   string
	released int
	made     made
	found    []finding

	// Of the file at hand.
	file      *bundle.Migration
	temporary map[string]bool // tables that the file makes for itself
	locked    lock            // the first one on what a release made
	gone      []gone          // what an older program may miss at the file's end
	touched   map[int]bool    // where it names the ledger
}

// A lock is one that stands until the file ends.
type lock struct{ of, by, nobody string }

// gone is something that a file takes away, unless it brings it back further down. Programs of a release
// then use what serves in its place, so that it is as old to them.
type gone struct {
	at     int
	what   string
	back   func() bool
	serves []func() []object
}

// A finding is one place that breaks a rule.
type finding struct {
	file    *bundle.Migration
	at      int
	rule    rule
	message string
}

func (r *review) read(m *bundle.Migration) {
	r.file, r.temporary, r.locked, r.gone, r.touched = m, map[string]bool{}, lock{}, nil, map[int]bool{}
	for _, tokens := range sqltext.Tokens(m.SQL) {
		r.statement(tokens)
	}
	for _, g := range r.gone {
		if !g.back() {
			r.contracting(g.at, g.what)
			continue
		}
		for _, serves := range g.serves {
			r.keepAge(serves())
		}
	}
}

// locks notes that what a release made is locked until the file ends: nobody can use it,
// or only nobody write to it.
func (r *review) locks(n name, by, nobody string) {
	if r.locked.of == "" && n.name != "" && r.oldTable(n) {
		r.locked = lock{n.String(), by, nobody}
	}
}

const (
	useIt   = "use"
	writeTo = "write to"
)

// breaks notes that the file at hand breaks a rule.
func (r *review) breaks(rule rule, at int, format string, args ...any) {
	r.found = append(r.found, finding{r.file, at, rule, fmt.Sprintf(format, args...)})
}

// old reports whether a release may have made the object, so that there are rows
// in it and programs that use it. What no file is seen to make is taken for old.
func (r *review) old(o object) bool {
	version, known := r.made.objects[o]
	return !known || version <= r.released
}

func (r *review) oldTable(n name) bool {
	return !r.temporary[n.name] && r.old(object{"relation", n.name})
}

// creates notes that the file at hand makes an object.
func (r *review) creates(space, name string) { r.made.objects[object{space, name}] = r.file.Version }

// forget notes that an object is gone; a later one of that name is another one.
func (r *review) forget(space, name string) { delete(r.made.objects, object{space, name}) }

// ledger says when a name is that of the migrator's own table, once for each place.
func (r *review) ledger(n name) {
	if r.touched[n.at] || n.schema != r.schema && (n.schema != "" || r.temporary[n.name]) {
		return
	}
	switch n.name {
	case "migrations", "migrations_pkey", "migrations_prev_key":
		r.touched[n.at] = true
		r.breaks(ruleLedger, n.at, "the ledger of applied migrations is the migrator's; a file neither changes it "+
			"nor builds upon it")
	}
}

// ledgers says where the ledger's name stands in full: as a type, behind INHERITS,
// OWNED BY, COPY and in whatever else the rules do not read.
func (r *review) ledgers(p phrase) {
	for i := range p {
		if i > 0 && p[i-1].Word == "." {
			continue // not a name's first part
		}
		rest := p[i:]
		parts, at := rest.path()
		for k := 1; k < len(parts); k++ {
			if parts[k-1] == r.schema {
				r.ledger(name{parts[k-1], parts[k], at})
			}
		}
	}
}

// own says when a name is not one in the schema, or does not show it, or is the ledger's.
func (r *review) own(n name) {
	r.ledger(n)
	switch {
	case n.name == "" || n.schema == r.schema || n.schema == "" && r.temporary[n.name]:
	case n.schema == "":
		r.breaks(ruleQualified, n.at, "%s is found only as long as the search_path is what it is today; write %s.%s",
			n, r.schema, n)
	default:
		r.breaks(ruleQualified, n.at, "%s is in another schema than the one that is migrated; write %s.%s", n,
			r.schema, n.name)
	}
}

// contracting says when a released program may miss what is taken away here.
func (r *review) contracting(at int, what string) {
	if !setsMinVersion(r.file) {
		r.breaks(ruleMinVersion, at, "%s takes away what programs of an earlier release may use, beside this one or "+
			"after a rollback; "+
			"write -- migrate:min-version N at the top, N being the last version of the oldest release that does "+
			"without it", what)
	}
}

// takes is contracting where the file may bring back what it takes; serves lists what a program then uses
// in its place.
func (r *review) takes(at int, what string, back func() bool, serves ...func() []object) {
	r.gone = append(r.gone, gone{at, what, back, serves})
}

// only is what serves where that is one object.
func only(o object) func() []object { return func() []object { return []object{o} } }

// keepAge makes objects of the file at hand as old as what they serve in place of.
func (r *review) keepAge(objects []object) {
	for _, o := range objects {
		if _, made := r.made.objects[o]; made {
			r.made.objects[o] = min(r.made.objects[o], r.released)
		}
	}
}

// setsMinVersion tells a min-version of the file's own from one that an earlier file
// has set for all that follow.
func setsMinVersion(m *bundle.Migration) bool {
	return slices.ContainsFunc(m.Directives(), func(d string) bool { return strings.HasPrefix(d, "min-version ") })
}

// problems returns what was found behind the release and is not allowed, and what is
// wrong with the directives that allow.
func (r *review) problems(files []bundle.Migration) []bundle.Problem {
	var found []finding
	for _, f := range r.found {
		if f.file.Version > r.released && !allows(f.file, f.rule) {
			f.message += " (" + string(f.rule) + ")"
			found = append(found, f)
		}
	}
	for i := range files {
		m := &files[i]
		if m.Version <= r.released {
			continue
		}
		for _, a := range m.Exemptions {
			if message := r.idle(m, a); message != "" {
				found = append(found, finding{file: m, at: a.Offset, message: message})
			}
		}
	}
	slices.SortStableFunc(found, func(x, y finding) int {
		return cmp.Or(x.file.Version-y.file.Version, x.at-y.at)
	})
	problems := make([]bundle.Problem, len(found))
	for i, f := range found {
		line, column := sqltext.Place(f.file.SQL, f.at)
		problems[i] = bundle.Problem{File: f.file.File, Line: line, Column: column, Message: f.message}
	}
	return problems
}

func allows(m *bundle.Migration, r rule) bool {
	return slices.ContainsFunc(m.Exemptions, func(a bundle.Exemption) bool { return a.Rule == string(r) })
}

// idle says what is wrong with a directive that allows what is not there.
func (r *review) idle(m *bundle.Migration, a bundle.Exemption) string {
	switch {
	case !slices.Contains(rules(), rule(a.Rule)):
		return fmt.Sprintf("there is no rule %q to allow; there are %s", a.Rule, joinRules())
	case !slices.ContainsFunc(r.found, func(f finding) bool { return f.file == m && string(f.rule) == a.Rule }):
		return fmt.Sprintf("nothing in this file breaks the rule %s; leave the directive out", a.Rule)
	}
	return ""
}
