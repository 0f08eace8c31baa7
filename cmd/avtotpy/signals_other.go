//go:build !linux

package main

// holdSignals does nothing where a thread's signal mask cannot be set: a signal that
// arrives during the moment of the exchange ends the program.
func holdSignals() (release func()) { return func() {} }
