package sqltext

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

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
// when it is none. Of U&"…" it knows the escape character that is usual.
func (t Token) Name() (name string, ok bool) {
	switch {
	case strings.HasPrefix(t.Text, `"`) && len(t.Text) > 1:
		return clip(unquote(t.Text)), true
	case t.IsEscapedName() && len(t.Text) > 3:
		return clip(unescape(unquote(t.Text[2:]))), true
	case t.Word != "" && isIdentStart(t.Word[0]):
		return clip(Fold(t.Text)), true
	}
	return "", false
}

// IsEscapedName reports whether the token is a name with Unicode escapes, U&"…".
func (t Token) IsEscapedName() bool {
	return strings.HasPrefix(t.Text, `U&"`) || strings.HasPrefix(t.Text, `u&"`)
}

func unquote(text string) string { return strings.ReplaceAll(text[1:len(text)-1], `""`, `"`) }

// unescape replaces \XXXX and \+XXXXXX by their characters, and \\ by one backslash
// (PostgreSQL documentation, "Identifiers and Key Words").
func unescape(text string) string {
	var b strings.Builder
	var high rune // the first half of a surrogate pair
	for text != "" {
		plain, rest, found := strings.Cut(text, `\`)
		b.WriteString(plain)
		if !found {
			break
		}
		digits := 4
		if strings.HasPrefix(rest, "+") {
			rest, digits = rest[1:], 6
		}
		code, err := strconv.ParseUint(rest[:min(digits, len(rest))], 16, 32)
		char := rune(code) //nolint:gosec // of six digits at most
		switch {
		case strings.HasPrefix(rest, `\`):
			b.WriteByte('\\')
			digits = 1
		case err != nil: // the server refuses it
			digits = 0
		case utf16.IsSurrogate(char) && high == 0:
			high = char
		case high != 0:
			b.WriteRune(utf16.DecodeRune(high, char))
			high = 0
		default:
			b.WriteRune(char)
		}
		text = rest[min(digits, len(rest)):]
	}
	return b.String()
}

// clip cuts a name where the server does, which keeps 63 bytes of whole characters.
func clip(name string) string {
	const longest = 63
	if len(name) <= longest {
		return name
	}
	end := longest
	for end > 0 && !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end]
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
