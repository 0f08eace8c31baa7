// Package transfer turns what people bring from elsewhere into keys, and reviews them before any is stored.
//
// It promises that each link and each secret of a text becomes an entry of its own or is said to be unreadable, and
// that two are never taken for one without a warning; that it does no I/O; and that its work is bounded by the length
// of what it reads.
package transfer

import (
	"crypto/sha256"
	"slices"
	"strings"
	"unicode"

	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/problem"
)

// Most is how many entries one text may have.
const Most = 100

// What is wrong or doubtful about an entry, besides what package otp finds. The field of each is link.
const (
	LineUnread problem.Code = "line.unread"
	TooMany    problem.Code = "line.too-many" // the most

	WarnJoined problem.Code = "warning.joined"
	WarnLines  problem.Code = "warning.lines"
	WarnHave   problem.Code = "warning.have" // the name of the account
	WarnSame   problem.Code = "warning.same" // the number of the entry before, from 1
)

// An Entry is one of the keys that a user brought, or why it is not a key.
type Entry struct {
	Key      otp.Key
	Warnings problem.List
	Problems problem.List // then there is no key
}

// A Row is an entry with what is known about it among the others.
type Row struct {
	Entry
	Duplicate bool // its secret is there already, or was in a row before
}

// An Existing key is one that is stored already.
type Existing struct {
	otp.Key
	Name string // for a person
}

// Review compares entries with each other and with what is there already.
func Review(entries []Entry, have []Existing) []Row {
	stored, before := map[[sha256.Size]byte]string{}, map[[sha256.Size]byte]int{}
	for _, one := range have {
		if len(one.Secret) > 0 { // a damaged account has none
			stored[sha256.Sum256(one.Secret)] = one.Name
		}
	}
	rows := make([]Row, 0, len(entries))
	for i, entry := range entries {
		row := Row{Entry: entry}
		if len(entry.Problems) == 0 {
			fingerprint := sha256.Sum256(entry.Key.Secret)
			name, isStored := stored[fingerprint]
			number, cameBefore := before[fingerprint]
			switch {
			case isStored:
				row.doubt(WarnHave, name)
			case cameBefore:
				row.doubt(WarnSame, number)
			default:
				before[fingerprint] = i + 1
			}
			row.Duplicate = isStored || cameBefore
		}
		rows = append(rows, row)
	}
	return rows
}

func (e *Entry) doubt(code problem.Code, args ...any) {
	e.Warnings = append(slices.Clip(e.Warnings), problem.Problem{Field: "link", Code: code, Args: args})
}

// Links reads a text with links or secrets in it, one after another: in lines of their own, in one line, in the quotes
// of a list, with words between them.
func Links(text string) []Entry {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n", "\u0085", "\n", "\v", "\n",
		"\f", "\n").Replace(text)
	starts := otp.Starts(text)
	if len(starts) == 0 {
		return secrets(text)
	}
	var entries []Entry
	add := func(more ...Entry) { entries = append(entries, more...) }
	before := text[:starts[0]]
	line := strings.LastIndexByte(before, '\n') + 1
	add(loose(before[:line])...)
	add(otherText(before[line:])...)
	for i, start := range starts {
		if len(entries) > Most {
			break
		}
		chunk, next := text[start:], ""
		if i+1 < len(starts) {
			chunk = text[start:starts[i+1]]
			if line := strings.LastIndexByte(chunk, '\n'); line >= 0 { // the rest belongs to the next link's line
				chunk, next = chunk[:line], chunk[line+1:]
			}
		}
		link, after := cutLink(text[:start], chunk)
		link, lines := continued(link)
		add(read(link, strings.Contains(link, "\n")))
		sameLine, after, _ := strings.Cut(after, "\n")
		add(otherText(sameLine)...)
		add(loose(lines + "\n" + after)...)
		add(otherText(next)...)
	}
	return limited(entries)
}

func limited(entries []Entry) []Entry {
	if len(entries) > Most {
		return append(entries[:Most:Most], Entry{Problems: problem.Of("link", TooMany, Most)})
	}
	return entries
}

// read reads one link or secret.
func read(text string, joined bool) Entry {
	var e Entry
	var err error
	if e.Key, e.Warnings, err = otp.Parse(text); err != nil {
		e.Problems, _ = err.(problem.List) //nolint:errorlint // Parse returns nothing else
		return e
	}
	if joined {
		e.doubt(WarnJoined)
	}
	return e
}

// cutLink cuts off what follows a link: the closing quote of what it is in, a separator, a line's end as programs
// write it. It returns what comes after a quote.
func cutLink(before, text string) (link, after string) {
	for opening, closing := range map[string]string{
		`"`: `"`, "'": "'", "`": "`", "<": ">", "“": "”", "„": "“",
		"‘": "’", "«": "»",
	} {
		if strings.HasSuffix(before, opening) {
			if link, after, found := strings.Cut(text, closing); found {
				return link, after
			}
		}
	}
	link = text
	for shorter := ""; shorter != link; {
		shorter = link
		link = strings.TrimRightFunc(link, func(r rune) bool {
			return unicode.IsSpace(r) ||
				strings.ContainsRune(",;|", r)
		})
		for _, end := range []string{`\n`, `\r`, `\t`, "<br>", "<br/>", "<br />"} {
			link = strings.TrimSuffix(link, end)
		}
	}
	if strings.HasSuffix(before, "(") && strings.HasSuffix(link, ")") {
		link = strings.TrimSuffix(link, ")")
	}
	return link, ""
}

// continued returns a link with the lines into which it was broken, and the lines after it, which are something else.
// A line goes on with a link that is not complete, or when it has parameters itself.
func continued(text string) (link, after string) {
	lines := strings.Split(text, "\n")
	link = lines[0]
	end := 1
	for ; end < len(lines); end++ {
		line := strings.TrimSpace(lines[end])
		if line == "" || strings.Contains(line, "://") || !strings.ContainsAny(line, "&=?") && complete(link) {
			break
		}
		link += "\n" + lines[end]
	}
	return link, strings.Join(lines[end:], "\n")
}

// complete reports whether a link has a secret that can be one, and ends as links do.
func complete(link string) bool {
	const name = "secret="
	i := strings.LastIndex(strings.ToLower(link), name)
	if i < 0 || strings.ContainsAny(link[len(link)-1:], "&=") || len(link) < i+len(name) {
		return strings.HasPrefix(strings.ToLower(link), "steam:")
	}
	secret, _, _ := strings.Cut(link[i+len(name):], "&")
	return otp.IsSecret(secret)
}

// otherText reads what else stands in the line of a link. Only a secret is more than decoration there.
func otherText(text string) []Entry {
	text = strings.TrimFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if !otp.IsSecret(text) {
		return nil
	}
	return []Entry{read(text, false)}
}

// loose reads lines that no link starts in.
func loose(text string) (entries []Entry) {
	for line := range strings.SplitSeq(text, "\n") {
		hasWord := strings.ContainsFunc(line, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
		switch {
		case !hasWord:
		case otp.IsSecret(line):
			entries = append(entries, read(line, false))
		default:
			entries = append(entries, Entry{Problems: problem.Of("link", LineUnread)})
		}
		if len(entries) > Most {
			return entries
		}
	}
	return entries
}

// secrets reads a text without links: one secret, perhaps in several lines, or one in each line.
func secrets(text string) []Entry {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\t' })
	whole := 0
	for _, line := range lines {
		if otp.IsSecret(line) {
			whole++
		}
	}
	if len(lines) < 2 || whole == 0 {
		e := read(text, len(lines) > 1)
		if len(lines) > 1 && len(e.Problems) > 0 && e.Problems[0].Field == "link" {
			return limited(loose(text))
		}
		return []Entry{e}
	}
	entries := loose(strings.Join(lines, "\n"))
	for i := range entries {
		if len(entries[i].Problems) == 0 {
			entries[i].doubt(WarnLines)
		}
	}
	return limited(entries)
}
