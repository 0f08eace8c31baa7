package ledger

import (
	_ "embed" // for what the table has to be
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// asCreated is the table that Create makes, as a snapshot describes it. The tests of package migrate write it with
// -update.
//
//go:embed ledger.txt
var asCreated string

// A TableDiff is how the ledger's table differs from the one that Create makes.
type TableDiff struct {
	// Fatal differences: without its constraints the table locks nothing, and with row security or a trigger it may
	// forget.
	Fatal []snapshot.Difference
	// Harmless is what a DBA may do to any table, and an added column that refuses no row.
	Harmless []snapshot.Difference
	// Comment is the one by which the table is distinguished from another tool's.
	Comment []snapshot.Difference
}

// DiffTable compares a snapshot of the ledger's table with what Create makes.
func DiffTable(found string) (t TableDiff) {
	for _, d := range snapshot.Compare(asCreated, found) {
		switch {
		case strings.HasPrefix(d.Line, "comment '"):
			t.Comment = append(t.Comment, d)
		case harmless(d):
			t.Harmless = append(t.Harmless, d)
		default:
			t.Fatal = append(t.Fatal, d)
		}
	}
	return t
}

// harmless reports whether a difference of the table leaves it a ledger.
func harmless(d snapshot.Difference) bool {
	if d.Change != snapshot.LineExtra {
		return false
	}
	if strings.HasPrefix(d.Line, "column ") {
		return !strings.Contains(asCreated, "  "+snapshot.Subject(d.Line)+" ") && !strings.Contains(d.Line, " not null")
	}
	return slices.ContainsFunc([]string{
		"with (", "replica identity ", "index ", "referenced by ", "comment on ", "statistics ", "published by ",
	}, func(start string) bool { return strings.HasPrefix(d.Line, start) })
}

// Dropped are the differences that are lost when the table is created again.
func (t TableDiff) Dropped() (dropped []snapshot.Difference) {
	for _, d := range t.Harmless {
		if !strings.HasPrefix(d.Line, "referenced by ") { // that one stops it
			dropped = append(dropped, d)
		}
	}
	return dropped
}
