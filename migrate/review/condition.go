package review

import (
	"slices"
	"strconv"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A truth is what a condition is, over the rows of a table.
type truth int

const (
	varies truth = iota // it may be true of some rows and not of others
	always
	never // it is false or null
	alike // it names nothing of a row: it is true of all or of none
)

// rows are those of a table that a statement changes.
type rows struct {
	table *table
	names []string // what its columns may be qualified with
}

// truth reads a condition: OR binds less than AND, and AND less than NOT. What it does not
// understand varies.
func (r rows) truth(p phrase) truth {
	p = p.unwrapped()
	if parts := p.cut("OR"); len(parts) > 1 {
		return r.either(parts)
	}
	if parts := p.cut("AND"); len(parts) > 1 {
		return r.both(parts)
	}
	if p.is("NOT") {
		return r.not(p[1:])
	}
	return r.simple(p)
}

// cut cuts a condition at AND or OR; the AND of BETWEEN is none.
func (p phrase) cut(word string) []phrase {
	if p.find("CASE") != nil {
		return []phrase{p}
	}
	var parts []phrase
	start, between := 0, false
	for i, t := range p {
		switch {
		case t.Depth != p[0].Depth:
		case t.Word == "BETWEEN":
			between = true
		case t.Word == "AND" && between:
			between = false
		case t.Word == word:
			parts = append(parts, p[start:i])
			start = i + 1
		}
	}
	return append(parts, p[start:])
}

func (r rows) either(parts []phrase) truth {
	answer := never
	for i, p := range parts {
		for _, q := range parts[:i] { // a IS NULL OR a IS NOT NULL
			if p.denies(q) || q.denies(p) {
				return always
			}
		}
		switch one := r.truth(p); {
		case one == always:
			return always
		case one == varies || answer == never:
			answer = one
		}
	}
	return answer
}

// denies reports whether a condition is that another one is not true, and neither is ever null.
func (p phrase) denies(q phrase) bool {
	null, ok := strings.CutSuffix(q.unwrapped().text(), " is null")
	return ok && p.unwrapped().text() == null+" is not null"
}

func (r rows) both(parts []phrase) truth {
	answer := always
	for _, p := range parts {
		switch one := r.truth(p); {
		case one == never:
			return never
		case one == varies || answer == always:
			answer = one
		}
	}
	return answer
}

func (r rows) not(p phrase) truth {
	switch one := r.truth(p); {
	case one == always:
		return never
	case one == never && !p.hasNull(): // NOT NULL is null
		return always
	case one == never:
		return alike
	default:
		return one
	}
}

func (p phrase) hasNull() bool {
	return slices.ContainsFunc(p, func(t sqltext.Token) bool { return t.Word == "NULL" })
}

// simple reads a condition without AND, OR and NOT before it.
func (r rows) simple(p phrase) truth {
	rest := p
	left := rest.until("IS")
	if rest.accept("IS") {
		return r.is(left, rest)
	}
	switch strings.ToLower(p.uncast().text()) {
	case "true", "'true'", "'t'", "'yes'", "'on'", "'1'":
		return always
	case "false", "'false'", "'f'", "'no'", "'off'", "'0'", "null":
		return never
	}
	if truth, ok := r.compared(p); ok {
		return truth
	}
	rest = p
	left = rest.until("LIKE", "ILIKE")
	if (rest.accept("LIKE") || rest.accept("ILIKE")) && rest.text() == "'%'" && r.notNull(left) {
		return always
	}
	return r.alike(p)
}

// uncast is the phrase without ::boolean behind it.
func (p phrase) uncast() phrase {
	for _, kind := range []string{"BOOL", "BOOLEAN"} {
		if n := len(p) - 3; n > 0 && p[n:].is(":", ":", kind) {
			return p[:n].unwrapped()
		}
	}
	return p
}

// is reads what follows left IS.
func (r rows) is(left, p phrase) truth {
	not := p.accept("NOT")
	var answer truth
	switch what := r.truth(left); {
	case p.accept("DISTINCT", "FROM"):
		if left.text() != p.text() || !left.still() {
			return r.alike(append(slices.Clone(left), p...))
		}
		answer = never
	case p.is("NULL") && left.text() == "null":
		answer = always
	case p.is("NULL") && r.notNull(left):
		answer = never
	case p.is("TRUE") && what != varies && what != alike:
		answer = what
	case p.is("FALSE") && what == always:
		answer = never
	case p.is("FALSE") && what == never && !left.hasNull():
		answer = always
	default:
		return r.alike(left)
	}
	switch {
	case !not:
	case answer == always:
		return never
	case answer == never:
		return always
	}
	return answer
}

// notNull reports whether a value is none: a column that cannot be, one of the server's, or a literal.
func (r rows) notNull(p phrase) bool {
	p = p.unwrapped()
	if text := p.text(); len(p) == 1 && p[0].Word == "" {
		if n, ok := p[0].Name(); ok {
			return r.table.proven(n)
		}
		return text != "null"
	}
	parts, _ := p.path()
	switch n := len(parts); {
	case len(p) > 0 || n == 0 || n > 1 && !slices.Contains(r.names, parts[n-2]):
		return false
	default:
		return r.table.proven(parts[n-1]) || slices.Contains([]string{"ctid", "tableoid", "xmin"}, parts[n-1])
	}
}

// compared reads a = b and the like; ok is false when it is something else, or unknown.
func (r rows) compared(p phrase) (answer truth, ok bool) {
	operators := []string{"=", "<", ">"}
	rest := p
	left := rest.until(operators...)
	n := 0
	for n < len(rest) && slices.Contains(operators, rest[n].Word) {
		n++
	}
	operator := strings.ReplaceAll(rest[:n].text(), " ", "")
	rest = rest[n:]
	if operator == "" || len(left) == 0 || len(rest) == 0 {
		return varies, false
	}
	x, err := strconv.ParseFloat(left.text(), 64)
	y, err2 := strconv.ParseFloat(rest.text(), 64)
	literal := len(left) == 1 && len(rest) == 1 && left[0].Word == "" && rest[0].Word == ""
	switch {
	case left.text() == rest.text() && left.still() && !left.hasNull() && (literal || r.notNull(left)):
		x, y = 0, 0
	case err != nil || err2 != nil:
		return varies, false
	}
	if map[string]bool{"=": x == y, "<>": x != y, "<": x < y, ">": x > y, "<=": x <= y, ">=": x >= y}[operator] {
		return always, true
	}
	return never, true
}

// still reports whether a value is the same when it is asked for twice: it calls nothing.
func (p phrase) still() bool { return p.find("(") == nil }

// alike tells a condition that names nothing of a row from one that may.
func (r rows) alike(p phrase) truth {
	for i, t := range p {
		_, named := t.Name()
		switch {
		case !named, slices.Contains(notColumns(), t.Word):
		case i+1 < len(p) && (p[i+1].Word == "(" || p[i+1].Word == "."): // a function, or what qualifies
		case i > 0 && p[i-1].Word == ":": // a type
		case i > 1 && p[i-1].Word == "." && !r.qualifies(p[i-2]): // another table's
		default:
			return varies
		}
	}
	return alike
}

func (r rows) qualifies(t sqltext.Token) bool {
	n, _ := t.Name()
	return slices.Contains(r.names, n)
}

// notColumns are words that are no columns where they stand alone in a condition.
func notColumns() []string {
	return strings.Fields(`TRUE FALSE NULL UNKNOWN IS NOT AND OR IN LIKE ILIKE BETWEEN DISTINCT FROM ANY ALL SOME EXISTS
		SELECT WHERE AS CASE WHEN THEN ELSE END CURRENT_DATE CURRENT_TIMESTAMP CURRENT_USER SESSION_USER LOCALTIMESTAMP
		INTEGER INT TEXT BOOLEAN BOOL DATE TIMESTAMPTZ INTERVAL LIMIT ARRAY ROW`)
}
