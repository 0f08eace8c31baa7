package migrate

import (
	"context"
	"errors"
	"time"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
)

// A pause spaces the attempts of one run and keeps its budget.
type pause struct {
	budget  time.Duration
	waited  time.Duration
	backoff pg.Backoff

	lockLimit time.Duration // how long a statement of the last exchange may queue for a lock
	locked    time.Duration // how much of waited was seen to pass at locks, in the exchange that is under way
	spent     bool          // a file was cancelled while it waited for a lock, for the budget is used up

	unconfirmed bool // the wait of a COMMIT for a standby was cancelled, for the same reason
}

// left is what is left of the budget.
func (p *pause) left() time.Duration { return p.budget - p.waited }

// before waits before the next attempt, or returns a *BusyError when the budget
// is used up; why is what the last attempt ran into.
func (p *pause) before(ctx context.Context, why error) error {
	if p.waited >= p.budget {
		return &BusyError{Waited: p.waited, Err: why}
	}
	d := p.backoff.Next()
	if again, ok := errors.AsType[*retryError](why); ok && again.soon {
		d = min(d, pg.Jitter(50*time.Millisecond))
	}
	return p.sleep(ctx, min(d, p.left()))
}

// queued adds the time for which a statement queued for a lock in vain, unless that was seen to pass. While
// it queued, the application's queries queued behind it, so they get at least as long without it.
func (p *pause) queued(ctx context.Context) error {
	p.waited += max(p.lockLimit-p.locked, 0)
	return p.sleep(ctx, min(p.lockLimit, max(p.left(), 0)))
}

func (p *pause) sleep(ctx context.Context, d time.Duration) error {
	start := time.Now()
	defer func() { p.waited += time.Since(start) }()
	return pg.Sleep(ctx, d)
}

// retry waits before the next attempt and says so: in the log when it is the first
// at this file, for a lock may be fought for long.
func (r *run) retry(ctx context.Context, why error) error {
	before, _ := r.teller.moment()
	r.retrying(why)
	now, _ := r.teller.moment()
	if now.File != "" && now.File != r.teller.retried && inTheWay(why) {
		r.teller.retried = now.File
		now.Since = before.Since // of the first attempt
		r.Log.Warn("a migration was rolled back because another session was in its way; trying again",
			append(about(now), "for", r.Wait)...)
	}
	var err error
	if pg.SQLState(why) == pg.LockNotAvailable && now.File != "" {
		err = r.pause.queued(ctx)
	}
	if err == nil {
		err = r.pause.before(ctx, why)
	}
	if busy, ok := errors.AsType[*BusyError](err); ok && now.Blocker != nil {
		busy.Blocker = now.Blocker.String()
	}
	return err
}

// inTheWay distinguishes a lock that was not to be had from a race that was lost, which
// the next look explains.
func inTheWay(why error) bool {
	again, ok := errors.AsType[*retryError](why)
	return ok && !again.soon
}
