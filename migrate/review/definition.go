package review

// A definition is that of a column, in CREATE TABLE or ADD COLUMN.
type definition struct {
	name        string
	at          int
	kind        phrase // its type
	value       phrase // its default
	identity    bool
	stored      bool // computed from other columns, and kept
	notNull     bool
	constraints []constraint
}

// A constraint is that of a column or a table.
type constraint struct {
	name       string
	kind       string // CHECK, UNIQUE, PRIMARY KEY, FOREIGN KEY, EXCLUDE or NOT NULL
	at         int
	columns    []string // of a key or NOT NULL
	references name     // of a foreign key
	check      phrase
	notValid   bool
	index      string // of a key that takes over an index: ADD … USING INDEX
	deferrable bool

	method  string   // of EXCLUDE: its index's
	uses    []string // the columns that it depends on
	partial bool
}

// column reads a column's definition.
func (p phrase) column() definition {
	d := definition{at: p.at()}
	n, _ := p.name()
	d.name = n.name
	d.kind = p.until("CONSTRAINT", "NOT", "NULL", "CHECK", "DEFAULT", "GENERATED", "UNIQUE", "PRIMARY", "REFERENCES",
		"COLLATE", "STORAGE", "COMPRESSION")
	for len(p) > 0 {
		c := constraint{at: p.at()}
		if p.accept("CONSTRAINT") {
			n, _ := p.name()
			c.name = n.name
		}
		if c.kind = p.columnConstraint(&d, &c); c.kind != "" {
			c.columns = []string{d.name}
			d.constraints = append(d.constraints, c)
		}
	}
	return d
}

// columnConstraint reads what follows a column's type. What is not a constraint in
// the catalogue it notes in d, and returns "".
func (p *phrase) columnConstraint(d *definition, c *constraint) (kind string) {
	switch {
	case p.accept("NOT", "NULL"):
		d.notNull = true
	case p.accept("DEFAULT"):
		d.value = p.until("CONSTRAINT", "NOT", "CHECK", "GENERATED", "UNIQUE", "PRIMARY", "REFERENCES", "COLLATE")
	case p.accept("GENERATED", "ALWAYS", "AS", "IDENTITY"), p.accept("GENERATED", "BY", "DEFAULT", "AS", "IDENTITY"):
		d.identity = true
	case p.accept("GENERATED", "ALWAYS", "AS"):
		p.group()
		d.stored = p.accept("STORED")
	case p.accept("CHECK"):
		c.check = p.group()
		c.notValid = p.is("NOT", "ENFORCED") || p.is("NO", "INHERIT", "NOT", "ENFORCED")
		return "CHECK"
	case p.accept("UNIQUE"):
		return "UNIQUE"
	case p.accept("PRIMARY", "KEY"):
		return "PRIMARY KEY"
	case p.accept("REFERENCES"):
		c.references, _ = p.name()
		c.notValid = p.find("NOT", "ENFORCED") != nil
		return "FOREIGN KEY"
	default:
		p.next() // COLLATE, ON DELETE and the like: no rule asks
	}
	return ""
}

// tableConstraint reads a constraint as it stands between columns or behind ADD;
// ok is false when the phrase is something else.
func (p phrase) tableConstraint() (c constraint, ok bool) {
	c.at = p.at()
	if p.accept("CONSTRAINT") {
		n, _ := p.name()
		c.name = n.name
	}
	c.notValid = p.find("NOT", "VALID") != nil || p.find("NOT", "ENFORCED") != nil
	c.deferrable = p.find("DEFERRABLE") != nil && p.find("NOT", "DEFERRABLE") == nil
	if using := p.find("USING", "INDEX"); using.accept("USING", "INDEX") && !using.is("TABLESPACE") {
		n, _ := using.name()
		c.index = n.name
	}
	switch {
	case p.accept("CHECK"):
		c.kind, c.check = "CHECK", p.group()
	case p.accept("UNIQUE"):
		c.kind = "UNIQUE"
		p.skip("NULLS", "NOT", "DISTINCT")
		c.columns = p.group().names()
	case p.accept("PRIMARY", "KEY"):
		c.kind, c.columns = "PRIMARY KEY", p.group().names()
	case p.accept("FOREIGN", "KEY"):
		c.kind, c.columns = "FOREIGN KEY", p.group().names()
		p.accept("REFERENCES")
		c.references, _ = p.name()
	case p.accept("EXCLUDE"):
		c.kind, c.uses, c.partial = "EXCLUDE", p.words(), p.find("WHERE") != nil
		if p.accept("USING") {
			c.method = lower(p.next())
		}
		c.columns = p.group().names()
	case p.accept("NOT", "NULL"):
		n, _ := p.name()
		c.kind, c.columns = "NOT NULL", []string{n.name}
	}
	return c, c.kind != ""
}
