package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/internal/backup"
	"github.com/avtotpy/avtotpy/internal/localpg"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
)

func TestEachErrorHasItsExitCode(t *testing.T) {
	t.Parallel()
	busy := &migrate.BusyError{}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{fmt.Errorf("no such command; %w", errUsage), 64},
		{&migrate.MigrationError{}, 65},
		{&migrate.MigrationError{Next: "make room", Err: &pgconn.PgError{Code: "53100"}}, 75},
		{fmt.Errorf("bootstrap: %w", &pgconn.PgError{Code: "53100"}), 75},
		{&migrate.ConnectError{Err: &pgconn.PgError{Code: "53300"}}, 69},
		{&bundle.Error{}, 65},
		{&migrate.ConnectError{Err: errors.New("connection refused")}, 69},
		{&migrate.StandbyError{}, 69},
		{&localpg.StoppedError{}, 69},
		{&localError{errors.New("initdb: no space left on device")}, 69},
		{&localError{&localpg.NotFoundError{}}, 78},
		{errNoAnswer, 69},
		{errRefused, 69},
		{fmt.Errorf("%w: connection refused", errUnhealthy), 69},
		{errLacks, 77},
		{&alreadyPrintedError{&migrate.PrivilegeError{}}, 77},
		{errors.New("what nobody foresaw"), 70},
		{&migrate.UnmigratedError{}, 75},
		{&migrate.DivergedError{}, 74},
		{&migrate.LedgerLostError{}, 74},
		{&migrate.DriftError{}, 74},
		{&migrate.UnrepairableError{}, 74},
		{busy, 75},
		{&migrate.BusyError{Err: &migrate.MigrationError{}}, 75},
		{&migrate.BusyError{Err: &migrate.ConnectError{Err: &pgconn.PgError{Code: "28P01"}}}, 75},
		{&localpg.LockedError{}, 75},
		{&migrate.BackupError{Err: errors.New("no space left on device")}, 75},
		{&migrate.BackupError{Err: &backup.SetupError{Err: errors.New("there is no pg_dump")}}, 78},
		{&migrate.AheadError{}, 76},
		{&migrate.UnrepairableError{}, 74},
		{&migrate.UnrepairableError{Newer: true}, 76},
		{&migrate.PrivilegeError{}, 77},
		{&settingsError{errors.New("bad")}, 78},
		{&migrate.ConnectError{Err: &pgconn.PgError{Code: "28P01"}}, 78},
		{&localpg.NotFoundError{}, 78},
		{&localpg.VersionError{}, 78},
		{&localpg.MissingSecretError{}, 78},
		{&localpg.UnreachableError{}, 78},
		{&signalError{syscall.SIGINT}, 130},
		{&signalError{syscall.SIGTERM}, 143},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%T: got %d, want %d", c.err, got, c.want)
		}
		if c.err == nil {
			continue
		}
		if got := exitCode(fmt.Errorf("start: %w", c.err)); got != c.want {
			t.Errorf("%T inside another: got %d, want %d", c.err, got, c.want)
		}
	}
}

func TestEveryExitCodeIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []int{0, 64, 65, 69, 70, 74, 75, 76, 77, 78, 130, 143} {
		if !regexp.MustCompile(`(?m)^\|.*\b` + strconv.Itoa(code) + `\b.*\|`).Match(page) {
			t.Errorf("%d is not in docs/exit-codes.md", code)
		}
	}
}
