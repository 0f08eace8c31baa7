package main

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/avtotpy/avtotpy/internal/config"
)

// run runs one command and returns its exit code.
func (p program) run() int {
	ctx, stop := untilSignalled()
	defer stop()
	err := p.command(ctx)
	if err != nil && !is[*toldError](err) {
		p.explain(err)
	}
	return exitCode(err)
}

func (p program) command(ctx context.Context) error {
	if len(p.args) == 0 {
		return p.start(ctx, "")
	}
	switch name, rest := p.args[0], p.args[1:]; name {
	case "help", "-h", "-help", "--help":
		return p.help()
	case "version", "-version", "--version":
		_, err := fmt.Fprintln(p.stdout, "avtotpy", version())
		return err
	case "migrate":
		return p.migrate(ctx, rest)
	case "serve":
		return p.serveMigrated(ctx, rest)
	case "healthcheck":
		return p.healthcheck(ctx, rest)
	case "key":
		return p.key(ctx, rest)
	default:
		return fmt.Errorf("there is no command %q; %w", name, errUsage)
	}
}

func (p program) help() error {
	const commands = `AVTotpy is a self-hosted TOTP authenticator on PostgreSQL that manages its own schema.

Usage:
  avtotpy                 migrate the database, then serve (see POSTGRES_MIGRATOR_MODE)
  avtotpy migrate         migrate and exit, as in mode RUN_AND_EXIT
  avtotpy migrate verify  prove that schema and privileges are what they should be
  avtotpy serve           the second half of a start in mode RUN, which calls it
  avtotpy healthcheck     ask the running program whether it is ready, or with --live whether it lives
  avtotpy key generate    print a new master key
  avtotpy key check       check the master keys against the database
  avtotpy key rotate      seal all vaults with the first master key
  avtotpy version         print the version
  avtotpy help            print this page

Without any connection string it runs a PostgreSQL of its own on AVTOTPY_DATA_DIR.

`
	if _, err := fmt.Fprint(p.stdout, commands); err != nil {
		return err
	}
	return config.WriteHelp(p.stdout)
}

// explain writes the error that ended the program: as lines for a person, as one
// record for a machine.
func (p program) explain(err error) {
	format := config.LogAuto
	for _, v := range p.environ { // the settings may be what is wrong, so they are not asked
		if value, ok := strings.CutPrefix(v, "AVTOTPY_LOG_FORMAT="); ok {
			format = config.LogFormat(strings.ToLower(value))
		}
	}
	if format == config.LogJSON {
		newLogger(p.stderr, false, slog.LevelError).Error(err.Error(), "exit_code", exitCode(err))
		return
	}
	_, _ = fmt.Fprintln(p.stderr, "avtotpy:", err) // nobody is left to tell
}

// version is the release that the binary was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "dev"
	}
	return info.Main.Version
}
