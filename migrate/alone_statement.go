package migrate

import (
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// An aloneStatement is what is known of a statement that cannot run in a transaction. What
// a crash leaves of it is found by these names.
type aloneStatement struct {
	verb        string // CREATE, DROP, REINDEX or VACUUM
	object      string // of REINDEX: INDEX, TABLE or SCHEMA
	schema      string
	name        string // of the index, or of what is indexed again
	table       string // of CREATE: the table's, in the same schema
	ifNotExists bool
}

// An aloneError is what is wrong with the statement of a file without a transaction.
type aloneError struct {
	offset  int
	message string
}

const aloneForms = "only CREATE INDEX CONCURRENTLY, DROP INDEX CONCURRENTLY, REINDEX of an index, a table or a " +
	"schema, and VACUUM go without a transaction; leave the directive out"

// parseAlone reads the statement of a file without a transaction, and refuses what could
// not be begun again after a crash. Every table and index needs its schema: such a
// statement has no transaction for SET LOCAL, and what a name without a schema means in
// the session of a pooler is for others to say.
func parseAlone(tokens []sqltext.Token) (aloneStatement, *aloneError) {
	c, start := cursor(tokens), cursor(tokens).offset()
	switch {
	case c.accept("CREATE", "INDEX", "CONCURRENTLY"), c.accept("CREATE", "UNIQUE", "INDEX", "CONCURRENTLY"):
		return c.aloneCreate()
	case c.accept("DROP", "INDEX", "CONCURRENTLY"):
		return c.aloneDrop()
	case c.accept("REINDEX"):
		return c.aloneReindex()
	case c.accept("VACUUM"):
		return c.aloneVacuum()
	}
	return aloneStatement{}, &aloneError{start, aloneForms}
}

func (c cursor) aloneCreate() (s aloneStatement, wrong *aloneError) {
	s.verb, s.ifNotExists = "CREATE", c.accept("IF", "NOT", "EXISTS")
	if c.is("ON") || len(c) == 0 {
		return s, &aloneError{c.offset(), "CREATE INDEX CONCURRENTLY needs the index's name: what is left of it " +
			"after a crash is found by that name; write CREATE INDEX CONCURRENTLY NAME ON …"}
	}
	index := c.relation()
	if index.schema != "" {
		return s, &aloneError{index.offset, index.written +
			": an index is always in the schema of its table; write its name without one"}
	}
	if index.name == "" || !c.accept("ON") {
		return s, &aloneError{c.offset(), aloneForms}
	}
	c.accept("ONLY")
	table := c.relation()
	s.schema, s.name, s.table = table.schema, index.name, table.name
	return s, table.needsSchema("ON ")
}

func (c cursor) aloneDrop() (s aloneStatement, wrong *aloneError) {
	s.verb = "DROP"
	c.accept("IF", "EXISTS")
	index := c.relation()
	s.schema, s.name = index.schema, index.name
	if c.is(",") || c.is("CASCADE") {
		return s, &aloneError{c.offset(), "DROP INDEX CONCURRENTLY drops one index, without CASCADE; give each a " +
			"file of its own"}
	}
	return s, index.needsSchema("DROP INDEX CONCURRENTLY ")
}

func (c cursor) aloneReindex() (s aloneStatement, wrong *aloneError) {
	s.verb = "REINDEX"
	c.list() // options
	at := c.offset()
	for _, object := range []string{"INDEX", "TABLE", "SCHEMA"} {
		if c.accept(object) {
			s.object = object
		}
	}
	if s.object == "" {
		return s, &aloneError{at, "REINDEX of a database is for its owner, the DBA; write REINDEX SCHEMA " +
			"CONCURRENTLY, with the schema's name"}
	}
	c.accept("CONCURRENTLY")
	n := c.relation()
	if s.object == "SCHEMA" {
		s.schema = n.name
		return s, nil
	}
	s.schema, s.name = n.schema, n.name
	return s, n.needsSchema("REINDEX " + s.object + " CONCURRENTLY ")
}

// aloneVacuum allows VACUUM without a table, too: it names none.
func (c cursor) aloneVacuum() (s aloneStatement, wrong *aloneError) {
	s.verb = "VACUUM"
	c.list()
	c.skip("FULL", "FREEZE", "VERBOSE", "ANALYZE", "ANALYSE")
	for len(c) > 0 {
		c.accept("ONLY")
		if wrong := c.relation().needsSchema("VACUUM "); wrong != nil {
			return s, wrong
		}
		c.accept("*")
		c.list() // columns
		if !c.accept(",") {
			break
		}
	}
	return s, nil
}

// needsSchema refuses a name without its schema; as is what stands before the name.
func (n relationName) needsSchema(as string) *aloneError {
	switch {
	case n.name == "":
		return &aloneError{n.offset, aloneForms}
	case n.schema == "":
		return &aloneError{n.offset, n.written +
			" needs its schema: through a pooler, a file without a transaction may run with another " +
			"search_path; write " +
			as + "SCHEMA." + n.written + ", with the name of the schema that it is in"}
	}
	return nil
}

// alone returns what the one statement of a file without a transaction is.
func (m *Migration) alone() aloneStatement {
	statement, _ := parseAlone(sqltext.Tokens(m.SQL)[0]) // Load has checked it
	return statement
}

// qualified is a name in the statement's schema, as SQL text.
func (s aloneStatement) qualified(name string) string { return quoteText(quoteName(s.schema, name)) }

// left returns the condition for the indexes x, named i, that a crash leaves invalid;
// "" when it leaves none.
func (s aloneStatement) left() string {
	switch {
	case s.verb == "CREATE":
		return "i.relname = " + quoteText(s.name) + " AND x.indrelid = to_regclass(" + s.qualified(s.table) + ")"
	case s.verb != "REINDEX":
		return ""
	case s.object == "SCHEMA":
		return leftByReindex
	}
	// A partitioned one stands for its partitions. The server cuts a long name to have room
	// for the ending.
	named := strings.NewReplacer("$name", s.qualified(s.name)).Replace(
		"(SELECT relid FROM pg_partition_tree(to_regclass($name)) UNION SELECT to_regclass($name))")
	if s.object == "TABLE" {
		return leftByReindex + " AND x.indrelid IN " + named
	}
	return leftByReindex + ` AND EXISTS (SELECT FROM pg_index of JOIN pg_class old ON old.oid = of.indexrelid WHERE of.indexrelid IN ` + named + `
		AND of.indrelid = x.indrelid AND starts_with(old.relname, regexp_replace(i.relname, '_cc(new|old)[0-9]*$', ''))
		AND (length(i.relname) = length(old.relname) + length(substring(i.relname FROM '_cc(?:new|old)[0-9]*$')) OR octet_length(i.relname) > 55))`
}

// leftByReindex is what such indexes are called (PostgreSQL documentation, REINDEX,
// "Rebuilding Indexes Concurrently").
const leftByReindex = `i.relname ~ '_cc(new|old)[0-9]*$'`
