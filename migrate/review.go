package migrate

import (
	"cmp"
	"fmt"
	"slices"
)

// Review finds a contributor's mistakes in the files behind version released, the
// last one of the last release: what the server would accept, and an operator
// would pay for with an outage, a program that runs beside it with errors, and the
// next contributor with a schema that nobody knows. It is for a test in the program that
// bundles the files; Up does not ask it. Files up to released are history: they
// are only read to know what there is.
//
// Every message ends with its rule's name in parentheses; docs/writing-migrations.md
// has them all. A file for which a rule is wrong says so at its top:
//
//	-- migrate:allow RULE because REASON
//
// What a string holds, the body of a DO block or of a PL/pgSQL function, is not read.
func (b Bundle) Review(schema string, released int) []Problem {
	r := &review{schema: schema, released: released, made: made{map[object]int{}, map[string]*table{}}}
	for i := range b.migrations {
		r.read(&b.migrations[i])
	}
	r.keysWithoutIndex()
	return r.problems(b.after(max(released, 0)))
}

// A review is the state of Review between two statements.
type review struct {
	schema   string
	released int
	made     made
	found    []finding

	// Of the file at hand.
	file      *Migration
	temporary map[string]bool // tables that the file makes for itself
	locked    string          // the first released table that an ALTER TABLE above has locked
}

// A finding is one place that breaks a rule.
type finding struct {
	file    *Migration
	at      int
	rule    rule
	message string
}

func (r *review) read(m *Migration) {
	r.file, r.temporary, r.locked = m, map[string]bool{}, ""
	for _, p := range phrases(m.SQL) {
		r.statement(p)
	}
}

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

// own says when a name is not one in the schema, or does not show it.
func (r *review) own(n name) {
	switch {
	case n.name == "" || n.schema == r.schema || n.schema == "" && r.temporary[n.name]:
	case n.schema == "":
		r.breaks(ruleQualified, n.at, "%s is found only as long as the search_path is what it is today; write %s.%s", n, r.schema, n)
	default:
		r.breaks(ruleQualified, n.at, "%s is in another schema than the one that is migrated; write %s.%s", n, r.schema, n.name)
	}
}

// contracting says when a released program may miss what is taken away here.
func (r *review) contracting(at int, what string) {
	if !r.file.setsMinVersion() {
		r.breaks(ruleMinVersion, at, "%s takes away what programs of an earlier release may use, beside this one or after a rollback; "+
			"write -- migrate:min-version N at the top, N being the last version of the oldest release that does without it", what)
	}
}

// problems returns what was found behind the release and is not allowed, and what is
// wrong with the directives that allow.
func (r *review) problems(judged []Migration) []Problem {
	var found []finding
	for _, f := range r.found {
		if f.file.Version > r.released && !f.file.allows(f.rule) {
			f.message += " (" + string(f.rule) + ")"
			found = append(found, f)
		}
	}
	for i := range judged {
		m := &judged[i]
		for _, a := range m.allowed {
			if message := r.idle(m, a); message != "" {
				found = append(found, finding{file: m, at: a.at, message: message})
			}
		}
	}
	slices.SortStableFunc(found, func(x, y finding) int {
		return cmp.Or(x.file.Version-y.file.Version, x.at-y.at)
	})
	problems := make([]Problem, len(found))
	for i, f := range found {
		line, column := place(f.file.SQL, f.at)
		problems[i] = Problem{f.file.File, line, column, f.message}
	}
	return problems
}

// idle says what is wrong with a directive that allows what is not there.
func (r *review) idle(m *Migration, a allowance) string {
	switch {
	case !slices.Contains(rules(), a.rule):
		return fmt.Sprintf("there is no rule %q to allow; there are %s", a.rule, joinRules())
	case !slices.ContainsFunc(r.found, func(f finding) bool { return f.file == m && f.rule == a.rule }):
		return fmt.Sprintf("nothing in this file breaks the rule %s; leave the directive out", a.rule)
	}
	return ""
}
