package main

import (
	"errors"
	"os"
	"reflect"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/localpg"
)

func TestTheSameSeedMakesTheSameFiles(t *testing.T) {
	t.Parallel()
	few, many := newCorpus(1, 50), newCorpus(1, 500)
	if !reflect.DeepEqual(few, many[:50]) {
		t.Error("50 files are not the beginning of 500")
	}
	if reflect.DeepEqual(few, newCorpus(2, 50)) {
		t.Error("another seed makes the same files")
	}
}

// testServer returns a server for the benchmark's own tests.
func testServer(t *testing.T) *server {
	t.Helper()
	s, err := startServer(t.Context(), []string{"fsync=off"})
	if _, missing := errors.AsType[*localpg.NotFoundError](err); missing && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

func TestEveryToolMakesTheSameSchema(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	files := newCorpus(7, 60)
	var want []string
	for _, tool := range tools() {
		db, err := s.newDatabase(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, again := range []bool{false, true} {
			if again && tool.floor {
				continue // knows no second time
			}
			up, err := tool.load(files.as(tool.layout))
			if err == nil {
				err = up(t.Context(), db, db.conn(nil))
			}
			if err != nil {
				t.Fatalf("%s, again %v: %v", tool.name, again, err)
			}
		}
		got := columns(t, db, tool)
		if want == nil {
			want = got
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got the columns\n%q\nwant\n%q", tool.name, got, want)
		}
	}
}

// columns lists what the corpus made, whatever the schema and without a tool's own tables.
func columns(t *testing.T, db *database, tool tool) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.conn(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	rows, _ := conn.Query(t.Context(), `
		SELECT table_name || '.' || column_name || ' ' || data_type FROM information_schema.columns
		WHERE table_schema IN ('app', 'public') AND table_name IN (
			SELECT DISTINCT table_name FROM information_schema.columns WHERE column_name = 'settings')
		ORDER BY 1`)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: the columns: %v, %v", tool.name, found, err)
	}
	return found
}
