package owned

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/avtotpy/avtotpy/internal/osuser"
)

// Given opens a file or a pipe that an operator named, for reading; links to it are followed, as orchestrators make
// them. It must not be possible for others to change it, or what its path leads to. A file system that is mounted
// read-only stands for that: there, as with secrets that are mounted into a container, owners and modes are those of
// another machine. That others can read it is a warning, except on such a file system and in memory.
func (u Users) Given(path string) (file *os.File, warning string, err error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	file = os.NewFile(uintptr(fd), path)
	if warning, err = u.given(fd, path); err != nil {
		_ = file.Close() // nothing was read
		return nil, "", err
	}
	return file, warning, nil
}

func (u Users) given(fd int, path string) (warning string, err error) {
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		return "", &os.PathError{Op: "look at", Path: path, Err: err}
	}
	kind := s.Mode & unix.S_IFMT
	mount := mountOf(fd)
	switch {
	case kind != unix.S_IFREG && kind != unix.S_IFIFO:
		return "", irregular(path, s)
	case mount.kernels:
		return "", &Error{
			path, "holds what the kernel says about a process or a device",
			"Name a file that holds the secret alone",
		}
	}
	if _, err := u.Reach(path); err != nil {
		return "", err
	}
	if mount.readOnly {
		return "", nil
	}
	switch {
	case !u.own(s.Uid):
		return "", &Error{
			path, fmt.Sprintf("belongs to %s (mode %04o), who can change it, and this program runs as %s",
				osuser.Name(s.Uid), s.Mode&0o7777, osuser.Current()),
			fmt.Sprintf("See that it holds what it should, then: chown %d %s. In a container, mount it read-only",
				osuser.Current().UID, quoted(path)),
		}
	case s.Mode&0o002 != 0, s.Mode&0o020 != 0 && !ourGroup(s.Gid):
		return "", &Error{
			path, fmt.Sprintf("can be changed by others (mode %04o, owner %s)", s.Mode&0o7777, osuser.Name(s.Uid)),
			"See that it holds what it should, then: chmod 0600 " + quoted(path),
		}
	case kind == unix.S_IFREG && s.Mode&0o004 != 0 && !mount.memory && othersReach(path):
		return fmt.Sprintf("every user of this machine can read %s (mode %04o, owner %s); close it: chmod 0600 %s",
			path, s.Mode&0o7777, osuser.Name(s.Uid), quoted(path)), nil
	}
	return "", nil
}

// othersReach reports whether every folder on the way to a file lets every user through.
func othersReach(path string) bool {
	path, err := filepath.EvalSymlinks(path)
	for err == nil && path != filepath.Dir(path) {
		path = filepath.Dir(path)
		info, statErr := os.Stat(path)
		if statErr != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
	}
	return err == nil
}

// A mount is what matters here of the file system of a file.
type mount struct {
	readOnly bool
	memory   bool // it is gone with the machine's power
	kernels  bool // its files are answers of the kernel
}
