package localpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// makeCluster makes a cluster aside and renames it into place, so that a cluster is whole or not there.
func (s *Server) makeCluster(ctx context.Context, bin binaries, settings []string) error {
	s.log.Info("making a PostgreSQL cluster", "folder", s.folder.join("postgres"), "version", bin.version(), "user",
		s.account.String())
	err := s.tryCluster(ctx, bin, settings, "--locale=C.UTF-8")
	if err != nil && ctx.Err() == nil {
		// Some systems, such as macOS, have no C.UTF-8.
		err = s.tryCluster(ctx, bin, settings, "--no-locale")
	}
	return err
}

func (s *Server) tryCluster(ctx context.Context, bin binaries, settings []string, locale string) (err error) {
	aside, err := os.MkdirTemp(s.folder.path, unfinished)
	if err != nil {
		return fmt.Errorf("new cluster: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	password := filepath.Join(aside, "password") // the server's user cannot read secrets/
	// Once the folder is the account's, root writes nothing into it.
	if err := s.preparePassword(filepath.Base(aside), filepath.Base(password)); err != nil {
		return fmt.Errorf("password for initdb: %w", err)
	}
	made := filepath.Join(aside, "cluster")
	arguments := []string{
		"--pgdata=" + made, "--username=" + superuser, "--pwfile=" + password, "--auth=scram-sha-256",
		"--encoding=UTF8", locale, "--data-checksums",
	}
	if slices.Contains(settings, "fsync=off") {
		arguments = append(arguments, "--no-sync")
	}
	if err := s.initdb(ctx, bin, arguments); err != nil {
		return err
	}
	if err := os.Rename(made, s.folder.join("postgres")); err != nil { // fails when there is anything by now
		return fmt.Errorf("put the new cluster into place: %w", err)
	}
	return s.folder.dir.Sync()
}

// preparePassword writes the superuser's password for initdb, and gives the folder with it to the account.
func (s *Server) preparePassword(folder, name string) error {
	dir, err := s.folder.dir.Sub(folder)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing is written to it
	file, err := dir.Open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = file.WriteString(s.secrets.superuser + "\n")
	return errors.Join(err, s.account.give(file), file.Close(), s.account.give(dir.File))
}

func (s *Server) initdb(ctx context.Context, bin binaries, arguments []string) error {
	var output bytes.Buffer
	cmd := s.account.command(ctx, bin.path("initdb"), arguments...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = quickStop
	cmd.Stdout, cmd.Stderr = &output, &output
	runtime.LockOSThread() // see command
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("initdb: %w\n%s%s", errors.Join(err, ctx.Err()), indent(output.String()),
			s.account.help(output.String()))
	}
	return nil
}

// help explains what meets those who run a container as a user of their choice.
func (a account) help(output string) string {
	if !strings.Contains(output, "could not look up effective user ID") {
		return ""
	}
	return fmt.Sprintf("\nPostgreSQL wants the user it runs as to have a name: add user %d to /etc/passwd, or run "+
		"as one that is there", a.uid)
}
