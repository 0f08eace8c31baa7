package bundle

import (
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A cursor is what is left to read of a statement.
type cursor []sqltext.Token

// is reports whether these words come next.
func (c cursor) is(words ...string) bool {
	if len(c) < len(words) {
		return false
	}
	for i, word := range words {
		if c[i].Word != word {
			return false
		}
	}
	return true
}

// accept goes past these words when they come next.
func (c *cursor) accept(words ...string) bool {
	if !c.is(words...) {
		return false
	}
	*c = (*c)[len(words):]
	return true
}

// skip goes past each of these words that comes next, in any order.
func (c *cursor) skip(words ...string) {
	for again := true; again; {
		again = false
		for _, word := range words {
			again = c.accept(word) || again
		}
	}
}

// list goes past a list in parentheses, and returns what is in it.
func (c *cursor) list() cursor {
	if !c.is("(") {
		return nil
	}
	all, depth := *c, 0
	for i, t := range all {
		switch t.Word {
		case "(":
			depth++
		case ")":
			depth--
		}
		if depth == 0 {
			*c = all[i+1:]
			return all[1:i]
		}
	}
	*c = nil
	return all[1:]
}

// option reports whether an option is in a list, and not switched off there.
func (c cursor) option(word string) bool {
	for i, t := range c {
		if t.Word == word {
			rest := c[i+1:]
			return !rest.is("FALSE") && !rest.is("OFF") && !rest.is("0")
		}
	}
	return false
}

// seek goes on to what follows a word outside of parentheses.
func (c *cursor) seek(word string) bool {
	for len(*c) > 0 {
		if c.is("(") {
			c.list()
			continue
		}
		if c.accept(word) {
			return true
		}
		*c = (*c)[1:]
	}
	return false
}

func (c cursor) offset() int {
	if len(c) == 0 {
		return 0
	}
	return c[0].Start
}

// A relationName is the name of a table, an index or the like in a file.
type relationName struct {
	schema, name string // schema is "" where none is written
	offset       int
	written      string
}

// relation reads a name; of more than two parts the first is the database's.
func (c *cursor) relation() relationName { return c.relationBefore(0) }

// columnsRelation reads the name of a column, and returns its table's.
func (c *cursor) columnsRelation() relationName { return c.relationBefore(1) }

// relationBefore reads a name, and returns what stands before so many of its parts.
func (c *cursor) relationBefore(more int) relationName {
	parts, n := c.path()
	last := len(parts) - 1 - more
	if last > 0 {
		n.schema = parts[last-1]
	}
	if last >= 0 {
		n.name = parts[last]
	}
	return n
}

func (c *cursor) path() (parts []string, n relationName) {
	n.offset = c.offset()
	for {
		token, part, ok := c.part()
		if !ok {
			return parts, n
		}
		parts = append(parts, part)
		n.written += token
		if !c.accept(".") {
			return parts, n
		}
		n.written += "."
	}
}

// part reads one part of a name, and how it is written.
func (c *cursor) part() (written, name string, ok bool) {
	if len(*c) == 0 {
		return "", "", false
	}
	t := (*c)[0]
	if name, ok = t.Name(); !ok {
		return "", "", false
	}
	written = t.Text
	*c = (*c)[1:]
	const escape = 3 // the length of '!'
	if t.IsEscapedName() && len(*c) > 1 && c.is("UESCAPE") && len((*c)[1].Text) == escape {
		t.Text = strings.NewReplacer(`\`, `\\`, (*c)[1].Text[1:2], `\`).Replace(t.Text)
		name, _ = t.Name()
		*c = (*c)[2:]
	}
	return written, name, true
}
