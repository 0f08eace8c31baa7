package main

import (
	"context"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"
)

// cmdSignalled starts the program, sends it signals once the database is in the middle of
// a file, and says how that has to end; -1 is the code of a program that was killed:
//
//	signalled TERM 143 REGEXP…        once
//	signalled TERM+TERM 143 REGEXP…   twice at the same moment
//	signalled TERM,TERM 143 REGEXP…   the last one again and again
//	signalled KILL -1
//
// In the middle of a file is a server process that sleeps, or waits for a reader as CREATE
// INDEX CONCURRENTLY does. A file that goes on while somebody holds the advisory lock 1 is
// there until the signals are sent.
func cmdSignalled(ts *testscript.TestScript, _ bool, args []string) {
	numbers := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}
	gate, err := pgx.Connect(context.Background(), storyOf(ts).db.SuperConn)
	ts.Check(err)
	_, err = gate.Exec(context.Background(), "SELECT pg_advisory_lock(1)")
	ts.Check(err)
	p := startProgram(ts)
	cmdSQL(ts, false, []string{"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND " +
		"wait_event IN ('PgSleep', 'virtualxid')", "1"})
	first, again, repeated := strings.Cut(args[0], ",")
	for name := range strings.SplitSeq(first, "+") {
		ts.Check(p.cmd.Process.Signal(numbers[name]))
	}
	for ended := !repeated; !ended; { // two at once are one
		select {
		case <-p.exited:
			ended = true
		case <-time.After(50 * time.Millisecond):
			_ = p.cmd.Process.Signal(numbers[again]) // it may have ended just now
		}
	}
	ts.Check(gate.Close(context.Background()))
	if code := p.wait(ts); strconv.Itoa(code) != args[1] {
		ts.Fatalf("exited with %d, want %s:\n%s", code, args[1], p.output.String())
	}
	match(ts, p.output.String(), args[2:])
}

func TestTheSameSignalAtTheSameMomentIsOne(t *testing.T) {
	t.Parallel()
	at := time.Now()
	for name, c := range map[string]struct {
		signal syscall.Signal
		after  time.Duration
		want   bool
	}{
		"at the same moment":      {syscall.SIGTERM, 0, false},
		"a moment later":          {syscall.SIGTERM, 100 * time.Millisecond, false},
		"a second later":          {syscall.SIGTERM, time.Second, true},
		"another one, at once":    {syscall.SIGINT, 0, true},
		"another one, much later": {syscall.SIGINT, time.Hour, true},
	} {
		var first firstSignal
		if first.isSecond(syscall.SIGTERM, at) {
			t.Errorf("%s: the first is no second one", name)
		}
		if got := first.isSecond(c.signal, at.Add(c.after)); got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
	}
}
