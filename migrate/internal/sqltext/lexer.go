package sqltext

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// maxWords bounds what is kept of a statement: no rule looks further, and a
// statement with a million values must not cost a million strings.
const maxWords = 4096

type lexer struct {
	src    string
	pos    int
	parens int
	atomic int    // depth of BEGIN ATOMIC … CASE … END inside CREATE FUNCTION
	last   string // the word before this one
	now    Statement
	script Script
	every  bool    // whether to keep every token
	watch  string  // what Cut looks for in names
	tokens []Token // of all statements
}

func (l *lexer) read() {
	for l.pos < len(l.src) {
		l.token()
	}
	l.finish()
}

func (l *lexer) token() {
	start, c := l.pos, l.src[l.pos]
	rest := l.src[l.pos:]
	switch {
	case isSpace(c):
		l.pos++
	case strings.HasPrefix(rest, "--"):
		l.lineComment()
	case strings.HasPrefix(rest, "/*"):
		l.blockComment()
	case c == '\'':
		l.quoted(start, '\'', false, "string")
	case c == '"':
		l.quoted(start, '"', false, "quoted name")
	case c == '$' && dollarTag(rest) != "":
		l.dollarQuoted(dollarTag(rest))
	case isIdentStart(c):
		l.word()
	case strings.HasPrefix(rest, "${"):
		l.fail(start, "${…} is a placeholder, which nothing fills in here: a file is sent as it is; write what it "+
			"stands for")
		l.pos++
		l.add(start, "$")
	case isDigit(c), c == '$', c == '.' && len(rest) > 1 && isDigit(rest[1]):
		l.number()
	case c == '\\':
		l.psqlCommand()
	case c == ';' && l.parens == 0 && l.atomic == 0:
		l.pos++
		l.copied()
		l.finish()
	default:
		l.punctuation()
	}
}

// psqlCommand goes past a command of psql, which ends with its line.
func (l *lexer) psqlCommand() {
	start := l.pos
	l.fail(start, `a backslash starts no SQL; psql commands such as \i, \set or \connect are not available in a migration; leave the line out`)
	if end := strings.IndexAny(l.src[l.pos:], "\n\r"); end >= 0 {
		l.pos += end
	} else {
		l.pos = len(l.src)
	}
	if len(l.now.Words) > 0 { // the rest of a statement goes on with the next line
		l.add(start, `\`)
	}
}

// copied goes past the rows that psql sends after COPY … FROM STDIN, up to the line that ends
// them. The statement is refused, and the rows are no SQL.
func (l *lexer) copied() {
	const end = "\n\\."
	words := l.now.Words
	if len(words) == 0 || words[0] != "COPY" {
		return
	}
	stdin := slices.Index(words, "STDIN")
	if stdin < 1 || words[stdin-1] != "FROM" {
		return
	}
	if n := strings.Index(l.src[l.pos:], end); n >= 0 {
		l.pos += n + len(end)
	}
}

func (l *lexer) punctuation() {
	start, c := l.pos, l.src[l.pos]
	l.pos++
	switch c {
	case '(':
		l.add(start, "(")
		l.parens++
	case ')':
		l.parens = max(l.parens-1, 0)
		l.add(start, ")")
	default:
		l.add(start, string(rune(c)))
	}
}

// word reads a keyword, a name, or the prefix of a string: E'…', B'…', X'…',
// N'…' and U&'…' or U&"…".
func (l *lexer) word() {
	start := l.pos
	for l.pos < len(l.src) && isIdentPart(l.src[l.pos]) {
		l.pos++
	}
	text, rest := l.src[start:l.pos], l.src[l.pos:]
	if len(text) >= len(l.watch) && strings.EqualFold(text[:len(l.watch)], l.watch) {
		l.now.Watched = true
	}
	if rest != "" && rest[0] == '\'' && len(text) == 1 && strings.ContainsAny(text, "eEbBxXnN") {
		l.quoted(start, '\'', text == "e" || text == "E", "string")
		return
	}
	if (text == "u" || text == "U") && len(rest) > 1 && rest[0] == '&' && (rest[1] == '\'' || rest[1] == '"') {
		l.pos++
		l.now.Watched = l.now.Watched || rest[1] == '"' // it may spell anything
		l.quoted(start, rest[1], false, "string")
		return
	}
	word := text
	if l.every || l.atomic > 0 || l.keeps() { // trackAtomic compares capitals
		word = asciiUpper(text)
	}
	l.add(start, word)
	l.trackAtomic(word)
}

// trackAtomic follows SQL-standard function bodies, whose statements end in
// semicolons that do not end the CREATE FUNCTION around them.
func (l *lexer) trackAtomic(word string) {
	if l.parens > 0 {
		return
	}
	switch {
	case word == "ATOMIC" && l.last == "BEGIN" && l.atomic == 0 && createsRoutine(l.now.Words):
		l.atomic = 1
	case word == "CASE" && l.atomic > 0:
		l.atomic++
	case word == "END" && l.atomic > 0:
		l.atomic--
	}
	l.last = word
}

// createsRoutine reports whether the statement starts like CREATE [OR REPLACE]
// FUNCTION or PROCEDURE, the only ones with BEGIN ATOMIC.
func createsRoutine(w []string) bool {
	if len(w) > 3 && w[0] == "CREATE" && w[1] == "OR" && w[2] == "REPLACE" {
		w = w[2:]
	} else if len(w) == 0 || w[0] != "CREATE" {
		return false
	}
	return len(w) > 1 && (w[1] == "FUNCTION" || w[1] == "PROCEDURE")
}

// number reads numbers and parameters such as $1; that one can end in letters
// (1e5, 0xFF) matters only because "1end" must not look like END.
func (l *lexer) number() {
	start := l.pos
	l.pos++
	for l.pos < len(l.src) && (isIdentPart(l.src[l.pos]) && l.src[l.pos] != '$' || l.src[l.pos] == '.') {
		l.pos++
	}
	l.add(start, "")
}

// quoted reads up to the closing quote; start is where the token began, pos is
// at the opening quote. A doubled quote stands for itself.
func (l *lexer) quoted(start int, quote byte, escapes bool, what string) {
	l.pos++
	if quote == '"' && strings.HasPrefix(l.src[l.pos:], l.watch) {
		l.now.Watched = true
	}
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case c == '\\' && escapes:
			l.pos += 2
		case c == quote && strings.HasPrefix(l.src[l.pos+1:], string(rune(quote))):
			l.pos += 2
		case c == quote:
			l.pos++
			if escapes && l.continued() {
				continue
			}
			l.add(start, "")
			return
		default:
			l.pos++
		}
	}
	l.pos = len(l.src)
	l.fail(start, "this "+what+" is never closed")
	l.add(start, "")
}

// continued moves into the next piece of an E'…' string when one follows
// behind white space with a line break: the pieces are one string, and the
// later ones follow the escape rules of the first.
func (l *lexer) continued() bool {
	broken := false
	for i := l.pos; i < len(l.src); i++ {
		switch c := l.src[i]; {
		case c == '\n' || c == '\r':
			broken = true
		case isSpace(c):
		case strings.HasPrefix(l.src[i:], "--"):
			end := strings.IndexAny(l.src[i:], "\n\r")
			if end < 0 {
				return false
			}
			i += end - 1
		case broken && c == '\'':
			l.pos = i + 1
			return true
		default:
			return false
		}
	}
	return false
}

func (l *lexer) dollarQuoted(tag string) {
	start := l.pos
	l.pos += len(tag)
	end := strings.Index(l.src[l.pos:], tag)
	if end < 0 {
		l.pos = len(l.src)
		l.fail(start, "the string that "+tag+" opens is never closed")
	} else {
		l.pos += end + len(tag)
	}
	l.add(start, "")
}

func (l *lexer) lineComment() {
	start := l.pos
	end := strings.IndexAny(l.src[l.pos:], "\n\r")
	if end < 0 {
		end = len(l.src) - l.pos
	}
	l.pos += end
	text := strings.TrimSpace(l.src[start+2 : l.pos])
	l.script.Comments = append(l.script.Comments, Comment{Offset: start, Text: text, Begun: l.begun()})
}

func (l *lexer) blockComment() {
	start, depth := l.pos, 0
	for l.pos < len(l.src) {
		switch rest := l.src[l.pos:]; {
		case strings.HasPrefix(rest, "/*"):
			depth++
			l.pos += 2
		case strings.HasPrefix(rest, "*/"):
			depth--
			l.pos += 2
			if depth == 0 {
				l.script.Comments = append(l.script.Comments,
					Comment{Offset: start, Text: l.src[start+2 : l.pos-2], Block: true, Begun: l.begun()})
				return
			}
		default:
			l.pos++
		}
	}
	l.fail(start, "this comment is never closed (block comments nest: each /* needs its own */)")
}

func (l *lexer) begun() bool { return len(l.now.Words) > 0 || len(l.script.Statements) > 0 }

func (l *lexer) add(start int, word string) {
	if len(l.now.Words) == 0 {
		l.now.Start = start
	}
	l.now.End = l.pos
	if l.every {
		l.tokens = append(l.tokens, Token{Start: start, Word: word, Text: l.src[start:l.pos]})
	}
	if l.keeps() {
		l.now.Words = append(l.now.Words, word)
	}
}

// keeps reports whether anybody will look at the next word. Most words of most files are
// between parentheses or in an INSERT, of which the first tells all, and each costs memory.
func (l *lexer) keeps() bool {
	words := l.now.Words
	return len(words) == 0 || l.parens == 0 && len(words) < maxWords && words[0] != "INSERT"
}

// finish ends the current statement; nothing but comments between two
// semicolons is no statement, just as for the server.
func (l *lexer) finish() {
	if len(l.now.Words) > 0 {
		l.script.Statements = append(l.script.Statements, l.now)
	}
	l.now, l.parens, l.atomic, l.last = Statement{}, 0, 0, ""
}

func (l *lexer) fail(offset int, message string) {
	l.script.Errors = append(l.script.Errors, Error{offset, message})
}

// dollarTag returns the opening $tag$ at the start of s, or "".
func dollarTag(s string) string {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '$':
			return s[:i+1]
		case isIdentStart(c), i > 1 && isDigit(c):
		default:
			return ""
		}
	}
	return ""
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isIdentStart(c byte) bool {
	return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' || c >= utf8.RuneSelf
}
func isIdentPart(c byte) bool { return isIdentStart(c) || isDigit(c) || c == '$' }

// asciiUpper leaves other letters alone, as PostgreSQL's keyword lookup does:
// strings.ToUpper would turn "ſet" into SET.
func asciiUpper(s string) string {
	for i := range len(s) {
		if 'a' <= s[i] && s[i] <= 'z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'a' <= b[j] && b[j] <= 'z' {
					b[j] -= 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
