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
