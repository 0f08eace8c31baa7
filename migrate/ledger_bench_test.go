package migrate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// BenchmarkLongLedger measures what operators ask of a ledger of 10,000 rows, as the
// service's role, with connecting; and the same of one that diverged, of which each row
// is compared.
func BenchmarkLongLedger(b *testing.B) {
	const count = 10_000
	sql := make([]string, count)
	for i := range sql {
		sql[i] = fmt.Sprintf("SELECT %d", i+1)
	}
	sql[0] = "CREATE TABLE app.t1 (id int)"
	db := pgtest.Blank(b)
	up(b, migrator(b, db, sql[0]), db.MigratorConn)
	m := migrator(b, db, sql...)
	pgtest.Exec(b, db.SuperConn, fmt.Sprintf(`INSERT INTO app.migrations (version, prev, name, checksum, min_version, duration, app_version)
		SELECT g, g - 1, 'm' || g, sha256(convert_to('SELECT ' || g, 'UTF8')), 1, '1 ms', '1.0' FROM generate_series(2, %d) g`, count), pgtest.Testify("app"))
	measure := func(suffix string, want migrate.State) {
		questions := map[string]func() (migrate.Status, error){
			"status": func() (migrate.Status, error) { return askStatus(b.Context(), m, db.WebConn) },
			"history": func() (migrate.Status, error) {
				s, _, err := askHistory(b.Context(), m, db.WebConn)
				return s,
					err
			},
			"plan": func() (migrate.Status, error) {
				p,
					err := askPlan(b.Context(), m, db.MigratorConn)
				return p.Status, err
			},
			"verify": func() (migrate.Status, error) {
				v,
					err := askVerify(b.Context(), m, db.MigratorConn)
				return v.Status, err
			},
		}
		took := map[string][]time.Duration{}
		for range 5 {
			for name, ask := range questions {
				start := time.Now()
				status, err := ask()
				took[name] = append(took[name], time.Since(start))
				if err != nil || status.State != want {
					b.Fatalf("%s: got %v, %v, want %v", name, status.State, err, want)
				}
			}
		}
		for name, d := range took {
			b.ReportMetric(float64(median(d).Microseconds())/1000, "ms/"+name+suffix)
		}
	}
	for b.Loop() {
		measure("", migrate.Current)
		pgtest.Exec(b, db.SuperConn, "UPDATE app.migrations SET name = name || 'x'", pgtest.Testify("app"))
		measure("-diverged", migrate.Diverged)
		pgtest.Exec(b, db.SuperConn, "UPDATE app.migrations SET name = 'm' || version", pgtest.Testify("app"))
	}
	b.ReportMetric(0, "ns/op") // of all together: it says nothing
}
