package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/database"
	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// A readinessCheck decides whether requests can be served: the database answers and takes changes,
// the schema is compatible with this program, as the web server's own role sees it, and the master
// keys open what is there. It remembers the answer for a moment, so that each request may ask; a
// schema that another process migrates becomes ready without a restart.
type readinessCheck struct {
	migrator   *migrate.Migrator
	db         *database.DB
	log        *slog.Logger
	role       string                      // as which POSTGRES_CONNECTION_STR should connect; "" when that is not known
	keys       func(context.Context) error // nil while the master keys fit the database
	prepare    func(context.Context) error // what must succeed once before the first request is served
	inspected  func(migrate.Status)        // is called after each inspection
	clockAhead func(seconds float64)       // likewise, with how far the database's clock is ahead
	known      *migrate.Status             // of an inspection just before the first check; nil without one

	mu         sync.Mutex
	inspecting chan struct{} // closed when the inspection that runs is over; nil when none does
	asked      time.Time     // when the last one was over
	outages    int           // that had begun before it
	answer     error
	readyAt    time.Time // when the answer was last nil
	doubts     int       // how often a request has met what the answer does not say
	doubted    int       // that many before the inspection that the answer is of
	lacked     error     // what a request was refused for want of a privilege, until an inspection finds all there
	warning    string    // about the clocks

	// The rest belongs to the inspection.
	prepared, warned bool
	missing          bool   // privileges, at the last inspection of them
	complaint        string // the last one
	wasReady         bool   // at least once
}

const (
	readyFor    = 5 * time.Second // how long a good answer holds
	notReadyFor = time.Second     // and a bad one
	// how long a good answer holds while inspections are slow or get no connection, and other queries succeed
	staleFor  = 30 * time.Second
	askAtMost = 3 * time.Second
	// for a lock that another session holds on the ledger, while requests wait for the answer
	inspectTimeout = 500 * time.Millisecond
	clockTolerance = 5 * time.Second
)

// request is check for a request of the web server, which is counted when it cannot be served.
func (c *readinessCheck) request(ctx context.Context) error {
	err := c.check(ctx)
	if err != nil {
		c.db.Refused()
	}
	return err
}

// ready is check for probes. Requests that get no connection soon fail one by one; a
// probe keeps more of them away.
func (c *readinessCheck) ready(ctx context.Context) (warning string, err error) {
	if err := c.check(ctx); err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.db.Changes() != nil {
		return c.warning, errUnconfirmed
	}
	return c.warning, c.db.Starved()
}

// failed is called for each request that failed. Some errors show that the answer is no longer
// true.
func (c *readinessCheck) failed(err error) {
	kind := database.KindOf(err)
	if kind == database.Away || kind == database.ReadOnly {
		c.db.Refused()
	}
	if kind == database.Refused || kind == database.ReadOnly || kind == database.Unprivileged ||
		is[*keyring.MissingKeyError](err) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if kind == database.Unprivileged {
			c.lacked = err
		}
		c.asked, c.readyAt = time.Time{}, time.Time{}
		c.doubts++
	}
}

// check returns nil when requests can be served, and otherwise why not, in words
// that a visitor may read.
func (c *readinessCheck) check(ctx context.Context) error {
	if err := c.db.Reachable(ctx); err != nil {
		return inPublic(err)
	}
	c.mu.Lock()
	holds := readyFor
	if c.answer != nil {
		holds = notReadyFor
	}
	sameServer := c.outages == c.db.Outages()
	if sameServer && !c.asked.IsZero() && time.Since(c.asked) < holds {
		defer c.mu.Unlock()
		return c.answer
	}
	if c.inspecting == nil {
		c.inspecting = make(chan struct{})
		// the answer is for all, not only for the request that happens to ask
		go c.refresh(context.WithoutCancel(ctx), c.inspecting)
	}
	inspecting, young := c.inspecting, sameServer && c.answer == nil && time.Since(c.readyAt) < staleFor
	doubts := c.doubts
	c.mu.Unlock()
	if young { // the inspection will most likely find the same
		return nil
	}
	select {
	case <-inspecting:
	case <-ctx.Done():
		return errSlow
	}
	c.mu.Lock()
	if c.doubted >= doubts {
		defer c.mu.Unlock()
		return c.answer
	}
	c.mu.Unlock()
	return c.check(ctx) // that inspection began before a request met what it does not say; the next one does not
}

// refresh brings the answer up to date.
func (c *readinessCheck) refresh(ctx context.Context, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, askAtMost)
	defer cancel()
	began, outages := time.Now(), c.db.Outages()
	c.mu.Lock()
	doubts := c.doubts
	c.mu.Unlock()
	answer := c.ask(ctx)
	elsewhere := errors.Is(answer, errReadOnly) && c.db.Reachable(ctx) == nil
	c.mu.Lock()
	defer c.mu.Unlock()
	if elsewhere && errors.Is(c.answer, errReadOnly) { // after a failover only the first inspection meets the old one
		c.complain("the web server reaches a database that takes no changes, although another of its hosts does",
			errNotFollowing)
	}
	before, first := c.answer, c.asked.IsZero()
	stillReady := !c.readyAt.IsZero() && time.Since(c.readyAt) < staleFor
	switch {
	case errors.Is(answer, errLocked) && !first: // which says nothing about the schema
		answer = before
	case errors.Is(answer, errSlow) && stillReady && c.db.AnsweredSince(began), // others were served
		// and a connection more is refused at once
		errors.Is(answer, errLacking) && stillReady && c.db.AnsweredSince(c.asked):
		answer = nil
	case answer == nil:
		c.readyAt = time.Now()
	}
	c.answer, c.asked, c.outages, c.doubted = answer, time.Now(), outages, doubts
	if c.doubts != doubts && answer == nil {
		c.asked, c.readyAt = time.Time{}, time.Time{}
	}
	c.logChange(before)
	c.inspecting = nil
	close(done)
}

func (c *readinessCheck) ask(ctx context.Context) error {
	status, err := c.inspect(ctx)
	if err != nil {
		return err
	}
	c.inspected(status)
	if err := status.Err(); err != nil {
		return err
	}
	if err := c.checkKeys(ctx); err != nil || c.prepared {
		return err
	}
	if !c.warned {
		c.warn(status)
	}
	if err := c.prepare(ctx); err != nil {
		return c.inPublic("the database fails", err)
	}
	c.prepared = true
	return nil
}

// checkKeys is about keys that were rotated while this server has only the old one. At a
// start it finds a wrong setting, and the error is the caller's.
func (c *readinessCheck) checkKeys(ctx context.Context) error {
	err := c.keys(ctx)
	switch {
	case err == nil, !c.prepared && is[*settingsError](err):
		return err
	case is[*settingsError](err):
		c.complain("the master keys do not fit the database any more", err)
		return errKeys
	}
	return c.inPublic("the database fails", err)
}

// inspect gives its connection back before anything else needs one.
func (c *readinessCheck) inspect(ctx context.Context) (status migrate.Status, err error) {
	conn, err := c.db.Pool().Acquire(ctx)
	if err != nil {
		return status, c.inPublic("the web server's connection to the database fails", err)
	}
	defer conn.Release()
	facts, err := database.FactsOf(ctx, conn.Conn())
	if err == nil {
		c.compareClocks(facts)
		err = facts.Err()
	}
	if is[*database.ReadOnlyError](err) {
		c.db.Suspect(err)
	}
	if err != nil {
		return status, c.inPublic("the database cannot serve", err)
	}
	if facts.Replica {
		c.db.Pool().Reset() // the next inspection uses a session that has begun after a RESET
		c.complain("the database cannot serve", errReplica)
		return status, errReplica
	}
	if known := c.known; known != nil {
		c.known = nil
		return *known, nil
	}
	status, err = c.migrator.Status(ctx, conn.Conn())
	if is[*migrate.BusyError](err) {
		return status, errLocked
	}
	if err != nil {
		return status, c.inPublic("the schema's state cannot be read", err)
	}
	return status, c.checkPrivileges(ctx, conn.Conn())
}

// checkPrivileges looks for privileges that were taken away, once a request was refused for want of one.
func (c *readinessCheck) checkPrivileges(ctx context.Context, conn *pgx.Conn) error {
	c.mu.Lock()
	lacked, doubts := c.lacked, c.doubts
	c.mu.Unlock()
	if lacked == nil {
		return nil
	}
	found, err := c.migrator.Verify(ctx, conn, migrate.OwnPrivileges)
	if err != nil {
		return c.inPublic("the privileges of the web server's user cannot be read", err)
	}
	own := len(found.Status.TooMuch) == 0 // another role, such as the owner, does not need the declared privileges
	if own && found.Audit != nil && found.Audit.Count(privilege.Missing) > 0 {
		c.missing = true
		c.complain("the web server's user lacks privileges", found.Audit.Err())
		return errLacks
	}
	if !c.missing {
		c.log.Error("a request was refused for want of a privilege, and the web server's user holds all that are "+
			"declared",
			"error", lacked)
	}
	c.missing = false
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.doubts == doubts {
		c.lacked = nil
	}
	return nil
}

// inPublic logs why an inspection failed, and returns what a visitor may read of it. A
// database that is away is logged by its DB.
func (c *readinessCheck) inPublic(what string, err error) error {
	public := inPublic(err)
	c.missing = c.missing || errors.Is(public, errLacks)
	if !isTemporary(public) || errors.Is(public, errFails) {
		c.complain(what, err)
	}
	return public
}

// compareClocks warns when the clocks differ by more than clockTolerance. The codes come from
// this server's, and ends of sessions from the database's.
func (c *readinessCheck) compareClocks(facts database.Facts) {
	c.clockAhead(facts.Ahead.Seconds())
	off, which := facts.Ahead, "ahead of"
	if off < 0 {
		off, which = -off, "behind"
	}
	warning := ""
	if off-facts.Within > clockTolerance {
		warning = fmt.Sprintf("the database's clock is %s %s this server's; one of them is wrong, and codes come "+
			"from this server's",
			off.Round(time.Second), which)
	}
	c.mu.Lock()
	before := c.warning
	c.warning = warning
	c.mu.Unlock()
	switch {
	case warning != "" && before == "":
		c.log.Warn("the clocks of the database and of this server differ: codes are wrong if it is this server's; "+
			"see to NTP on both",
			"database_ahead", facts.Ahead.Round(100*time.Millisecond))
	case warning == "" && before != "":
		c.log.Info("the clocks of the database and of this server agree again")
	}
}

// warn is about the role of the connection. RUN has refused before what SKIP serves with.
func (c *readinessCheck) warn(status migrate.Status) {
	c.warned = true
	another := c.role != "" && status.Role != c.role
	if another {
		c.log.Warn("POSTGRES_CONNECTION_STR uses another role than POSTGRES_MIGRATOR_UNPRIVILEGED_USER; its "+
			"privileges are not managed", "role", status.Role, "should_be", c.role)
	}
	switch excess := strings.Join(status.TooMuch, ", "); {
	case excess == "":
	case another || c.role == "":
		c.log.Warn("POSTGRES_CONNECTION_STR connects as a role that could do more than a web server should; use "+
			"the one that the migrator creates",
			"role", status.Role, "it", excess)
	default:
		c.log.Warn("the web server's role could do more than a web server should; avtotpy migrate verify prints "+
			"the SQL that takes it away", "role", status.Role, "it", excess)
	}
}

// complain logs a failure when it is a new one: each inspection meets it.
func (c *readinessCheck) complain(what string, err error) {
	if complaint := what + err.Error(); complaint != c.complaint {
		c.complaint = complaint
		c.log.Error(what, "error", err)
	}
}

// logChange logs what changed, unless the DB has logged it already.
func (c *readinessCheck) logChange(before error) {
	away := func(err error) bool {
		return errors.Is(err, errNoAnswer) || errors.Is(err, errReadOnly) || errors.Is(err, errPast)
	}
	switch {
	case c.answer == nil && before != nil && (!away(before) || c.complaint != "" || !c.wasReady):
		c.log.Info("ready: the schema is fit now")
	case c.answer != nil && !away(c.answer) && (before == nil || before.Error() != c.answer.Error()):
		c.log.Error("NOT READY: requests are answered with 503 until this is fixed", "reason", c.answer)
	}
	if c.answer == nil {
		c.complaint, c.wasReady = "", true
	}
}
