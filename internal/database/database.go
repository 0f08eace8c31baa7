// Package database is the web server's connection to PostgreSQL.
//
// It promises that connections go to the primary, first to the host that was it last; that no caller waits for one
// longer than AcquireWait; that a server which refuses, vanishes or becomes silent is noticed by the first query that
// it fails, and from then on costs no request a wait; that it, or the host which takes its place, is found again
// within about a second; that the log has one line when this begins and one when it ends; and that one function,
// KindOf, decides what an error means.
package database

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/avtotpy/avtotpy/migrate/connstring"
)

const (
	// AcquireWait limits how long a query waits for a connection of the pool.
	AcquireWait = 2 * time.Second
	// ConnectTimeout limits how long one host is given to accept a connection, unless the connection string says
	// otherwise.
	ConnectTimeout = 2 * time.Second
)

// A DB is a pool of connections and what is known of the server. It only reports until Watch is called.
type DB struct {
	pool  *pgxpool.Pool
	hosts *hosts
	log   *slog.Logger

	mu         sync.Mutex
	watching   bool
	ctx        context.Context //nolint:containedctx // that of Watch: the search for the server outlives each request
	suspicion  *suspicion      // nil while there is none
	outage     *outage         // nil while the server answers
	outages    int             // that have begun so far
	examined   time.Time       // when the last suspicion turned out to be none
	answered   time.Time       // when the server answered a query last
	working    map[any]time.Time
	waiting    map[any]time.Time // for a connection
	acquired   time.Time         // when a caller got a connection last
	gaveUp     time.Time         // when a caller got none in time last
	complaints map[string]time.Time

	unconfirmed *UnconfirmedError // nil while COMMITs are answered
	confirming  bool              // whether that is being examined
	asked       time.Time         // when it was examined last
}

// Open prepares a pool. Its first connection is made when it is needed. config must be fresh from pgxpool.ParseConfig.
func Open(ctx context.Context, config *pgxpool.Config, log *slog.Logger) (*DB, error) {
	db := &DB{
		log: log, working: map[any]time.Time{}, waiting: map[any]time.Time{}, complaints: map[string]time.Time{},
		ctx: context.WithoutCancel(ctx),
	}
	conn := config.ConnConfig
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = ConnectTimeout
	}
	following := true
	if attributes, named := connstring.Parameter(conn.ConnString(), "target_session_attrs"); !named {
		conn.ValidateConnect = validatePrimary
	} else {
		following = attributes == "primary" || attributes == "read-write"
	}
	if following {
		conn.ValidateConnect = db.validateTimeline(conn.ValidateConnect)
	}
	db.hosts = newHosts(conn, following, db.away)
	conn.Tracer = &tracer{db}
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		db.hosts.order(c)
		return nil
	}
	config.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		db.hosts.reached(c.PgConn().Conn().RemoteAddr())
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	db.pool = pool
	return db, err
}

// Pool is for queries. Its errors need not be reported: the DB sees them.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Close closes the pool.
func (db *DB) Close() { db.pool.Close() }

// validatePrimary refuses standbys, and not a primary that a setting makes read-only: that one is found, and named, by
// FactsOf.
func validatePrimary(ctx context.Context, conn *pgconn.PgConn) error {
	err := pgconn.ValidateConnectTargetSessionAttrsPrimary(ctx, conn)
	if err == pgconn.ErrStandbyConnection { //nolint:errorlint // it returns the very value
		return &ReadOnlyError{Standby: true}
	}
	return err
}

// validateTimeline also refuses a primary of the past. When a newer one is found, connections to the one before it,
// which may be alive, are closed.
func (db *DB) validateTimeline(validate pgconn.ValidateConnectFunc) pgconn.ValidateConnectFunc {
	seen := timelines{log: db.log, highest: map[string]uint64{}}
	return func(ctx context.Context, conn *pgconn.PgConn) error {
		if err := validate(ctx, conn); err != nil {
			return err
		}
		newer, err := seen.note(ctx, conn)
		if newer {
			db.hosts.cut()
			db.pool.Reset()
		}
		return err
	}
}

// Facts are what a server says of itself.
type Facts struct {
	Standby  bool
	ReadOnly bool          // for each transaction that does not say otherwise; a standby always is
	Replica  bool          // session_replication_role turns foreign keys and triggers off for this session
	Ahead    time.Duration // how far its clock is ahead of ours, or behind when negative
	Within   time.Duration // how far off Ahead may be: half of the round trip
}

// Err is a *ReadOnlyError when nothing can be changed on the server.
func (f Facts) Err() error {
	if f.Standby || f.ReadOnly {
		return &ReadOnlyError{Standby: f.Standby}
	}
	return nil
}

// FactsOf asks the server of a connection, in one round trip.
func FactsOf(ctx context.Context, conn *pgx.Conn) (Facts, error) {
	var f Facts
	var clock time.Time
	asked := time.Now()
	err := conn.QueryRow(ctx, `
		SELECT pg_catalog.pg_is_in_recovery(),
			pg_catalog.current_setting('transaction_read_only') OPERATOR(pg_catalog.=) 'on',
			pg_catalog.clock_timestamp(),
			pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) 'replica'`,
		pgx.QueryExecModeExec).Scan(&f.Standby, &f.ReadOnly, &clock, &f.Replica)
	f.Within = time.Since(asked) / 2
	f.Ahead = clock.Sub(asked.Add(f.Within))
	return f, err
}
