package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/migrate/redact"
)

// run runs one command and returns its exit code.
func (p program) run() int {
	ctx, stop := signalContext()
	defer stop()
	err := p.protect()
	if err != nil {
		err = &settingsError{err}
	} else {
		err = p.command(ctx)
	}
	if err != nil && !is[*alreadyPrintedError](err) {
		p.explain(err)
	}
	return exitCode(err)
}

// A command is one row of the table from which the command line is understood and
// explained.
type command struct {
	name     string // the words after avtotpy: "migrate status"; none for avtotpy alone
	takes    string // what may follow the flags, for people; nothing may when it is empty
	summary  string // for lists
	about    string // its own page, lines of up to 80 columns
	examples string
	exits    string
	bind     func(*flag.FlagSet) action // defines its flags and returns what it does; nil when it only groups others
}

// An action is what a command does, with the arguments that follow its flags.
type action func(ctx context.Context, args []string) error

// commands returns the table, in the order in which people read about it.
func (p program) commands() []command {
	return slices.Concat([]command{p.startCommand()}, p.migrateCommands(), p.userCommands(), p.otherCommands())
}

func (p program) startCommand() command {
	return command{
		summary: "migrate the database, then serve (see POSTGRES_MIGRATOR_MODE)",
		about: `Brings the database to the version that this program was built for and then
serves, as POSTGRES_MIGRATOR_MODE says. Without any connection string it runs a
PostgreSQL of its own on AVTOTPY_DATA_DIR.`,
		bind: func(flags *flag.FlagSet) action {
			asksVersion := flags.Bool("version", false, "print the version, as \"avtotpy version\" does")
			return func(ctx context.Context, _ []string) error {
				if *asksVersion {
					return p.printVersion()
				}
				return p.start(ctx, "")
			}
		},
		examples: `avtotpy
    start, on a PostgreSQL of its own when no database is configured
POSTGRES_MIGRATOR_MODE=SKIP avtotpy
    serve at once; something else migrates`,
		exits: ` 0  stopped by SIGTERM or SIGINT while serving; in RUN_AND_EXIT: migrated
65  a migration failed and was rolled back
69  the database was not reachable in time
74  the ledger is diverged or lost
75  another migrator or a table lock kept it waiting too long
76  the schema is ahead and incompatible
77  a right is missing, or there is one too many; the message holds the SQL
78  a setting is wrong`,
	}
}

func (p program) otherCommands() []command {
	return []command{
		{
			name: "serve", summary: "second half of a start in mode RUN",
			about: `Serves with the unprivileged connection alone. It migrates nothing, but refuses
to serve when the schema or the web server's role are not what they should be.`,
			examples: `avtotpy serve
    serve a database that was migrated before`,
			exits: ` 0  stopped by SIGTERM or SIGINT
77  its role has rights too many or too few; the message holds the SQL
78  a setting is wrong, or the database is not the one that was just migrated`,
			bind: func(*flag.FlagSet) action {
				return func(ctx context.Context, _ []string) error { return p.serveMigrated(ctx) }
			},
		},
		{
			name: "healthcheck", summary: "ask the running program whether it is ready",
			about: `Asks the program that runs beside it with the same environment, on
AVTOTPY_HEALTH_ADDR or, when that is not set, on AVTOTPY_LISTEN_ADDR, and prints
the answer: for exec probes in containers that have no HTTP client. It waits for
at most three seconds.`,
			examples: `avtotpy healthcheck
    does it serve, with a schema that is fit?
avtotpy healthcheck --live
    is it there at all?`,
			exits: ` 0  yes
69  no, or no answer
78  the address is no address, or its port is 0`,
			bind: func(flags *flag.FlagSet) action {
				live := flags.Bool("live", false, "ask whether it lives, not whether it is ready")
				flags.Bool("ready", true, "ask whether it is ready; this is what it does anyway")
				return func(ctx context.Context, _ []string) error { return p.healthcheck(ctx, *live) }
			},
		},
		{ // only a group
			name: "key", summary: "make, check and rotate master keys",
			about: `Master keys encrypt what AVTotpy stores. AVTOTPY_MASTER_KEY holds them, one
id:base64 a line, the first one active.`,
			examples: `avtotpy help key rotate
    what rotating is and how it is done`,
		},
		{
			name: "key generate", summary: "print a new master key",
			about: `Prints a new master key and stores it nowhere. Its id, before the colon, is the
day and some letters. Keep a copy apart from the database: without it the data
cannot be read.`,
			examples: `export AVTOTPY_MASTER_KEY="$(avtotpy key generate)"
    a key for the first start`,
			exits: ` 0  always`,
			bind: func(*flag.FlagSet) action {
				return func(context.Context, []string) error { return p.generateKey() }
			},
		},
		{
			name: "key check", summary: "check the master keys against the database",
			about: `Proves that AVTOTPY_MASTER_KEY holds the keys with which the vaults of the
database are sealed.`,
			examples: `avtotpy key check
    after a restored backup, before the first start`,
			exits: ` 0  the keys fit
75  the migrations have yet to run
78  a key is missing or is another one`,
			bind: func(*flag.FlagSet) action {
				return func(ctx context.Context, _ []string) error { return p.checkKeys(ctx) }
			},
		},
		{
			name: "key rotate", summary: "seal all vaults with another key",
			about: `Put a new key before the old one in AVTOTPY_MASTER_KEY of every server, and
restart them. Then rotate. Then the old key can be removed.

With --data-keys each vault also gets a new data key, and its accounts are
sealed with it: after a key may have leaked. Servers go on meanwhile, and an
interrupted rotation goes on when it is started again.`,
			examples: `avtotpy key rotate
    seal all vaults with the first key of AVTOTPY_MASTER_KEY
avtotpy key rotate --data-keys
    replace the keys that seal the accounts, too`,
			exits: ` 0  done
75  the migrations have yet to run
78  a key is missing or is another one`,
			bind: func(flags *flag.FlagSet) action {
				dataKeys := flags.Bool("data-keys", false, "replace the data keys of all vaults, too")
				asJSON := jsonFlag(flags)
				return func(ctx context.Context, _ []string) error { return p.rotateKeys(ctx, *dataKeys, *asJSON) }
			},
		},
		{
			name: "version", summary: "print the version",
			about:    "Prints the release that this program was built from.",
			examples: "avtotpy version",
			exits:    ` 0  always`,
			bind: func(*flag.FlagSet) action {
				return func(context.Context, []string) error { return p.printVersion() }
			},
		},
		{
			name: "help", takes: "[COMMAND]", summary: "explain a command, or list commands and settings",
			about: `Prints the page of a command. Without one it lists all commands and settings.
"avtotpy COMMAND --help" prints the same.`,
			examples: `avtotpy help migrate status`,
			exits: ` 0  printed
64  there is no such command`,
			bind: func(*flag.FlagSet) action {
				return func(_ context.Context, words []string) error { return p.help(words) }
			},
		},
	}
}

// explain writes the error that ended the program: as lines for people, as one
// record for machines.
func (p program) explain(err error) {
	if exitCode(err) == exitBug {
		err = &bugError{err}
	}
	format := config.LogAuto
	for _, v := range p.environ { // the settings may be what is wrong, so they are not asked
		if value, ok := strings.CutPrefix(v, "AVTOTPY_LOG_FORMAT="); ok {
			format = config.LogFormat(strings.ToLower(value))
		}
	}
	if format == config.LogJSON {
		newLogger(p.stderr, false, slog.LevelError).Error(redact.Text(err), "exit_code", exitCode(err))
		return
	}
	message := "avtotpy: " + redact.Text(err) + "\n"
	if isTerminal(p.stderr) {
		message = fold(message)
	}
	_, _ = fmt.Fprint(p.stderr, message) // its error cannot be reported
}

func (p program) printVersion() error {
	_, err := fmt.Fprintln(p.stdout, "avtotpy", version())
	return err
}

// version is the release that the binary was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "dev"
	}
	return info.Main.Version
}
