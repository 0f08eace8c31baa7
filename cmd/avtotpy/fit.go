package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/avtotpy/avtotpy/migrate"
)

// A fitness tells whether the schema is fit for this program, as the web server's
// own role sees it. It remembers the answer for a moment, so that it may be asked
// for each request; a schema that another process migrates becomes fit without a
// restart.
type fitness struct {
	migrator *migrate.Migrator
	pool     *pgxpool.Pool
	log      *slog.Logger
	role     string                      // as which POSTGRES_CONNECTION_STR should connect; "" when that is not known
	prepare  func(context.Context) error // what must succeed once before the first request is served
	looked   func(migrate.Status)        // is told of each look
	known    *migrate.Status             // of a look just before the first check; nil when there was none

	mu       sync.Mutex
	asked    time.Time
	answer   error
	prepared bool
	warned   bool
	said     string // the last complaint
}

// These keep what a driver says of hosts and users off the pages; the log has it.
var (
	errNoAnswer = errors.New("the database does not answer; try again in a moment")
	errLacks    = errors.New("the web server's user lacks a right in the database; \"avtotpy migrate verify\" lists what is missing")
	errLocked   = errors.New("another session has locked the table of applied migrations; try again in a moment")
	errRefused  = errors.New("the database does not let the web server in: the migrations, which create its user, have not run yet, or its password is wrong")
)

const (
	fitFor    = 5 * time.Second // how long a good answer holds
	unfitFor  = time.Second     // and a bad one
	askAtMost = 3 * time.Second
	lookWaits = 500 * time.Millisecond // for a lock that somebody holds on the ledger, while all requests wait for the answer
)

// check returns nil when requests can be served, and otherwise why not, in words
// that a visitor may read.
func (f *fitness) check(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	holds := fitFor
	if f.answer != nil {
		holds = unfitFor
	}
	if !f.asked.IsZero() && time.Since(f.asked) < holds {
		return f.answer
	}
	// The answer is for all, not only for the request that happens to ask.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askAtMost)
	defer cancel()
	before, first := f.answer, f.asked.IsZero()
	f.answer = f.ask(ctx)
	f.asked = time.Now()
	if errors.Is(f.answer, errLocked) && !first { // which says nothing about the schema
		f.answer = before
	}
	f.logChange(before)
	return f.answer
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
	if f.prepared {
		return nil
	}
	if !f.warned {
		f.warn(status)
	}
	switch err := f.prepare(ctx); {
	case is[*settingsError](err):
		return err
	case err != nil:
		f.complain("the database fails", err)
		if lacksRight(err) {
			return errLacks
		}
		return errNoAnswer
	}
	f.prepared = true
	return nil
}

// look gives its connection back before anything else needs one.
func (f *fitness) look(ctx context.Context) (migrate.Status, error) {
	if known := f.known; known != nil {
		f.known = nil
		return *known, nil
	}
	conn, err := f.pool.Acquire(ctx)
	if err != nil {
		f.complain("the web server's connection to the database fails", err)
		switch {
		case isRefusal(err):
			return migrate.Status{}, errRefused
		case lacksRight(err):
			return migrate.Status{}, errLacks
		}
		return migrate.Status{}, errNoAnswer
	}
	defer conn.Release()
	status, err := f.migrator.StatusOver(ctx, conn.Conn())
	if err != nil {
		f.complain("the schema's state cannot be read", err)
		switch {
		case lacksRight(err):
			return status, errLacks
		case is[*migrate.BusyError](err):
			return status, errLocked
		}
		return status, errNoAnswer
	}
	return status, nil
}

// warn is about the role of the connection. RUN has refused before what SKIP serves with.
func (f *fitness) warn(status migrate.Status) {
	f.warned = true
	another := f.role != "" && status.Role != f.role
	if another {
		f.log.Warn("POSTGRES_CONNECTION_STR connects as another role than POSTGRES_MIGRATOR_UNPRIVILEGED_USER, and of that one nobody keeps the rights as they are declared",
			"role", status.Role, "should_be", f.role)
	}
	switch excess := strings.Join(status.TooMuch, ", "); {
	case excess == "":
	case another || f.role == "":
		f.log.Warn("POSTGRES_CONNECTION_STR connects as a role that could do more than a web server should; use the one that the migrator creates",
			"role", status.Role, "it", excess)
	default:
		f.log.Warn("the web server's role could do more than a web server should; avtotpy migrate verify prints the SQL that takes it away", "role", status.Role, "it", excess)
	}
}

// complain logs a failure when it is a new one: it is met at each question.
func (f *fitness) complain(what string, err error) {
	if said := what + err.Error(); said != f.said {
		f.said = said
		f.log.Error(what, "error", err)
	}
}

// isRefusal reports that the server is there and knows no such user, password or
// database.
func isRefusal(err error) bool {
	const noSuchUser, wrongPassword, noSuchDatabase = "28000", "28P01", "3D000"
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains([]string{noSuchUser, wrongPassword, noSuchDatabase}, refusal.Code)
}

// lacksRight reports that the server refused something for want of a right.
func lacksRight(err error) bool {
	const insufficientPrivilege = "42501"
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	return is[*migrate.PrivilegeError](err) || ok && refusal.Code == insufficientPrivilege
}

func (f *fitness) logChange(before error) {
	switch {
	case f.answer == nil && before != nil:
		f.said = ""
		f.log.Info("ready: the schema is fit now")
	case f.answer != nil && (before == nil || before.Error() != f.answer.Error()):
		f.log.Error("NOT READY: requests are answered with 503 until this is mended", "reason", f.answer)
	}
}
