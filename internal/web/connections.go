package web

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/avtotpy/avtotpy/internal/auth"
)

// Connections bound how many connections a server has. When there are too many, it is the network with the most of
// them that loses one: first what waits for a request, then, unless the new one is from there, what has been busy
// longest.
type Connections struct {
	Most int

	mu  sync.Mutex
	all map[net.Conn]connection
}

type connection struct {
	network netip.Prefix
	waits   bool      // for a request, or for the rest of its headers
	since   time.Time // it does that, or is busy
}

// Changed is for http.Server.ConnState.
func (c *Connections) Changed(conn net.Conn, state http.ConnState) {
	if lost := c.changed(conn, state); lost != nil {
		_ = lost.Close() // nothing was promised to it
	}
}

func (c *Connections) changed(conn net.Conn, state http.ConnState) (lost net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(c.all, conn)
		return nil
	}
	if c.all == nil {
		c.all = map[net.Conn]connection{}
	}
	network := auth.Customer(addressOf(conn.RemoteAddr().String()))
	c.all[conn] = connection{network, state != http.StateActive, time.Now()}
	if state != http.StateNew || len(c.all) <= c.Most {
		return nil
	}
	lost = c.leastMissed(conn)
	delete(c.all, lost)
	return lost
}

// leastMissed returns the connection to end; newest is the one that is too many.
func (c *Connections) leastMissed(newest net.Conn) net.Conn {
	count := map[netip.Prefix]int{}
	most := c.all[newest].network
	for _, one := range c.all {
		count[one.network]++
	}
	for network, n := range count {
		if n > count[most] {
			most = network
		}
	}
	var waits, busy net.Conn
	for conn, one := range c.all {
		switch {
		case one.network != most || conn == newest:
		case one.waits && (waits == nil || one.since.Before(c.all[waits].since)):
			waits = conn
		case !one.waits && (busy == nil || one.since.Before(c.all[busy].since)):
			busy = conn
		}
	}
	switch {
	case waits != nil:
		return waits
	case busy == nil || c.all[newest].network == most:
		return newest
	}
	return busy
}
