package config

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const memoryName = "avtotpy-secret"

// inMemory returns the path of a file in memory with a secret, which the program that replaces this one can read, and
// cannot be changed.
func inMemory(secret Secret) (path string, err error) {
	fd, err := unix.MemfdCreate(memoryName, unix.MFD_ALLOW_SEALING) // without MFD_CLOEXEC
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	if err := unix.Fchmod(fd, 0o400); err != nil {
		return "", err
	}
	if n, err := unix.Write(fd, []byte(secret.Reveal())); err != nil || n != len(secret) {
		return "", fmt.Errorf("%d of %d bytes were written: %w", n, len(secret), err)
	}
	const all = unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, all); err != nil {
		return "", err
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd), nil
}

// keepFromChildren keeps a secret that was handed over from the programs that this one starts.
func keepFromChildren(path string) {
	number, ok := strings.CutPrefix(path, "/proc/self/fd/")
	if target, err := os.Readlink(path); !ok || err != nil || !strings.HasPrefix(target, "/memfd:"+memoryName) {
		return
	}
	if fd, err := strconv.Atoi(number); err == nil {
		unix.CloseOnExec(fd)
	}
}
