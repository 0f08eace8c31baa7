package main

import (
	"fmt"
	"testing"
)

func TestTheFewestArrowsRunUp(t *testing.T) {
	t.Parallel()
	for want, arrows := range map[int][]arrow{
		0: {{"a", "b"}, {"b", "c"}, {"a", "c"}},
		1: {{"a", "b"}, {"b", "c"}, {"c", "a"}},
		2: {{"a", "b"}, {"b", "a"}, {"c", "d"}, {"d", "c"}, {"a", "c"}},
	} {
		if up := upward(arrows); len(up) != want {
			t.Errorf("%v: %v run up, want %d", arrows, up, want)
		}
	}
	var all []arrow // each of seven knows all below it, and the ground knows the top
	for i := range 7 {
		for j := range i {
			all = append(all, arrow{fmt.Sprint(i), fmt.Sprint(j)})
		}
	}
	if up := upward(append(all, arrow{"0", "6"})); len(up) != 1 || up[0] != (arrow{"0", "6"}) {
		t.Errorf("%v run up, want 0 → 6", up)
	}
}
