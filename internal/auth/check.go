package auth

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/store"
)

// checked is whose password was right, and what is counted for the attempt.
type checked struct {
	user     store.User
	password store.Password
	attempt  store.Attempt
	device   uuid.UUID // the zero UUID for one that was not known
}

func (c checked) known() bool { return c.device != uuid.Nil }

// withPassword is the one place that checks a password, whatever it is for. It calls next when the password was
// right; when it was replaced by another one in the meantime (store.ErrChanged), it is checked again, against that one.
// The error is ErrWrongLogin when it was wrong.
func (g *Gate) withPassword(ctx context.Context, v Visit, use Use, name, password string,
	next func(checked) error,
) error {
	c, outdated, err := g.check(ctx, v, use, name, password)
	if err != nil {
		return err
	}
	if outdated {
		c.password = g.rehash(ctx, c, v, password)
	}
	if err = next(c); err != nil {
		g.giveBack(ctx, use, v, c) // the password was right
		err = g.refuse(ctx, Event{Use: use, User: c.user, From: v.From, Known: c.known()}, err)
	}
	if !errors.Is(err, store.ErrChanged) {
		return err
	}
	g.events.emit(ctx, Event{Kind: EventOutdated, Use: use, User: c.user, From: v.From, Known: c.known()})
	if c, _, err = g.check(ctx, v, use, name, password); err != nil {
		return err
	}
	if err = next(c); errors.Is(err, store.ErrChanged) {
		return ErrWrongLogin
	}
	return err
}

// check counts an attempt and checks the password.
func (g *Gate) check(ctx context.Context, v Visit, use Use, name, password string) (c checked, outdated bool,
	err error,
) {
	if v.Devices, err = g.store.OwnDevices(ctx, v.Devices); err != nil {
		return checked{}, false, err
	}
	usable := len(password) <= MaxPassword && !strings.ContainsRune(name, 0) // no user has others
	if usable {
		if c, err = g.fromKnownDevice(ctx, v, name); err != nil {
			return checked{}, false, err
		}
	}
	event := Event{Use: use, User: c.user, From: v.From, Known: c.known()}
	at := placeOf(v.From.Address, c.known())
	arrived, err := g.passwords.queue.approach(at)
	if err != nil {
		return checked{}, false, g.refuse(ctx, event, err)
	}
	defer arrived()
	if !c.known() {
		if wait := g.attempts.attempt(use, v.From.Address, g.now()); wait > 0 {
			return checked{}, false, g.refuse(ctx, event, &TooManyError{wait})
		}
	}
	if !usable {
		event.Kind = EventWrong
		g.events.emit(ctx, event)
		return checked{}, false, ErrWrongLogin
	}
	c.attempt = store.Attempt{Name: name, Networks: networks(v.From.Address), Device: c.device}
	wait, err := g.store.AttemptLogin(ctx, c.attempt)
	switch {
	case err != nil:
		return checked{}, false, err
	case wait > 0:
		return checked{}, false, g.refuse(ctx, event, &TooManyError{wait})
	}
	// Also when it was read above: the password may have been changed since.
	if c.user, c.password, err = g.user(ctx, name); err != nil {
		return checked{}, false, err
	}
	event.User = c.user
	arrived()
	right, outdated, err := g.passwords.check(ctx, at, password, c.password.Hash)
	if err != nil {
		g.giveBack(ctx, use, v, c)
		return checked{}, false, g.refuse(ctx, event, err)
	}
	if !right {
		event.Kind = EventWrong
		g.events.emit(ctx, event)
		return checked{}, false, ErrWrongLogin
	}
	return c, outdated, nil
}

// fromKnownDevice finds the user and their device, when a visit may come from one: a device that is known is not slowed
// down by what strangers do, so it has to be found first.
func (g *Gate) fromKnownDevice(ctx context.Context, v Visit, name string) (c checked, err error) {
	if len(v.Devices) == 0 {
		return c, nil
	}
	if c.user, c.password, err = g.user(ctx, name); err == nil {
		c.device, err = g.device(ctx, c.user, v)
	}
	return c, err
}

// user returns the user of a name; the zero User when there is none.
func (g *Gate) user(ctx context.Context, name string) (store.User, store.Password, error) {
	user, password, err := g.store.UserByName(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return store.User{}, store.Password{}, nil
	}
	return user, password, err
}

// device returns the id of the device that a visit comes from, when its user has logged in with it before.
func (g *Gate) device(ctx context.Context, user store.User, v Visit) (uuid.UUID, error) {
	if len(v.Devices) == 0 {
		return uuid.Nil, nil
	}
	device, err := g.store.KnownDevice(ctx, user.ID, v.Devices)
	if errors.Is(err, store.ErrNotFound) {
		return uuid.Nil, nil
	}
	return device, err
}

// refuse reports an attempt that was not checked, and returns why.
func (g *Gate) refuse(ctx context.Context, e Event, err error) error {
	if many, ok := errors.AsType[*TooManyError](err); ok {
		e.Kind, e.Wait = EventThrottled, many.Wait
		g.events.emit(ctx, e)
	}
	if busy, ok := errors.AsType[*BusyError](err); ok {
		e.Kind, e.Wait = EventBusy, busy.Wait
		g.events.emit(ctx, e)
	}
	return err
}

// giveBack takes back an attempt that was no wrong password: it was not checked, or something else failed after it.
func (g *Gate) giveBack(ctx context.Context, use Use, v Visit, c checked) {
	if !c.known() {
		g.attempts.giveBack(use, v.From.Address)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second) // the visitor may be gone
	defer cancel()
	if err := g.store.GiveBack(ctx, c.attempt); err != nil {
		g.log.WarnContext(ctx, "an attempt to log in counts as a failure although its password was not wrong", "error",
			err)
	}
}

// rehash returns what is stored then. It is worth trying, and not worth refusing a login for.
func (g *Gate) rehash(ctx context.Context, c checked, v Visit, password string) store.Password {
	hash, err := g.passwords.hash(ctx, placeOf(v.From.Address, true), password)
	if err == nil {
		var now store.Password
		if now, err = g.store.Rehash(ctx, c.user.ID, c.password, hash); err == nil {
			return now
		}
	}
	g.log.WarnContext(ctx, "a password could not be hashed again", "error", err)
	return c.password
}
