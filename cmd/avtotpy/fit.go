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
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/internal/database"
	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/migrate"
)

// A fitness tells whether requests can be served: the database answers and takes changes,
// the schema is fit for this program, as the web server's own role sees it, and the master
// keys open what is there. It remembers the answer for a moment, so that it may be asked
// for each request; a schema that another process migrates becomes fit without a
// restart.
type fitness struct {
	migrator *migrate.Migrator
	db       *database.DB
	log      *slog.Logger
	role     string                      // as which POSTGRES_CONNECTION_STR should connect; "" when that is not known
	keys     func(context.Context) error // nil while the master keys fit the database
	prepare  func(context.Context) error // what must succeed once before the first request is served
	looked   func(migrate.Status)        // is told of each look
	clock    func(ahead float64)         // likewise: by how many seconds the database's clock is ahead
	known    *migrate.Status             // of a look just before the first check; nil when there was none

	mu      sync.Mutex
	looking chan struct{} // closed when the look that runs is over; nil when none does
	asked   time.Time     // when the last one was
	outages int           // that had begun before it
	answer  error
	fitAt   time.Time // when the answer was last nil
	doubts  int       // how often a request has met what the answer does not say
	doubted int       // that many before the look that the answer is of
	lacked  error     // what a request was refused for want of a right, until a look finds all rights there
	warning string    // about the clocks

	// The rest belongs to the look.
	prepared, warned bool
	missing          bool   // rights, at the last look for them
	said             string // the last complaint
	wasFit           bool   // at least once
}

// These keep what a driver says of hosts and users off the pages; the log has it.
var (
	errNoAnswer = errors.New("the database does not answer; try again in a moment")
	errReadOnly = errors.New("the database takes no changes at the moment: it is a standby, or a setting makes " +
		"it read-only")
	errPast = errors.New("the database that answers is a primary of the past, which nobody stopped; the log " +
		"of this program says more")
	errUnconfirmed = errors.New("the database confirms no changes at the moment: each COMMIT waits for a " +
		"synchronous standby that does not answer")
	errSlow    = errors.New("the database is too slow at the moment; try again in a moment")
	errLacking = errors.New("the database lacks disk, memory or connections, or cannot read or write its files; " +
		"the log of this program says which")
	errFails = errors.New("the database answers with an error, which the log of this program explains")
	errLacks = errors.New("the web server's user lacks a right in the database; \"avtotpy migrate verify\" " +
		"lists what is missing")
	errLocked  = errors.New("another session has locked the table of applied migrations; try again in a moment")
	errRefused = errors.New("the database does not let the web server in: the migrations, which create its " +
		"user, have not run yet, or its password is wrong")
	errReplica = errors.New("session_replication_role is replica for the web server's user, so that the " +
		"database would not check its constraints; a DBA resets it")
	errKeys = errors.New("the data is sealed with a master key that this server does not have; give it the " +
		"one to which the keys were rotated, and restart it")
)

const (
	fitFor   = 5 * time.Second // how long a good answer holds
	unfitFor = time.Second     // and a bad one
	// how long a good answer holds while looks are slow or get no connection, and other queries succeed
	staleFor  = 30 * time.Second
	askAtMost = 3 * time.Second
	// for a lock that somebody holds on the ledger, while requests wait for the answer
	lookWaits = 500 * time.Millisecond
	clocksMay = 5 * time.Second // differ
)

// request is check for a request of the web server, which is counted when it cannot be served.
func (f *fitness) request(ctx context.Context) error {
	err := f.check(ctx)
	if err != nil {
		f.db.Refused()
	}
	return err
}

// ready is check for probes. Requests that get no connection soon fail one by one; a
// probe keeps more of them away.
func (f *fitness) ready(ctx context.Context) (warning string, err error) {
	if err := f.check(ctx); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.db.Changes() != nil {
		return f.warning, errUnconfirmed
	}
	return f.warning, f.db.Starved()
}

// failed is told of each request that failed. Some errors say that the answer is no longer
// true.
func (f *fitness) failed(err error) {
	kind := database.KindOf(err)
	if kind == database.Away || kind == database.ReadOnly {
		f.db.Refused()
	}
	if kind == database.Refused || kind == database.ReadOnly || kind == database.Unprivileged ||
		is[*keyring.MissingKeyError](err) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if kind == database.Unprivileged {
			f.lacked = err
		}
		f.asked, f.fitAt = time.Time{}, time.Time{}
		f.doubts++
	}
}

// check returns nil when requests can be served, and otherwise why not, in words
// that a visitor may read.
func (f *fitness) check(ctx context.Context) error {
	if err := f.db.Reachable(ctx); err != nil {
		return inPublic(err)
	}
	f.mu.Lock()
	holds := fitFor
	if f.answer != nil {
		holds = unfitFor
	}
	sameServer := f.outages == f.db.Outages()
	if sameServer && !f.asked.IsZero() && time.Since(f.asked) < holds {
		defer f.mu.Unlock()
		return f.answer
	}
	if f.looking == nil {
		f.looking = make(chan struct{})
		// the answer is for all, not only for the request that happens to ask
		go f.lookAgain(context.WithoutCancel(ctx), f.looking)
	}
	looking, old := f.looking, sameServer && f.answer == nil && time.Since(f.fitAt) < staleFor
	doubts := f.doubts
	f.mu.Unlock()
	if old { // nobody waits for a look that will most likely say the same
		return nil
	}
	select {
	case <-looking:
	case <-ctx.Done():
		return errSlow
	}
	f.mu.Lock()
	if f.doubted >= doubts {
		defer f.mu.Unlock()
		return f.answer
	}
	f.mu.Unlock()
	return f.check(ctx) // that look began before somebody met what it does not say; the next one does not
}

// lookAgain brings the answer up to date.
func (f *fitness) lookAgain(ctx context.Context, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, askAtMost)
	defer cancel()
	began, outages := time.Now(), f.db.Outages()
	f.mu.Lock()
	doubts := f.doubts
	f.mu.Unlock()
	answer := f.ask(ctx)
	elsewhere := errors.Is(answer, errReadOnly) && f.db.Reachable(ctx) == nil
	f.mu.Lock()
	defer f.mu.Unlock()
	if elsewhere && errors.Is(f.answer, errReadOnly) { // after a failover only the first look meets the old one
		f.complain("the web server reaches a database that takes no changes, although another of its hosts does",
			errNotFollowing)
	}
	before, first := f.answer, f.asked.IsZero()
	stillFit := !f.fitAt.IsZero() && time.Since(f.fitAt) < staleFor
	switch {
	case errors.Is(answer, errLocked) && !first: // which says nothing about the schema
		answer = before
	case errors.Is(answer, errSlow) && stillFit && f.db.AnsweredSince(began), // others were served
		// and a connection more is refused at once
		errors.Is(answer, errLacking) && stillFit && f.db.AnsweredSince(f.asked):
		answer = nil
	case answer == nil:
		f.fitAt = time.Now()
	}
	f.answer, f.asked, f.outages, f.doubted = answer, time.Now(), outages, doubts
	if f.doubts != doubts && answer == nil {
		f.asked, f.fitAt = time.Time{}, time.Time{}
	}
	f.logChange(before)
	f.looking = nil
	close(done)
}

func (f *fitness) ask(ctx context.Context) error {
	status, err := f.look(ctx)
	if err != nil {
		return err
	}
	f.looked(status)
	if err := status.Err(); err != nil {
		return err
	}
	if err := f.checkKeys(ctx); err != nil || f.prepared {
		return err
	}
	if !f.warned {
		f.warn(status)
	}
	if err := f.prepare(ctx); err != nil {
		return f.inPublic("the database fails", err)
	}
	f.prepared = true
	return nil
}

// checkKeys is about keys that were rotated while this server has only the old one. At a
// start it finds a wrong setting, and the error is the caller's.
func (f *fitness) checkKeys(ctx context.Context) error {
	err := f.keys(ctx)
	switch {
	case err == nil, !f.prepared && is[*settingsError](err):
		return err
	case is[*settingsError](err):
		f.complain("the master keys do not fit the database any more", err)
		return errKeys
	}
	return f.inPublic("the database fails", err)
}

// look gives its connection back before anything else needs one.
func (f *fitness) look(ctx context.Context) (status migrate.Status, err error) {
	conn, err := f.db.Pool().Acquire(ctx)
	if err != nil {
		return status, f.inPublic("the web server's connection to the database fails", err)
	}
	defer conn.Release()
	facts, err := database.FactsOf(ctx, conn.Conn())
	if err == nil {
		f.compareClocks(facts)
		err = facts.Err()
	}
	if is[*database.ReadOnlyError](err) {
		f.db.Suspect(err)
	}
	if err != nil {
		return status, f.inPublic("the database cannot serve", err)
	}
	if facts.Replica {
		f.db.Pool().Reset() // the next look asks a session that has begun after a RESET
		f.complain("the database cannot serve", errReplica)
		return status, errReplica
	}
	if known := f.known; known != nil {
		f.known = nil
		return *known, nil
	}
	status, err = f.migrator.StatusOver(ctx, conn.Conn())
	if is[*migrate.BusyError](err) {
		return status, errLocked
	}
	if err != nil {
		return status, f.inPublic("the schema's state cannot be read", err)
	}
	return status, f.checkRights(ctx, conn.Conn())
}

// checkRights looks for rights that somebody has taken away, once a request was refused for want of one.
func (f *fitness) checkRights(ctx context.Context, conn *pgx.Conn) error {
	f.mu.Lock()
	lacked, doubts := f.lacked, f.doubts
	f.mu.Unlock()
	if lacked == nil {
		return nil
	}
	found, err := f.migrator.ProveOver(ctx, conn)
	if err != nil {
		return f.inPublic("the rights of the web server's user cannot be read", err)
	}
	own := len(found.Status.TooMuch) == 0 // another role, such as the owner, has no need of the declared rights
	if own && found.Audit != nil && found.Audit.Count(migrate.Missing) > 0 {
		f.missing = true
		f.complain("the web server's user lacks rights", found.Audit.Err())
		return errLacks
	}
	if !f.missing {
		f.log.Error("a request was refused for want of a right, and the web server's user holds all that are declared",
			"error", lacked)
	}
	f.missing = false
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.doubts == doubts {
		f.lacked = nil
	}
	return nil
}

// inPublic logs why a look failed, and returns what a visitor may read of it. Of a
// database that is away its DB has a line of its own.
func (f *fitness) inPublic(what string, err error) error {
	public := inPublic(err)
	f.missing = f.missing || errors.Is(public, errLacks)
	if !isPassing(public) || errors.Is(public, errFails) {
		f.complain(what, err)
	}
	return public
}

var errNotFollowing = errors.New("leave target_session_attrs out of POSTGRES_CONNECTION_STR, PGTARGETSESSIONATTRS " +
	"and the service file, or set it to primary; " +
	"behind a load balancer, let it choose the primary")

// isPassing reports that a database moves, restarts or is overloaded, which ends by itself.
func isPassing(err error) bool {
	return errors.Is(err, errNoAnswer) || errors.Is(err, errReadOnly) || errors.Is(err, errSlow) ||
		errors.Is(err, errLacking) || errors.Is(err, errFails) || errors.Is(err, errPast)
}

// inPublic is what a visitor may read of an error of the database.
func inPublic(err error) error {
	switch database.KindOf(err) {
	case database.Refused:
		return errRefused
	case database.Unprivileged:
		return errLacks
	case database.ReadOnly:
		return errReadOnly
	case database.Lacking:
		return errLacking
	case database.Busy, database.Cancelled:
		return errSlow
	case database.Other:
		if is[*pgconn.PgError](err) && !is[*database.AwayError](err) {
			return errFails
		}
	case database.Away:
		if is[*database.PastError](err) {
			return errPast
		}
	}
	if is[*migrate.PrivilegeError](err) {
		return errLacks
	}
	return errNoAnswer
}

// compareClocks warns when the clocks differ by more than they may. The codes come from
// ours, and ends of sessions from the database's.
func (f *fitness) compareClocks(facts database.Facts) {
	f.clock(facts.Ahead.Seconds())
	off, which := facts.Ahead, "ahead of"
	if off < 0 {
		off, which = -off, "behind"
	}
	warning := ""
	if off-facts.Within > clocksMay {
		warning = fmt.Sprintf("the database's clock is %s %s this server's; one of them is wrong, and codes come "+
			"from this server's",
			off.Round(time.Second), which)
	}
	f.mu.Lock()
	before := f.warning
	f.warning = warning
	f.mu.Unlock()
	switch {
	case warning != "" && before == "":
		f.log.Warn("the clocks of the database and of this server differ: codes are wrong if it is this server's; "+
			"see to NTP on both",
			"database_ahead", facts.Ahead.Round(100*time.Millisecond))
	case warning == "" && before != "":
		f.log.Info("the clocks of the database and of this server agree again")
	}
}

// warn is about the role of the connection. RUN has refused before what SKIP serves with.
func (f *fitness) warn(status migrate.Status) {
	f.warned = true
	another := f.role != "" && status.Role != f.role
	if another {
		f.log.Warn("POSTGRES_CONNECTION_STR connects as another role than POSTGRES_MIGRATOR_UNPRIVILEGED_USER, "+
			"and of that one nobody keeps the rights as they are declared",
			"role", status.Role, "should_be", f.role)
	}
	switch excess := strings.Join(status.TooMuch, ", "); {
	case excess == "":
	case another || f.role == "":
		f.log.Warn("POSTGRES_CONNECTION_STR connects as a role that could do more than a web server should; use "+
			"the one that the migrator creates",
			"role", status.Role, "it", excess)
	default:
		f.log.Warn("the web server's role could do more than a web server should; avtotpy migrate verify prints "+
			"the SQL that takes it away", "role", status.Role, "it", excess)
	}
}

// complain logs a failure when it is a new one: it is met at each question.
func (f *fitness) complain(what string, err error) {
	if said := what + err.Error(); said != f.said {
		f.said = said
		f.log.Error(what, "error", err)
	}
}

// logChange says what changed, unless the DB has said it already.
func (f *fitness) logChange(before error) {
	away := func(err error) bool {
		return errors.Is(err, errNoAnswer) || errors.Is(err, errReadOnly) || errors.Is(err, errPast)
	}
	switch {
	case f.answer == nil && before != nil && (!away(before) || f.said != "" || !f.wasFit):
		f.log.Info("ready: the schema is fit now")
	case f.answer != nil && !away(f.answer) && (before == nil || before.Error() != f.answer.Error()):
		f.log.Error("NOT READY: requests are answered with 503 until this is mended", "reason", f.answer)
	}
	if f.answer == nil {
		f.said, f.wasFit = "", true
	}
}
