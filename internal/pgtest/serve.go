package pgtest

import (
	"net"
	"testing"
)

// Serve plays a server on a local address until the test ends: it hands each connection to a function, and closes it
// when that returns.
func Serve(tb testing.TB, serve func(net.Conn)) (address string) {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = client.Close() }()
				serve(client)
			}()
		}
	}()
	return listener.Addr().String()
}
