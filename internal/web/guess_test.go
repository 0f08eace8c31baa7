package web_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/web"
)

// TestEachPlaceThatChecksAPasswordSlowsDownGuesses is a table over all places, through the API and by forms.
func TestEachPlaceThatChecksAPasswordSlowsDownGuesses(t *testing.T) {
	t.Parallel()
	var seen events
	s := newSite(t, func(s *web.Server) { s.Event = seen.add })
	alice := s.alice()
	const other = "another good password"
	kept, deleted := alice.add(map[string]any{"link": link}),
		alice.add(map[string]any{"secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"})
	alice.must(http.StatusNoContent, "DELETE", "/api/v1/accounts/"+deleted, nil)
	for name, c := range map[string]struct {
		use   auth.Use
		guess func(v *visitor) answer
	}{
		"log in": {auth.UseLogin, func(v *visitor) answer {
			return v.ask("POST", "/api/v1/session", map[string]any{"name": "Alice", "password": "guess"})
		}},
		"log in by form": {auth.UseLogin, func(v *visitor) answer {
			return v.send("/login",
				url.Values{"name": {"Alice"}, "password": {"guess"}})
		}},
		"password": {auth.UsePassword, func(v *visitor) answer {
			return v.ask("PUT", "/api/v1/password", map[string]any{"current": "guess", "new": other})
		}},
		"password by form": {auth.UsePassword, func(v *visitor) answer {
			return v.send("/settings/password", url.Values{"current": {"guess"}, "new": {other}})
		}},
		"key": {auth.UseStepUp, func(v *visitor) answer {
			return v.ask("PATCH", "/api/v1/accounts/"+kept+"/key", map[string]any{"current": "guess", "digits": 8})
		}},
		"delete for good": {auth.UseStepUp, func(v *visitor) answer {
			return v.ask("POST", "/api/v1/trash/"+deleted+"/delete", map[string]any{"current": "guess"})
		}},
		"unlock": {auth.UseUnlock, func(v *visitor) answer {
			return v.ask("POST", "/api/v1/session/unlock", map[string]any{"password": "guess"})
		}},
	} {
		for device, known := range map[string]bool{"a known device": true, "a stranger": false} {
			pgtest.Exec(t, s.db.SuperConn, "DELETE FROM avtotpy.login_throttle")
			v := *alice
			v.cookies = slices.DeleteFunc(slices.Clone(alice.cookies),
				func(c *http.Cookie) bool { return !known && c.Name == "avtotpy-device" })
			wrong, throttled := seen.count(c.use, auth.EventWrong), seen.count(c.use, auth.EventThrottled)
			if a := c.guess(&v); a.StatusCode != http.StatusUnauthorized &&
				a.StatusCode != http.StatusUnprocessableEntity {
				t.Fatalf("%s by %s: %s %s", name, device, a.Status, a.text)
			}
			// How many it takes until the next one waits is a test of the store.
			pgtest.Exec(t, s.db.SuperConn, "UPDATE avtotpy.login_throttle SET wait_until = now() + interval '1 hour'")
			if a := c.guess(&v); a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" {
				t.Errorf("%s by %s, a guess too early: %s", name, device, a.Status)
			}
			if w, h := seen.count(c.use, auth.EventWrong)-wrong,
				seen.count(c.use, auth.EventThrottled)-throttled; w != 1 || h != 1 {
				t.Errorf("%s by %s: %d wrong and %d throttled are reported, want 1 and 1", name, device, w, h)
			}
		}
	}
}

// TestAKnownDeviceGetsInWhateverStrangersDo tries all that a stranger can fill: the attempts of the address, of the
// name from there, and of the name.
func TestAKnownDeviceGetsInWhateverStrangersDo(t *testing.T) {
	t.Parallel()
	now := time.Now() // stands still, so that no attempt comes back
	s := newSite(t, func(s *web.Server) { s.Now = func() time.Time { return now } })
	owner := s.alice()
	owner.must(http.StatusNoContent, "DELETE", "/api/v1/session", nil)
	logIn := func(v *visitor) int {
		return v.ask("POST", "/api/v1/session", map[string]any{"name": "alice", "password": password}).StatusCode
	}
	stranger := s.visitor()
	for range 40 { // with a NUL in the name: it takes no time
		stranger.ask("POST", "/api/v1/session", map[string]any{"name": "x\x00", "password": "guess"})
	}
	if got := logIn(s.visitor()); got != http.StatusTooManyRequests {
		t.Fatalf("the address still has attempts: %d", got)
	}
	if got := logIn(owner); got != http.StatusOK {
		t.Errorf("from an address that has no attempts left: %d", got)
	}
	owner.must(http.StatusNoContent, "DELETE", "/api/v1/session", nil)
	// The rows of strangers on this name are full for a day.
	stranger.ask("POST", "/api/v1/session", map[string]any{"name": "alice", "password": "guess"})
	pgtest.Exec(t, s.db.SuperConn, "UPDATE avtotpy.login_throttle SET wait_until = now() + interval '1 day'")
	if got := logIn(owner); got != http.StatusOK {
		t.Errorf("with a name that has no attempts left: %d", got)
	}
	session := owner.cookies[slices.IndexFunc(owner.cookies,
		func(c *http.Cookie) bool { return c.Name == "avtotpy" })].Value
	for _, forged := range []string{"x", strings.Repeat("x", 43), strings.Repeat(".", 3000), session} {
		v := s.visitor()
		v.cookies = []*http.Cookie{{Name: "avtotpy-device", Value: forged}}
		if got := logIn(v); got != http.StatusTooManyRequests {
			t.Errorf("with %.50q for a device: %d", forged, got)
		}
	}
}

func TestASetUpThatIsDoneAnswersBeforeItCounts(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSite(t, func(s *web.Server) { s.Now = func() time.Time { return now } })
	s.alice()
	for range 50 {
		if a := s.visitor().ask("POST", "/api/v1/setup",
			map[string]any{"token": "x", "name": "x", "password": "x"}); a.StatusCode != http.StatusConflict {
			t.Fatal(a.Status, a.text)
		}
	}
	s.visitor().must(http.StatusOK, "POST", "/api/v1/session", map[string]any{"name": "alice", "password": password})
}

// TestTwoChangesOfAPasswordAtOnce and logins with the old one at the same time: one change wins, and nothing follows
// from the old password after it.
func TestTwoChangesOfAPasswordAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	second := s.visitor()
	second.must(http.StatusOK, "POST", "/api/v1/session", map[string]any{"name": "Alice", "password": password})
	chosen := []string{"the first good password", "a second good password"}
	changed := make([]answer, 2)
	var wg sync.WaitGroup
	for i, v := range []*visitor{alice, second} {
		wg.Go(func() {
			changed[i] = v.ask("PUT", "/api/v1/password", map[string]any{"current": password, "new": chosen[i]})
		})
	}
	for range 4 {
		wg.Go(func() {
			s.visitor().ask("POST", "/api/v1/session", map[string]any{"name": "Alice", "password": password})
		})
	}
	wg.Wait()
	won, lost := 0, 1
	if changed[won].StatusCode != http.StatusNoContent {
		won, lost = 1, 0
	}
	if changed[won].StatusCode != http.StatusNoContent || changed[lost].StatusCode != http.StatusUnprocessableEntity &&
		changed[lost].StatusCode != http.StatusUnauthorized {
		t.Errorf("two changes at once: %s and %s (%s)", changed[0].Status, changed[1].Status, changed[lost].text)
	}
	if n := pgtest.Value[int](t, s.db.SuperConn, "SELECT count(*) FROM avtotpy.sessions"); n != 1 {
		t.Errorf("%d sessions, want only that in which the password was changed", n)
	}
	// how many of the logins above failed depends on who came first
	const forgotten = "DELETE FROM avtotpy.login_throttle"
	pgtest.Exec(t, s.db.SuperConn, forgotten)
	for _, old := range []string{password, chosen[lost]} {
		s.visitor().must(http.StatusUnauthorized, "POST", "/api/v1/session",
			map[string]any{"name": "Alice", "password": old})
	}
	pgtest.Exec(t, s.db.SuperConn, forgotten)
	s.visitor().must(http.StatusOK, "POST", "/api/v1/session", map[string]any{"name": "Alice", "password": chosen[won]})
}

// TestARightLoginWhileTwoHundredAreWrong sends 200 wrong logins at once, from 200 addresses and with as many names, and
// a right one from a known device. With AVTOTPY_LONG=1 it does so ten times, and prints how long the right one took.
func TestARightLoginWhileTwoHundredAreWrong(t *testing.T) {
	t.Parallel()
	rounds, wrong := 1, 20
	if os.Getenv("AVTOTPY_LONG") != "" {
		rounds, wrong = 10, 200
	}
	var seen events
	s := newSite(t, func(s *web.Server) {
		s.Proxies = web.Proxies{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
		s.Event = seen.add
	})
	owner := s.alice()
	owner.must(http.StatusNoContent, "DELETE", "/api/v1/session", nil)
	var took []time.Duration
	for round := range rounds {
		answers := make([]int, wrong)
		var wg sync.WaitGroup
		for i := range wrong {
			wg.Go(func() {
				a := s.visitor().ask("POST", "/api/v1/session",
					map[string]any{"name": fmt.Sprint("name", round, i), "password": "wrong password"},
					"X-Forwarded-For", fmt.Sprintf("198.51.%d.%d", round, i))
				answers[i] = a.StatusCode
			})
		}
		pgtest.Eventually(t, "some are refused, or were checked", func() error {
			if seen.count(auth.UseLogin, auth.EventBusy)+seen.count(auth.UseLogin, auth.EventWrong) == 0 {
				return fmt.Errorf("none")
			}
			return nil
		})
		started := time.Now()
		owner.must(http.StatusOK, "POST", "/api/v1/session", map[string]any{"name": "alice", "password": password},
			"X-Forwarded-For", "203.0.113.7")
		took = append(took, time.Since(started))
		owner.must(http.StatusNoContent, "DELETE", "/api/v1/session", nil)
		wg.Wait()
		counts := map[int]int{}
		for _, status := range answers {
			counts[status]++
		}
		if counts[http.StatusUnauthorized]+counts[http.StatusServiceUnavailable] != wrong {
			t.Errorf("the wrong ones were answered with %v", counts)
		}
		t.Logf("round %d: the right login took %v; the wrong ones were answered with %v", round+1,
			took[round].Round(time.Millisecond), counts)
		// What was not checked is not counted: the rows are two for each that was.
		if n := pgtest.Value[int](t, s.db.SuperConn,
			"SELECT count(*) FROM avtotpy.login_throttle WHERE failures > 1"); n != 0 {
			t.Errorf("%d rows count more than one attempt", n)
		}
	}
	slices.Sort(took)
	t.Logf("of %d: median %v, longest %v", rounds, took[len(took)/2].Round(time.Millisecond),
		took[len(took)-1].Round(time.Millisecond))
}
