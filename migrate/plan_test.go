package migrate

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
)

// bundleOf returns a bundle of n files, whose last one admits bundles from minVersion on.
func bundleOf(t *testing.T, n, minVersion int) bundle.Bundle {
	t.Helper()
	files := map[string]string{}
	for i := range n {
		sql := fmt.Sprintf("SELECT %d", i+1)
		if i == n-1 {
			sql = fmt.Sprintf("-- migrate:min-version %d\n%s", minVersion, sql)
		}
		files[fmt.Sprintf("%04d_m%d.sql", i+1, i+1)] = sql
	}
	b, err := bundle.Load(historyFS(files))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPlanKnowsEveryState(t *testing.T) {
	three := bundleOf(t, 3, 1)
	const newer = "7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e"
	history := func(version int) string {
		if version > three.Version() {
			return newer
		}
		return three.Fingerprint(version)
	}
	head := func(version, minVersion int) *ledger.Head {
		return &ledger.Head{
			Version: version, Rows: version, MinVersion: minVersion,
			Fingerprint: three.Fingerprint(version), Whole: history(version),
		}
	}
	// of the schema, and of the ledger below
	says := func(version int) string { return ledger.Stamp{Version: version, History: history(version)}.String() }
	filled := func(version int) *schemaSeen { return &schemaSeen{Objects: 2, Ledger: true, Comment: says(version)} }
	with := func(l *ledger.Head, change func(*ledger.Head)) *ledger.Head { change(l); return l }
	for name, c := range map[string]struct {
		schema  *schemaSeen
		ledger  *ledger.Head
		want    State
		pending int
	}{
		"no schema":                      {nil, nil, Blank, 3},
		"an empty schema":                {&schemaSeen{}, nil, Blank, 3},
		"an empty schema with a comment": {&schemaSeen{Comment: "the DBA's"}, nil, Blank, 3},
		"an empty schema that was full":  {&schemaSeen{Comment: says(2)}, nil, LedgerLost, 0},
		"only an empty ledger":           {&schemaSeen{Ledger: true, Comment: says(0)}, head(0, 0), Behind, 3},
		"one of three":                   {filled(1), head(1, 1), Behind, 2},
		"all":                            {filled(3), head(3, 1), Current, 0},
		"one more, which admits us":      {filled(4), head(4, 3), AheadCompatible, 0},
		"one more, which does not":       {filled(4), head(4, 4), AheadIncompatible, 0},
		"a file was changed": {
			filled(2), with(head(2, 1), func(l *ledger.Head) { l.Fingerprint = "x" }),
			Diverged, 0,
		},
		"ahead, a file was changed": {
			filled(4), with(head(4, 1), func(l *ledger.Head) { l.Fingerprint = "x" }),
			Diverged, 0,
		},
		"a row is missing": {
			filled(3), with(head(3, 1), func(l *ledger.Head) { l.Rows = 2 }),
			Diverged, 0,
		},
		"a row is unfinished": {
			filled(3), with(head(3, 1), func(l *ledger.Head) { l.Unfinished = 3 }),
			Diverged, 0,
		},
		"the next file is claimed": {
			filled(2), with(head(2, 1), func(l *ledger.Head) { l.Claimed = 3 }),
			Behind, 1,
		},
		"a newer file is claimed": {
			filled(3), with(head(3, 1), func(l *ledger.Head) { l.Claimed = 4 }),
			Current, 0,
		},
		"a file far ahead is claimed": {
			filled(1), with(head(1, 1), func(l *ledger.Head) { l.Claimed = 3 }),
			Diverged, 0,
		},
		"a row was changed by hand": {
			filled(2),
			with(head(2, 1), func(l *ledger.Head) { l.Fingerprint, l.Whole = "x", "x" }), LedgerLost, 0,
		},
		"the last row was deleted": {filled(3), head(2, 1), LedgerLost, 0},
		"a row was added":          {filled(2), head(3, 1), LedgerLost, 0},
		"ahead, a row was changed": {
			filled(4), with(head(4, 3), func(l *ledger.Head) { l.Whole = "x" }),
			LedgerLost, 0,
		},
		"no stamp": {&schemaSeen{Objects: 2, Ledger: true}, head(2, 1), LedgerLost, 0},
		"somebody else's comment": {
			&schemaSeen{Objects: 2, Ledger: true, Comment: "ours"}, head(2, 1),
			LedgerLost, 0,
		},
		"objects without a ledger":        {&schemaSeen{Objects: 1, Comment: says(2)}, nil, LedgerLost, 0},
		"objects with an empty ledger":    {filled(2), head(0, 0), LedgerLost, 0},
		"another tool's ledger":           {filled(2), &ledger.Head{Foreign: true}, LedgerLost, 0},
		"only another tool's ledger":      {&schemaSeen{Ledger: true}, &ledger.Head{Foreign: true}, LedgerLost, 0},
		"a ledger that cannot be a table": {&schemaSeen{Ledger: true}, nil, LedgerLost, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.ledger != nil && c.schema != nil {
				c.ledger.Comment = c.schema.Comment
			}
			got := plan(three, seen{Schema: c.schema, Ledger: c.ledger})
			if got.State != c.want || len(got.Pending) != c.pending {
				t.Errorf("got %s with %d pending, want %s with %d", got.State, len(got.Pending), c.want, c.pending)
			}
			if fit := got.Err() == nil; fit != got.State.Fit() {
				t.Errorf("Err is %v, but Fit is %v", got.Err(), got.State.Fit())
			}
		})
	}
}

func TestCompareNamesEachDifference(t *testing.T) {
	b := bundleOf(t, 4, 1)
	seconds := 0.1
	rows := make([]ledger.Row, 0, 6)
	for i, m := range append(b.Migrations(), bundle.Migration{Name: "m5"}) {
		rows = append(rows, ledger.Row{
			Version: i + 1, Name: m.Name, Checksum: fmt.Sprintf("%x", m.Checksum),
			MinVersion: m.MinVersion, Seconds: &seconds,
		})
	}
	if found := compare(b, rows); len(found) > 0 {
		t.Errorf("an untouched ledger of a newer program: got %v", found)
	}
	rows[0].Name = "other"
	rows[1].Checksum = strings.Repeat("0", 64)
	rows[3].MinVersion = 2
	rows = append(rows[:2], rows[3:]...)
	rows[3].Seconds = nil
	found := compare(b, rows)
	want := []string{
		"0001: the ledger calls it \"other\"", "0002: 0002_m2.sql was changed", "0003: is missing",
		"0004: the ledger says", "0005: was begun and never finished",
	}
	if len(found) != len(want) {
		t.Fatalf("got %v, want %d differences", found, len(want))
	}
	for i, d := range found {
		if !strings.HasPrefix(d.String(), want[i]) {
			t.Errorf("got %q, want %q", d, want[i])
		}
	}
}

func historyFS(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return fsys
}
