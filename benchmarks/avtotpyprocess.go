package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/avtotpy/avtotpy/internal/keyring"
)

// environ is what the real program needs; listen is empty when it does not serve.
func (d *database) environ(listen string) []string {
	environ := []string{
		"POSTGRES_MIGRATOR_CONNECTION_STR=" + d.conn(nil),
		"POSTGRES_MIGRATOR_UNPRIVILEGED_USER=" + d.web,
		"POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD=" + password,
	}
	if listen == "" {
		return environ
	}
	return append(environ, "POSTGRES_CONNECTION_STR="+d.webConn(nil), "AVTOTPY_MASTER_KEY="+d.key(),
		"AVTOTPY_LISTEN_ADDR="+listen)
}

func (d *database) webConn(through *relay) string {
	address := d.server.address()
	if through != nil {
		address = through.address()
	}
	return d.server.connString(d.web, d.name, address)
}

// key is the master key; one for each database.
func (d *database) key() string {
	if d.masterKey == "" {
		d.masterKey = keyring.Generate("bench")
	}
	return d.masterKey
}

// A serving is a process that answers requests.
type serving struct {
	url    string
	cmd    *exec.Cmd
	output *bytes.Buffer
	took   time.Duration // from its start to its first answer
}

// serve starts a program and waits for its first answer to a path. It asks all the time: how
// long a start takes is what is measured.
func serve(ctx context.Context, path string, start func(listen string) *exec.Cmd) (*serving, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	listen := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s := &serving{url: "http://" + listen, cmd: start(listen), output: new(bytes.Buffer)}
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for {
		response, err := ask(ctx, client, s.url+path)
		if err == nil {
			s.took = time.Since(began)
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				s.stop()
				return nil, fmt.Errorf("%s: %s", path, response.Status)
			}
			return s, nil
		}
		if time.Since(began) > 30*time.Second || ctx.Err() != nil || s.cmd.Process.Signal(syscall.Signal(0)) != nil {
			s.stop()
			return nil, fmt.Errorf("%s does not answer: %w\n%s", s.cmd.Path, err, s.output)
		}
		time.Sleep(200 * time.Microsecond)
	}
}

func ask(ctx context.Context, client *http.Client, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return client.Do(request) //nolint:gosec // on the loopback
}

func (s *serving) peak() (int64, error) { return peakOf(s.cmd.Process.Pid) }

func (s *serving) stop() {
	_ = s.cmd.Process.Signal(os.Interrupt)
	_ = s.cmd.Wait() // as asked
}

// avtotpyServer starts the real program in its usual mode.
func (b *bench) avtotpyServer(ctx context.Context, db *database) (*serving, error) {
	return serve(ctx, "/login", func(listen string) *exec.Cmd {
		command := exec.CommandContext(ctx, b.programs.avtotpy) //nolint:gosec // our own
		command.Env = db.environ(listen)
		return command
	})
}
