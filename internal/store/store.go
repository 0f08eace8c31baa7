// Package store holds every query of the web server.
//
// It promises to need no more than the declared privileges of the web role; that a
// row of another user's is not found, by the query itself and then by row level security,
// for which each transaction sets the acting user; that secrets, names
// and notes reach the database sealed; that sessions, members and passwords count only where
// the authentication key proves them; that each change and its line in the audit log
// are one transaction; and that times are the database's, so that replicas agree on
// them.
package store

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/avtotpy/avtotpy/internal/keyring"
)

// A Store is the database as the web server sees it.
type Store struct {
	// Changes, when it is set, says why no change can be saved at the moment; then none is begun.
	Changes func() error

	// Distrust, when it is set, is called for each row that is met and is not what this program wrote: it was
	// forged, moved or damaged.
	Distrust func(Distrusted, uuid.UUID)

	pool   *pgxpool.Pool
	ring   *keyring.Ring
	proved atomic.Pointer[cachedProof]

	pinActing string      // pin for the user whose id is its argument
	pinDirect string      // the same where no pooler is in between
	unnamed   atomic.Bool // prepared statements get lost on the way
}

// mayChange returns why no change can be saved at the moment.
func (s *Store) mayChange() error {
	if s.Changes == nil {
		return nil
	}
	return s.Changes()
}

// New returns a store over connections of the web role.
func New(pool *pgxpool.Pool, ring *keyring.Ring) *Store {
	return &Store{
		pool: pool, ring: ring, pinActing: pin(actingUser, "$1"),
		pinDirect: pin(actingUser, "$1", searchPath),
	}
}

// What the methods of a Store find, besides what a database can fail with.
var (
	ErrNotFound     = errors.New("there is no such thing, or it is not yours")
	ErrNameTaken    = errors.New("there is a user with this name")
	ErrMoved        = errors.New("the counter has moved on in the meantime")
	ErrChanged      = errors.New("the password was changed in the meantime")
	ErrDamaged      = errors.New("it cannot be opened: it was damaged, or changed without its key")
	ErrForbidden    = errors.New("your role in the vault does not allow this")
	ErrSetupDone    = errors.New("there is a user already")
	ErrNotHOTP      = errors.New("the account has no counter")
	ErrCounterSpent = errors.New("the counter has reached its end")
)

// An Origin is where a request came from.
type Origin struct {
	Address netip.Addr // the zero Addr when it is not known
	Agent   string     // the browser, as it calls itself
}

// address is null in the database where it is not known.
func (o Origin) address() *netip.Addr {
	if !o.Address.IsValid() {
		return nil
	}
	address := o.Address.Unmap().WithZone("")
	return &address
}

// agent is what a log can hold of what a browser says.
func (o Origin) agent() string {
	const most = 300 // characters
	return printable(o.Agent, most)
}

// newID returns an id that sorts by the time it was made, which keeps indexes small.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

func notFound(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// A moment reads a time of the database, also one that Go and JSON cannot write: what is infinite, or far from our
// time, becomes the nearest that they can, which no row has that this program wrote. Otherwise one such row would fail
// the whole query. Null is the zero time.
type moment struct{ to *time.Time }

// ScanTimestamptz implements pgtype.TimestamptzScanner.
func (m moment) ScanTimestamptz(v pgtype.Timestamptz) error {
	first, last := time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 30, 0, 0, 0, 0, time.UTC)
	switch {
	case !v.Valid:
		*m.to = time.Time{}
	case v.InfinityModifier == pgtype.Infinity || v.InfinityModifier == pgtype.Finite && v.Time.After(last):
		*m.to = last
	case v.InfinityModifier == pgtype.NegativeInfinity || v.Time.Before(first):
		*m.to = first
	default:
		*m.to = v.Time
	}
	return nil
}

// seconds returns an interval that PostgreSQL computed.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
