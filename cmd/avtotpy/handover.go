package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/observe"
	"github.com/avtotpy/avtotpy/internal/osuser"
	"github.com/avtotpy/avtotpy/migrate"
)

// reexec replaces this process, after it has migrated, by "avtotpy serve" with
// the same process id and without the privileged settings: nothing but exec takes
// them out of /proc/PID/environ, and out of the memory. It returns when that is not
// possible, and then this process goes on.
func (p program) reexec(ctx context.Context, cfg config.Config, report migrate.Report, log *slog.Logger) {
	log.Debug("handing over to a process without the privileged settings")
	file := executable()
	environ, err := cfg.HandedOver(observe.MigrationOf(report).HandOver(cfg.WithoutPrivileged(p.environ)))
	if err == nil {
		release := holdSignals() // one that arrives from here on waits for the successor
		defer release()
		if ctx.Err() != nil {
			return
		}
		if err = osuser.NoNewPrivileges(); err == nil {
			err = p.exec(file, []string{p.name, "serve"}, environ)
		}
	}
	log.Warn("the privileged connection string stays readable in the environment of this process, because it could "+
		"not be replaced; "+
		"to keep it out, migrate in a job of its own (RUN_AND_EXIT) and serve with SKIP", "error", err)
}

// executable is the file of the running program. Its path is preferred, because
// that is the name that ps shows, unless an upgrade has put another program there.
func executable() string {
	const running = "/proc/self/exe"
	path, err := os.Executable()
	if err != nil {
		return running
	}
	there, errThere := os.Stat(path)
	itself, errItself := os.Stat(running)
	if errItself == nil && (errThere != nil || !os.SameFile(there, itself)) {
		return running
	}
	return path
}

// serveMigrated is the second half of RUN: like SKIP it knows no privileged
// connection, but like RUN it refuses to serve when the schema or its own role are
// not what they should be.
func (p program) serveMigrated(ctx context.Context) error {
	o, ctx, err := p.open(ctx, opening{settings: config.Skip, observed: true})
	if err != nil {
		return err
	}
	defer o.Close()
	return o.service().serveVerified(ctx)
}
