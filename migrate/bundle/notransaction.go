package bundle

import (
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A NoTx is what is known of a statement that cannot run in a transaction. What
// a crash leaves of it is found by these names.
type NoTx struct {
	Verb        string // CREATE, DROP, REINDEX or VACUUM
	object      string // of REINDEX: INDEX, TABLE or SCHEMA
	Schema      string
	Name        string // of the index, or of what is indexed again
	Table       string // of CREATE: the table's, in the same schema
	IfNotExists bool

	Form string // as PostgreSQL's manual distinguishes them: "CREATE INDEX CONCURRENTLY", "VACUUM FULL" …
	On   []Name // the tables or indexes that it works on; none is the whole database
}

// A Name is that of a table or an index; without a Relation it stands for the whole schema.
type Name struct{ Schema, Relation string }

// A noTxError is what is wrong with the statement of a file without a transaction.
type noTxError struct {
	offset  int
	message string
}

const noTxForms = "only CREATE INDEX CONCURRENTLY, DROP INDEX CONCURRENTLY, REINDEX of an index, a table or a " +
	"schema, and VACUUM go without a transaction; leave the directive out"

// parseNoTx reads the statement of a file without a transaction, and refuses what could
// not be begun again after a crash. Every table and index needs its schema: such a
// statement has no transaction for SET LOCAL, and what a name without a schema means in
// the session of a pooler is for others to say.
func parseNoTx(tokens []sqltext.Token) (NoTx, *noTxError) {
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
	return NoTx{}, &noTxError{start, noTxForms}
}

func (c cursor) aloneCreate() (s NoTx, wrong *noTxError) {
	s.Verb, s.IfNotExists = "CREATE", c.accept("IF", "NOT", "EXISTS")
	if c.is("ON") || len(c) == 0 {
		return s, &noTxError{c.offset(), "CREATE INDEX CONCURRENTLY needs the index's name: what is left of it " +
			"after a crash is found by that name; write CREATE INDEX CONCURRENTLY NAME ON …"}
	}
	index := c.relation()
	if index.schema != "" {
		return s, &noTxError{index.offset, index.written +
			": an index is always in the schema of its table; write its name without one"}
	}
	if index.name == "" || !c.accept("ON") {
		return s, &noTxError{c.offset(), noTxForms}
	}
	c.accept("ONLY")
	table := c.relation()
	s.Schema, s.Name, s.Table = table.schema, index.name, table.name
	s.Form, s.On = "CREATE INDEX CONCURRENTLY", []Name{{table.schema, table.name}}
	return s, table.needsSchema("ON ")
}

func (c cursor) aloneDrop() (s NoTx, wrong *noTxError) {
	s.Verb = "DROP"
	c.accept("IF", "EXISTS")
	index := c.relation()
	s.Schema, s.Name = index.schema, index.name
	s.Form, s.On = "DROP INDEX CONCURRENTLY", []Name{{index.schema, index.name}}
	if c.is(",") || c.is("CASCADE") {
		return s, &noTxError{c.offset(), "DROP INDEX CONCURRENTLY drops one index, without CASCADE; give each a " +
			"file of its own"}
	}
	return s, index.needsSchema("DROP INDEX CONCURRENTLY ")
}

func (c cursor) aloneReindex() (s NoTx, wrong *noTxError) {
	s.Verb, s.Form = "REINDEX", "REINDEX"
	concurrently := c.list().option("CONCURRENTLY")
	at := c.offset()
	for _, object := range []string{"INDEX", "TABLE", "SCHEMA"} {
		if c.accept(object) {
			s.object = object
		}
	}
	if s.object == "" {
		return s, &noTxError{at, "REINDEX of a database is for its owner, the DBA; write REINDEX SCHEMA " +
			"CONCURRENTLY, with the schema's name"}
	}
	if c.accept("CONCURRENTLY") || concurrently {
		s.Form = "REINDEX CONCURRENTLY"
	}
	n := c.relation()
	if s.object == "SCHEMA" {
		s.Schema, s.On = n.name, []Name{{Schema: n.name}}
		return s, nil
	}
	s.Schema, s.Name, s.On = n.schema, n.name, []Name{{n.schema, n.name}}
	return s, n.needsSchema("REINDEX " + s.object + " CONCURRENTLY ")
}

// aloneVacuum allows VACUUM without a table, too: it names none.
func (c cursor) aloneVacuum() (s NoTx, wrong *noTxError) {
	s.Verb, s.Form = "VACUUM", "VACUUM"
	if full := c.list().option("FULL"); c.accept("FULL") || full { // which goes before the other words
		s.Form = "VACUUM FULL"
	}
	c.skip("FREEZE", "VERBOSE", "ANALYZE", "ANALYSE")
	for len(c) > 0 {
		c.accept("ONLY")
		n := c.relation()
		if wrong := n.needsSchema("VACUUM "); wrong != nil {
			return s, wrong
		}
		s.On = append(s.On, Name{n.schema, n.name})
		c.accept("*")
		c.list() // columns
		if !c.accept(",") {
			break
		}
	}
	return s, nil
}

// needsSchema refuses a name without its schema; as is what stands before the name.
func (n relationName) needsSchema(as string) *noTxError {
	switch {
	case n.name == "":
		return &noTxError{n.offset, noTxForms}
	case n.schema == "":
		return &noTxError{n.offset, n.written +
			" needs its schema: through a pooler, a file without a transaction may run with another " +
			"search_path; write " +
			as + "SCHEMA." + n.written + ", with the name of the schema that it is in"}
	}
	return nil
}

// NoTx returns what the one statement of a file without a transaction is.
func (m *Migration) NoTx() NoTx {
	statement, _ := parseNoTx(sqltext.Tokens(m.SQL)[0]) // Load has checked it
	return statement
}

// Qualified is a name in the statement's schema, as SQL text.
func (s NoTx) Qualified(name string) string {
	return sqltext.QuoteText(sqltext.QuoteName(s.Schema, name))
}

// LeftInvalid returns the condition for the indexes x, named i, that a crash leaves invalid;
// "" when it leaves none.
func (s NoTx) LeftInvalid() string {
	switch {
	case s.Verb == "CREATE":
		return "i.relname = " + sqltext.QuoteText(s.Name) + " AND x.indrelid = to_regclass(" + s.Qualified(s.Table) +
			")"
	case s.Verb != "REINDEX":
		return ""
	case s.object == "SCHEMA":
		return leftByReindex
	}
	// A partitioned one stands for its partitions. The server cuts a long name to have room
	// for the ending.
	named := strings.NewReplacer("$name", s.Qualified(s.Name)).Replace(
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
