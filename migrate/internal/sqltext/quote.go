package sqltext

import (
	"fmt"
	"strings"
)

// QuoteName writes an identifier of one or more parts.
func QuoteName(parts ...string) string {
	quoted := make([]string, len(parts))
	for i, part := range parts {
		quoted[i] = `"` + strings.ReplaceAll(strings.ReplaceAll(part, "\x00", ""), `"`, `""`) + `"`
	}
	return strings.Join(quoted, ".")
}

// QuoteText writes a string literal that means the same whatever
// standard_conforming_strings says.
func QuoteText(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// DollarQuote puts text between dollar signs with a tag that does not occur in it.
func DollarQuote(text string) string {
	tag := "$$"
	for n := 1; strings.Contains(text, tag); n++ {
		tag = fmt.Sprintf("$do%d$", n)
	}
	return tag + text + tag
}

// Bind puts values in the place of the variables of a question, as psql does: :'name' becomes a literal, and :"name"
// an identifier. So a question that is a file of its own also runs in psql, with -v name=value.
func Bind(question string, values map[string]string) string {
	var pairs []string
	for name, value := range values {
		pairs = append(pairs, ":'"+name+"'", QuoteText(value), `:"`+name+`"`, QuoteName(value))
	}
	return strings.NewReplacer(pairs...).Replace(question)
}

// QuotedEnd returns where the name in quotes ends with which a text begins, or -1.
func QuotedEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '"':
		case strings.HasPrefix(s[i+1:], `"`):
			i++ // a quote in the name is doubled
		default:
			return i + 1
		}
	}
	return -1
}
