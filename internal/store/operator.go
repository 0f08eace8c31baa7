package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// An Operator works on users with the command line. The audit log names them; they are no user themselves.
type Operator struct {
	Name    string // "operator" and who they are on their system
	Command string // what they called
}

// record appends to the audit log what the operator does.
func (o Operator) record(ctx context.Context, tx pgx.Tx, action string, subject uuid.UUID) error {
	const most = 100 // characters
	_, err := tx.Exec(ctx, `
		INSERT INTO avtotpy.audit_log (actor_name, action, subject_id, agent)
		VALUES ($1, $2, $3, $4)`, printable(o.Name, most), action, subject, printable(o.Command, most))
	return err
}

// What a user cannot be removed for.
var (
	ErrLastUser  = errors.New("it is the last user")
	ErrOnlyOwner = errors.New("the user is the only owner of a vault that others use")
)

// RemoveUser removes a user with their personal vault and their sessions; what they did stays in the audit log.
func (s *Store) RemoveUser(ctx context.Context, user uuid.UUID, by Operator) error {
	return s.asOperator(ctx, func(tx pgx.Tx) error {
		var outcome string
		if err := tx.QueryRow(ctx, `SELECT avtotpy.remove_user($1, $2, $3)`, user, by.Name,
			by.Command).Scan(&outcome); err != nil {
			return err
		}
		switch outcome {
		case "removed":
			return nil
		case "unknown":
			return ErrNotFound
		case "last":
			return ErrLastUser
		case "owner":
			return ErrOnlyOwner
		}
		return fmt.Errorf("remove user %s: %s", user, outcome)
	})
}

// A UserSummary is a user as the operator sees them.
type UserSummary struct {
	User
	LastSeenAt time.Time // in a session that has not ended; zero without one
	Sessions   int       // that have not ended
	Accounts   int       // in their personal vault
}

// Users returns all users by name.
func (s *Store) Users(ctx context.Context) ([]UserSummary, error) {
	var users []UserSummary
	err := s.single(ctx, uuid.Nil, func(rows pgx.Rows) (err error) {
		users, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (u UserSummary, err error) {
			err = row.Scan(&u.ID, &u.Name, moment{&u.CreatedAt}, moment{&u.LastSeenAt}, &u.Sessions)
			return u, err
		})
		return err
	}, `
		SELECT u.id, u.name, u.created_at, max(s.last_seen_at), count(s.id)
		FROM avtotpy.users u
		LEFT JOIN avtotpy.sessions s ON s.user_id = u.id AND s.expires_at > now()
		GROUP BY u.id
		ORDER BY lower(u.name), u.id`)
	for i := range users {
		if err != nil {
			break
		}
		// Row level security shows the accounts of one user at a time.
		err = s.single(ctx, users[i].ID, scan(&users[i].Accounts), `
			SELECT count(*)
			FROM avtotpy.accounts a
			JOIN avtotpy.vaults v ON v.id = a.vault_id
			WHERE v.personal_of = $1 AND a.deleted_at IS NULL`, users[i].ID)
	}
	return users, err
}

// CreateUser creates a user and their personal vault; ErrNameTaken when another user has the name.
func (s *Store) CreateUser(ctx context.Context, name, passwordHash string, by Operator) (user User, password Password,
	err error,
) {
	id := newID()
	err = s.inTx(ctx, id, func(tx pgx.Tx) (err error) {
		if user, password, err = s.createUser(ctx, tx, id, name, passwordHash); err != nil {
			return err
		}
		return by.record(ctx, tx, "user.create", user.ID)
	})
	if lostRace(err) {
		err = ErrNameTaken
	}
	return user, password, err
}

// ResetPassword sets a password for a user who cannot give the current one, and ends their sessions. It returns how
// many these were.
func (s *Store) ResetPassword(ctx context.Context, user User, passwordHash string, by Operator) (ended int64,
	err error,
) {
	err = s.inTx(ctx, user.ID, func(tx pgx.Tx) error {
		var current Password
		// In the order of setPassword: of two changes at the same time, one waits for the other.
		const lock = `SELECT FROM avtotpy.users WHERE id = $1 FOR NO KEY UPDATE`
		if err := tx.QueryRow(ctx, lock, user.ID).Scan(); err != nil {
			return notFound(err)
		}
		const newest = `SELECT coalesce(max(version), 0) FROM avtotpy.passwords WHERE user_id = $1`
		if err := tx.QueryRow(ctx, newest, user.ID).Scan(&current.version); err != nil {
			return err
		}
		if _, err := s.setPassword(ctx, tx, user.ID, current, passwordHash); err != nil {
			return err
		}
		if ended, err = endSessions(ctx, tx, user.ID); err != nil {
			return err
		}
		return by.record(ctx, tx, "user.reset-password", user.ID)
	})
	return ended, err
}

// EndSessions logs a user out everywhere, and returns how many sessions that were.
func (s *Store) EndSessions(ctx context.Context, user uuid.UUID, by Operator) (ended int64, err error) {
	err = s.inTx(ctx, user, func(tx pgx.Tx) error {
		if ended, err = endSessions(ctx, tx, user); err != nil {
			return err
		}
		return by.record(ctx, tx, "session.delete-all", user)
	})
	return ended, err
}

// endSessions also forgets the devices that are known: one of them may be why.
func endSessions(ctx context.Context, tx pgx.Tx, user uuid.UUID) (int64, error) {
	if _, err := tx.Exec(ctx, `DELETE FROM avtotpy.devices WHERE user_id = $1`, user); err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, `DELETE FROM avtotpy.sessions WHERE user_id = $1`, user)
	return tag.RowsAffected(), err
}
