package observe

import (
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/migrate"
)

func TestTheBarFitsAnyTerminal(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	applying := migrate.Progress{
		Phase: migrate.Applying, Since: now.Add(-75 * time.Second), File: "0012_add_tags.sql",
		Number: 2, Of: 4,
	}
	blocked := applying
	blocked.WaitsFor = "Lock relation of avtotpy.users"
	blocked.Blocker = &migrate.Blocker{
		PID: 4242, Application: "evil\x1b]0;title\aж", State: "idle in transaction",
		Since: now.Add(-time.Hour),
	}
	building := applying
	building.Index = &migrate.IndexBuild{Phase: "building index: scanning table", BlocksDone: 20, BlocksTotal: 80}
	for _, c := range []struct {
		p     migrate.Progress
		width int
		want  string
	}{
		{migrate.Progress{}, 80, ""},
		{migrate.Progress{Phase: migrate.Done}, 80, ""},
		{
			migrate.Progress{
				Phase: migrate.Connecting, Since: now.Add(-3 * time.Second), WaitsFor: "connection refused",
			},
			80, "connecting for 3s, waits: connection refused",
		},
		{applying, 80, "[#####...............] applying 0012_add_tags.sql (2 of 4) for 1m15s"},
		{applying, 59, "applying 0012_add_tags.sql (2 of 4) for 1m15s"},
		{applying, 30, "applying 0012_add_tags.sql..."},
		{applying, 3, ".."},
		{applying, 0, ""},
		{building, 160, "[#####...............] applying 0012_add_tags.sql (2 of 4) for 1m15s, building index: " +
			"scanning table, 20 of 80 blocks"},
		{
			blocked, 220, "[#####...............] applying 0012_add_tags.sql (2 of 4) for 1m15s, waits: Lock " +
				"relation of avtotpy.users, " +
				"blocked by evil?]0;title?? (pid 4242), idle in transaction since 2026-01-02T02:04:05Z",
		},
	} {
		got := barLine(c.p, now, c.width)
		if got != c.want {
			t.Errorf("%+v at %d columns:\ngot  %q\nwant %q", c.p, c.width, got, c.want)
		}
		if len(got) > 0 && len(got) >= c.width {
			t.Errorf("%q fills %d columns", got, c.width)
		}
	}
}
