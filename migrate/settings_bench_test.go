package migrate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// BenchmarkThousandFiles measures what a small file costs from its BEGIN to its COMMIT, which
// the settings of each transaction are a part of.
func BenchmarkThousandFiles(b *testing.B) {
	const count = 1000
	sql := make([]string, count)
	for i := range sql {
		sql[i] = fmt.Sprintf("CREATE TABLE app.t%[1]d (id uuid PRIMARY KEY, name text NOT NULL)", i+1)
	}
	var took []time.Duration
	for b.Loop() {
		db := pgtest.Blank(b)
		m := migrator(b, db, sql...)
		start := time.Now()
		up(b, m, db.MigratorConn)
		took = append(took, time.Since(start))
	}
	b.ReportMetric(float64(median(took).Microseconds())/count, "µs/file")
	b.ReportMetric(0, "ns/op")
}
