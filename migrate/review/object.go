package review

import (
	"slices"
	"strings"
)

// kind reads what sort of object a CREATE, ALTER, DROP or COMMENT is about.
func (p *phrase) kind() string {
	for _, words := range []string{
		"MATERIALIZED VIEW", "FOREIGN TABLE", "DEFAULT PRIVILEGES", "EVENT TRIGGER", "USER MAPPING", "ACCESS METHOD",
		"FOREIGN DATA WRAPPER", "OPERATOR CLASS",
		"OPERATOR FAMILY", "TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY", "TEXT SEARCH PARSER",
		"TEXT SEARCH TEMPLATE",
	} {
		if p.accept(strings.Fields(words)...) {
			return words
		}
	}
	return p.next()
}

// space returns the namespace of a kind of object; "" where its names are not in a
// schema.
func space(kind string) string {
	switch kind {
	case "TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE", "SEQUENCE", "INDEX":
		return "relation"
	case "FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE":
		return "routine"
	case "TYPE", "DOMAIN":
		return "type"
	case "COLLATION", "CONVERSION", "STATISTICS", "TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY",
		"TEXT SEARCH PARSER", "TEXT SEARCH TEMPLATE":
		return lower(kind)
	}
	return ""
}

func lower(kind string) string { return strings.ToLower(kind) }

// create judges what follows CREATE.
func (r *review) create(at int, p phrase) {
	replace := p.accept("OR", "REPLACE")
	temporary, unique := false, false
	for p.isAny("GLOBAL", "LOCAL", "TEMP", "TEMPORARY", "UNLOGGED", "UNIQUE", "CONSTRAINT", "RECURSIVE") {
		unique = unique || p.is("UNIQUE")
		temporary = temporary || p.isAny("TEMP", "TEMPORARY")
		p.next()
	}
	kind := p.kind()
	concurrently := p.accept("CONCURRENTLY")
	p.accept("IF", "NOT", "EXISTS")
	switch kind {
	case "SCHEMA":
		r.otherSchema(at, p)
	case "ROLE", "USER", "GROUP":
		r.breaks(rulePrivileges, at, "roles are the server's, not the schema's; the migrator makes the program's "+
			"own, others are the DBA's")
	case "TABLE":
		r.createTable(p, temporary)
	case "INDEX":
		r.createIndex(at, p, unique, concurrently)
	case "TRIGGER", "POLICY", "RULE":
		r.createOnTable(at, kind, p, replace)
	case "PUBLICATION":
		r.createPublication(p)
	case "CAST", "EXTENSION", "OPERATOR":
		r.creates(lower(kind), p.bare(kind))
	default:
		if space(kind) != "" {
			r.createNamed(at, kind, p, replace, temporary)
		}
	}
}

// createNamed judges objects about whose inside no rule asks.
func (r *review) createNamed(at int, kind string, p phrase, replace, temporary bool) {
	n, ok := p.name()
	switch {
	case !ok:
		return
	case temporary:
		r.temporary[n.name] = true
		return
	}
	r.own(n)
	r.replaces(at, replace, object{space(kind), n.name}, kind+" "+n.String())
	// What is replaced, and a function of another signature, are as old as they were.
	if _, known := r.made.objects[object{space(kind), n.name}]; !known || !replace && space(kind) != "routine" {
		r.creates(space(kind), n.name)
	}
	switch kind {
	case "VIEW", "MATERIALIZED VIEW":
		r.made.over[n.name] = p.within(r.schema)
		if kind == "VIEW" {
			r.reads(p)
			if replace {
				r.locks(n, "CREATE OR REPLACE VIEW", useIt)
			}
		} else {
			r.answers(p, "CREATE MATERIALIZED VIEW")
			r.made.table(n).stored = true
		}
		r.made.views[n.name] = r.made.columnsOf(p)
	case "FOREIGN TABLE":
		r.made.table(n).foreign = true
	case "FUNCTION", "PROCEDURE":
		r.made.calls[n.name] = p.routine()
		r.reads(p.find("BEGIN", "ATOMIC"))
		r.reads(p.find("RETURN"))
	case "TYPE":
		r.made.polymorphic[n.name] = p.is("AS", "ENUM") || p.is("AS", "RANGE")
	case "DOMAIN":
		p.accept("AS")
		base := p.until("CONSTRAINT", "NOT", "NULL", "CHECK", "DEFAULT", "COLLATE")
		r.columnType(base)
		d := domain{base: base.text(), notNull: p.find("NOT", "NULL") != nil}
		for check := p.find("CHECK"); check.accept("CHECK"); check = check.find("CHECK") {
			d.checks++
		}
		r.made.domains[n.name] = d
	}
}

// routine reads what follows the name of a function.
func (p phrase) routine() routine {
	f := routine{volatile: p.find("STABLE") == nil && p.find("IMMUTABLE") == nil}
	for _, a := range p.group().list() {
		f.arguments = append(f.arguments, a.text())
	}
	if p.accept("RETURNS") {
		returns := p.until("LANGUAGE", "AS", "STABLE", "IMMUTABLE", "VOLATILE", "STRICT", "SECURITY", "SET", "COST",
			"ROWS", "PARALLEL", "LEAKPROOF", "CALLED", "RETURN", "BEGIN", "WINDOW", "NOT", "SUPPORT")
		f.returns = returns.text()
	}
	f.trigger = f.returns == "trigger" || f.returns == "event_trigger"
	return f
}

// answers reports whether a call of an older function is answered by this one.
func (f routine) answers(old routine) bool {
	if f.returns != old.returns || len(f.arguments) < len(old.arguments) {
		return false
	}
	for i, a := range f.arguments {
		if i < len(old.arguments) && a != old.arguments[i] || i >= len(old.arguments) &&
			!strings.Contains(a, "default") && !strings.Contains(a, "=") {
			return false
		}
	}
	return true
}

// columnsOf returns the names of a view's columns, of what follows its name; nil when the
// text does not say them.
func (m *made) columnsOf(p phrase) []string {
	if p.is("(") {
		return p.group().names()
	}
	p.until("AS")
	p.accept("AS")
	if !p.accept("SELECT") {
		return nil
	}
	p.accept("DISTINCT")
	list := p.until("FROM", "WHERE", "UNION", "INTERSECT", "EXCEPT", "ORDER", "LIMIT", "GROUP", ";")
	names := []string{}
	for _, item := range list.list() {
		switch as := item.find("AS"); {
		case item.text() == "*" && p.accept("FROM"):
			n := p.target()
			t := m.tables[n.name]
			if t == nil || len(t.kinds) == 0 || p.find("JOIN") != nil || p.find(",") != nil {
				return nil
			}
			for column := range t.kinds {
				names = append(names, column)
			}
		case as.accept("AS"):
			n, _ := as.name()
			names = append(names, n.name)
		default:
			n, ok := item.name()
			if !ok || len(item) > 0 {
				return nil
			}
			names = append(names, n.name)
		}
	}
	return names
}

// replaces lets OR REPLACE change what a file made before: dropping it first would
// lose its grants and what depends on it. Where there should be nothing, it hides
// that there is something.
func (r *review) replaces(at int, replace bool, o object, what string) {
	if _, made := r.made.objects[o]; replace && !made {
		r.breaks(ruleOrReplace, at, "OR REPLACE would overwrite what somebody else made, for no file before made "+
			"%s; write CREATE alone", what)
	}
}

// createOnTable judges what has a name within its table.
func (r *review) createOnTable(at int, kind string, p phrase, replace bool) {
	n, _ := p.name()
	mark := "ON"
	if kind == "RULE" {
		mark = "TO" // CREATE RULE r AS ON INSERT TO t
	}
	event := p.until(mark)
	p.accept(mark)
	t, _ := p.name()
	r.own(t)
	o := object{lower(kind), t.name + "." + n.name}
	r.replaces(at, replace, o, kind+" "+n.name+" on "+t.String())
	r.creates(o.space, o.name)
	by := "CREATE " + kind
	switch kind {
	case "RULE":
		r.locks(t, by, useIt)
		if _, view := r.made.views[t.name]; event.find("SELECT") == nil && r.oldTable(t) {
			what := "CREATE RULE on " + t.String() + ", with which ON CONFLICT and MERGE fail,"
			if view {
				what = "CREATE RULE on " + t.String() + ", with which a change of it does something else,"
			}
			r.contracting(at, what)
		}
	case "POLICY":
		r.locks(t, by, useIt)
		r.createPolicy(at, n, t, p)
	default:
		r.locks(t, by, writeTo)
	}
	if kind != "TRIGGER" {
		r.reads(p)
		return
	}
	p.until("EXECUTE")
	p.next()
	p.skip("FUNCTION", "PROCEDURE")
	if f, ok := p.name(); ok && r.ours("routine", f) {
		r.own(f)
	}
}

// createPolicy notes a policy; one that is restrictive takes rows away.
func (r *review) createPolicy(at int, n, t name, p phrase) {
	made := policy{restrictive: p.find("AS", "RESTRICTIVE") != nil}
	if using := p.find("USING"); using.accept("USING") {
		made.all = using.group().text() == "true" && p.find("TO") == nil && p.find("FOR") == nil
	}
	table := r.made.table(t)
	if made.restrictive && !made.all && table.secured && r.oldTable(t) {
		r.takes(at, "CREATE POLICY … AS RESTRICTIVE on "+t.String(), func() bool { return !table.secured })
	}
	table.policies[n.name] = made
}

// ours reports whether a name is meant for an object of the schema's: without a
// schema, it may be one of the server's own functions or types.
func (r *review) ours(space string, n name) bool {
	_, made := r.made.objects[object{space, n.name}]
	return made && n.schema == "" || n.schema != "" && n.schema != "pg_catalog"
}

func (r *review) createIndex(at int, p phrase, unique, concurrently bool) {
	i := index{}
	if !p.is("ON") {
		n, _ := p.name()
		i.name = n.name
	}
	p.accept("ON")
	only := p.is("ONLY")
	t := p.target()
	r.own(t)
	table := r.made.table(t)
	if !concurrently && !table.stored {
		r.locks(t, "CREATE INDEX", writeTo)
	}
	if table.stored && !concurrently && r.oldTable(t) {
		r.long(at, "CREATE INDEX reads "+t.String())
	}
	switch {
	case !r.oldTable(t), concurrently, table.stored, table.partitioned && only:
	case table.partitioned:
		r.breaks(ruleConcurrently, at, "CREATE INDEX stops every write to %s while it builds one for each "+
			"partition, and CONCURRENTLY is not possible there; "+
			"write CREATE INDEX … ON ONLY %s, then CREATE INDEX CONCURRENTLY for each partition in a file of its "+
			"own with -- migrate:no-transaction, and ALTER INDEX … ATTACH PARTITION", t, t)
	default:
		r.breaks(ruleConcurrently, at, "CREATE INDEX stops every write to %s, which has rows already, until it "+
			"is built; "+
			"give it a file of its own with -- migrate:no-transaction and CREATE INDEX CONCURRENTLY", t)
	}
	if p.accept("USING") {
		i.method = p[:min(1, len(p))].text()
	}
	i.finds = slices.Contains([]string{"", "btree", "hash"}, i.method) // GIN and the like find no single row
	p.until("(")
	whole := p
	inner := p.group()
	i.columns = inner.names()
	if len(i.columns) > 0 && i.name == "" {
		i.name = t.name + "_" + strings.Join(i.columns, "_") + "_idx"
	}
	r.creates("relation", i.name)
	partial := p.find("WHERE")
	i.unique, i.uses, i.plain = unique, whole.words(), partial == nil && !slices.Contains(i.columns, "")
	var parts []string
	for k, item := range inner.list() {
		if item.find("COLLATE") != nil {
			i.collate = append(i.collate, i.columns[k])
		}
		item = item.until("ASC", "DESC", "NULLS")
		parts = append(parts, item.text())
	}
	i.same = strings.TrimSpace(same(parts) + " " + partial.text())
	if partial.accept("WHERE") && partial.text() == strings.Join(i.columns, ", ")+" is not null" {
		partial = nil // all that a foreign key looks for
	}
	i.finds = i.finds && partial == nil
	table.indexes = append(table.indexes, i)
}

// drop judges what follows DROP.
func (r *review) drop(at int, p phrase) {
	kind := p.kind()
	p.accept("CONCURRENTLY")
	p.accept("IF", "EXISTS")
	switch kind {
	case "SCHEMA":
		r.otherSchema(at, p)
	case "ROLE", "USER", "GROUP", "OWNED":
		r.breaks(rulePrivileges, at, "roles are the server's, not the schema's; leave them to the DBA")
	case "TRIGGER", "POLICY", "RULE":
		n, _ := p.name()
		p.accept("ON")
		t, _ := p.name()
		r.own(t)
		r.forget(lower(kind), t.name+"."+n.name)
		r.locks(t, "DROP "+kind, useIt)
		if kind == "POLICY" {
			r.dropPolicy(at, n, t)
			return
		}
		if _, view := r.made.views[t.name]; view && r.oldTable(t) {
			again := object{lower(kind), t.name + "." + n.name}
			r.takes(at, "DROP "+kind+" on "+t.String()+", which may be what writes to it,", func() bool {
				_, made := r.made.objects[again]
				return made
			}, only(again))
		}
	case "CAST", "EXTENSION", "OPERATOR":
		o := object{lower(kind), p.bare(kind)}
		if r.old(o) {
			r.contracting(at, "DROP "+kind+" "+o.name)
		}
		r.forget(o.space, o.name)
	default:
		items := p.until("CASCADE", "RESTRICT").list()
		for _, item := range items {
			if n, ok := item.name(); ok && space(kind) != "" {
				r.dropNamed(at, kind, n)
				if p.is("CASCADE") {
					r.cascade(at, n)
				}
			}
		}
	}
}

// bare is the name of what is in no schema, or of an operator whatever it is for.
func (p phrase) bare(kind string) string {
	if kind == "CAST" {
		return p.group().text()
	}
	return p.until("(", "WITH", "SCHEMA", "VERSION", "CASCADE", "RESTRICT").text()
}

// within returns the names that stand behind the schema's.
func (p phrase) within(schema string) (names []string) {
	for i := range p {
		rest := p[i:]
		if n, ok := rest.name(); ok && n.schema == schema {
			names = append(names, n.name)
		}
	}
	return names
}

// cascade judges the views that go with an object.
func (r *review) cascade(at int, n name) {
	for _, view := range r.made.dependants(n.name) {
		kind := "VIEW"
		if r.made.table(name{name: view}).stored {
			kind = "MATERIALIZED VIEW"
		}
		r.dropNamed(at, kind, name{n.schema, view, n.at})
	}
}

// dropPolicy says when rows go with a policy.
func (r *review) dropPolicy(at int, n, t name) {
	table := r.made.table(t)
	was, known := table.policies[n.name]
	delete(table.policies, n.name)
	if known && !was.restrictive && table.secured && r.oldTable(t) {
		left := len(table.policies)
		r.takes(at, "DROP POLICY "+n.name+" on "+t.String(), func() bool { return len(table.policies) > left })
	}
}

func (r *review) dropNamed(at int, kind string, n name) {
	if r.temporary[n.name] {
		return
	}
	r.own(n)
	if kind == "INDEX" {
		r.dropIndex(at, n)
	} else if o := (object{space(kind), n.name}); space(kind) != "statistics" && r.old(o) {
		what := "DROP " + kind + " " + n.String()
		switch view, viewed := r.made.views[n.name]; {
		case (kind == "FUNCTION" || kind == "ROUTINE") && r.made.calls[n.name].trigger:
		case kind == "VIEW", kind == "MATERIALIZED VIEW":
			r.takes(at, what, func() bool {
				again, ok := r.made.views[n.name]
				if _, made := r.made.objects[o]; !made || !ok || kind == "VIEW" && r.made.table(n).stored { // no UPDATE
					return false
				}
				return !viewed || view == nil || again == nil ||
					!slices.ContainsFunc(view, func(c string) bool { return !slices.Contains(again, c) })
			}, only(o))
		case kind == "FUNCTION", kind == "PROCEDURE":
			was := r.made.calls[n.name]
			r.takes(at, what, func() bool {
				_, made := r.made.objects[o]
				return made && r.made.calls[n.name].answers(was)
			}, only(o))
		default:
			r.contracting(at, what)
		}
		if space(kind) == "relation" {
			r.locks(n, "DROP "+kind, useIt)
		}
		for of, t := range r.made.tables {
			for column, k := range t.kinds {
				if space(kind) == "type" && (k == n.String() || k == n.String()+"[]") { // it goes with CASCADE
					r.locks(name{n.schema, of, at}, "DROP "+kind, useIt)
					t.dropColumn(column)
				}
			}
		}
	}
	r.forget(space(kind), n.name)
	if space(kind) == "relation" {
		delete(r.made.tables, n.name)
		delete(r.made.views, n.name)
	}
}

func (r *review) dropIndex(at int, n name) {
	for of, t := range r.made.tables {
		if slices.ContainsFunc(t.indexes, func(i index) bool { return i.name == n.name }) {
			r.unique(at, "DROP INDEX "+n.String(), name{n.schema, of, at}, n.name)
			if !r.file.NoTransaction && !t.stored {
				r.locks(name{n.schema, of, at}, "DROP INDEX", useIt)
			}
		}
		t.drop(n.name)
	}
}

// unique says when a unique index goes, or a constraint, that an older program's ON CONFLICT needs: it
// names the columns of the one, or the other one itself.
func (r *review) unique(at int, what string, of name, index string) {
	t := r.made.table(of)
	i := t.index(index)
	if i == nil || !i.unique && !i.key || !r.oldTable(of) || !r.old(object{"relation", index}) {
		return
	}
	was := *i
	r.takes(at, what+", without which ON CONFLICT fails,", func() bool {
		return (!was.unique || len(t.uniques(was.same)) > 0) && (!was.key || was.named > r.released || t.isKey(was.name))
	}, only(object{"relation", index}), func() []object { return t.uniques(was.same) })
}

// uniques returns the unique indexes of these columns.
func (t *table) uniques(same string) (all []object) {
	for _, i := range t.indexes {
		if i.unique && i.same == same {
			all = append(all, object{"relation", i.name})
		}
	}
	return all
}
