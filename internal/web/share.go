package web

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/store"
)

// shares divide the server among those who are logged in. They count by user: a session costs its user nothing.
type shares struct {
	mu   sync.Mutex
	each map[uuid.UUID]*share
}

// A share is what one user has of the server.
type share struct {
	turns   chan struct{} // one for each request that is being answered
	waiting int           // for a turn, or having one
	changes *rate.Limiter
}

const (
	turnsAtOnce    = 8   // requests of one user that are answered at once
	turnsWaiting   = 128 // and that wait for it or are answered
	turnWait       = 10 * time.Second
	changesAtOnce  = 240
	changesASecond = 4
	sharesAtMost   = 10_000
)

func newShares() *shares { return &shares{each: map[uuid.UUID]*share{}} }

// join takes part in the share of a user.
func (s *shares) join(user uuid.UUID) (*share, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.each[user]
	if !ok {
		s.dropIdle()
		one = &share{turns: make(chan struct{}, turnsAtOnce), changes: rate.NewLimiter(changesASecond, changesAtOnce)}
		s.each[user] = one
	}
	if one.waiting >= turnsWaiting {
		return nil, false
	}
	one.waiting++
	return one, true
}

func (s *shares) leave(one *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.waiting--
}

// dropIdle makes room: a share that is not in use and that is full is as good as new.
func (s *shares) dropIdle() {
	if len(s.each) < sharesAtMost {
		return
	}
	for user, one := range s.each {
		if one.waiting == 0 && one.changes.Tokens() >= changesAtOnce {
			delete(s.each, user)
		}
	}
}

// A turn is the part of a request in the share of its user; the guard ends it.
type turn struct {
	user   store.User // the zero User while none is known
	unsafe bool       // the request may change something
	end    func()
}

type turnKey struct{}

// userOf returns whose request it is, as far as that is known.
func userOf(ctx context.Context) store.User {
	if t, ok := ctx.Value(turnKey{}).(*turn); ok {
		return t.user
	}
	return store.User{}
}

// withTurn lets a request take a turn once it is known whose it is.
func withTurn(r *http.Request) (*http.Request, *turn) {
	t := &turn{unsafe: !isSafe(r), end: func() {}}
	return r.WithContext(context.WithValue(r.Context(), turnKey{}, t)), t
}

// takeTurn waits until a request of a user may go on, in the order in which they came. A page that is slow to be
// read keeps its turn, and so bounds the memory that all of a user's pages take.
func (s *site) takeTurn(ctx context.Context, user store.User) error {
	t, ok := ctx.Value(turnKey{}).(*turn)
	if !ok || t.user.ID != uuid.Nil { // it has one
		return nil
	}
	t.user = user
	one, ok := s.shares.join(user.ID)
	if !ok {
		return errManyRequests
	}
	t.end = func() { s.shares.leave(one) }
	if t.unsafe {
		now := s.Now()
		reservation := one.changes.ReserveN(now, 1)
		if wait := reservation.DelayFrom(now); wait > 0 {
			reservation.CancelAt(now)
			return &failure{
				status: http.StatusTooManyRequests, text: "You change too much at once.", retryAfter: wait,
				event: auth.EventRate,
			}
		}
	}
	if !one.waitForTurn(ctx) {
		return errManyRequests
	}
	t.end = func() { <-one.turns; s.shares.leave(one) }
	return nil
}

// waitForTurn reports whether there was a turn in time.
func (s *share) waitForTurn(ctx context.Context) bool {
	select {
	case s.turns <- struct{}{}: // as nearly always, which needs no timer
		return true
	default:
	}
	inTime, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	select {
	case s.turns <- struct{}{}:
		return true
	case <-inTime.Done():
		return false
	}
}
