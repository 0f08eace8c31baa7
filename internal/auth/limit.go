package auth

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A limiter slows down who tries passwords from one address, whatever the names.
// It lives in memory: the count for each name is in the database.
type limiter struct {
	mu   sync.Mutex
	seen map[netip.Prefix]*rate.Limiter
}

const (
	attemptsAtOnce   = 20
	attemptsPeriod   = 3 * time.Second // after that, one in this time
	addressesAtMost  = 10_000
	bitsOfAHousehold = 64 // of an IPv6 address; the rest is one's own to choose
)

func newLimiter() *limiter { return &limiter{seen: map[netip.Prefix]*rate.Limiter{}} }

// attempt returns how long an address has to wait; zero: go on, it is counted.
func (l *limiter) attempt(address netip.Addr, now time.Time) time.Duration {
	bits := address.BitLen()
	if address.Is6() {
		bits = bitsOfAHousehold
	}
	prefix, _ := address.Prefix(bits) // the zero Prefix for no address: all of these share one
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.seen[prefix]
	if !ok {
		l.forget(now)
		bucket = rate.NewLimiter(rate.Every(attemptsPeriod), attemptsAtOnce)
		l.seen[prefix] = bucket
	}
	reservation := bucket.ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait > 0 {
		reservation.CancelAt(now)
	}
	return wait
}

// forget makes room: whose bucket is full again is as good as new, and when all are
// busy, some are let go rather than the memory.
func (l *limiter) forget(now time.Time) {
	if len(l.seen) < addressesAtMost {
		return
	}
	for prefix, bucket := range l.seen {
		if bucket.TokensAt(now) >= attemptsAtOnce {
			delete(l.seen, prefix)
		}
	}
	for prefix := range l.seen {
		if len(l.seen) < addressesAtMost {
			return
		}
		delete(l.seen, prefix)
	}
}
