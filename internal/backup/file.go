package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/avtotpy/avtotpy/internal/owned"
)

// A file is a backup in the making. It is locked as long as its writer lives, so that
// what a killed one left can be distinguished from what another writes at this moment.
type file struct {
	*os.File
	dir  string
	made bool // the folder, too
	kept bool
}

// unfinished is how such files are called; no tool that looks for *.dump takes one for
// a backup.
const unfinished = ".backup-*.unfinished"

// create makes an empty file, and the folder if there is none, for this user only. pg_dump is
// given the file's name, so no other user may be able to put a link in its place.
func create(dir string) (*file, error) {
	dir, err := owned.Ours().Reach(dir)
	if err != nil {
		return nil, err
	}
	_, missing := os.Lstat(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if _, err := owned.Ours().Reach(filepath.Join(dir, "a file")); err != nil {
		return nil, err
	}
	sweep(dir)
	f, err := os.CreateTemp(dir, unfinished) // with mode 0600
	if err != nil {
		return nil, err
	}
	_ = lock(f) // where a file system knows no locks, sweep goes by the age
	return &file{File: f, dir: dir, made: missing != nil}, nil
}

// keep makes what was written safe on the disk, and then gives it its name, or one
// with a number after it when that is taken.
func (f *file) keep(name string) (path string, size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return "", 0, err
	}
	if err := f.isArchive(); err != nil {
		return "", 0, err
	}
	if err := f.Sync(); err != nil {
		return "", 0, err
	}
	path = filepath.Join(f.dir, name+".dump")
	for n := 2; ; n++ {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			break
		}
		path = filepath.Join(f.dir, fmt.Sprintf("%s-%d.dump", name, n))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return "", 0, err
	}
	f.kept = true
	err = syncDir(f.dir)
	if f.made {
		err = errors.Join(err, syncDir(filepath.Dir(f.dir)))
	}
	return path, info.Size(), err
}

// isArchive reads the first bytes: what was called pg_dump may have been something else.
func (f *file) isArchive() error {
	const magic = "PGDMP" // K_VERS in PostgreSQL's pg_backup_archiver.h follows it
	begin := make([]byte, len(magic))
	if _, err := f.ReadAt(begin, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(begin) != magic {
		return errors.New("pg_dump ended without an error, but what it wrote is no archive of PostgreSQL's")
	}
	return nil
}

// discard removes a file that was not kept.
func (f *file) discard() {
	if !f.kept {
		_ = os.Remove(f.Name()) // the next backup tries again
	}
	_ = f.Close() // keep has synced what matters
}

// sweep removes what killed backups left. A file's lock ends with its writer;
// one that was made this minute may not be locked yet.
func sweep(dir string) {
	const young, old = time.Minute, 24 * time.Hour
	left, _ := filepath.Glob(filepath.Join(escape(dir), unfinished)) // the pattern is well-formed
	for _, path := range left {
		const regular = os.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK
		f, err := os.OpenFile(path, regular, 0) //nolint:gosec // in the operator's folder
		if err != nil {
			continue // another user's
		}
		info, err := f.Stat()
		if err == nil && !info.Mode().IsRegular() {
			_ = f.Close() // it is no file of ours
			continue
		}
		locked := lock(f)
		inUse := errors.Is(locked, unix.EWOULDBLOCK)
		if err == nil && !inUse {
			age := time.Since(info.ModTime())
			if locked == nil && age > young || age > old {
				_ = os.Remove(path) // the next backup tries again
			}
		}
		_ = f.Close() // it was only looked at
	}
}

func lock(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

func syncDir(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // the operator's
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
