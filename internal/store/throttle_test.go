package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/store"
)

// stranger is a visitor at the address of here who tries a name.
func stranger(name string) store.Attempt { return from(name, "192.0.2.7/32") }

func from(name string, networks ...string) store.Attempt {
	a := store.Attempt{Name: name}
	for _, network := range networks {
		a.Networks = append(a.Networks, netip.MustParsePrefix(network))
	}
	return a
}

func (f fixture) attempt(t *testing.T, a store.Attempt) time.Duration {
	t.Helper()
	wait, err := f.AttemptLogin(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

// past lets all waits end.
func (f fixture) past(t *testing.T) {
	t.Helper()
	pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.login_throttle SET wait_until = now() - interval '1 second'")
}

func TestFailedLoginsWaitLongerAndLonger(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	for i, want := range []time.Duration{0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60} {
		if wait := f.attempt(t, stranger("Alice")); wait != 0 {
			t.Fatalf("attempt %d has to wait %v, although nothing is left to wait", i+1, wait)
		}
		if want > 0 {
			// An hour more, so that it is too early on a slow machine, too.
			pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.login_throttle SET wait_until = wait_until + interval '1 "+
				"hour' WHERE failures > 4")
			if wait := f.attempt(t, stranger(" aLICE")); wait <= 59*time.Minute || wait > time.Hour+
				max(want, 2)*time.Second {
				t.Errorf("attempt too early: wait %v, want up to an hour and %v", wait, want*time.Second)
			}
		}
		f.past(t)
	}
	if wait := f.attempt(t, stranger("bob")); wait != 0 {
		t.Errorf("another name waits %v", wait)
	}
	if _, err := f.LogIn(t.Context(),
		store.Login{User: alice, Checked: f.password(t, alice), From: here(), Attempt: stranger("alice")}); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if wait := f.attempt(t, stranger("alice")); wait != 0 {
			t.Errorf("after a login the next one waits %v", wait)
		}
	}
	pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.login_throttle SET failures = 30, failed_at = now() - interval "+
		"'61 minutes', wait_until = now()")
	f.attempt(t, stranger("alice"))
	if n := pgtest.Value[int](t, f.db.SuperConn, "SELECT min(failures) FROM avtotpy.login_throttle"); n != 1 {
		t.Errorf("%d failures are counted after an hour of peace, want 1", n)
	}
	if n := pgtest.Value[int](t, f.db.SuperConn,
		"SELECT count(*) FROM avtotpy.login_throttle t WHERE t::text ILIKE '%alice%'"); n != 0 {
		t.Error("the name itself is in the table")
	}
}

// TestNobodyKeepsTheOwnerOfANameOut guesses at a name from eight networks, as often as that is let through, and then
// from three hundred.
func TestNobodyKeepsTheOwnerOfANameOut(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	opened, err := f.LogIn(t.Context(), store.Login{User: alice, Checked: f.password(t, alice), From: here()})
	if err != nil {
		t.Fatal(err)
	}
	device, err := f.KnownDevice(t.Context(), alice.ID, []string{opened.Device})
	if err != nil {
		t.Fatal(err)
	}
	passed, began := 0, time.Now()
	for i := range 80 {
		if f.attempt(t, from("alice", fmt.Sprintf("198.51.100.%d/32", i%8))) == 0 {
			passed++
		}
	}
	if most := 31 + int(time.Since(began)/(2*time.Second)); passed < 30 || passed > most {
		t.Errorf("%d of 80 guesses from 8 networks were let through, want 30 to %d: one more for each 2 s "+
			"that they took", passed, most)
	}
	// Each of the eight waits a minute by now, and the ceiling is back a minute later.
	pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.login_throttle SET wait_until = wait_until - interval '1 minute'")
	if wait := f.attempt(t, stranger("alice")); wait != 0 {
		t.Errorf("the owner, from a device that is not known, waits %v", wait)
	}
	for i := range 300 {
		f.attempt(t, from("alice", fmt.Sprintf("203.0.%d.%d/32", i/250, i%250)))
	}
	// On a machine that stands still for a moment, an attempt is back before the next one is made.
	more := 0
	wait := f.untilOneWaits(t, func() store.Attempt {
		more++
		return from("alice", fmt.Sprintf("192.0.2.%d/32", more))
	})
	if wait > 2*time.Second {
		t.Errorf("one more stranger has to wait %v, want up to the period of the ceiling", wait)
	}
	for range 4 {
		if wait := f.attempt(t, store.Attempt{
			Name: "alice", Networks: stranger("").Networks,
			Device: device,
		}); wait != 0 {
			t.Errorf("the owner, from a known device, waits %v", wait)
		}
	}
	// A known device is slowed down, too.
	f.untilOneWaits(t, func() store.Attempt { return store.Attempt{Name: "alice", Device: device} })
	if wait := f.attempt(t, store.Attempt{Name: "alice", Device: uuid.New()}); wait != 0 {
		t.Errorf("another device waits %v", wait)
	}
}

// untilOneWaits makes attempts until one has to wait, and returns for how long.
func (f fixture) untilOneWaits(t *testing.T, next func() store.Attempt) (wait time.Duration) {
	t.Helper()
	pgtest.Eventually(t, "an attempt has to wait", func() error {
		wait = f.attempt(t, next())
		return pgtest.Unless(wait > 0, "it may be made at once")
	})
	return wait
}

func TestHouseholdsOfOneCustomerCountTogether(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	for i := range 18 {
		f.attempt(t, from("alice", fmt.Sprintf("2001:db8:1:%x::/64", i), "2001:db8:1::/48"))
	}
	pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.login_throttle SET wait_until = wait_until + interval '1 hour' "+
		"WHERE failures > 16 AND wait_until < failed_at + interval '20 seconds'")
	if wait := f.attempt(t, from("alice", "2001:db8:1:ffff::/64", "2001:db8:1::/48")); wait == 0 {
		t.Error("another household of the same customer does not wait")
	}
	if wait := f.attempt(t, from("alice", "2001:db8:2:1::/64", "2001:db8:2::/48")); wait != 0 {
		t.Errorf("another customer waits %v", wait)
	}
}

// TestWhatHasToWaitIsNotCounted is about the rows that come before the one that is full.
func TestWhatHasToWaitIsNotCounted(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	a := from("alice", "2001:db8:1:1::/64", "2001:db8:1::/48")
	f.attempt(t, a)
	pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.login_throttle SET wait_until = now() + interval '1 day'")
	const sum = "SELECT sum(failures)::int FROM avtotpy.login_throttle"
	before := pgtest.Value[int](t, f.db.SuperConn, sum)
	if wait := f.attempt(t, from("alice", "2001:db8:1:2::/64", "2001:db8:1::/48")); wait < time.Hour {
		t.Errorf("waits %v", wait)
	}
	if after := pgtest.Value[int](t, f.db.SuperConn, sum); after != before {
		t.Errorf("%d attempts are counted, want %d", after, before)
	}
}

func TestWhatWasNotCheckedIsGivenBack(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	for i := range 40 {
		if wait := f.attempt(t, stranger("alice")); wait != 0 {
			t.Fatalf("attempt %d waits %v although those before were given back", i+1, wait)
		}
		if err := f.GiveBack(t.Context(), stranger("alice")); err != nil {
			t.Fatal(err)
		}
	}
}

// TestACountIsNoChangeOfTheVisitors: an error after it must not say that a part of a login was saved.
func TestACountIsNoChangeOfTheVisitors(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	ctx := store.WithOutcome(t.Context())
	if _, err := f.AttemptLogin(ctx, stranger("alice")); err != nil {
		t.Fatal(err)
	}
	if err := f.GiveBack(ctx, stranger("alice")); err != nil {
		t.Fatal(err)
	}
	if got := store.OutcomeOf(ctx); got != store.NoneCommitted {
		t.Errorf("the outcome is %v", got)
	}
}

func TestAttemptsAtOnceDoNotSlipThrough(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	const guesses = 40
	passed := make([]bool, guesses)
	var wg sync.WaitGroup
	for i := range guesses {
		wg.Go(func() {
			wait, err := f.AttemptLogin(context.Background(), from("alice", "2001:db8:1:1::/64", "2001:db8:1::/48"))
			passed[i] = wait == 0 && err == nil
		})
	}
	wg.Wait()
	n := 0
	for _, p := range passed {
		if p {
			n++
		}
	}
	if n < 5 || n > 6 {
		t.Errorf("%d of %d guesses at once were let through, want 5", n, guesses)
	}
}

func TestDevicesAreKnownToTheirUserAlone(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice, bob := f.alice(t), f.bob(t)
	login := func(known uuid.UUID) string {
		t.Helper()
		opened, err := f.LogIn(t.Context(), store.Login{
			User: alice, Checked: f.password(t, alice), From: here(),
			Device: known,
		})
		if err != nil {
			t.Fatal(err)
		}
		return opened.Device
	}
	known := func(user store.User, tokens ...string) uuid.UUID {
		t.Helper()
		id, err := f.KnownDevice(t.Context(), user.ID, tokens)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		return id
	}
	token := login(uuid.Nil)
	device := known(alice, "", "other", token)
	if device == uuid.Nil || known(bob, token) != uuid.Nil || known(alice, strings.ToUpper(token)) != uuid.Nil ||
		known(alice) != uuid.Nil {
		t.Error("the device is not known, or to somebody else, or with another token")
	}
	// Written with SQL alone: the row of Alice's device, for Bob.
	pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.devices SET user_id = '"+bob.ID.String()+"'")
	if known(bob, token) != uuid.Nil {
		t.Error("a row that was moved makes a device known to another user")
	}
	pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.devices SET user_id = '"+alice.ID.String()+
		"', last_used_at = now() - interval '179 days'")
	if again := login(device); again != "" || known(alice, token) != device {
		t.Error("a known device got another token")
	}
	if age := pgtest.Value[bool](t, f.db.SuperConn,
		"SELECT last_used_at > now() - interval '1 hour' FROM avtotpy.devices"); !age {
		t.Error("a login does not move it on")
	}
	pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.devices SET last_used_at = now() - interval '181 days'")
	if known(alice, token) != uuid.Nil {
		t.Error("it is known after 181 days")
	}
	for range 25 {
		login(uuid.Nil)
	}
	if n := pgtest.Value[int](t, f.db.SuperConn, "SELECT count(*) FROM avtotpy.devices"); n != 20 {
		t.Errorf("%d devices are kept, want 20", n)
	}
	if n := pgtest.Value[int](t, f.db.SuperConn,
		"SELECT count(*) FROM avtotpy.devices d WHERE d::text LIKE '%' || $1 || '%'", token); n != 0 {
		t.Error("the token itself is in the table")
	}
}

// TestLoginsFromBefore0014 keeps the counts of failures, and no device is known yet.
func TestLoginsFromBefore0014(t *testing.T) {
	t.Parallel()
	db := pgtest.At(t, 13)
	pgtest.Exec(t, db.SuperConn, `
		INSERT INTO avtotpy.users (id, name) VALUES ('00000000-0000-0000-0000-000000000001', 'Alice');
		INSERT INTO avtotpy.login_throttle (name_mac, failures, failed_at, wait_until)
			VALUES (sha256('x'), 7, now(), now() + interval '30 seconds')`)
	db.Upgrade(t)
	if got := pgtest.Value[int](t, db.SuperConn,
		"SELECT failures FROM avtotpy.login_throttle WHERE wait_until > failed_at"); got != 7 {
		t.Errorf("%d failures are left, want 7", got)
	}
	web := db.Connect(t, db.WebConn)
	for _, sql := range []string{
		`INSERT INTO avtotpy.devices (id, user_id, token_mac)
			VALUES (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', sha256('y'))`,
		`UPDATE avtotpy.devices SET last_used_at = now()`,
		`DELETE FROM avtotpy.devices`,
		`UPDATE avtotpy.login_throttle SET failures = failures + 1`,
	} {
		if tag, err := web.Exec(t.Context(), sql); err != nil || tag.RowsAffected() != 1 {
			t.Errorf("%s: %v, %v", sql, tag, err)
		}
	}
}

// TestADeviceThatWasMadeUpAsksTheDatabaseNothing asks in a context that has ended: which tokens were given out is known
// without.
func TestADeviceThatWasMadeUpAsksTheDatabaseNothing(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	opened, err := f.LogIn(t.Context(), store.Login{User: alice, Checked: f.password(t, alice), From: here()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.KnownDevice(t.Context(), alice.ID, []string{opened.Device}); err != nil {
		t.Errorf("the device that logged in: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	made := opened.Device
	tokens := []string{
		made, "", "x", made[:len(made)-1], made + "x", "A" + made[1:], made[:43],
		strings.Repeat("A", len(made)), opened.Token, made[43:] + made[:43],
	}
	if made[0] == 'A' {
		tokens[5] = "B" + made[1:]
	}
	own, err := f.OwnDevices(ended, tokens)
	if err != nil || len(own) != 1 || own[0] != made {
		t.Errorf("of %q, %q were given out: %v", tokens, own, err)
	}
}
