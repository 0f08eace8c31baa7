package pgtest

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// Patience is how long a test waits for an event before it fails. It is far above what
// any event takes, so that a test does not depend on how busy the machine is.
const Patience = 2 * time.Minute

// Eventually waits until a condition holds, which is when done returns nil, and fails the
// test with the last error otherwise.
func Eventually(tb testing.TB, what string, done func() error) {
	tb.Helper()
	if err := Poll(what, done); err != nil {
		tb.Fatal(err)
	}
}

// EventuallyValue waits until the one value of a query is the wanted one.
func EventuallyValue[T comparable](tb testing.TB, connString, sql string, want T) {
	tb.Helper()
	conn := connect(tb, connString)
	defer func() { _ = conn.Close(tb.Context()) }()
	Eventually(tb, sql, func() error {
		var got T
		err := conn.QueryRow(tb.Context(), sql).Scan(&got)
		if err == nil && got != want {
			err = fmt.Errorf("got %v, want %v", got, want)
		}
		return err
	})
}

// Poll is Eventually for code that reports errors itself: scripts, and goroutines, which
// must not end a test.
func Poll(what string, done func() error) error {
	return poll(what, Patience, done)
}

func poll(what string, patience time.Duration, done func() error) error {
	started := time.Now()
	for interval := 2 * time.Millisecond; ; interval = min(2*interval, 50*time.Millisecond) {
		err := done()
		if err == nil {
			return nil
		}
		if waited := time.Since(started); waited > patience {
			return fmt.Errorf("waited %s in vain: %s: %w", waited.Round(time.Second), what, err)
		}
		time.Sleep(interval)
	}
}

// WithMoreTime runs a check with a short time limit, and with longer ones until it
// succeeds: it is for what gives up after a limit, and must have had the time to find out
// something before that.
func WithMoreTime(tb testing.TB, first time.Duration, check func(limit time.Duration) error) {
	tb.Helper()
	for limit := first; ; limit *= 3 {
		err := check(limit)
		if err == nil {
			return
		}
		if limit > Patience/2 {
			tb.Fatalf("with a limit of %s: %v", limit, err)
		}
	}
}

// Unless is an error with a text, unless a condition holds.
func Unless(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// An Output is what a program writes, and can be read while it runs.
type Output struct {
	mu   sync.Mutex
	text []byte
}

// Write appends.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	return len(b), nil
}

// String returns what was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}
