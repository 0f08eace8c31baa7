package migrate_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// BenchmarkRights measures what asking for the role's rights adds to the look of a
// start, on a schema of 200 tables with five declared rights each, and what the whole
// audit of verify costs. They take turns, and the medians are reported.
func BenchmarkRights(b *testing.B) {
	const count = 200
	db := pgtest.Blank(b)
	m := migrator(b, db, wide(count)...)
	m.Role.Privileges = nil
	for i := range count {
		m.Role.Privileges = append(m.Role.Privileges,
			privilege.Privilege{On: fmt.Sprintf("TABLE t%d", i+1), Allow: "SELECT, INSERT (id, a), UPDATE (a), DELETE"})
	}
	up(b, m, db.MigratorConn)
	pgtest.Exec(b, db.SuperConn, "VACUUM ANALYZE")
	conn := db.Connect(b, db.MigratorConn)
	var with, without, whole []time.Duration
	for b.Loop() {
		without = append(without, timed(b, conn,
			func(conn *pgx.Conn) error { return m.LookOver(b.Context(), conn, false) }))
		with = append(with, timed(b, conn, func(conn *pgx.Conn) error { return m.LookOver(b.Context(), conn, true) }))
		whole = append(whole, timed(b, conn,
			func(conn *pgx.Conn) error { _, err := m.Verify(b.Context(), conn); return err }))
	}
	b.ReportMetric(0, "ns/op") // of all together: it says nothing
	for unit, d := range map[string]time.Duration{
		"ms/look-without": median(without), "ms/look": median(with),
		"ms/added": median(with) - median(without), "ms/verify": median(whole),
	} {
		b.ReportMetric(float64(d.Microseconds())/1000, unit)
	}
}

// wide is tables with a few columns.
func wide(n int) []string {
	sql := make([]string, n)
	for i := range sql {
		sql[i] = fmt.Sprintf("CREATE TABLE app.t%d (id int PRIMARY KEY, a text, b text, c timestamptz)", i+1)
	}
	return sql
}

func timed(b *testing.B, conn *pgx.Conn, f func(*pgx.Conn) error) time.Duration {
	b.Helper()
	start := time.Now()
	if err := f(conn); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
