package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"runtime/debug"
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

// A command is one row of the table from which the command line is understood; a file of
// the folder help explains it.
type command struct {
	name  string                     // the words after avtotpy: "migrate status"; none for avtotpy alone
	takes string                     // what may follow the flags, for people; nothing may when it is empty
	bind  func(*flag.FlagSet) action // defines its flags and returns what it does; nil when it only groups others
}

// An action is what a command does, with the arguments that follow its flags.
type action func(ctx context.Context, args []string) error

// commands returns the table, in the order in which people read about it.
func (p program) commands() []command {
	return []command{
		{bind: p.bindStart},
		{name: "migrate", bind: p.bindMigrate},
		{name: "migrate status", bind: p.bindStatus},
		{name: "migrate plan", bind: p.bindPlan},
		{name: "migrate verify", bind: p.bindVerify},
		{name: "migrate repair", bind: p.bindRepair},
		{name: "migrate rehearse", bind: p.bindRehearse},
		{name: "user"},
		{name: "user list", bind: p.bindUser(nil, userCommand.list)},
		{name: "user add", takes: "NAME", bind: p.bindUser(bindGenerate, userCommand.add)},
		{name: "user reset-password", takes: "NAME", bind: p.bindUser(bindGenerate, userCommand.resetPassword)},
		{name: "user end-sessions", takes: "NAME", bind: p.bindUser(nil, userCommand.endSessions)},
		{name: "user remove", takes: "NAME", bind: p.bindUser(bindYes, userCommand.remove)},
		{name: "serve", bind: withoutFlags(p.serveMigrated)},
		{name: "healthcheck", bind: p.bindHealthcheck},
		{name: "key"},
		{name: "key generate", bind: withoutFlags(func(context.Context) error { return p.generateKey() })},
		{name: "key check", bind: withoutFlags(p.checkKeys)},
		{name: "key rotate", bind: p.bindRotate},
		{name: "version", bind: withoutFlags(func(context.Context) error { return p.printVersion() })},
		{name: "help", takes: "[COMMAND]", bind: p.bindHelp},
	}
}

// withoutFlags is for a command that has no flags and takes no arguments.
func withoutFlags(do func(context.Context) error) func(*flag.FlagSet) action {
	return func(*flag.FlagSet) action {
		return func(ctx context.Context, _ []string) error { return do(ctx) }
	}
}

func (p program) bindStart(flags *flag.FlagSet) action {
	asksVersion := flags.Bool("version", false, "print the version, as \"avtotpy version\" does")
	return func(ctx context.Context, _ []string) error {
		if *asksVersion {
			return p.printVersion()
		}
		return p.start(ctx, "")
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
