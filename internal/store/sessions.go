package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// How long a session lives without being used, and at most.
const (
	SessionIdle     = 15 * time.Minute
	SessionLifetime = 12 * time.Hour
)

// A Session is one place where a user is logged in.
type Session struct {
	ID         uuid.UUID
	User       User
	CreatedAt  time.Time
	LastSeenAt time.Time // to the minute
	ExpiresAt  time.Time
	Origin     // of the login

	stale bool // whether LastSeenAt is worth a write
}

// LogIn begins a session of a user whose password was checked, and is right; ErrChanged when they
// have another one by now. The token is shown only here; the database has its hash.
func (s *Store) LogIn(ctx context.Context, user User, checked Password, from Origin) (token string, session Session, err error) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails: the program crashes instead
	token = base64.RawURLEncoding.EncodeToString(raw)
	session = Session{ID: newID(), User: user, Origin: from}
	p, err := s.proof(ctx)
	if err != nil {
		return "", Session{}, err
	}
	err = s.inTx(ctx, user.ID, func(tx pgx.Tx) error {
		if err := unchanged(ctx, tx, user.ID, checked); err != nil {
			return err
		}
		if err := s.forget(ctx, tx, user.Name); err != nil {
			return err
		}
		if err := makeRoom(ctx, tx, user.ID); err != nil {
			return err
		}
		if session.CreatedAt, err = now(ctx, tx); err != nil {
			return err
		}
		session.LastSeenAt, session.ExpiresAt = session.CreatedAt, session.CreatedAt.Add(SessionLifetime)
		row := sessionRow{session.ID, user.ID, p.tokenHash(hashToken(token)), session.CreatedAt, session.ExpiresAt}
		_, err = tx.Exec(ctx, `
			INSERT INTO avtotpy.sessions (id, user_id, token_hash, address, agent, expires_at, mac)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			row.id, row.user, row.tokenHash, from.address(), from.agent(), row.expires, p.MAC(useSession, row.values()...))
		if err != nil {
			return err
		}
		return record(ctx, tx, event{actor: &user, action: "session.create", subject: session.ID, from: from})
	})
	return token, session, err
}

func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

const (
	sessionColumns = `s.id, u.id, u.name, u.created_at, s.created_at, s.last_seen_at, s.expires_at, s.address, s.agent, s.token_hash, s.mac,
		s.last_seen_at < now() - interval '1 minute'`
	fromSessions = `
	FROM avtotpy.sessions s
	JOIN avtotpy.users u ON u.id = s.user_id
	WHERE s.expires_at > now() AND s.last_seen_at > now() - $2::interval AND `
	selectSession = `SELECT ` + sessionColumns + fromSessions
)

// collectSessions returns those that are proved. More columns than those of a session are not read.
func (s *Store) collectSessions(p proof, rows pgx.Rows, unread ...any) ([]Session, error) {
	var sessions []Session
	var one Session
	var address *netip.Addr
	var tokenHash, mac []byte
	into := append([]any{
		&one.ID, &one.User.ID, &one.User.Name, &one.User.CreatedAt, &one.CreatedAt, &one.LastSeenAt, &one.ExpiresAt, &address, &one.Agent,
		&tokenHash, &mac, &one.stale,
	}, unread...)
	_, err := pgx.ForEachRow(rows, into, func() error {
		row := sessionRow{one.ID, one.User.ID, tokenHash, one.CreatedAt, one.ExpiresAt}
		if !p.Proves(mac, useSession, row.values()...) {
			s.distrust(DistrustedSession, one.ID)
			return nil
		}
		one.Address = netip.Addr{}
		if address != nil {
			one.Address = *address
		}
		sessions = append(sessions, one)
		return nil
	})
	return sessions, err
}

// Session returns the session of a token, and keeps it alive; ErrNotFound when it
// has ended.
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
	return found[0], s.keepAlive(ctx, found[0])
}

// keepAlive writes that a session is in use. Once a minute is enough: a page asks for codes all the time.
func (s *Store) keepAlive(ctx context.Context, session Session) error {
	if !session.stale || s.mayChange() != nil { // who only reads is served all the same
		return nil //nolint:nilerr // as above
	}
	return s.single(ctx, session.User.ID, nil, `
		UPDATE avtotpy.sessions SET last_seen_at = now()
		WHERE id = $1 AND last_seen_at < now() - interval '1 minute'`, session.ID)
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
