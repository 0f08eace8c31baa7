package database

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// A Kind is what an error of the database means for a request of the web server.
type Kind int

// The kinds of errors. Only of Other and Cancelled nothing can be said about the database.
const (
	Other        Kind = iota // the fault of the query, or not an error of a database at all
	Away                     // the connection was lost, or none can be made
	ReadOnly                 // the server answers and takes no changes: a standby, or read-only by a setting
	Busy                     // a lock was not to be had in time, or the query lost a conflict; the connection works
	Lacking                  // the server lacks disk, memory or connections, or cannot read or write its files
	Refused                  // the server does not accept the user, the password or the name of the database
	Unprivileged             // the role lacks a privilege
	Cancelled                // the caller gave up, or its time was over
)

// The SQLSTATEs and their classes that say more than "this query is wrong", from appendix A of the PostgreSQL
// documentation. A whole class is two characters long; a code wins over its class.
const (
	classConnection    = "08" // also all that PgBouncer reports of its own
	classAuthorization = "28"
	classRollback      = "40" // serialization failures and deadlocks
	classResources     = "53" // disk full, out of memory, too many connections
	classSystem        = "58" // files and disks of the server

	readOnlyTransaction   = "25006"
	idleInTransaction     = "25P03" // the server has closed the connection
	transactionTimeout    = "25P04" // likewise, from 17 on
	noSuchDatabase        = "3D000"
	completionUnknown     = "40003"
	insufficientPrivilege = "42501"
	lockNotAvailable      = "55P03"
	queryCanceled         = "57014" // by statement_timeout or a DBA
	adminShutdown         = "57P01"
	crashShutdown         = "57P02"
	cannotConnectNow      = "57P03" // it starts, stops or recovers
	databaseDropped       = "57P04"
	idleSessionTimeout    = "57P05"
	systemError           = "58000" // of poolers that have no server
	dataCorrupted         = "XX001"
	indexCorrupted        = "XX002"
	transactionUnknown    = "08007"
)

// kinds is the one place that decides what a SQLSTATE means; what is not in it is Other.
func kinds() map[string]Kind {
	return map[string]Kind{
		classConnection:       Away,
		classAuthorization:    Refused,
		classRollback:         Busy,
		classResources:        Lacking,
		classSystem:           Lacking,
		readOnlyTransaction:   ReadOnly,
		idleInTransaction:     Away,
		transactionTimeout:    Away,
		noSuchDatabase:        Refused,
		insufficientPrivilege: Unprivileged,
		lockNotAvailable:      Busy,
		queryCanceled:         Busy,
		adminShutdown:         Away,
		crashShutdown:         Away,
		cannotConnectNow:      Away,
		databaseDropped:       Away,
		idleSessionTimeout:    Away,
		completionUnknown:     Away,
		systemError:           Away,
		dataCorrupted:         Lacking,
		indexCorrupted:        Lacking,
	}
}

// KindOf decides what an error means. It looks through everything that wraps it.
func KindOf(err error) Kind {
	if err == nil {
		return Other
	}
	if _, ok := errors.AsType[*ReadOnlyError](err); ok { // of several, what was reached says most
		return ReadOnly
	}
	if _, ok := errors.AsType[*UnconfirmedError](err); ok {
		return Busy
	}
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		return kindOfState(refusal)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok { // also where its own time limit ended it
		return Away
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Cancelled
	}
	if isNetwork(err) {
		return Away
	}
	return Other
}

func kindOfState(refusal *pgconn.PgError) Kind {
	table := kinds()
	class := refusal.Code[:min(2, len(refusal.Code))]
	kind, decided := table[refusal.Code]
	if !decided {
		kind = table[class]
	}
	// Whatever it was, the connection is gone. Only a server that has run out of something says so before there is one.
	if isFatal(refusal) && (kind == Other || kind == Busy || kind == Lacking && class != classResources) {
		return Away
	}
	return kind
}

// isFatal reports that the server has closed the connection after this error.
func isFatal(refusal *pgconn.PgError) bool {
	severity := refusal.SeverityUnlocalized
	if severity == "" { // poolers send the localized one only
		severity = refusal.Severity
	}
	return severity == "FATAL" || severity == "PANIC"
}

// isNetwork reports an error of the connection itself. A query that was never sent over a connection that is closed
// already counts as one, too.
func isNetwork(err error) bool {
	for _, lost := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed} {
		if errors.Is(err, lost) {
			return true
		}
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		return true
	}
	return pgconn.SafeToRetry(err)
}

// OutcomeUnknown reports that the error of a COMMIT over a connection that was open leaves open whether it has
// happened: the connection was lost, and the server's answer with it. It is true rather once too often: pgx reports a
// connection that is lost while it waits for the answer like one that was closed before, as safe to try again.
func OutcomeUnknown(err error) bool {
	refusal, answered := errors.AsType[*pgconn.PgError](err)
	switch kind := KindOf(err); {
	case answered:
		return isFatal(refusal) || refusal.Code == completionUnknown || refusal.Code == transactionUnknown
	case kind == Cancelled:
		return !pgconn.SafeToRetry(err) // otherwise it was cancelled before it was sent
	default:
		return kind == Away
	}
}

// A ReadOnlyError means that a server was reached which takes no changes.
type ReadOnlyError struct{ Standby bool } // otherwise a setting makes it read-only

func (e *ReadOnlyError) Error() string {
	if e.Standby {
		return "the server is a standby, which takes no changes; it is used again once it is promoted"
	}
	return "the server takes no changes: default_transaction_read_only is on for this server, database or role"
}
