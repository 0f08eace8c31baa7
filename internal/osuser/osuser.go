// Package osuser knows the users of the operating system, and makes this process one of them for good.
package osuser

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
)

// A User is what a process runs as.
type User struct{ UID, GID uint32 }

// Lookup finds a user by its name or its number. A number without an entry in the system's list of users is taken as it
// is, with the same number as its group: images of containers have no such lists.
func Lookup(name string) (User, error) {
	found, err := user.Lookup(name)
	if err != nil {
		uid, notNumber := strconv.ParseUint(name, 10, 32)
		if notNumber != nil {
			return User{}, fmt.Errorf("there is no user %q on this system; add it (useradd --system %[1]s), or name "+
				"another one", name)
		}
		if found, err = user.LookupId(name); err != nil {
			return User{UID: uint32(uid), GID: uint32(uid)}, nil //nolint:nilerr // as the comment above says
		}
	}
	uid, errUID := strconv.ParseUint(found.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(found.Gid, 10, 32)
	return User{UID: uint32(uid), GID: uint32(gid)}, errors.Join(errUID, errGID)
}

// Current returns the user of this process.
func Current() User {
	return User{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())} //nolint:gosec // the kernel's ids have 32 bits
}

// Name returns the name of a user, or "user id 1234" when it has none.
func Name(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if found, err := user.LookupId(id); err == nil {
		return found.Username
	}
	return "user id " + id
}

// String returns the user's name.
func (u User) String() string { return Name(u.UID) }

// Become makes this process, all threads of it, run as the user: without supplementary groups, capabilities or a way
// back, and on Linux so that no program that it starts can get more privileges (no_new_privs). It needs root.
func (u User) Become() error {
	if u.UID == 0 {
		return errors.New("root cannot be given up in favour of root")
	}
	err := errors.Join(
		named("drop the supplementary groups", syscall.Setgroups([]int{int(u.GID)})),
		named("change the group", syscall.Setgid(int(u.GID))),
	)
	if err == nil { // the user last: it takes the privilege to do the rest along
		err = named("change the user", syscall.Setuid(int(u.UID)))
	}
	if err != nil {
		return err
	}
	return errors.Join(seal(), u.prove())
}

// prove looks at the result: where it is not what was asked for, a process that is still root must not go on.
func (u User) prove() error {
	groups, err := os.Getgroups()
	if err != nil {
		return err
	}
	others := slices.ContainsFunc(groups, func(g int) bool { return uint32(g) != u.GID }) //nolint:gosec // as above
	switch {
	case Current() != u || os.Getuid() != int(u.UID) || os.Getgid() != int(u.GID), others:
		return errors.New("the system reports success, and the process is still another user")
	case syscall.Setuid(0) == nil:
		return errors.New("the system reports success, and the process can still become root")
	}
	return nil
}

// Protect keeps the memory of this process, and of those that it starts, out of core dumps, and on Linux from other
// processes of the same user, debuggers included. It refuses to go on with the set-user-id bit: the environment would
// be that of one user, and the privileges those of another.
func Protect() error {
	if os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid() {
		return errors.New("the program's file has the set-user-id or set-group-id bit, which would give its " +
			"privileges to every user who can start it: chmod ug-s FILE")
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("turn core dumps off: %w", err)
	}
	return hide()
}

func named(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
