// Package redact takes values of rows out of what PostgreSQL says about an error.
//
// The server puts values into the message (invalid input syntax for type integer: "…"), the detail (Failing row
// contains …), the context (COPY t, line 3, column c: "…"; SQL statement "…") and the hint of an error, and PL/pgSQL's
// RAISE into each of them. They end in logs that more people read than may read the rows.
//
// It promises that what is left are the server's own words, names that the error carries as fields, and what stands in
// the SQL that was sent anyway. It fails closed: a detail of a SQLSTATE that no table lists, and a line of the context
// in no known form, are left out.
package redact

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

const hidden = "…"

// Server returns a copy of a server's error without values. source is the SQL that was sent, of which every word may be
// shown; it may be empty.
func Server(e *pgconn.PgError, source string) *pgconn.PgError {
	if e == nil {
		return nil
	}
	r := *e
	c := content{e, source}
	r.Message = c.message()
	r.Detail = c.detail()
	r.Hint = c.hint()
	r.Where = context(e.Where)
	if !strings.Contains(source, strings.TrimSpace(e.InternalQuery)) { // built at run time
		r.InternalQuery, r.InternalPosition = "", 0
	}
	if c.authored() { // RAISE … USING TABLE = …
		for _, name := range []*string{&r.SchemaName, &r.TableName, &r.ColumnName, &r.DataTypeName, &r.ConstraintName} {
			*name = c.words(*name)
		}
	}
	return &r
}

// Notice is Server for what the server says without an error.
func Notice(n *pgconn.Notice, source string) *pgconn.Notice {
	return (*pgconn.Notice)(Server((*pgconn.PgError)(n), source))
}

// Text is the text of an error, without values if the server's words are a part of it. One with a method
// WithoutValues has none, and its text stays.
func Text(err error) string {
	text := err.Error()
	e, ok := errors.AsType[*pgconn.PgError](err)
	if _, done := errors.AsType[interface {
		error
		WithoutValues()
	}](err); !ok || done {
		return text
	}
	safe := Server(e, "")
	for _, part := range [][2]string{
		{e.Message, safe.Message},
		{e.Detail, safe.Detail},
		{e.Hint, safe.Hint},
		{e.Where, safe.Where},
	} {
		if part[0] != "" && part[0] != part[1] {
			text = strings.ReplaceAll(text, part[0], part[1])
		}
	}
	return text
}

// A content is an error that is being redacted.
type content struct {
	*pgconn.PgError
	source string
}

// valueClasses are the classes of SQLSTATE whose messages hold values of rows; those of the others hold names.
func valueClasses() []string {
	return []string{
		"21", // cardinality violation
		"22", // data exception
		"23", // integrity constraint violation
		"2F", // SQL routine exception
		"38", // external routine exception
		"39", // external routine invocation exception
		"F0", // configuration file error
		"HV", // foreign data wrapper error
		"P0", // PL/pgSQL error
		"XX", // internal error
	}
}

// detailClasses are the classes whose details are about objects, sessions or the server.
func detailClasses() []string {
	return []string{"08", "0A", "25", "28", "2B", "3D", "3F", "40", "42", "53", "54", "55", "57", "58"}
}

func (c content) class() string { return c.Code[:min(2, len(c.Code))] }

// authored reports whether the words are those of a function's author, with values put in.
func (c content) authored() bool {
	for _, prefix := range []string{"exec_stmt_raise", "exec_stmt_assert", "PLy_", "do_util_elog", "plperl", "pltcl"} {
		if strings.HasPrefix(c.Routine, prefix) {
			return true
		}
	}
	return c.class() == "P0" || c.class() == "38"
}

// dynamic reports whether names may be values too: SQL in a function can be put together from rows.
func (c content) dynamic() bool { return c.Where != "" || c.InternalQuery != "" }

func (c content) holdsValues() bool {
	return len(c.Code) != len("00000") || c.dynamic() || c.looksUp() || slices.Contains(valueClasses(), c.class())
}

// looksUp reports whether names may be values since a function looked them up at run time: v::regclass, set_config(v,
// …), v::tsquery. Of names in the SQL itself the server says where they stand, or they are found there.
func (c content) looksUp() bool {
	return c.source != "" && c.Position == 0 && slices.Contains([]string{"0A", "3D", "3F", "42"}, c.class())
}

func (c content) message() string {
	switch {
	case c.authored():
		return c.words(c.Message)
	case !c.holdsValues():
		return c.Message
	}
	before, setting, after := c.setting()
	text := c.quoted(after)
	if c.class() == "22" {
		before, text = c.numbers(before), c.numbers(text)
	}
	text = before + setting + text
	// the one list of names without quotes
	if head, name, ok := strings.Cut(text, " dotted names): "); ok && !c.knows(name) {
		text = head + " dotted names): " + hidden
	}
	return text
}

// setting cuts a message at the name of the setting whose value the server refuses: one that it has, so that its name
// is not a value of a row. The name is empty when the message is about something else.
func (c content) setting() (before, name, after string) {
	routines := []string{
		"parse_and_validate_value", "call_bool_check_hook", "call_int_check_hook", "call_real_check_hook",
		"call_string_check_hook",
		"call_enum_check_hook",
	}
	at := regexp.MustCompile(`[` + quotes + `][\pZ]?[A-Za-z_][A-Za-z0-9_.$]*[\pZ]?[` + quotes +
		`]`).FindStringIndex(c.Message)
	if !slices.Contains(routines, c.Routine) || at == nil || strings.IndexAny(c.Message, quotes) != at[0] {
		return "", "", c.Message
	}
	return c.Message[:at[0]], c.Message[at[0]:at[1]], c.Message[at[1]:]
}

func (c content) detail() string {
	switch {
	case c.Detail == "":
		return ""
	case c.authored():
		return c.words(c.Detail)
	case !c.holdsValues() && slices.Contains(detailClasses(), c.class()):
		return c.Detail
	}
	return ""
}

func (c content) hint() string {
	switch {
	case c.authored():
		return c.words(c.Hint)
	case c.holdsValues():
		return c.quoted(c.Hint)
	}
	return c.Hint
}

// quotes are those in which the server's translations put values.
const quotes = "\"«»„“”"

// quoted hides what stands in quotes, unless all of it is known. A value may hold quotes itself, so from the first
// unknown one on everything up to the last quote is hidden.
func (c content) quoted(text string) string {
	for _, at := range regexp.MustCompile(`[`+quotes+`][^`+quotes+`]*[`+quotes+`]`).FindAllStringIndex(text, -1) {
		inner := strings.Trim(text[at[0]:at[1]], quotes+" \u00a0")
		if c.knows(inner) {
			continue
		}
		end := max(strings.LastIndexAny(text, quotes), at[0])
		last := strings.IndexFunc(text[end:], func(r rune) bool { return !strings.ContainsRune(quotes, r) })
		rest := ""
		if last >= 0 {
			rest = text[end+last:]
		}
		return text[:at[0]] + `"` + hidden + `"` + rest
	}
	if first := strings.IndexAny(text, quotes); strings.Count(text, `"`)%2 == 1 && first >= 0 { // cut off by the server
		return text[:first] + `"` + hidden + `"`
	}
	return text
}

// knows reports whether a text in quotes is a name that the error carries as a field, or stands in the SQL. What a data
// exception without a position quotes comes from a row, whatever else it looks like.
func (c content) knows(inner string) bool {
	if slices.Contains([]string{c.SchemaName, c.TableName, c.ColumnName, c.DataTypeName, c.ConstraintName}, inner) {
		return true
	}
	return (c.class() != "22" || c.Position > 0) && inner != "" && (c.names(inner) || c.folds(inner))
}

// names reports whether a text stands in the SQL, where parts of a name may be quoted.
func (c content) names(inner string) bool {
	return strings.Contains(c.source, inner) || strings.Contains(strings.ReplaceAll(c.source, `"`, ""), inner)
}

// folds reports whether a text is a name of the SQL, of which the server has made small letters.
func (c content) folds(name string) bool {
	return name == strings.ToLower(name) && regexp.MustCompile(`^[\pL_][\pL\pN_]*$`).MatchString(name) &&
		regexp.MustCompile(`(?i)(^|[^\pL\pN_])`+name+`($|[^\pL\pN_])`).MatchString(c.source)
}

// numbers hides numbers outside of a type's brackets.
func (c content) numbers(text string) string {
	found := c.vocabulary()
	return regexp.MustCompile(`\([0-9, ]+\)|0x[0-9a-fA-F]+|[0-9][0-9.]*`).ReplaceAllStringFunc(text,
		func(number string) string {
			if number[0] == '(' || c.Position > 0 && found[number] {
				return number
			}
			return hidden
		})
}

// words keeps the words that stand in the SQL, and hides the others: of RAISE '% rows are wrong', n the words.
func (c content) words(text string) string {
	found := c.vocabulary()
	text = regexp.MustCompile(word).ReplaceAllStringFunc(text, func(w string) string {
		if found[w] {
			return w
		}
		return hidden
	})
	return regexp.MustCompile(hidden+`([^\pL\pN\s]*\s?`+hidden+`)+`).ReplaceAllString(text, hidden)
}

const word = `[\pL\pN_]+`

func (c content) vocabulary() map[string]bool {
	found := map[string]bool{}
	for _, w := range regexp.MustCompile(word).FindAllString(c.source, -1) {
		found[w] = true
	}
	return found
}

// context keeps the lines that name a place. Lines of a statement or of data, which may be broken anywhere, are left
// out.
func context(where string) string {
	place := regexp.MustCompile(
		`^((PL/pgSQL|SQL|PL/\w+) function [\w."$,()\[\] ]+?|(SQL|PL/pgSQL) (inline_code_block|function inline_code_block))` +
			`( line \d+ at [\w ]+| during [\w ]+| statement \d+)?$|^COPY [^,:]+, line \d+(, column [^,:"]+)?|^JSON data, line \d+|^while [a-z ]+$`)
	var kept []string
	for line := range strings.SplitSeq(where, "\n") {
		if found := place.FindString(line); found != "" {
			kept = append(kept, found)
		}
	}
	return strings.Join(kept, "\n")
}
