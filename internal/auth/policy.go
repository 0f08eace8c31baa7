package auth

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/avtotpy/avtotpy/internal/problem"
)

// The limits of what people choose.
const (
	MinPassword = 12   // characters
	MaxPassword = 1024 // bytes
	MaxName     = 100  // characters
)

// What can be wrong with a name or a password.
const (
	PasswordShort     problem.Code = "password.short" // its characters, the least
	PasswordLong      problem.Code = "password.long"  // the most bytes
	PasswordWrong     problem.Code = "password.wrong"
	PasswordBlank     problem.Code = "password.blank"
	PasswordSame      problem.Code = "password.same"      // the same characters again and again
	PasswordSequence  problem.Code = "password.sequence"  // of the alphabet, of numbers or of a keyboard
	PasswordCommon    problem.Code = "password.common"    // one of the commonest, or made of one
	PasswordName      problem.Code = "password.name"      // the user's name
	PasswordProduct   problem.Code = "password.product"   // this program's name
	PasswordUnchanged problem.Code = "password.unchanged" // the new one is the current one
	NameMissing       problem.Code = "name.missing"
	NameLong          problem.Code = "name.long" // its characters, the most
	NameUnseen        problem.Code = "name.unseen"
	TokenWrong        problem.Code = "token.wrong"
)

// CheckPassword finds what is wrong with a password that the user of a name chose.
//
// It counts what an attacker who guesses has to try: a character counts as one, and so does a whole sequence
// (1234, qwerty), a year, the user's name, or a character that is repeated; a common word counts as two. With less
// than eight of these in it, a password is refused, and the reason is what most of it is made of.
func CheckPassword(found *problem.List, field, name, password string) {
	n := utf8.RuneCountInString(password)
	switch {
	case len(password) > MaxPassword:
		found.Add(field, PasswordLong, MaxPassword)
	case n < MinPassword:
		found.Add(field, PasswordShort, n, MinPassword)
	case strings.TrimSpace(password) == "":
		found.Add(field, PasswordBlank)
	default:
		if why := weakness(password, name); why != "" {
			found.Add(field, why)
		}
	}
}

const enoughPieces = 8

// weakness returns the code of what makes a password easy to guess; empty when nothing does.
func weakness(password, name string) problem.Code {
	text := newFolded(password)
	words := wordsOf(name)
	pieces, why := text.pieces(words)
	if unit := period(text.plain); unit <= len(text.plain)/2 {
		if inUnit, _ := text.first(unit).pieces(words); inUnit+1 < pieces {
			pieces = inUnit + 1
			if why == "" {
				why = PasswordSame
			}
		}
	}
	switch {
	case pieces >= enoughPieces:
		return ""
	case why == "":
		return PasswordSame
	}
	return why
}

// A folded text has its capitals, wide letters and digits that stand for letters replaced. All three have the same
// length.
type folded struct{ plain, leet, other []rune }

func newFolded(text string) folded {
	var f folded
	for _, r := range text {
		if r > 0xff00 && r < 0xff5f { // wide forms of ASCII
			r -= 0xff00 - ' '
		}
		r = unicode.ToLower(r)
		leet, other := r, r
		if i := strings.IndexRune("013456789@$!|+", r); i >= 0 {
			leet, other = rune("oleasgtbgasilt"[i]), rune("oieasgtbgaslit"[i])
		}
		f.plain, f.leet, f.other = append(f.plain, r), append(f.leet, leet), append(f.other, other)
	}
	return f
}

func (f folded) first(n int) folded { return folded{f.plain[:n], f.leet[:n], f.other[:n]} }

// pieces returns the fewest pieces that a text is made of, and the code of what most of its characters belong to;
// none when these are characters that mean nothing.
func (f folded) pieces(name map[string]problem.Code) (int, problem.Code) {
	type best struct {
		pieces, from int
		why          problem.Code
	}
	n := len(f.plain)
	at := make([]best, n+1) // for the first i characters
	for i := 1; i <= n; i++ {
		at[i].pieces = n + 1
	}
	try := func(from, to, cost int, why problem.Code) {
		if pieces := at[from].pieces + cost; pieces < at[to].pieces {
			at[to] = best{pieces, from, why}
		}
	}
	for i := range n {
		try(i, i+1, 1, "")
		for end, why := range sequences(f.plain, i) {
			try(i, end, 1, why)
		}
		for end := i + 3; end <= min(n, i+longestWord); end++ {
			switch why := f.word(i, end, name); why {
			case "":
			case PasswordCommon:
				try(i, end, 2, why)
			default:
				try(i, end, 1, why)
			}
		}
	}
	covered := map[problem.Code]int{}
	for i := n; i > 0; i = at[i].from {
		covered[at[i].why] += i - at[i].from
	}
	return at[n].pieces, mostOf(covered)
}

// word returns the code of a word in any of its spellings, which is in the user's name or common; otherwise none.
func (f folded) word(from, end int, name map[string]problem.Code) (why problem.Code) {
	for _, text := range [][]rune{f.plain, f.leet, f.other} {
		word := string(text[from:end])
		if ofName, ok := name[word]; ok {
			return ofName
		}
		if commonWords[word] {
			why = PasswordCommon
		}
	}
	return why
}

// mostOf returns the code that covers most characters of a password. Its user should know first that it is made of a
// name.
func mostOf(covered map[problem.Code]int) problem.Code {
	delete(covered, "") // characters that mean nothing
	var why problem.Code
	for _, code := range []problem.Code{PasswordName, PasswordProduct, PasswordCommon, PasswordSequence, PasswordSame} {
		isName := why == PasswordName || why == PasswordProduct
		if covered[code] > covered[why] && !isName {
			why = code
		}
	}
	return why
}

// sequences yields the ends of what begins at a place and follows a rule: the same character again, steps of the same
// size, neighbours on a keyboard, years.
func sequences(text []rune, from int) func(func(int, problem.Code) bool) {
	return func(yield func(int, problem.Code) bool) {
		rest := text[from:]
		steps, why := stepsOf(rest)
		for n := steps; n >= shortestSequence; n-- {
			if !yield(from+n, why) {
				return
			}
		}
		for n := onKeyboard(rest); n >= shortestSequence; n-- {
			if !yield(from+n, PasswordSequence) {
				return
			}
		}
		if isYear(rest) {
			yield(from+4, PasswordSequence)
		}
	}
}

const shortestSequence = 3

// stepsOf returns how many characters follow each other in steps of the same size, and the code of that.
func stepsOf(text []rune) (n int, why problem.Code) {
	if len(text) < shortestSequence {
		return 0, ""
	}
	step := text[1] - text[0]
	if step < -3 || step > 3 {
		return 0, ""
	}
	for n = 2; n < len(text) && text[n]-text[n-1] == step; {
		n++
	}
	if step == 0 {
		return n, PasswordSame
	}
	return n, PasswordSequence
}

// onKeyboard returns how many characters follow each other in a row of keys.
func onKeyboard(text []rune) (n int) {
	if len(text) < shortestSequence {
		return 0
	}
	for _, row := range keyboardRows[string(text[:shortestSequence])] {
		for n < len(text) && strings.Contains(row, string(text[:n+1])) {
			n++
		}
	}
	return n
}

func isYear(text []rune) bool {
	if len(text) < 4 || !isDigit(text[2]) || !isDigit(text[3]) {
		return false
	}
	century := string(text[:2])
	return century == "19" || century == "20"
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// period returns the length of the piece that a text repeats; all of it when it repeats none.
func period(text []rune) int {
	borders := make([]int, len(text)+1) // Knuth, Morris and Pratt
	for i, k := 1, 0; i < len(text); i++ {
		for k > 0 && text[i] != text[k] {
			k = borders[k]
		}
		if text[i] == text[k] {
			k++
		}
		borders[i+1] = k
	}
	return len(text) - borders[len(text)]
}

// wordsOf returns what a password must not be made of, for the user of a name.
func wordsOf(name string) map[string]problem.Code {
	words := map[string]problem.Code{"avtotpy": PasswordProduct, "avtotp": PasswordProduct}
	add := func(word []rune) {
		if len(word) >= 3 && len(word) <= longestWord {
			words[string(word)] = PasswordName
			backward := make([]rune, len(word))
			for i, r := range word {
				backward[len(word)-1-i] = r
			}
			words[string(backward)] = PasswordName
		}
	}
	whole := newFolded(strings.TrimSpace(name)).plain
	add(whole)
	for _, part := range strings.FieldsFunc(string(whole),
		func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		add([]rune(part))
	}
	return words
}

func checkName(found *problem.List, name string) {
	switch n := utf8.RuneCountInString(strings.TrimSpace(name)); {
	case n == 0:
		found.Add("name", NameMissing)
	case n > MaxName:
		found.Add("name", NameLong, n, MaxName)
	case strings.ContainsFunc(name, isUnseen) || !strings.ContainsFunc(name, isSeen):
		found.Add("name", NameUnseen)
	}
}

// isUnseen reports a character by which two names look alike that are not, or that turns the text around. The two
// joiners are letters' business in Persian and in India.
func isUnseen(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && r != nonJoiner && r != joiner
}

func isSeen(r rune) bool { return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) }
