package localpg

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/avtotpy/avtotpy/internal/osuser"
	"github.com/avtotpy/avtotpy/internal/owned"
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
	return fmt.Sprintf("%s is in use by %s: stop that one, or give this one a folder of its own with AVTOTPY_DATA_DIR",
		e.Folder, holder)
}

// folder is the place of everything that belongs to one installation.
type folder struct {
	path string     // absolute, without links: the server's command line is compared with it
	dir  *owned.Dir // the same, open; nil until it is claimed
}

func openFolder(dir string) (folder, error) {
	if dir == "" {
		return folder{}, errors.New("the data folder has no name: set AVTOTPY_DATA_DIR")
	}
	path, err := owned.Ours().Reach(dir)
	if err != nil {
		return folder{}, fmt.Errorf("data folder: %w", err)
	}
	return folder{path: path}, nil
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
	home, err := owned.Ours().Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return found, fmt.Errorf("data folder: %w", err)
	}
	defer home.Close() //nolint:errcheck // it was only looked at
	owner, err := home.Owner("postgres")
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return found, fmt.Errorf("cluster: %w", err)
	}
	found.owner = account{uid: owner.UID, gid: owner.GID}
	if me := osuser.Current(); me.UID != 0 && me.UID != owner.UID {
		return found, &OwnerError{found.path, owner.String(), me, "PostgreSQL runs only on files of its own user"}
	}
	dir, err := home.With(owner.UID).Sub("postgres")
	if err != nil {
		return found, fmt.Errorf("cluster: %w", err)
	}
	defer dir.Close() //nolint:errcheck // as above
	found.major, err = majorOf(dir)
	return found, err
}

// majorOf reads which version made a cluster; 0 where there is none. What the file holds otherwise is not repeated: it
// may be anything.
func majorOf(dir *owned.Dir) (int, error) {
	entries, err := dir.ReadDir(1)
	if len(entries) == 0 && (err == nil || errors.Is(err, io.EOF)) {
		return 0, nil
	}
	const longest = 64 // bytes
	text, err := dir.Read("PG_VERSION", longest)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%s is not empty and holds no PostgreSQL cluster: restore it from a backup, or move it "+
			"away to start again", dir.Name())
	}
	if err != nil {
		return 0, fmt.Errorf("version of the cluster: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || major <= 0 {
		return 0, fmt.Errorf("%s names no version of PostgreSQL; restore the folder from a backup",
			filepath.Join(dir.Name(), "PG_VERSION"))
	}
	return major, nil
}

// claim makes the folder and locks it until the file is closed. A killed holder loses the lock with its life.
func (f *folder) claim(a account) (*os.File, error) {
	if err := f.make(a); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	lock, err := f.dir.Open("lock", os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("lock of the data folder: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer lock.Close() //nolint:errcheck // nothing was written
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", lock.Name(), err)
		}
		return nil, &LockedError{Folder: f.path, PID: readPID(lock)}
	}
	if err := writePID(lock); err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", lock.Name(), err), lock.Close())
	}
	return lock, nil
}

// readPID only makes a message better; "" where there is no number.
func readPID(lock *os.File) string {
	const longest = 20 // digits
	text, _ := io.ReadAll(io.LimitReader(lock, longest))
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return ""
	}
	return strconv.Itoa(pid)
}

func writePID(lock *os.File) error {
	if err := lock.Truncate(0); err != nil {
		return err
	}
	_, err := lock.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	return err
}

func (f *folder) make(a account) error {
	mode, parents := fs.FileMode(0o700), fs.FileMode(0o700)
	if a.other() {
		mode, parents = 0o711, 0o755
	}
	if err := os.MkdirAll(filepath.Dir(f.path), parents); err != nil {
		return err
	}
	if err := os.Mkdir(f.path, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir, err := owned.Ours().Open(f.path)
	if err != nil {
		return err
	}
	f.dir = dir
	if a.other() {
		return letThrough(dir, mode)
	}
	return nil
}

// letThrough adds the bits of mode to those that the folder has: a umask or another user may have set fewer.
func letThrough(dir *owned.Dir, mode fs.FileMode) error {
	current, err := dir.Stat()
	if err != nil || current.Mode().Perm()&mode == mode {
		return err
	}
	return dir.Chmod(current.Mode().Perm() | mode)
}

const unfinished = "postgres.new-" // how the names of clusters begin that are being made

// sweep removes clusters that were never finished. No data was ever written to them.
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

func (f folder) close() error {
	if f.dir == nil {
		return nil
	}
	return f.dir.Close()
}
