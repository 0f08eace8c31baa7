// Package owned opens folders and files whose content no other user could have chosen.
//
// What it opens belongs to this user or to root and can be changed by no other user; it is reached through folders of
// which the same is true; it is a folder or a regular file, and not what a link in its place leads to. It never waits
// for the other end of a pipe. What it decides about is what it has opened, so that nothing can be exchanged in
// between. Its errors name the file, its owner and its mode, and what to do; never any content.
package owned

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/avtotpy/avtotpy/internal/osuser"
)

// An Error says why a file is not trusted, and what to do.
type Error struct {
	Path    string
	Problem string // continues Path: "is a link"
	Next    string // an instruction
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s. %s", e.Path, e.Problem, e.Next) }

// Users are the numbers of those who may own what is opened.
type Users []uint32

// Ours are the users that everything hangs on anyway: root, the user of this process, and in a container that does not
// know root the owner of the topmost folder.
func Ours(others ...uint32) Users {
	ours := append(Users{0, osuser.Current().UID}, others...)
	var top unix.Stat_t
	if unix.Stat("/", &top) == nil {
		ours = append(ours, top.Uid)
	}
	return ours
}

func (u Users) own(uid uint32) bool { return slices.Contains(u, uid) }

// Reach follows a path, links included, and returns it without them. It refuses a path on which another user can put
// something else in place of a part of it. What does not exist is left as it is.
func (u Users) Reach(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	const mostLinks = 40 // as the kernel
	links := 0
	at, rest := "/", strings.Split(strings.Trim(path, "/"), "/")
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		if err := u.trustFolder(at); err != nil {
			return "", err
		}
		var entry unix.Stat_t
		next := filepath.Join(at, name)
		switch err := unix.Lstat(next, &entry); {
		case errors.Is(err, unix.ENOENT):
			return filepath.Join(append([]string{next}, rest...)...), nil
		case err != nil:
			return "", &fs.PathError{Op: "look at", Path: next, Err: err}
		case entry.Mode&unix.S_IFMT != unix.S_IFLNK:
			at = next
			continue
		case !u.own(entry.Uid):
			return "", &Error{
				next, "is a link that belongs to " + osuser.Name(entry.Uid),
				"Name another path, or remove the link",
			}
		}
		if links++; links > mostLinks {
			return "", &fs.PathError{Op: "follow", Path: path, Err: unix.ELOOP}
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return at, nil
}

// trustFolder decides about a folder on the way to something.
func (u Users) trustFolder(path string) error {
	var s unix.Stat_t
	if err := unix.Lstat(path, &s); err != nil {
		return &fs.PathError{Op: "look at", Path: path, Err: err}
	}
	switch writers := s.Mode & 0o022; {
	case s.Mode&unix.S_IFMT != unix.S_IFDIR:
		return &fs.PathError{Op: "enter", Path: path, Err: unix.ENOTDIR}
	case !u.own(s.Uid):
		return &Error{
			path, fmt.Sprintf("belongs to %s, who can put something else in place of what is in it",
				osuser.Name(s.Uid)),
			"Choose a folder on the way to which everything belongs to root or to " + osuser.Current().String(),
		}
	case s.Mode&unix.S_ISVTX != 0, writers == 0, writers == 0o020 && ourGroup(s.Gid):
		return nil // in a sticky folder no user can remove or rename what belongs to another
	}
	return &Error{
		path, fmt.Sprintf("has the mode %04o, so that others can put something else in place of what is in it",
			s.Mode&0o7777),
		"Choose another folder, or close this one: chmod go-w " + quoted(path),
	}
}

// ourGroup reports a group that is no wider than this user: root's, or one of its own, which on many systems has no
// other member, and which Kubernetes gives to a volume (fsGroup). Of root's own groups only the first counts.
func ourGroup(gid uint32) bool {
	if gid == 0 {
		return true
	}
	if os.Geteuid() == 0 {
		return false
	}
	groups, err := os.Getgroups()
	return err == nil && slices.Contains(append(groups, os.Getegid()), int(gid))
}

// A Dir is an open folder.
type Dir struct {
	*os.File
	users Users
}

// Open opens the folder at the end of a path that Reach has returned, and demands that no other user may write to it.
func (u Users) Open(path string) (*Dir, error) {
	return u.dir(unix.AT_FDCWD, path, path)
}

// Sub opens a folder in the folder.
func (d *Dir) Sub(name string) (*Dir, error) {
	return d.users.dir(int(d.Fd()), name, filepath.Join(d.Name(), name))
}

// Make is Sub for a folder that is made, for this user only, when there is none.
func (d *Dir) Make(name string) (*Dir, error) {
	if err := unix.Mkdirat(int(d.Fd()), name, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, &fs.PathError{Op: "make", Path: filepath.Join(d.Name(), name), Err: err}
	}
	return d.Sub(name)
}

func (u Users) dir(at int, name, path string) (*Dir, error) {
	file, s, err := open(at, name, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	if err := u.closed(path, s, "folder"); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Dir{file, u}, nil
}

// With returns the same folder for files that others may own, too.
func (d *Dir) With(others ...uint32) *Dir {
	return &Dir{d.File, append(slices.Clone(d.users), others...)}
}

// Open opens a regular file in the folder. With os.O_CREATE one that is not there is made, for this user only.
func (d *Dir) Open(name string, flags int) (*os.File, error) {
	path := filepath.Join(d.Name(), name)
	file, s, err := open(int(d.Fd()), name, path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	err = d.users.file(path, s)
	if err == nil && s.Nlink > 1 && flags&(os.O_WRONLY|os.O_RDWR) != 0 {
		err = &Error{path, fmt.Sprintf("has %d names (hard links), and to write to it would change what the "+
			"others name", s.Nlink), "Remove it, and start again"}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Owner returns whose something in the folder is, without following a link.
func (d *Dir) Owner(name string) (osuser.User, error) {
	var s unix.Stat_t
	if err := unix.Fstatat(int(d.Fd()), name, &s, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return osuser.User{}, &fs.PathError{Op: "look at", Path: filepath.Join(d.Name(), name), Err: err}
	}
	return osuser.User{UID: s.Uid, GID: s.Gid}, nil
}

// Read returns the content of a regular file in the folder, of at most a number of bytes.
func (d *Dir) Read(name string, most int64) ([]byte, error) {
	file, err := d.Open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	if int64(len(content)) > most {
		return nil, &Error{
			file.Name(), fmt.Sprintf("is larger than %d bytes, and so not what belongs there", most),
			"Restore it from a backup",
		}
	}
	return content, err
}

// Replace leaves a whole file with the content, for this user only, or what was there before.
func (d *Dir) Replace(name, content string) error {
	aside := name + ".new"
	if err := unix.Unlinkat(int(d.Fd()), aside, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "remove", Path: filepath.Join(d.Name(), aside), Err: err}
	}
	file, err := d.Open(aside, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return errors.Join(d.Rename(aside, name), d.Sync())
}

// Rename gives something in the folder another name.
func (d *Dir) Rename(from, to string) error {
	if err := unix.Renameat(int(d.Fd()), from, int(d.Fd()), to); err != nil {
		return &os.LinkError{
			Op: "rename", Old: filepath.Join(d.Name(), from), New: filepath.Join(d.Name(), to),
			Err: err,
		}
	}
	return nil
}

// file decides about a regular file.
func (u Users) file(path string, s unix.Stat_t) error {
	if s.Mode&unix.S_IFMT != unix.S_IFREG {
		return irregular(path, s)
	}
	return u.closed(path, s, "file")
}

// closed demands that no other user can change something.
func (u Users) closed(path string, s unix.Stat_t, what string) error {
	switch {
	case !u.own(s.Uid):
		return &Error{
			path, fmt.Sprintf("belongs to %s (mode %04o), and this program runs as %s", osuser.Name(s.Uid),
				s.Mode&0o7777, osuser.Current()),
			fmt.Sprintf("Start as that user, choose another %s, or if you know what it holds: chown %d %s", what,
				osuser.Current().UID, quoted(path)),
		}
	case s.Mode&0o022 != 0:
		next := "See that what it holds is yours, then: chmod go-w " + quoted(path)
		if what == "folder" { // a volume that belongs to a group as a whole
			next += ". Or choose a folder in it"
		}
		return &Error{path, fmt.Sprintf("can be changed by others (mode %04o, owner %s)", s.Mode&0o7777,
			osuser.Name(s.Uid)), next}
	}
	return nil
}

// open opens something itself, not what it leads to, and looks at what was opened.
func open(at int, name, path string, flags int, mode uint32) (*os.File, unix.Stat_t, error) {
	var s unix.Stat_t
	fd, err := unix.Openat(at, name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, mode)
	if err != nil {
		if !errors.Is(err, unix.ENOENT) && unix.Fstatat(at, name, &s, unix.AT_SYMLINK_NOFOLLOW) == nil {
			directory := flags&unix.O_DIRECTORY != 0
			if kind := s.Mode & unix.S_IFMT; directory && kind != unix.S_IFDIR || !directory && kind != unix.S_IFREG {
				return nil, s, irregular(path, s)
			}
		}
		return nil, s, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	file := os.NewFile(uintptr(fd), path)
	if err := unix.Fstat(fd, &s); err != nil {
		return nil, s, errors.Join(&fs.PathError{Op: "look at", Path: path, Err: err}, file.Close())
	}
	return file, s, nil
}

// irregular is the error of what is neither the folder nor the file that belongs there.
func irregular(path string, s unix.Stat_t) error {
	what := "is neither a file nor a folder"
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		what = "is a link, and links are not followed here"
	case unix.S_IFIFO:
		what = "is a pipe"
	case unix.S_IFSOCK:
		what = "is a socket"
	case unix.S_IFCHR, unix.S_IFBLK:
		what = "is a device"
	case unix.S_IFDIR:
		what = "is a folder, where a file belongs"
	case unix.S_IFREG:
		what = "is a file, where a folder belongs"
	}
	return &Error{
		path, fmt.Sprintf("%s (owner %s)", what, osuser.Name(s.Uid)),
		"Move it away, and put what belongs there in its place",
	}
}

// quoted writes a path for a shell.
func quoted(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }
