package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A User is somebody who logs in.
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
type Password struct{ Hash string } // argon2id, as a PHC string

// CreateFirstUser creates a user and their personal vault while there is no user
// at all; otherwise ErrSetupDone, also to all but one of those who try at once.
func (s *Store) CreateFirstUser(ctx context.Context, name, passwordHash string, from Origin) (User, Password, error) {
	user := User{ID: newID(), Name: strings.TrimSpace(name)}
	// Two empty tables look the same to both of two transactions, unless these are serializable.
	err := s.inOrder(ctx, user.ID, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
			INSERT INTO avtotpy.users (id, name, password_hash)
			SELECT $1, $2, $3
			WHERE NOT EXISTS (SELECT FROM avtotpy.users)
			RETURNING created_at`, user.ID, user.Name, passwordHash).Scan(&user.CreatedAt)
		if err != nil {
			return err
		}
		if err := s.createPersonalVault(ctx, tx, user.ID); err != nil {
			return err
		}
		return record(ctx, tx, event{actor: &user, action: "user.create", subject: user.ID, from: from})
	})
	if errors.Is(err, pgx.ErrNoRows) || lostRace(err) {
		return User{}, Password{}, ErrSetupDone
	}
	return user, Password{passwordHash}, err
}

// lostRace reports that another transaction did the same first.
func lostRace(err error) bool {
	const serializationFailure, uniqueViolation = "40001", "23505"
	failure, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (failure.Code == serializationFailure || failure.Code == uniqueViolation)
}

// UserByName returns a user and their password. Upper and lower case of the name do not matter.
func (s *Store) UserByName(ctx context.Context, name string) (user User, password Password, err error) {
	err = s.single(ctx, uuid.Nil, scan(&user.ID, &user.Name, &user.CreatedAt, &password.Hash), `
		SELECT id, name, created_at, password_hash
		FROM avtotpy.users
		WHERE lower(name) = lower($1)`, strings.TrimSpace(name))
	return user, password, notFound(err)
}

// unchanged fails with ErrChanged when a user has another password than the one that was checked. That
// stays so until the transaction ends.
func unchanged(ctx context.Context, tx pgx.Tx, user uuid.UUID, checked Password) error {
	var is bool
	err := tx.QueryRow(ctx, `SELECT password_hash = $2 FROM avtotpy.users WHERE id = $1 FOR SHARE`, user, checked.Hash).Scan(&is)
	if err == nil && !is {
		return ErrChanged
	}
	return notFound(err)
}

// setPassword replaces the password that was checked.
func setPassword(ctx context.Context, tx pgx.Tx, user uuid.UUID, checked Password, hash string) (Password, error) {
	const update = `UPDATE avtotpy.users SET password_hash = $3 WHERE id = $1 AND password_hash = $2`
	tag, err := tx.Exec(ctx, update, user, checked.Hash, hash)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrChanged
	}
	return Password{hash}, err
}

// Rehash replaces the hash of a password that was checked by a costlier one of the same password.
func (s *Store) Rehash(ctx context.Context, user uuid.UUID, checked Password, hash string) (now Password, err error) {
	err = s.inTx(ctx, user, func(tx pgx.Tx) error {
		now, err = setPassword(ctx, tx, user, checked, hash)
		return err
	})
	return now, err
}

// ChangePassword replaces the password that was checked by another, and ends all sessions of the
// user but the one in which it was changed.
func (a Actor) ChangePassword(ctx context.Context, in uuid.UUID, checked Password, hash string) error {
	return a.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := setPassword(ctx, tx, a.user.ID, checked, hash); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM avtotpy.sessions WHERE user_id = $1 AND id <> $2`, a.user.ID, in); err != nil {
			return err
		}
		return a.record(ctx, tx, "user.password", a.user.ID, uuid.Nil)
	})
}
