package localpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// quickStop is how long a server that is shut down at once may take: after 5 s it kills what is left of it.
const quickStop = 10 * time.Second

// Server is a running PostgreSQL.
type Server struct {
	folder  folder
	account account
	secrets secrets
	sockets string
	log     *slog.Logger

	command  *exec.Cmd
	output   *serverLog
	release  []func() error // what is given back once the server has ended
	stopping atomic.Bool
	done     chan struct{}
	err      error // written before done is closed
}

// Stop shuts the server down: sessions are cut, data is written out. When ctx ends before that, the server is
// stopped at once and recovers at the next start, and Stop returns an error. It may be called often and from
// several goroutines.
func (s *Server) Stop(ctx context.Context) error {
	s.stopping.Store(true)
	_ = s.command.Process.Signal(os.Interrupt) // it fails when the server has ended, which is what we want
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	_ = s.command.Process.Signal(quit) // as above
	select {
	case <-s.done:
		return fmt.Errorf("stop PostgreSQL in order: %w", ctx.Err())
	case <-time.After(quickStop):
		return fmt.Errorf("stop PostgreSQL (process %d): %w", s.command.Process.Pid, ctx.Err())
	}
}

// Done is closed when the server has ended and everything that it held is released.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err says why the server ended: nil before Done is closed and after Stop, else a *StoppedError.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// MigratorConn returns the connection string of the role that migrates. It may create schemas; it is no superuser, may
// create no roles and does not own the database. Like the others it has the form key=value, so that " dbname=x"
// may be appended.
func (s *Server) MigratorConn() string {
	return s.conn(migratorRole, s.secrets.migrator, databaseName)
}

// WebConn returns the connection string of the web role, which the migrator lets in.
func (s *Server) WebConn() string { return s.conn(webRole, s.secrets.web, databaseName) }

// WebRole returns the name of the web role.
func (s *Server) WebRole() string { return webRole }

// WebPassword returns the password of the web role.
func (s *Server) WebPassword() string { return s.secrets.web }

// MasterKey returns the text of the master key: lines id:base64(32 bytes).
func (s *Server) MasterKey() string { return s.secrets.masterKey }

// SuperConn returns the connection string of the superuser to a database.
func (s *Server) SuperConn(database string) string {
	return s.conn(superuser, s.secrets.superuser, database)
}

// conn needs no quotes: passwords and the socket's folder consist of plain characters, see readPassword and
// fitsSocket.
func (s *Server) conn(user, password, database string) string {
	database = strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(database)
	return fmt.Sprintf("host=%s port=%s user=%s password=%s dbname='%s' sslmode=disable", s.sockets, port, user,
		password, database)
}

// giveBack releases what the server held, the lock last.
func (s *Server) giveBack() error {
	var errs []error
	for _, release := range slices.Backward(s.release) {
		errs = append(errs, release())
	}
	return errors.Join(errs...)
}
