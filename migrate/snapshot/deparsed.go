package snapshot

import (
	"slices"
	"strings"
)

// A token is a piece of text that the server made from an expression, a query or a
// definition. Such text has no comments, no dollar quotes and no E” strings.
type token struct {
	kind byte // 'a' a word, '"' a quoted name, '\'' a string, ' ' white space, '.' any other character
	text string
}

// name is what a word or a quoted name stands for; "" for any other token.
func (t token) name() string {
	switch t.kind {
	case 'a':
		return t.text
	case '"':
		return strings.ReplaceAll(t.text[1:len(t.text)-1], `""`, `"`)
	}
	return ""
}

// tokens cuts text up; put together again they are the text.
func tokens(text string) []token {
	var all []token
	for text != "" {
		t := token{kind: '.'}
		n := 1
		switch c := text[0]; {
		case (c == '\'' || c == '"') && quotedLength(text) > 0:
			t.kind, n = c, quotedLength(text)
		case inWord(c) && (c < '0' || c > '9'):
			t.kind, n = 'a', countWhile(text, inWord)
		case inWord(c): // a number
			n = countWhile(text, inWord)
		case inSpace(c):
			t.kind, n = ' ', countWhile(text, inSpace)
		}
		t.text, text = text[:n], text[n:]
		all = append(all, t)
	}
	return all
}

func inWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func inSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func countWhile(text string, is func(byte) bool) int {
	for i := range len(text) {
		if !is(text[i]) {
			return i
		}
	}
	return len(text)
}

// quotedLength is that of a string or a quoted name, in which a doubled quote is one;
// 0 when it is never closed.
func quotedLength(text string) int {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != text[0]:
		case i+1 == len(text) || text[i+1] != text[0]:
			return i + 1
		default:
			i++
		}
	}
	return 0
}

func together(all []token) string {
	var b strings.Builder
	for _, t := range all {
		b.WriteString(t.text)
	}
	return b.String()
}

// unqualified takes the schema's name, and the dot behind it, away from everything
// that it qualifies, also within a string that names an object ('app.s'::regclass).
// A table's alias that is called like the schema goes, too.
func unqualified(text, schema string) string {
	if !strings.Contains(text, schema) && !strings.ContainsAny(schema, `'"`) {
		return text
	}
	all := tokens(text)
	kept := all[:0:0]
	for i := 0; i < len(all); i++ {
		t := all[i]
		switch {
		case t.name() == schema && is(all, i+1, ".") && !is(all, i-1, "."):
			i++
			continue
		case namesObject(all, i):
			t.text = withinString(t.text, func(name string) string { return unqualified(name, schema) })
		}
		kept = append(kept, t)
	}
	return together(kept)
}

// sinceVersion16 takes away what PostgreSQL writes from version 16 on and not before:
// XMLSERIALIZE(… AS text NO INDENT).
func sinceVersion16(text string) string {
	if !strings.Contains(text, "NO INDENT") {
		return text
	}
	all := tokens(text)
	kept := all[:0:0]
	for i := 0; i < len(all); i++ {
		if all[i].kind == ' ' && is(all, i+1, "NO") && is(all, i+2, " ") && is(all, i+3, "INDENT") &&
			is(all, i+4, ")") {
			i += 3
			continue
		}
		kept = append(kept, all[i])
	}
	return together(kept)
}

// keywordsSince15 are the words that versions after 15 quote as names, and 15 does not: they became keywords that are
// not plain names (PostgreSQL documentation, appendix C).
func keywordsSince15() []string {
	return []string{
		"json", "json_array", "json_arrayagg", "json_exists", "json_object", "json_objectagg", "json_query",
		"json_scalar",
		"json_serialize", "json_table", "json_value", "merge_action", "system_user",
	}
}

// unquoted takes away the quotes that a name has only since a later version: "json_object" is json_object, also within
// a string that names an object.
func unquoted(text string) string {
	if !strings.Contains(text, `"json`) && !strings.Contains(text, `"merge_action"`) &&
		!strings.Contains(text, `"system_user"`) {
		return text
	}
	all := tokens(text)
	for i, t := range all {
		switch {
		case t.kind == '"' && slices.Contains(keywordsSince15(), t.name()):
			all[i] = token{'a', t.name()}
		case namesObject(all, i):
			all[i].text = withinString(t.text, unquoted)
		}
	}
	return together(all)
}

// namesObject reports whether a token is a string such as 'app.s' in 'app.s'::regclass.
func namesObject(all []token, i int) bool {
	return all[i].kind == '\'' && is(all, i+1, ":") && is(all, i+2, ":") && i+3 < len(all) &&
		strings.HasPrefix(all[i+3].text, "reg")
}

// withinString changes what a string holds.
func withinString(text string, change func(string) string) string {
	return "'" + strings.ReplaceAll(change(strings.ReplaceAll(text[1:len(text)-1], "''", "'")), "'", "''") + "'"
}

func is(all []token, i int, text string) bool { return i >= 0 && i < len(all) && all[i].text == text }

// oneLine makes text one line: how the server wraps long expressions is no fact
// about them.
func oneLine(text string) string {
	if !strings.ContainsAny(text, "\n\r\t") {
		return text
	}
	all := tokens(text)
	for i, t := range all {
		if t.kind == ' ' {
			all[i].text = " "
		}
	}
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(strings.TrimSpace(together(all)))
}

// unprefixed takes the table's name away from the columns of a query from one
// table. In a view, PostgreSQL writes SELECT t.a FROM t before version 16, and SELECT a
// FROM t from there on; in a query within the query, or beside another one, it always
// writes t.a. The text is still clear, for there is no other table.
func unprefixed(query string) string {
	all := tokens(query)
	var open []bool // for each open parenthesis, whether a query is in it
	var prefixes []int
	clause := ""
	for i, t := range all {
		switch outside := len(open) == 0; {
		case t.text == "(":
			open = append(open, opensQuery(all[i+1:]))
		case t.text == ")" && !outside:
			open = open[:len(open)-1]
		case slices.Contains(open, true):
		case outside && (clause == "FROM" && (t.text == "," || t.text == "JOIN") || t.text == "UNION" ||
			t.text == "INTERSECT" || t.text == "EXCEPT"):
			return query
		case outside && opensClause(all[:i], t.text):
			clause = t.text
		case clause != "FROM" && prefixesColumn(all, i):
			prefixes = append(prefixes, i)
		}
	}
	for _, i := range slices.Backward(prefixes) {
		all = slices.Delete(all, i, i+2) // and the dot
	}
	return together(all)
}

func opensQuery(behind []token) bool {
	for _, t := range behind {
		if t.kind != ' ' {
			return t.text == "SELECT" || t.text == "WITH" || t.text == "VALUES"
		}
	}
	return false
}

// opensClause knows keywords by their capitals: a name in capitals is quoted.
func opensClause(before []token, word string) bool {
	if word == "FROM" {
		return lastWord(before) != "DISTINCT" // IS DISTINCT FROM
	}
	return slices.Contains([]string{"WHERE", "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "OFFSET", "FETCH", "FOR"},
		word)
}

// prefixesColumn reports whether a token is t in t.a, and not a schema's name.
func prefixesColumn(all []token, i int) bool {
	if all[i].name() == "" || !is(all, i+1, ".") || i+2 == len(all) || all[i+2].name() == "" || is(all, i+3, "(") ||
		is(all, i-1, ".") || is(all, i-1, ":") {
		return false
	}
	return !slices.Contains([]string{"COLLATE", "AS", "RETURNING"}, lastWord(all[:i]))
}

func lastWord(before []token) string {
	for _, t := range slices.Backward(before) {
		if t.kind != ' ' {
			return t.text
		}
	}
	return ""
}
