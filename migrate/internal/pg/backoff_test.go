package pg_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
)

func TestBackoffGrowsUpToItsLimit(t *testing.T) {
	t.Parallel()
	b := pg.Backoff{First: 100 * time.Millisecond, Longest: 300 * time.Millisecond}
	for round := range 2 {
		if b.Begun() {
			t.Errorf("round %d: there was a wait before the first one", round)
		}
		for i, longest := range []time.Duration{100, 150, 225, 300, 300} {
			longest *= time.Millisecond
			if d := b.Next(); d < longest/2 || d > longest {
				t.Errorf("round %d, wait %d: got %s, want between %s and %s", round, i, d, longest/2, longest)
			}
		}
		if !b.Begun() {
			t.Errorf("round %d: there was no wait", round)
		}
		b.Reset()
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	if err := pg.Sleep(ctx, time.Hour); !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
	if err := pg.Sleep(t.Context(), time.Nanosecond); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}
