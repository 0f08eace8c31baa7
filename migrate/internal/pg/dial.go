package pg

import (
	"context"
	"net"
	"time"
)

// Dial opens a connection whose other end may vanish without a word: the system asks after
// twenty quiet seconds, and gives it up within a minute. The server may work on a file for
// hours, and is as quiet.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: 20 * time.Second, Interval: 10 * time.Second,
			Count: 4,
		},
		Control: giveUpUnacknowledged,
	}
	return d.DialContext(ctx, network, address)
}
