package migrate

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// A pause spaces the attempts of one run and keeps its budget: each wait is
// longer than the one before, with jitter, so that replicas that started together
// do not keep meeting.
type pause struct {
	budget time.Duration
	waited time.Duration
	tries  int
}

// before waits before the next attempt, or returns a *BusyError when the budget
// is used up; why is what the last attempt ran into.
func (p *pause) before(ctx context.Context, why error) error {
	if p.waited >= p.budget {
		return &BusyError{Waited: p.waited, Err: why}
	}
	p.tries++
	longest := 5 * time.Second
	if again, ok := errors.AsType[*retryError](why); ok && again.soon {
		longest = 50 * time.Millisecond
	}
	d := jitter(min(longest, 25*time.Millisecond<<min(p.tries, 10)))
	return p.sleep(ctx, min(d, p.budget-p.waited))
}

func (p *pause) sleep(ctx context.Context, d time.Duration) error {
	start := time.Now()
	defer func() { p.waited += time.Since(start) }()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// jitter returns between half of d and d.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1) //nolint:gosec // spreads replicas in time; nothing secret hangs on it
}
