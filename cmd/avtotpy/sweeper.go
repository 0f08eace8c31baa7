package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/avtotpy/avtotpy/internal/database"
	"github.com/avtotpy/avtotpy/internal/store"
)

// A sweeper deletes from time to time what has ended, also when no user logs in.
type sweeper struct {
	store *store.Store
	keep  time.Duration // the audit log; 0: for ever
	log   *slog.Logger
	swept func(deleted map[string]int64)
}

const (
	firstSweep    = time.Minute
	sweepInterval = 10 * time.Minute
	sweepAtMost   = 10 * time.Second // after which the rest is left for the next time
)

// run sweeps until ctx ends. Replicas that started together do not sweep together.
func (s sweeper) run(ctx context.Context) {
	wait := firstSweep
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait/2 + rand.N(wait)): //nolint:gosec // not a secret
			s.sweep(ctx)
		}
		wait = sweepInterval
	}
}

func (s sweeper) sweep(ctx context.Context) {
	deleted, err := s.store.Sweep(ctx, s.keep, sweepAtMost)
	s.swept(deleted)
	switch {
	case err == nil || ctx.Err() != nil:
	case database.KindOf(err) == database.Other: // the rest is reported where connections are made
		s.log.WarnContext(ctx, "rows that have ended could not be deleted; trying again later", "error", err)
	}
}
