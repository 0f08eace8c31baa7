package pgtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// FreeAddress is a local address that no process listens on, and that is the test's own until
// it ends.
//
// A port that the kernel chose, and that was closed again, may be chosen again at once: for
// another test, in this process or another one, or for the near end of a connection. So the
// port is one that kernels do not choose by themselves (Linux begins at 32768, others at
// 49152), and a lock on a file, which ends with the process, keeps other tests away.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	folder := filepath.Join(os.TempDir(), "avtotpy-test-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		tb.Fatal(err)
	}
	const first, count = 20_000, 12_000
	var last error
	for range count {
		port := first + rand.IntN(count) //nolint:gosec // not for a secret
		lockFile := filepath.Join(folder, strconv.Itoa(port))
		lock, err := os.OpenFile(lockFile, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // in a folder of the tests' own
		if err != nil {
			tb.Fatal(err)
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if last = reserve(tb, lock, address); last == nil {
			tb.Cleanup(func() { _ = lock.Close() })
			return address
		}
		_ = lock.Close()
	}
	tb.Fatalf("there is no free port: %v", last)
	return ""
}

// reserve locks the file of an address that can be listened on.
func reserve(tb testing.TB, lock *os.File, address string) error {
	tb.Helper()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", address)
	if err != nil {
		return err
	}
	return listener.Close()
}
