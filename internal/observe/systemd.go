package observe

import (
	"net"
	"strings"
	"sync"
	"time"
)

// A systemd notifies the service manager, if one waits for it: with
// Type=notify it names a socket in NOTIFY_SOCKET (sd_notify(3)). The successor of a
// hand-over has the same process id and finds the same socket. Messages go one way;
// whether they are read changes nothing.
//
// There is no watchdog: what would feed it proves no more than that the process is
// there. "avtotpy healthcheck" asks the same questions as a user does.
type systemd struct {
	socket string // "" when no manager waits

	mu     sync.Mutex
	status string
	quit   chan struct{}
	once   sync.Once
	joined sync.WaitGroup
}

// startSystemd keeps the manager from giving up on a start that takes long: while the
// program works, since every wait of the migrator has a limit of its own.
func startSystemd(environ []string) *systemd {
	s := &systemd{quit: make(chan struct{})}
	for _, v := range environ {
		if socket, ok := strings.CutPrefix(v, "NOTIFY_SOCKET="); ok {
			s.socket = socket
		}
	}
	if s.socket != "" {
		s.joined.Go(s.run)
	}
	return s
}

// run writes in a goroutine of its own, because a manager that is slow to read blocks
// a writer, and the migrator must not wait for it.
func (s *systemd) run() {
	const extension, often = "EXTEND_TIMEOUT_USEC=30000000", 10 * time.Second
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var extended time.Time
	sent := ""
	for {
		var lines []string
		if time.Since(extended) >= often {
			extended, lines = time.Now(), append(lines, extension)
		}
		s.mu.Lock()
		if s.status != sent {
			sent, lines = s.status, append(lines, "STATUS="+s.status)
		}
		s.mu.Unlock()
		if len(lines) > 0 {
			s.send(lines...)
		}
		select {
		case <-s.quit:
			return
		case <-tick.C:
		}
	}
}

// setStatus sets what systemctl status shows.
func (s *systemd) setStatus(status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = strings.ReplaceAll(status, "\n", " ")
}

// ready ends the start.
func (s *systemd) ready(status string) {
	s.stop()
	s.send("READY=1", "STATUS="+status)
}

func (s *systemd) stopping() { s.send("STOPPING=1", "STATUS=stopping") }

func (s *systemd) stop() {
	s.once.Do(func() { close(s.quit) })
	s.joined.Wait()
}

func (s *systemd) send(lines ...string) {
	if s.socket == "" {
		return
	}
	// DialUnix knows that @ begins an abstract name
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.socket, Net: "unixgram"})
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write([]byte(strings.Join(lines, "\n"))) // whether it is read changes nothing
}
