package migrate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/catalogue"
)

// A Change says in which way a schema is not what it should be.
type Change string

// The changes. A changed line is one that is lacking and one that is there instead.
const (
	Gone     Change = "is missing"               // the object as a whole
	Stranger Change = "was made by no migration" // the object as a whole
	Lacks    Change = "lacks"                    // a line
	Has      Change = "has"                      // a line
	Rewrote  Change = "has another body"         // a function, procedure or view
)

// A Drift is one difference between what a schema holds and what it should.
type Drift struct {
	Object string `json:"object"` // such as "table accounts"
	Change Change `json:"change"`
	Line   string `json:"line,omitempty"` // what the object lacks or has
	// what takes it back, where that is known; of a line that was changed it is in the one that is lacking
	SQL string `json:"sql,omitempty"`
}

// A DriftError means that the schema was changed by something else than migrations.
type DriftError struct {
	Version int // that it should be like
	Drift   []Drift
}

func (e *DriftError) Error() string {
	return fmt.Sprintf("the schema is not as the migrations up to version %d make it:%s\nSomebody changed it by "+
		"hand. Undo that, or put it into a migration", e.Version, driftLines(e.Drift))
}

func driftLines(drift []Drift) string {
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
func (d Drift) String() string {
	switch d.Change {
	case Lacks:
		return d.Object + ": lacks " + d.Line
	case Has:
		return d.Object + ": has   " + d.Line
	case Gone, Stranger, Rewrote:
	}
	return d.Object + ": " + string(d.Change)
}

// CompareSnapshots lists what is in one snapshot and not in the other, by object.
// The order of lines does not count, but for the bodies of functions and views, which
// are told of as a whole.
func CompareSnapshots(want, got string) []Drift {
	if want == got {
		return nil
	}
	wanted, found := catalogue.Objects(want), catalogue.Objects(got)
	names := slices.Concat(slices.Collect(maps.Keys(wanted)), slices.Collect(maps.Keys(found)))
	slices.Sort(names)
	var drift []Drift
	for _, name := range slices.Compact(names) {
		w, g := wanted[name], found[name]
		switch {
		case g == nil:
			drift = append(drift, Drift{Object: name, Change: Gone})
		case w == nil:
			drift = append(drift, Drift{Object: name, Change: Stranger})
		default:
			drift = append(drift, compareObject(name, w, g)...)
		}
	}
	return drift
}

// compareObject puts what an object lacks before what it has instead, where the two lines
// begin alike.
func compareObject(name string, want, got *catalogue.Object) []Drift {
	var drift []Drift
	for line := range want.Facts {
		if !got.Facts[line] {
			drift = append(drift, Drift{Object: name, Change: Lacks, Line: line})
		}
	}
	for line := range got.Facts {
		if !want.Facts[line] {
			drift = append(drift, Drift{Object: name, Change: Has, Line: line})
		}
	}
	slices.SortFunc(drift, func(a, b Drift) int {
		return cmp.Or(strings.Compare(subject(a.Line), subject(b.Line)),
			strings.Compare(string(b.Change), string(a.Change)), strings.Compare(a.Line, b.Line))
	})
	if !slices.Equal(want.Body, got.Body) {
		drift = append(drift, Drift{Object: name, Change: Rewrote})
	}
	return drift
}

// subject is the beginning of a line that says what it is about, such as "column id".
func subject(line string) string {
	words := strings.SplitN(strings.TrimPrefix(line, "unique "), " ", 3)
	switch words[0] {
	case "column", "attribute", "constraint", "index", "policy", "trigger", "rule", "set":
		return strings.Join(words[:min(2, len(words))], " ")
	}
	return words[0]
}

// versionsLike returns the versions whose snapshot a schema equals: several when
// files between them leave the schema as it is, such as those that only move rows. When
// there is none, it returns the nearest version, the later of two that are as near,
// and the differences from it; 0 when the bundle has no snapshots.
func versionsLike(b bundle.Bundle, text string) (same []int, nearest int, drift []Drift) {
	for version := 1; ; version++ {
		snapshot, ok := b.Snapshot(version)
		if !ok {
			break
		}
		d := CompareSnapshots(snapshot, text)
		if len(d) == 0 {
			same = append(same, version)
		}
		if nearest == 0 || len(d) <= len(drift) {
			nearest, drift = version, d
		}
	}
	if len(same) > 0 {
		return same, same[len(same)-1], nil
	}
	return nil, nearest, drift
}
