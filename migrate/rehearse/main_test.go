package rehearse_test

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// migrator is one of a service with a role, whose files are called 0001_m1.sql, 0002_m2.sql and so on.
func migrator(tb testing.TB, db *pgtest.DB, sql ...string) *migrate.Migrator {
	tb.Helper()
	files := fstest.MapFS{}
	for i, s := range sql {
		files[fmt.Sprintf("%04d_m%d.sql", i+1, i+1)] = &fstest.MapFile{Data: []byte(s)}
	}
	bundle, err := bundle.Load(files)
	if err != nil {
		tb.Fatal(err)
	}
	return &migrate.Migrator{
		Bundle: bundle, Schema: "app", Program: "Test", Version: "1.0", ConnectWait: pgtest.Patience,
		Role: privilege.Role{
			Name: db.WebRole, Password: db.WebPassword,
			Privileges: []privilege.Privilege{{On: "TABLE t1", Allow: "SELECT, INSERT (id)"}},
		},
		Log: slog.New(slog.DiscardHandler),
	}
}

// tables is a history of n files that each create a table and leave a row in it.
func tables(n int) []string {
	sql := make([]string, n)
	for i := range sql {
		sql[i] = fmt.Sprintf("CREATE TABLE app.t%d (id int PRIMARY KEY);\nINSERT INTO app.t%d VALUES (1);", i+1, i+1)
	}
	return sql
}

func up(tb testing.TB, m *migrate.Migrator, connString string) migrate.Report {
	tb.Helper()
	report, err := m.Up(tb.Context(), connString)
	if err != nil {
		tb.Fatalf("Up: %v", err)
	}
	return report
}

func run(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}
