package web_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/web"
)

// events collects what is about security.
type events struct {
	mu  sync.Mutex
	all []auth.Event
}

func (e *events) add(_ context.Context, event auth.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, event)
}

func (e *events) take() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var kinds []string
	for _, one := range e.all {
		kinds = append(kinds, string(one.Kind))
	}
	e.all = nil
	return strings.Join(kinds, " ")
}

func (e *events) count(use auth.Use, kind auth.EventKind) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, one := range e.all {
		if one.Use == use && one.Kind == kind {
			n++
		}
	}
	return n
}

// TestNoRouteReadsMoreThanItNeeds sends bodies that no route needs to every route that takes one, and reads how much of
// them is answered.
func TestNoRouteReadsMoreThanItNeeds(t *testing.T) {
	t.Parallel()
	var seen events
	s := newSite(t, func(s *web.Server) { s.Event = seen.add })
	alice := s.alice()
	id := alice.add(map[string]any{"link": link})
	names := `{` + strings.Repeat(`"0":0,`, 1000) + `"1":1}`
	fields := strings.Repeat("a=1&", 1000)
	seen.take()
	for _, route := range []string{
		"POST /api/v1/setup", "POST /api/v1/session", "PUT /api/v1/password", "POST /api/v1/preview",
		"POST /api/v1/accounts",
		"PATCH /api/v1/accounts/" + id, "POST /api/v1/accounts/" + id + "/hotp", "DELETE /api/v1/session",
		"DELETE /api/v1/accounts/" + id,
		"GET /api/v1/codes", "POST /api/v1/nothing",
		"POST /setup", "POST /login", "POST /logout", "POST /accounts/new", "POST /accounts/" + id,
		"POST /settings/password", "POST /nothing", "GET /",
	} {
		method, path, _ := strings.Cut(route, " ")
		bodies := map[string]string{
			"many fields": fields, "1 MiB": strings.Repeat("a", 1<<20),
			"40 KiB": strings.Repeat("a", 40<<10),
		}
		kind := "application/x-www-form-urlencoded"
		if strings.HasPrefix(path, "/api/") {
			bodies["many fields"], kind = names, "application/json"
			bodies["1 MiB"] = `{"name":"` + bodies["1 MiB"] + `"}`
		}
		for name, body := range bodies {
			a := alice.ask(method, path, body, "Content-Type", kind)
			if a.StatusCode != http.StatusRequestEntityTooLarge || len(a.text) > 4<<10 {
				t.Errorf("%s, %s: %s, %d bytes", route, name, a.Status, len(a.text))
			}
			if got := seen.take(); got != string(auth.EventTooLarge) {
				t.Errorf("%s, %s: the event is %q", route, name, got)
			}
		}
		if a := s.chunked(method, path, kind, alice); a.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s, in chunks: %s", route, a.Status)
		}
		seen.take()
	}
	alice.must(http.StatusOK, "GET", "/api/v1/session", nil)
	if a := alice.ask("POST", "/login", "--x", "Content-Type",
		"multipart/form-data; boundary=x"); a.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("a form in parts: %s", a.Status)
	}
	if a := alice.ask("GET", "/?"+strings.Repeat("x", 5000), nil); a.StatusCode != http.StatusRequestURITooLong {
		t.Errorf("a long address: %s", a.Status)
	}
	unknown := `{` + strings.Repeat(`"0":0,`, 20) + `"1":1,"2":2,"3":3,"4":4,"5":5,"6":6,"7":7,"8":8,"9":9,"10":10}`
	if a := alice.ask("POST", "/api/v1/session", unknown); strings.Count(a.text, "location") > 10 {
		t.Errorf("an answer lists all that is wrong: %s", a.text)
	}
}

// chunked sends a body that does not say how long it is, and never ends.
func (s *site) chunked(method, path, kind string, as *visitor) answer {
	s.t.Helper()
	r, w := io.Pipe()
	go func() {
		for {
			if _, err := w.Write([]byte(strings.Repeat(" ", 4096))); err != nil {
				return // the client has its answer
			}
		}
	}()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.http.URL+path, r)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", kind)
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, c := range as.cookies {
		request.AddCookie(c)
	}
	response, err := (&http.Transport{}).RoundTrip(request)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = response.Body.Close()
	_ = r.Close()
	return answer{response, ""}
}

// TestSlowBodiesDoNotKeepOthersOut opens requests of one network that never finish until it gets no more, and then
// logs in from there as before: what is refused is refused at once.
func TestSlowBodiesDoNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	server, err := url.Parse(s.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	const opened = 600 // more than a network's budget for bodies of 8 KiB
	refused := make(chan string, opened)
	for range opened {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, err = fmt.Fprintf(conn, "POST /login HTTP/1.1\r\nHost: %s\r\nContent-Type: "+
			"application/x-www-form-urlencoded\r\nContent-Length: 8000\r\n\r\nname=", server.Host)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			line, _ := bufio.NewReader(conn).ReadString('\n') // empty when the test is over
			refused <- strings.TrimSpace(line)
		}()
	}
	if line := <-refused; !strings.Contains(line, "503") {
		t.Errorf("the first answer to a slow body is %q", line)
	}
	alice.must(http.StatusOK, "GET", "/api/v1/codes", nil) // needs no body
}

// TestABodyThatDoesNotArriveIsGivenUp sends half of one.
func TestABodyThatDoesNotArriveIsGivenUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *web.Server) { s.BodyTime = time.Millisecond })
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	request, err := http.NewRequestWithContext(t.Context(), "POST", s.http.URL+"/login", r)
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = 100
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	go func() { _, _ = io.WriteString(w, "name=") }()
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusRequestTimeout {
		t.Errorf("the answer is %s", response.Status)
	}
}

// TestOneUserLeavesRoomForOthers changes more than a person does by hand: each user has a share, whatever the session.
func TestOneUserLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	now := time.Now() // stands still: no change is earned back
	var seen events
	s := newSite(t, func(s *web.Server) { s.Now, s.Event = func() time.Time { return now }, seen.add })
	alice, bob := s.alice(), s.bob()
	again := s.visitor()
	again.must(http.StatusOK, "POST", "/api/v1/session", map[string]any{"name": "Alice", "password": password})
	seen.take()
	done := 0
	var last answer
	for last.Response == nil || last.StatusCode != http.StatusTooManyRequests {
		last = []*visitor{alice, again}[done%2].ask("POST", "/api/v1/preview", map[string]any{"link": link})
		done++
	}
	if done != 241 || last.Header.Get("Retry-After") != "1" {
		t.Errorf("refused at request %d, with Retry-After %q: %s", done, last.Header.Get("Retry-After"), last.text)
	}
	if got := seen.take(); got != string(auth.EventRate) {
		t.Errorf("the event is %q", got)
	}
	if a := alice.send("/accounts/new", url.Values{"box": {link}}); a.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a form afterwards: %s", a.Status)
	}
	alice.must(http.StatusOK, "GET", "/api/v1/codes", nil)
	bob.must(http.StatusOK, "POST", "/api/v1/preview", map[string]any{"link": link})
}

// TestManyRequestsOfOneUserTakeTurns holds the rows that requests of one user want: no more than their turns get as far
// as the database, and others get there during that time.
func TestManyRequestsOfOneUserTakeTurns(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, bob := s.alice(), s.bob()
	id := alice.add(map[string]any{"kind": "hotp", "secret": "JBSWY3DPEHPK3PXP"})
	var group sync.WaitGroup
	statuses := make(chan int, 40)
	for range cap(statuses) {
		group.Go(func() { statuses <- alice.ask("POST", "/api/v1/accounts/"+id+"/hotp", nil).StatusCode })
	}
	bob.must(http.StatusOK, "GET", "/api/v1/codes", nil)
	group.Wait()
	close(statuses)
	for status := range statuses {
		if status != http.StatusOK {
			t.Errorf("a request that waited for its turn got %d", status)
		}
	}
	if n := pgtest.Value[int64](t, s.db.SuperConn,
		"SELECT counter FROM avtotpy.hotp_counters"); n != int64(cap(statuses)) {
		t.Errorf("the counter is at %d", n)
	}
}
