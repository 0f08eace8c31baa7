package review

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/bundle"
)

// made is what the files so far have made, as far as rules ask for it. Names are
// those within the schema.
type made struct {
	objects map[object]int // the version that made it
	tables  map[string]*table
	domains map[string]domain
	views   map[string][]string // each view's columns; nil when the text does not say them
	over    map[string][]string // the names of the schema's in the text of each view
	calls   map[string]routine

	polymorphic map[string]bool // enums and ranges
	quiet       map[string]bool // publications that publish neither UPDATE nor DELETE
}

// A domain is a type with another name, and perhaps with constraints.
type domain struct {
	base    string
	checks  int
	notNull bool
}

// A routine is a function or procedure, the last one of its name.
type routine struct {
	arguments []string // each one's text, in small letters
	returns   string
	trigger   bool // only the server calls it
	volatile  bool
}

// An object is known by its namespace: relation, routine, type, or of a table its
// column, constraint and trigger ("column users.name").
type object struct{ space, name string }

type table struct {
	kinds    map[string]string // each column's type
	indexes  []index
	keys     []foreignKey
	checks   map[string]check  // by the constraint's name
	notNull  map[string]bool   // columns
	given    map[string]bool   // columns with a default
	unproven map[string]string // columns of NOT NULL that is not valid, by the constraint's name
	of       string            // the composite type that it is of
	stored   bool              // it is a materialized view
	foreign  bool              // its rows are another server's
	secured  bool              // by row level security
	policies map[string]policy

	identity  string // the index that tells rows apart in a publication; "" where there is none
	published bool   // with its UPDATE and DELETE

	partitioned bool
	key         string // of the partitions, if it is one column
	partitions  []string
	rest        string // the default partition
	bounds      map[string]phrase
}

type policy struct{ restrictive, all bool }

type index struct {
	name    string
	method  string // "" is btree
	columns []string
	uses    []string // the columns that it depends on
	collate []string // those that it sorts in an order of its own
	unique  bool
	key     bool   // of a constraint that ON CONFLICT ON CONSTRAINT may name
	named   int    // the version that has renamed it; 0 for none
	plain   bool   // of columns alone, all rows
	finds   bool   // a row by its columns, so that a foreign key is served
	same    string // equal to that of another one that does for ON CONFLICT
}

type foreignKey struct {
	name    string
	columns []string
	valid   bool
	table   name
	file    *bundle.Migration
	at      int
}

type check struct {
	says  phrase
	valid bool
}

// table returns a table, an empty one if no file is seen to make it: a DO block may
// have.
func (m *made) table(n name) *table {
	t := m.tables[n.name]
	if t == nil {
		t = &table{
			kinds: map[string]string{}, checks: map[string]check{}, notNull: map[string]bool{},
			given:    map[string]bool{},
			policies: map[string]policy{}, bounds: map[string]phrase{}, unproven: map[string]string{},
		}
		m.tables[n.name] = t
	}
	return t
}

// renameView keeps a view's columns under its new name.
func (m *made) renameView(from, to string) {
	if columns, ok := m.views[from]; ok {
		m.views[to], m.over[to] = columns, m.over[from]
		delete(m.views, from)
	}
}

// renameViewColumn follows a view's column to its new name; of one whose columns the text does not say,
// only the new name is known then.
func (m *made) renameViewColumn(view, from, to string) {
	if columns, ok := m.views[view]; ok {
		m.views[view] = append(slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return c == from }), to)
	}
}

// dependants returns the views that go with an object by CASCADE.
func (m *made) dependants(of string) (all []string) {
	for reach := []string{of}; len(reach) > 0; reach = reach[1:] {
		for view, names := range m.over {
			_, there := m.views[view]
			if there && view != of && !slices.Contains(all, view) && slices.Contains(names, reach[0]) {
				all, reach = append(all, view), append(reach, view)
			}
		}
	}
	slices.Sort(all)
	return all
}

// indexed returns the name of the table that an index is of; "" when no file is seen to make it.
func (m *made) indexed(index string) (table string) {
	for of, t := range m.tables {
		if t.index(index) != nil {
			return of
		}
	}
	return ""
}

func (t *table) index(name string) *index {
	for k := range t.indexes {
		if t.indexes[k].name == name {
			return &t.indexes[k]
		}
	}
	return nil
}

// isKey reports whether ON CONFLICT ON CONSTRAINT takes this name.
func (t *table) isKey(name string) bool {
	i := t.index(name)
	return i != nil && i.key
}

// note keeps what a constraint brings to its table.
func (m *made) note(c constraint, n name, file *bundle.Migration) {
	t := m.table(n)
	named := func(suffix string, columns ...string) string { // as PostgreSQL does where no name is given
		return cmp.Or(c.name, strings.Join(append([]string{n.name}, append(columns, suffix)...), "_"))
	}
	switch c.kind {
	case "UNIQUE", "PRIMARY KEY":
		i := index{
			name: named("pkey"), columns: c.columns, uses: c.columns, unique: true, plain: true, finds: true,
			same: same(c.columns),
		}
		if c.kind == "UNIQUE" {
			i.name = named("key", c.columns...)
		}
		if k := slices.IndexFunc(t.indexes, func(i index) bool { return i.name == c.index }); k >= 0 && c.index != "" {
			made := t.indexes[k]
			made.name = i.name
			i = made
			t.drop(c.index)
		}
		i.unique, i.key = !c.deferrable, !c.deferrable // for ON CONFLICT
		if c.kind == "PRIMARY KEY" && !c.deferrable {
			t.identity = i.name
		}
		for _, column := range i.columns {
			t.notNull[column] = t.notNull[column] || c.kind == "PRIMARY KEY"
		}
		t.indexes = append(t.indexes, i)
	case "EXCLUDE":
		t.indexes = append(t.indexes, index{
			name: named("excl", c.columns...), method: c.method, columns: c.columns, uses: c.uses, key: !c.deferrable,
			plain: !c.partial && !slices.Contains(c.columns, ""),
		})
	case "FOREIGN KEY":
		t.keys = append(t.keys, foreignKey{named("fkey", c.columns...), c.columns, !c.notValid, n, file, c.at})
	case "CHECK":
		var columns []string // PostgreSQL names it for its column if it has one
		for _, w := range c.check.words() {
			if _, ok := t.kinds[w]; ok && !slices.Contains(columns, w) {
				columns = append(columns, w)
			}
		}
		if len(columns) != 1 {
			columns = nil
		}
		free := named("check", columns...)
		for k := 1; t.checks[free].says != nil; k++ {
			free = named("check", columns...) + strconv.Itoa(k)
		}
		t.checks[free] = check{c.check, !c.notValid}
	case "NOT NULL":
		for _, column := range c.columns {
			t.notNull[column] = t.notNull[column] || !c.notValid
			t.unproven[c.name] = column
		}
	}
}

// same writes what a unique index is of so that its columns' order does not count.
func same(parts []string) string {
	return strings.Join(slices.Sorted(slices.Values(parts)), ", ")
}

// words returns the names in the phrase, as the catalogue holds them.
func (p phrase) words() []string {
	var words []string
	for _, t := range p {
		if n, ok := t.Name(); ok {
			words = append(words, n)
		}
	}
	return words
}

// indexed reports whether an index starts with these columns, in any order: then
// deleting the row that a foreign key refers to does not read the whole table.
func (t *table) indexed(columns []string) bool {
	return slices.ContainsFunc(t.indexes, func(i index) bool {
		if !i.finds || len(i.columns) < len(columns) {
			return false
		}
		for _, c := range i.columns[:len(columns)] {
			if !slices.Contains(columns, c) {
				return false
			}
		}
		return true
	})
}

// proven reports whether a validated check says that the column holds no null.
func (t *table) proven(column string) bool {
	return t.notNull[column] || t.says(column+" is not null")
}

// says reports whether a validated check holds this condition, alone or with AND.
func (t *table) says(condition string) bool { return slices.Contains(t.said(), condition) }

// condition is the text of one, with its operators in one piece.
func (p phrase) condition() string {
	if rest := p; rest.accept("NOT") {
		if n, ok := rest.name(); ok && len(rest) == 2 && rest.is("IS", "NULL") {
			return n.name + " is not null"
		}
	}
	return strings.NewReplacer("> =", ">=", "< =", "<=", "< >", "<>").Replace(p.text())
}

// conditions cuts a condition at its ANDs.
func (p phrase) conditions() []string {
	p = p.unwrapped()
	if p.find("OR") != nil {
		return []string{p.condition()}
	}
	var list []string
	for rest := p; len(rest) > 0; rest.accept("AND") {
		part := rest.until("AND")
		if part.find("BETWEEN") != nil { // its own AND belongs to it
			rest = nil
		}
		if part.is("(") {
			list = append(list, part.conditions()...)
			continue
		}
		list = append(list, part.condition())
	}
	return list
}

// dropColumn forgets a column, and the indexes and keys that go with it.
func (t *table) dropColumn(column string) {
	delete(t.kinds, column)
	t.indexes = slices.DeleteFunc(t.indexes, func(i index) bool { return slices.Contains(i.uses, column) })
	delete(t.notNull, column)
	delete(t.given, column)
	t.keys = slices.DeleteFunc(t.keys, func(k foreignKey) bool { return slices.Contains(k.columns, column) })
}

// renameColumn follows a column to its new name.
func (t *table) renameColumn(from, to string) {
	t.kinds[to] = t.kinds[from]
	delete(t.kinds, from)
	follow := func(columns []string) {
		for i, c := range columns {
			if c == from {
				columns[i] = to
			}
		}
	}
	for k, i := range t.indexes {
		i.columns, i.uses = slices.Clone(i.columns), slices.Clone(i.uses)
		follow(i.columns)
		follow(i.uses)
		if i.plain {
			i.same = same(i.columns)
		}
		t.indexes[k] = i
	}
	for _, k := range t.keys {
		follow(k.columns)
	}
	for name, c := range t.checks {
		says := slices.Clone(c.says)
		for i, w := range says {
			if n, ok := w.Name(); ok && n == from {
				says[i].Word, says[i].Text = strings.ToUpper(to), to
			}
		}
		t.checks[name] = check{says, c.valid}
	}
	for _, of := range []map[string]bool{t.notNull, t.given} {
		of[to] = of[from]
		delete(of, from)
	}
}

// drop forgets a constraint, or an index, by name.
func (t *table) drop(name string) {
	delete(t.checks, name)
	t.indexes = slices.DeleteFunc(t.indexes, func(i index) bool { return i.name == name })
	t.keys = slices.DeleteFunc(t.keys, func(k foreignKey) bool { return k.name == name })
}

// rename keeps a constraint or an index under its new name.
func (t *table) rename(from, to string) {
	if i := t.index(from); i != nil {
		i.name = to
	}
	if t.identity == from {
		t.identity = to
	}
	for i := range t.keys {
		if t.keys[i].name == from {
			t.keys[i].name = to
		}
	}
	if c, ok := t.checks[from]; ok {
		delete(t.checks, from)
		t.checks[to] = c
	}
}
