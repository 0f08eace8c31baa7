package main

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// A relay is the network between the program and a server, which can be cut, or drop what is sent.
type relay struct {
	address string

	mu       sync.Mutex
	network  string // of the server's address
	to       string
	silent   chan struct{} // closed unless packets are dropped
	commits  int           // to let the server have and keep its answer
	open     map[net.Conn]struct{}
	listener net.Listener
}

// startRelay listens until the test's end.
func startRelay(t *testing.T, network, to string) *relay {
	t.Helper()
	r := &relay{
		address: pgtest.FreeAddress(t), network: network, to: to, silent: make(chan struct{}),
		open: map[net.Conn]struct{}{},
	}
	close(r.silent)
	r.listen(t)
	t.Cleanup(func() {
		r.refuse()
		r.speak()
	})
	return r
}

func (r *relay) listen(t *testing.T) {
	t.Helper()
	var listener net.Listener
	pgtest.Eventually(t, "the relay listens", func() (err error) {
		listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", r.address)
		return err
	})
	r.mu.Lock()
	r.listener = listener
	r.mu.Unlock()
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go r.join(client)
		}
	}()
}

func (r *relay) join(client net.Conn) {
	r.gate() // a network that drops packets accepts nobody; here the kernel has done so
	r.mu.Lock()
	network, to := r.network, r.to
	r.mu.Unlock()
	server, err := net.Dial(network, to)
	if err != nil {
		_ = client.Close()
		return
	}
	r.mu.Lock()
	r.open[client], r.open[server] = struct{}{}, struct{}{}
	r.mu.Unlock()
	lost := make(chan struct{}) // closed when the next answer is
	wrote := false
	go r.pass(client, server, func(question []byte) bool {
		wrote = wrote || bytes.Contains(question, []byte("INSERT INTO avtotpy.accounts"))
		if wrote && r.loses(question) {
			close(lost)
		}
		return true
	})
	r.pass(server, client, func([]byte) bool {
		select {
		case <-lost: // the server has committed when it answers
			return false
		default:
			return true
		}
	})
}

func (r *relay) gate() {
	r.mu.Lock()
	silent := r.silent
	r.mu.Unlock()
	<-silent
}

func (r *relay) pass(from, to net.Conn, goesOn func(content []byte) bool) {
	defer func() {
		_, _ = from.Close(), to.Close()
		r.mu.Lock()
		delete(r.open, from)
		r.mu.Unlock()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		r.gate()
		if n > 0 && !goesOn(buffer[:n]) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// loses reports that the COMMIT of a change was sent whose answer shall be lost.
func (r *relay) loses(question []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.commits == 0 || !bytes.Contains(question, []byte("commit\x00")) {
		return false
	}
	r.commits--
	return true
}

// aim makes new connections go to another server, and ends those that are open.
func (r *relay) aim(to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = to
	r.cut()
}

func (r *relay) cut() {
	for conn := range r.open {
		_ = conn.Close()
	}
}

// refuse is what a machine does on which the server does not run.
func (r *relay) refuse() {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.listener.Close()
	r.cut()
}

// drop makes the network lose everything, without a word to anybody.
func (r *relay) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silent = make(chan struct{})
}

// speak ends drop.
func (r *relay) speak() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.silent:
	default:
		close(r.silent)
	}
}

// port is for connection strings.
func (r *relay) port() string {
	_, port, _ := net.SplitHostPort(r.address) // it was one
	return port
}

// loseCommit loses the answer to the next COMMIT of an account.
func (r *relay) loseCommit() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.commits = 1
}

// since is for figures in a log.
func since(began time.Time) time.Duration { return time.Since(began).Round(10 * time.Millisecond) }
