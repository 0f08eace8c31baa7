package migrate

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// What every start goes through before it has the database's answer, and behind it, with
// ten thousand files. The benchmarks' folder shows their allocations.

func longHistory() fstest.MapFS {
	files := fstest.MapFS{}
	for i := range 10_000 {
		sql := fmt.Sprintf("-- Tags of %[1]d.\nCREATE TABLE tags_%[1]d (\n\tid    uuid PRIMARY KEY,\n\tlabel text "+
			"NOT NULL CHECK (length(label) < 100), -- as it's typed\n\tnote  text NOT NULL DEFAULT 'none; "+
			"yet'\n);\nCREATE INDEX tags_%[1]d_label ON tags_%[1]d (label);\n", i+1)
		files[fmt.Sprintf("%04d_tags_%d.sql", i+1, i+1)] = &fstest.MapFile{Data: []byte(sql)}
	}
	return files
}

func BenchmarkHotLoad10000Files(b *testing.B) {
	files := longHistory()
	for b.Loop() {
		if _, err := bundle.Load(files); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHotPlan10000Files(b *testing.B) {
	bundle, err := bundle.Load(longHistory())
	if err != nil {
		b.Fatal(err)
	}
	n := bundle.Version()
	head := ledger.Head{
		Version: n, Rows: n, MinVersion: 1, Fingerprint: bundle.Fingerprint(n),
		Whole: bundle.Fingerprint(n),
	}
	head.Comment = ledger.Stamp{Version: n, History: head.Whole}.String()
	s := seen{Schema: &schemaSeen{Ledger: true}, Ledger: &head}
	for b.Loop() {
		if got := plan(bundle, s); got.State != Current {
			b.Fatal(got.State)
		}
	}
}

func BenchmarkHotLex1MBOfStatements(b *testing.B) {
	sql := strings.Repeat("INSERT INTO readings (id, place, value) VALUES (17, 'station 4', 1.5), (18, 'it''s "+
		"here', $$x$$); -- measured\n", 10_000)
	b.SetBytes(int64(len(sql)))
	for b.Loop() {
		if s := sqltext.Cut(sql, ledger.Name); len(s.Statements) != 10_000 {
			b.Fatal(len(s.Statements))
		}
	}
}
