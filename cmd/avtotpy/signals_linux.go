package main

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// holdSignals keeps SIGINT and SIGTERM waiting across exec, until the successor is
// there to hear them. Without that, one that comes just then would be lost on a program
// that is process 1: the kernel gives that one only signals that it has asked for.
//
// Other threads may still catch one in the fraction of a millisecond until exec ends
// them: Go cannot hold them all.
func holdSignals() (release func()) {
	runtime.LockOSThread() // a signal mask belongs to a thread, and exec keeps that of its caller
	var held unix.Sigset_t
	const bits = 8 * int(unsafe.Sizeof(held.Val[0]))
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		held.Val[(int(s)-1)/bits] |= 1 << ((int(s) - 1) % bits)
	}
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &held, nil) // it cannot fail with these arguments
	return func() {
		_ = unix.PthreadSigmask(unix.SIG_UNBLOCK, &held, nil) // as above
		runtime.UnlockOSThread()
	}
}
