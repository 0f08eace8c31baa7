package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/keyring"
)

const (
	userPassword = "correct horse battery staple" //nolint:gosec // of a made-up user
	clients      = 8
	manyClients  = 64
)

// setUp makes the first user of a program that just started, and returns the cookie of the session.
func setUp(ctx context.Context, url string, db *database) error {
	_, err := logIn(ctx, url, db, true)
	return err
}

func logIn(ctx context.Context, url string, db *database, first bool) (*http.Cookie, error) {
	path, body := "/api/v1/session", map[string]string{"name": "alice", "password": userPassword}
	if first {
		ring, err := keyring.Parse(db.key())
		if err != nil {
			return nil, err
		}
		path, body["token"] = "/api/v1/setup", ring.SetupToken()
	}
	response, err := post(ctx, url+path, body, nil)
	if err != nil {
		return nil, err
	}
	for _, cookie := range response.Cookies() {
		return cookie, nil
	}
	return nil, errors.New("the login brought no cookie")
}

func post(ctx context.Context, url string, body any, cookie *http.Cookie) (*http.Response, error) {
	content, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Sec-Fetch-Site", "same-origin") // as a browser says of a page's own request
	if cookie != nil {
		request.AddCookie(cookie)
	}
	response, err := http.DefaultClient.Do(request) //nolint:gosec // on the loopback
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s: %s", url, response.Status, text)
	}
	return response, err
}

// accountCounts are how many accounts the lists have that are measured.
func accountCounts() []int { return []int{20, 200} }

// webServer measures the list of codes against a handler that only runs the same query, and how
// much memory the program takes for that.
func (b *bench) webServer(ctx context.Context) error {
	b.say("the web server")
	db, err := b.server.newDatabase(ctx)
	if err != nil {
		return err
	}
	defer db.drop(ctx)
	if err := b.startOnce(ctx, db); err != nil {
		return err
	}
	// Another process than the one that has hashed a password.
	real, err := b.avtotpyServer(ctx, db)
	if err != nil {
		return err
	}
	defer real.stop()
	bare, err := b.bareServer(ctx, db)
	if err != nil {
		return err
	}
	defer bare.stop()
	idle, err := real.peak()
	if err != nil {
		return err
	}
	s := b.report.section("The list of codes",
		fmt.Sprintf("Clients that ask without a pause, turns of %s; clients, program and server share the machine. "+
			"The bare handler runs the query of the codes and nothing else: no session, nothing opened, no codes.",
			b.form.webTime),
		"", "accounts", "clients", "requests a second", "median", "99 of 100 within", "processor time of the server",
		"of PostgreSQL", "of the clients", "turns")
	accounts := 0
	for _, count := range accountCounts() {
		if err := b.fill(ctx, db, accounts, count); err != nil {
			return err
		}
		accounts = count
		if err := b.compareCodes(ctx, s, real, bare, count); err != nil {
			return err
		}
	}
	serving, err := real.peak()
	if err != nil {
		return err
	}
	if _, err := logIn(ctx, real.url, db, false); err != nil {
		return err
	}
	afterLogin, err := real.peak()
	if err != nil {
		return err
	}
	m := b.report.section("Peak memory of the program", "VmHWM of /proc.", "", "")
	m.row("when it has started", mebibytes(idle))
	m.row("serving the load above", mebibytes(serving))
	m.row("and after a login (argon2id takes 46 MiB while it hashes)", mebibytes(afterLogin))
	b.report.judge("Peak memory of the program, serving", "under 40 MiB",
		fmt.Sprintf("%s; %s after a login", mebibytes(serving), mebibytes(afterLogin)), serving < 40<<20)
	return nil
}

func each[T, U any](all []T, of func(T) U) []U {
	var mapped []U
	for _, x := range all {
		mapped = append(mapped, of(x))
	}
	return mapped
}

// compareCodes takes turns between the two servers.
func (b *bench) compareCodes(ctx context.Context, s *section, ours, bare *serving, accounts int) error {
	for _, n := range []int{1, clients, manyClients} {
		loads := [2][]load{}
		for range b.form.webRounds {
			for i, target := range []*serving{ours, bare} {
				l, err := b.fireAt(ctx, target, []string{"/api/v1/codes", "/"}[i], n)
				if err != nil {
					return err
				}
				loads[i] = append(loads[i], l)
			}
		}
		rate := func(of []load) float64 { return median(each(of, func(l load) float64 { return l.rate })) }
		middle := func(of []load) time.Duration {
			return median(each(of, func(l load) time.Duration { return l.middle }))
		}
		slow := func(of []load) time.Duration { return median(each(of, func(l load) time.Duration { return l.slow })) }
		for i, name := range []string{"AVTotpy", "a bare handler"} {
			used := func(of func(load) time.Duration) string { return short(median(each(loads[i], of))) }
			s.row(name, fmt.Sprint(accounts), fmt.Sprint(n), fmt.Sprintf("%.0f", rate(loads[i])),
				short(middle(loads[i])), short(slow(loads[i])),
				used(func(l load) time.Duration { return l.server }),
				used(func(l load) time.Duration { return l.database }),
				used(func(l load) time.Duration { return l.clients }), fmt.Sprint(len(loads[i])))
		}
		what := fmt.Sprintf("Codes of %d accounts, %d clients", accounts, n)
		switch n {
		case 1:
			b.report.judge(what+": median", "under 10 ms", short(middle(loads[0])),
				middle(loads[0]) < 10*time.Millisecond)
		case clients:
			share := rate(loads[0]) / rate(loads[1])
			b.report.judge(what+": requests a second, of a bare handler's", "0.8", fmt.Sprintf("%.2f", share),
				share >= 0.8)
		case manyClients:
			b.report.judge(what+": 99 of 100 within", "250 ms", short(slow(loads[0])),
				slow(loads[0]) < 250*time.Millisecond)
		}
	}
	return nil
}

// startOnce makes a user, whose session the benchmark has from then on.
func (b *bench) startOnce(ctx context.Context, db *database) error {
	p, err := b.avtotpyServer(ctx, db)
	if err != nil {
		return err
	}
	defer p.stop()
	b.cookie, err = logIn(ctx, p.url, db, true)
	return err
}

// fill adds accounts until there are enough.
func (b *bench) fill(ctx context.Context, db *database, have, want int) error {
	p, err := b.avtotpyServer(ctx, db)
	if err != nil {
		return err
	}
	defer p.stop()
	for i := have; err == nil && i < want; i++ {
		_, err = post(ctx, p.url+"/api/v1/accounts", map[string]any{
			"link": fmt.Sprintf("otpauth://totp/Example%d:alice?secret=JBSWY3DPEHPK3PXP&issuer=Example%[1]d", i),
		}, b.cookie)
	}
	return err
}

func (b *bench) bareServer(ctx context.Context, db *database) (*serving, error) {
	conn, err := pgx.Connect(ctx, b.server.connString(adminRole, db.name, b.server.address()))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	var user string
	if err := conn.QueryRow(ctx, "SELECT id::text FROM avtotpy.users").Scan(&user); err != nil {
		return nil, err
	}
	return serve(ctx, "/", func(listen string) *exec.Cmd {
		command := exec.CommandContext(ctx, b.programs.bare, listen, user) //nolint:gosec // our own
		command.Env = []string{"BARE_CONN=" + db.webConn(nil)}
		return command
	})
}

// A load is what one turn of asking gave.
type load struct {
	answers      int
	rate         float64 // answers a second
	middle, slow time.Duration

	server, database, clients time.Duration // of a processor, for each answer
}

// fireAt is fire, with the processor time that it takes: of that, unlike of the rest, a busy machine changes little.
func (b *bench) fireAt(ctx context.Context, target *serving, path string, clients int) (load, error) {
	before, err := b.processorTimes(target)
	if err != nil {
		return load{}, err
	}
	l, err := fire(ctx, target.url+path, b.cookie, clients, b.form.webTime)
	if err != nil {
		return load{}, err
	}
	after, err := b.processorTimes(target)
	if err != nil {
		return load{}, err
	}
	used := func(i int) (sum time.Duration) {
		// a process of the server's that has begun in between counts, one that has ended does not
		for pid, now := range after[i] {
			sum += now - before[i][pid]
		}
		return sum / max(time.Duration(l.answers), 1)
	}
	l.server, l.database, l.clients = used(0), used(1), used(2)
	return l, nil
}

// processorTimes are those of a server, of PostgreSQL, and of this program.
func (b *bench) processorTimes(of *serving) (all [3]map[int]time.Duration, err error) {
	children, err := childrenOf(b.server.process.Process.Pid)
	if err != nil {
		return all, err
	}
	for i, pids := range [3][]int{{of.cmd.Process.Pid}, children, {os.Getpid()}} {
		if all[i], err = processorTimes(pids); err != nil {
			return all, err
		}
	}
	return all, nil
}

// fire asks from several clients at once for a while.
func fire(ctx context.Context, url string, cookie *http.Cookie, clients int, long time.Duration) (load, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var all []time.Duration
	var failure error
	var wg sync.WaitGroup
	start := time.Now()
	for range clients {
		wg.Go(func() {
			var mine []time.Duration
			var err error
			for err == nil && time.Since(start) < long {
				began := time.Now()
				err = get(ctx, client, url, cookie)
				mine = append(mine, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			all, failure = append(all, mine...), errors.Join(failure, err)
		})
	}
	wg.Wait()
	if failure != nil {
		return load{}, failure
	}
	slices.Sort(all)
	return load{
		answers: len(all), rate: float64(len(all)) / time.Since(start).Seconds(), middle: all[len(all)/2],
		slow: all[len(all)*99/100],
	}, nil
}

func get(ctx context.Context, client *http.Client, url string, cookie *http.Cookie) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.AddCookie(cookie)
	response, err := client.Do(request) //nolint:gosec // on the loopback
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode != http.StatusOK || !strings.Contains(string(text), "-"): // an id
		return fmt.Errorf("%s: %s: %.200s", url, response.Status, text)
	}
	return nil
}
