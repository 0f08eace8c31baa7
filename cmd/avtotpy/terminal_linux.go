package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// hideInput makes a terminal not show what is typed, until restore is called or the program is interrupted.
func hideInput(terminal *os.File) (restore func(), err error) {
	fd := int(terminal.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
		return nil, err
	}
	show := func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) } // there is nothing else to try
	interrupted := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case s := <-interrupted: // reading a terminal does not end by a context
			show()
			number, _ := s.(syscall.Signal) // Notify was asked for nothing else
			os.Exit(exitSignalled + int(number))
		case <-done:
		}
	}()
	return func() { signal.Stop(interrupted); close(done); show() }, nil
}
