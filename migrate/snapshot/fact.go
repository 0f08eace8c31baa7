package snapshot

import (
	"strconv"
	"strings"
)

// A fact is one thing that is true of an object in the schema, as the catalogue
// tells it. Its name and line still name the schema where they refer to it.
type fact struct {
	Object  string // kind and name, such as "table accounts"
	Section int    // facts of an object are sorted by section, place and line
	Place   int
	Line    string // "" says only that the object is there
}

// readFact takes a row of the answer apart: section, place, the number of characters in
// the object's name, and the name with the line behind it. JSON would be a fifth of what a
// snapshot costs.
func readFact(row string) fact {
	var number [3]int
	for i := range number {
		var digits string
		digits, row, _ = strings.Cut(row, " ")
		number[i], _ = strconv.Atoi(digits) // Question wrote it
	}
	end := len(row)
	for i := range row {
		if number[2] == 0 {
			end = i
			break
		}
		number[2]--
	}
	return fact{Section: number[0], Place: number[1], Object: row[:end], Line: row[end:]}
}

// Sections with a meaning of their own.
const (
	sectionSettings = 8 // as they were typed, not deparsed
	sectionBody     = 9 // with lines of its own
)

// Places in the section of bodies.
const (
	bodyTyped = iota // by whoever wrote it
	bodyDeparsed
	bodyQuery // of a view, deparsed
)

// tidy takes the schema's name out of deparsed text, and what differs between
// versions of PostgreSQL. A file with CRLF is the same file as one with LF, so what
// it leaves in the body of a function is the same, too.
func (f *fact) tidy(schema string) {
	f.Object = unquoted(oneLine(unqualified(f.Object, schema)))
	if typed := f.Section == sectionSettings || f.Section == sectionBody && f.Place == bodyTyped; !typed {
		f.Line = unquoted(sinceVersion16(f.Line))
	}
	switch {
	case f.Section == sectionBody && f.Place == bodyTyped:
		f.Line = strings.ReplaceAll(f.Line, "\r\n", "\n")
	case f.Section == sectionBody && f.Place == bodyDeparsed:
		f.Line = unqualified(f.Line, schema)
	case f.Section == sectionBody:
		f.Line = unprefixed(unqualified(f.Line, schema))
	case f.Section == sectionSettings:
		f.Line = oneLine(f.Line)
	default:
		f.Line = oneLine(unqualified(f.Line, schema))
	}
}
