package review

import "strings"

// kind reads what sort of object a CREATE, ALTER, DROP or COMMENT is about.
func (p *phrase) kind() string {
	for _, words := range []string{
		"MATERIALIZED VIEW", "FOREIGN TABLE", "DEFAULT PRIVILEGES", "EVENT TRIGGER", "USER MAPPING", "ACCESS METHOD", "FOREIGN DATA WRAPPER", "OPERATOR CLASS",
		"OPERATOR FAMILY", "TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY", "TEXT SEARCH PARSER", "TEXT SEARCH TEMPLATE",
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
	case "COLLATION", "CONVERSION", "STATISTICS", "TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY", "TEXT SEARCH PARSER", "TEXT SEARCH TEMPLATE":
		return lower(kind)
	}
	return ""
}

func lower(kind string) string { return strings.ToLower(kind) }

// create judges what follows CREATE.
func (r *review) create(at int, p phrase) {
	replace := p.accept("OR", "REPLACE")
	temporary := false
	for p.isAny("GLOBAL", "LOCAL", "TEMP", "TEMPORARY", "UNLOGGED", "UNIQUE", "CONSTRAINT", "RECURSIVE") {
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
		r.breaks(rulePrivileges, at, "roles are the server's, not the schema's; the migrator makes the program's own, others are the DBA's")
	case "TABLE":
		r.createTable(p, temporary)
	case "INDEX":
		r.createIndex(at, p, concurrently)
	case "TRIGGER", "POLICY", "RULE":
		r.createOnTable(at, kind, p, replace)
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
	r.creates(space(kind), n.name)
	switch kind {
	case "VIEW", "MATERIALIZED VIEW":
		r.reads(p)
	case "FUNCTION", "PROCEDURE":
		r.reads(p.find("BEGIN", "ATOMIC"))
		r.reads(p.find("RETURN"))
	case "DOMAIN":
		p.accept("AS")
		r.columnType(p.until("CONSTRAINT", "NOT", "NULL", "CHECK", "DEFAULT", "COLLATE"))
	}
}

// replaces lets OR REPLACE change what a file made before: dropping it first would
// lose its grants and what depends on it. Where there should be nothing, it hides
// that there is something.
func (r *review) replaces(at int, replace bool, o object, what string) {
	if _, made := r.made.objects[o]; replace && !made {
		r.breaks(ruleOrReplace, at, "OR REPLACE would overwrite what somebody else made, for no file before made %s; write CREATE alone", what)
	}
}

// createOnTable judges what has a name within its table.
func (r *review) createOnTable(at int, kind string, p phrase, replace bool) {
	n, _ := p.name()
	mark := "ON"
	if kind == "RULE" {
		mark = "TO" // CREATE RULE r AS ON INSERT TO t
	}
	p.until(mark)
	p.accept(mark)
	t, _ := p.name()
	r.own(t)
	o := object{lower(kind), t.name + "." + n.name}
	r.replaces(at, replace, o, kind+" "+n.name+" on "+t.String())
	r.creates(o.space, o.name)
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

// ours reports whether a name is meant for an object of the schema's: without a
// schema, it may be one of the server's own functions or types.
func (r *review) ours(space string, n name) bool {
	_, made := r.made.objects[object{space, n.name}]
	return made && n.schema == "" || n.schema != "" && n.schema != "pg_catalog"
}

func (r *review) createIndex(at int, p phrase, concurrently bool) {
	i := index{}
	if !p.is("ON") {
		n, _ := p.name()
		i.name = n.name
	}
	p.accept("ON")
	t := p.target()
	r.own(t)
	if r.oldTable(t) && !concurrently {
		r.breaks(ruleConcurrently, at, "CREATE INDEX stops every write to %s, which has rows already, until it is built; "+
			"give it a file of its own with -- migrate:no-transaction and CREATE INDEX CONCURRENTLY", t)
	}
	orders := !p.accept("USING") || p.isAny("BTREE", "HASH") // GIN and the like find no single row
	p.until("(")
	i.columns = p.group().names()
	r.creates("relation", i.name)
	partial := p.find("WHERE")
	if partial.accept("WHERE") && partial.text() == strings.Join(i.columns, ", ")+" is not null" {
		partial = nil // all that a foreign key looks for
	}
	if orders && partial == nil {
		r.made.table(t).indexes = append(r.made.table(t).indexes, i)
	}
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
	default:
		for _, item := range p.until("CASCADE", "RESTRICT").list() {
			if n, ok := item.name(); ok && space(kind) != "" {
				r.dropNamed(at, kind, n)
			}
		}
	}
}

func (r *review) dropNamed(at int, kind string, n name) {
	if r.temporary[n.name] {
		return
	}
	r.own(n)
	if kind == "INDEX" {
		for _, t := range r.made.tables {
			t.drop(n.name)
		}
	} else if space(kind) != "statistics" && r.old(object{space(kind), n.name}) {
		r.contracting(at, "DROP "+kind+" "+n.String())
	}
	r.forget(space(kind), n.name)
	if kind == "TABLE" {
		delete(r.made.tables, n.name)
	}
}
