package store

import (
	"context"
	"sync"
)

// An Outcome is what became of the changes that were made in a context.
type Outcome int

// The outcomes; the worst one of a context's transactions counts.
const (
	NoneCommitted  Outcome = iota // whatever failed was rolled back
	SomeCommitted                 // at least one transaction
	OutcomeUnknown                // the connection was lost after a COMMIT was sent, and before it was answered
)

// An outcomes is kept for a context.
type outcomes struct {
	mu    sync.Mutex
	worst Outcome
}

type outcomesKey struct{}

// WithOutcome makes a context remember what became of the changes that are made with it.
func WithOutcome(ctx context.Context) context.Context {
	return context.WithValue(ctx, outcomesKey{}, new(outcomes))
}

// OutcomeOf returns the outcome of the changes that were made so far with a context of WithOutcome.
func OutcomeOf(ctx context.Context) Outcome {
	o, ok := ctx.Value(outcomesKey{}).(*outcomes)
	if !ok {
		return NoneCommitted
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.worst
}

func note(ctx context.Context, outcome Outcome) {
	o, ok := ctx.Value(outcomesKey{}).(*outcomes)
	if !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.worst = max(o.worst, outcome)
}

// An UnknownOutcomeError means that a COMMIT was sent, and the connection was lost before it was answered.
type UnknownOutcomeError struct{ err error }

func (e *UnknownOutcomeError) Error() string {
	return "the connection was lost during COMMIT, so it is not known whether the change was saved: " + e.err.Error()
}

// Unwrap returns how it was lost.
func (e *UnknownOutcomeError) Unwrap() error { return e.err }
