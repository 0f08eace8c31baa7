package migrate

import (
	"slices"
	"strings"
)

// A lexeme is one word, name, literal or punctuation mark of a statement.
type lexeme struct {
	start int    // byte offset in the file
	word  string // as the lexer has it: upper case, "" for quoted names and literals
	text  string // as it is written
	depth int    // how many parentheses and brackets it is in
}

// A phrase is a piece of a statement, read from its front.
type phrase []lexeme

// phrases cuts a file into its statements, each with all of its tokens.
func phrases(sql string) []phrase {
	l := lexer{src: sql, every: true}
	l.read()
	var all []phrase
	rest := l.tokens
	for _, s := range l.script.statements {
		n := 0
		for n < len(rest) && rest[n].start < s.end {
			n++
		}
		all = append(all, nest(rest[:n]))
		rest = rest[n:]
	}
	return all
}

func nest(p phrase) phrase {
	depth := 0
	for i, t := range p {
		if t.word == ")" || t.word == "]" {
			depth--
		}
		p[i].depth = depth
		if t.word == "(" || t.word == "[" {
			depth++
		}
	}
	return p
}

// at returns where the phrase begins, for messages; 0 when it is empty.
func (p phrase) at() int {
	if len(p) == 0 {
		return 0
	}
	return p[0].start
}

// is reports whether the phrase begins with these words.
func (p phrase) is(words ...string) bool {
	return len(p) >= len(words) && slices.EqualFunc(p[:len(words)], words, func(t lexeme, w string) bool { return t.word == w })
}

// isAny reports whether the phrase begins with one of these words.
func (p phrase) isAny(words ...string) bool { return len(p) > 0 && slices.Contains(words, p[0].word) }

// accept reads these words if the phrase begins with them.
func (p *phrase) accept(words ...string) bool {
	if !p.is(words...) {
		return false
	}
	*p = (*p)[len(words):]
	return true
}

// skip reads words as long as they are among these.
func (p *phrase) skip(words ...string) {
	for p.isAny(words...) {
		*p = (*p)[1:]
	}
}

// next reads one token and returns its word.
func (p *phrase) next() string {
	if len(*p) == 0 {
		return ""
	}
	word := (*p)[0].word
	*p = (*p)[1:]
	return word
}

// find returns the phrase from where these words first stand in it, neither in
// further parentheses nor behind its own; empty when they do not.
func (p phrase) find(words ...string) phrase {
	for i, t := range p {
		if t.depth < p[0].depth {
			break
		}
		if t.depth == p[0].depth && p[i:].is(words...) {
			return p[i:]
		}
	}
	return nil
}

// until reads up to where one of these words stands, or the parentheses around the
// phrase end.
func (p *phrase) until(words ...string) phrase {
	all := *p
	for i, t := range all {
		if t.depth < all[0].depth || t.depth == all[0].depth && slices.Contains(words, t.word) {
			*p = all[i:]
			return all[:i]
		}
	}
	*p = nil
	return all
}

// group reads ( … ) and returns what is inside.
func (p *phrase) group() phrase {
	all := *p
	if !all.is("(") {
		return nil
	}
	for i, t := range all[1:] {
		if t.depth == all[0].depth {
			*p = all[i+2:]
			return all[1 : i+1]
		}
	}
	*p = nil
	return all[1:]
}

// list cuts the phrase at its commas.
func (p phrase) list() []phrase {
	var items []phrase
	for len(p) > 0 {
		items = append(items, p.until(","))
		p.accept(",")
	}
	return items
}

// text returns the phrase in lower case with single spaces, for comparing.
func (p phrase) text() string {
	var b strings.Builder
	for i, t := range p {
		if i > 0 && !slices.Contains([]string{"(", ")", ",", ".", "[", "]", ":"}, t.word) && !p[i-1:].isAny("(", ".", "[", ":") {
			b.WriteByte(' ')
		}
		b.WriteString(asciiLower(t.text))
	}
	return b.String()
}
