package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// openTerminal makes a pseudo-terminal of so many columns and returns its two ends.
func openTerminal(t *testing.T, columns uint16) (screen, terminal *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	fd := int(screen.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = screen.Close(), terminal.Close() })
	return screen, terminal
}

// onTerminal runs avtotpy migrate on a file that goes on until a terminal of 50 columns
// has shown a text, and returns all that it has shown.
func onTerminal(t *testing.T, until string, environ ...string) string {
	t.Helper()
	db := pgtest.Migrated(t)
	gate := db.Connect(t, db.SuperConn)
	if _, err := gate.Exec(t.Context(), "BEGIN; LOCK TABLE avtotpy.users IN SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	screen, terminal := openTerminal(t, 50)
	release := releaseWith(t, `SELECT pg_sleep(0.5); DO $$ BEGIN RAISE NOTICE 'halfway there'; END $$;
		UPDATE avtotpy.users SET name = name`)
	cmd := commandOn(t, db, []string{"migrate"}, append([]string{"TERM=xterm", "BUNDLE=" + release}, environ...)...)
	cmd.Stderr = terminal
	var seen pgtest.Output
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(&seen, screen) }) // it ends with an error when the last writer is gone
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pgtest.Eventually(t, "the terminal shows "+until, func() error {
		return pgtest.Unless(regexp.MustCompile(until).MatchString(seen.String()), "it shows %q", &seen)
	})
	if _, err := gate.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	_ = terminal.Close()
	reading.Wait()
	if err != nil {
		t.Fatalf("%v:\n%s", err, &seen)
	}
	return seen.String()
}

func TestTheBarIsDrawnBelowTheLog(t *testing.T) {
	t.Parallel()
	seen := onTerminal(t, `\rapplying \d{4}_last.sql \(1 of 1\) for \d+s\x1b\[K`)
	for line := range strings.SplitSeq(seen, "\r\n") {
		drawn := strings.Split(line, "\r")
		for i, one := range drawn {
			if one = strings.TrimSuffix(one, "\x1b[K"); i < len(drawn)-1 && len(one) >= 50 {
				t.Errorf("a bar that a terminal of 50 columns wraps: %q", one)
			}
		}
		if left := strings.TrimPrefix(drawn[len(drawn)-1], "\x1b[K"); left != "" && !strings.HasPrefix(left, "time=") {
			t.Errorf("%q is left on the screen", left)
		}
	}
	for _, whole := range []string{
		`msg="the server says" message="halfway there"`,
		`msg="migration finished" result=applied`,
	} {
		if !strings.Contains(seen, whole) {
			t.Errorf("the log lacks %q:\n%q", whole, seen)
		}
	}
}

func TestNobodyIsShownABarWhoCannotSeeOne(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"TERM=dumb", "AVTOTPY_LOG_FORMAT=json"} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			if seen := onTerminal(t, "applying|halfway", setting); strings.Contains(seen, "\x1b") ||
				!strings.Contains(seen, "migration finished") {
				t.Errorf("got %q, want the log alone", seen)
			}
		})
	}
}
