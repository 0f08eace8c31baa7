package migrate

import (
	"slices"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

const (
	snapshotOne = "function f()\n  returns integer\n  |\n  | SELECT 1\ntable a\n  column id integer\n  index a_idx " +
		"btree (id)\ntable b\n"
	snapshotTwo = "function f()\n  returns integer\n  |\n  | SELECT 2\ntable a\n  column id bigint\n  column colour " +
		"text\n  unique index a_idx btree (id)\ntable c\n  column id integer\n"
)

func TestCompareSnapshotsTellsEachDifferenceInALine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want, got string
		drift     []string
	}{
		"equal":            {snapshotOne, snapshotOne, nil},
		"both empty":       {"", "", nil},
		"another order":    {"table a\n  x\n  y\ntable b\n", "table b\ntable a\n  y\n  x\n", nil},
		"everything gone":  {"table a\n  x\ntable b\n", "", []string{"table a: is missing", "table b: is missing"}},
		"all of it added":  {"", "table a\n  x\n", []string{"table a: was made by no migration"}},
		"order in a body":  {"view v\n  | a\n  | b\n", "view v\n  | b\n  | a\n", []string{"view v: has another body"}},
		"no body any more": {"view v\n  | a\n", "view v\n", []string{"view v: has another body"}},
		"no snapshot":      {"  x\n  | y\ntable a\n", "table a\n", nil}, // a file that somebody edited
		"all at once": {snapshotOne, snapshotTwo, []string{
			"function f(): has another body",
			"table a: has   column colour text",
			"table a: lacks column id integer",
			"table a: has   column id bigint",
			"table a: lacks index a_idx btree (id)",
			"table a: has   unique index a_idx btree (id)",
			"table b: is missing",
			"table c: was made by no migration",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, d := range snapshot.Compare(c.want, c.got) {
				got = append(got, d.String())
			}
			if !slices.Equal(got, c.drift) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.drift, "\n"))
			}
		})
	}
}

func TestVersionsLikeFindsEveryEqualVersionOrTheNearest(t *testing.T) {
	t.Parallel()
	b, err := bundle.Unchecked("SELECT 1", "SELECT 2", "SELECT 3",
		"SELECT 4").WithSnapshots(historyFS(map[string]string{
		"0001.txt": "table a\n", "0002.txt": snapshotOne, "0003.txt": snapshotOne, "0004.txt": snapshotTwo,
	}))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		bundle  bundle.Bundle
		text    string
		same    []int
		nearest int
		drift   int
	}{
		"one":          {b, "table a\n", []int{1}, 1, 0},
		"two":          {b, snapshotOne, []int{2, 3}, 3, 0},
		"none":         {b, strings.Replace(snapshotTwo, "bigint", "smallint", 1), nil, 4, 2},
		"none, equal":  {b, strings.Replace(snapshotOne, "integer", "smallint", 1), nil, 3, 2},
		"nothing":      {b, "", nil, 1, 1},
		"no snapshots": {bundle.Bundle{}, snapshotOne, nil, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			same, nearest, drift := versionsLike(c.bundle, c.text)
			if !slices.Equal(same, c.same) || nearest != c.nearest || len(drift) != c.drift {
				t.Errorf("got %v, nearest %d, %v; want %v, nearest %d with %d differences", same, nearest, drift,
					c.same, c.nearest, c.drift)
			}
		})
	}
}
