package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// How long a session may be idle before it is locked, and how long it lives at most.
const (
	SessionIdle     = 15 * time.Minute
	SessionLifetime = 12 * time.Hour
)

// A Session is one place where a user is logged in.
type Session struct {
	ID         uuid.UUID
	User       User
	CreatedAt  time.Time
	LastSeenAt time.Time // when a person last did something in it, to the minute
	ExpiresAt  time.Time
	Locked     bool          // it was idle, and does nothing until Unlock
	LocksIn    time.Duration // until it is locked, unless it is used before
	Origin                   // of the login
}

// A Login is that of a user whose password was right.
type Login struct {
	User     User
	Checked  Password
	From     Origin
	Attempt  Attempt   // is no failure
	Device   uuid.UUID // a known one; the zero UUID for one that is known from now on
	Replaces string    // the token of the session that the browser had, which ends; empty for none
}

// An Opened session comes with what only its browser knows.
type Opened struct {
	Session Session
	Token   string
	Device  string // the token of a new device; empty for a known one
}

// LogIn begins a session of a user whose password was checked, and is right; ErrChanged when they
// have another one by now. The tokens are shown only here; the database has their MACs.
func (s *Store) LogIn(ctx context.Context, l Login) (opened Opened, err error) {
	user, from, token := l.User, l.From, newToken()
	session := Session{ID: newID(), User: user, Origin: from, LocksIn: SessionIdle}
	p, err := s.proof(ctx)
	if err != nil {
		return Opened{}, err
	}
	err = s.inTx(ctx, user.ID, func(tx pgx.Tx) error {
		if err := unchanged(ctx, tx, user.ID, l.Checked); err != nil {
			return err
		}
		if err := s.clearThrottle(ctx, tx, l.Attempt); err != nil {
			return err
		}
		if err := s.replace(ctx, tx, l); err != nil {
			return err
		}
		if opened.Device, err = s.useDevice(ctx, tx, user.ID, l.Device); err != nil {
			return err
		}
		if err := makeRoom(ctx, tx, user.ID); err != nil {
			return err
		}
		if session.CreatedAt, err = now(ctx, tx); err != nil {
			return err
		}
		session.LastSeenAt, session.ExpiresAt = session.CreatedAt, session.CreatedAt.Add(SessionLifetime)
		row := sessionRow{session.ID, user.ID, p.tokenHash(hashToken(token)), session.CreatedAt, session.ExpiresAt, 1}
		_, err = tx.Exec(ctx, `
			INSERT INTO avtotpy.sessions (id, user_id, token_hash, address, agent, expires_at, mac)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			row.id, row.user, row.tokenHash, from.address(), from.agent(), row.expires,
			p.MAC(useSession, row.values()))
		if err != nil {
			return err
		}
		return record(ctx, tx, event{actor: &user, action: "session.create", subject: session.ID, from: from})
	})
	opened.Session, opened.Token = session, token
	return opened, err
}

// replace ends the session that the browser had, of any user.
func (s *Store) replace(ctx context.Context, tx pgx.Tx, l Login) error {
	if l.Replaces == "" {
		return nil
	}
	p, err := s.proof(ctx)
	if err != nil {
		return err
	}
	var ended uuid.UUID
	var by User
	err = tx.QueryRow(ctx, `
		DELETE FROM avtotpy.sessions s
		USING avtotpy.users u
		WHERE s.token_hash = $1 AND u.id = s.user_id
		RETURNING s.id, u.id, u.name`, p.tokenHash(hashToken(l.Replaces))).Scan(&ended, &by.ID, &by.Name)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return record(ctx, tx, event{actor: &by, action: "session.delete", subject: ended, from: l.From})
}

// Unlock goes on with a session of the user, for who has the password that was checked. The session has another
// token afterwards, which is returned. ErrNotFound means that it has ended.
func (a Actor) Unlock(ctx context.Context, session Session, checked Password, attempt Attempt) (unlocked Session,
	token string, err error,
) {
	unlocked = session
	err = a.inTx(ctx, func(tx pgx.Tx) error {
		if err := unchanged(ctx, tx, a.user.ID, checked); err != nil {
			return err
		}
		if err := a.store.clearThrottle(ctx, tx, attempt); err != nil {
			return err
		}
		if token, err = a.renew(ctx, tx, session); err != nil {
			return err
		}
		const use = `UPDATE avtotpy.sessions SET last_seen_at = now() WHERE id = $1 RETURNING last_seen_at`
		if err := tx.QueryRow(ctx, use, session.ID).Scan(&unlocked.LastSeenAt); err != nil {
			return err
		}
		unlocked.Locked, unlocked.LocksIn = false, SessionIdle
		return a.record(ctx, tx, "session.unlock", session.ID, uuid.Nil)
	})
	return unlocked, token, err
}

// renew gives a session another token: who has a copy of the one before has nothing.
func (a Actor) renew(ctx context.Context, tx pgx.Tx, session Session) (token string, err error) {
	p, err := a.store.proof(ctx)
	if err != nil {
		return "", err
	}
	token = newToken()
	row := sessionRow{session.ID, a.user.ID, p.tokenHash(hashToken(token)), session.CreatedAt, session.ExpiresAt, 0}
	err = tx.QueryRow(ctx, `
		SELECT version + 1 FROM avtotpy.sessions
		WHERE id = $1 AND user_id = $2 AND expires_at > now()
		FOR UPDATE`, row.id, row.user).Scan(&row.version)
	if err != nil {
		return "", notFound(err)
	}
	_, err = tx.Exec(ctx, `UPDATE avtotpy.sessions SET token_hash = $2, mac = $3, version = $4 WHERE id = $1`,
		row.id, row.tokenHash, p.MAC(useSession, row.values()), row.version)
	return token, err
}

func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// locksIn is never an infinite time, which the server cannot subtract.
const locksIn = `
		extract(epoch FROM greatest(least(s.last_seen_at, now()), now() - $2::interval) + $2::interval - now())::float8`

const (
	sessionColumns = `s.id, u.id, u.name, u.created_at, s.created_at, s.last_seen_at, s.expires_at, s.address, s.agent,
		s.token_hash, s.mac, s.version, ` + locksIn
	fromSessions = `
	FROM avtotpy.sessions s
	JOIN avtotpy.users u ON u.id = s.user_id
	WHERE s.expires_at > now() AND `
	selectSession = `SELECT ` + sessionColumns + fromSessions
)

// collectSessions returns those that are proved. More columns than those of a session are not read.
func (s *Store) collectSessions(p proof, rows pgx.Rows, unread ...any) ([]Session, error) {
	var sessions []Session
	var one Session
	var address *netip.Addr
	var tokenHash, mac []byte
	var version int64
	var locksIn float64
	into := append([]any{
		&one.ID, &one.User.ID, &one.User.Name,
		moment{&one.User.CreatedAt},
		moment{&one.CreatedAt},
		moment{&one.LastSeenAt},
		moment{&one.ExpiresAt},
		&address, &one.Agent, &tokenHash, &mac, &version, &locksIn,
	}, unread...)
	_, err := pgx.ForEachRow(rows, into, func() error {
		row := sessionRow{one.ID, one.User.ID, tokenHash, one.CreatedAt, one.ExpiresAt, version}
		if !p.Proves(mac, useSession, row.values()) {
			s.distrust(DistrustedSession, one.ID)
			return nil
		}
		one.LocksIn = max(seconds(locksIn), 0)
		one.Locked = one.LocksIn == 0
		one.Address = netip.Addr{}
		if address != nil {
			one.Address = *address
		}
		sessions = append(sessions, one)
		return nil
	})
	return sessions, err
}

// Session returns the session of a token, also when it is locked; ErrNotFound when it has ended. To ask for it is no
// use of it: pages do that by themselves.
func (s *Store) Session(ctx context.Context, token string) (Session, error) {
	p, err := s.proof(ctx)
	if err != nil {
		return Session{}, err
	}
	var found []Session
	err = s.single(ctx, uuid.Nil, func(rows pgx.Rows) (err error) {
		found, err = s.collectSessions(p, rows)
		return err
	}, selectSession+`s.token_hash = $1`, p.tokenHash(hashToken(token)), SessionIdle)
	if err != nil {
		return Session{}, err
	}
	if len(found) == 0 {
		return Session{}, ErrNotFound
	}
	return found[0], nil
}

// UseSession notes that a person did something in a session, so that it is not locked. One that is locked stays so.
func (a Actor) UseSession(ctx context.Context, session uuid.UUID) error {
	if a.store.mayChange() != nil { // who only reads is served all the same
		return nil //nolint:nilerr // as above
	}
	return a.single(ctx, nil, `
		UPDATE avtotpy.sessions SET last_seen_at = now()
		WHERE id = $1 AND user_id = $2
			AND last_seen_at < now() - interval '20 seconds' AND last_seen_at > now() - $3::interval`,
		session, a.user.ID, SessionIdle)
}

// Sessions returns where the user is logged in, the latest first.
func (a Actor) Sessions(ctx context.Context) ([]Session, error) {
	p, err := a.store.proof(ctx)
	if err != nil {
		return nil, err
	}
	var sessions []Session
	err = a.single(ctx, func(rows pgx.Rows) (err error) {
		sessions, err = a.store.collectSessions(p, rows)
		return err
	}, selectSession+`s.user_id = $1 ORDER BY s.last_seen_at DESC, s.id`, a.user.ID, SessionIdle)
	return sessions, err
}

// EndSession logs the user out of one place.
func (a Actor) EndSession(ctx context.Context, session uuid.UUID) error {
	return a.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM avtotpy.sessions WHERE id = $1 AND user_id = $2`, session, a.user.ID)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return ErrNotFound
		}
		return a.record(ctx, tx, "session.delete", session, uuid.Nil)
	})
}

// EndOtherSessions logs the user out everywhere but in one session, and forgets the devices that are known, but for
// one.
func (a Actor) EndOtherSessions(ctx context.Context, kept, device uuid.UUID) error {
	return a.inTx(ctx, func(tx pgx.Tx) error {
		if err := a.endOthers(ctx, tx, kept, device); err != nil {
			return err
		}
		return a.record(ctx, tx, "session.delete-others", kept, uuid.Nil)
	})
}

func (a Actor) endOthers(ctx context.Context, tx pgx.Tx, kept, device uuid.UUID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM avtotpy.sessions WHERE user_id = $1 AND id <> $2`, a.user.ID,
		kept); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM avtotpy.devices WHERE user_id = $1 AND id <> $2`, a.user.ID, device)
	return err
}
