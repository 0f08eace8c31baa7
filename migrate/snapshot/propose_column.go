package snapshot

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// A column is what a line says about it.
type column struct {
	name       string
	typeName   string // and collation
	notNull    bool
	value      string // the expression of its default
	generated  string // that of a generated column, and whether it is stored
	identity   string // ALWAYS or BY DEFAULT
	storage    string
	compressed string
	statistics string
	options    string // with (…)
	foreign    string // options of a foreign table
}

// columnEnd is what a line of a column ends with.
var columnEnd = regexp.MustCompile(`^(.*?)(?: generated (always|by default) as identity)?` +
	`(?: storage (plain|external|main|extended))?(?: compression (\w+))?(?: statistics (-?\d+))?` +
	`(?: (with \([^)]*\)))?(?: (options \(.*\)))?$`)

// readColumn reads the line of a column, an attribute, or a domain after its name.
func readColumn(line string) (c column) {
	ends := columnEnd.FindStringSubmatch(line)
	c.identity, c.storage, c.compressed, c.statistics, c.options, c.foreign = ends[2], ends[3], ends[4], ends[5],
		ends[6], ends[7]
	line = ends[1]
	c.name, line = firstName(strings.TrimPrefix(strings.TrimPrefix(line, "column "), "attribute "))
	all := tokens(line)
	for i := 1; i < len(all); i++ { // the first is of the type
		if all[i].kind != 'a' || !is(all, i-1, " ") {
			continue
		}
		rest := together(all[i:])
		switch {
		case strings.HasPrefix(rest, "default "):
			c.value = strings.TrimPrefix(rest, "default ")
		case strings.HasPrefix(rest, "generated always as ("):
			c.generated = strings.TrimPrefix(rest, "generated always as ")
		case rest == "not null", strings.HasPrefix(rest, "not null "):
			c.notNull = true
		default:
			continue
		}
		if c.typeName == "" {
			c.typeName = strings.TrimSpace(together(all[:i]))
		}
		if c.value != "" || c.generated != "" {
			return c
		}
	}
	if c.typeName == "" {
		c.typeName = line
	}
	return c
}

// column undoes what differs about a column, but for what rewrites its values.
func (p *proposer) column(c change) proposal {
	switch {
	case c.has == "":
		return instead("its values are lost; a backup has them")
	case c.lacks == "":
		return instead("dropping it would lose its values")
	}
	want, got := readColumn(c.lacks), readColumn(c.has)
	switch {
	case want.typeName != got.typeName:
		return instead("another type rewrites its values")
	case want.generated != "" && want.generated != got.generated:
		return instead("its values would be computed again, in place of those that are there")
	case want.identity != "" && got.identity == "":
		return instead("the value of its sequence is lost; add it with a START after the greatest value in use")
	case want.foreign != got.foreign:
		return instead("they decide where the values are")
	}
	return p.columnParts(c, want, got)
}

func (p *proposer) columnParts(c change, want, got column) (made proposal) {
	alter := p.alterOnly(c) + "ALTER COLUMN " + want.name + " "
	place := p.depth(c.object)
	if got.generated != "" && want.generated == "" {
		if strings.HasSuffix(got.generated, " virtual") {
			return instead("its values are not stored")
		}
		made.add(stepDrop, place, alter+"DROP EXPRESSION")
	}
	p.defaults(&made, alter, want, got)
	switch {
	case want.identity == "" && got.identity != "":
		made.add(stepDrop, place, alter+"DROP IDENTITY")
	case want.identity != got.identity:
		made.add(stepColumn, place, alter+"SET GENERATED "+want.identity)
	}
	switch { // an identity is NOT NULL until it is dropped, and a primary key, too
	case want.notNull && !got.notNull:
		made.add(stepColumn, place, p.alter(c)+"ALTER COLUMN "+want.name+" SET NOT NULL")
	case got.notNull && !want.notNull:
		made.add(stepColumn, place, alter+"DROP NOT NULL")
	}
	p.storing(&made, c, alter, want, got)
	return made
}

// storing sets how a column is stored and planned with.
func (p *proposer) storing(made *proposal, c change, alter string, want, got column) {
	place := p.depth(c.object)
	if want.storage != got.storage {
		made.add(stepColumn, place, alter+"SET STORAGE "+strings.ToUpper(storageOf(want)))
	}
	if want.compressed != got.compressed {
		made.add(stepColumn, place, alter+"SET COMPRESSION "+cmp.Or(want.compressed, "DEFAULT"))
	}
	if want.statistics != got.statistics {
		made.add(stepColumn, place, alter+"SET STATISTICS "+cmp.Or(want.statistics, "-1"))
	}
	if want.options != got.options {
		ofColumn := change{kind: c.kind, name: c.name, lacks: want.options, has: got.options}
		for _, s := range p.options(ofColumn).statements {
			made.add(stepColumn, place, alter+strings.TrimPrefix(s.sql, p.alter(c)))
		}
	}
}

// alterOnly changes a table without those that inherit from it, whose lines say what they lack. Partitions follow.
func (p *proposer) alterOnly(c change) string {
	if p.either(c.object).fact("partitioned by ") == "" {
		for object, o := range p.got {
			if object != c.object && slices.Contains(parents(o), c.object) {
				return "ALTER TABLE ONLY " + strings.TrimPrefix(p.alter(c), "ALTER TABLE ")
			}
		}
	}
	return p.alter(c)
}

// defaults sets the default of a column or a domain. It is dropped before, so that a function that no migration made
// can be dropped, too.
func (p *proposer) defaults(made *proposal, alter string, want, got column) {
	if want.value == got.value {
		return
	}
	if got.value != "" {
		made.add(stepDrop, 0, alter+"DROP DEFAULT")
	}
	if want.value != "" {
		made.add(stepColumn, 0, alter+"SET DEFAULT "+want.value).inPath = p.needsPath("", want.value)
	}
}

// storageOf is how a column is stored. SET STORAGE DEFAULT is known from PostgreSQL 16 on, so that the built-in types
// have theirs here.
func storageOf(c column) string {
	base, _, _ := strings.Cut(c.typeName, " collate ")
	base, _, _ = strings.Cut(base, "(")
	switch {
	case c.storage != "":
		return c.storage
	case strings.HasSuffix(base, "[]"), slices.Contains([]string{
		"text", "character varying", "character", "bytea", "json", "jsonb", "xml", "bit", "bit varying", "tsvector",
		"path", "polygon",
	}, base):
		return "extended"
	case slices.Contains([]string{"numeric", "inet", "cidr"}, base):
		return "main"
	}
	return "default"
}

// needsPath reports whether a text may name objects of the schema, which a snapshot writes without it: it has other
// names in it than those of the object's columns and words that are always the server's.
func (p *proposer) needsPath(object, text string) bool {
	columns := map[string]bool{}
	for _, line := range p.either(object).lines() {
		if rest, is := strings.CutPrefix(line, "column "); is {
			name, _ := firstName(rest)
			columns[name] = true
		}
	}
	words := serversWords()
	for _, t := range tokens(text) {
		if t.name() != "" && !columns[t.text] && !slices.Contains(words, strings.ToLower(t.text)) {
			return true
		}
	}
	return false
}

// serversWords mean the same whatever the search path is: pg_catalog comes first in it.
func serversWords() []string {
	return []string{
		"and", "any", "array", "asc", "between", "bigint", "boolean", "brin", "btree", "bytea", "check", "coalesce",
		"date",
		"deferrable", "deferred", "desc", "distinct", "false", "first", "for", "from", "gin", "gist", "hash",
		"immediate",
		"in", "include", "initially", "integer", "is", "jsonb", "key", "last", "length", "like", "lower", "not", "now",
		"null", "nulls", "numeric", "octet_length", "or", "primary", "select", "smallint", "text", "timestamp", "time",
		"true", "unique", "upper", "using", "uuid", "valid", "where", "with", "zone", "gen_random_uuid",
	}
}
