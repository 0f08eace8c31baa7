package store

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/sqlstate"
)

// A User is a person who logs in.
type User struct {
	ID        uuid.UUID
	Name      string
	CreatedAt time.Time
}

// HasUsers reports whether the set-up is done.
func (s *Store) HasUsers(ctx context.Context) (bool, error) {
	var has bool
	err := s.single(ctx, uuid.Nil, scan(&has), `SELECT EXISTS (SELECT FROM avtotpy.users)`)
	return has, err
}

// A Password is a user's password as it is stored: a hash, and which of the user's hashes it is.
// What depends on a password that was checked takes the Password, and fails with ErrChanged when
// the user has another one since.
type Password struct {
	Hash    string // argon2id, as a PHC string; empty when the user has none
	version int64  // of the user's hashes the newest counts
}

// CreateFirstUser creates a user and their personal vault while there is no user
// at all; otherwise ErrSetupDone, also to all but one of those who try at once.
func (s *Store) CreateFirstUser(ctx context.Context, name, passwordHash string, from Origin) (User, Password, error) {
	var user User
	var password Password
	// Two empty tables look the same to both of two transactions, unless these are serializable.
	id := newID()
	err := s.inOrder(ctx, id, func(tx pgx.Tx) (err error) {
		var done bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM avtotpy.users)`).Scan(&done); err != nil {
			return err
		}
		if done {
			return ErrSetupDone
		}
		user, password, err = s.createUser(ctx, tx, id, name, passwordHash)
		if err != nil {
			return err
		}
		return record(ctx, tx, event{actor: &user, action: "user.create", subject: user.ID, from: from})
	})
	if lostRace(err) {
		err = ErrSetupDone
	}
	return user, password, err
}

// createUser is part of a transaction of the user to be.
func (s *Store) createUser(ctx context.Context, tx pgx.Tx, id uuid.UUID, name, passwordHash string) (User, Password,
	error,
) {
	user := User{ID: id, Name: strings.TrimSpace(name)}
	p, err := s.proof(ctx)
	if err != nil {
		return User{}, Password{}, err
	}
	const insert = `INSERT INTO avtotpy.users (id, name, name_mac) VALUES ($1, $2, $3) RETURNING created_at`
	if err := tx.QueryRow(ctx, insert, user.ID, user.Name, p.nameMAC(name)).Scan(&user.CreatedAt); err != nil {
		return User{}, Password{}, err
	}
	password, err := s.setPassword(ctx, tx, user.ID, Password{}, passwordHash)
	if err != nil {
		return User{}, Password{}, err
	}
	return user, password, s.createPersonalVault(ctx, tx, user.ID)
}

// lostRace reports that another transaction did the same first.
func lostRace(err error) bool {
	code := sqlstate.Of(err)
	return code == sqlstate.SerializationFailure || code == sqlstate.UniqueViolation
}

// UserByName returns a user and their password. Upper and lower case of the name do not matter.
func (s *Store) UserByName(ctx context.Context, name string) (user User, password Password, err error) {
	p, err := s.proof(ctx)
	if err != nil {
		return User{}, Password{}, err
	}
	var sealed []byte
	// By MACs, because the server logs what it is asked, and people type their password into the wrong field.
	err = s.single(ctx, uuid.Nil, scan(&user.ID, &user.Name, moment{&user.CreatedAt}, &password.version, &sealed), `
		SELECT u.id, u.name, u.created_at, coalesce(p.version, 0), p.sealed
		FROM avtotpy.users u
		LEFT JOIN LATERAL (
			SELECT version, sealed FROM avtotpy.passwords WHERE user_id = u.id ORDER BY version DESC LIMIT 1
		) p ON true
		WHERE u.name_mac IN ($1, $2)
		ORDER BY u.name_mac = $2 DESC
		LIMIT 1`, p.nameMAC(name), p.spellingMAC(name))
	if err != nil {
		return User{}, Password{}, notFound(err)
	}
	if fold(user.Name) != fold(name) { // the MAC was moved
		return User{}, Password{}, ErrNotFound
	}
	if password.version == 0 {
		return user, password, nil
	}
	if password.Hash, err = p.openPassword(sealed, user.ID, password.version); err != nil {
		s.distrust(DistrustedPassword, user.ID)
		password.Hash = "" // no password matches, and the operator can set another one
	}
	return user, password, nil
}

// unchanged fails with ErrChanged when a user has another password than the one that was checked. That
// stays so until the transaction ends.
func unchanged(ctx context.Context, tx pgx.Tx, user uuid.UUID, checked Password) error {
	if _, err := tx.Exec(ctx, `SELECT FROM avtotpy.users WHERE id = $1 FOR SHARE`, user); err != nil {
		return err
	}
	return newest(ctx, tx, user, checked)
}

// newest is a statement of its own, so that it sees what was committed while a lock was waited for.
func newest(ctx context.Context, tx pgx.Tx, user uuid.UUID, checked Password) error {
	var version int64
	const read = `SELECT coalesce(max(version), 0) FROM avtotpy.passwords WHERE user_id = $1`
	err := tx.QueryRow(ctx, read, user).Scan(&version)
	if err == nil && version != checked.version {
		err = ErrChanged
	}
	return err
}

// setPassword replaces the password that was checked; the zero Password stands for none.
func (s *Store) setPassword(ctx context.Context, tx pgx.Tx, user uuid.UUID, checked Password, hash string) (Password,
	error,
) {
	p, err := s.proof(ctx)
	if err != nil {
		return Password{}, err
	}
	// Logins that begin a session at the same time wait, or are waited for.
	if _, err := tx.Exec(ctx, `SELECT FROM avtotpy.users WHERE id = $1 FOR NO KEY UPDATE`, user); err != nil {
		return Password{}, err
	}
	if err := newest(ctx, tx, user, checked); err != nil {
		return Password{}, err
	}
	set := Password{hash, checked.version + 1}
	_, err = tx.Exec(ctx, `INSERT INTO avtotpy.passwords (user_id, version, sealed) VALUES ($1, $2, $3)`,
		user, set.version, p.sealPassword(hash, user, set.version))
	return set, err
}

// Rehash replaces the hash of a password that was checked by a costlier one of the same password.
func (s *Store) Rehash(ctx context.Context, user uuid.UUID, checked Password, hash string) (now Password, err error) {
	err = s.inTx(ctx, user, func(tx pgx.Tx) error {
		now, err = s.setPassword(ctx, tx, user, checked, hash)
		return err
	})
	return now, err
}

// A Keep is what stays when a password is changed.
type Keep struct {
	Attempt Attempt   // is no failure
	Device  uuid.UUID // stays known; the others do not
}

// ChangePassword replaces the password that was checked by another, and ends all sessions of the
// user but the one in which it was changed. That one has another token afterwards, which is returned.
func (a Actor) ChangePassword(ctx context.Context, in Session, checked Password, hash string, keep Keep) (token string,
	err error,
) {
	err = a.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := a.store.setPassword(ctx, tx, a.user.ID, checked, hash); err != nil {
			return err
		}
		if err := a.store.clearThrottle(ctx, tx, keep.Attempt); err != nil {
			return err
		}
		if err := a.endOthers(ctx, tx, in.ID, keep.Device); err != nil {
			return err
		}
		if token, err = a.renew(ctx, tx, in); err != nil {
			return err
		}
		return a.record(ctx, tx, "user.password", a.user.ID, uuid.Nil)
	})
	return token, err
}
