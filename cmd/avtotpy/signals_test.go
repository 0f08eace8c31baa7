package main

import (
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdSignalled starts the program, sends it signals once the database is in the middle of
// a file, and says how that has to end; -1 is the code of a program that was killed:
//
//	signalled TERM 143 REGEXP…        once
//	signalled TERM,TERM 143 REGEXP…   the last one again and again
//	signalled KILL -1
//
// In the middle of a file is a server process that sleeps, or waits for a reader as CREATE
// INDEX CONCURRENTLY does.
func cmdSignalled(ts *testscript.TestScript, _ bool, args []string) {
	numbers := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}
	names := strings.Split(args[0], ",")
	p := startProgram(ts)
	cmdSQL(ts, false, []string{"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event IN ('PgSleep', 'virtualxid')", "1"})
	ts.Check(p.cmd.Process.Signal(numbers[names[0]]))
	if len(names) > 1 {
		again := numbers[names[1]]
		for ended := false; !ended; { // two at once may arrive as one
			select {
			case <-p.exited:
				ended = true
			case <-time.After(50 * time.Millisecond):
				_ = p.cmd.Process.Signal(again) // it may have ended just now
			}
		}
	}
	if code := p.wait(ts); strconv.Itoa(code) != args[1] {
		ts.Fatalf("exited with %d, want %s:\n%s", code, args[1], p.output.String())
	}
	match(ts, p.output.String(), args[2:])
}
