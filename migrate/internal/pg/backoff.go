package pg

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"
)

// A Backoff spaces the attempts of a program that waits for something: each wait is half as long again as the one
// before it, with jitter, so that programs that started together do not keep meeting. The zero value begins with 50 ms
// and stays at 5 s.
type Backoff struct {
	First, Longest time.Duration

	waits int // how many there were
	next  time.Duration
}

// Next returns how long to wait now.
func (b *Backoff) Next() time.Duration {
	first, longest := cmp.Or(b.First, 50*time.Millisecond), cmp.Or(b.Longest, 5*time.Second)
	b.next = min(max(b.next, first), longest)
	d := Jitter(b.next)
	b.next, b.waits = b.next+b.next/2, b.waits+1
	return d
}

// Begun reports whether there was a wait since the beginning, or since Reset.
func (b *Backoff) Begun() bool { return b.waits > 0 }

// Reset begins again with the first wait.
func (b *Backoff) Reset() { b.next, b.waits = 0, 0 }

// Jitter returns between half of d and d.
func Jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1) //nolint:gosec // spreads replicas in time; nothing secret hangs on it
}

// Sleep waits for d. When ctx ends before, it returns its cause.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
