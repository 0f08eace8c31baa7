package pg

import (
	_ "embed" // for a long question
	"fmt"
	"strconv"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// An Assignment gives a setting a value.
type Assignment struct{ Name, Value string }

// Assign is one query that sets what differs, and returns no rows. To ask for a setting costs a
// fraction of what it costs to set it, and of what it costs to send a statement for it.
func Assign(settings []Assignment, local bool) string {
	return "SELECT FROM " + Listed(settings) +
		" WHERE CASE WHEN coalesce(pg_catalog.current_setting(n, true), '-') OPERATOR(pg_catalog.<>) want " +
		"THEN pg_catalog.set_config(n, want, " + strconv.FormatBool(local) + ") IS NULL ELSE false END"
}

// AssignAll is one query that sets all for the session, and returns no rows: also what a setting has by default, which
// a reload of the server's configuration might change.
func AssignAll(settings []Assignment) string {
	return "SELECT FROM " + Listed(settings) + " WHERE pg_catalog.set_config(n, want, false) IS NULL"
}

// Listed has a row (n, want) for each setting. A list of constants in a VALUES would be
// parsed one by one, and a function in FROM would fill a temporary table first.
func Listed(settings []Assignment) string {
	var names, values []string
	for _, a := range settings {
		names, values = append(names, arrayElement(a.Name)), append(values, arrayElement(a.Value))
	}
	unnest := func(elements []string) string {
		return "pg_catalog.unnest(" + sqltext.QuoteText("{"+strings.Join(elements, ",")+"}") + "::pg_catalog.text[])"
	}
	return "(SELECT " + unnest(names) + " AS n, " + unnest(values) + " AS want OFFSET 0) s"
}

// arrayElement quotes a text inside of an array's literal.
func arrayElement(text string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), `"`, `\"`) + `"`
}

//go:embed differing.sql
var differingSQL string

// Differing asks for settings that do not have the value that they have to have; the answer is a list of
// [DifferentSetting].
func Differing(wanted []Assignment) string {
	var values []string
	for _, a := range wanted {
		values = append(values, fmt.Sprintf("('%[1]s', current_setting('%[1]s', true), %[2]s)", a.Name,
			sqltext.QuoteText(a.Value)))
	}
	return strings.Replace(differingSQL, "$values", strings.Join(values, ", "), 1)
}

// A DifferentSetting is one that does not have the value that it has to have.
type DifferentSetting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	May   bool   `json:"may"` // whether the current role may set it
	By    string `json:"by"`  // the statement that takes it away; "" when it is the server's own
}

// ValueOf returns the value of a setting in a list, "" when it is not in it.
func ValueOf(settings []Assignment, name string) string {
	for _, a := range settings {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}
