package auth

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
)

func TestPasswordsAreHashedAndChecked(t *testing.T) {
	t.Parallel()
	p := newPasswords()
	hash, err := p.hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=47104,t=2,p=1$") {
		t.Errorf("hash %s", hash)
	}
	if again, _ := p.hash(t.Context(), "correct horse"); again == hash {
		t.Error("hashing twice gives the same: there is no salt")
	}
	// The floor of what was in use before: right, and to be made anew.
	cheap := argonHash{params: argonParams{memory: 19 * 1024, time: 2, threads: 1}, salt: []byte("0123456789abcdef")}
	cheap.key = argon2.IDKey([]byte("correct horse"), cheap.salt, cheap.params.time, cheap.params.memory, cheap.params.threads, hashSize)
	for _, c := range []struct {
		name, password, hash string
		right, outdated      bool
	}{
		{"right", "correct horse", hash, true, false},
		{"wrong", "correct house", hash, false, false},
		{"empty", "", hash, false, false},
		{"cheaper", "correct horse", cheap.String(), true, true},
		{"nobody has the name", "correct horse", "", false, false},
	} {
		right, outdated, err := p.check(t.Context(), c.password, c.hash)
		if err != nil || right != c.right || outdated != c.outdated {
			t.Errorf("%s: right %v, outdated %v, %v", c.name, right, outdated, err)
		}
	}
	for _, malformed := range []string{"x", "$argon2i$v=19$m=1,t=1,p=1$AAAA$AAAA", "$argon2id$v=18$m=1,t=1,p=1$AAAA$AAAA", "$argon2id$v=19$m=1,t=0,p=0$AAAA$AAAA", "$argon2id$v=19$m=1,t=1,p=1$!$AAAA"} {
		if right, _, err := p.check(t.Context(), "x", malformed); err == nil || right {
			t.Errorf("%q: right %v, no error", malformed, right)
		}
	}
}

func TestLoginsDoNotExhaustTheMemory(t *testing.T) {
	t.Parallel()
	p := newPasswords()
	for range hashesAtOnce {
		p.busy <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.hash(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("one more than at once: %v, want that it waits until its request ends", err)
	}
}

func TestAddressesAreSlowedDownOneByOne(t *testing.T) {
	t.Parallel()
	l := newLimiter()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	attempts := func(address string, at time.Time) (passed int) {
		for range 2 * attemptsAtOnce {
			if l.attempt(netip.MustParseAddr(address), at) == 0 {
				passed++
			}
		}
		return passed
	}
	if got := attempts("192.0.2.1", now); got != attemptsAtOnce {
		t.Errorf("%d at once, want %d", got, attemptsAtOnce)
	}
	if got := attempts("192.0.2.2", now); got != attemptsAtOnce {
		t.Errorf("a neighbour: %d, want %d", got, attemptsAtOnce)
	}
	if wait := l.attempt(netip.MustParseAddr("192.0.2.1"), now); wait <= 0 || wait > attemptsPeriod {
		t.Errorf("has to wait %v", wait)
	}
	if got := attempts("192.0.2.1", now.Add(2*attemptsPeriod)); got != 2 {
		t.Errorf("%d after two periods, want 2", got)
	}
	if got := attempts("2001:db8::1", now) + attempts("2001:db8::2", now); got != attemptsAtOnce {
		t.Errorf("two addresses of one household: %d, want %d", got, attemptsAtOnce)
	}
	if l.attempt(netip.Addr{}, now) != 0 {
		t.Error("no address at all has to wait from the beginning")
	}
}

func TestTheLimiterForgets(t *testing.T) {
	t.Parallel()
	l := newLimiter()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	address := netip.MustParseAddr("10.0.0.0")
	for range addressesAtMost + 1000 {
		l.attempt(address, now)
		address = address.Next()
	}
	if n := len(l.seen); n > addressesAtMost {
		t.Errorf("it remembers %d addresses, want at most %d", n, addressesAtMost)
	}
	l.attempt(address, now.Add(time.Hour))
	if n := len(l.seen); n != 1 {
		t.Errorf("an hour later it remembers %d addresses, want 1", n)
	}
}
