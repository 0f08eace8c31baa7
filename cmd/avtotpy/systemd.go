package main

import (
	"net"
	"strings"
	"sync"
	"time"
)

// A systemd is the service manager that waits for news, if one does: with
// Type=notify it names a socket in NOTIFY_SOCKET (sd_notify(3)). The successor of a
// hand-over has the same process id and finds the same socket, so there is no more
// to it. It is only ever told; whether it listens changes nothing.
//
// There is no watchdog: what would feed it proves no more than that the process is
// there. "avtotpy healthcheck" asks the same questions as a user does.
type systemd struct {
	socket string // "" when nobody waits

	mu     sync.Mutex
	status string
	quit   chan struct{}
	once   sync.Once
	joined sync.WaitGroup
}

// startSystemd keeps the manager from giving up on a start that takes long: for as
// long as the program works, and every wait of the migrator has a limit of its own.
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

// run writes beside the migrator, because a manager that is slow to read blocks who
// writes to it.
func (s *systemd) run() {
	const extension, often = "EXTEND_TIMEOUT_USEC=30000000", 10 * time.Second
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var extended time.Time
	told := ""
	for {
		var news []string
		if time.Since(extended) >= often {
			extended, news = time.Now(), append(news, extension)
		}
		s.mu.Lock()
		if s.status != told {
			told, news = s.status, append(news, "STATUS="+s.status)
		}
		s.mu.Unlock()
		if len(news) > 0 {
			s.send(news...)
		}
		select {
		case <-s.quit:
			return
		case <-tick.C:
		}
	}
}

// say sets what systemctl status shows.
func (s *systemd) say(status string) {
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
	// it knows that @ begins an abstract name
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.socket, Net: "unixgram"})
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write([]byte(strings.Join(lines, "\n"))) // whether anybody reads it changes nothing
}
