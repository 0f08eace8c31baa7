// Package snapshot describes a schema as text, and lists the differences of two: it has the question to
// PostgreSQL's catalogue, writes the text from the answer, and reads it back.
package snapshot

import (
	"cmp"
	"slices"
	"strings"
)

// What a line begins with that is no object's.
const (
	factMark = "  "
	bodyMark = "  |"
)

// Tell writes the answer to Question down, without the schema's name.
func Tell(answer [][]byte, schema string) string {
	var facts []fact
	for _, row := range answer {
		if len(row) > 0 { // null is what was dropped meanwhile
			f := readFact(string(row))
			f.tidy(schema)
			facts = append(facts, f)
		}
	}
	slices.SortFunc(facts, func(a, b fact) int {
		if a.Object != b.Object {
			return strings.Compare(a.Object, b.Object)
		}
		return cmp.Or(a.Section-b.Section, a.Place-b.Place, strings.Compare(a.Line, b.Line))
	})
	var b strings.Builder
	object := ""
	for _, f := range facts {
		if f.Object != object {
			object = f.Object
			b.WriteString(object + "\n")
		}
		switch {
		case f.Section == sectionBody:
			for line := range strings.SplitSeq(f.Line, "\n") {
				b.WriteString(strings.TrimSuffix(bodyMark+" "+line, " ") + "\n")
			}
		case f.Line != "":
			b.WriteString(factMark + f.Line + "\n")
		}
	}
	return b.String()
}

// An Object is what the text says about one object.
type Object struct {
	Facts map[string]bool
	Body  []string // the lines of a function, procedure or view

	order []string // of the facts
}

// lines are its facts in their order; none of no object.
func (o *Object) lines() []string {
	if o == nil {
		return nil
	}
	return o.order
}

// fact is what follows the start of a line.
func (o *Object) fact(start string) string {
	for _, line := range o.lines() {
		if rest, is := strings.CutPrefix(line, start); is {
			return rest
		}
	}
	return ""
}

// body is the text of a function, procedure or view. A line that ends in a space had one more.
func (o *Object) body() string {
	if o == nil {
		return ""
	}
	lines := make([]string, len(o.Body))
	for i, line := range o.Body {
		lines[i] = strings.TrimPrefix(strings.TrimPrefix(line, bodyMark), " ")
		if strings.HasSuffix(lines[i], " ") {
			lines[i] += " "
		}
	}
	return strings.Join(lines, "\n")
}

// Objects reads what Tell wrote, by the objects' names.
func Objects(text string) map[string]*Object {
	all := map[string]*Object{}
	object := &Object{Facts: map[string]bool{}} // of none, in a file that was edited
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		fact, indented := strings.CutPrefix(line, factMark)
		switch {
		case strings.HasPrefix(line, bodyMark):
			object.Body = append(object.Body, line)
		case indented:
			object.Facts[fact] = true
			object.order = append(object.order, fact)
		case line != "":
			object = &Object{Facts: map[string]bool{}}
			all[line] = object
		}
	}
	return all
}
