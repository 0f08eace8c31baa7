package osuser

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// seal takes from every thread what is left of root's privileges: capabilities that securebits may have kept, and those
// that a program with the set-user-id bit or with capabilities would bring. In a program that is built with cgo, which
// our releases are not, Go cannot reach the threads; there the change of the user alone has to take the capabilities.
func seal() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0) //nolint:gosec // for capset(2)
	if errno != 0 && !errors.Is(errno, syscall.ENOTSUP) {
		return fmt.Errorf("drop the capabilities: %w", errno)
	}
	_, _, errno = syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	if errno != 0 && !errors.Is(errno, syscall.ENOTSUP) {
		return fmt.Errorf("set no_new_privs: %w", errno)
	}
	return errors.Join(hide(), withoutCapabilities()) // a change of the user gives it back
}

// NoNewPrivileges keeps the program that replaces this one, by an exec of this thread, from getting more privileges.
func NoNewPrivileges() error {
	return named("set no_new_privs", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}

// hide makes the process undumpable (PR_SET_DUMPABLE): no core dump, no debugger of the same user, and what /proc shows
// of its memory and environment is for root.
func hide() error {
	return named("keep other processes out of the memory", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}

// MayChangeUser reports what this process, which is root, lacks to become another user and to give files to it:
// containers take capabilities away.
func MayChangeUser() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var held [2]unix.CapUserData
	if err := unix.Capget(&header, &held[0]); err != nil {
		return named("look at the capabilities", err)
	}
	var missing []string
	for _, needed := range []struct {
		number int
		name   string
	}{{unix.CAP_CHOWN, "CAP_CHOWN"}, {unix.CAP_SETGID, "CAP_SETGID"}, {unix.CAP_SETUID, "CAP_SETUID"}} {
		if held[0].Effective&(1<<needed.number) == 0 {
			missing = append(missing, needed.name)
		}
	}
	if len(missing) > 0 {
		return errors.New("it lacks " + strings.Join(missing, ", "))
	}
	return nil
}

func withoutCapabilities() error {
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return nil // without /proc there is nothing to compare with
	}
	for line := range strings.Lines(string(status)) {
		for _, set := range []string{"CapPrm:", "CapEff:", "CapAmb:"} {
			if value, ok := strings.CutPrefix(line, set); ok && strings.Trim(strings.TrimSpace(value), "0") != "" {
				return fmt.Errorf("the process keeps capabilities (%s%s), because its securebits say so", set,
					strings.TrimSpace(value))
			}
		}
	}
	return nil
}
