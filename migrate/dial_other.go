//go:build !linux

package migrate

import "syscall"

// giveUpUnacknowledged is for Linux.
func giveUpUnacknowledged(string, string, syscall.RawConn) error { return nil }
