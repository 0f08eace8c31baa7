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

// forget clears the count of a name. Those that are old are swept.
func (s *Store) forget(ctx context.Context, tx pgx.Tx, name string) error {
	_, err := tx.Exec(ctx, `DELETE FROM avtotpy.login_throttle WHERE name_mac = $1`, s.nameMAC(name))
	return err
}

func (s *Store) nameMAC(name string) []byte {
	return s.ring.MAC("login throttle", strings.ToLower(strings.TrimSpace(name)))
}
