package pg

import (
	"strings"
	"syscall"
)

// giveUpUnacknowledged ends a connection when what was sent stays without an acknowledgement
// for a minute; TCP alone would send it again for a quarter of an hour.
func giveUpUnacknowledged(network, _ string, conn syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	const tcpUserTimeout, milliseconds = 0x12, 60_000 // of linux/tcp.h, which syscall leaves out
	return conn.Control(func(fd uintptr) {
		// without it TCP's own limit holds
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, milliseconds)
	})
}
