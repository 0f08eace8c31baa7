package localpg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// LockedError says that another instance runs on the folder.
type LockedError struct {
	Folder string
	PID    string // of the other instance; "" when it has not written it yet
}

func (e *LockedError) Error() string {
	holder := "another instance"
	if e.PID != "" {
		holder = "process " + e.PID
	}
	return fmt.Sprintf("%s is in use by %s: stop that one, or give this one a folder of its own with AVTOTPY_DATA_DIR", e.Folder, holder)
}

// folder is the place of everything that belongs to one installation.
type folder struct {
	path string // absolute, without links: the server's command line is compared with it
}

func openFolder(dir string) (folder, error) {
	if dir == "" {
		return folder{}, errors.New("the data folder has no name: set AVTOTPY_DATA_DIR")
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return folder{}, fmt.Errorf("data folder: %w", err)
	}
	existing, missing := path, ""
	for {
		resolved, err := filepath.EvalSymlinks(existing)
		if err == nil {
			return folder{filepath.Join(resolved, missing)}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || existing == filepath.Dir(existing) {
			return folder{}, fmt.Errorf("data folder: %w", err)
		}
		existing, missing = filepath.Dir(existing), filepath.Join(filepath.Base(existing), missing)
	}
}

func (f folder) join(names ...string) string {
	return filepath.Join(append([]string{f.path}, names...)...)
}

// cluster is what the folder postgres holds.
type cluster struct {
	path  string
	major int // 0: no cluster yet
	owner account
}

func (c cluster) exists() bool { return c.major != 0 }

// cluster looks at the cluster and changes nothing.
func (f folder) cluster() (cluster, error) {
	found := cluster{path: f.join("postgres")}
	entries, err := os.ReadDir(found.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return found, nil
	}
	if err != nil {
		return found, fmt.Errorf("cluster: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(found.path, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return found, fmt.Errorf("%s is not empty and holds no PostgreSQL cluster: restore it from a backup, or move it away to start anew", found.path)
	}
	if err != nil {
		return found, fmt.Errorf("version of the cluster: %w", err)
	}
	if found.major, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil || found.major <= 0 {
		return found, fmt.Errorf("%s names no version that is known here: %q; restore the folder from a backup", filepath.Join(found.path, "PG_VERSION"), text)
	}
	found.owner, err = ownerOf(found.path)
	return found, err
}

// claim makes the folder and locks it until the file is closed. A killed holder loses the lock with its life.
func (f folder) claim(a account) (*os.File, error) {
	if err := f.make(a); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	lock, err := os.OpenFile(f.join("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock of the data folder: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer lock.Close() //nolint:errcheck // nothing was written
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", lock.Name(), err)
		}
		pid, _ := os.ReadFile(lock.Name()) // only makes the message better
		return nil, &LockedError{Folder: f.path, PID: strings.TrimSpace(string(pid))}
	}
	if err := writePID(lock); err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", lock.Name(), err), lock.Close())
	}
	return lock, nil
}

func writePID(lock *os.File) error {
	if err := lock.Truncate(0); err != nil {
		return err
	}
	_, err := lock.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	return err
}

func (f folder) make(a account) error {
	mode, parents := fs.FileMode(0o700), fs.FileMode(0o700)
	if a.other {
		mode, parents = 0o711, 0o755
	}
	if err := os.MkdirAll(filepath.Dir(f.path), parents); err != nil {
		return err
	}
	err := os.Mkdir(f.path, mode)
	if err == nil || errors.Is(err, fs.ErrExist) && a.other {
		return f.letThrough(mode)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// letThrough adds the bits of mode to those that the folder has: a umask or somebody else may have set fewer.
func (f folder) letThrough(mode fs.FileMode) error {
	current, err := os.Stat(f.path)
	if err != nil || current.Mode().Perm()&mode == mode {
		return err
	}
	return os.Chmod(f.path, current.Mode().Perm()|mode)
}

const unfinished = "postgres.new-" // how the names of clusters begin that are being made

// sweep removes clusters that were never finished. Nobody has ever written data to them.
func (f folder) sweep() error {
	left, err := filepath.Glob(filepath.Join(escape(f.path), unfinished+"*"))
	if err != nil {
		return err
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove an unfinished cluster: %w", err)
		}
	}
	return nil
}

// escape makes path a pattern that matches path only.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
