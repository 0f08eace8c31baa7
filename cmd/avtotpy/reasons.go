package main

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/internal/database"
	"github.com/avtotpy/avtotpy/migrate"
)

// Why the program is not ready, in words that a visitor may read. What a driver says of hosts and users is only logged.
var (
	errNoAnswer = errors.New("the database does not answer; try again in a moment")
	errReadOnly = errors.New("the database takes no changes at the moment: it is a standby, or a setting makes " +
		"it read-only")
	errPast = errors.New("the database that answers is a primary of the past, which was not stopped; the log " +
		"of this program says more")
	errUnconfirmed = errors.New("the database confirms no changes at the moment: each COMMIT waits for a " +
		"synchronous standby that does not answer")
	errSlow    = errors.New("the database is too slow at the moment; try again in a moment")
	errLacking = errors.New("the database lacks disk, memory or connections, or cannot read or write its files; " +
		"the log of this program says which")
	errFails = errors.New("the database answers with an error, which the log of this program explains")
	errLacks = errors.New("the web server's user lacks a privilege in the database; \"avtotpy migrate verify\" " +
		"lists what is missing")
	errLocked  = errors.New("another session has locked the table of applied migrations; try again in a moment")
	errRefused = errors.New("the database does not let the web server in: the migrations, which create its " +
		"user, have not run yet, or its password is wrong")
	errReplica = errors.New("session_replication_role is replica for the web server's user, so that the " +
		"database would not check its constraints; a DBA resets it")
	errKeys = errors.New("the data is sealed with a master key that this server does not have; give it the " +
		"one to which the keys were rotated, and restart it")
)

var errNotFollowing = errors.New("leave target_session_attrs out of POSTGRES_CONNECTION_STR, PGTARGETSESSIONATTRS " +
	"and the service file, or set it to primary; " +
	"behind a load balancer, let it choose the primary")

// isTemporary reports whether a database moves, restarts or is overloaded, which ends by itself.
func isTemporary(err error) bool {
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
