package migrate

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
)

func TestMigrationErrorShowsThePlace(t *testing.T) {
	sql := "CREATE TABLE app.t (id int);\n\tALTER TABLE app.t ALTER COLUMN größe SET NOT NULL;\nSELECT 1;\n"
	b, err := bundle.Load(historyFS(map[string]string{"0001_add_tags.sql": sql}))
	if err != nil {
		t.Fatal(err)
	}
	r := run{Migrator: Migrator{Schema: "app"}}
	msg := r.file(new(b.Migration(1)), serverSeen{Version: 180000}, "off")
	prefix := len([]rune(msg.before))
	for name, c := range map[string]struct {
		out  pg.Outcome
		want string
	}{
		"a position": {
			pg.Outcome{Err: &pgconn.PgError{
				Code: "42703", Message: `column "größe" does not exist`,
				Position: int32(prefix + 62), Detail: "d1\nd2", Hint: "h", Where: "w",
			}, Completed: msg.lead + 1},
			`0001_add_tags.sql:2:33: statement 2 of 3: column "größe" does not exist (42703)
    2 |  ALTER TABLE app.t ALTER COLUMN größe SET NOT NULL;
                                        ^
detail: d1
  d2
hint: h
context: w
rolled back; the schema is at version 0. Mend the file and start again`,
		},
		"only the statement": {
			pg.Outcome{Err: &pgconn.PgError{Code: "23502", Message: "null"}, Completed: msg.lead + 1},
			"0001_add_tags.sql:2: statement 2 of 3: null (23502)\n    2 |  ALTER",
		},
		"the canary": {pg.Outcome{
			Err: &pgconn.PgError{Code: "22012", Message: "division by zero"},
			Completed: msg.lead +
				3,
		}, "0001_add_tags.sql: the file ended its own transaction"},
		"a trigger at the commit divides by zero": {
			pg.Outcome{Err: &pgconn.PgError{Code: "22012", Message: "division by zero"}, Completed: msg.lead + 5},
			"0001_add_tags.sql: at its commit: division by zero (22012)",
		},
		"the row is gone": {pg.Outcome{
			Err:       &pgconn.PgError{Code: "2201F", Message: "root"},
			Completed: msg.lead + 3, Tag: "INSERT 0 1",
		}, "0001_add_tags.sql: the file deleted its own row"},
		"the row was swallowed": {
			pg.Outcome{
				Err:       &pgconn.PgError{Code: "2201F", Message: "root"},
				Completed: msg.lead + 3, Tag: "INSERT 0 0",
			},
			"the ledger is lost: the table of applied migrations does not take the row of 0001_add_tags.sql: a " +
				"trigger or a rule swallows it",
		},
		"the commit": {pg.Outcome{
			Err:       &pgconn.PgError{Code: "23503", Message: "violates"},
			Completed: msg.lead + 4,
		}, "0001_add_tags.sql: at its commit: violates (23503)"},
	} {
		if got := r.failure(msg, c.out).Error(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

func TestLongLinesAreCutAroundTheCaret(t *testing.T) {
	e := &MigrationError{File: "f.sql", Line: 1, Column: 501, Source: strings.Repeat("a", 500) + "B" +
		strings.Repeat("c", 500), Err: &pgconn.PgError{}}
	lines := strings.Split(e.Error(), "\n")
	if len(lines[1]) > 110 || lines[1][strings.Index(lines[2], "^")] != 'B' {
		t.Errorf("the caret is not under the B, or the line is too long:\n%s", e)
	}
}
