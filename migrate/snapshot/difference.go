package snapshot

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Kind says in which way a schema is not what it should be.
type Kind string

// The changes. A changed line is one that is lacking and one that is there instead.
const (
	ObjectMissing Kind = "is missing"               // the object as a whole
	ObjectExtra   Kind = "was made by no migration" // the object as a whole
	LineMissing   Kind = "lacks"                    // a line
	LineExtra     Kind = "has"                      // a line
	BodyChanged   Kind = "has another body"         // a function, procedure or view
)

// A Difference is one difference between what a schema holds and what it should.
type Difference struct {
	Object string `json:"object"` // such as "table accounts"
	Change Kind   `json:"change"`
	Line   string `json:"line,omitempty"` // what the object lacks or has
	SQL    string `json:"sql,omitempty"`  // a proposal that undoes it; see Propose
	Note   string `json:"note,omitempty"` // why there is none
}

// Lines writes differences one below the other, for a message: the first thirty.
func Lines(drift []Difference) string {
	const most = 30
	var b strings.Builder
	for i, d := range drift {
		if i == most {
			fmt.Fprintf(&b, "\n  and %d more", len(drift)-most)
			break
		}
		b.WriteString("\n  " + d.String())
	}
	return b.String()
}

// String is one line. Lines one below the other are aligned.
func (d Difference) String() string {
	switch d.Change {
	case LineMissing:
		return d.Object + ": lacks " + d.Line
	case LineExtra:
		return d.Object + ": has   " + d.Line
	case ObjectMissing, ObjectExtra, BodyChanged:
	}
	return d.Object + ": " + string(d.Change)
}

// Compare lists what is in one snapshot and not in the other, by object.
// The order of lines does not count, but for the bodies of functions and views, which
// are told of as a whole.
func Compare(want, got string) []Difference {
	if want == got {
		return nil
	}
	wanted, found := Objects(want), Objects(got)
	names := slices.Concat(slices.Collect(maps.Keys(wanted)), slices.Collect(maps.Keys(found)))
	slices.Sort(names)
	var drift []Difference
	for _, name := range slices.Compact(names) {
		w, g := wanted[name], found[name]
		switch {
		case g == nil:
			drift = append(drift, Difference{Object: name, Change: ObjectMissing})
		case w == nil:
			drift = append(drift, Difference{Object: name, Change: ObjectExtra})
		default:
			drift = append(drift, compareObject(name, w, g)...)
		}
	}
	return drift
}

// CompareDuring is Compare while a file without a transaction is at work, or was when its migrator died. It leaves out
// what that file does, which makes next of want, and invalid indexes: they are what a statement leaves that was
// interrupted, or has not finished.
func CompareDuring(want, live, next string) []Difference {
	done := Compare(want, next)
	return slices.DeleteFunc(Compare(want, live), func(d Difference) bool {
		invalid := d.Change == LineExtra && strings.Contains(d.Line, "index ") && strings.HasSuffix(d.Line, " invalid")
		return invalid || slices.Contains(done, d)
	})
}

// compareObject puts what an object lacks before what it has instead, where the two lines
// begin alike.
func compareObject(name string, want, got *Object) []Difference {
	var drift []Difference
	for line := range want.Facts {
		if !got.Facts[line] {
			drift = append(drift, Difference{Object: name, Change: LineMissing, Line: line})
		}
	}
	for line := range got.Facts {
		if !want.Facts[line] {
			drift = append(drift, Difference{Object: name, Change: LineExtra, Line: line})
		}
	}
	slices.SortFunc(drift, func(a, b Difference) int {
		return cmp.Or(strings.Compare(Subject(a.Line), Subject(b.Line)),
			strings.Compare(string(b.Change), string(a.Change)), strings.Compare(a.Line, b.Line))
	})
	if !slices.Equal(want.Body, got.Body) {
		drift = append(drift, Difference{Object: name, Change: BodyChanged})
	}
	return drift
}

// Subject is the beginning of a line that says what it is about, such as "column id".
func Subject(line string) string {
	words := strings.SplitN(strings.TrimPrefix(line, "unique "), " ", 3)
	switch words[0] {
	case "column", "attribute", "constraint", "index", "policy", "trigger", "rule", "set":
		return strings.Join(words[:min(2, len(words))], " ")
	}
	return words[0]
}
