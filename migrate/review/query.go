package review

import (
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// query judges SELECT, INSERT, UPDATE, DELETE and MERGE, and what WITH holds of them.
func (r *review) query(p phrase) {
	tables := r.reads(p)
	r.changes(p)
	what := "the query"
	switch {
	case p.find("INSERT") != nil:
		what = "INSERT … SELECT"
	case p.is("UPDATE"), p.is("DELETE"), p.is("MERGE"):
		return // said above
	}
	for _, n := range tables {
		if r.holdsRows(n) && !strings.HasPrefix(n.name, "pg_") {
			r.long(p.at(), what+" reads "+n.String())
			break
		}
	}
}

// changes judges INSERT, UPDATE, DELETE and MERGE, also those in WITH.
func (r *review) changes(p phrase) {
	for i, t := range p {
		if !p.startsQuery(i) {
			continue
		}
		rest := p[i:]
		switch {
		case rest.accept("INSERT", "INTO"), rest.accept("MERGE", "INTO"):
			target := rest.target()
			r.own(target)
			if t.Word == "MERGE" && r.oldTable(target) {
				r.merge(t, target, rest)
				r.long(t.Start, "MERGE into "+target.String()+" may take long")
			}
		case rest.accept("UPDATE"), rest.accept("DELETE", "FROM"):
			r.change(t, rest)
		}
	}
}

// holdsRows reports whether a release may have made what is read, or a table that a view reads.
func (r *review) holdsRows(n name) bool {
	seen := []string{n.name}
	for i := 0; i < len(seen); i++ {
		if r.oldTable(name{name: seen[i]}) {
			return true
		}
		if _, view := r.made.views[seen[i]]; !view {
			continue
		}
		for _, of := range r.made.over[seen[i]] {
			if _, made := r.made.objects[object{"relation", of}]; made && !slices.Contains(seen, of) {
				seen = append(seen, of)
			}
		}
	}
	return false
}

// merge judges what follows the table of MERGE: with a condition that chooses nothing, all rows match.
func (r *review) merge(t sqltext.Token, n name, p phrase) {
	of := rows{r.made.table(n), p.calls(n)}
	on := p.find("ON")
	on.accept("ON")
	condition := on.until("WHEN")
	if on.is("WHEN", "MATCHED", "THEN") && !on.is("WHEN", "MATCHED", "THEN", "DO") {
		r.whole(t, n, of.truth(condition))
	}
}

// change judges UPDATE and DELETE, whose first word is t.
func (r *review) change(t sqltext.Token, p phrase) {
	inner := p.until()
	n := inner.target()
	if t.Word == "UPDATE" {
		r.own(n) // that of DELETE FROM is among those that reads has judged
	}
	if !r.oldTable(n) {
		return
	}
	where := inner.find("WHERE")
	where.accept("WHERE")
	switch of := (rows{r.made.table(n), inner.calls(n)}); {
	case len(where) == 0:
		r.breaks(ruleWhole, t.Start, "%s without WHERE changes every row of %s; write which ones (for a backfill, "+
			"WHERE the new column IS NULL)", t.Word, n)
	default:
		r.whole(t, n, of.truth(where.until("RETURNING")))
	}
	r.long(t.Start, t.Word+" of "+n.String()+" may take long")
}

// whole says when a condition chooses no rows.
func (r *review) whole(t sqltext.Token, n name, condition truth) {
	switch condition {
	case varies, never:
	case always:
		r.breaks(ruleWhole, t.Start, "the condition of %s is true of every row of %s; "+
			"write which ones (for a backfill, WHERE the new column IS NULL)", t.Word, n)
	case alike:
		r.breaks(ruleWhole, t.Start, "the condition of %s names no column of %s, so it is true of every row "+
			"or of none; "+
			"write which ones", t.Word, n)
	}
}

// calls reads what follows the name of a table that is changed, and returns what its columns may be
// qualified with.
func (p phrase) calls(n name) []string {
	p.accept("AS")
	if p.isAny("SET", "WHERE", "USING", "FROM", "RETURNING") {
		return []string{n.name}
	}
	if alias, ok := p.name(); ok {
		return []string{alias.name}
	}
	return []string{n.name}
}

// startsQuery reports whether a query begins at token i: at the very start, in
// parentheses, or behind WITH … AS (…).
func (p phrase) startsQuery(i int) bool {
	return i == 0 || p[i-1].Word == "(" || p[i-1].Word == ")" && p.is("WITH") && p[i].Depth == 0
}

// reads judges the names of the tables that a query reads, and returns them. Those
// that WITH defines and the server's own need no schema.
func (r *review) reads(p phrase) []name {
	defined := p.defined()
	var tables []name
	for i, t := range p {
		rest := p[i+1:]
		switch {
		case t.Word == "FROM" && p[:i].inQuery(t.Depth) && p[i-1].Word != "DISTINCT", t.Word == "USING" &&
			p.is("DELETE"):
			rest = rest.until("WHERE", "GROUP", "HAVING", "WINDOW", "UNION", "INTERSECT", "EXCEPT", "ORDER", "LIMIT",
				"OFFSET", "FETCH", "FOR", "RETURNING", "ON", "USING", ";")
		case t.Word == "JOIN":
			rest = rest.until(",")
		case t.Word == "TABLE" && p[:i].beforeQuery():
			rest = rest.until("UNION", "INTERSECT", "EXCEPT", "ORDER", "LIMIT", "OFFSET", "FETCH", "FOR", "WITH")
		default:
			continue
		}
		for _, item := range rest.list() {
			n := item.target()
			if n.name == "" || item.isAny("(", "FROM") || n.schema == "" && defined[n.name] {
				continue // a subquery, a function, ROWS FROM, what WITH defines
			}
			tables = append(tables, n)
			switch {
			case n.schema != "":
				r.ledger(n)
			case !strings.HasPrefix(n.name, "pg_"):
				r.own(n)
			}
		}
	}
	return tables
}

// beforeQuery reports whether TABLE, behind the phrase, is short for SELECT * FROM.
func (p phrase) beforeQuery() bool {
	return len(p) == 0 || p[len(p)-1:].isAny("(", "AS", "UNION", "INTERSECT", "EXCEPT", "ALL", "DISTINCT")
}

// inQuery reports whether what follows the phrase at this depth is in a query and
// not in the parentheses of extract(day FROM …) or trim(FROM …).
func (p phrase) inQuery(depth int) bool {
	if depth == 0 {
		return len(p) > 0
	}
	for i, t := range slices.Backward(p) {
		if t.Depth < depth {
			return p[i+1:].isAny("SELECT", "WITH", "DELETE", "UPDATE", "INSERT")
		}
	}
	return false
}

// defined returns the names that WITH gives to queries.
func (p phrase) defined() map[string]bool {
	names := map[string]bool{}
	for i := range p {
		rest := p[i:]
		n, ok := rest.name()
		rest.group()
		if ok && n.schema == "" && rest.accept("AS") {
			rest.skip("NOT", "MATERIALIZED")
			if rest.is("(") {
				names[n.name] = true
			}
		}
	}
	return names
}
