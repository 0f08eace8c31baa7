package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestEachClassOfErrorsIsDecided: what a class of SQLSTATEs means is in the table of kinds, or it is here as one that
// only says that a query is wrong. A class that a newer PostgreSQL adds fails.
func TestEachClassOfErrorsIsDecided(t *testing.T) {
	t.Parallel()
	queries := strings.Fields("00 01 02 03 09 0A 0B 0F 0L 0P 0Z 20 21 22 23 24 25 26 27 2B 2D 2F 34 38 39 3B 3D 3F " +
		"42 44 54 55 57 58 72 F0 HV P0 XX 10")
	lists, _ := filepath.Glob("/usr/share/postgresql/*/errcodes.txt") // the pattern is well-formed
	if program, err := exec.Command("pg_config", "--sharedir").Output(); err == nil {
		lists = append(lists, filepath.Join(strings.TrimSpace(string(program)), "errcodes.txt"))
	}
	for _, list := range lists {
		content, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		for _, match := range regexp.MustCompile(`(?m)^([0-9A-Z]{2})[0-9A-Z]{3}\s+[EWS]\s`).FindAllStringSubmatch(
			string(content), -1) {
			if _, decided := kinds()[match[1]]; !decided && !slices.Contains(queries, match[1]) {
				t.Errorf("%s: nobody has decided what class %s means", list, match[1])
			}
		}
	}
	for state := range maps.Keys(kinds()) {
		if len(state) != 2 && len(state) != 5 {
			t.Errorf("%q is neither a SQLSTATE nor a class", state)
		}
	}
}

// state is an error as the server sends it.
func state(code, severity string) error {
	return fmt.Errorf("a query: %w", &pgconn.PgError{
		Code: code, Severity: severity, SeverityUnlocalized: severity,
		Message: "no",
	})
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	_, refused := pgx.Connect(t.Context(), "host=127.0.0.1 port=1 user=u connect_timeout=5")
	for _, c := range []struct {
		err  error
		want Kind
	}{
		{nil, Other},
		{errors.New("scan: cannot convert"), Other},
		{pgx.ErrNoRows, Other},
		{state("23505", "ERROR"), Other},
		{state("42P01", "ERROR"), Other},
		{state("XX001", "ERROR"), Lacking},
		{state("XX000", "FATAL"), Away}, // Supavisor has no server
		{state("42703", "FATAL"), Away},
		{state("57P01", "FATAL"), Away},
		{state("57P02", "FATAL"), Away},
		{state("57P03", "FATAL"), Away},
		{state("57P04", "FATAL"), Away},
		{state("57P05", "FATAL"), Away},
		{state("25P03", "FATAL"), Away},
		{state("55000", "FATAL"), Away},    // the database accepts no connections
		{state("08P01", "FATAL"), Away},    // PgBouncer has none
		{state("08006", "ERROR"), Away},    // of a pooler that keeps the connection
		{state("58000", "ERROR"), Away},    // pgcat
		{state("40001", "FATAL"), Away},    // a conflict with recovery
		{state("57014", "FATAL"), Away},    // the login took too long
		{state("53300", "FATAL"), Lacking}, // too many connections
		{state("53100", "ERROR"), Lacking}, // disk full
		{state("58030", "ERROR"), Lacking}, // input or output failed
		{state("58P01", "FATAL"), Away},    // a library that a session should load
		{state("XX000", "ERROR"), Other},
		{state("40001", "ERROR"), Busy},
		{state("40P01", "ERROR"), Busy},
		{state("55P03", "ERROR"), Busy},
		{state("57014", "ERROR"), Busy},
		{state("25006", "ERROR"), ReadOnly},
		{&ReadOnlyError{}, ReadOnly},
		{state("28P01", "FATAL"), Refused},
		{state("28000", "FATAL"), Refused},
		{state("3D000", "FATAL"), Refused},
		{state("42501", "ERROR"), Unprivileged},
		{state("42501", "FATAL"), Unprivileged}, // CONNECT on the database
		{refused, Away},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), Away},
		{io.EOF, Away},
		{net.ErrClosed, Away},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, Away},
		{syscall.EPIPE, Away},
		{context.Canceled, Cancelled},
		{fmt.Errorf("timeout: %w", context.DeadlineExceeded), Cancelled},
	} {
		if got := KindOf(c.err); got != c.want {
			t.Errorf("KindOf(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}

func TestOutcomeUnknown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{state("40001", "ERROR"), false}, // the server says that it rolled back
		{state("23503", "ERROR"), false}, // a constraint that is checked at the end
		{pgx.ErrTxCommitRollback, false},
		{state("57P01", "FATAL"), true},
		{state("08P01", "FATAL"), true},
		{state("40003", "ERROR"), true},
		{io.ErrUnexpectedEOF, true},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true},
		{context.DeadlineExceeded, true}, // it was sent, and the answer did not come in time
	} {
		if got := OutcomeUnknown(c.err); got != c.want {
			t.Errorf("OutcomeUnknown(%v) = %v", c.err, got)
		}
	}
}
