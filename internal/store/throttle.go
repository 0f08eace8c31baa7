package store

import (
	"context"
	_ "embed"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// An Attempt is one to log in with a name, before the password is checked: by a stranger from some
// networks, or by a device that the user of the name has logged in with before.
type Attempt struct {
	Name     string
	Networks []netip.Prefix // of a stranger, the narrowest first
	Device   uuid.UUID      // the zero UUID for a stranger
}

// Each name is slowed down for each network by itself, so that a stranger who knows a name does not keep its
// owner out. All strangers together share a ceiling for a name, which slows down many networks that
// guess at one. It is never closed for longer than it takes to fill up by one attempt.
// A known device has a count of its own: strangers never delay it.
const (
	freeForNetwork  = 4  // attempts before the next one has to wait
	freeForCustomer = 16 // the same for an IPv6 network of many households
	ceilingAtOnce   = 30 // attempts of strangers on one name
	ceilingPeriod   = 2 * time.Second
	longestWait     = 60 // seconds
	neverWaited     = 48 * time.Hour
)

// A count is one row of attempts in a row. After those that are free, each makes the next one wait: 1, 2, 4 …
// seconds, never more than a minute; an hour without attempts clears it. With a period it is
// a ceiling instead: so many at once, and one more after each period.
type count struct {
	mac    []byte
	free   int
	period time.Duration
}

// counts are the rows in which an attempt is counted, always in the same order: two
// attempts at once must not wait for each other.
func (s *Store) counts(a Attempt) []count {
	if a.Device != uuid.Nil {
		return []count{{mac: s.throttleMAC("device", a.Device.String(), a.Name), free: freeForNetwork}}
	}
	var all []count
	for i, network := range a.Networks {
		free := freeForNetwork
		if i > 0 {
			free = freeForCustomer
		}
		all = append(all, count{mac: s.throttleMAC("network", network.String(), a.Name), free: free})
	}
	return append(all, count{mac: s.throttleMAC("name", "", a.Name), free: ceilingAtOnce, period: ceilingPeriod})
}

// throttleMAC is the key of a row: a reader of the table learns no name, and no password that was typed as one.
func (s *Store) throttleMAC(kind, of, name string) []byte {
	return s.ring.MAC("login throttle "+kind, of+"\x00"+strings.ToLower(strings.TrimSpace(name)))
}

//go:embed throttle_attempt.sql
var countAttempt string

// errWait undoes an attempt that has to wait.
var errWait = errors.New("the attempt has to wait")

// AttemptLogin must come before a password is checked. It returns how long to wait;
// when that is zero, the attempt is counted, so that attempts at the same time do
// not slip through together. LogIn and Unlock clear the count, and GiveBack takes
// one attempt back.
func (s *Store) AttemptLogin(ctx context.Context, a Attempt) (wait time.Duration, err error) {
	ctx = WithOutcome(ctx) // a count is no change of the visitor's
	err = s.inTx(ctx, uuid.Nil, func(tx pgx.Tx) error {
		for _, c := range s.counts(a) {
			var left float64
			err := tx.QueryRow(ctx, countAttempt, c.mac, c.free, c.period.Seconds(), longestWait,
				neverWaited).Scan(&left)
			if errors.Is(err, pgx.ErrNoRows) { // counted
				continue
			}
			if err != nil {
				return err
			}
			wait = seconds(left)
			return errWait // what was counted in the rows before is undone
		}
		return nil
	})
	if errors.Is(err, errWait) {
		return wait, nil
	}
	return 0, err
}

// GiveBack takes back an attempt whose password was never checked.
func (s *Store) GiveBack(ctx context.Context, a Attempt) error {
	return s.inTx(WithOutcome(ctx), uuid.Nil, func(tx pgx.Tx) error {
		for _, c := range s.counts(a) {
			// Before it was counted nothing was left to wait.
			_, err := tx.Exec(ctx, `
				UPDATE avtotpy.login_throttle
				SET failures = greatest(failures - 1, 1),
					wait_until = CASE WHEN $2 > 0 THEN wait_until - $2 * interval '1 second' ELSE now() END
				WHERE name_mac = $1`, c.mac, c.period.Seconds())
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// clearThrottle clears the counts after the right password, but for the ceiling, which counts others too. Old counts
// are swept.
func (s *Store) clearThrottle(ctx context.Context, tx pgx.Tx, a Attempt) error {
	for _, c := range s.counts(a) {
		if c.period > 0 {
			continue
		}
		if _, err := tx.Exec(ctx, `DELETE FROM avtotpy.login_throttle WHERE name_mac = $1`, c.mac); err != nil {
			return err
		}
	}
	return nil
}
