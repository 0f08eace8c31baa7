package migrate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// BenchmarkSnapshot measures what it costs to read the snapshot of a schema of 200
// tables and to compare it with the stored one: over a connection that has done so
// before, and over a new one, as a start would. The medians are reported.
func BenchmarkSnapshot(b *testing.B) {
	const count = 200
	db := pgtest.Blank(b)
	m := migrator(b, db, furnished(count)...)
	up(b, m, db.MigratorConn)
	pgtest.Exec(b, db.SuperConn, "VACUUM ANALYZE")
	conn := db.Connect(b, db.WebConn)
	stored, err := migrate.Snapshot(b.Context(), conn, m.Schema)
	if err != nil {
		b.Fatal(err)
	}
	compared := func(conn *pgx.Conn) error {
		text, err := migrate.Snapshot(b.Context(), conn, m.Schema)
		if d := snapshot.Compare(stored, text); len(d) > 0 {
			b.Fatal(d)
		}
		return err
	}
	var warm, cold, comparison []time.Duration
	for b.Loop() {
		warm = append(warm, timed(b, conn, compared))
		fresh, err := pgx.Connect(b.Context(), db.WebConn)
		if err != nil {
			b.Fatal(err)
		}
		cold = append(cold, timed(b, fresh, compared))
		_ = fresh.Close(b.Context()) // the next one is another
		start := time.Now()
		snapshot.Compare(stored, stored+"table one_more\n")
		comparison = append(comparison, time.Since(start))
	}
	b.ReportMetric(0, "ns/op") // of all together: it says nothing
	b.ReportMetric(float64(len(stored))/1000, "kB")
	for unit, d := range map[string]time.Duration{
		"ms/warm": median(warm), "ms/cold": median(cold),
		"ms/comparison": median(comparison),
	} {
		b.ReportMetric(float64(d.Microseconds())/1000, unit)
	}
}

// furnished is tables with several columns, two indexes, a foreign key, a check and a
// policy each.
func furnished(n int) []string {
	sql := make([]string, n)
	for i := range sql {
		sql[i] = fmt.Sprintf(`CREATE TABLE app.t%d (id uuid PRIMARY KEY, other uuid NOT NULL REFERENCES app.t%d, a text NOT NULL CHECK (char_length(a) BETWEEN 1 AND 100), b bytea,
				c timestamptz NOT NULL DEFAULT now(), d integer DEFAULT 0, e boolean);
			CREATE INDEX ON app.t%[1]d (other);
			CREATE UNIQUE INDEX ON app.t%[1]d (lower(a)) WHERE e;
			ALTER TABLE app.t%[1]d ENABLE ROW LEVEL SECURITY;
			CREATE POLICY p ON app.t%[1]d USING (a = current_setting('app.user', true));`, i+1, max(i, 1))
	}
	return sql
}
