package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// A served is a server at work, in the real program, with a user who is logged in.
type served struct {
	t       *testing.T
	url     string
	said    *pgtest.Output
	cookie  string
	setup   string // token
	key     string // master key
	process *os.Process
}

// startServing starts the program in SKIP, and makes a user.
func startServing(t *testing.T, webConn string) *served {
	t.Helper()
	s := startServer(t, webConn, keyring.Generate("k1"))
	s.logIn()
	return s
}

// beside starts another server on the same database.
func (s *served) beside(t *testing.T, webConn string) *served {
	t.Helper()
	other := startServer(t, webConn, s.key)
	other.cookie = s.cookie
	return other
}

func startServer(t *testing.T, webConn, key string, environ ...string) *served {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &served{t: t, said: new(pgtest.Output), key: key}
	ring, err := keyring.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	s.setup = ring.SetupToken()
	address := pgtest.FreeAddress(t)
	s.url = "http://" + address
	cmd := exec.CommandContext(context.Background(), own)
	cmd.Args[0] = "avtotpy" // what TestMain goes by
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "AVTOTPY_MASTER_KEY=" + key, "AVTOTPY_LISTEN_ADDR=" + address,
		"AVTOTPY_LOG_FORMAT=text",
		"POSTGRES_MIGRATOR_MODE=SKIP", "POSTGRES_CONNECTION_STR=" + webConn,
	}, environ...)
	cmd.Env = append(cmd.Env, environ...)
	cmd.Stdout, cmd.Stderr = s.said, s.said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.process = cmd.Process
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("the program said\n%s", s.said)
		}
	})
	s.awaitReady()
	return s
}

func (s *served) awaitReady() {
	s.t.Helper()
	pgtest.Eventually(s.t, "it is ready", func() error {
		status, body, err := s.ask(http.MethodGet, "/readyz", nil)
		if err == nil {
			err = pgtest.Unless(status == http.StatusOK, "%d %s", status, body)
		}
		return err
	})
}

// awaitUnready waits until /readyz says why not.
func (s *served) awaitUnready(why string) {
	s.t.Helper()
	pgtest.Eventually(s.t, "it is not ready: "+why, func() error {
		status, body, err := s.ask(http.MethodGet, "/readyz", nil)
		if err == nil {
			err = pgtest.Unless(status == http.StatusServiceUnavailable && strings.Contains(body, why), "%d %s",
				status, body)
		}
		return err
	})
}

func (s *served) logIn() {
	s.t.Helper()
	// texts
	body, _ := json.Marshal(map[string]string{"token": s.setup, "name": "alice", "password": "correct horse battery"})
	// A busy machine is asked again, as its answer says.
	pgtest.Eventually(s.t, "the first user is made", func() error {
		answer, err := http.DefaultClient.Do(s.request(http.MethodPost, "/api/v1/setup", body))
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		text, _ := io.ReadAll(answer.Body) // for the message
		if answer.StatusCode != http.StatusCreated && answer.StatusCode != http.StatusServiceUnavailable {
			s.t.Fatalf("set-up: %s %s", answer.Status, text)
		}
		s.cookie, _, _ = strings.Cut(answer.Header.Get("Set-Cookie"), ";")
		return pgtest.Unless(s.cookie != "", "%s %s", answer.Status, text)
	})
}

func (s *served) request(method, path string, body []byte) *http.Request {
	request, err := http.NewRequestWithContext(context.Background(), method, s.url+path, bytes.NewReader(body))
	if err != nil {
		s.t.Error(err)
	}
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	request.Header.Set("Cookie", s.cookie)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return request
}

// ask returns 503 as -503 when the answer lacks Retry-After, so that no test takes it for a good one.
func (s *served) ask(method, path string, body []byte) (status int, text string, err error) {
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(s.request(method, path, body))
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	status = answer.StatusCode
	if status == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") == "" {
		status = -status
	}
	return status, string(content), err
}

const someAccount = `{"link":"otpauth://totp/Example:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Example"}`

// write adds an account, and removes it again where that is possible: lists stay short.
func (s *served) write() (status int, text string, err error) {
	status, text, err = s.ask(http.MethodPost, "/api/v1/accounts", []byte(someAccount))
	var added struct {
		Account struct {
			ID string `json:"id"`
		} `json:"account"`
	}
	if err == nil && status == http.StatusCreated && json.Unmarshal([]byte(text), &added) == nil {
		_, _, err = s.ask(http.MethodDelete, "/api/v1/accounts/"+added.Account.ID, nil)
	}
	return status, text, err
}

// A load is what people ask of a server all the time: a list of codes, the page for logging in, changes. It is bounded
// by the number of its workers, each of which waits for its answer and then a moment, and by the test.
type load struct {
	*served
	stop   chan struct{}
	joined sync.WaitGroup

	mu      sync.Mutex
	counts  map[string]int // of kinds of requests with their status
	wrong   []string
	slowest time.Duration
	written time.Time // when the last change succeeded
}

func (s *served) load(workers int) *load {
	l := &load{served: s, stop: make(chan struct{}), counts: map[string]int{}}
	for range workers {
		l.joined.Go(l.work)
	}
	s.t.Cleanup(l.end)
	return l
}

func (l *load) work() {
	for {
		l.count("codes", func() (int, string, error) { return l.ask(http.MethodGet, "/api/v1/codes", nil) })
		l.count("login", func() (int, string, error) { return l.ask(http.MethodGet, "/login", nil) })
		pause := 10 * time.Millisecond
		if l.count("write", l.write) == http.StatusTooManyRequests {
			pause = time.Second / 4 // in which one change more is allowed
		}
		select {
		case <-l.stop:
			return
		case <-time.After(pause):
		}
	}
}

func (l *load) count(kind string, ask func() (int, string, error)) (status int) {
	began := time.Now()
	status, text, err := ask()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[fmt.Sprintf("%s %d", kind, status)]++
	l.slowest = max(l.slowest, time.Since(began))
	switch {
	case err != nil:
		l.wrong = append(l.wrong, fmt.Sprintf("%s: %v", kind, err))
	case status == http.StatusServiceUnavailable, status == http.StatusOK, status == http.StatusSeeOther:
	case status == http.StatusTooManyRequests && kind == "write": // a user's share of changes, on a fast machine
	case status == http.StatusCreated:
		l.written = time.Now()
	default:
		l.wrong = append(l.wrong, fmt.Sprintf("%s: %d %s", kind, status, text))
	}
	return status
}

// awaitWrite waits for a change that succeeds from now on, and returns how long that took.
func (l *load) awaitWrite(from time.Time) time.Duration {
	l.t.Helper()
	now := time.Now()
	var at time.Time
	pgtest.Eventually(l.t, "a change succeeds", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		at = l.written
		return pgtest.Unless(at.After(now), "the last one was %s ago", time.Since(at))
	})
	return at.Sub(from).Round(10 * time.Millisecond)
}

// awaitRefused waits until some requests more were answered with 503.
func (l *load) awaitRefused() {
	l.t.Helper()
	const more = 20
	want := l.refusals() + more
	pgtest.Eventually(l.t, "requests are refused", func() error {
		return pgtest.Unless(l.refusals() >= want, "%d, want %d", l.refusals(), want)
	})
}

// refusals counts the answers so far that ask to come back later.
func (l *load) refusals() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts["codes 503"] + l.counts["login 503"] + l.counts["write 503"]
}

func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.joined.Wait()
}

// report ends the load, and fails the test unless every answer was a good one or a 503 with Retry-After, and the log
// has a line at the beginning and at the end of at most so many outages.
func (l *load) report(outages int) {
	l.t.Helper()
	lines := func() (began, ended int) {
		log := l.said.String()
		return strings.Count(log, "the database is away"), strings.Count(log, "the database is back")
	}
	// while requests come: the last one may have succeeded before it began
	pgtest.Eventually(l.t, "an outage ends", func() error {
		began, ended := lines()
		return pgtest.Unless(began == ended, "the log has %d that began and %d that ended", began, ended)
	})
	l.end()
	if len(l.wrong) > 0 {
		l.t.Errorf("%d wrong answers, the first: %s", len(l.wrong), l.wrong[0])
	}
	log := l.said.String()
	began, ended := lines()
	if began != ended || began > outages {
		l.t.Errorf("the log has %d outages that began and %d that ended, want the same, at most %d", began, ended,
			outages)
	}
	if strings.Contains(log, "a request failed") {
		l.t.Errorf("requests failed for other reasons")
	}
	var counts []string
	for _, kind := range slices.Sorted(maps.Keys(l.counts)) {
		counts = append(counts, fmt.Sprintf("%s: %d", kind, l.counts[kind]))
	}
	l.t.Logf("%s; slowest %s; %d lines of log", strings.Join(counts, ", "), l.slowest.Round(10*time.Millisecond),
		strings.Count(log, "\n"))
}
