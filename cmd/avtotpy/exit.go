package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/internal/backup"
	"github.com/avtotpy/avtotpy/internal/localpg"
	"github.com/avtotpy/avtotpy/internal/owned"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/connstring"
)

// The exit codes, as docs/exit-codes.md lists them; the numbers are those of
// sysexits.h where it has one that fits.
const (
	exitOK          = 0
	exitUsage       = 64 // wrong command line
	exitMigration   = 65 // a migration failed and was rolled back
	exitUser        = 67 // a user: unknown, or what was asked for is refused
	exitUnreachable = 69 // the database was not reachable in time, or a health check failed
	exitBug         = 70 // anything that is a bug of this program
	exitLedger      = 74 // the ledger is diverged or lost, or the schema was changed by hand
	// another migrator or a table lock kept it waiting too long, or the migrations have yet to run, or there is no
	// backup of what they would change, or the server has no room
	exitBusy      = 75
	exitAhead     = 76 // the schema is ahead and incompatible
	exitPrivilege = 77 // a role lacks a privilege, or has too many
	exitSettings  = 78 // bad configuration
	exitSignalled = 128
)

// exitCode returns the code for an error of a command.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if s, ok := errors.AsType[*signalError](err); ok {
		return exitSignalled + int(s.signal)
	}
	switch {
	case is[*migrate.BusyError](err): // also when it wraps what it waited for
		return exitBusy
	case errors.Is(err, errUsage):
		return exitUsage
	case is[*userError](err):
		return exitUser
	case is[*settingsError](err), is[*connstring.Error](err), refused(err), isLocalSettings(err),
		is[*backup.SetupError](err):
		return exitSettings
	case is[*localpg.LockedError](err), is[*migrate.BackupError](err):
		return exitBusy
	case is[*localError](err), is[*localpg.StoppedError](err): // a full disk, for instance
		return exitUnreachable
	case is[*migrate.ConnectError](err), is[*migrate.StandbyError](err), is[*migrate.ReadOnlyError](err),
		errors.Is(err, errNoAnswer), errors.Is(err, errPast), errors.Is(err, errRefused), errors.Is(err, errUnhealthy):
		return exitUnreachable
	case isRetryable(err):
		return exitBusy
	case needsDBA(err):
		return exitPrivilege
	case is[*migrate.MigrationError](err), is[*bundle.Error](err):
		return exitMigration
	case needsNewerProgram(err), is[*migrate.AheadError](err):
		return exitAhead
	case is[*migrate.DivergedError](err), is[*migrate.LedgerLostError](err), is[*migrate.RenamedError](err),
		is[*migrate.DriftError](err), is[*migrate.UnrepairableError](err):
		return exitLedger
	case is[*migrate.UnmigratedError](err):
		return exitBusy
	case is[*migrate.PrivilegeError](err), errors.Is(err, errLacks):
		return exitPrivilege
	}
	return exitBug
}

// refused reports whether a database turned the configured user, password or
// database name down.
func refused(err error) bool {
	connect, ok := errors.AsType[*migrate.ConnectError](err)
	return ok && connect.Refused()
}

// isLocalSettings reports what an operator has to set right before the embedded PostgreSQL
// can run.
func isLocalSettings(err error) bool {
	return is[*localpg.NotFoundError](err) || is[*localpg.VersionError](err) || is[*localpg.MissingSecretError](err) ||
		is[*localpg.UnreachableError](err) ||
		is[*localpg.OwnerError](err) || is[*owned.Error](err)
}

// isRetryable reports whether the same start may succeed later: the server's disk was full,
// for instance, or another session had locked what was asked about.
func isRetryable(err error) bool {
	if failed, ok := errors.AsType[*migrate.MigrationError](err); ok {
		return failed.Next != "" && !failed.Refused
	}
	server, ok := errors.AsType[*pgconn.PgError](err)
	// insufficient resources; lock not available
	return ok && (strings.HasPrefix(server.Code, "53") || server.Code == "55P03")
}

// needsDBA reports whether a file was stopped by something that only a DBA can change.
func needsDBA(err error) bool {
	failed, ok := errors.AsType[*migrate.MigrationError](err)
	return ok && failed.Refused
}

// needsNewerProgram reports whether a repair is for a newer program to make.
func needsNewerProgram(err error) bool {
	unrepairable, ok := errors.AsType[*migrate.UnrepairableError](err)
	return ok && unrepairable.Newer
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// A bugError is one that is not foreseen.
type bugError struct{ err error }

func (e *bugError) Error() string {
	safe := ""
	if !is[*migrate.UnforeseenError](e.err) { // whose message says that itself
		safe = ". Starting again is safe: what was applied stays, and nothing is half-done"
	}
	return e.err.Error() + safe + ". If it happens again, please report it with this message and the lines of the " +
		"log before it: https://github.com/avtotpy/avtotpy/issues"
}

func (e *bugError) Unwrap() error { return e.err }

// A signalError is the cause of a context that a signal ended.
type signalError struct{ signal syscall.Signal }

func (e *signalError) Error() string { return "stopped by " + e.signal.String() }

// signalContext returns a context that SIGINT and SIGTERM end; a second signal
// ends the program at once.
func signalContext() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	const most = 2 // that can wait while one is handled
	signals := make(chan os.Signal, most)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		var first firstSignal
		for s := range signals {
			number, _ := s.(syscall.Signal) // Notify was asked for nothing else
			if first.isSecond(number, time.Now()) {
				fmt.Fprintln(os.Stderr, "avtotpy: stopped at once by a second signal")
				os.Exit(exitSignalled + int(number))
			}
			cancel(&signalError{number})
		}
	}()
	return ctx, func() { signal.Stop(signals); close(signals); cancel(nil) }
}

// A firstSignal is what a program was asked to stop by.
type firstSignal struct {
	signal syscall.Signal
	at     time.Time
}

// isSecond reports whether a signal asks for more than the first one did. One request may
// send the same signal twice: timeout(1) signals its child and then its group, and a
// terminal signals a program whose parent passes the signal on.
func (f *firstSignal) isSecond(s syscall.Signal, at time.Time) bool {
	if f.at.IsZero() {
		f.signal, f.at = s, at
		return false
	}
	const oneRequest = time.Second
	return s != f.signal || at.Sub(f.at) >= oneRequest
}
