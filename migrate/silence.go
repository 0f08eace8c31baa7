package migrate

import (
	"context"
	"errors"
	"time"
)

// sayAfter is how long the database may be silent until the log says what is waited for.
const sayAfter = 5 * time.Second

// silence logs what is waited for when that takes long, and again with each heartbeat, until
// stop is called.
func (r *run) silence(what string) (stop func()) {
	done, joined := make(chan struct{}), make(chan struct{})
	began := time.Now()
	go func() {
		defer close(joined)
		for next := min(sayAfter, r.Heartbeat); ; next = r.Heartbeat {
			select {
			case <-done:
				return
			case <-time.After(next):
				r.Log.Warn("still waiting for the database", "for", what, "elapsed", time.Since(began).Round(time.Millisecond))
			}
		}
	}()
	return func() { close(done); <-joined }
}

// asking runs a question of ours to the database. When the answer does not come, the time that
// it took was waited, and counts against Migrator.Wait.
func (r *run) asking(what string, ask func() error) error {
	began, before := time.Now(), r.pause.waited
	stop := r.silence(what)
	err := ask()
	stop()
	_, lost := errors.AsType[*lostError](err)
	if counted := r.pause.waited - before; lost || disturbed(err) {
		r.pause.waited += max(time.Since(began)-counted, 0)
	}
	return err
}

// answersIn is how long all answers of a look may take: no longer than a start may wait, and not
// shorter than the wait for a lock of the ledger, whose holder is to be named, or than a busy
// server may take.
func (r *run) answersIn() time.Duration {
	const busy = 5 * time.Second
	return max(min(r.Wait, r.ConnectWait), mostQuestions*min(r.LockTimeout, mostPatience), busy)
}

// limited bounds a statement of ours, which may queue for a lock of the ledger, and otherwise
// takes no time.
func (r *run) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, answerLimit+r.LockTimeout, errSilent)
}
