package review

import (
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A phrase is a piece of a statement, read from its front.
type phrase []sqltext.Token

// at returns where the phrase begins, for messages; 0 when it is empty.
func (p phrase) at() int {
	if len(p) == 0 {
		return 0
	}
	return p[0].Start
}

// is reports whether the phrase begins with these words.
func (p phrase) is(words ...string) bool {
	return len(p) >= len(words) && slices.EqualFunc(p[:len(words)], words,
		func(t sqltext.Token, w string) bool { return t.Word == w })
}

// isAny reports whether the phrase begins with one of these words.
func (p phrase) isAny(words ...string) bool { return len(p) > 0 && slices.Contains(words, p[0].Word) }

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
	word := (*p)[0].Word
	*p = (*p)[1:]
	return word
}

// find returns the phrase from where these words first stand in it, neither in
// further parentheses nor behind its own; empty when they do not.
func (p phrase) find(words ...string) phrase {
	for i, t := range p {
		if t.Depth < p[0].Depth {
			break
		}
		if t.Depth == p[0].Depth && p[i:].is(words...) {
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
		if t.Depth < all[0].Depth || t.Depth == all[0].Depth && slices.Contains(words, t.Word) {
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
		if t.Depth == all[0].Depth {
			*p = all[i+2:]
			return all[1 : i+1]
		}
	}
	*p = nil
	return all[1:]
}

// unwrapped is the phrase without the parentheses around all of it.
func (p phrase) unwrapped() phrase {
	for p.is("(") {
		rest := p
		inner := rest.group()
		if len(rest) > 0 {
			break
		}
		p = inner
	}
	return p
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

// text returns the phrase in lower case with single spaces, for comparing. A quoted name that needs
// no quotes is written without; "char" is another type than char.
func (p phrase) text() string {
	var b strings.Builder
	for i, t := range p {
		if i > 0 && !slices.Contains([]string{"(", ")", ",", ".", "[", "]", ":"}, t.Word) &&
			!p[i-1:].isAny("(", ".", "[", ":") {
			b.WriteByte(' ')
		}
		word := sqltext.Fold(t.Text)
		if name, ok := t.Name(); ok && t.Word == "" && isPlain(name) && name != "char" {
			word = name
		}
		b.WriteString(word)
	}
	return b.String()
}

// isPlain reports whether a name is what it would be without quotes.
func isPlain(name string) bool {
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" &&
		strings.Trim(name[:1], "0123456789") != ""
}
