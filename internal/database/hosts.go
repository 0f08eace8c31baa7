package database

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// hosts are the servers of a connection string, and the sockets that are open to them.
type hosts struct {
	config    *pgx.ConnConfig // without the pool's tracer, for looking
	away      func() bool
	following bool // a primary is asked for: the host that was it last is tried first

	mu    sync.Mutex
	names map[string][]string // of hosts, by the address that they were found at
	best  string              // host and port that were reached last
	at    string              // the address of best, without the port
	open  map[*socket]struct{}
}

func newHosts(config *pgx.ConnConfig, following bool, away func() bool) *hosts {
	h := &hosts{away: away, following: following, names: map[string][]string{}, open: map[*socket]struct{}{}}
	// A host that vanishes without a word while a connection idles is noticed after half a minute by these; while
	// a query runs, the watch is faster.
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	lookup := config.LookupFunc
	config.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		found, err := lookup(ctx, host)
		return h.found(host, found), err
	}
	// pgx also dials to cancel the query of a connection that it gives up. That is no help where the server is away,
	// and one connection more for it, or for its pooler, at the worst moment.
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if ctx.Value(dialKey{}) == nil {
			return nil, errNoCancel
		}
		return dialer.DialContext(ctx, network, address)
	}
	h.config = config.Copy()
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if ctx.Value(dialKey{}) == nil && h.away() {
			return nil, errNoCancel
		}
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return h.keep(conn), nil
	}
	return h
}

var errNoCancel = errors.New("queries of a server that is away are not cancelled")

// all lists the hosts, each with the ways to reach it: sslmode=prefer has two.
func (h *hosts) all() [][]*pgconn.FallbackConfig {
	var all [][]*pgconn.FallbackConfig
	for _, way := range waysOf(h.config) {
		same := func(ways []*pgconn.FallbackConfig) bool { return nameOf(ways[0]) == nameOf(way) }
		if i := slices.IndexFunc(all, same); i >= 0 {
			all[i] = append(all[i], way)
		} else {
			all = append(all, []*pgconn.FallbackConfig{way})
		}
	}
	return all
}

func waysOf(c *pgx.ConnConfig) []*pgconn.FallbackConfig {
	return append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
}

func use(c *pgx.ConnConfig, ways []*pgconn.FallbackConfig) {
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = ways[0].Host, ways[0].Port, ways[0].TLSConfig, ways[1:]
}

func nameOf(way *pgconn.FallbackConfig) string {
	_, address := pgconn.NetworkAddress(way.Host, way.Port)
	return address
}

// order puts the host that was reached last first, so that a silent one before it costs no connection a wait.
func (h *hosts) order(c *pgx.ConnConfig) {
	h.mu.Lock()
	best := h.best
	h.mu.Unlock()
	ways := waysOf(c)
	slices.SortStableFunc(ways, func(a, b *pgconn.FallbackConfig) int { return rank(a, best) - rank(b, best) })
	use(c, ways)
}

// bestName is the host that was reached last.
func (h *hosts) bestName() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.best
}

func rank(way *pgconn.FallbackConfig, best string) int {
	if nameOf(way) == best {
		return 0
	}
	return 1
}

// found remembers which addresses a host has, and puts the one that was reached last first.
func (h *hosts) found(host string, addresses []string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, address := range addresses {
		if !slices.Contains(h.names[address], host) {
			h.names[address] = append(h.names[address], host)
		}
	}
	if i := slices.Index(addresses, h.at); i > 0 && h.following {
		addresses = slices.Clone(addresses)
		addresses[0], addresses[i] = addresses[i], addresses[0]
	}
	return addresses
}

// reached remembers the host at an address as the best one.
func (h *hosts) reached(address net.Addr) {
	if !h.following {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	at, port, err := net.SplitHostPort(address.String())
	if err != nil { // a Unix socket
		h.best, h.at = address.String(), ""
		return
	}
	number, _ := strconv.ParseUint(port, 10, 16) // of a TCP address
	for _, way := range waysOf(h.config) {
		if uint64(way.Port) == number && (way.Host == at || slices.Contains(h.names[at], way.Host)) {
			h.best, h.at = nameOf(way), at
			return
		}
	}
}

// A socket is a connection of the pool, as the operating system sees it.
type socket struct {
	net.Conn
	hosts *hosts
}

func (h *hosts) keep(conn net.Conn) net.Conn {
	s := &socket{conn, h}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[s] = struct{}{}
	return s
}

func (s *socket) Close() error {
	s.hosts.mu.Lock()
	delete(s.hosts.open, s)
	s.hosts.mu.Unlock()
	return s.Conn.Close()
}

// cut closes all sockets under their connections, so that queries which wait for a silent server fail now.
func (h *hosts) cut() {
	h.mu.Lock()
	open := h.open
	h.open = map[*socket]struct{}{}
	h.mu.Unlock()
	for s := range open {
		_ = s.Conn.Close() // to fail what uses it
	}
}
