package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// AttemptLogin must come before a password is checked. It returns how long this
// name has to wait; when that is zero, the attempt is counted, so that attempts at
// the same time do not slip through together. LogIn forgets the count.
//
// After four failures in a row each attempt makes the next one wait: 1, 2, 4 …
// seconds, never more than a minute. An hour without failures clears the count.
func (s *Store) AttemptLogin(ctx context.Context, name string) (wait time.Duration, err error) {
	var left float64
	err = s.single(ctx, uuid.Nil, scan(&left), `
		WITH counted AS (
			INSERT INTO avtotpy.login_throttle AS t (name_mac, failures, wait_until)
			VALUES ($1, 1, now())
			ON CONFLICT (name_mac) DO UPDATE SET
				failures = CASE WHEN t.failed_at < now() - interval '1 hour' THEN 1 ELSE least(t.failures, 1000) + 1 END,
				failed_at = now(),
				wait_until = now() + CASE
					WHEN t.failed_at < now() - interval '1 hour' OR t.failures < 4 THEN interval '0'
					ELSE least(60, 2 ^ least(t.failures - 4, 6)) * interval '1 second'
				END
			WHERE t.wait_until <= now()
			RETURNING name_mac
		)
		SELECT greatest(extract(epoch FROM wait_until - now()), 0.001)::float8
		FROM avtotpy.login_throttle
		WHERE name_mac = $1 AND NOT EXISTS (SELECT FROM counted)`, s.nameMAC(name))
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return seconds(left), err
}

// LoginFailed writes a wrong password, or a name that nobody has, into the audit
// log. The name itself is not written when nobody has it: it may be a password.
func (s *Store) LoginFailed(ctx context.Context, user *User, from Origin) error {
	return s.inTx(ctx, uuid.Nil, func(tx pgx.Tx) error {
		e := event{action: "login.fail", from: from}
		if user != nil {
			e.subject = user.ID
		}
		return record(ctx, tx, e)
	})
}

// forget clears the count of a name, and those that are old.
func (s *Store) forget(ctx context.Context, tx pgx.Tx, name string) error {
	_, err := tx.Exec(ctx, `
		DELETE FROM avtotpy.login_throttle
		WHERE name_mac = $1 OR failed_at < now() - interval '1 day'`, s.nameMAC(name))
	return err
}

func (s *Store) nameMAC(name string) []byte {
	return s.ring.MAC("login throttle", strings.ToLower(strings.TrimSpace(name)))
}
