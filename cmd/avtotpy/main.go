// Command avtotpy is a self-hosted TOTP authenticator on PostgreSQL that manages
// its own schema.
//
// Without arguments it starts: it brings its database to the version that it was
// built for and then serves, as POSTGRES_MIGRATOR_MODE says. Run "avtotpy help"
// for the other commands and the settings.
package main

import (
	"io/fs"
	"os"
	"syscall"

	"github.com/avtotpy/avtotpy/internal/osuser"
	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

func main() {
	p := program{
		name:       os.Args[0],
		args:       os.Args[1:],
		environ:    os.Environ(),
		stdout:     os.Stdout,
		stderr:     os.Stderr,
		migrations: schema.Files(),
		privileges: schema.Privileges(),
		exec:       syscall.Exec,
		protect:    osuser.Protect,
	}
	os.Exit(p.run())
}

// A program is one call of the command, with all that it takes from the outside:
// tests run the real one with other migrations.
type program struct {
	name           string // as it was called
	args           []string
	environ        []string
	stdin          *os.File // nil: that of the process
	stdout, stderr *os.File
	migrations     fs.FS
	privileges     []privilege.Privilege
	exec           func(file string, args, environ []string) error // replaces the process
	protect        func() error                                    // keeps its memory to itself
}
