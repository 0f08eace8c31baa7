// Package schema says what AVTotpy expects of its database: the migrations that
// make the schema, and what the web server may do with each object in it.
//
// It is data. Package migrate makes it true on every start.
package schema

import (
	"embed"
	"fmt"
	"io/fs"

	"github.com/avtotpy/avtotpy/migrate"
)

// Name is the schema in which everything lives, the ledger included.
const Name = "avtotpy"

// Released is the version of the last file that a release holds. Such files are never
// edited again, and the tables that they made have rows: files behind it are
// reviewed with that in mind. A release raises it; there has been none.
const Released = 0

//go:embed migrations/*.sql
var migrations embed.FS

// Files holds the migrations at its root.
func Files() fs.FS {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the name above is a valid path
	}
	return files
}

// Bundle is the migrations of this release.
func Bundle() (migrate.Bundle, error) {
	bundle, err := migrate.Load(Files())
	if err != nil {
		return migrate.Bundle{}, fmt.Errorf("the migrations of this program: %w", err)
	}
	return bundle, nil
}
