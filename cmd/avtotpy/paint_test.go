package main

import (
	"testing"
	"time"
)

func TestColoursAreForTerminalsThatWantThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		environ []string
		want    bool
	}{
		{nil, true},
		{[]string{"TERM=xterm-256color"}, true},
		{[]string{"TERM=dumb"}, false},
		{[]string{"NO_COLOR=1"}, false},
		{[]string{"NO_COLOR="}, true}, // no-color.org: "when present and not an empty string"
	} {
		if got := wantsColour(c.environ); got != c.want {
			t.Errorf("wantsColour(%q): got %t, want %t", c.environ, got, c.want)
		}
	}
	if got, want := paintWhen(true)(red, "lost"), "\x1b[1;31mlost\x1b[0m"; got != want {
		t.Errorf("on a terminal: got %q, want %q", got, want)
	}
	if got := paintWhen(false)(red, "lost"); got != "lost" {
		t.Errorf("elsewhere: got %q, want it as it is", got)
	}
}

func TestColumnsAlign(t *testing.T) {
	t.Parallel()
	got := columns([][]string{{"NAME", "TOOK", ""}, {"größe", "9ms"}, {"a\x1b[31m", "1m30s", "rebuilt"}}, 1)
	want := "NAME     TOOK\n" +
		"größe     9ms\n" +
		"a?[31m  1m30s  rebuilt\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFoldKeepsWhatIsIndented(t *testing.T) {
	t.Parallel()
	const words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
	got := fold(words + "\n  " + words + "\nend")
	want := "one two three four five six seven eight nine ten eleven twelve thirteen fourteen\n  " + words + "\nend\n"
	if got != want {
		t.Errorf("80 columns: got\n%s\nwant\n%s", got, want)
	}
	got = fold("a " + words)
	want = "a one two three four five six seven eight nine ten eleven twelve thirteen\nfourteen\n"
	if got != want {
		t.Errorf("82 columns: got\n%s\nwant\n%s", got, want)
	}
}

func TestBriefIsRoundedSensibly(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                                     "0s",
		123456 * time.Nanosecond:              "123µs",
		7657 * time.Microsecond:               "7.7ms",
		345678 * time.Microsecond:             "345.7ms",
		1234567 * time.Microsecond:            "1.23s",
		90*time.Second + 345*time.Millisecond: "1m30s",
		26*time.Hour + 400*time.Millisecond:   "26h0m0s",
	} {
		if got := brief(d); got != want {
			t.Errorf("%d ns: got %s, want %s", d, got, want)
		}
	}
}
