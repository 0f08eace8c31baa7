package migrate_test

import (
	"context"
	"embed"
	"io/fs"
	"log"
	"os"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

//go:embed testdata/example/*.sql
var embedded embed.FS

// A service of your own, with its own files, schema and role.
func Example() {
	files, _ := fs.Sub(embedded, "testdata/example") // 0001_notes.sql, 0002_tags.sql …
	notes, err := bundle.Load(files)
	if err != nil {
		log.Fatal(err)
	}
	m := migrate.Migrator{Bundle: notes, Schema: "notes", Role: privilege.Role{
		Name: "notes_web", Password: os.Getenv("NOTES_WEB_PASSWORD"),
		Privileges: []privilege.Privilege{
			{On: "TABLE notes", Allow: "SELECT, INSERT (id, text), DELETE"},
			{On: "TABLE tags", Allow: "SELECT, INSERT, DELETE"},
		},
	}}
	if _, err := m.Up(context.Background(), os.Getenv("NOTES_ADMIN_DATABASE")); err != nil {
		log.Fatal(err) // points to file, line and column; the files before it stay applied
	}
}

// TestTheExampleWorks is not parallel, since it sets variables of the process.
func TestTheExampleWorks(t *testing.T) {
	db := pgtest.Blank(t)
	t.Setenv("NOTES_WEB_PASSWORD", "secret")
	t.Setenv("NOTES_ADMIN_DATABASE", db.MigratorConn)
	Example()
	if got := pgtest.Value[int](t, db.SuperConn, "SELECT count(*) FROM notes.migrations"); got != 2 {
		t.Errorf("%d files were applied, want 2", got)
	}
	if !pgtest.Value[bool](t, db.SuperConn, "SELECT has_table_privilege('notes_web', 'notes.notes', 'DELETE')") {
		t.Error("the role lacks a declared right")
	}
}
