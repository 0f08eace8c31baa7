package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/observe"
	"github.com/avtotpy/avtotpy/migrate"
)

// start is what avtotpy does without arguments: settings, an embedded PostgreSQL when no
// database is configured, the migrations over the privileged connection, which is
// closed again and then leaves the process, and the web server over the
// unprivileged one. m is the mode, "" for that of the settings.
func (p program) start(ctx context.Context, m config.Mode) error {
	o, ctx, err := p.open(ctx, opening{settings: m, observed: true})
	if err != nil {
		return err
	}
	defer o.Close()
	if o.cfg.Mode == config.Skip {
		return o.service().serve(ctx)
	}
	if o.cfg.Mode == config.Run && !o.embedded {
		if err := o.checkUser(ctx); err != nil {
			return err
		}
	}
	report, err := o.migrate(ctx)
	if err != nil || o.cfg.Mode == config.RunAndExit {
		return err
	}
	if !o.embedded { // its passwords were never in the environment, and the server is our child
		p.reexec(ctx, o.cfg, report, o.log)
	}
	return o.service().serveVerified(ctx)
}

// migrate brings the database to this program's version, observed.
func (o *opened) migrate(ctx context.Context) (migrate.Report, error) {
	o.migrator.Progress = o.observers.Progress
	report, err := o.migrator.Up(ctx, o.cfg.MigratorConn.Reveal())
	o.observers.Migrated(observe.MigrationOf(report))
	logReport(o.log, report, err)
	if err == nil {
		warnOfPrograms(report, o.log)
	}
	return report, err
}

// checkUser refuses, before anything is migrated, a POSTGRES_CONNECTION_STR that cannot be the web server's.
func (o *opened) checkUser(ctx context.Context) error {
	if err := samePassword(o.cfg); err != nil {
		return err
	}
	return sameUser(ctx, o.cfg, o.migrator)
}

// samePassword refuses two passwords for one user before anything is migrated. When the two
// connections do not go to the same place, one of them may go to a pooler, which has passwords of
// its own.
func samePassword(cfg config.Config) error {
	web, errWeb := pgx.ParseConfig(cfg.WebConn.Reveal())
	admin, errAdmin := pgx.ParseConfig(cfg.MigratorConn.Reveal())
	if errWeb != nil || errAdmin != nil { // connecting reports what is wrong
		return nil //nolint:nilerr // as above
	}
	here := web.Host == admin.Host && web.Port == admin.Port && web.Database == admin.Database
	if !here || web.User != cfg.WebRole || web.Password == "" || web.Password == cfg.WebPassword.Reveal() {
		return nil
	}
	return &settingsError{fmt.Errorf("POSTGRES_CONNECTION_STR and POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD hold "+
		"two different passwords for the user %q. Nothing was changed; make them the same", cfg.WebRole)}
}

// sameUser refuses, before anything is migrated, a POSTGRES_CONNECTION_STR of another user than
// the one that gets the privileges. The server decides which role that is, because a pooler may rename
// users; when it does not let that user in, a pooler may be waiting for the role to be created. What
// remains in doubt is decided by the audit right before serving.
func sameUser(ctx context.Context, cfg config.Config, migrator *migrate.Migrator) error {
	web, errWeb := pgx.ParseConfig(cfg.WebConn.Reveal())
	admin, errAdmin := pgx.ParseConfig(cfg.MigratorConn.Reveal())
	if errWeb != nil || errAdmin != nil || web.User == cfg.WebRole {
		return nil //nolint:nilerr // connecting reports what is wrong
	}
	own := selfAudit(migrator)
	own.ConnectWait, own.Log = min(own.ConnectWait, 5*time.Second), slog.New(slog.DiscardHandler)
	found, err := verified(ctx, own, cfg.WebConn.Reveal(), migrate.Privileges)
	here := web.Host == admin.Host && web.Port == admin.Port && web.Database == admin.Database
	switch denied, ok := errors.AsType[*migrate.ConnectError](err); {
	case ok && here && denied.DeniesRole():
	case found.Status.Role == "", found.Status.Role == cfg.WebRole:
		return nil
	case len(found.Status.TooMuch) > 0, found.Audit != nil:
		if err := verifyFailure(cfg, found, err); is[*settingsError](err) {
			return err
		}
		return nil
	case found.Status.State != migrate.Blank && !is[*migrate.PrivilegeError](err):
		return nil
	}
	return &settingsError{fmt.Errorf("POSTGRES_CONNECTION_STR connects as %q, which is not the user of "+
		"POSTGRES_MIGRATOR_UNPRIVILEGED_USER (%q), the only one that gets the privileges. "+
		"Nothing was changed; put that user and its password into POSTGRES_CONNECTION_STR",
		cmp.Or(found.Status.Role, web.User), cfg.WebRole)}
}

// logStart names the program that a log is of, in its first line.
func logStart(log *slog.Logger, mode config.Mode) {
	log.Info("starting AVTotpy", "version", version(), "mode", mode, "go", strings.TrimPrefix(runtime.Version(), "go"),
		"system", runtime.GOOS+"/"+runtime.GOARCH)
}

// warnOfPrograms warns of what CREATEROLE allows on PostgreSQL 15. The migrator does not need it any more once the web
// server's role is there.
func warnOfPrograms(r migrate.Report, log *slog.Logger) {
	if r.RunsPrograms == "" {
		return
	}
	log.Warn("the migrator's role may create roles, and before PostgreSQL 16 such a role can make itself a member "+
		"of pg_execute_server_program and run programs on "+
		"the database server. It is not needed any more, now that the web server's role exists (docs/privileges.md)",
		"role", r.RunsPrograms, "sql", "ALTER ROLE "+pgx.Identifier{r.RunsPrograms}.Sanitize()+" NOCREATEROLE")
}

// logReport ends each migration with one line that a machine can read.
func logReport(log *slog.Logger, r migrate.Report, err error) {
	result := "current"
	switch {
	case err != nil:
		result = "failed"
	case len(r.Applied) > 0:
		result = "applied"
	case r.To > r.From:
		result = "applied by another"
	}
	log.Info("migration finished", "result", result, "count", len(r.Applied), "from", r.From, "to", r.To,
		"role_created", r.RoleCreated, "password_set", r.PasswordSet, "granted", len(r.Granted), "revoked",
		len(r.Revoked),
		"differences", len(r.Drift), "waited", r.Waited.Round(time.Millisecond), "duration",
		r.Elapsed.Round(time.Millisecond))
}

// A settingsError is bad configuration: nothing was started.
type settingsError struct{ err error }

func (e *settingsError) Error() string { return e.err.Error() }
func (e *settingsError) Unwrap() error { return e.err }

// A localError is an embedded PostgreSQL that does not start.
type localError struct{ err error }

func (e *localError) Error() string {
	message := "no connection string is set, so AVTotpy runs the embedded PostgreSQL: " + e.err.Error()
	if errors.Is(e.err, fs.ErrPermission) || errors.Is(e.err, fs.ErrNotExist) || errors.Is(e.err, syscall.ENOTDIR) ||
		errors.Is(e.err, syscall.EROFS) {
		message += fmt.Sprintf(". Set AVTOTPY_DATA_DIR to a folder that user id %d may make and write to, or "+
			"POSTGRES_MIGRATOR_CONNECTION_STR to use a server of yours", os.Geteuid())
	}
	return message
}
func (e *localError) Unwrap() error { return e.err }

// errUsage is a command line that is not understood.
var errUsage = errors.New("avtotpy help lists the commands")
