package review

import "strings"

// createTable judges what follows CREATE TABLE.
func (r *review) createTable(p phrase, temporary bool) {
	n, _ := p.name()
	if temporary {
		r.temporary[n.name] = true
	}
	r.own(n)
	if !temporary {
		r.creates("relation", n.name)
		delete(r.made.tables, n.name)
	}
	t := r.made.table(n)
	if temporary {
		t = (&made{tables: map[string]*table{}}).table(n)
	}
	if p.accept("PARTITION", "OF") {
		parent := p.target()
		r.own(parent)
		t.like(r.made.table(parent))
		t.identity = r.made.table(parent).identity
		r.partition(parent, n, p)
		r.locks(parent, "CREATE TABLE … PARTITION OF", useIt) // ATTACH PARTITION does not
	}
	if p.accept("OF") {
		of, _ := p.name()
		t.of = of.name
	}
	for _, item := range p.group().list() {
		if item.accept("LIKE") {
			source := item.target()
			r.own(source)
			t.like(r.made.table(source))
		} else if c, ok := item.tableConstraint(); ok {
			r.define(n, c)
		} else {
			r.defineColumn(n, item.column())
		}
	}
	if inherits := p.find("INHERITS"); inherits.accept("INHERITS") {
		for _, item := range inherits.group().list() {
			parent := item.target()
			t.like(r.made.table(parent))
			r.made.table(parent).partitions = append(r.made.table(parent).partitions, n.name)
		}
	}
	if by := p.find("PARTITION", "BY"); by.accept("PARTITION", "BY") {
		t.partitioned = true
		by.next()
		if columns := by.group().names(); len(columns) == 1 {
			t.key = columns[0]
		}
	}
	r.answers(p, "CREATE TABLE … AS") // SELECT
	if as := p.find("AS"); as.accept("AS") {
		r.changes(as)
	}
}

// answers judges a query whose rows are kept.
func (r *review) answers(p phrase, what string) {
	for _, n := range r.reads(p) {
		if r.holdsRows(n) && p.find("WITH", "NO", "DATA") == nil {
			r.long(p.at(), what+" reads "+n.String())
			return
		}
	}
}

// like notes what a table has from another one.
func (t *table) like(other *table) {
	for column, kind := range other.kinds {
		t.kinds[column] = kind
		t.notNull[column] = t.notNull[column] || other.notNull[column]
		t.given[column] = t.given[column] || other.given[column]
	}
}

// define notes a constraint and judges the name in it.
func (r *review) define(n name, c constraint) {
	r.own(c.references)
	r.locks(c.references, "a foreign key", writeTo)
	if r.temporary[n.name] {
		return
	}
	t := r.made.table(n)
	had := len(t.indexes)
	if r.made.note(c, n, r.file); len(t.indexes) > had {
		r.creates("relation", t.indexes[had].name)
	}
}

func (r *review) defineColumn(n name, d definition) {
	r.columnType(d.kind)
	for _, c := range d.constraints {
		r.define(n, c)
	}
	if !r.temporary[n.name] {
		r.creates("column", n.name+"."+d.name)
		t := r.made.table(n)
		t.kinds[d.name] = d.kind.text()
		t.notNull[d.name] = t.notNull[d.name] || d.notNull || d.identity
		t.given[d.name] = len(d.value) > 0 && d.value.text() != "null"
	}
}

// keysWithoutIndex judges foreign keys when all files are read: an index on a table
// with rows is made in a later file than its key.
func (r *review) keysWithoutIndex() {
	for _, t := range r.made.tables {
		for _, k := range t.keys {
			if !t.indexed(k.columns) {
				r.file = k.file
				r.breaks(ruleFKIndex, k.at, "no index of %s starts with (%s), so deleting what the foreign key "+
					"refers to reads the whole table; create one", k.table, strings.Join(k.columns, ", "))
			}
		}
	}
}

// addConstraint judges a constraint on a table that has rows.
func (r *review) addConstraint(n name, c constraint, only bool) {
	split := r.made.table(n).partitioned
	switch {
	case split && c.kind == "FOREIGN KEY":
		r.breaks(ruleNotValid, c.at, "FOREIGN KEY reads all of %s while nobody can write to it, and before "+
			"PostgreSQL 18 a partitioned table takes none that is NOT VALID; add it "+
			"to each partition as NOT VALID, VALIDATE CONSTRAINT there in the next file, and then add it to %s, "+
			"which takes those over", n, n)
	case split && only && (c.kind == "UNIQUE" || c.kind == "PRIMARY KEY"):
	case split && (c.kind == "UNIQUE" || c.kind == "PRIMARY KEY"):
		r.breaks(ruleUsingIndex, c.at, "%s builds an index of each partition of %s while nobody can use it; write "+
			"ALTER TABLE ONLY … ADD CONSTRAINT, make a unique index of each partition "+
			"with CREATE UNIQUE INDEX CONCURRENTLY in a file of its own with -- migrate:no-transaction, ADD "+
			"CONSTRAINT … %s USING INDEX there, "+
			"and ALTER INDEX … ATTACH PARTITION it", c.kind, n, c.kind)
	case c.kind == "PRIMARY KEY" && c.index != "":
		for _, column := range r.made.table(n).columnsOf(c.index) {
			if !r.made.table(n).proven(column) {
				r.breaks(ruleNotNull, c.at, "PRIMARY KEY reads all of %s while nobody can use it, for %s may be "+
					"null; before it, ADD CONSTRAINT … CHECK (%s IS NOT NULL) NOT VALID, "+
					"and VALIDATE CONSTRAINT in the next file; drop the check in a statement of its own, behind it", n,
					column, column)
				return
			}
		}
	case c.notValid || c.index != "":
	case c.kind == "EXCLUDE":
		r.breaks(ruleUsingIndex, c.at, "EXCLUDE builds its index while nobody can use %s, and there is no other "+
			"way; -- migrate:allow it if the table is small", n)
	case c.kind == "UNIQUE" || c.kind == "PRIMARY KEY":
		r.breaks(ruleUsingIndex, c.at, "%s builds its index while nobody can use %s; make it with CREATE UNIQUE "+
			"INDEX CONCURRENTLY in a file of its own with -- migrate:no-transaction, "+
			"and then ADD CONSTRAINT … %s USING INDEX", c.kind, n, c.kind)
	case c.kind == "NOT NULL":
		r.breaks(ruleNotNull, c.at, "NOT NULL reads all of %s while nobody can use it; write ADD CONSTRAINT … CHECK "+
			"(%s IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT in the next file, and then SET NOT NULL", n,
			strings.Join(c.columns, ", "))
	default:
		use := "use" // ADD CHECK keeps out readers, too
		if c.kind == "FOREIGN KEY" {
			use = "write to"
		}
		r.breaks(ruleNotValid, c.at, "%s reads all of %s while nobody can %s it; add it as NOT VALID, and VALIDATE "+
			"CONSTRAINT in the next file", c.kind, n, use)
	}
}

// columnsOf returns the columns of an index.
func (t *table) columnsOf(name string) []string {
	if i := t.index(name); i != nil {
		return i.columns
	}
	return nil
}

// addColumn judges a column for a table that has rows. What it costs was seen in the
// server's own messages (client_min_messages = debug1), on 15 and 18 alike.
func (r *review) addColumn(n name, d definition) {
	switch {
	case d.identity, isSerial(d.kind):
		r.breaks(ruleVolatile, d.at, "%s gets another value in each row, so %s is rewritten while nobody can read "+
			"it; add it without, and fill it in a later file", d.name, n)
	case d.stored:
		r.breaks(ruleVolatile, d.at, "%s is computed for each row, so %s is rewritten while nobody can read it; use "+
			"a plain column that the program fills, or a view", d.name, n)
	case r.made.constrained(d.kind.text()):
		r.breaks(ruleRewrite, d.kind.at(), "a domain with a constraint is checked for each row, so %s is rewritten "+
			"while nobody can read it; add %s with the type that the domain is of, and a CHECK … NOT VALID", n, d.name)
	case !d.value.constant(r.made.calls):
		r.breaks(ruleVolatile, d.value.at(),
			"this default is computed for each row, so %s is rewritten while nobody can read it; ADD COLUMN without "+
				"it, then ALTER COLUMN … SET DEFAULT, and fill old rows in a later file", n)
	case d.notNull && len(d.value) == 0:
		r.breaks(ruleNotNull, d.at, "a column that is NOT NULL without a default cannot be added to %s, which has "+
			"rows, and programs of an earlier release do not fill it; give it a default or let it be null", n)
	}
	for _, c := range d.constraints {
		if c.kind != "FOREIGN KEY" || len(d.value) > 0 { // with nothing but nulls a foreign key has nothing to check
			r.addConstraint(n, c, false)
		}
	}
}
