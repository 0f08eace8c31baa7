package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"
)

// A contender is what takes a turn in each round of a case.
type contender struct {
	name string
	turn func(ctx context.Context) (sample, error)
}

// A sample is one turn.
type sample struct {
	whole     time.Duration // with reading the files
	connected time.Duration // from connecting to done
	traffic
}

// measured is what the turns of one contender gave.
type measured struct {
	name    string
	samples []sample
}

func (m measured) median(of func(sample) time.Duration) time.Duration {
	if len(m.samples) == 0 {
		return 0
	}
	all := make([]time.Duration, len(m.samples))
	for i, s := range m.samples {
		all[i] = of(s)
	}
	return median(all)
}

func median[T time.Duration | float64 | int64](all []T) T {
	all = slices.Sorted(slices.Values(all))
	middle := len(all) / 2
	if len(all)%2 == 0 {
		return (all[middle-1] + all[middle]) / 2
	}
	return all[middle]
}

func whole(s sample) time.Duration     { return s.whole }
func connected(s sample) time.Duration { return s.connected }

// takeTurns runs A B C A B C … and stops early when the next round would go beyond the time
// that the case may take; one round is always run.
func takeTurns(ctx context.Context, log io.Writer, limit rounds, contenders []contender) ([]measured, error) {
	all := make([]measured, len(contenders))
	start := time.Now()
	for round := range limit.most {
		roundStart := time.Now()
		for i, c := range contenders {
			all[i].name = c.name
			runtime.GC() // what one leaves must not cost the next
			s, err := c.turn(ctx)
			if err != nil {
				return all, fmt.Errorf("%s: %w", c.name, err)
			}
			all[i].samples = append(all[i].samples, s)
		}
		took := time.Since(roundStart)
		if time.Since(start)+took > limit.budget {
			fmt.Fprintf(log, "  %d of %d rounds, because one takes %s\n", round+1, limit.most,
				took.Round(time.Millisecond))
			break
		}
	}
	return all, nil
}

// rounds bounds a case.
type rounds struct {
	most   int
	budget time.Duration
}

// named returns what was measured of a contender.
func named(all []measured, name string) measured {
	for _, m := range all {
		if m.name == name {
			return m
		}
	}
	return measured{}
}
