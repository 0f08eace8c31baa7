package rehearse_test

import (
	"context"
	"fmt"
	"os"

	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/rehearse"
)

// Before a release, with its files and a role that may create databases.
func ExampleRun() {
	m := &migrate.Migrator{Schema: "notes"} // with the Bundle of the release
	report, err := rehearse.Run(context.Background(), m, os.Getenv("MIGRATOR_CONNECTION"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range report.Files {
		for _, lock := range f.Locks {
			fmt.Println(f.File, "on", lock.Relation, lock.Blocks())
		}
	}
}

// A real migration, of a restored copy, with what each file did to it.
func ExampleFiles() {
	m := &migrate.Migrator{Schema: "notes", Probe: rehearse.Probe("notes")} // with the Bundle of the release
	report, err := m.Up(context.Background(), os.Getenv("COPY_CONNECTION"))
	for _, f := range rehearse.Files(m.Bundle, report.Applied) {
		fmt.Println(f.File, f.Elapsed, f.Locks, f.Rewritten, f.WAL)
	}
	if err != nil {
		fmt.Println(err)
	}
}
