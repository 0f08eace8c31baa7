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
			return "write text with CHECK (char_length(…) <= " + limit + "): a check can be changed without a rewrite, and can have a lower bound, too"
		}
	case "char", "character", "bpchar", "nchar":
		return "char pads with blanks and ignores them when comparing; write text, with a CHECK for its length"
	case "smallserial", "serial", "bigserial", "serial2", "serial4", "serial8":
		return "the sequence of a serial is an object of its own, with rights of its own; write bigint GENERATED ALWAYS AS IDENTITY"
	case "timestamp", "timestamp without time zone":
		return "a timestamp without time zone is no point in time; write timestamptz"
	case "money":
		return "what money means depends on a setting of the server's, lc_monetary; write numeric, or bigint of the smallest unit"
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
	base, rest, found := strings.Cut(kind, "(")
	if !found {
		return strings.TrimSpace(kind), ""
	}
	limit, behind, _ := strings.Cut(rest, ")")
	return strings.TrimSpace(base + behind), limit
}

// sameOnDisk reports whether a column can change from one type to another without
// its table being rewritten: PostgreSQL sees that where a text or a number may only become longer.
func sameOnDisk(from, to string) bool {
	if from == "" {
		return false
	}
	a, aLimit := splitKind(from)
	b, bLimit := splitKind(to)
	a, b = longName(a), longName(b)
	texts := []string{"text", "character varying"}
	switch {
	case strings.HasSuffix(from, "]") || strings.HasSuffix(to, "]"):
		return from == to
	case a == b && aLimit == bLimit, a == "cidr" && b == "inet":
		return true
	case slices.Contains(texts, a) && slices.Contains(texts, b), a == "numeric" && b == "numeric":
		return bLimit == "" || wider(aLimit, bLimit)
	}
	return false
}

// longName returns a type's name in the standard for one that PostgreSQL also has.
func longName(kind string) string {
	names := map[string]string{
		"int": "integer", "int2": "smallint", "int4": "integer", "int8": "bigint", "bool": "boolean", "decimal": "numeric", "float": "double precision",
		"float4": "real", "float8": "double precision", "varchar": "character varying", "timestamptz": "timestamp with time zone",
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
	return err == nil && err2 == nil && x <= y && strings.TrimSpace(fromScale) == strings.TrimSpace(toScale)
}

// constant reports whether a default is the same for all rows that there are, so
// that ADD COLUMN need not write it into each: it calls nothing but functions that
// are known to give one answer for a whole statement.
func (p phrase) constant() bool {
	for i, t := range p {
		called := i+1 < len(p) && p[i+1].Word == "("
		if _, ok := t.Name(); !ok || !called || i > 0 && (p[i-1].Word == ":" || p[i-1].Word == "AS") {
			continue // no call; numeric(10, 2) behind :: and AS is a type
		}
		if !slices.Contains(stable(), t.Word) || i > 0 && p[i-1].Word == "." && !p[max(i-2, 0):].is("PG_CATALOG") {
			return false
		}
	}
	return true
}

func stable() []string {
	return []string{
		"NOW", "TRANSACTION_TIMESTAMP", "STATEMENT_TIMESTAMP", "CURRENT_TIMESTAMP", "CURRENT_TIME", "LOCALTIMESTAMP", "LOCALTIME", "CURRENT_SETTING",
		"TIMEZONE", "DATE_TRUNC", "TO_TIMESTAMP", "MAKE_DATE", "MAKE_INTERVAL", "EXTRACT", "CAST", "COALESCE", "NULLIF", "LEAST", "GREATEST",
		"LOWER", "UPPER", "REPEAT", "DECODE", "ENCODE", "SHA256", "ARRAY_FILL", "JSONB_BUILD_OBJECT", "JSONB_BUILD_ARRAY",
		"NUMERIC", "DECIMAL", "VARCHAR", "CHAR", "BIT", "VARBIT", "TIMESTAMP", "TIMESTAMPTZ", "TIME", "INTERVAL", // types, as in timestamptz(0) '…'
	}
}
