package snapshot

import (
	"cmp"
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// The order in which proposals run: what depends on something is dropped before it and created after it.
const (
	stepOwner    = iota // without the right owner nothing else can be changed
	stepEnum            // a value cannot be used in the transaction that adds it
	stepDropUse         // policies, triggers and rules
	stepDropView        // views
	stepDropKey         // foreign keys
	stepDrop            // other constraints, indexes, statistics, defaults, partitions
	stepDropCode        // functions and types
	stepCode            // functions and types
	stepColumn          // what a column is
	stepPart            // partitions and inheritance
	stepIndex           // indexes and constraints
	stepKey             // foreign keys
	stepView            // views
	stepUse             // policies, triggers, rules and settings
)

// A statement is a part of a proposal.
type statement struct {
	step, place int // by which a script sorts
	sql         string
	inPath      bool // it names objects without their schema
}

// A proposal takes one change back: with statements, or it says why it cannot.
type proposal struct {
	statements []statement
	why        string
}

func (p *proposal) add(step, place int, sql string) *statement {
	p.statements = append(p.statements, statement{step: step, place: place, sql: sql})
	return &p.statements[len(p.statements)-1]
}

// instead is a proposal that cannot be made.
func instead(why string) proposal { return proposal{why: why} }

// A change is one thing that differs: an object, a fact about it that is missing or extra, or one that was changed
// and has both lines.
type change struct {
	object, kind, name string
	lacks, has         string
	whole              Kind  // ObjectMissing or ObjectExtra; "" for a fact
	at                 []int // of its differences
}

// Propose gives each difference between two snapshots of a schema the SQL that undoes it, or a note why there is none:
// it proposes nothing that could lose data. Of a line that was changed, the SQL is with the one that is lacking; of a
// function, with the last one. The script is all of the SQL, those of differences that come with some included, in an
// order in which it runs.
func Propose(drift []Difference, want, got, schema string) (script []string) {
	if len(drift) == 0 {
		return nil
	}
	p := &proposer{
		schema: sqltext.QuoteName(schema), want: Objects(want), got: Objects(got),
		changes: changesIn(drift),
	}
	var all []statement
	for _, d := range drift {
		if d.SQL != "" {
			all = append(all, statement{step: stepOwner, sql: d.SQL})
		}
	}
	for _, c := range p.changes {
		made := p.propose(c)
		at := slices.MaxFunc(c.at, func(a, b int) int { return cmp.Compare(p.rank(drift[a]), p.rank(drift[b])) })
		drift[at].SQL, drift[at].Note = p.join(made.statements), made.why
		all = append(all, made.statements...)
	}
	return p.script(all)
}

// A proposer knows both schemas.
type proposer struct {
	schema    string // quoted
	want, got map[string]*Object
	changes   []change
}

// rank is higher for the difference that the SQL is with.
func (p *proposer) rank(d Difference) int {
	switch d.Change {
	case BodyChanged:
		return 2
	case LineMissing:
		return 1
	case ObjectMissing, ObjectExtra, LineExtra:
	}
	return 0
}

// changesIn puts the differences together that are one change.
func changesIn(drift []Difference) (all []change) {
	index := map[string]int{}
	for i, d := range drift {
		if d.SQL != "" {
			continue
		}
		kind, name := objectOf(d.Object)
		key := d.Object + "\n" + subjectOf(kind, d)
		at, found := index[key]
		if !found {
			at, index[key] = len(all), len(all)
			all = append(all, change{object: d.Object, kind: kind, name: name})
		}
		c := &all[at]
		switch c.at = append(c.at, i); d.Change {
		case LineMissing:
			c.lacks = d.Line
		case LineExtra:
			c.has = d.Line
		case ObjectMissing, ObjectExtra:
			c.whole = d.Change
		case BodyChanged:
		}
	}
	return all
}

// subjectOf is what a difference is about: two of the same object that are about the same are one change.
func subjectOf(kind string, d Difference) string {
	word, rest, _ := strings.Cut(strings.TrimPrefix(d.Line, "unique "), " ")
	part, _ := firstName(rest)
	switch {
	case kind == "function" || kind == "procedure" || kind == "aggregate":
		return "" // is replaced as a whole
	case kind == "domain" && word != "constraint", kind == "statistics", kind == "collation":
		return "definition"
	case d.Line == "":
		return ""
	case word == "with" && strings.HasPrefix(rest, "(toast."):
		return "with toast"
	case word == "row", word == "inherits", word == "inherited", word == "referenced":
		return d.Line
	case kind == "sequence" && word != "owned" && word != "identity":
		return "settings"
	case kind == "sequence":
		return "column"
	case slices.Contains([]string{"column", "attribute", "constraint", "index", "policy", "trigger", "rule"}, word):
		return word + " " + part
	}
	return word
}

// propose undoes a change.
func (p *proposer) propose(c change) proposal {
	switch c.kind {
	case "function", "procedure":
		return p.routine(c)
	case "view":
		return p.view(c)
	case "table", "materialized view", "foreign table":
		return p.relation(c)
	case "sequence":
		return p.sequence(c)
	case "domain", "enum", "composite type", "range type":
		return p.kind(c)
	case "statistics":
		return p.statistics(c)
	}
	return p.rare(c)
}

// rare is what snapshots say little about.
func (p *proposer) rare(c change) proposal {
	if c.whole != ObjectExtra {
		return instead("a migration makes it, and snapshots do not have its definition")
	}
	sql := "DROP " + strings.ToUpper(c.kind) + " " + p.schema + "." + c.name
	switch c.kind {
	case "aggregate":
		sql = "DROP ROUTINE " + p.schema + "." + c.name
	case "collation", "conversion":
	case "text":
		sql = "" // a name of several words
		for _, kind := range []string{"text search configuration ", "text search dictionary "} {
			if name, is := strings.CutPrefix(c.object, kind); is {
				sql = "DROP " + strings.ToUpper(kind) + p.schema + "." + name
			}
		}
	default:
		sql = ""
	}
	if sql == "" {
		return instead("others may depend on it, or only a superuser may drop it")
	}
	var made proposal
	made.add(stepDropCode, 0, sql).inPath = strings.Contains(sql, "(")
	return made
}

// join is what undoes one change by itself.
func (p *proposer) join(statements []statement) string {
	sorted := slices.Clone(statements)
	slices.SortStableFunc(sorted, byStep)
	var sql []string
	inPath := false
	for _, s := range sorted {
		sql = append(sql, s.sql)
		inPath = inPath || s.inPath
	}
	if inPath {
		sql = slices.Concat([]string{"SET search_path = " + p.schema}, sql, []string{"RESET search_path"})
	}
	return strings.Join(sql, "; ")
}

func byStep(a, b statement) int {
	return cmp.Or(cmp.Compare(a.step, b.step), cmp.Compare(a.place, b.place))
}

// script is all statements in one transaction, but for those that cannot be in it.
func (p *proposer) script(all []statement) (script []string) {
	slices.SortStableFunc(all, byStep)
	begin := slices.IndexFunc(all, func(s statement) bool { return s.step > stepEnum })
	seen := map[string]bool{}
	for i, s := range all {
		if i == begin {
			script = append(script, "BEGIN", "SET LOCAL search_path = "+p.schema+", pg_temp",
				"SET LOCAL check_function_bodies = off")
		}
		if !seen[s.sql] { // a view that two changes create again
			script = append(script, s.sql)
		}
		seen[s.sql] = true
	}
	if begin >= 0 {
		script = append(script, "COMMIT")
	}
	return script
}

// objectOf takes the name of an object in a snapshot apart.
func objectOf(object string) (kind, name string) {
	for _, kind := range []string{"materialized view", "foreign table", "composite type", "range type"} {
		if name, ok := strings.CutPrefix(object, kind+" "); ok {
			return kind, name
		}
	}
	kind, name, _ = strings.Cut(object, " ")
	return kind, name
}

// firstName cuts a name, as SQL writes it, off the front of a line.
func firstName(s string) (name, rest string) {
	if end := quotedLength(s); strings.HasPrefix(s, `"`) && end > 0 {
		return s[:end], strings.TrimPrefix(s[end:], " ")
	}
	name, rest, _ = strings.Cut(s, " ")
	return name, rest
}
