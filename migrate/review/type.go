package review

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// columnType judges the type of a column or a domain.
func (r *review) columnType(kind phrase) {
	p := kind
	n, ok := p.name()
	if ok && r.ours("type", n) {
		r.own(n)
	}
	if n.schema != "" && n.schema != "pg_catalog" {
		return
	}
	if instead := insteadOf(kind.text()); instead != "" {
		r.breaks(ruleColumnType, kind.at(), "%s", instead)
	}
}

// insteadOf says which type to use instead of one that is a trap.
func insteadOf(kind string) string {
	base, limit := splitKind(kind)
	switch base {
	case "varchar", "character varying", "char varying":
		if limit != "" {
			return "write text with CHECK (char_length(…) <= " + limit +
				"): a check can be changed without a rewrite, and can have a lower bound, too"
		}
	case "char", "character", "bpchar", "nchar":
		return "char pads with blanks and ignores them when comparing; write text, with a CHECK for its length"
	case "smallserial", "serial", "bigserial", "serial2", "serial4", "serial8":
		return "the sequence of a serial is an object of its own, with rights of its own; write bigint GENERATED " +
			"ALWAYS AS IDENTITY"
	case "timestamp", "timestamp without time zone":
		return "a timestamp without time zone is no point in time; write timestamptz"
	case "money":
		return "what money means depends on a setting of the server's, lc_monetary; write numeric, or bigint of the " +
			"smallest unit"
	case "json":
		return "json can neither be compared nor indexed; write jsonb, or text where every byte matters"
	}
	return ""
}

func isSerial(kind phrase) bool {
	return strings.HasSuffix(strings.TrimRight(kind.text(), "248"), "serial")
}

// splitKind takes "character varying(20)[]" apart.
func splitKind(kind string) (base, limit string) {
	kind, _, _ = strings.Cut(kind, "[")
	kind = strings.TrimPrefix(kind, "pg_catalog.")
	if kind == "bpchar" {
		return "character", "-" // of any length, unlike char
	}
	base, rest, found := strings.Cut(kind, "(")
	if !found {
		return strings.TrimSpace(kind), ""
	}
	limit, behind, _ := strings.Cut(rest, ")")
	return strings.TrimSpace(base + behind), limit
}

// A typeChange is what a column's new type costs.
type typeChange int

const (
	free      typeChange = iota
	reindexes            // its indexes are built again
	rewrites
)

// typeChange says what it costs that a column changes from one type to another. It was seen
// in the server's own messages, on 15 and 18 alike (TestTheReviewAgreesWithTheServer).
func (m *made) typeChange(from, to string) typeChange {
	if from == "" || m.constrained(to) && from != to {
		return rewrites
	}
	otherDomain := from != to && m.base(from) != from
	from, to = m.base(from), m.base(to)
	a, aLimit := splitKind(from)
	b, bLimit := splitKind(to)
	if otherDomain && bLimit != "" { // the limit of a domain is not seen in its value
		return rewrites
	}
	a, b = longName(a), longName(b)
	aLimit, bLimit = ownLimit(a, aLimit), ownLimit(b, bLimit)
	// only the smallest field counts
	if (a != b || aLimit != bLimit) && strings.HasPrefix(a, "interval") && strings.HasPrefix(b, "interval") {
		if fields := a[len("interval"):]; fields != "" && !strings.HasSuffix(fields, "second") {
			aLimit = "0"
		}
		if fields := b[len("interval"):]; fields == "" || strings.HasSuffix(fields, "second") {
			a, b = "interval", "interval"
		}
	}
	texts := []string{"text", "character varying"}
	switch pair := a + " to " + b; {
	case strings.HasSuffix(from, "]") != strings.HasSuffix(to, "]"):
		return rewrites
	case a == b && aLimit == bLimit, a == b && !strings.HasSuffix(to, "]") && slices.Contains(growing(), a) &&
		wider(aLimit, bLimit):
		return free
	case strings.HasSuffix(to, "]") && a == b && bLimit == "":
		return free
	case strings.HasSuffix(to, "]"):
		return rewrites
	case slices.Contains(texts, a) && slices.Contains(texts, b) && (bLimit == "" || a == b && wider(aLimit, bLimit)),
		a == "character" && b == "character" && bLimit == "", pair == "regclass to oid", pair == "oid to regclass",
		pair == "cidr to inet", a == "xml" && slices.Contains(texts, b) && bLimit == "":
		return free
	case slices.Contains(texts, a) && b == "character" && bLimit == "",
		pair == "timestamp without time zone to timestamp with time zone" && bLimit == "",
		pair == "timestamp with time zone to timestamp without time zone" && bLimit == "",
		pair == "bit to bit varying" && bLimit == "", pair == "integer to oid", pair == "oid to integer",
		pair == "regclass to integer", pair == "integer to regclass":
		return reindexes
	}
	return rewrites
}

// growing are the types of which a longer one holds the shorter one's values as they are.
func growing() []string {
	return []string{
		"character varying", "bit varying", "numeric", "timestamp with time zone", "timestamp without time zone",
		"time without time zone",
		"time with time zone", "interval",
	}
}

// ownLimit is the limit that a type has where none is written, and "" where it has none.
func ownLimit(kind, limit string) string {
	switch {
	case limit == "" && (kind == "character" || kind == "bit"):
		return "1"
	case kind == "character" && limit == "-":
		return ""
	case kind == "numeric" && limit != "" && !strings.Contains(limit, ","):
		return limit + ",0"
	case limit == "6" && (strings.HasPrefix(kind, "time") || strings.HasPrefix(kind, "interval")):
		return ""
	}
	return limit
}

// base is the type that a domain is of, and a type that is none itself.
func (m *made) base(kind string) string {
	name, array := strings.TrimSuffix(kind, "[]"), strings.HasSuffix(kind, "[]")
	for range len(m.domains) {
		d, ok := m.domains[name[strings.LastIndexByte(name, '.')+1:]]
		if !ok || array {
			break
		}
		name = d.base
	}
	if array {
		return name + "[]"
	}
	return name
}

// isOver reports whether a type is the domain, or a domain over it.
func (m *made) isOver(kind string, n name) bool {
	for range 1 + len(m.domains) {
		if kind == n.String() || kind == n.name {
			return true
		}
		d, ok := m.domains[kind[strings.LastIndexByte(kind, '.')+1:]]
		if !ok {
			break
		}
		kind = d.base
	}
	return false
}

// constrained reports whether a type is a domain, or an array of one, with a constraint.
func (m *made) constrained(kind string) bool {
	name := strings.TrimSuffix(kind, "[]")
	for range len(m.domains) {
		d, ok := m.domains[name[strings.LastIndexByte(name, '.')+1:]]
		if !ok {
			break
		}
		if d.notNull || d.checks > 0 {
			return !strings.HasSuffix(kind, "[]")
		}
		name = d.base
	}
	return false
}

// rebuilt reports whether an index of this kind is built again whatever type its column gets,
// even the one that it has: where its operator class is for all arrays, enums or ranges, and what it
// stores is of another type than the column.
func (m *made) rebuilt(method, kind string) bool {
	kind = m.base(kind)
	name := kind[strings.LastIndexByte(kind, '.')+1:]
	array, multirange := strings.HasSuffix(kind, "]"), strings.HasSuffix(name, "multirange")
	ranged := strings.HasSuffix(name, "range") || m.polymorphic[name]
	switch method {
	case "hash":
		return array || ranged
	case "brin":
		return ranged && !multirange
	case "gin":
		return array
	case "gist":
		return multirange
	}
	return false
}

// longName returns a type's name in the standard for one that PostgreSQL also has.
func longName(kind string) string {
	names := map[string]string{
		"int": "integer", "int2": "smallint", "int4": "integer", "int8": "bigint", "bool": "boolean",
		"decimal": "numeric", "float": "double precision",
		"float4": "real", "float8": "double precision", "varchar": "character varying",
		"timestamptz": "timestamp with time zone",
		"timestamp":   "timestamp without time zone", "time": "time without time zone", "timetz": "time with time zone",
		"char":   "character",
		"varbit": "bit varying",
	}
	return cmp.Or(names[kind], kind)
}

// wider reports whether a limit such as "20" or "10,2" has grown, with the same
// digits behind the point.
func wider(from, to string) bool {
	fromSize, fromScale, _ := strings.Cut(from, ",")
	toSize, toScale, _ := strings.Cut(to, ",")
	x, err := strconv.Atoi(strings.TrimSpace(fromSize))
	y, err2 := strconv.Atoi(strings.TrimSpace(toSize))
	return to == "" || err == nil && err2 == nil && x <= y && strings.TrimSpace(fromScale) == strings.TrimSpace(toScale)
}

// constant reports whether a default is the same for all rows that there are, so
// that ADD COLUMN need not write it into each: it calls no volatile function.
func (p phrase) constant(calls map[string]routine) bool {
	for i, t := range p {
		n, ok := t.Name()
		if !ok || i+1 >= len(p) || p[i+1].Word != "(" || i > 0 && (p[i-1].Word == ":" || p[i-1].Word == "AS") {
			continue // no call; numeric(10, 2) behind :: and AS is a type
		}
		ours, known := calls[n]
		foreign := i > 1 && p[i-1].Word == "." && !p[i-2:].is("PG_CATALOG")
		switch {
		case foreign && (!known || ours.volatile), !foreign && slices.Contains(volatile(), n):
			return false
		}
	}
	return true
}
