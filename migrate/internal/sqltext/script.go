// Package sqltext cuts SQL into statements and tokens where PostgreSQL does. It
// parses nothing: what it has cut may still be refused by the server.
package sqltext

import (
	"strings"
	"unicode/utf8"
)

// A Script is a text cut into its statements and comments. Offsets are in bytes.
type Script struct {
	Statements []Statement
	Comments   []Comment
	Errors     []Error
}

// A Statement is one SQL statement, as PostgreSQL will split the text when it
// arrives as one simple-protocol message.
type Statement struct {
	Start int // offset of its first token
	End   int // offset behind its last token
	// its tokens at parenthesis depth 0: keywords and names in upper case, quoted names and literals as "", punctuation
	// as itself
	Words []string

	Watched bool // a name in it may begin with the one that Cut was to watch for
}

// A Comment is one of the text's comments.
type Comment struct {
	Offset int
	Text   string // between its marks; in a "--" comment without the white space around it
	Block  bool   // it is a /* … */ comment
	Begun  bool   // a statement has begun above it
}

// An Error is a place where a text cannot be cut into statements with certainty;
// sending such a text could let it swallow what follows it.
type Error struct {
	Offset  int
	Message string
}

// Cut cuts SQL text into statements the way PostgreSQL's scanner and psql do:
// nested block comments, standard-conforming, escape and dollar-quoted strings,
// quoted identifiers, parentheses and BEGIN ATOMIC bodies keep their semicolons
// (PostgreSQL documentation, "Lexical Structure"; standard_conforming_strings
// is on for the connection, which the migrator makes sure of). It marks the statements
// in which a name may begin with watch, a name in lower case: they are few, and looking at
// each token of every statement would cost as much as cutting them.
func Cut(sql, watch string) Script {
	l := lexer{src: sql, watch: watch}
	// At once, where it is many: growing would need three times the memory.
	const shortest = 64 // bytes; a file of shorter ones may grow
	l.script.Statements = make([]Statement, 0, 1+min(strings.Count(sql, ";"), len(sql)/shortest))
	l.read()
	return l.script
}

// Place returns the 1-based line and column, in characters, of an offset.
func Place(sql string, offset int) (line, column int) {
	before := sql[:min(offset, len(sql))]
	line = 1 + strings.Count(before, "\n")
	return line, 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}
