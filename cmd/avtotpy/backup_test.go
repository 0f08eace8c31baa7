package main

import (
	"context"
	"os"

	"github.com/avtotpy/avtotpy/internal/localpg"
	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// hasPgDump reports whether the tests' server comes with pg_dump: some packages of
// servers leave it out. Where the system's own server is tested, it has to.
func hasPgDump() bool {
	found, _ := localpg.FindPrograms(context.Background(), "pg_dump", pgtest.Bin())
	return len(found) > 0 || pgtest.Bin() == "" && os.Getenv("CI") != ""
}
