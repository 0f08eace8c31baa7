package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/avtotpy/avtotpy/internal/alarm"
	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/database"
	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/observe"
	"github.com/avtotpy/avtotpy/internal/store"
	"github.com/avtotpy/avtotpy/internal/web"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/connstring"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// A service is the web server and what it is made of.
type service struct {
	cfg       config.Config
	ring      *keyring.Ring
	migrator  *migrate.Migrator
	observers *observe.Observers
}

// serveVerified serves as the unprivileged role until ctx ends, unless the connection, its role
// or the schema are not what they should be.
func (s service) serveVerified(ctx context.Context) error {
	db, err := openDatabase(ctx, s.cfg, s.observers.Log())
	if err != nil {
		return err
	}
	defer db.Close()
	proof, err := s.prove(ctx, db.Pool())
	if err != nil {
		return err
	}
	return s.run(ctx, db, &proof)
}

// serve serves whatever there is: while the schema is not fit, requests get a 503.
func (s service) serve(ctx context.Context) error {
	db, err := openDatabase(ctx, s.cfg, s.observers.Log())
	if err != nil {
		return err
	}
	defer db.Close()
	return s.run(ctx, db, nil)
}

// run is the web server until ctx ends. proof is what was just found over a connection
// of the pool, nil without an audit.
func (s service) run(ctx context.Context, db *database.DB, proof *migrate.Verification) error {
	cfg, ring, log := s.cfg, s.ring, s.observers.Log()
	address := publicURL(cfg)
	st := store.New(db.Pool(), ring)
	st.Changes = db.Changes
	recorder := &alarm.Recorder{Log: log, Save: st.RecordIncidents, Counted: s.observers.SecurityEvent, Now: time.Now}
	//nolint:contextcheck // the request that met the row says nothing about who wrote it
	st.Distrust = s.observers.Distrusted(recorder.Record)
	own := selfAudit(s.migrator)
	fastMigrator := *own
	fastMigrator.LockTimeout = min(fastMigrator.LockTimeout, inspectTimeout)
	check := &readinessCheck{
		migrator: &fastMigrator, db: db, log: log, role: cfg.WebRole, inspected: s.observers.Inspected,
		clockAhead: s.observers.ClockAhead,
	}
	check.keys = func(ctx context.Context) error { return checkKeys(ctx, st) }
	check.prepare = func(ctx context.Context) error {
		if err := authenticate(ctx, st, log); err != nil {
			return err
		}
		return announceSetup(ctx, st, address, ring.SetupToken(), log)
	}
	var audit *privilege.Audit
	if proof != nil {
		check.known, audit = &proof.Status, proof.Audit
	}
	watch := s.observers.WatchRole(own, db.Pool(), audit)
	working, done := context.WithCancel(ctx)
	defer done()
	db.Watch(working)
	if proof != nil { // what fails here fails again below, where an inspection has a limit
		if err := checkKeys(ctx, st); err == nil {
			_ = authenticate(ctx, st, log)
		}
	}
	recorded := make(chan struct{})
	go func() { recorder.Run(working); close(recorded) }()
	defer func() { done(); <-recorded }()
	// Without a proof the program serves in any state; only a wrong key stops it, before anything is sealed with it.
	// With one, it waits only for a database that has moved since then.
	if err := check.check(ctx); err != nil && (proof != nil && !isTemporary(err) || is[*settingsError](err)) {
		return err
	}
	go watch.Run(working)
	go sweeper{store: st, keep: cfg.AuditRetention, log: log, swept: s.observers.RowsSwept}.run(working)
	server := &web.Server{
		Store: st, Fit: check.request, Ready: check.ready, Failed: check.failed, Event: recorder.Record,
		SetupToken: ring.SetupToken(), PublicURL: cfg.PublicURL, Proxies: web.Proxies(cfg.Proxies), Log: log,
		Now: time.Now, Version: version(),
	}
	return listen(ctx, cfg.ListenAddr, address, server.Handler(), check.ready, s.observers)
}

// masterKeys reads the keys that the settings hold.
func masterKeys(cfg config.Config) (*keyring.Ring, error) {
	ring, err := keyring.Parse(cfg.MasterKey.Reveal())
	if err != nil {
		return nil, &settingsError{fmt.Errorf("AVTOTPY_MASTER_KEY: %w", err)}
	}
	return ring, nil
}

// checkKeys distinguishes keys that do not fit the database from a database that fails.
func checkKeys(ctx context.Context, st *store.Store) error {
	err := st.CheckMasterKeys(ctx)
	if is[*store.KeyError](err) {
		return &settingsError{fmt.Errorf("AVTOTPY_MASTER_KEY: %w", err)}
	}
	if err != nil {
		return fmt.Errorf("check the master keys against the database: %w", err)
	}
	return nil
}

// authenticate brings what older programs wrote to what this one believes, once, before the first request is served.
func authenticate(ctx context.Context, st *store.Store, log *slog.Logger) error {
	rows, err := st.Authenticate(ctx)
	if rows > 0 {
		log.Info("authenticated sessions, passwords, members and accounts that an older program wrote", "rows", rows)
	}
	if err != nil {
		return fmt.Errorf("authenticate what an older program wrote: %w", err)
	}
	return nil
}

// prove makes sure that the unprivileged connection works, reaches the schema that was
// just migrated, and is that of a role which holds exactly the declared privileges. The role is
// the one that the server names: poolers rename users.
func (s service) prove(ctx context.Context, pool *pgxpool.Pool) (migrate.Verification, error) {
	found, err := proveOnce(ctx, selfAudit(s.migrator), pool, s.cfg.WebConn.Reveal())
	return found, verifyFailure(s.cfg, found, err)
}

// proveOnce audits over a connection that the pool keeps. When none can be made soon, the
// migrator connects itself: it retries for longer, and explains what is wrong.
func proveOnce(ctx context.Context, own *migrate.Migrator, pool *pgxpool.Pool, webConn string) (migrate.Verification,
	error,
) {
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pool.Acquire(soon)
	if err != nil {
		return verified(ctx, own, webConn, migrate.Privileges)
	}
	defer conn.Release()
	return own.Verify(ctx, conn.Conn(), migrate.OwnPrivileges)
}

// verifyFailure explains why the connection of which an audit found this, or failed, must not serve.
func verifyFailure(cfg config.Config, found migrate.Verification, err error) error {
	role := found.Status.Role
	if role == "" { // not let in
		role = userOf(cfg.WebConn.Reveal())
	}
	if found.Audit != nil && err == nil {
		err = found.Audit.Err()
	}
	lacks, isPrivilege := errors.AsType[*migrate.PrivilegeError](err)
	switch another := role != cfg.WebRole; {
	case another && len(found.Status.TooMuch) > 0:
		return &settingsError{fmt.Errorf("POSTGRES_CONNECTION_STR connects as %q, which %s: the web server must not "+
			"be able to do that. "+
			"Put the user of POSTGRES_MIGRATOR_UNPRIVILEGED_USER%s and its password into it", role,
			strings.Join(found.Status.TooMuch, ", "), inBrackets(cfg.WebRole))}
	case another && isPrivilege: // whose SQL would give privileges to a role that has nothing to do with it
		return &settingsError{fmt.Errorf("POSTGRES_CONNECTION_STR connects as %q, which is not the user of "+
			"POSTGRES_MIGRATOR_UNPRIVILEGED_USER%s, "+
			"and does not hold exactly the declared privileges%s. Correct POSTGRES_CONNECTION_STR", role,
			inBrackets(cfg.WebRole), cmp.Or(differences(found.Audit), ": "+lacks.Lacks))}
	case err != nil:
		return fmt.Errorf("POSTGRES_CONNECTION_STR: %w", err)
	}
	if err := found.Status.Err(); err != nil {
		return &settingsError{fmt.Errorf("POSTGRES_CONNECTION_STR reaches another database than the one that was "+
			"just migrated: there, %w", err)}
	}
	return nil
}

// selfAudit returns a migrator that audits the role of the connection.
func selfAudit(migrator *migrate.Migrator) *migrate.Migrator {
	own := *migrator
	own.Role.Name = ""
	return &own
}

// userOf is the user of a connection string.
func userOf(conn string) string {
	parsed, err := pgx.ParseConfig(conn)
	if err != nil {
		return ""
	}
	return parsed.User
}

// differences lists what an audit found, for the end of a sentence; a may be nil.
func differences(a *privilege.Audit) string {
	if a == nil || a.Err() == nil {
		return ""
	}
	return ": " + observe.Summary(*a)
}

func inBrackets(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf(" (%q)", name)
}

// openDatabase prepares the web server's connections; the first is made when it is
// needed, so that SKIP serves at once.
func openDatabase(ctx context.Context, cfg config.Config, log *slog.Logger) (*database.DB, error) {
	if err := connstring.Check(cfg.WebConn.Reveal()); err != nil {
		return nil, &settingsError{fmt.Errorf("POSTGRES_CONNECTION_STR: %w", err)}
	}
	pool, err := pgxpool.ParseConfig(cfg.WebConn.Reveal())
	if err != nil { // which may repeat parts of the string
		return nil, &settingsError{errors.New("POSTGRES_CONNECTION_STR: cannot be parsed; in the URL form, special " +
			"characters of the password are written as %40 for @, %2F for / and so on")}
	}
	pool.ConnConfig.RuntimeParams["application_name"] = "avtotpy/" + version()
	if _, named := connstring.Parameter(cfg.WebConn.Reveal(), "default_query_exec_mode"); !named {
		// Prepared statements with names do not survive a pooler in transaction mode.
		pool.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	store.Pin(pool)
	return database.Open(ctx, pool, log)
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

// announceSetup logs how to make the first user, while there is none.
func announceSetup(ctx context.Context, st *store.Store, address, token string, log *slog.Logger) error {
	done, err := st.HasUsers(ctx)
	if err != nil || done {
		return err
	}
	log.Warn("there is no user yet: open the page and enter the token", "page", address+"/setup", "token", token)
	return nil
}

// cannotListen is the error of an address on which nothing can listen, with what helps.
func cannotListen(setting string, err error) error {
	next := "choose another address"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		next = "choose another port, or stop the program that uses this one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		next = "this machine has no such address: choose one of its own, or leave out the host to listen on all"
	case errors.Is(err, fs.ErrPermission):
		next = "ports below 1024 are for root, which the program does not stay: choose a higher one behind a proxy, " +
			"let the service manager start it as its user " +
			"with CAP_NET_BIND_SERVICE (AmbientCapabilities= next to User=), or lower the sysctl " +
			"net.ipv4.ip_unprivileged_port_start"
	}
	return &settingsError{fmt.Errorf("%s: %w; %s", setting, err, next)}
}

// mostConnections need about 60 MB while each sends as many headers as it may.
const mostConnections = 1024

// listen serves until ctx ends, and then lets running requests finish for up to
// ten seconds.
func listen(ctx context.Context, addr, address string, handler http.Handler,
	ready func(context.Context) (string, error),
	observers *observe.Observers,
) error {
	log := observers.Log()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return cannotListen("AVTOTPY_LISTEN_ADDR", err)
	}
	connections := web.Connections{Most: mostConnections}
	server := &http.Server{
		Handler:           handler,
		ConnState:         connections.Changed,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    web.MaxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	log.Info("serving", "address", address, "listen", listener.Addr().String(), "pid", os.Getpid())
	observers.Serving(address, ready)
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
	observers.Stopping()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close() // the requests that still run had ten seconds
	}
	return nil
}
