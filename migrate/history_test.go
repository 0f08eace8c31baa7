package migrate_test

import (
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

func TestHistoryTellsWhoAppliedWhatWhen(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(2)...)
	if _, rows, err := askHistory(t.Context(), m, db.MigratorConn); err != nil || len(rows) != 0 {
		t.Errorf("blank: got %v, %v, want no rows", rows, err)
	}
	up(t, m, db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, "UPDATE app.migrations SET rebuilt = true, duration = NULL WHERE version = 2")
	status, rows, err := askHistory(t.Context(), m, db.WebConn)
	if err != nil || status.State != migrate.Diverged || len(rows) != 2 {
		t.Fatalf("got %v, %v, %v, want two rows of a diverged ledger", status.State, rows, err)
	}
	first, second := rows[0], rows[1]
	if first.Version != 1 || first.Name != "m1" || first.Seconds == nil || *first.Seconds <= 0 ||
		first.AppliedBy != db.Migrator() || first.AppVersion != "1.0" || first.Rebuilt || first.AppliedAt.IsZero() {
		t.Errorf("got %+v, want m1 as %s applied it", first, db.Migrator())
	}
	if second.Seconds != nil || !second.Rebuilt {
		t.Errorf("got %+v, want it unfinished and rebuilt", second)
	}
	pgtest.Exec(t, db.SuperConn, "DROP TABLE app.migrations", "CREATE TABLE app.migrations (id int)",
		"GRANT SELECT ON app.migrations TO "+db.WebRole)
	if status, rows, err := askHistory(t.Context(), m, db.WebConn); err != nil || !status.Foreign || len(rows) != 0 {
		t.Errorf("another tool's table: got %+v, %v, %v, want no rows", status, rows, err)
	}
}

func TestHistoryCostsOneRoundTrip(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(3)...)
	up(t, m, db.MigratorConn)
	r := startRelay(t, db)
	status := r.count(func() { _, _ = askStatus(t.Context(), m, r.conn(db)) })
	if got := r.count(func() { _, _, _ = askHistory(t.Context(), m, r.conn(db)) }); got != status {
		t.Errorf("got %d round trips with connecting, want %d as Status needs", got, status)
	}
}
