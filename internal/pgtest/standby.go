package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A Standby is a server that follows another.
type Standby struct {
	Host string // the folder of its socket, for connection strings

	cluster string
	command *exec.Cmd
	output  *Output
}

// Standby starts a server on a copy of this one, which it follows. Settings are name=value.
func (o *Own) Standby(tb testing.TB, settings ...string) *Standby {
	tb.Helper()
	owner, err := os.Stat(o.cluster())
	if err != nil {
		tb.Fatal(err)
	}
	stat, _ := owner.Sys().(*syscall.Stat_t)
	uid, gid := int(stat.Uid), int(stat.Gid)
	folder, err := os.MkdirTemp("", "avtotpy-standby-") //nolint:usetesting // TempDir is closed to the server's user
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Chown(folder, uid, gid); err != nil {
		tb.Fatal(err)
	}
	s := &Standby{Host: folder, cluster: filepath.Join(folder, "c"), output: new(Output)}
	o.copyTo(tb, s.cluster, uid, gid)
	arguments := []string{"-D", s.cluster}
	for _, setting := range append([]string{
		"listen_addresses=", "port=5432", "unix_socket_directories=" + folder,
		"max_connections=50", "shared_buffers=16MB", "lc_messages=C",
	}, settings...) {
		arguments = append(arguments, "-c", setting)
	}
	program := o.program(tb)
	s.command = exec.CommandContext(context.Background(), program, arguments...) //nolint:gosec // the server's program
	s.command.Dir, s.command.Stdout, s.command.Stderr = "/", s.output, s.output
	if os.Geteuid() == 0 { // the server refuses root
		s.command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid}}
	}
	if err := s.command.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = s.command.Process.Signal(syscall.SIGQUIT)
		_ = s.command.Wait() // as asked
		if tb.Failed() {
			tb.Logf("the standby: %s", s.output)
		}
	})
	return s
}

// program is the server's own.
func (o *Own) program(tb testing.TB) string {
	tb.Helper()
	options, err := os.ReadFile(filepath.Join(o.cluster(), "postmaster.opts"))
	if err != nil {
		tb.Fatal(err)
	}
	program, _, _ := strings.Cut(string(options), " ")
	return program
}

// copyTo copies the cluster while the server runs (PostgreSQL documentation, "Making a
// Base Backup Using the Low Level API"); pg_basebackup is not everywhere.
func (o *Own) copyTo(tb testing.TB, to string, uid, gid int) {
	tb.Helper()
	ctx := context.Background()
	super := connect(tb, o.SuperConn)
	defer func() { _ = super.Close(ctx) }()
	if _, err := super.Exec(ctx, "SELECT pg_backup_start('standby', true)"); err != nil {
		tb.Fatal(err)
	}
	if err := copyFolder(o.cluster(), to); err != nil {
		tb.Fatal(err)
	}
	var label string
	if err := super.QueryRow(ctx, "SELECT labelfile FROM pg_backup_stop(false)").Scan(&label); err != nil {
		tb.Fatal(err)
	}
	config, err := pgx.ParseConfig(o.SuperConn)
	if err != nil {
		tb.Fatal(err)
	}
	_ = os.Remove(filepath.Join(to, "postmaster.pid"))
	for name, content := range map[string]string{
		"backup_label": label, "standby.signal": "",
		"postgresql.auto.conf": fmt.Sprintf("primary_conninfo = 'host=%s port=%d user=%s password=%s'\n", config.Host,
			config.Port, config.User, config.Password),
	} {
		if err := os.WriteFile(filepath.Join(to, name), []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	err = filepath.WalkDir(to, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid) //nolint:gosec // in a folder of the test's own
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// copyFolder passes over what vanishes while it copies: WAL makes up for it.
func copyFolder(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		target := to + strings.TrimPrefix(path, from)
		if entry.IsDir() {
			return os.Mkdir(target, 0o700) //nolint:gosec // in a folder of the test's own
		}
		content, err := os.ReadFile(path) //nolint:gosec // of the test's own server
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o600) //nolint:gosec // in a folder of the test's own
	})
}

// Conn is a connection string of the other server's, to this one.
func (s *Standby) Conn(conn string) string { return conn + " host=" + s.Host + " port=5432" }

// Promote makes it a primary, sooner or later. Before the standby has replayed the end of
// the backup that it was made from, it cannot be one: it would end with an error.
func (s *Standby) Promote(tb testing.TB) {
	tb.Helper()
	Eventually(tb, "the standby has replayed its backup", func() error {
		log := s.output.String()
		return Unless(strings.Contains(log, "consistent recovery state reached"), "its log: %s", log)
	})
	if err := os.WriteFile(filepath.Join(s.cluster, "promote"), nil, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := s.command.Process.Signal(syscall.SIGUSR1); err != nil {
		tb.Fatal(err)
	}
}

// Await waits until the standby answers and has replayed all that the primary has written.
func (s *Standby) Await(tb testing.TB, primary *Own) {
	tb.Helper()
	ctx := tb.Context()
	position := Value[string](tb, primary.SuperConn, "SELECT pg_current_wal_flush_lsn()::text")
	Eventually(tb, "the standby follows", func() error {
		conn, err := pgx.Connect(ctx, s.Conn(primary.SuperConn))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		var at string
		var there bool
		err = conn.QueryRow(ctx, "SELECT pg_last_wal_replay_lsn()::text, pg_last_wal_replay_lsn() >= $1::pg_lsn",
			position).Scan(&at, &there)
		if err == nil {
			err = Unless(there, "it is at %s, and not yet at %s", at, position)
		}
		return err
	})
}
