package auth

import (
	"net/netip"
	"sync"
	"time"
)

// A limiter slows down who tries passwords and tokens from one network, whatever the names. Each use
// counts for itself: who keeps trying set-up tokens does not keep others from logging in.
// It lives in memory: the counts for names are in the database.
type limiter struct {
	mu      sync.Mutex
	buckets map[bucketKey]*bucket
}

type bucketKey struct {
	use     Use
	network netip.Prefix
}

// A bucket holds attempts that may be made at once, and fills up again.
type bucket struct {
	left float64
	at   time.Time // when that many were left
}

const bucketsAtMost = 20_000

// A size is how many attempts a network has at once, and after which time it has one more.
type size struct {
	most   float64
	period time.Duration
}

// sizeOf returns the size for a network. Everybody in a household has its /64; a provider gives a
// customer up to a /48, which is 65,536 of them.
func sizeOf(network netip.Prefix) size {
	if network.Addr().Is6() && network.Bits() <= bitsOfACustomer {
		return size{100, 600 * time.Millisecond}
	}
	return size{20, 3 * time.Second}
}

const (
	bitsOfAHousehold = 64 // of an IPv6 address; the rest is for the visitor to choose
	bitsOfACustomer  = 48
)

// networks returns what an address counts for, the narrowest first. What has no address counts for one
// network that is not valid.
func networks(address netip.Addr) []netip.Prefix {
	if !address.Is6() {
		return []netip.Prefix{Household(address)}
	}
	return []netip.Prefix{Household(address), Customer(address)}
}

// Household returns the narrowest network whose addresses are one visitor's to choose: the address itself, or the /64
// of an IPv6 address. It is the zero Prefix for no address.
func Household(address netip.Addr) netip.Prefix { return network(address, bitsOfAHousehold) }

// Customer returns the widest network whose addresses may be one visitor's: the address itself, or the /48 of an IPv6
// address. It is the zero Prefix for no address.
func Customer(address netip.Addr) netip.Prefix { return network(address, bitsOfACustomer) }

func network(address netip.Addr, bits int) netip.Prefix {
	if !address.Is6() {
		bits = address.BitLen()
	}
	prefix, _ := address.WithZone("").Prefix(bits) // these lengths are valid
	return prefix
}

func newLimiter() *limiter { return &limiter{buckets: map[bucketKey]*bucket{}} }

// attempt returns how long an address has to wait; zero: go on, it is counted.
func (l *limiter) attempt(use Use, address netip.Addr, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := networks(address)
	for _, network := range all {
		b, size := l.bucket(bucketKey{use, network}, now), sizeOf(network)
		if b.left < 1 {
			wait = max(wait, time.Duration((1-b.left)*float64(size.period))+time.Millisecond)
		}
	}
	if wait > 0 {
		return wait
	}
	for _, network := range all {
		l.buckets[bucketKey{use, network}].left--
	}
	return 0
}

// giveBack takes back an attempt that was counted, and never checked.
func (l *limiter) giveBack(use Use, address netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, network := range networks(address) {
		if b := l.buckets[bucketKey{use, network}]; b != nil {
			b.left = min(b.left+1, sizeOf(network).most)
		}
	}
}

// bucket returns one as it is now.
func (l *limiter) bucket(key bucketKey, now time.Time) *bucket {
	size := sizeOf(key.network)
	b, ok := l.buckets[key]
	if !ok {
		l.makeRoom(now)
		b = &bucket{left: size.most}
		l.buckets[key] = b
	} else if passed := now.Sub(b.at); passed > 0 {
		b.left = min(b.left+float64(passed)/float64(size.period), size.most)
	}
	b.at = now
	return b
}

// makeRoom forgets who has all attempts again, and when all are busy, some of these: the memory is bounded.
func (l *limiter) makeRoom(now time.Time) {
	if len(l.buckets) < bucketsAtMost {
		return
	}
	for key, b := range l.buckets {
		if size := sizeOf(key.network); b.left+float64(now.Sub(b.at))/float64(size.period) >= size.most {
			delete(l.buckets, key)
		}
	}
	for key := range l.buckets {
		if len(l.buckets) < bucketsAtMost*3/4 { // not for each one that comes
			return
		}
		delete(l.buckets, key)
	}
}
