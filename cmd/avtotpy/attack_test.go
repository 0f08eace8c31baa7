package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// memory returns how much of a process is in memory, and how much at most ever was, in MiB.
func memory(t *testing.T, pid int) (now, most int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip(err) // not Linux
	}
	in := func(name string) int {
		found := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(status)
		if found == nil {
			t.Fatalf("no %s in %s", name, status)
		}
		n, _ := strconv.Atoi(string(found[1])) // digits
		return n >> 10
	}
	return in("VmRSS"), in("VmHWM")
}

// TestBodiesOfStrangersCostLittle sends the real program 100 bodies of 1 MiB at once, of unknown names and of one long
// one, with and without their length, and asks for pages in between. What this costs is bounded by what the routes
// read, so the memory is asserted; how long others waited depends on the machine, and is printed.
//
// With AVTOTPY_LONG=1 it does so for ten rounds.
func TestBodiesOfStrangersCostLittle(t *testing.T) {
	t.Parallel()
	s := startServing(t, pgtest.Migrated(t).WebConn)
	names := bytes.Buffer{}
	for i := 0; names.Len() < 1<<20; i++ {
		fmt.Fprintf(&names, `"%d":0,`, i)
	}
	bodies := []string{
		"{" + names.String() + `"x":0}`, `{"name":"` + strings.Repeat("x", 1<<20) + `"}`,
		strings.Repeat("[", 1<<20),
	}
	before, _ := memory(t, s.process.Pid)
	rounds := 1
	if os.Getenv("AVTOTPY_LONG") != "" {
		rounds = 10
	}
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 0, DisableKeepAlives: true}}
	stop := make(chan struct{})
	waits := make(chan []time.Duration)
	go func() { // another visitor, meanwhile
		var all []time.Duration
		defer func() { waits <- all }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			began := time.Now()
			status, body, err := s.ask(http.MethodGet, "/api/v1/codes", nil)
			if err != nil || status != http.StatusOK {
				t.Errorf("another visitor: %d %s %v", status, body, err)
				return
			}
			all = append(all, time.Since(began))
		}
	}()
	began := time.Now()
	statuses := map[int]int{}
	var mu sync.Mutex
	for round := range rounds {
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() {
				var body io.Reader = strings.NewReader(bodies[i%len(bodies)])
				if i%2 == 1 {
					body = io.MultiReader(body) // in chunks
				}
				path := []string{"/api/v1/session", "/api/v1/setup", "/api/v1/accounts"}[(i+round)%3]
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, body)
				if err != nil {
					t.Error(err)
					return
				}
				request.Header.Set("Content-Type", "application/json")
				answer, err := client.Do(request)
				mu.Lock()
				defer mu.Unlock()
				if err != nil { // the connection is closed while it sends
					statuses[0]++
					return
				}
				n, _ := io.Copy(io.Discard, answer.Body) // as above
				_ = answer.Body.Close()
				statuses[answer.StatusCode]++
				if n > 4<<10 {
					t.Errorf("an answer of %d bytes", n)
				}
			})
		}
		group.Wait()
	}
	took := time.Since(began)
	close(stop)
	all := <-waits
	slices.Sort(all)
	_, most := memory(t, s.process.Pid)
	if len(all) == 0 {
		t.Fatal("nobody else was answered")
	}
	t.Logf("%d bodies in %s: answers %v; memory %d MiB before, at most %d MiB; %d other requests, half of them "+
		"within %s, 95 %% within %s, all within %s",
		100*rounds, took.Round(time.Millisecond), statuses, before, most, len(all),
		all[len(all)/2].Round(time.Millisecond),
		all[len(all)*95/100].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
	for status := range statuses {
		if status != 0 && status != http.StatusRequestEntityTooLarge && status != http.StatusServiceUnavailable {
			t.Errorf("answers: %v", statuses)
		}
	}
	// The hash of the set-up alone takes 46 MiB. The race detector takes more than the program.
	limit := 160
	if raceDetector {
		limit = before + 90
	}
	if most > limit {
		t.Errorf("%d MiB of memory, want at most %d", most, limit)
	}
}

// TestNothingThatIsTypedIsWrittenDown plants a password in each field where people type it by mistake, and looks for it
// in the log of the program, its metrics, the audit log and PostgreSQL's log, which has every statement and argument.
func TestNothingThatIsTypedIsWrittenDown(t *testing.T) {
	t.Parallel()
	own := pgtest.OwnServer(t, "log_statement=all", "log_parameter_max_length=-1",
		"log_parameter_max_length_on_error=-1")
	upgrade(t, own.DB)
	health := pgtest.FreeAddress(t)
	s := startServer(t, own.WebConn, keyring.Generate("k1"), "AVTOTPY_LOG_LEVEL=debug", "AVTOTPY_HEALTH_ADDR="+health)
	s.logIn()
	const planted = "Planted-Pa55word-94817"
	n := 0
	for path, bodies := range map[string][]string{
		"/api/v1/session": {
			`{"name":"%s","password":"x"}`, `{"name":"alice","password":"%s"}`, `{"name":"%s\u0000","password":"x"}`,
			`{"%s":1}`, `{"name":"%s"`,
		},
		"/api/v1/setup": {`{"token":"%s","name":"%[1]s","password":"%[1]s"}`, `{"token":"` + s.setup +
			`","name":"%s","password":"%[1]s"}`},
	} {
		for _, body := range bodies {
			if _, _, err := s.ask(http.MethodPost, path, fmt.Appendf(nil, body, planted)); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	for _, path := range []string{
		"/login?next=/" + planted, "/" + planted, "/accounts/" + planted,
		"/api/v1/accounts/" + planted,
	} {
		if _, _, err := s.ask(http.MethodGet, path, nil); err != nil {
			t.Fatal(err)
		}
	}
	pgtest.EventuallyValue(t, own.SuperConn,
		"SELECT coalesce(sum(count), 0) >= 2 FROM avtotpy.audit_log WHERE action = 'login.fail'", true)
	metrics, err := http.Get("http://" + health + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = metrics.Body.Close() }()
	counted, err := io.ReadAll(metrics.Body)
	if err != nil {
		t.Fatal(err)
	}
	postgres, err := os.ReadFile(filepath.Join(own.Folder, "data", "log", "postgres.log"))
	if err != nil {
		t.Fatal(err)
	}
	audit := pgtest.Value[string](t, own.SuperConn, "SELECT string_agg(a::text, E'\\n') FROM avtotpy.audit_log a")
	for where, text := range map[string]string{
		"the log": s.said.String(), "the metrics": string(counted),
		"PostgreSQL's log": string(postgres), "the audit log": audit,
	} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(planted)) {
			t.Errorf("%s has the password", where)
		}
	}
	for where, found := range map[string]bool{
		"PostgreSQL's log": strings.Contains(string(postgres), "name_mac"),
		"the log":          strings.Contains(s.said.String(), "event=login.fail"),
		"the metrics": regexp.MustCompile(`avtotpy_security_events_total\{event="login.fail"\} [2-9]`).Match(
			counted),
	} {
		if !found {
			t.Errorf("%s says nothing of the %d attempts", where, n)
		}
	}
}
