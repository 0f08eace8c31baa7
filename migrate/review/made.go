package review

import (
	"cmp"
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate"
)

// made is what the files so far have made, as far as rules ask for it. Names are
// those within the schema.
type made struct {
	objects map[object]int // the version that made it
	tables  map[string]*table
}

// An object is known by its namespace: relation, routine, type, or of a table its
// column, constraint and trigger ("column users.name").
type object struct{ space, name string }

type table struct {
	kinds    map[string]string // each column's type
	indexes  []index
	keys     []foreignKey
	notNulls map[string]notNull // by the constraint's name
}

type index struct {
	name    string
	columns []string
}

type foreignKey struct {
	name    string
	columns []string
	table   name
	file    *migrate.Migration
	at      int
}

// notNull is a check (column IS NOT NULL).
type notNull struct {
	column string
	proven bool // validated
}

// table returns a table, an empty one if no file is seen to make it: a DO block may
// have.
func (m *made) table(n name) *table {
	t := m.tables[n.name]
	if t == nil {
		t = &table{kinds: map[string]string{}, notNulls: map[string]notNull{}}
		m.tables[n.name] = t
	}
	return t
}

// note keeps what a constraint brings to its table.
func (m *made) note(c constraint, n name, file *migrate.Migration) {
	t := m.table(n)
	named := func(suffix string, columns ...string) string { // as PostgreSQL does where no name is given
		return cmp.Or(c.name, strings.Join(append([]string{n.name}, append(columns, suffix)...), "_"))
	}
	switch c.kind {
	case "UNIQUE", "PRIMARY KEY":
		i := index{named("pkey"), c.columns}
		if c.kind == "UNIQUE" {
			i.name = named("key", c.columns...)
		}
		if k := slices.IndexFunc(t.indexes, func(i index) bool { return i.name == c.index }); k >= 0 && c.index != "" {
			i.columns = t.indexes[k].columns
			t.drop(c.index)
		}
		t.indexes = append(t.indexes, i)
	case "FOREIGN KEY":
		t.keys = append(t.keys, foreignKey{named("fkey", c.columns...), c.columns, n, file, c.at})
	case "CHECK":
		if column := c.provesNotNull(); column != "" {
			t.notNulls[named("check", column)] = notNull{column, !c.notValid}
		}
	}
}

// indexed reports whether an index starts with these columns, in any order: then
// deleting the row that a foreign key refers to does not read the whole table.
func (t *table) indexed(columns []string) bool {
	return slices.ContainsFunc(t.indexes, func(i index) bool {
		if len(i.columns) < len(columns) {
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
	for _, n := range t.notNulls {
		if n.column == column && n.proven {
			return true
		}
	}
	return false
}

// dropColumn forgets a column, and the indexes and keys that go with it.
func (t *table) dropColumn(column string) {
	delete(t.kinds, column)
	t.indexes = slices.DeleteFunc(t.indexes, func(i index) bool { return slices.Contains(i.columns, column) })
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
	for _, i := range t.indexes {
		follow(i.columns)
	}
	for _, k := range t.keys {
		follow(k.columns)
	}
	for name, n := range t.notNulls {
		if n.column == from {
			t.notNulls[name] = notNull{to, n.proven}
		}
	}
}

// drop forgets a constraint, or an index, by name.
func (t *table) drop(name string) {
	delete(t.notNulls, name)
	t.indexes = slices.DeleteFunc(t.indexes, func(i index) bool { return i.name == name })
	t.keys = slices.DeleteFunc(t.keys, func(k foreignKey) bool { return k.name == name })
}

// rename keeps a constraint or an index under its new name.
func (t *table) rename(from, to string) {
	for i := range t.indexes {
		if t.indexes[i].name == from {
			t.indexes[i].name = to
		}
	}
	for i := range t.keys {
		if t.keys[i].name == from {
			t.keys[i].name = to
		}
	}
	if n, ok := t.notNulls[from]; ok {
		delete(t.notNulls, from)
		t.notNulls[to] = n
	}
}
