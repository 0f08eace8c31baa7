package localpg

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// UnreachableError says that the user the server runs as cannot pass through a folder.
type UnreachableError struct {
	Folder string // what it needs
	Parent string // what is closed to it
	User   string
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s cannot be reached by the user %s, as which PostgreSQL runs because it refuses root: %s is closed to it. "+
		"Choose another folder, for example AVTOTPY_DATA_DIR=/var/lib/avtotpy, or start as a user other than root", e.Folder, e.User, e.Parent)
}

// account is the user that the server runs as.
type account struct {
	uid, gid uint32
	other    bool // not the user of this process, which is root
}

// accountFor returns the user that runs the cluster: ourselves, or as root the owner of the cluster.
func accountFor(found cluster) (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil //nolint:gosec // the kernel's ids have 32 bits
	}
	unprivileged := unprivilegedAccount()
	if !found.exists() {
		return unprivileged, nil
	}
	if found.owner.uid == 0 {
		return account{}, fmt.Errorf("%s belongs to root, and PostgreSQL refuses to run as root: chown -R %d:%d '%[1]s'",
			found.path, unprivileged.uid, unprivileged.gid)
	}
	return account{uid: found.owner.uid, gid: found.owner.gid, other: true}, nil
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
			return account{uid: uint32(uid), gid: uint32(gid), other: true}
		}
	}
	return account{uid: 65534, gid: 65534, other: true} // nobody, in an image without users
}

func (a account) String() string {
	if found, err := user.LookupId(strconv.FormatUint(uint64(a.uid), 10)); err == nil {
		return found.Username
	}
	return strconv.FormatUint(uint64(a.uid), 10)
}

// give makes the account the owner of path.
func (a account) give(path string) error {
	if !a.other {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// reaches reports the first folder on the way to each of paths that is closed to the account. What does not
// exist yet, and the folder of data itself, is ours to open.
func (a account) reaches(dataDir, binDir string) error {
	if !a.other {
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
		return true // the server will tell
	}
	switch {
	case stat.Uid == a.uid:
		return dir.Mode()&0o100 != 0
	case stat.Gid == a.gid:
		return dir.Mode()&0o010 != 0
	}
	return dir.Mode()&0o001 != 0
}

func ownerOf(path string) (account, error) {
	info, err := os.Stat(path)
	if err != nil {
		return account{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return account{}, fmt.Errorf("the owner of %s is not known on this system", path)
	}
	return account{uid: stat.Uid, gid: stat.Gid}, nil
}
