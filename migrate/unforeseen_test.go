package migrate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate"
)

// TestAnUnforeseenErrorNamesItsStep, and errors that are explained stay what they are.
func TestAnUnforeseenErrorNamesItsStep(t *testing.T) {
	t.Parallel()
	server := &pgconn.PgError{Severity: "ERROR", Code: "XX000", Message: "cache lookup failed", Hint: "Call a DBA."}
	const end = ": the server says: cache lookup failed (XX000)\nhint: Call a DBA.\nNothing is half-done, and " +
		"starting again is safe"
	for name, c := range map[string]struct {
		err  error
		want string // "" where it stays as it is
	}{
		"bare":         {server, "looking at the database" + end},
		"with words":   {fmt.Errorf("ask for the roles: %w", server), "ask for the roles" + end},
		"words behind": {fmt.Errorf("%w. The disk is full", server), ""},
		"explained":    {&migrate.MigrationError{File: "0001_a.sql", Err: server}, ""},
		"of waiting":   {&migrate.BusyError{Err: server}, ""},
		"not a server": {errors.New("disk on fire"), ""},
		"none":         {nil, ""},
		"several":      {errors.Join(server, server), ""},
	} {
		got := migrate.Unforeseen("looking at the database", c.err)
		switch {
		case c.want == "" && !errors.Is(got, c.err):
			t.Errorf("%s: got %v, want it unchanged", name, got)
		case c.want != "" && (got.Error() != c.want || !errors.Is(got, error(server))):
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		case got != nil && strings.Contains(got.Error(), "SQLSTATE (") && c.want != "":
			t.Errorf("%s: %v shows how the driver writes errors", name, got)
		}
	}
}
