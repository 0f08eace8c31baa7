package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/internal/sqlstate"
)

// setUp waits for the server and gives it the database and the migrator's role. Each step may have been done by
// an earlier start: a crash between any two of them is repaired here, and so is a lost password.
func (s *Server) setUp(ctx context.Context) error {
	conn, err := s.ready(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // what was asked for is done
	if err := s.makeDatabase(ctx, conn); err != nil {
		return fmt.Errorf("make the database %s: %w", databaseName, err)
	}
	if err := s.makeRoles(ctx, conn); err != nil {
		return fmt.Errorf("make the roles: %w", err)
	}
	return nil
}

func (s *Server) makeDatabase(ctx context.Context, conn *pgx.Conn) error {
	var exists bool
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, databaseName).Scan(&exists)
	if err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, `CREATE DATABASE `+pgx.Identifier{databaseName}.Sanitize())
	return err
}

// makeRoles makes both roles, and gives them their passwords in case those were lost. The migrator could make the web
// role itself with CREATEROLE, which it therefore does not get: on PostgreSQL 15 such a role can grant itself
// pg_execute_server_program. Nothing needs quotes: names are constants, and see openPassword.
func (s *Server) makeRoles(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, role := range []string{migratorRole, webRole} {
			if err := makeRole(ctx, tx, role); err != nil {
				return err
			}
		}
		for _, statement := range []string{
			`ALTER ROLE avtotpy_migrator LOGIN INHERIT NOCREATEROLE NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS
				PASSWORD '` + s.secrets.migrator + `'`,
			`ALTER ROLE avtotpy_web LOGIN PASSWORD '` + s.secrets.web + `'`, // what else it is, a start judges
			`REVOKE ALL ON DATABASE avtotpy FROM PUBLIC`,
			`GRANT CREATE ON DATABASE avtotpy TO avtotpy_migrator`,
			// until the migrations have run, it finds nothing there
			`GRANT CONNECT ON DATABASE avtotpy TO avtotpy_web`,
			`GRANT CONNECT ON DATABASE avtotpy TO avtotpy_migrator WITH GRANT OPTION`, // it lets the web role in
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

func makeRole(ctx context.Context, tx pgx.Tx, role string) error {
	var exists bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, role).Scan(&exists)
	if err != nil || exists {
		return err
	}
	_, err = tx.Exec(ctx, `CREATE ROLE `+role+` NOINHERIT`)
	return err
}

// ready returns the superuser's first connection. It waits as long as the server lives.
func (s *Server) ready(ctx context.Context) (*pgx.Conn, error) {
	began := time.Now()
	notice := time.NewTicker(noticeInterval)
	defer notice.Stop()
	delay := 20 * time.Millisecond
	for {
		conn, err := pgx.Connect(ctx, s.SuperConn("postgres"))
		if err == nil {
			return conn, nil
		}
		if ctx.Err() == nil && !startsUp(err) {
			return nil, fmt.Errorf("connect to PostgreSQL: %w%s", err, s.passwordHelp(err))
		}
		select {
		case <-s.done:
			return nil, s.err
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for PostgreSQL to accept connections: %w; the end of its log %s:\n%s",
				ctx.Err(), s.output.path, indent(s.output.tail()))
		case <-notice.C:
			s.log.Info("PostgreSQL is still starting, it may be recovering from a crash", "waited",
				time.Since(began).Round(time.Second), "log", s.output.path)
		case <-time.After(delay):
			delay = min(delay*3/2, time.Second/2) // each try during a recovery is a line in the server's log
		}
	}
}

// startsUp reports whether a server that cannot be connected to may merely not be ready.
func startsUp(err error) bool {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refused.Code == sqlstate.CannotConnectNow
	}
	for _, early := range []error{
		syscall.ENOENT, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, io.EOF,
		io.ErrUnexpectedEOF,
	} {
		if errors.Is(err, early) {
			return true
		}
	}
	return false
}

func (s *Server) passwordHelp(err error) string {
	if sqlstate.Of(err) != sqlstate.InvalidPassword {
		return ""
	}
	return fmt.Sprintf("; %s is not the password of this cluster: restore it from the same backup as the cluster",
		s.folder.join("secrets", "superuser-password"))
}
