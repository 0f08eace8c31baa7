package migrate_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// TestAReleaseBeforeAFailedOneServes: after a jump over several releases whose last file
// fails, the role holds what is declared for what is there, and keeps what only older releases
// declare.
func TestAReleaseBeforeAFailedOneServes(t *testing.T) {
	t.Parallel()
	for name, killed := range map[string]bool{"at the file": false, "before it, and killed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			releaseBeforeAFailedOne(t, killed)
		})
	}
}

func releaseBeforeAFailedOne(t *testing.T, killed bool) {
	t.Helper()
	db := pgtest.Blank(t)
	first := migrator(t, db, tables(1)...)
	// which the newest one takes away
	first.Role.Privileges = append(first.Role.Privileges, privilege.Privilege{On: "TABLE t1", Allow: "DELETE"})
	up(t, first, db.MigratorConn)
	newest := migrator(t, db, append(tables(2),
		"CREATE FUNCTION app.seen(int) RETURNS int LANGUAGE sql RETURN $1; REVOKE EXECUTE ON FUNCTION app.seen FROM "+
			"PUBLIC; ALTER TABLE app.t2 ADD COLUMN b int",
		"CREATE TABLE app.t4 (id int); ALTER TABLE app.t2 ADD COLUMN c int; SELECT 1/0")...)
	newest.Role.Privileges = append(newest.Role.Privileges,
		privilege.Privilege{On: "TABLE t2", Allow: "SELECT, UPDATE (b, c)"},
		privilege.Privilege{On: "FUNCTION seen(integer)", Allow: "EXECUTE"},
		privilege.Privilege{On: "TABLE t4", Allow: "SELECT"})
	if killed { // after the last good file, and before any right
		before := *newest
		before.Role = privilege.Role{}
		_, _ = before.Up(t.Context(), db.MigratorConn) // fails as the next one does
	}
	report, err := newest.Up(t.Context(), db.MigratorConn)
	if _, failed := errors.AsType[*migrate.MigrationError](err); !failed || report.To != 3 {
		t.Fatalf("got %v at %d, want that the fourth file fails", err, report.To)
	}
	pgtest.Exec(t, db.WebConn, "SELECT app.seen(1)", "SELECT * FROM app.t2", "UPDATE app.t2 SET b = 1",
		"DELETE FROM app.t1")
	if !slices.ContainsFunc(report.Granted,
		func(g string) bool { return g == "EXECUTE ON FUNCTION app.seen(integer)" }) {
		t.Errorf("the report says %v", report.Granted)
	}
	between := migrator(t, db, tables(2)...)
	between.Role.Privileges = []privilege.Privilege{
		{On: "TABLE t1", Allow: "SELECT, INSERT (id), DELETE"},
		{On: "TABLE t2", Allow: "SELECT"},
	}
	if report, err := between.Up(t.Context(), db.MigratorConn); err != nil ||
		report.State != migrate.AheadCompatible || len(report.Granted)+len(report.Revoked) > 0 {
		t.Errorf("the release in between: %v, %+v", err, report)
	}
}
