package review

import (
	"slices"
	"strings"
)

// alter judges what follows ALTER.
func (r *review) alter(at int, p phrase) {
	kind := p.kind()
	p.accept("IF", "EXISTS")
	switch kind {
	case "TABLE", "FOREIGN TABLE":
		if !p.is("ALL") {
			r.alterTable(p)
		}
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
	default:
		if space(kind) != "" {
			r.alterNamed(kind, p)
		}
	}
}

func (r *review) alterNamed(kind string, p phrase) {
	n, _ := p.name()
	r.own(n)
	if owner := p.find("OWNER", "TO"); owner != nil {
		r.otherAction(owner.at(), n, owner, false)
	}
	if set := p.find("SET", "SCHEMA"); set.accept("SET", "SCHEMA") {
		r.move(set, n)
	}
	rename := p.find("RENAME")
	if rename == nil {
		return
	}
	if r.old(object{space(kind), n.name}) && kind != "INDEX" && kind != "STATISTICS" {
		r.contracting(rename.at(), "RENAME in "+kind+" "+n.String())
	}
	if to := rename[1:]; to.accept("TO") {
		m, _ := to.name()
		r.rename(space(kind), n.name, m.name)
		for _, t := range r.made.tables {
			if kind == "INDEX" {
				t.rename(n.name, m.name)
			}
		}
	}
}

// alterTable judges what follows ALTER TABLE.
func (r *review) alterTable(p phrase) {
	n := p.target()
	r.own(n)
	old := r.oldTable(n)
	switch {
	case p.is("RENAME"):
		r.renameIn(n, p)
		return
	case p.accept("SET", "SCHEMA"):
		r.move(p, n)
		return
	}
	for _, action := range dropsFirst(p.list()) {
		at := action.at()
		switch {
		case action.accept("ADD"):
			r.add(n, action, old)
		case action.accept("DROP", "CONSTRAINT"):
			action.accept("IF", "EXISTS")
			c, _ := action.name()
			r.made.table(n).drop(c.name)
		case action.accept("DROP"):
			r.dropColumn(at, n, action, old)
		case action.accept("ALTER"):
			r.alterColumn(at, n, action, old)
		case action.accept("VALIDATE", "CONSTRAINT"):
			r.validate(at, n, action)
			continue // locks out nobody
		default:
			r.otherAction(at, n, action, old)
		}
		if old && r.locked == "" {
			r.locked = n.String()
		}
	}
}

// dropsFirst puts what an ALTER TABLE takes away before the rest, as the server does: a
// check that goes in the same statement proves nothing for SET NOT NULL any more.
func dropsFirst(actions []phrase) []phrase {
	drops := func(p phrase) int {
		if p.is("DROP") || p.is("ALTER") && p.find("DROP", "NOT", "NULL") != nil {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(actions, func(p, q phrase) int { return drops(p) - drops(q) })
	return actions
}

// renameIn judges RENAME TO, RENAME COLUMN and RENAME CONSTRAINT.
func (r *review) renameIn(n name, p phrase) {
	at := p.at()
	p.accept("RENAME")
	t := r.made.table(n)
	if p.accept("TO") {
		if r.oldTable(n) {
			r.contracting(at, "RENAME of "+n.String())
		}
		to, _ := p.name()
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
		t.rename(from.name, to.name)
		return // no program has to know it
	}
	if r.oldTable(n) && r.old(object{"column", n.name + "." + from.name}) {
		r.contracting(at, "RENAME of "+n.String()+"."+from.name)
	}
	t.renameColumn(from.name, to.name)
	r.rename("column", n.name+"."+from.name, n.name+"."+to.name)
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
	r.breaks(ruleQualified, p.at(), "%s would leave the schema that is migrated, and its migrations with it; leave it where it is", n)
}

// add judges ADD CONSTRAINT and ADD COLUMN.
func (r *review) add(n name, p phrase, old bool) {
	if c, ok := p.tableConstraint(); ok {
		if old {
			r.addConstraint(n, c)
		}
		r.define(n, c)
		return
	}
	p.accept("COLUMN")
	p.accept("IF", "NOT", "EXISTS")
	d := p.column()
	if old {
		r.addColumn(n, d)
	}
	r.defineColumn(n, d)
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
	switch {
	case p.accept("TYPE"), p.accept("SET", "DATA", "TYPE"):
		to := p.until("USING", "COLLATE")
		r.columnType(to)
		if from := t.kinds[c.name]; old && (len(p) > 0 || !sameOnDisk(from, to.text())) {
			r.breaks(ruleRewrite, at, "%s.%s becomes %s, which rewrites the table while nobody can read it; add a column of the new type, fill it, and drop this one in a later release", n, c.name, to.text())
		}
		t.kinds[c.name] = to.text()
	case p.is("SET", "NOT", "NULL"):
		if old && !t.proven(c.name) {
			r.breaks(ruleNotNull, at, "SET NOT NULL reads all of %s while nobody can use it; before it, "+
				"ADD CONSTRAINT … CHECK (%s IS NOT NULL) NOT VALID, and VALIDATE CONSTRAINT in the next file; drop the check in a statement of its own, behind it", n, c.name)
		}
	}
}

func (r *review) validate(at int, n name, p phrase) {
	c, _ := p.name()
	if r.oldTable(n) {
		r.long(at, "VALIDATE CONSTRAINT reads all of "+n.String())
	}
	t := r.made.table(n)
	if check, ok := t.notNulls[c.name]; ok {
		check.proven = true
		t.notNulls[c.name] = check
	}
}

// long says when something that takes its time comes while a table is locked.
func (r *review) long(at int, what string) {
	if r.locked != "" {
		r.breaks(ruleHeldLock, at, "%s, and until the file ends nobody can use %s, which ALTER TABLE has locked above; put this into the next file", what, r.locked)
	}
}

func (r *review) otherAction(at int, n name, p phrase, old bool) {
	switch {
	case p.is("OWNER", "TO"):
		r.breaks(rulePrivileges, at, "the migrator owns what it makes, and must go on to; leave OWNER TO out")
	case p.is("SET", "LOGGED"), p.is("SET", "UNLOGGED"), p.is("SET", "TABLESPACE"), p.is("SET", "ACCESS", "METHOD"):
		if old {
			r.breaks(ruleRewrite, at, "%s rewrites %s while nobody can read it; leave it to the DBA", strings.ToUpper(p[:2].text()), n)
		}
	case p.accept("ATTACH", "PARTITION"), p.accept("DETACH", "PARTITION"), p.accept("INHERIT"), p.accept("NO", "INHERIT"):
		r.own(p.target())
	}
}
