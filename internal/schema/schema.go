// Package schema says what AVTotpy expects of its database: the migrations that
// make the schema, what the schema looks like after each of them, and what the web
// server may do with each object in it.
//
// It is data. Package migrate makes it true on every start.
package schema

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/avtotpy/avtotpy/migrate/bundle"
)

// Name is the schema in which everything lives, the ledger included.
const Name = "avtotpy"

// Released is the version of the last file that a release holds. Such files are never
// edited again, and the tables that they made have rows: files after it are
// reviewed with that in mind. A release raises it; there has been none.
const Released = 0

//go:embed migrations/*.sql migrations/snapshots/*.txt
var migrations embed.FS

// Files holds the migrations at its root, and in the folder snapshots what the schema
// looks like after each of them, for the review of a migration and for repairs:
// go test ./internal/schema -update writes them.
func Files() fs.FS {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the name above is a valid path
	}
	return files
}

// Bundle is the migrations of this release.
func Bundle() (bundle.Bundle, error) { return Load(Files()) }

// Load reads migrations that lie as those of Files do; other releases of the program
// may have no snapshots.
func Load(files fs.FS) (bundle.Bundle, error) {
	loaded, err := bundle.Load(files)
	if err != nil {
		return bundle.Bundle{}, fmt.Errorf("the migrations of this program:\n%w", err)
	}
	const folder = "snapshots"
	if _, err := fs.Stat(files, folder); errors.Is(err, fs.ErrNotExist) {
		return loaded, nil
	}
	snapshots, err := fs.Sub(files, folder)
	if err == nil {
		loaded, err = loaded.WithSnapshots(snapshots)
	}
	if err != nil {
		return bundle.Bundle{}, fmt.Errorf("the snapshots of this program's migrations (go test ./internal/schema "+
			"-update writes them):\n%w", err)
	}
	return loaded, nil
}
