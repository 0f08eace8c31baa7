package localpg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/avtotpy/avtotpy/internal/osuser"
	"github.com/avtotpy/avtotpy/internal/owned"
)

// UnreachableError says that the user the server runs as cannot pass through a folder.
type UnreachableError struct {
	Folder string // what it needs
	Parent string // what is closed to it
	User   string
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s cannot be reached by the user %s, as which PostgreSQL runs because it refuses root: %s "+
		"is closed to it. "+
		"Choose another folder, for example AVTOTPY_DATA_DIR=/var/lib/avtotpy, or start as a user other than root",
		e.Folder, e.User, e.Parent)
}

// OwnerError says that the cluster belongs to a user that cannot run it.
type OwnerError struct {
	Cluster string
	Owner   string
	Wants   osuser.User // who should own it
	Why     string
}

func (e *OwnerError) Error() string {
	return fmt.Sprintf("%s belongs to %s, and %s. Give it to the user %s: chown -R %d:%d '%[1]s'", e.Cluster, e.Owner,
		e.Why, e.Wants, e.Wants.UID, e.Wants.GID)
}

// OwnerOf returns whose a data folder is: nil while it does not exist. That a folder belongs to another user is root's
// decision only where no other user can make one: in /tmp every user can, and in a home its owner.
func OwnerOf(dataDir string) (*osuser.User, error) {
	home, err := openFolder(dataDir)
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(home.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // as the comment says
	}
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, fmt.Errorf("the owner of %s is not known on this system", home.path)
	}
	owner := &osuser.User{UID: stat.Uid, GID: stat.Gid}
	if owner.UID == osuser.Current().UID {
		return owner, nil
	}
	parent, err := os.Lstat(filepath.Dir(home.path))
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	const others = 0o022
	if parent.Mode().Perm()&others != 0 {
		return nil, fmt.Errorf("data folder: %w", &owned.Error{
			Path: home.path, Problem: fmt.Sprintf("belongs to %s, and is in a folder that others can write to (mode "+
				"%04o), so that any user may have made it", owner, parent.Mode().Perm()),
			Next: fmt.Sprintf("Start as %s, or choose a folder in a place that only root writes to, such as "+
				"/var/lib/avtotpy", owner),
		})
	}
	return owner, nil
}

// account is the user that the server runs as.
type account struct {
	uid, gid uint32
}

// other reports whether the account is not the user of this process, which is root then.
func (a account) other() bool { return a.uid != osuser.Current().UID }

// accountFor returns the user that runs the cluster: ourselves, or as root the owner of the cluster, and for a new one
// the user that was asked for, if any was.
func accountFor(found cluster, asked *osuser.User) (account, error) {
	if me := osuser.Current(); me.UID != 0 {
		return account{uid: me.UID, gid: me.GID}, nil
	}
	wanted := unprivilegedAccount()
	if asked != nil {
		wanted = account{uid: asked.UID, gid: asked.GID}
	}
	switch {
	case !found.exists():
		return wanted, nil
	case found.owner.uid == 0:
		return account{}, &OwnerError{found.path, "root", wanted.User(), "PostgreSQL refuses to run as root"}
	case asked != nil && asked.UID != found.owner.uid:
		return account{}, &OwnerError{
			found.path, osuser.Name(found.owner.uid), *asked,
			"the settings ask for another user",
		}
	}
	return found.owner, nil
}

func unprivilegedAccount() account {
	for _, name := range []string{"postgres", "_postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		if uidErr == nil && gidErr == nil && uid != 0 {
			return account{uid: uint32(uid), gid: uint32(gid)}
		}
	}
	return account{uid: 65534, gid: 65534} // the last resort, in an image without users
}

// User is the account as the rest of the program knows users.
func (a account) User() osuser.User { return osuser.User{UID: a.uid, GID: a.gid} }

func (a account) String() string { return osuser.Name(a.uid) }

// give makes the account the owner of an open file or folder.
func (a account) give(file *os.File) error {
	if !a.other() {
		return nil
	}
	return file.Chown(int(a.uid), int(a.gid))
}

// reaches reports the first folder on the way to each of paths that is closed to the account. What does not
// exist yet, and the folder of data itself, is ours to open.
func (a account) reaches(dataDir, binDir string) error {
	if !a.other() {
		return nil
	}
	for _, want := range []string{dataDir, filepath.Join(binDir, "postgres")} {
		for parent := filepath.Dir(want); ; parent = filepath.Dir(parent) {
			info, err := os.Stat(parent)
			if err == nil && !a.passes(info) {
				return &UnreachableError{Folder: filepath.Dir(want), Parent: parent, User: a.String()}
			}
			if parent == filepath.Dir(parent) {
				break
			}
		}
	}
	return nil
}

// passes reads the mode's bits: access lists are not seen, and such a folder needs its x bit.
func (a account) passes(dir fs.FileInfo) bool {
	stat, ok := dir.Sys().(*syscall.Stat_t)
	if !ok {
		return true // the server reports it
	}
	switch {
	case stat.Uid == a.uid:
		return dir.Mode()&0o100 != 0
	case stat.Gid == a.gid:
		return dir.Mode()&0o010 != 0
	}
	return dir.Mode()&0o001 != 0
}

// self is the account of this process.
func self() account { return account{uid: osuser.Current().UID, gid: osuser.Current().GID} }
