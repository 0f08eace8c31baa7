package database

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/internal/sqlstate"
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

// kinds is the one place that decides what a SQLSTATE or its class means; a code wins over its class, and what is not
// here is Other.
func kinds() map[string]Kind {
	return map[string]Kind{
		sqlstate.ClassConnectionException:        Away,
		sqlstate.ClassInvalidAuthorization:       Refused,
		sqlstate.ClassTransactionRollback:        Busy,
		sqlstate.ClassInsufficientResources:      Lacking,
		sqlstate.ClassSystemError:                Lacking,
		sqlstate.ReadOnlyTransaction:             ReadOnly,
		sqlstate.IdleInTransactionSessionTimeout: Away,
		sqlstate.TransactionTimeout:              Away,
		sqlstate.InvalidCatalogName:              Refused,
		sqlstate.InsufficientPrivilege:           Unprivileged,
		sqlstate.LockNotAvailable:                Busy,
		sqlstate.QueryCanceled:                   Busy,
		sqlstate.AdminShutdown:                   Away,
		sqlstate.CrashShutdown:                   Away,
		sqlstate.CannotConnectNow:                Away,
		sqlstate.DatabaseDropped:                 Away,
		sqlstate.IdleSessionTimeout:              Away,
		sqlstate.StatementCompletionUnknown:      Away,
		sqlstate.SystemError:                     Away,
		sqlstate.DataCorrupted:                   Lacking,
		sqlstate.IndexCorrupted:                  Lacking,
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
	ranOut := class == sqlstate.ClassInsufficientResources
	if isFatal(refusal) && (kind == Other || kind == Busy || kind == Lacking && !ranOut) {
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
		return isFatal(refusal) || refusal.Code == sqlstate.StatementCompletionUnknown ||
			refusal.Code == sqlstate.TransactionResolutionUnknown
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
