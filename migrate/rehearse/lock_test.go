package rehearse

import (
	"fmt"
	"testing"
)

func TestAnImpactIsWhatAFileDidToWhatWasThere(t *testing.T) {
	t.Parallel()
	before := catalogState{
		WAL: 100,
		Relations: []relation{
			{1, "table", "app", "a", "a", 10, 1},
			{2, "table", "app", "b", "b", 20, 2},
			{3, "index", "app", "a_id", "a_id of a", 30, 1},
			{4, "table", "app", "gone", "gone", 40, 4},
			{5, "sequence", "app", "s", "s", 50, 5},
			{6, "materialized view", "app", "m", "m", 60, 6},
			{8, "table", "app", "c", "c", 80, 8},
			{9, "index", "app", "c_id", "c_id of c", 90, 8},
		},
	}
	after := catalogState{
		WAL: 350,
		Relations: []relation{
			{1, "table", "app", "renamed", "renamed", 11, 1},
			{2, "table", "app", "b", "b", 20, 2},
			{3, "index", "app", "a_id", "a_id of a", 31, 1},
			{5, "sequence", "app", "s", "s", 51, 5},
			{6, "materialized view", "app", "m", "m", 61, 6},
			{7, "table", "app", "new", "new", 70, 7},
			{8, "table", "app", "c", "c", 80, 8},
			{9, "index", "app", "c_id", "c_id of c", 91, 8},
		},
		Locks: []relationLock{
			{1, "ShareLock"},
			{1, "AccessExclusiveLock"},
			{1, "RowExclusiveLock"},
			{2, "AccessShareLock"},
			{3, "AccessExclusiveLock"},
			{8, "ShareLock"},
			{9, "AccessExclusiveLock"},
			{4, "AccessExclusiveLock"},
			{7, "AccessExclusiveLock"},
			{1259, "RowExclusiveLock"},
		},
	}
	want := Impact{
		WAL:       250,
		Rewritten: []string{"a", "m"},
		Locks: []Lock{
			{"index", "c_id of c", "AccessExclusiveLock"},
			{"table", "a", "AccessExclusiveLock"},
			{"table", "gone", "AccessExclusiveLock"},
			{"table", "c", "ShareLock"},
			{"table", "b", "AccessShareLock"},
		},
	}
	if got := impact(before, after); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestALockBlocks(t *testing.T) {
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
