package main

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// holdSignals keeps SIGINT and SIGTERM waiting, also across exec, until the program
// asks for them with signal.Notify. Without that, one that comes just then would kill
// a program that is about to serve, and be lost on one that is process 1.
func holdSignals() (release func()) {
	runtime.LockOSThread() // a signal mask belongs to a thread, and exec keeps that of its caller
	var held, before unix.Sigset_t
	const bits = 8 * int(unsafe.Sizeof(held.Val[0]))
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		held.Val[(int(s)-1)/bits] |= 1 << ((int(s) - 1) % bits)
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &held, &before); err != nil {
		runtime.UnlockOSThread()
		return func() {}
	}
	return func() {
		_ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) // it took the other one
		runtime.UnlockOSThread()
	}
}
