package bundle

import (
	"slices"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// ledgerRelations are the names that are kept for the ledger and its indexes in the schema
// that is migrated. All begin with the ledger's.
func ledgerRelations() []string {
	return []string{Ledger, Ledger + "_pkey", Ledger + "_prev_key"}
}

// refusal says why a file may not change the relation.
func (n relationName) refusal() string {
	if n.name == "" {
		return n.written + " is the schema that is migrated, with the ledger of applied migrations in it; leave " +
			"this statement out"
	}
	message := n.written + ": this name is kept for the ledger of applied migrations, which only the migrator makes " +
		"and changes; "
	if n.schema == "" {
		return message + "take another name, or name the schema when it is another one"
	}
	return message + "take another name"
}

// kept returns where a statement would make, change, lock or drop a relation with a name
// that is kept for the ledger, or a schema. What only reads it is fine. A name
// elsewhere, of a column for instance, is none of a relation.
func kept(tokens []sqltext.Token) []relationName {
	c := cursor(tokens)
	var found []relationName
	for i := range c {
		found = append(found, written(c[i:])...)
	}
	switch {
	case c.accept("CREATE"):
		found = append(found, created(c)...)
	case c.accept("ALTER"):
		found = append(found, altered(c)...)
	case c.accept("DROP"):
		found = append(found, dropped(c)...)
	case c.accept("TRUNCATE"), c.accept("LOCK"):
		c.accept("TABLE")
		found = append(found, c.relations()...)
	case c.accept("COMMENT", "ON"):
		found = append(found, described(c)...)
	case c.accept("SECURITY", "LABEL"):
		if c.seek("ON") {
			found = append(found, described(c)...)
		}
	case c.accept("GRANT"), c.accept("REVOKE"):
		if c.seek("ON") {
			c.skip("TABLE", "SEQUENCE", "TYPE", "DOMAIN")
			found = append(found, c.relations()...)
		}
	case c.accept("REINDEX"):
		c.list()
		c.skip("TABLE", "INDEX", "CONCURRENTLY")
		found = append(found, c.relation())
	case c.accept("CLUSTER"):
		c.list()
		c.accept("VERBOSE")
		found = append(found, c.relation())
	case c.accept("COPY"):
		if n := c.relation(); c.seek("FROM") {
			found = append(found, n)
		}
	}
	return slices.DeleteFunc(found, func(n relationName) bool {
		return n.name == "" && n.schema == "" || n.name != "" && !slices.Contains(ledgerRelations(), n.name)
	})
}

// written reads what writes to a relation anywhere in a statement: in WITH, behind EXPLAIN,
// in a rule or in the body of a function, and what ties another table to it.
func written(c cursor) []relationName {
	switch {
	case c.accept("INTO"):
		c.skip("TEMPORARY", "TEMP", "LOCAL", "GLOBAL", "UNLOGGED", "TABLE", "ONLY")
	case c.accept("UPDATE"), c.accept("DELETE", "FROM"):
		c.accept("ONLY")
	case c.accept("REFERENCES"), c.accept("INHERIT"), c.accept("PARTITION", "OF"), c.accept("ATTACH", "PARTITION"),
		c.accept("DETACH", "PARTITION"):
	case c.accept("INHERITS"):
		return c.list().relations()
	case c.accept("OWNED", "BY"):
		return []relationName{c.columnsRelation()}
	default:
		return nil
	}
	return []relationName{c.relation()}
}

// relations reads a list such as a, ONLY b *, c.
func (c cursor) relations() (all []relationName) {
	for {
		c.accept("ONLY")
		n := c.relation()
		if n.name == "" {
			return all
		}
		all = append(all, n)
		c.accept("*")
		if !c.accept(",") {
			return all
		}
	}
}

// relationKind goes past the kind of a relation, or of a type, which has the same name as its table.
func (c *cursor) relationKind() bool {
	c.skip("MATERIALIZED", "FOREIGN")
	for _, kind := range []string{"TABLE", "VIEW", "SEQUENCE", "INDEX", "TYPE", "DOMAIN"} {
		if c.accept(kind) {
			return true
		}
	}
	return false
}

// onRelation goes past the kind and name of what belongs to a table, and reads the table's.
func (c cursor) onRelation() (n relationName, ok bool) {
	for _, kind := range []string{"TRIGGER", "POLICY", "RULE", "CONSTRAINT"} {
		if c.accept(kind) {
			if !c.seek("ON") {
				return n, false
			}
			c.accept("ONLY")
			return c.relation(), true
		}
	}
	return n, false
}

func created(c cursor) []relationName {
	c.skip("OR", "REPLACE", "TEMPORARY", "TEMP", "LOCAL", "GLOBAL", "UNLOGGED", "RECURSIVE", "UNIQUE")
	if c.is("CONSTRAINT", "TRIGGER") {
		c.accept("CONSTRAINT")
	}
	switch {
	case c.is("RULE"):
		if c.seek("ON") && c.seek("TO") {
			return []relationName{c.relation()}
		}
		return nil
	case c.accept("STATISTICS"):
		if c.seek("FROM") {
			return c.relations()
		}
		return nil
	case c.accept("PUBLICATION"):
		return published(c)
	case c.accept("INDEX"):
		return indexed(c)
	}
	if n, ok := c.onRelation(); ok {
		return []relationName{n}
	}
	if !c.relationKind() {
		return nil
	}
	c.accept("IF", "NOT", "EXISTS")
	return []relationName{c.relation()}
}

// indexed reads CREATE INDEX. An index is in the schema of its table.
func indexed(c cursor) []relationName {
	c.accept("CONCURRENTLY")
	c.accept("IF", "NOT", "EXISTS")
	var index relationName
	if !c.is("ON") {
		index = c.relation()
	}
	if !c.accept("ON") {
		return []relationName{index}
	}
	c.accept("ONLY")
	table := c.relation()
	index.schema = table.schema
	if index.name == "" {
		return []relationName{table}
	}
	return []relationName{index, table}
}

func published(c cursor) (all []relationName) {
	for c.seek("TABLE") {
		all = append(all, c.relations()...)
	}
	return all
}

func altered(c cursor) []relationName {
	switch {
	case c.accept("PUBLICATION"):
		return published(c)
	case c.accept("SCHEMA"):
		n := c.relation()
		return []relationName{{schema: n.name, offset: n.offset, written: n.written}}
	case c.accept("EXTENSION"):
		c.relation()
		if (c.accept("ADD") || c.accept("DROP")) && c.relationKind() {
			return []relationName{c.relation()}
		}
		return nil
	}
	if n, ok := c.onRelation(); ok {
		return []relationName{n}
	}
	if !c.relationKind() {
		return nil
	}
	c.accept("IF", "EXISTS")
	c.accept("ONLY")
	n := c.relation()
	c.accept("*")
	switch {
	case c.accept("RENAME", "TO"):
		to := c.relation()
		to.schema = n.schema
		return []relationName{n, to}
	case c.accept("SET", "SCHEMA"):
		to := c.relation()
		return []relationName{n, {schema: to.name, name: n.name, offset: n.offset, written: to.written + "." + n.name}}
	}
	return []relationName{n}
}

func dropped(c cursor) (all []relationName) {
	if c.accept("SCHEMA") {
		c.accept("IF", "EXISTS")
		for _, n := range c.relations() {
			all = append(all, relationName{schema: n.name, offset: n.offset, written: n.written})
		}
		return all
	}
	if n, ok := c.onRelation(); ok {
		return []relationName{n}
	}
	if !c.relationKind() {
		return nil
	}
	c.accept("CONCURRENTLY")
	c.accept("IF", "EXISTS")
	return c.relations()
}

// described reads what COMMENT and SECURITY LABEL are about.
func described(c cursor) []relationName {
	if c.accept("COLUMN") {
		return []relationName{c.columnsRelation()}
	}
	if n, ok := c.onRelation(); ok {
		return []relationName{n}
	}
	if !c.relationKind() {
		return nil
	}
	return []relationName{c.relation()}
}

// KeepsOff refuses files that would change the ledger in this schema. Load cannot: it does
// not know which schema it is.
func (b Bundle) KeepsOff(schema string) error {
	var problems []Problem
	for _, m := range b.migrations {
		for _, n := range m.kept {
			if n.schema == schema {
				line, column := sqltext.Place(m.SQL, n.offset)
				problems = append(problems, Problem{m.File, line, column, n.refusal()})
			}
		}
	}
	if len(problems) > 0 {
		return &Error{problems}
	}
	return nil
}
