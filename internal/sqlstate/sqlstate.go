// Package sqlstate names the error codes of PostgreSQL that this program decides by, as appendix A of its documentation
// does.
package sqlstate

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// Classes are the first two characters of a code.
const (
	ClassConnectionException   = "08" // also all that PgBouncer reports of its own
	ClassInvalidAuthorization  = "28"
	ClassTransactionRollback   = "40" // serialization failures and deadlocks
	ClassInsufficientResources = "53" // disk full, out of memory, too many connections
	ClassSystemError           = "58" // files and disks of the server
)

// Codes of one condition each.
const (
	TransactionResolutionUnknown    = "08007"
	FeatureNotSupported             = "0A000" // also: a cached plan must not change its result type
	ForeignKeyViolation             = "23503"
	UniqueViolation                 = "23505"
	CheckViolation                  = "23514"
	ReadOnlyTransaction             = "25006"
	IdleInTransactionSessionTimeout = "25P03" // the server has closed the connection
	TransactionTimeout              = "25P04" // likewise, from 17 on
	InvalidStatementName            = "26000" // there is no such prepared statement
	InvalidPassword                 = "28P01"
	InvalidCatalogName              = "3D000" // there is no such database
	SerializationFailure            = "40001"
	StatementCompletionUnknown      = "40003"
	DeadlockDetected                = "40P01"
	InsufficientPrivilege           = "42501"
	DuplicatePreparedStatement      = "42P05"
	LockNotAvailable                = "55P03"
	QueryCanceled                   = "57014" // by statement_timeout or a DBA
	AdminShutdown                   = "57P01"
	CrashShutdown                   = "57P02"
	CannotConnectNow                = "57P03" // the server starts, stops or recovers
	DatabaseDropped                 = "57P04"
	IdleSessionTimeout              = "57P05"
	SystemError                     = "58000" // of poolers that have no server
	DataCorrupted                   = "XX001"
	IndexCorrupted                  = "XX002"
)

// Of returns the code of an error that the server reported, and "" for any other error.
func Of(err error) string {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		return failure.Code
	}
	return ""
}
