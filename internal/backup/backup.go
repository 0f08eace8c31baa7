// Package backup writes one schema of a database into a file, with pg_dump.
//
// A file with its final name is whole and on the disk; what was cut short has
// another name and is removed, by the next backup if need be. No password leaves this
// process: pg_dump reaches the database through a connection that was opened here,
// over a socket that no other user may use. It never deletes a backup.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Options say what is backed up, and where to.
type Options struct {
	Dir         string        // the folder; made, for this user only, when it does not exist
	Conn        string        // connection string of a role that may read all of the schema
	Schema      string        // what is backed up
	Version     int           // of the schema; a part of the file's name
	BinDir      string        // folder of pg_dump, or "" to search
	LockWait    time.Duration // how long to wait for a table that is locked; 0 without an end
	Application string        // names the connection in pg_stat_activity
}

// A Backup is a file that was written.
type Backup struct {
	File   string
	Size   int64  // bytes
	PgDump string // its version
}

// A SetupError is something to set right before any backup can be made: pg_dump is
// missing or too old, or the folder cannot be written to.
type SetupError struct{ Err error }

func (e *SetupError) Error() string { return e.Err.Error() }
func (e *SetupError) Unwrap() error { return e.Err }

// closed adds to the error of a folder that cannot be written to what may close it.
func closed(err error) error {
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w. The file system is read-only, or the service manager makes it so: systemd does where "+
			"ProtectSystem is strict, "+
			"except in folders that the unit names. Choose a folder that it may write to, such as "+
			"/var/lib/avtotpy/backups with the unit of AVTotpy", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w. Give the folder to the user that the program runs as (user id %d), or choose "+
			"another one", err, os.Geteuid())
	}
	return err
}

// Make writes a backup. When it fails, or ctx ends, no file is left.
func Make(ctx context.Context, o Options) (Backup, error) {
	file, err := create(o.Dir)
	if err != nil {
		return Backup{}, &SetupError{closed(o.noRoom(fmt.Errorf("write to the folder of backups: %w", err)))}
	}
	defer file.discard()
	s, err := open(ctx, o)
	if err != nil {
		return Backup{}, fmt.Errorf("connect to the database for a backup: %w", err)
	}
	defer s.close()
	program, err := findPgDump(ctx, o.BinDir, s.major)
	if err != nil {
		return Backup{}, err
	}
	began := time.Now()
	if err := s.dump(ctx, program, o, file.Name()); err != nil {
		return Backup{}, o.noRoom(err)
	}
	b := Backup{PgDump: fmt.Sprintf("%d.%d", program.Major, program.Minor)}
	b.File, b.Size, err = file.keep(o.name(s.database, began))
	return b, o.noRoom(err)
}

// name is the file's name: whose it is, which version it holds, and since when.
func (o Options) name(database string, at time.Time) string {
	safe := regexp.MustCompile(`[^A-Za-z0-9_.-]`).ReplaceAllString(database, "_")
	return fmt.Sprintf("%s-%s-v%04d-%s", o.Schema, safe, o.Version, at.UTC().Format("20060102T150405Z"))
}

// noRoom adds the next step to the error of a full disk.
func (o Options) noRoom(err error) error {
	if err == nil {
		return nil
	}
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	// pg_dump's, in English as it is asked to
	for _, words := range []string{"No space left on device", "Disk quota exceeded"} {
		full = full || strings.Contains(err.Error(), words)
	}
	if !full {
		return err
	}
	return fmt.Errorf("%w\nMake room in %s and start again: no old backup was removed", err, o.Dir)
}
