package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// removal returns the SQL of docs/removing.md behind each of its marks, with the names of a
// test's database.
func removal(t *testing.T, db *pgtest.DB) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/removing.md")
	if err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer("avtotpy_migrator", db.Migrator(), "avtotpy_web", db.WebRole, "DATABASE avtotpy",
		"DATABASE "+db.Name)
	found := map[string]string{}
	for _, match := range regexp.MustCompile("(?s)<!-- tested: (.*?) "+
		"-->\n```sql\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		found[match[1]] = names.Replace(match[2])
	}
	return found
}

// TestTheWayToRemoveItLeavesNothing runs what the page says, on a database that the real
// program has migrated, and then looks for anything that is left, as the page does and in
// the catalogue.
func TestTheWayToRemoveItLeavesNothing(t *testing.T) {
	t.Parallel()
	for way, steps := range map[string][]struct {
		mark string
		conn func(*pgtest.DB) string
	}{
		"the database": {{
			"database, in the database postgres, as a superuser",
			func(db *pgtest.DB) string { return db.SuperConn + " dbname=postgres" },
		}},
		"the schema": {{"schema, as a superuser", func(db *pgtest.DB) string { return db.SuperConn }}},
		"no superuser": {
			{"migrator, as the migrator", func(db *pgtest.DB) string { return db.MigratorConn }},
			{"migrator, as a superuser", func(db *pgtest.DB) string { return db.SuperConn }},
		},
	} {
		for _, closed := range []bool{false, true} { // to PUBLIC, so that the web server's role is let in by a grant
			name := way
			if closed {
				name += ", closed to PUBLIC"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				db := pgtest.Blank(t)
				if closed {
					pgtest.Exec(t, db.SuperConn, "REVOKE ALL ON DATABASE "+db.Name+" FROM PUBLIC",
						"GRANT CONNECT ON DATABASE "+db.Name+" TO "+db.Migrator()+" WITH GRANT OPTION")
				}
				if said, err := commandOn(t, db, []string{"migrate"}).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, said)
				}
				sql := removal(t, db)
				look := func() string {
					// CollectRows returns the error
					rows, _ := db.Connect(t, db.SuperConn+" dbname=postgres").Query(t.Context(), sql["look"],
						pgx.QueryExecModeSimpleProtocol)
					left, err := pgx.CollectRows(rows, pgx.RowTo[string])
					if err != nil {
						t.Fatal(err)
					}
					var own []string
					for _, l := range left {
						if !strings.HasPrefix(l, "database ") { // other tests rehearse meanwhile
							own = append(own, l)
						}
					}
					return strings.Join(own, ", ")
				}
				if before := look(); !strings.Contains(before, db.WebRole) || !strings.Contains(before, db.Migrator()) {
					t.Fatalf("the page's query finds %q before anything is removed", before)
				}
				oids := pgtest.Value[[]uint32](t, db.SuperConn,
					"SELECT array_agg(oid) FROM pg_roles WHERE rolname IN ('"+db.WebRole+"', '"+db.Migrator()+"')")
				for _, step := range steps {
					if sql[step.mark] == "" {
						t.Fatalf("the page has no SQL for %q", step.mark)
					}
					for statement := range strings.Lines(sql[step.mark]) { // a statement is a line
						pgtest.Exec(t, step.conn(db), statement)
					}
				}
				if left := look(); left != "" {
					t.Errorf("left are %s", left)
				}
				if n := pgtest.Value[int](t, db.SuperConn+" dbname=postgres",
					"SELECT count(*) FROM pg_shdepend WHERE refobjid = ANY ($1::oid[])", oids); n != 0 {
					t.Errorf("%d objects depend on the roles that are gone", n)
				}
				if way == "the database" {
					// for the test's end to drop
					pgtest.Exec(t, db.SuperConn+" dbname=postgres", "CREATE DATABASE "+db.Name)
					return
				}
				const objects = `
					SELECT (SELECT count(*) FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$|public$)')
						+ (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace)
						+ (SELECT count(*) FROM pg_default_acl) + (SELECT count(*) FROM pg_event_trigger)`
				if n := pgtest.Value[int](t, db.SuperConn, objects); n != 0 {
					t.Errorf("%d objects are left in the database", n)
				}
			})
		}
	}
}
