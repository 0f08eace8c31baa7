package auth

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
)

func TestPasswordsAreHashedAndChecked(t *testing.T) {
	t.Parallel()
	p := newPasswords()
	hash, err := p.hash(t.Context(), place{}, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=47104,t=2,p=1$") {
		t.Errorf("hash %s", hash)
	}
	if again, _ := p.hash(t.Context(), place{}, "correct horse"); again == hash {
		t.Error("hashing twice gives the same: there is no salt")
	}
	// The floor of what was in use before: right, and to be hashed again.
	cheap := argonHash{params: argonParams{memory: 19 * 1024, time: 2, threads: 1}, salt: []byte("0123456789abcdef")}
	cheap.key = argon2.IDKey([]byte("correct horse"), cheap.salt, cheap.params.time, cheap.params.memory,
		cheap.params.threads, hashSize)
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
		right, outdated, err := p.check(t.Context(), place{}, c.password, c.hash)
		if err != nil || right != c.right || outdated != c.outdated {
			t.Errorf("%s: right %v, outdated %v, %v", c.name, right, outdated, err)
		}
	}
	for _, malformed := range []string{
		"x", "$argon2i$v=19$m=1,t=1,p=1$AAAA$AAAA",
		"$argon2id$v=18$m=1,t=1,p=1$AAAA$AAAA", "$argon2id$v=19$m=1,t=0,p=0$AAAA$AAAA",
		"$argon2id$v=19$m=1,t=1,p=1$!$AAAA",
	} {
		if right, _, err := p.check(t.Context(), place{}, "x", malformed); err == nil || right {
			t.Errorf("%q: right %v, no error", malformed, right)
		}
	}
}

// attempts makes twice as many as there are at once, and returns how many pass.
func attempts(l *limiter, use Use, address string, at time.Time) (passed int) {
	for range 40 {
		if l.attempt(use, netip.MustParseAddr(address), at) == 0 {
			passed++
		}
	}
	return passed
}

func TestAddressesAreSlowedDownOneByOne(t *testing.T) {
	t.Parallel()
	l := newLimiter()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	const most, period = 20, 3 * time.Second
	if got := attempts(l, UseLogin, "192.0.2.1", now); got != most {
		t.Errorf("%d at once, want %d", got, most)
	}
	if got := attempts(l, UseLogin, "192.0.2.2", now); got != most {
		t.Errorf("a neighbour: %d, want %d", got, most)
	}
	for _, use := range []Use{UseSetup, UsePassword, UseUnlock} {
		if got := attempts(l, use, "192.0.2.1", now); got != most {
			t.Errorf("for another use: %d, want %d", got, most)
		}
	}
	if wait := l.attempt(UseLogin, netip.MustParseAddr("192.0.2.1"), now); wait <= 0 || wait > period+time.Second {
		t.Errorf("has to wait %v", wait)
	}
	if got := attempts(l, UseLogin, "192.0.2.1", now.Add(2*period)); got != 2 {
		t.Errorf("%d after two periods, want 2", got)
	}
	l.giveBack(UseLogin, netip.MustParseAddr("192.0.2.1"))
	if got := attempts(l, UseLogin, "192.0.2.1", now.Add(2*period)); got != 1 {
		t.Errorf("%d after one was given back, want 1", got)
	}
	if got := attempts(l, UseLogin, "2001:db8::1", now) + attempts(l, UseLogin, "2001:db8::2", now); got != most {
		t.Errorf("two addresses of one household: %d, want %d", got, most)
	}
	if l.attempt(UseLogin, netip.Addr{}, now) != 0 {
		t.Error("no address at all has to wait from the beginning")
	}
	if got := attempts(l, UseLogin, "192.0.2.1", now.Add(-time.Hour)); got != 0 {
		t.Errorf("%d when the clock goes back, want 0", got)
	}
}

func TestACustomerOfAProviderIsSlowedDown(t *testing.T) {
	t.Parallel()
	l := newLimiter()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	passed := 0
	for household := range 50 {
		passed += attempts(l, UseLogin, fmt.Sprintf("2001:db8:1:%x::1", household), now)
	}
	if passed != 100 {
		t.Errorf("%d attempts of 50 households in one /48, want 100", passed)
	}
	if got := attempts(l, UseLogin, "2001:db8:2::1", now); got != 20 {
		t.Errorf("%d of another customer, want 20", got)
	}
}

func TestTheLimiterForgets(t *testing.T) {
	t.Parallel()
	l := newLimiter()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	address := netip.MustParseAddr("10.0.0.0")
	for range bucketsAtMost + 1000 {
		l.attempt(UseLogin, address, now)
		address = address.Next()
	}
	if n := len(l.buckets); n > bucketsAtMost {
		t.Errorf("it remembers %d addresses, want at most %d", n, bucketsAtMost)
	}
	for range bucketsAtMost {
		l.attempt(UseLogin, address, now.Add(time.Hour))
		address = address.Next()
	}
	if n := len(l.buckets); n > bucketsAtMost {
		t.Errorf("an hour later it remembers %d addresses", n)
	}
}

func TestAStoredHashCannotAskForEverything(t *testing.T) {
	t.Parallel()
	salt, key := "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for params, fine := range map[string]bool{
		"m=47104,t=2,p=1": true, "m=262144,t=8,p=4": true,
		"m=262145,t=2,p=1": false, "m=4294967295,t=2,p=1": false, "m=47104,t=9,p=1": false,
		"m=47104,t=4294967295,p=1": false,
		"m=47104,t=2,p=5":          false, "m=47104,t=0,p=1": false, "m=47104,t=2,p=0": false,
		"m=47104,t=2,p=1,x=1": false,
		"m=047104,t=2,p=1":    false,
		"m=-1,t=2,p=1":        false, "m=4294967297,t=2,p=1": false, "m=47104,t=2,p=257": false,
	} {
		if _, err := parseHash("$argon2id$v=19$" + params + "$" + salt + "$" + key); (err == nil) != fine {
			t.Errorf("%s: %v", params, err)
		}
	}
	if _, err := parseHash("$argon2id$v=19$m=47104,t=2,p=1$" + strings.Repeat("A", 100_000) + "$" + key); err == nil {
		t.Error("a salt of 75 kB is taken")
	}
}
