package pgtest

import (
	"context"
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// At returns a database at an earlier version of the schema, without a web role: for tests that insert rows as
// they were then, and upgrade.
func At(tb testing.TB, version int) *DB {
	tb.Helper()
	db := Blank(tb)
	files := fstest.MapFS{}
	names, err := fs.Glob(schema.Files(), "*.sql")
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range names {
		if name > fmt.Sprintf("%04d_~", version) {
			continue
		}
		text, err := fs.ReadFile(schema.Files(), name)
		if err != nil {
			tb.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: text}
	}
	db.up(tb, files, privilege.Role{})
	return db
}

// Upgrade brings a database to the version of this release, and makes its web role.
func (db *DB) Upgrade(tb testing.TB) {
	tb.Helper()
	db.up(tb, schema.Files(), privilege.Role{Name: db.WebRole, Password: password, Privileges: schema.Privileges()})
}

func (db *DB) up(tb testing.TB, files fs.FS, role privilege.Role) {
	tb.Helper()
	bundle, err := bundle.Load(files)
	if err != nil {
		tb.Fatal(err)
	}
	m := migrate.Migrator{Bundle: bundle, Schema: schema.Name, Program: "AVTotpy", Version: "test", Role: role}
	if _, err := m.Up(context.Background(), db.MigratorConn); err != nil {
		tb.Fatal(err)
	}
}
