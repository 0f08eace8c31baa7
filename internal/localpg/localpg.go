// Package localpg runs the embedded PostgreSQL as a child process, on a folder of ours.
//
// It never deletes or overwrites data: a cluster is made aside and renamed into a place that is empty, a
// cluster of another major version is refused untouched, and a lost master key is never replaced by a new one.
//
// The folder holds
//
//	postgres/         the cluster
//	secrets/          superuser-password, migrator-password, web-password, master-key
//	log/postgres.log  the server's log, and a few older ones
//	run/              the server's socket; a private temporary folder takes its place when the path is too long
//	lock              held by the one running instance
//	backups/          of the schema, by internal/backup; not ours
//
// The server listens on that socket only and asks every role for a password. It ends with this process: Stop
// shuts it down in order, on Linux the kernel does so when this process is killed, and elsewhere the next Start
// stops the server that was left.
//
// Nothing in the folder is trusted that belongs to others or that others may write to, and no link in it is followed
// (internal/owned).
//
// PostgreSQL refuses to run as root. Started as root, the server runs as the owner of the cluster, at first
// postgres, or a user without privileges. That user must be able to pass through the folder, which is therefore 0711
// then and 0700 otherwise; secrets/ and lock remain root's. Open needs root then; Home.Start works as well when root
// has become that user in between, as the program does.
package localpg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/avtotpy/avtotpy/internal/osuser"
	"github.com/avtotpy/avtotpy/internal/owned"
)

const (
	superuser    = "postgres"
	migratorRole = "avtotpy_migrator"
	webRole      = "avtotpy_web"
	databaseName = "avtotpy"
	port         = "5432" // only names the socket: nothing listens on TCP
)

// Options say where the server lives.
type Options struct {
	DataDir   string       // folder of ours; holds the cluster, sockets and secrets. Created 0700, or 0711 as root
	BinDir    string       // folder of postgres and initdb, or "" to search
	Settings  []string     // extra "name=value" server settings, which win over ours
	MasterKey string       // the operator's own key, in place of secrets/master-key; "" uses that file
	User      *osuser.User // as root: who runs a new cluster; nil: postgres, or a user without privileges
	Folders   []string     // more folders in DataDir that this user writes to, when root does not
	Existing  bool         // make no cluster where there is none: a *NoClusterError
	Log       *slog.Logger // nil: slog.DiscardHandler
}

// Start is Open and Home.Start, without anything in between.
func Start(ctx context.Context, o Options) (*Server, error) {
	home, err := Open(ctx, o)
	if err != nil {
		return nil, err
	}
	return home.Start(ctx)
}

// A NoClusterError means that a folder has no cluster yet, and that none was asked for.
type NoClusterError struct{ Folder string }

func (e *NoClusterError) Error() string {
	return "there is no PostgreSQL in the data folder " + e.Folder
}

// A Home is a data folder that is locked and has everything that a server on it needs.
type Home struct {
	server *Server
	bin    binaries
	o      Options
	found  cluster
}

// Open does what root alone can do, when root calls it: it makes what is missing in the folder, and reads the secrets.
// It refuses a folder, and in it files, of others, or that others may write to, and follows no links.
//
// Errors that a caller may want to distinguish, here and of Home.Start, are *NotFoundError, *VersionError,
// *LockedError, *MissingSecretError, *UnreachableError, *OwnerError, *StoppedError, *NoClusterError and *owned.Error.
func Open(ctx context.Context, o Options) (*Home, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	// Nothing is written before it is clear that the server can run.
	home, err := openFolder(o.DataDir)
	if err != nil {
		return nil, err
	}
	found, err := home.cluster()
	if err != nil {
		return nil, err
	}
	if o.Existing && !found.exists() {
		return nil, &NoClusterError{o.DataDir}
	}
	account, unfit := accountFor(found, o.User)
	bin, err := choose(search(ctx, cmp.Or(account, unprivilegedAccount()), o.BinDir), found, o.BinDir)
	if err := cmp.Or(ctx.Err(), err, unfit); err != nil {
		return nil, err
	}
	if err := account.reaches(home.path, bin.dir); err != nil {
		return nil, err
	}
	lock, err := home.claim(account)
	if err != nil {
		return nil, errors.Join(err, home.close())
	}
	s := &Server{folder: home, account: account, log: o.Log, release: []func() error{lock.Close, home.close}}
	if err := s.prepare(ctx, o, found, bin); err != nil {
		return nil, errors.Join(err, s.giveBack())
	}
	return &Home{s, bin, o, found}, nil
}

// User is as whom the server runs. Root becomes that user before it calls Start, if it has no reason to stay root.
func (h *Home) User() osuser.User { return h.server.account.User() }

// Close gives the folder back, unless Start was called.
func (h *Home) Close() error { return h.server.giveBack() }

// Start returns a server that accepts connections and has the database avtotpy with the roles of the migrator and of
// the web server. A crash recovery takes as long as it takes: only the end of ctx cuts it short.
func (h *Home) Start(ctx context.Context) (*Server, error) {
	s := h.server
	if err := s.clear(ctx, h.found); err != nil {
		return nil, errors.Join(err, s.giveBack())
	}
	if err := s.launch(ctx, h.bin, h.o.Settings); err != nil {
		return nil, errors.Join(err, s.giveBack())
	}
	if err := s.setUp(ctx); err != nil {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quickStop)
		defer cancel()
		_ = s.Stop(stopCtx) // err says more
		return nil, err
	}
	s.log.Info("PostgreSQL is ready", "version", h.bin.version(), "folder", s.folder.path)
	return s, nil
}

// prepare makes everything in the folder that the server needs before it runs, and gives to its user what is its.
func (s *Server) prepare(ctx context.Context, o Options, found cluster, bin binaries) error {
	if err := s.folder.sweep(); err != nil {
		return err
	}
	var err error
	// Before the cluster: a crash in between leaves secrets without data, never data without secrets.
	if s.secrets, err = openSecrets(s.folder, found.exists(), o.MasterKey, time.Now(), s.log); err != nil {
		return err
	}
	if !found.exists() {
		if err := s.makeCluster(ctx, bin, o.Settings); err != nil {
			return err
		}
		s.log.Info("made a PostgreSQL cluster: back up the whole folder, without the master key in it no code "+
			"can be read",
			"folder", s.folder.path, "secrets", s.folder.join("secrets"))
	}
	folders := []string{"log"}
	if s.account.other() {
		folders = append(folders, o.Folders...)
	}
	for _, name := range folders {
		dir, err := s.folder.dir.With(s.account.uid).Make(name)
		if err != nil {
			return fmt.Errorf("folder %s: %w", name, err)
		}
		if err := errors.Join(s.account.give(dir.File), dir.Close()); err != nil {
			return fmt.Errorf("folder %s: %w", name, err)
		}
	}
	return s.makeSockets()
}

// checkSettings refuses links and files of others in the places of PostgreSQL's own settings: of what it does not
// understand in them, its log repeats pieces, and our errors the end of its log.
func (s *Server) checkSettings() error {
	dir, err := s.folder.dir.With(s.account.uid).Sub("postgres")
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	defer dir.Close() //nolint:errcheck // it was only looked at
	for _, name := range []string{"postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf"} {
		file, err := dir.Open(name, os.O_RDONLY)
		if is[*owned.Error](err) {
			return fmt.Errorf("settings of the cluster: %w", err)
		}
		if err == nil { // otherwise PostgreSQL says what is wrong
			_ = file.Close() // as above
		}
	}
	return nil
}

// clear does what is left to do before the server runs, as its user where root has become that one.
func (s *Server) clear(ctx context.Context, found cluster) error {
	if err := s.checkSettings(); err != nil {
		return err
	}
	if found.exists() {
		if err := s.endEarlierServer(ctx); err != nil {
			return err
		}
	}
	if err := s.openSockets(); err != nil {
		return err
	}
	dir, err := s.folder.dir.With(s.account.uid).Sub("log")
	if err != nil {
		return fmt.Errorf("folder of the server's log: %w", err)
	}
	s.output, err = openLog(dir)
	s.release = append(s.release, s.output.Close)
	return err
}
