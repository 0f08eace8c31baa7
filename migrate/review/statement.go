package review

// statement judges a statement, and notes what it changes.
func (r *review) statement(p phrase) {
	r.ifExists(p)
	r.ledgers(p)
	whole := p
	switch p.next() {
	case "CREATE":
		r.create(whole.at(), p)
	case "ALTER":
		r.alter(whole.at(), p)
	case "DROP":
		r.drop(whole.at(), p)
	case "COMMENT":
		r.comment(whole.at(), p)
	case "GRANT", "REASSIGN":
		r.breaks(rulePrivileges, whole.at(), "%s", declare)
	case "REVOKE":
		r.revoke(whole.at(), p)
	case "TRUNCATE":
		r.truncate(p)
	case "LOCK":
		r.lock(p)
	case "REFRESH":
		r.refresh(whole.at(), p)
	case "REINDEX", "CLUSTER":
		r.rebuild(whole, p)
	case "VACUUM":
		r.vacuum(whole.at(), p)
	case "COPY":
		r.copies(whole.at(), p)
	case "EXPLAIN":
		r.explain(p)
	case "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "SELECT", "VALUES", "TABLE", "(":
		r.query(whole)
	}
}

// explain judges EXPLAIN ANALYZE, which does what it explains.
func (r *review) explain(p phrase) {
	analyze := p.group().option("ANALYZE")
	for p.isAny("ANALYZE", "ANALYSE", "VERBOSE") {
		analyze = p.next() != "VERBOSE" || analyze
	}
	if analyze {
		r.statement(p)
	}
}

// lock judges LOCK TABLE, which is there for what follows it.
func (r *review) lock(p phrase) {
	p.accept("TABLE")
	tables := p.until("IN", "NOWAIT")
	nobody := useIt
	switch {
	case p.is("IN", "ACCESS", "SHARE"), p.is("IN", "ROW"), p.is("IN", "SHARE", "UPDATE"):
		nobody = ""
	case p.is("IN", "SHARE"), p.is("IN", "EXCLUSIVE"):
		nobody = writeTo
	}
	for _, item := range tables.list() {
		n := item.target()
		r.own(n)
		if nobody != "" {
			r.locks(n, "LOCK TABLE", nobody)
		}
	}
}

// refresh judges REFRESH MATERIALIZED VIEW.
func (r *review) refresh(at int, p phrase) {
	p.accept("MATERIALIZED", "VIEW")
	concurrently := p.accept("CONCURRENTLY")
	n, _ := p.name()
	r.own(n)
	old := r.oldTable(n)
	switch {
	case old && p.find("WITH", "NO", "DATA") != nil:
		r.contracting(at, "REFRESH … WITH NO DATA of "+n.String())
	case old && !concurrently:
		r.breaks(ruleHeldLock, at, "REFRESH computes %s while nobody can read it; write REFRESH MATERIALIZED VIEW "+
			"CONCURRENTLY, for which it needs a unique index", n)
	default:
		r.long(at, "REFRESH computes "+n.String())
	}
	if !concurrently {
		r.locks(n, "REFRESH", useIt)
	}
}

// target reads the name of a table that rows are taken from or put into.
func (p *phrase) target() name {
	p.skip("ONLY", "LATERAL")
	n, _ := p.name()
	p.accept("*")
	return n
}

func (r *review) ifExists(p phrase) {
	for i, t := range p {
		switch rest := p[i:]; {
		case t.Depth > 0:
		case rest.is("IF", "NOT", "EXISTS"):
			r.breaks(ruleIfExists, t.Start, "IF NOT EXISTS takes whatever has that name for what this file would "+
				"make; leave it out: a file is applied once")
		case rest.is("IF", "EXISTS"):
			r.breaks(ruleIfExists, t.Start, "IF EXISTS says nothing when the schema is not what the files before "+
				"this one made; leave it out")
		}
	}
}

// otherSchema judges what is done to a schema: the one that is migrated is the
// migrator's, and another one is nobody's that the migrator knows.
func (r *review) otherSchema(at int, p phrase) {
	p.accept("IF", "NOT", "EXISTS")
	p.accept("IF", "EXISTS")
	if n, ok := p.name(); ok && n.name != r.schema && n.name != "authorization" {
		r.breaks(ruleSchema, at, "schema %s is not the one that is migrated, and a backup, a repair or a snapshot "+
			"of %s leaves it out; "+
			"keep everything in %s, or let the DBA make the other one", n, r.schema, r.schema)
		return
	}
	r.breaks(ruleSchema, at, schemaMade)
}

const (
	declare = "what a role may do is declared, in the program's list of privileges, and every start makes it so; " +
		"write it there"
	schemaMade = "the schema and its comment are the migrator's; leave this out"
)

// revoke lets a file take from PUBLIC what everybody may do with a new function:
// that is no grant to anybody, and the declared privileges cannot say it.
func (r *review) revoke(at int, p phrase) {
	from := p.find("FROM")
	if on := p.find("ON"); from.text() != "from public" || on.is("ON", "DATABASE") || on.is("ON", "SCHEMA") {
		r.breaks(rulePrivileges, at, "%s", declare)
		return
	}
	p.until("ON")
	p.accept("ON")
	if p.accept("ALL") {
		if in := p.find("SCHEMA"); in.accept("SCHEMA") && !in.isNamed(r.schema) {
			r.breaks(ruleQualified, in.at(), "another schema than the one that is migrated; write %s", r.schema)
		}
		return
	}
	names := p.until("FROM")
	names.skip("FUNCTION", "PROCEDURE", "ROUTINE", "TABLE", "SEQUENCE", "TYPE", "DOMAIN")
	for _, item := range names.list() {
		n, _ := item.name()
		r.own(n)
	}
}

// isNamed reports whether the phrase begins with this name.
func (p phrase) isNamed(s string) bool {
	n, _ := p.name()
	return n.schema == "" && n.name == s
}

func (r *review) truncate(p phrase) {
	p.accept("TABLE")
	for _, item := range p.until("RESTART", "CONTINUE", "CASCADE", "RESTRICT").list() {
		n := item.target()
		r.own(n)
		if r.oldTable(n) {
			r.locks(n, "TRUNCATE", useIt)
			r.breaks(ruleTruncate, n.at, "TRUNCATE loses what users have stored in %s; if it may go, say so with -- "+
				"migrate:allow", n)
		}
	}
}

// rebuild judges REINDEX and CLUSTER.
func (r *review) rebuild(whole, p phrase) {
	concurrently := p.group().option("CONCURRENTLY")
	p.skip("VERBOSE", "TABLE", "INDEX")
	schema := p.accept("SCHEMA")
	concurrently = p.accept("CONCURRENTLY") || concurrently
	if schema {
		if !concurrently {
			r.breaks(ruleConcurrently, whole.at(), "REINDEX stops every write to each table of the schema in turn; "+
				"write REINDEX SCHEMA CONCURRENTLY")
		}
		return
	}
	n, ok := p.name()
	if !ok || concurrently {
		return
	}
	r.own(n)
	r.locks(n, "REINDEX", writeTo)
	switch {
	case !r.old(object{"relation", n.name}):
	case whole.is("CLUSTER"):
		r.breaks(ruleRewrite, whole.at(), "CLUSTER rewrites %s while nobody can read it; leave it to the DBA", n)
	default:
		r.breaks(ruleConcurrently, whole.at(),
			"REINDEX stops every write to the table; give it a file of its own with -- migrate:no-transaction and "+
				"REINDEX … CONCURRENTLY")
	}
}

// option reports whether a list of options switches one on.
func (p phrase) option(name string) bool {
	for _, item := range p.list() {
		if item.accept(name) {
			return !item.isAny("FALSE", "OFF") && item.text() != "0"
		}
	}
	return false
}

// vacuum judges VACUUM, which runs in a file without a transaction.
func (r *review) vacuum(at int, p phrase) {
	full := p.group().option("FULL") || p.is("FULL")
	p.skip("FULL", "FREEZE", "VERBOSE", "ANALYZE", "ANALYSE")
	tables := p.list()
	for _, item := range tables {
		n := item.target()
		r.own(n)
		if full && r.oldTable(n) {
			r.breaks(ruleRewrite, at, "VACUUM FULL rewrites %s while nobody can read it; write VACUUM, or leave "+
				"FULL to the DBA", n)
		}
	}
	if full && len(tables) == 0 {
		r.breaks(ruleRewrite, at, "VACUUM FULL rewrites each table while nobody can read it; write VACUUM, or leave "+
			"FULL to the DBA")
	}
}

// copies judges COPY to and from a file of the server's.
func (r *review) copies(at int, p phrase) {
	if p.is("(") {
		r.query(p)
		return
	}
	n := p.target()
	r.own(n)
	p.group() // columns
	if r.oldTable(n) && p.is("TO") {
		r.long(at, "COPY reads "+n.String())
	}
}

// comment judges COMMENT ON, which is one more place where names stand.
func (r *review) comment(at int, p phrase) {
	p.accept("ON")
	switch kind := p.kind(); kind {
	case "SCHEMA":
		r.otherSchema(at, p)
	case "ROLE", "DATABASE":
		r.breaks(rulePrivileges, at, "a %s is not part of the schema; leave it to the DBA", lower(kind))
	case "COLUMN":
		parts, start := p.path()
		switch len(parts) {
		case 2:
			r.own(name{name: parts[0], at: start})
		case 3:
			r.own(name{parts[0], parts[1], start})
		}
	case "TRIGGER", "POLICY", "RULE", "CONSTRAINT":
		p.until("ON")
		p.accept("ON")
		p.accept("DOMAIN")
		n, _ := p.name()
		r.own(n)
	default:
		if n, ok := p.name(); ok && space(kind) != "" {
			r.own(n)
		}
	}
}
