// Package auth answers who is asking, and with what right.
//
// It promises that each way in gives a Principal; that each place that checks a password checks it
// here, behind the same throttles; that a name that nobody has takes as long as a wrong password and
// is answered in the same words; and that the work for visitors who are not known is bounded.
package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/avtotpy/avtotpy/internal/problem"
	"github.com/avtotpy/avtotpy/internal/store"
)

// A Principal is who asks.
type Principal struct {
	Session store.Session
	store.Actor
}

// A Gate lets people in.
type Gate struct {
	store      *store.Store
	setupToken string
	log        *slog.Logger
	now        func() time.Time
	events     Events

	passwords *passwords
	attempts  *limiter
	setUp     atomic.Bool // once true, it stays
}

// NewGate returns a gate to a store. The set-up token proves who may create the first user.
func NewGate(st *store.Store, setupToken string, now func() time.Time, log *slog.Logger, events Events) *Gate {
	return &Gate{
		store: st, setupToken: setupToken, log: log, now: now, events: events, passwords: newPasswords(), attempts: newLimiter(),
	}
}

// What the gate answers, besides problems of fields and what the store fails with.
var (
	ErrNoSession  = errors.New("there is no session, or it has ended")
	ErrWrongLogin = errors.New("name or password is wrong")
)

// A TooManyError asks to try again later.
type TooManyError struct{ Wait time.Duration }

func (e *TooManyError) Error() string { return "too many attempts; wait " + e.Wait.String() }

// Principal returns who has a session, and keeps that alive; ErrNoSession when it has ended.
func (g *Gate) Principal(ctx context.Context, token string, from store.Origin) (Principal, error) {
	session, err := g.store.Session(ctx, token)
	if errors.Is(err, store.ErrNotFound) {
		return Principal{}, ErrNoSession
	}
	return Principal{session, g.store.As(session.User, from)}, err
}

// Codes is Principal with what their codes are made of, asked for at once (store.Codes).
func (g *Gate) Codes(ctx context.Context, token string, from store.Origin) (Principal, []store.Account, error) {
	session, accounts, err := g.store.Codes(ctx, token)
	if errors.Is(err, store.ErrNotFound) {
		return Principal{}, nil, ErrNoSession
	}
	return Principal{session, g.store.As(session.User, from)}, accounts, err
}

// IsSetUp reports whether there is a user; once there is one, there always is.
func (g *Gate) IsSetUp(ctx context.Context) (bool, error) {
	if g.setUp.Load() {
		return true, nil
	}
	has, err := g.store.HasUsers(ctx)
	if has {
		g.setUp.Store(true)
	}
	return has, err
}

// SetUp creates the first user, who is then logged in; store.ErrSetupDone when there is one.
func (g *Gate) SetUp(ctx context.Context, token, name, password string, from store.Origin) (session string, p Principal, err error) {
	if wait := g.attempts.attempt(from.Address, g.now()); wait > 0 {
		return "", p, g.throttled(ctx, UseSetup, store.User{}, from, wait)
	}
	done, err := g.IsSetUp(ctx)
	if err != nil {
		return "", p, err
	}
	if done {
		return "", p, store.ErrSetupDone
	}
	if !sameToken(token, g.setupToken) {
		g.events.emit(ctx, Event{Kind: EventWrong, Use: UseSetup, From: from})
		return "", p, problem.Of("token", TokenWrong)
	}
	var found problem.List
	checkName(&found, name)
	checkPassword(&found, "password", password)
	if err := found.Err(); err != nil {
		return "", p, err
	}
	hash, err := g.passwords.hash(ctx, password)
	if err != nil {
		return "", p, err
	}
	user, stored, err := g.store.CreateFirstUser(ctx, name, hash, from)
	if err != nil {
		return "", p, err
	}
	return g.begin(ctx, UseSetup, user, stored, from)
}

// sameToken compares hashes, so that how long it takes tells nothing. What people
// leave out or add when they copy does not matter.
func sameToken(given, want string) bool {
	normal := func(token string) []byte {
		sum := sha256.Sum256([]byte(strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(strings.TrimSpace(token)))))
		return sum[:]
	}
	return want != "" && subtle.ConstantTimeCompare(normal(given), normal(want)) == 1
}

// LogIn begins a session of who has the name and the password; ErrWrongLogin otherwise.
func (g *Gate) LogIn(ctx context.Context, name, password string, from store.Origin) (session string, p Principal, err error) {
	if wait := g.attempts.attempt(from.Address, g.now()); wait > 0 {
		return "", p, g.throttled(ctx, UseLogin, store.User{}, from, wait)
	}
	if len(password) > MaxPassword || strings.ContainsRune(name, 0) {
		return "", p, ErrWrongLogin
	}
	wait, err := g.store.AttemptLogin(ctx, name)
	if err != nil {
		return "", p, err
	}
	if wait > 0 {
		return "", p, g.throttled(ctx, UseLogin, store.User{}, from, wait)
	}
	user, stored, err := g.store.UserByName(ctx, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", p, err
	}
	right, outdated, err := g.passwords.check(ctx, password, stored.Hash)
	if err != nil {
		return "", p, err
	}
	if !right {
		g.events.emit(ctx, Event{Kind: EventWrong, Use: UseLogin, User: user, From: from})
		return "", p, ErrWrongLogin
	}
	if outdated {
		stored = g.rehash(ctx, user, stored, password)
	}
	session, p, err = g.begin(ctx, UseLogin, user, stored, from)
	if errors.Is(err, store.ErrChanged) { // this is not the password any more
		err = ErrWrongLogin
	}
	return session, p, err
}

func (g *Gate) throttled(ctx context.Context, use Use, user store.User, from store.Origin, wait time.Duration) error {
	g.events.emit(ctx, Event{Kind: EventThrottled, Use: use, User: user, From: from, Wait: wait})
	return &TooManyError{wait}
}

func (g *Gate) begin(ctx context.Context, use Use, user store.User, checked store.Password, from store.Origin) (token string, p Principal, err error) {
	token, session, err := g.store.LogIn(ctx, user, checked, from)
	if err == nil {
		g.events.emit(ctx, Event{Kind: EventOK, Use: use, User: user, From: from})
	}
	return token, Principal{session, g.store.As(user, from)}, err
}

// rehash returns what is stored then. It is worth trying, and not worth refusing a login for.
func (g *Gate) rehash(ctx context.Context, user store.User, checked store.Password, password string) store.Password {
	hash, err := g.passwords.hash(ctx, password)
	if err == nil {
		var now store.Password
		if now, err = g.store.Rehash(ctx, user.ID, checked, hash); err == nil {
			return now
		}
	}
	g.log.WarnContext(ctx, "a password could not be hashed again", "error", err)
	return checked
}

// ChangePassword sets another password for who knows the current one, and ends their other sessions.
func (g *Gate) ChangePassword(ctx context.Context, p Principal, current, password string, from store.Origin) error {
	if wait := g.attempts.attempt(from.Address, g.now()); wait > 0 {
		return g.throttled(ctx, UsePassword, p.User(), from, wait)
	}
	var found problem.List
	checkPassword(&found, "new", password)
	if err := found.Err(); err != nil {
		return err
	}
	_, stored, err := g.store.UserByName(ctx, p.User().Name)
	if err != nil {
		return err
	}
	if len(current) > MaxPassword {
		return problem.Of("current", PasswordWrong)
	}
	right, _, err := g.passwords.check(ctx, current, stored.Hash)
	if err != nil {
		return err
	}
	if !right {
		g.events.emit(ctx, Event{Kind: EventWrong, Use: UsePassword, User: p.User(), From: from})
		return problem.Of("current", PasswordWrong)
	}
	hash, err := g.passwords.hash(ctx, password)
	if err != nil {
		return err
	}
	err = p.ChangePassword(ctx, p.Session.ID, stored, hash)
	if errors.Is(err, store.ErrChanged) {
		return problem.Of("current", PasswordWrong)
	}
	return err
}
