// Package auth answers who is asking, and what they proved.
//
// It promises that each way in gives a Principal; that each place that checks a password checks it
// in one function, after the same throttles; that an unknown name takes as long as a wrong
// password and is answered in the same words; that the work for visitors who are not known is bounded;
// and that guessing at a name does not keep its owner out.
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

// A Visit is what a request says of who sent it.
type Visit struct {
	From    store.Origin
	Session string   // the token of a session; empty without one
	Devices []string // the tokens of the device; it may be one that several people use
}

// An Entry is what a browser gets after a login.
type Entry struct {
	Principal
	Token  string // of the session
	Device string // the token of a device that is known from now on; empty when it was known before
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
		store: st, setupToken: setupToken, log: log, now: now, events: events, passwords: newPasswords(),
		attempts: newLimiter(),
	}
}

// What the gate answers, besides problems of fields, a *TooManyError, a *BusyError and what the store fails with.
var (
	ErrNoSession  = errors.New("there is no session, or it has ended")
	ErrLocked     = errors.New("the session is locked, because it was not used for a while")
	ErrWrongLogin = errors.New("name or password is wrong")
)

// A TooManyError asks to try again later.
type TooManyError struct{ Wait time.Duration }

func (e *TooManyError) Error() string { return "too many attempts; wait " + e.Wait.String() }

// Principal returns who has a session. ErrNoSession means that it has ended, and ErrLocked that it was idle: then the
// principal is returned, too, and may do no more than Unlock and end the session.
func (g *Gate) Principal(ctx context.Context, v Visit) (Principal, error) {
	if v.Session == "" {
		return Principal{}, ErrNoSession
	}
	session, err := g.store.Session(ctx, v.Session)
	return g.principal(v, session, err)
}

// Codes is Principal with what their codes are made of, asked for at once and appended to a slice (store.Codes).
func (g *Gate) Codes(ctx context.Context, v Visit, to []store.Account) (Principal, []store.Account, error) {
	if v.Session == "" {
		return Principal{}, to, ErrNoSession
	}
	session, accounts, err := g.store.Codes(ctx, v.Session, to)
	p, err := g.principal(v, session, err)
	return p, accounts, err
}

func (g *Gate) principal(v Visit, session store.Session, err error) (Principal, error) {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Principal{}, ErrNoSession
	case err != nil:
		return Principal{}, err
	}
	p := Principal{session, g.store.As(session.User, v.From)}
	if session.Locked {
		return p, ErrLocked
	}
	return p, nil
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
func (g *Gate) SetUp(ctx context.Context, v Visit, token, name, password string) (Entry, error) {
	done, err := g.IsSetUp(ctx)
	if err != nil {
		return Entry{}, err
	}
	if done { // before it counts: what can do nothing needs no limit, and takes none from others
		return Entry{}, store.ErrSetupDone
	}
	if wait := g.attempts.attempt(UseSetup, v.From.Address, g.now()); wait > 0 {
		g.events.emit(ctx, Event{Kind: EventThrottled, Use: UseSetup, From: v.From, Wait: wait})
		return Entry{}, &TooManyError{wait}
	}
	if !sameToken(token, g.setupToken) {
		g.events.emit(ctx, Event{Kind: EventWrong, Use: UseSetup, From: v.From})
		return Entry{}, problem.Of("token", TokenWrong)
	}
	var found problem.List
	checkName(&found, name)
	CheckPassword(&found, "password", name, password)
	if err := found.Err(); err != nil {
		return Entry{}, err
	}
	hash, err := g.passwords.hash(ctx, placeOf(v.From.Address, true), password)
	if err != nil {
		return Entry{}, g.refuse(ctx, Event{Use: UseSetup, From: v.From}, err)
	}
	user, stored, err := g.store.CreateFirstUser(ctx, name, hash, v.From)
	if err != nil {
		return Entry{}, err
	}
	return g.enter(ctx, v, UseSetup, checked{user: user, password: stored})
}

// sameToken compares hashes, so that how long it takes reveals nothing. What people
// leave out or add when they copy does not matter.
func sameToken(given, want string) bool {
	normal := func(token string) []byte {
		sum := sha256.Sum256([]byte(strings.ToUpper(strings.NewReplacer("-", "", " ",
			"").Replace(strings.TrimSpace(token)))))
		return sum[:]
	}
	return want != "" && subtle.ConstantTimeCompare(normal(given), normal(want)) == 1
}

// LogIn begins a session of who has the name and the password; ErrWrongLogin otherwise. A session that the
// browser had ends.
func (g *Gate) LogIn(ctx context.Context, v Visit, name, password string) (Entry, error) {
	var entry Entry
	err := g.withPassword(ctx, v, UseLogin, name, password, func(c checked) (err error) {
		entry, err = g.enter(ctx, v, UseLogin, c)
		return err
	})
	return entry, err
}

// enter begins a session of a user who has proved who they are.
func (g *Gate) enter(ctx context.Context, v Visit, use Use, c checked) (Entry, error) {
	opened, err := g.store.LogIn(ctx, store.Login{
		User: c.user, Checked: c.password, From: v.From, Attempt: c.attempt, Device: c.device, Replaces: v.Session,
	})
	if err != nil {
		return Entry{}, err
	}
	g.events.emit(ctx, Event{Kind: EventOK, Use: use, User: c.user, From: v.From, Known: c.known()})
	return Entry{Principal{opened.Session, g.store.As(c.user, v.From)}, opened.Token, opened.Device}, nil
}

// Unlock goes on with a session that was idle, for who has its user's password. It has another token afterwards.
func (g *Gate) Unlock(ctx context.Context, v Visit, password string) (Entry, error) {
	p, err := g.Principal(ctx, v)
	if err != nil && !errors.Is(err, ErrLocked) {
		return Entry{}, err
	}
	entry := Entry{Principal: p}
	err = g.withPassword(ctx, v, UseUnlock, p.User().Name, password, func(c checked) (err error) {
		entry.Session, entry.Token, err = p.Unlock(ctx, p.Session, c.password, c.attempt)
		if err == nil {
			g.events.emit(ctx, Event{Kind: EventOK, Use: UseUnlock, User: c.user, From: v.From, Known: c.known()})
		}
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		err = ErrNoSession
	case errors.Is(err, ErrWrongLogin):
		err = problem.Of("password", PasswordWrong)
	}
	return entry, err
}

// ChangePassword sets another password for who knows the current one, and ends their other sessions. This one has
// another token afterwards.
func (g *Gate) ChangePassword(ctx context.Context, v Visit, p Principal, current, password string) (Entry, error) {
	var found problem.List
	CheckPassword(&found, "new", p.User().Name, password)
	if err := found.Err(); err != nil {
		return Entry{}, err
	}
	entry := Entry{Principal: p}
	err := g.withPassword(ctx, v, UsePassword, p.User().Name, current, func(c checked) error {
		if password == current {
			return problem.Of("new", PasswordUnchanged)
		}
		hash, err := g.passwords.hash(ctx, placeOf(v.From.Address, true), password)
		if err != nil {
			return err
		}
		entry.Token, err = p.ChangePassword(ctx, p.Session, c.password, hash,
			store.Keep{Attempt: c.attempt, Device: c.device})
		if err == nil {
			g.events.emit(ctx, Event{Kind: EventOK, Use: UsePassword, User: c.user, From: v.From, Known: c.known()})
		}
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		err = ErrNoSession
	case errors.Is(err, ErrWrongLogin):
		err = problem.Of("current", PasswordWrong)
	}
	return entry, err
}

// EndOthers ends all sessions of a principal but the one that asks, and forgets the devices that were known.
func (g *Gate) EndOthers(ctx context.Context, v Visit, p Principal) error {
	device, err := g.device(ctx, p.User(), v)
	if err != nil {
		return err
	}
	return p.EndOtherSessions(ctx, p.Session.ID, device)
}
