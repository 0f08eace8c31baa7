package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/store"
	"github.com/avtotpy/avtotpy/internal/web"
	"github.com/avtotpy/avtotpy/migrate"
)

// serveStrictly is serve, unless the connection, its role or the schema are not
// what they should be.
func serveStrictly(ctx context.Context, cfg config.Config, ring *keyring.Ring, migrator *migrate.Migrator, seen *onlookers) error {
	if err := proveWebConnection(ctx, cfg, migrator); err != nil {
		return err
	}
	cfg.Mode = config.Run
	return serve(ctx, cfg, ring, migrator, seen)
}

// serve runs the web server, as the unprivileged role, until ctx ends.
func serve(ctx context.Context, cfg config.Config, ring *keyring.Ring, migrator *migrate.Migrator, seen *onlookers) error {
	log := seen.log
	pool, err := openPool(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	address := publicURL(cfg)
	st := store.New(pool, ring)
	fit := &fitness{migrator: migrator, pool: pool, log: log, looked: seen.health.looked}
	fit.prepare = func(ctx context.Context) error {
		if err := checkKeys(ctx, st); err != nil {
			return err
		}
		return announceSetup(ctx, st, address, ring.SetupToken(), log)
	}
	// SKIP serves whatever it finds; only a wrong key stops it, before anything could be sealed with it.
	if err := fit.check(ctx); err != nil && (cfg.Mode == config.Run || is[*settingsError](err)) {
		return err
	}
	seen.health.serving(fit.check)
	watching, done := context.WithCancel(ctx)
	defer done()
	go (&watch{migrator: migrator, pool: pool, health: seen.health, log: log}).run(watching)
	server := &web.Server{Store: st, Fit: fit.check, SetupToken: ring.SetupToken(), PublicURL: cfg.PublicURL, Log: log, Now: time.Now, Version: version()}
	return listen(ctx, cfg.ListenAddr, address, server.Handler(), seen)
}

// masterKeys reads the keys that the settings hold.
func masterKeys(cfg config.Config) (*keyring.Ring, error) {
	ring, err := keyring.Parse(cfg.MasterKey.Reveal())
	if err != nil {
		return nil, &settingsError{fmt.Errorf("AVTOTPY_MASTER_KEY: %w", err)}
	}
	return ring, nil
}

// checkKeys tells keys that do not fit the database from a database that fails.
func checkKeys(ctx context.Context, st *store.Store) error {
	err := st.CheckMasterKeys(ctx)
	if is[*store.KeyError](err) {
		return &settingsError{fmt.Errorf("AVTOTPY_MASTER_KEY: %w", err)}
	}
	return err
}

// proveWebConnection makes sure that the unprivileged connection works, is that of
// an unprivileged role, and reaches the schema that was just migrated. The role is
// the one that the server names: poolers rename users.
func proveWebConnection(ctx context.Context, cfg config.Config, migrator *migrate.Migrator) error {
	status, err := migrator.Status(ctx, cfg.WebConn.Reveal())
	if err != nil {
		return fmt.Errorf("POSTGRES_CONNECTION_STR: %w", err)
	}
	if len(status.TooMuch) > 0 {
		return &settingsError{fmt.Errorf("POSTGRES_CONNECTION_STR connects as %q, which %s: the web server must not be able to do that. "+
			"Put the user of POSTGRES_MIGRATOR_UNPRIVILEGED_USER and its password into it", status.Role, strings.Join(status.TooMuch, ", "))}
	}
	if err := status.Err(); err != nil {
		return &settingsError{fmt.Errorf("POSTGRES_CONNECTION_STR reaches another database than the one that was just migrated: there, %w", err)}
	}
	return nil
}

// openPool prepares the web server's connections; the first is made when it is
// needed, so that SKIP serves at once.
func openPool(ctx context.Context, cfg config.Config) (*pgxpool.Pool, error) {
	pool, err := pgxpool.ParseConfig(cfg.WebConn.Reveal())
	if err != nil {
		return nil, &settingsError{errors.New("POSTGRES_CONNECTION_STR: cannot be parsed; in the URL form, special characters of the password are written as %40 for @, %2F for / and so on")}
	}
	pool.ConnConfig.RuntimeParams["application_name"] = "avtotpy/" + version()
	if !strings.Contains(cfg.WebConn.Reveal(), "default_query_exec_mode") {
		// Prepared statements with names do not survive a pooler in transaction mode.
		pool.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	return pgxpool.NewWithConfig(ctx, pool)
}

// publicURL is where people open the page.
func publicURL(cfg config.Config) string {
	if cfg.PublicURL != nil {
		return cfg.PublicURL.String()
	}
	host, port, err := net.SplitHostPort(cfg.ListenAddr)
	if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return (&url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}).String()
}

// announceSetup tells the operator how to make the first user, while there is none.
func announceSetup(ctx context.Context, st *store.Store, address, token string, log *slog.Logger) error {
	done, err := st.HasUsers(ctx)
	if err != nil || done {
		return err
	}
	log.Warn("there is no user yet: open the page and enter the token", "page", address+"/setup", "token", token)
	return nil
}

// listen serves until ctx ends, and then lets running requests finish for up to
// ten seconds.
func listen(ctx context.Context, addr, address string, handler http.Handler, seen *onlookers) error {
	log := seen.log
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return &settingsError{fmt.Errorf("AVTOTPY_LISTEN_ADDR: %w; choose another address, or stop the program that uses this one", err)}
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	log.Info("serving", "address", address, "listen", listener.Addr().String(), "pid", os.Getpid())
	seen.serving(address)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	if !is[*signalError](context.Cause(ctx)) {
		_ = server.Close() // the local PostgreSQL is gone: there is nothing to finish
		return context.Cause(ctx)
	}
	log.Info("stopping", "why", context.Cause(ctx))
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close() // whoever is still there had ten seconds
	}
	return nil
}
