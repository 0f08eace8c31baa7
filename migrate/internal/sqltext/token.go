package sqltext

import "strings"

// A Token is one word, name, literal or punctuation mark of a statement.
type Token struct {
	Start int    // offset in the text
	Word  string // keywords and names in upper case, "" for quoted names and literals, punctuation as itself
	Text  string // as it is written
	Depth int    // how many parentheses and brackets it is in
}

// Tokens returns the tokens of each statement that Cut finds.
func Tokens(sql string) [][]Token {
	l := lexer{src: sql, every: true}
	l.read()
	var all [][]Token
	rest := l.tokens
	for _, s := range l.script.Statements {
		n := 0
		for n < len(rest) && rest[n].Start < s.End {
			n++
		}
		nest(rest[:n])
		all = append(all, rest[:n])
		rest = rest[n:]
	}
	return all
}

func nest(tokens []Token) {
	depth := 0
	for i, t := range tokens {
		if t.Word == ")" || t.Word == "]" {
			depth--
		}
		tokens[i].Depth = depth
		if t.Word == "(" || t.Word == "[" {
			depth++
		}
	}
}

// Name returns the name that the token is, as the catalogue holds it; ok is false
// when it is none.
func (t Token) Name() (name string, ok bool) {
	switch {
	case strings.HasPrefix(t.Text, `"`) && len(t.Text) > 1:
		return strings.ReplaceAll(t.Text[1:len(t.Text)-1], `""`, `"`), true
	case t.Word != "" && isIdentStart(t.Word[0]):
		return Fold(t.Text), true
	}
	return "", false
}

// Fold writes a name in lower case as PostgreSQL does: of ASCII letters alone.
func Fold(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
