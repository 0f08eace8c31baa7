package migrate

import (
	"fmt"
	"testing"
)

func TestAFootprintIsWhatAFileDidToWhatWasThere(t *testing.T) {
	t.Parallel()
	before := sight{
		WAL: 100,
		Relations: []relationSeen{
			{1, "table", "a", 10, 1},
			{2, "table", "b", 20, 2},
			{3, "index", "a_id of a", 30, 1},
			{4, "table", "gone", 40, 4},
			{5, "sequence", "s", 50, 5},
			{6, "materialized view", "m", 60, 6},
			{8, "table", "c", 80, 8},
			{9, "index", "c_id of c", 90, 8},
		},
		Locks: []lockSeen{{2, "AccessExclusiveLock"}}, // of a file before it, in the same transaction
	}
	after := sight{
		WAL: 350,
		Relations: []relationSeen{
			{1, "table", "renamed", 11, 1},
			{2, "table", "b", 20, 2},
			{3, "index", "a_id of a", 31, 1},
			{5, "sequence", "s", 51, 5},
			{6, "materialized view", "m", 61, 6},
			{7, "table", "new", 70, 7},
			{8, "table", "c", 80, 8},
			{9, "index", "c_id of c", 91, 8},
		},
		Locks: []lockSeen{
			{1, "ShareLock"},
			{1, "AccessExclusiveLock"},
			{1, "RowExclusiveLock"},
			{2, "AccessExclusiveLock"},
			{2, "AccessShareLock"},
			{3, "AccessExclusiveLock"},
			{8, "ShareLock"},
			{9, "AccessExclusiveLock"},
			{4, "AccessExclusiveLock"},
			{7, "AccessExclusiveLock"},
			{1259, "RowExclusiveLock"},
		},
	}
	want := Footprint{
		WAL:       250,
		Rewritten: []string{"a", "m"},
		Locks: []Lock{
			{"index", "c_id of c", "AccessExclusiveLock", false},
			{"table", "a", "AccessExclusiveLock", false},
			{"table", "b", "AccessExclusiveLock", true},
			{"table", "gone", "AccessExclusiveLock", false},
			{"table", "c", "ShareLock", false},
		},
	}
	if got := footprint(before, after); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestALockTellsWhatWaitsForIt(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{
		"AccessShareLock":          "blocks neither reads nor writes",
		"RowShareLock":             "blocks only writes to the same rows",
		"RowExclusiveLock":         "blocks only writes to the same rows",
		"ShareUpdateExclusiveLock": "blocks neither reads nor writes",
		"ShareLock":                "blocks INSERT, UPDATE and DELETE",
		"ShareRowExclusiveLock":    "blocks INSERT, UPDATE and DELETE",
		"ExclusiveLock":            "blocks INSERT, UPDATE, DELETE and SELECT FOR UPDATE",
		"AccessExclusiveLock":      "blocks SELECT, INSERT, UPDATE and DELETE",
	} {
		if got := (Lock{Kind: "table", Relation: "t", Mode: mode}).Blocks(); got != want {
			t.Errorf("%s %q, want %q", mode, got, want)
		}
	}
}
