package review

import (
	"maps"
	"slices"
	"strings"
)

// alter judges what follows ALTER.
func (r *review) alter(at int, p phrase) {
	kind := p.kind()
	p.accept("IF", "EXISTS")
	switch kind {
	case "TABLE", "FOREIGN TABLE", "INDEX", "MATERIALIZED VIEW": // ALTER TABLE takes the others
		if p.accept("ALL", "IN", "TABLESPACE") {
			r.breaks(ruleRewrite, at, "SET TABLESPACE of all that is in a tablespace copies each %s while nobody "+
				"can use it; "+
				"leave it to the DBA", lower(kind))
			return
		}
		r.alterTable(kind, p)
		return
	case "SCHEMA":
		r.otherSchema(at, p)
	case "ROLE", "USER", "GROUP", "DATABASE":
		r.breaks(rulePrivileges, at, "a %s is the server's, not the schema's; leave it to the DBA", lower(kind))
	case "DEFAULT PRIVILEGES":
		r.breaks(rulePrivileges, at, "%s", declare)
	case "POLICY", "TRIGGER", "RULE":
		p.until("ON")
		p.accept("ON")
		t, _ := p.name()
		r.own(t)
		if p.find("DEPENDS") == nil {
			r.locks(t, "ALTER "+kind, useIt)
		}
		if kind == "POLICY" && !p.is("RENAME") && p.text() != "to public" && r.oldTable(t) {
			r.contracting(at, "ALTER POLICY on "+t.String())
		}
	case "DOMAIN":
		r.alterDomain(at, p)
		r.alterNamed(kind, p)
	case "PUBLICATION":
		r.alterPublication(p)
	default:
		switch owner := p.find("OWNER", "TO"); {
		case space(kind) != "":
			r.alterNamed(kind, p)
		case owner != nil:
			r.otherAction(owner.at(), name{}, owner, false)
		}
	}
}

// alterDomain judges what is added to a domain, which is looked for in every table with it.
func (r *review) alterDomain(at int, p phrase) {
	n, _ := p.name()
	d := r.made.domains[n.name]
	adds := p.find("ADD", "CONSTRAINT") != nil || p.is("ADD") || p.is("SET", "NOT", "NULL")
	if p.is("SET", "NOT", "NULL") && d.notNull {
		return
	}
	switch {
	case p.is("DROP", "CONSTRAINT"):
		d.checks = max(d.checks-1, 0)
	case p.is("ADD"):
		d.checks++
	}
	d.notNull = (d.notNull || p.is("SET", "NOT", "NULL")) && !p.is("DROP", "NOT", "NULL")
	if d.base != "" {
		r.made.domains[n.name] = d
	}
	validates := p.is("VALIDATE")
	if !validates && (!adds || p.find("NOT", "VALID") != nil) {
		return
	}
	for of, t := range r.made.tables {
		for _, kind := range t.kinds {
			table := name{n.schema, of, at}
			if !r.made.isOver(kind, n) || !r.oldTable(table) {
				continue
			}
			r.locks(table, "ALTER DOMAIN", writeTo)
			switch {
			case validates:
				r.breaks(ruleNotValid, at, "VALIDATE CONSTRAINT of a domain reads %s and all others with it, and "+
					"before PostgreSQL 18 nobody can write to them for so long; leave it not valid, for new values "+
					"are checked, or allow it if they are small", table)
			default:
				r.breaks(ruleNotValid, at, "a constraint of a domain reads %s and all others with it while nobody "+
					"can write to them; write ADD CONSTRAINT … CHECK (…) NOT VALID, which checks new values", table)
			}
			return
		}
	}
}

func (r *review) alterNamed(kind string, p phrase) {
	n, _ := p.name()
	r.own(n)
	typed := false // whether a release made a table of the type
	if kind == "TYPE" && p.find("CASCADE") != nil {
		for of, t := range r.made.tables {
			if table := (name{n.schema, of, p.at()}); t.of == n.name {
				r.locks(table, "ALTER TYPE", useIt)
				typed = typed || r.oldTable(table)
			}
		}
	}
	if kind == "TYPE" && p.find("ATTRIBUTE") != nil && r.old(object{"type", n.name}) {
		switch {
		case p.is("DROP"):
			r.contracting(p.at(), "DROP ATTRIBUTE in TYPE "+n.String())
		case p.is("ALTER") && typed:
			r.breaks(ruleRewrite, p.at(), "another type of an attribute rewrites the tables of type %s while nobody "+
				"can read them; add another attribute", n)
		}
	}
	switch {
	case kind == "VIEW", kind == "SEQUENCE" && p.find("OWNED") == nil || kind == "SEQUENCE" && p.is("RENAME"):
		r.locks(n, "ALTER "+kind, useIt)
	}
	if owner := p.find("OWNER", "TO"); owner != nil {
		r.otherAction(owner.at(), n, owner, false)
	}
	if set := p.find("SET", "SCHEMA"); set.accept("SET", "SCHEMA") {
		r.move(set, n)
	}
	rename := p.find("RENAME")
	if rename == nil || rename.is("RENAME", "CONSTRAINT") {
		return
	}
	to := rename[1:]
	old, renamed := r.old(object{space(kind), n.name}), to.accept("TO")
	switch columns, view := r.made.views[n.name]; {
	case old && view && renamed:
		r.takes(rename.at(), "RENAME in "+kind+" "+n.String(), r.viewInstead(n.name, columns),
			only(object{"relation", n.name}))
	case old && kind != "STATISTICS":
		r.contracting(rename.at(), "RENAME in "+kind+" "+n.String())
	}
	if !renamed {
		to.accept("COLUMN")
		from, _ := to.name()
		to.accept("TO")
		m, _ := to.name()
		r.made.renameViewColumn(n.name, from.name, m.name)
	} else {
		m, _ := to.name()
		r.made.renameView(n.name, m.name)
		r.rename(space(kind), n.name, m.name)
	}
}

// alterTable judges what follows ALTER TABLE, or what is altered like one.
func (r *review) alterTable(kind string, p phrase) {
	only := p.is("ONLY")
	n := p.target()
	r.own(n)
	r.made.table(n).foreign = r.made.table(n).foreign || kind == "FOREIGN TABLE"
	old := r.oldTable(n)
	switch {
	case p.is("RENAME"):
		// ALTER INDEX … RENAME takes tables, too. What no file is seen to make is an index that the server has named.
		if _, known := r.made.objects[object{"relation", n.name}]; known || kind != "INDEX" {
			r.renameIn(kind, n, p)
		}
		return
	case p.accept("SET", "SCHEMA"):
		r.move(p, n)
		return
	}
	actions := dropsFirst(p.list())
	for _, action := range actions {
		at, whole := action.at(), action
		switch {
		case action.accept("ADD"):
			r.add(n, action, old, only)
		case action.accept("DROP", "CONSTRAINT"):
			action.accept("IF", "EXISTS")
			c, _ := action.name()
			r.unique(at, "DROP CONSTRAINT "+c.name, n, c.name)
			r.made.table(n).drop(c.name)
		case action.accept("DROP"):
			r.dropColumn(at, n, action, old)
		case action.accept("ALTER", "CONSTRAINT"):
			r.alterConstraint(at, n, action, old)
		case action.accept("ALTER"):
			r.alterColumn(at, n, action, old)
		case action.accept("VALIDATE", "CONSTRAINT"):
			r.validate(at, n, action)
			continue // locks out nobody
		default:
			r.otherAction(at, n, action, old)
		}
		if nobody := whole.locksOut(); nobody != "" {
			r.locks(n, "ALTER TABLE", nobody)
		}
	}
}

// locksOut returns what nobody can do with the table while an action of ALTER TABLE runs, and
// from then on until the file ends; "" when everybody can go on.
func (p phrase) locksOut() string {
	switch {
	case p.is("VALIDATE"), p.is("CLUSTER"), p.is("SET", "WITHOUT", "CLUSTER"), p.is("ATTACH"):
		return ""
	case p.is("SET", "("), p.is("RESET", "("):
		p.next()
		if p.group().quiet() {
			return ""
		}
		return useIt
	case p.is("ALTER") && (p.find("STATISTICS") != nil || p.find("SET", "(") != nil || p.find("RESET") != nil):
		return ""
	case p.is("ENABLE", "TRIGGER"), p.is("ENABLE", "REPLICA", "TRIGGER"), p.is("ENABLE", "ALWAYS", "TRIGGER"),
		p.is("DISABLE", "TRIGGER"):
		return writeTo
	case p.accept("ADD"):
		if c, ok := p.tableConstraint(); ok && c.kind == "FOREIGN KEY" {
			return writeTo
		}
	}
	return useIt
}

// quiet reports whether parameters of a table or an index are set without a lock that others
// notice (PostgreSQL documentation, ALTER TABLE, and the levels in its reloptions.c).
func (p phrase) quiet() bool {
	for _, item := range p.list() {
		n, _ := item.name()
		switch n.name {
		case "fillfactor", "toast_tuple_target", "parallel_workers", "deduplicate_items", "log_autovacuum_min_duration":
		default:
			if !strings.HasPrefix(n.name, "autovacuum_") && !strings.HasPrefix(n.name, "vacuum_") {
				return false
			}
		}
	}
	return true
}

// dropsFirst puts what an ALTER TABLE takes away before the rest, as the server does: a
// check that goes in the same statement proves nothing for SET NOT NULL any more. What is
// validated comes last, and proves nothing for it yet.
func dropsFirst(actions []phrase) []phrase {
	drops := func(p phrase) int {
		if p.is("DROP") || p.is("ALTER") && p.find("DROP", "NOT", "NULL") != nil {
			return 0
		}
		if p.is("VALIDATE") {
			return 2
		}
		return 1
	}
	slices.SortStableFunc(actions, func(p, q phrase) int { return drops(p) - drops(q) })
	return actions
}

// renameIn judges RENAME TO, RENAME COLUMN and RENAME CONSTRAINT.
func (r *review) renameIn(kind string, n name, p phrase) {
	at := p.at()
	p.accept("RENAME")
	if of := r.made.indexed(n.name); of != "" && p.accept("TO") {
		to, _ := p.name()
		table := name{n.schema, of, n.at}
		r.renameKey(at, table, n.name, to.name)
		if kind != "INDEX" { // which locks less
			r.locks(table, "ALTER TABLE", useIt)
		}
		return
	}
	t := r.made.table(n)
	defer r.locks(n, "ALTER TABLE", useIt)
	if p.accept("TO") {
		to, _ := p.name()
		if r.oldTable(n) {
			columns := slices.Collect(maps.Keys(t.kinds))
			if of, view := r.made.views[n.name]; view {
				columns = of
			}
			r.takes(at, "RENAME of "+n.String(), r.viewInstead(n.name, columns), only(object{"relation", n.name}))
		}
		r.made.renameView(n.name, to.name)
		r.rename("relation", n.name, to.name)
		r.made.tables[to.name] = t
		delete(r.made.tables, n.name)
		for column := range t.kinds {
			r.rename("column", n.name+"."+column, to.name+"."+column)
		}
		return
	}
	constraint := p.accept("CONSTRAINT")
	p.accept("COLUMN")
	from, _ := p.name()
	p.accept("TO")
	to, _ := p.name()
	if constraint {
		r.renameKey(at, n, from.name, to.name)
		return
	}
	if r.oldTable(n) && r.old(object{"column", n.name + "." + from.name}) {
		r.contracting(at, "RENAME of "+n.String()+"."+from.name)
	}
	t.renameColumn(from.name, to.name)
	r.made.renameViewColumn(n.name, from.name, to.name)
	r.rename("column", n.name+"."+from.name, n.name+"."+to.name)
}

// renameKey follows a constraint or an index to its new name. A program knows the old one, if any, by
// ON CONFLICT ON CONSTRAINT.
func (r *review) renameKey(at int, of name, from, to string) {
	t := r.made.table(of)
	i := t.index(from)
	if t.isKey(from) && i.named <= r.released && r.oldTable(of) && r.old(object{"relation", from}) {
		r.takes(at, "RENAME of "+from+", without which ON CONFLICT ON CONSTRAINT fails,", func() bool {
			return t.isKey(from)
		}, only(object{"relation", from}))
	}
	if i != nil {
		i.named = r.file.Version
	}
	t.rename(from, to)
	r.rename("relation", from, to)
}

// alterConstraint judges what follows ALTER TABLE … ALTER CONSTRAINT.
func (r *review) alterConstraint(at int, n name, p phrase, old bool) {
	c, _ := p.name()
	t := r.made.table(n)
	_, notNull := t.unproven[c.name]
	k := slices.IndexFunc(t.keys, func(k foreignKey) bool { return k.name == c.name })
	switch {
	case p.is("INHERIT") && old && notNull && len(t.partitions) > 0:
		r.breaks(ruleNotNull, at, "INHERIT reads all tables that inherit from %s while nobody can use them; "+
			"before it, add the same constraint to each as NOT VALID, and VALIDATE CONSTRAINT in the next file", n)
	case k < 0:
	case p.find("NOT", "ENFORCED") != nil:
		t.keys[k].valid = false
	case p.find("ENFORCED") != nil && !t.keys[k].valid:
		if old {
			r.breaks(ruleNotValid, at, "ENFORCED reads all of %s for foreign key %s while nobody can write to it; "+
				"drop it, add it as NOT VALID, and VALIDATE CONSTRAINT in the next file", n, c.name)
		}
		t.keys[k].valid = true
	}
}

// viewInstead reports whether the file makes a view with the name and the columns of a table that
// it has renamed: programs use it like the table.
func (r *review) viewInstead(name string, columns []string) func() bool {
	return func() bool {
		view, ok := r.made.views[name]
		return ok && (view == nil || !slices.ContainsFunc(columns,
			func(c string) bool { return !slices.Contains(view, c) }))
	}
}

// rename keeps the age of an object under its new name.
func (r *review) rename(space, from, to string) {
	if version, known := r.made.objects[object{space, from}]; known {
		r.made.objects[object{space, to}] = version
		r.forget(space, from)
	}
}

// move judges SET SCHEMA.
func (r *review) move(p phrase, n name) {
	r.breaks(ruleQualified, p.at(), "%s would leave the schema that is migrated, and its migrations with it; leave "+
		"it where it is", n)
}

// add judges ADD CONSTRAINT and ADD COLUMN.
func (r *review) add(n name, p phrase, old, only bool) {
	if c, ok := p.tableConstraint(); ok {
		if old && !r.made.table(n).foreign {
			r.addConstraint(n, c, only)
			r.deferred(n, c)
		}
		r.define(n, c)
		return
	}
	p.accept("COLUMN")
	p.accept("IF", "NOT", "EXISTS")
	d := p.column()
	if old && !r.made.table(n).foreign {
		r.addColumn(n, d)
	}
	r.defineColumn(n, d)
}

// deferred says when an index that an older program's ON CONFLICT needs becomes one of a constraint
// that is DEFERRABLE, which serves none.
func (r *review) deferred(n name, c constraint) {
	if c.index != "" && c.deferrable {
		r.unique(c.at, "DEFERRABLE for the index "+c.index, n, c.index)
	}
}

func (r *review) dropColumn(at int, n name, p phrase, old bool) {
	p.accept("COLUMN")
	p.accept("IF", "EXISTS")
	c, _ := p.name()
	if old && r.old(object{"column", n.name + "." + c.name}) {
		r.contracting(at, "DROP COLUMN "+n.String()+"."+c.name)
	}
	r.forget("column", n.name+"."+c.name)
	r.made.table(n).dropColumn(c.name)
}

func (r *review) alterColumn(at int, n name, p phrase, old bool) {
	p.accept("COLUMN")
	c, _ := p.name()
	t := r.made.table(n)
	column := n.String() + "." + c.name
	switch {
	case p.accept("TYPE"), p.accept("SET", "DATA", "TYPE"):
		r.alterType(at, n, c.name, p, old)
	case p.is("SET", "NOT", "NULL"):
		if old && !t.foreign && !t.proven(c.name) {
			r.breaks(ruleNotNull, at, "SET NOT NULL reads all of %s while nobody can use it; before it, "+
				"ADD CONSTRAINT … CHECK (%s IS NOT NULL) NOT VALID, and VALIDATE CONSTRAINT in the next file; drop "+
				"the check in a statement of its own, behind it", n, c.name)
		}
		t.notNull[c.name] = true
	case p.is("DROP", "NOT", "NULL"):
		t.notNull[c.name] = false
	case p.is("DROP", "DEFAULT"):
		if old && t.notNull[c.name] && t.given[c.name] && r.old(object{"column", n.name + "." + c.name}) {
			r.contracting(at, "DROP DEFAULT of "+column+", which is NOT NULL,")
		}
		t.given[c.name] = false
	case p.is("SET", "DEFAULT"):
		t.given[c.name] = true
	case p.is("DROP", "IDENTITY"), p.is("SET", "GENERATED", "ALWAYS"), p.is("ADD", "GENERATED", "ALWAYS"),
		p.is("DROP", "EXPRESSION"):
		if old && r.old(object{"column", n.name + "." + c.name}) {
			r.contracting(at, strings.ToUpper(p[:2].text())+" of "+column)
		}
	case p.is("SET", "EXPRESSION"):
		if old {
			r.breaks(ruleRewrite, at, "SET EXPRESSION computes %s for each row, which rewrites the table while "+
				"nobody can read it; add a plain column that the program fills, or a view", column)
		}
	}
}

// alterType judges what follows ALTER COLUMN … TYPE.
func (r *review) alterType(at int, n name, column string, p phrase, old bool) {
	to := p.until("USING", "COLLATE")
	r.columnType(to)
	t := r.made.table(n)
	was := t.kinds[column]
	cost := r.made.typeChange(was, to.text())
	sorted := false // only its order is another one
	if p.accept("COLLATE") {
		p.name()
		sorted = cost == free
		cost = max(cost, reindexes)
	}
	if p.accept("USING") && !p.only(column, to.text()) {
		cost = rewrites
	}
	t.kinds[column] = to.text()
	if !old || t.foreign {
		return
	}
	if cost == rewrites {
		r.breaks(ruleRewrite, at, "%s.%s becomes %s, which rewrites the table while nobody can read it; add a "+
			"column of the new type, fill it, and drop this one in a later release", n, column, to.text())
		return
	}
	for _, i := range t.indexes {
		indexed := slices.Contains(i.columns, column)
		built := cost == reindexes && (!sorted || !slices.Contains(i.collate, column))
		switch again := !i.plain || indexed && (built || t.partitioned || r.made.rebuilt(i.method, was)); {
		case !slices.Contains(i.uses, column) || !again:
		case t.partitioned:
			r.breaks(ruleRewrite, at, "with the type of %s.%s, index %s is built again for each partition while "+
				"nobody can use the table; DROP INDEX in a file before, and in files after it "+
				"CREATE INDEX … ON ONLY %s, CREATE INDEX CONCURRENTLY for each partition, and ALTER INDEX … "+
				"ATTACH PARTITION", n, column, i.name, n)
			return
		default:
			r.breaks(ruleRewrite, at, "with the type of %s.%s, index %s is built again while nobody can use the "+
				"table; in files of their own, DROP INDEX CONCURRENTLY before and CREATE INDEX CONCURRENTLY after", n,
				column, i.name)
			return
		}
	}
	for name, c := range t.checks {
		if c.valid && slices.Contains(c.says.words(), column) {
			r.breaks(ruleNotValid, at, "with the type of %s.%s, CHECK %s is checked again for each row while nobody "+
				"can use the table; in the same ALTER TABLE, DROP CONSTRAINT and ADD it as NOT VALID, "+
				"and VALIDATE CONSTRAINT in the next file", n, column, name)
			return
		}
	}
	for _, k := range t.keys {
		if cost == reindexes && slices.Contains(k.columns, column) {
			r.breaks(ruleNotValid, at, "with the type of %s.%s, foreign key %s is checked again while nobody can "+
				"use the table; drop it before, and add it as NOT VALID after", n, column, k.name)
			return
		}
	}
}

// only reports whether a USING does no more than the new type does by itself.
func (p phrase) only(column, kind string) bool {
	text := p.unwrapped().text()
	return text == column || text == column+"::"+kind || text == "("+column+")::"+kind || text == "cast("+column+
		" as "+kind+")"
}

func (r *review) validate(at int, n name, p phrase) {
	c, _ := p.name()
	valid := slices.ContainsFunc(r.made.table(n).keys, func(k foreignKey) bool { return k.name == c.name && k.valid })
	if r.oldTable(n) && !valid && !r.made.table(n).checks[c.name].valid && !r.made.table(n).foreign {
		r.long(at, "VALIDATE CONSTRAINT reads all of "+n.String())
	}
	t := r.made.table(n)
	if column, ok := t.unproven[c.name]; ok {
		t.notNull[column] = true
	}
	if check, ok := t.checks[c.name]; ok {
		check.valid = true
		t.checks[c.name] = check
	}
}

// long says when something that takes its time comes while a table is locked.
func (r *review) long(at int, what string) {
	if r.locked.of == "" {
		return
	}
	instead := "put this into the next file"
	if r.locked.by == "LOCK TABLE" {
		instead = "leave LOCK TABLE out: what is changed is locked, row by row, without it"
	}
	r.breaks(ruleHeldLock, at, "%s, and until the file ends nobody can %s %s, which %s has locked above; %s", what,
		r.locked.nobody, r.locked.of, r.locked.by, instead)
}

func (r *review) otherAction(at int, n name, p phrase, old bool) {
	switch {
	case p.is("OWNER", "TO"):
		r.breaks(rulePrivileges, at, "the migrator owns what it makes, and must go on to; leave OWNER TO out")
	case p.is("SET", "LOGGED"), p.is("SET", "UNLOGGED"), p.is("SET", "TABLESPACE"), p.is("SET", "ACCESS", "METHOD"):
		if t := r.made.table(n); old && !t.partitioned && !t.foreign {
			what := "SET " + p[1].Word
			if p.is("SET", "ACCESS") {
				what += " METHOD"
			}
			r.breaks(ruleRewrite, at, "%s rewrites %s while nobody can read it; leave it to the DBA", what, n)
		}
	case p.is("SET", "("):
		if set := p.find("("); old && set.group().option("USER_CATALOG_TABLE") {
			r.contracting(at, "user_catalog_table of "+n.String()+", with which ON CONFLICT fails,")
		}
	case p.accept("OF"):
		of, _ := p.name()
		r.own(of)
		r.made.table(n).of = of.name
	case p.is("NOT", "OF"):
		r.made.table(n).of = ""
	case p.accept("REPLICA", "IDENTITY"):
		r.replicaIdentity(at, n, p)
	case p.accept("ATTACH", "PARTITION"):
		part := p.target()
		r.own(part)
		if of := r.made.indexed(part.name); of != "" {
			r.locks(name{part.schema, of, part.at}, "ALTER INDEX … ATTACH PARTITION", useIt)
			return
		}
		r.partition(n, part, p)
	case p.accept("DETACH", "PARTITION"), p.accept("NO", "INHERIT"):
		part := p.target()
		r.own(part)
		r.detach(at, n, part)
	case p.accept("INHERIT"):
		parent := p.target()
		r.own(parent)
		t := r.made.table(parent)
		t.partitions = append(t.partitions, n.name)
	case p.is("ENABLE", "ROW", "LEVEL", "SECURITY"):
		t := r.made.table(n)
		t.secured = true
		if old {
			r.takes(at, "ENABLE ROW LEVEL SECURITY hides every row of "+n.String()+
				" from programs that no policy lets see it, and", func() bool {
				shown := false
				for _, p := range t.policies {
					if p.restrictive && !p.all {
						return !t.secured
					}
					shown = shown || p.all && !p.restrictive
				}
				return shown || !t.secured
			})
		}
	case p.is("DISABLE", "ROW", "LEVEL", "SECURITY"):
		r.made.table(n).secured = false
	}
}

// detach judges that rows are no longer seen through another table: of n and part, one is the
// parent.
func (r *review) detach(at int, n, part name) {
	parent, child := n, part
	if !slices.Contains(r.made.table(n).partitions, part.name) &&
		slices.Contains(r.made.table(part).partitions, n.name) {
		parent, child = part, n
	}
	t := r.made.table(parent)
	t.partitions = slices.DeleteFunc(t.partitions, func(s string) bool { return s == child.name })
	if t.rest == child.name {
		t.rest = ""
	}
	if r.oldTable(parent) && r.oldTable(child) {
		r.takes(at, "that "+child.String()+" is no part of "+parent.String()+" any more",
			func() bool { return slices.Contains(t.partitions, child.name) })
	}
}
