// Package localpg runs a PostgreSQL of our own as a child process, on a folder of ours.
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
// stops the server that was left behind.
//
// PostgreSQL refuses to run as root. Started as root, the server runs as the owner of the cluster, at first the
// user postgres or else nobody. That user must be able to pass through the folder, which is therefore 0711
// then and 0700 otherwise; secrets/ and log/ remain root's and 0700.
package localpg

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"
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
	Log       *slog.Logger // nil: slog.DiscardHandler
}

// Start returns a server that accepts connections and has the database avtotpy and the migrator's role. It
// makes what is missing. A crash recovery takes as long as it takes: only the end of ctx cuts it short.
//
// Errors that a caller may want to tell apart are *NotFoundError, *VersionError, *LockedError,
// *MissingSecretError, *UnreachableError and *StoppedError.
func Start(ctx context.Context, o Options) (*Server, error) {
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
	bin, err := choose(search(ctx, o.BinDir), found, o.BinDir)
	if err := cmp.Or(ctx.Err(), err); err != nil {
		return nil, err
	}
	account, err := accountFor(found)
	if err != nil {
		return nil, err
	}
	if err := account.reaches(home.path, bin.dir); err != nil {
		return nil, err
	}
	lock, err := home.claim(account)
	if err != nil {
		return nil, err
	}
	s := &Server{folder: home, account: account, log: o.Log, release: []func() error{lock.Close}}
	if err := s.prepare(ctx, o, found, bin); err != nil {
		return nil, errors.Join(err, s.giveBack())
	}
	if err := s.launch(ctx, bin, o.Settings); err != nil {
		return nil, errors.Join(err, s.giveBack())
	}
	if err := s.setUp(ctx); err != nil {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quickStop)
		defer cancel()
		_ = s.Stop(stopCtx) // err says more
		return nil, err
	}
	s.log.Info("PostgreSQL is ready", "version", bin.version(), "folder", home.path)
	return s, nil
}

// prepare makes everything that the server needs before it runs.
func (s *Server) prepare(ctx context.Context, o Options, found cluster, bin binaries) error {
	if err := s.folder.sweep(); err != nil {
		return err
	}
	var err error
	// Before the cluster: a crash in between leaves secrets without data, never data without secrets.
	if s.secrets, err = openSecrets(s.folder, found.exists(), o.MasterKey, time.Now()); err != nil {
		return err
	}
	if found.exists() {
		if err := s.endEarlierServer(ctx); err != nil {
			return err
		}
	} else {
		if err := s.makeCluster(ctx, bin, o.Settings); err != nil {
			return err
		}
		s.log.Info("made a PostgreSQL cluster: back up the whole folder, without the master key in it no code can be read",
			"folder", s.folder.path, "secrets", s.folder.join("secrets"))
	}
	if err := s.openSockets(); err != nil {
		return err
	}
	s.output, err = openLog(s.folder.join("log"))
	if err == nil {
		s.release = append(s.release, s.output.Close)
	}
	return err
}
