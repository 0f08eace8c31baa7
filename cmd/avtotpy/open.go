package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/localpg"
	"github.com/avtotpy/avtotpy/internal/observe"
	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// An opening is how a command uses what it opens.
type opening struct {
	settings config.Mode // the mode whose settings are needed; "" for the one that the settings name
	observed bool        // probes, the service manager and a terminal show what it does
	existing bool        // the embedded PostgreSQL must exist; that of a server that runs is used as well
}

// serves reports whether a command listens for people, in the mode that the settings name.
func (m opening) serves(mode config.Mode) bool { return m.observed && mode != config.RunAndExit }

// opened is what a command works with that needs the database.
type opened struct {
	cfg      config.Config // with the connections of the embedded PostgreSQL, where it is used
	embedded bool
	log      *slog.Logger
	migrator *migrate.Migrator
	ring     *keyring.Ring // nil in a mode that needs no master keys

	observers *observe.Observers // nil unless observed

	closers []func()
}

// Close stops the embedded PostgreSQL, and then what observes the program.
func (o *opened) Close() {
	for _, c := range slices.Backward(o.closers) {
		c()
	}
	o.closers = nil
}

// open reads the settings, gives root up, starts the embedded PostgreSQL when no database is configured, and
// prepares the migrator and the master keys. It connects to nothing. The context that it returns ends with ctx, or
// when the embedded PostgreSQL does.
func (p program) open(ctx context.Context, m opening) (*opened, context.Context, error) {
	cfg, log, err := p.settings(m.settings)
	if err != nil {
		return nil, nil, err
	}
	o := &opened{cfg: cfg, embedded: cfg.Embedded(), log: log}
	home, err := p.giveUpRoot(ctx, cfg, m, log)
	shared := m.existing && is[*localpg.LockedError](err) // a server runs: being a client of its PostgreSQL is enough
	if err != nil && !shared {
		return nil, nil, err
	}
	if m.observed {
		if err := p.observe(ctx, o, m); err != nil {
			return nil, nil, errors.Join(err, closeUnused(home))
		}
	}
	if shared {
		err = join(&o.cfg)
	} else {
		ctx, err = o.startEmbedded(ctx, home)
	}
	if err == nil {
		err = p.prepare(o)
	}
	if err != nil {
		o.Close()
		return nil, nil, err
	}
	return o, ctx, nil
}

// observe begins to show what the program does: a port that is taken is a setting to correct, and a start that takes
// long is one to observe.
func (p program) observe(ctx context.Context, o *opened, m opening) error {
	options := observe.Options{Addr: o.cfg.HealthAddr, Version: version(), Environ: p.environ, Log: o.log}
	if p.wantsBar(o.cfg) {
		options.Terminal = p.stderr
		options.LogTo = func(w io.Writer) *slog.Logger { return newLogger(w, true, o.cfg.LogLevel) }
	}
	observers, err := observe.Start(ctx, options)
	if err != nil {
		return cannotListen("AVTOTPY_HEALTH_ADDR", err)
	}
	o.observers, o.log = observers, observers.Log()
	o.closers = append(o.closers, observers.Close)
	if m.settings != config.Skip { // the second half of a start has another half before it
		logStart(o.log, o.cfg.Mode)
	}
	if _, handedOver := observe.HandedOver(p.environ); !handedOver { // the first half has logged it
		warnOfNetworks(o.cfg, o.log)
	}
	return nil
}

// wantsBar is for a person who waits for nothing but the migration. It has no
// colour, so NO_COLOR asks for nothing.
func (p program) wantsBar(cfg config.Config) bool {
	return cfg.Mode == config.RunAndExit && cfg.LogFormat != config.LogJSON && isTerminal(p.stderr) &&
		os.Getenv("TERM") != "dumb"
}

// prepare makes what the settings are for. A master key that is cut off is a setting to correct before anything is
// changed.
func (p program) prepare(o *opened) (err error) {
	if o.migrator, err = p.newMigrator(o.cfg, o.log); err != nil {
		return err
	}
	if o.cfg.Mode == config.Run || o.cfg.Mode == config.Skip {
		o.ring, err = masterKeys(o.cfg)
	}
	return err
}

// service is the web server of it.
func (o *opened) service() service { return service{o.cfg, o.ring, o.migrator, o.observers} }

// settings reads the environment for a mode, "" for the one that it names; what is
// odd but harmless is logged.
func (p program) settings(m config.Mode) (config.Config, *slog.Logger, error) {
	cfg, warnings, err := config.LoadFor(m, p.environ)
	if err != nil {
		for _, w := range warnings { // a name that is misspelt may be why another is missing
			err = errors.Join(err, errors.New(w))
		}
		return cfg, nil, &settingsError{fmt.Errorf("the settings are not right:\n%w", err)}
	}
	log := newLogger(p.stderr, asText(p.stderr, cfg.LogFormat), cfg.LogLevel)
	for _, w := range warnings {
		log.Warn(w)
	}
	return cfg, log, nil
}

// startEmbedded runs PostgreSQL as a child process on a data folder, when there is one, and completes the settings
// with the connections, passwords and keys of that server. The context that it returns ends with the server.
func (o *opened) startEmbedded(ctx context.Context, home *localpg.Home) (context.Context, error) {
	if home == nil {
		return ctx, nil
	}
	server, err := home.Start(ctx)
	if err != nil {
		return nil, &localError{err}
	}
	o.cfg.MigratorConn = config.Secret(server.MigratorConn())
	o.cfg.WebConn = config.Secret(server.WebConn())
	o.cfg.WebRole = server.WebRole()
	o.cfg.WebPassword = config.Secret(server.WebPassword())
	o.cfg.MasterKey = config.Secret(server.MasterKey())
	ctx, lost := context.WithCancelCause(ctx)
	go func() { <-server.Done(); lost(server.Err()) }()
	o.closers = append(o.closers, func() { stopEmbedded(ctx, server, o.log); lost(nil) })
	return ctx, nil
}

// join completes the settings with those of the embedded PostgreSQL that another process runs.
func join(cfg *config.Config) error {
	running, err := localpg.Join(localpg.Options{DataDir: cfg.DataDir, MasterKey: cfg.MasterKey.Reveal()})
	if err != nil {
		return &localError{err}
	}
	cfg.WebConn, cfg.WebRole, cfg.MasterKey = config.Secret(running.WebConn), running.WebRole,
		config.Secret(running.MasterKey)
	return nil
}

// closeUnused gives a data folder back on which nothing was started.
func closeUnused(home *localpg.Home) error {
	if home == nil {
		return nil
	}
	return home.Close()
}

// stopEmbedded works with a context that has ended, too: that is when it is called.
func stopEmbedded(ctx context.Context, server *localpg.Server, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := server.Stop(ctx); err != nil {
		log.Warn("PostgreSQL did not stop cleanly; it recovers at the next start", "error", err)
	}
}

// newMigrator is that of the settings.
func (p program) newMigrator(cfg config.Config, log *slog.Logger) (*migrate.Migrator, error) {
	bundle, err := schema.Load(p.migrations)
	if err != nil {
		return nil, err
	}
	return &migrate.Migrator{
		Bundle: bundle,
		Schema: schema.Name,
		Role: privilege.Role{
			Name: cfg.WebRole, Password: cfg.WebPassword.Reveal(), Privileges: p.privileges,
			Rotate: true, MustLogIn: cfg.Mode == config.RunAndExit,
		},
		Program: "AVTotpy",

		RepairCommand: "avtotpy migrate repair",

		Version:     version(),
		ConnectWait: cfg.ConnectWait,
		LockTimeout: cfg.LockTimeout,
		Wait:        cfg.Wait,
		Backup:      backupBefore(cfg, log),
		Log:         log,
	}, nil
}
