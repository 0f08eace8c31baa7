package pg

import (
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

// The SQLSTATEs that are asked for, from appendix A of the PostgreSQL documentation.
const (
	ProtocolViolation             = "08P01" // all that PgBouncer says of itself
	FeatureNotSupported           = "0A000"
	DivisionByZero                = "22012"
	InvalidArgumentForLogarithm   = "2201E"
	InvalidArgumentForPower       = "2201F" // of a root, too
	CharacterNotInRepertoire      = "22021"
	InvalidParameterValue         = "22023"
	InvalidTextRepresentation     = "22P02"
	UntranslatableCharacter       = "22P05" // one that the database's encoding lacks
	NonstandardEscape             = "22P06"
	NotNullViolation              = "23502"
	ForeignKeyViolation           = "23503"
	UniqueViolation               = "23505"
	CheckViolation                = "23514"
	ReadOnlyTransaction           = "25006"
	idleInTransaction             = "25P03" // idle_in_transaction_session_timeout
	TransactionTimeout            = "25P04"
	InvalidAuthorization          = "28000"
	InvalidPassword               = "28P01"
	DependentObjects              = "2BP01"
	InvalidTransactionTermination = "2D000"
	invalidCatalogName            = "3D000" // there is no such database
	InvalidSchemaName             = "3F000"
	SerializationFailure          = "40001"
	DeadlockDetected              = "40P01"
	InsufficientPrivilege         = "42501"
	UndefinedColumn               = "42703"
	UndefinedObject               = "42704"
	DuplicateObject               = "42710"
	DatatypeMismatch              = "42804"
	WrongObjectType               = "42809"
	UndefinedFunction             = "42883"
	UndefinedTable                = "42P01"
	DuplicateSchema               = "42P06"
	DuplicateTable                = "42P07"
	DiskFull                      = "53100"
	OutOfMemory                   = "53200" // also for locks
	tooManyConnections            = "53300"
	ConfigurationLimitExceeded    = "53400"
	ProgramLimitExceeded          = "54000"
	StatementTooComplex           = "54001"
	notInPrerequisiteState        = "55000"
	ObjectInUse                   = "55006"
	LockNotAvailable              = "55P03"
	UnsafeNewEnumValue            = "55P04"
	QueryCanceled                 = "57014" // by a timeout, a DBA or this program
	adminShutdown                 = "57P01"
	crashShutdown                 = "57P02"
	cannotConnectNow              = "57P03"
	databaseDropped               = "57P04"
	idleSessionTimeout            = "57P05"
	systemError                   = "58000" // of poolers that have no server
	IoError                       = "58030"
	UndefinedFile                 = "58P01"
	InternalError                 = "XX000" // of Supavisor and Neon, all that they report of themselves
	dataCorrupted                 = "XX001"
	indexCorrupted                = "XX002"
)

// OfStatement reports whether an error is of a statement, and not of the session, the server or what is around it.
func OfStatement(code string) bool {
	class := code[:min(2, len(code))]
	return code != idleInTransaction && code != TransactionTimeout &&
		!slices.Contains([]string{"", "00", "08", "28", "40", "53", "57", "58", "XX"}, class)
}

// IsDisturbed reports whether a question of ours, which only reads, met a lock or a DBA's
// timeout: then it is asked again.
func IsDisturbed(err error) bool {
	refusal, ours := err.(*pgconn.PgError) //nolint:errorlint // a file's failure, which wraps one, is none
	return ours && (refusal.Code == QueryCanceled || refusal.Code == LockNotAvailable)
}

// SQLState returns the server's error code, "" when the error is not the server's.
func SQLState(err error) string {
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refusal.Code
	}
	return ""
}
