package main

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing/fstest"
)

// A corpus is a made-up history of a schema, as SQL that every tool takes as it is: names
// without a schema, and no semicolon but at the end of a statement, because some tools
// cut files there.
type corpus []sqlFile

// An sqlFile is one migration.
type sqlFile struct {
	version int
	name    string
	sql     string
}

// newCorpus writes a history of n files. The same seed makes the same files, and a
// shorter history is the beginning of a longer one.
func newCorpus(seed uint64, n int) corpus {
	a := author{rand: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // made-up data
	files := make(corpus, n)
	for i := range files {
		name, sql := a.write()
		files[i] = sqlFile{i + 1, name, sql}
	}
	return files
}

// as lays the files out for a tool.
func (c corpus) as(layout func(sqlFile) (name, content string)) fs.FS {
	files := make(fstest.MapFS, len(c))
	for _, f := range c {
		name, content := layout(f)
		files[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o444}
	}
	return files
}

// size is that of all files together.
func (c corpus) size() int {
	n := 0
	for _, f := range c {
		n += len(f.sql)
	}
	return n
}

// An author remembers what there is, so that later files can change it.
type author struct {
	rand   *rand.Rand
	tables []table
}

type table struct {
	name    string
	columns int // called extra_1 and so on, beyond those of every table
	rows    int
}

// write returns the next file. The shares are those of a schema that has lived for some
// years: more files change tables and their rows than make new ones.
func (a *author) write() (name, sql string) {
	share := a.rand.IntN(100)
	switch {
	case share < 20 || len(a.tables) == 0:
		return a.createTable()
	case share < 45:
		return a.alterTable()
	case share < 60:
		return a.createIndex()
	case share < 85:
		return a.insert()
	}
	return a.update()
}

func (a *author) createTable() (name, sql string) {
	t := table{name: fmt.Sprintf("%s_%d", a.noun(), len(a.tables)+1)}
	a.tables = append(a.tables, t)
	return "add_" + t.name, fmt.Sprintf(`-- %[2]s: each belongs to one %[3]s.
CREATE TABLE %[1]s (
	id         bigint      PRIMARY KEY,
	owner      uuid,
	label      text        NOT NULL CHECK (length(label) BETWEEN 1 AND 200),
	amount     integer     NOT NULL DEFAULT 0,
	settings   jsonb       NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE %[1]s IS '%[2]s of every %[3]s';
COMMENT ON COLUMN %[1]s.amount IS 'in the smallest unit';
`, t.name, a.noun(), a.noun())
}

func (a *author) alterTable() (name, sql string) {
	t := a.pick()
	t.columns++
	column := fmt.Sprintf("extra_%d", t.columns)
	sql = fmt.Sprintf("/* Older rows have none. */\nALTER TABLE %s ADD COLUMN %s text;\n", t.name, column)
	if a.rand.IntN(2) == 0 {
		sql += fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s_short CHECK (length(%[2]s) < 1000);\n", t.name, column)
	}
	return "extend_" + t.name + "_" + column, sql
}

func (a *author) createIndex() (name, sql string) {
	t := a.pick()
	t.columns++ // so that the next one has another name
	column := []string{"owner", "created_at", "label", "amount"}[a.rand.IntN(4)]
	index := fmt.Sprintf("%s_%s_%d", t.name, column, t.columns)
	sql = fmt.Sprintf("ALTER TABLE %s ADD COLUMN extra_%d boolean NOT NULL DEFAULT false;\n", t.name, t.columns)
	return "index_" + index, sql + fmt.Sprintf("CREATE INDEX %s ON %s (%s, id) WHERE NOT extra_%d;\n", index, t.name,
		column, t.columns)
}

func (a *author) insert() (name, sql string) {
	t := a.pick()
	var rows []string
	for range 3 + a.rand.IntN(15) {
		t.rows++
		rows = append(rows, fmt.Sprintf("\t(%d, '%08x-0000-4000-8000-%012x', '%s of %s', %d)",
			t.rows, a.rand.Uint32(), a.rand.Uint64N(1<<48), a.noun(), a.noun(), a.rand.IntN(10000)))
	}
	return fmt.Sprintf("fill_%s_%d", t.name, t.rows),
		fmt.Sprintf("-- What every installation starts with.\nINSERT INTO %s (id, owner, label, amount) VALUES\n%s;\n",
			t.name, strings.Join(rows, ",\n"))
}

func (a *author) update() (name, sql string) {
	t := a.pick()
	return "correct_" + t.name, fmt.Sprintf("UPDATE %s SET amount = amount + %d, updated_at = now() WHERE label "+
		"LIKE '%s%%'; -- it's in another unit now\n",
		t.name, 1+a.rand.IntN(9), a.noun())
}

func (a *author) pick() *table { return &a.tables[a.rand.IntN(len(a.tables))] }

func (a *author) noun() string {
	nouns := [...]string{
		"account", "address", "article", "badge", "comment", "device", "event", "folder", "group",
		"invoice", "letter", "member", "note", "order", "payment", "report", "session", "tag", "ticket", "vault",
	}
	return nouns[a.rand.IntN(len(nouns))]
}

// file is the name as most tools want it: 0012_add_tags.sql.
func (f sqlFile) file(suffix string) string {
	return fmt.Sprintf("%04d_%s%s", f.version, f.name, suffix)
}
