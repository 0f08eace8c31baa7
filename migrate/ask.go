package migrate

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
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
				r.Log.Warn("still waiting for the database", "for", what, "elapsed",
					time.Since(began).Round(time.Millisecond))
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
	_, lost := errors.AsType[*pg.ConnLostError](err)
	if counted := r.pause.waited - before; lost || pg.IsDisturbed(err) {
		r.pause.waited += max(time.Since(began)-counted, 0)
	}
	return err
}

// Where hardly any of the time to wait is left, what is under way still gets so long.
const (
	// the answers to a look, and a connection: a busy server that is there gives them
	leastAnswer = 5 * time.Second
	leastLock   = 100 * time.Millisecond // a lock, which most sessions hold no longer
)

// waitable is how much of the time to wait is left.
func (r *run) waitable() time.Duration {
	if r.left == nil {
		return math.MaxInt64
	}
	return r.left()
}

// lockLimit is how long a statement may queue for a lock from now on: LockTimeout, or what is left of
// the time to wait.
func (r *run) lockLimit() time.Duration {
	return min(r.LockTimeout, max(r.waitable(), leastLock))
}

// lockTimeout is lockLimit as the server takes it, for which 0 is none.
func (r *run) lockTimeout() int64 { return max(r.lockLimit().Milliseconds(), 1) }

// answersIn is how long all answers of a look may take.
func (r *run) answersIn() time.Duration {
	return max(min(r.waitable(), r.ConnectWait, pg.AnswerLimit), leastAnswer)
}

// limited bounds a statement of ours, which may queue for a lock of the ledger, and otherwise
// takes no time. The server gets to say that there was no lock to be had.
func (r *run) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := max(r.answersIn(), r.lockLimit()+leastAnswer/2)
	return context.WithTimeoutCause(ctx, limit, pg.SilentError(limit))
}

// connectsIn is how long to try to connect, and until when the last attempt has to succeed. After a
// connection was lost, that is part of what a start may wait in all.
func (r *run) connectsIn() (tries, last time.Duration) {
	if !r.reconnected {
		return r.ConnectWait, r.ConnectWait
	}
	tries = min(r.ConnectWait, max(r.waitable(), 0))
	return tries, max(tries, min(r.ConnectWait, leastAnswer))
}

// soon is order for a statement that takes no time.
func (r *run) soon(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	limited, cancel := r.limited(ctx)
	defer cancel()
	return r.order(limited, conn, sql)
}

// order runs a statement whose answer is only whether it succeeded.
func (r *run) order(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	a, err := pg.Exec(ctx, conn, sql)
	if err != nil || a.Err == nil {
		return err
	}
	if conn.TxStatus() == 'I' {
		if lacks := r.withheldFrom(ctx, conn, a.Err); lacks != nil {
			return lacks
		}
	}
	return a.Err
}
