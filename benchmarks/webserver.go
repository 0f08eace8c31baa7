package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	accountCount = 20
	clients      = 8
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

// webServer measures the list of codes against a handler that only runs the same query, and how
// much memory the program takes for that.
func (b *bench) webServer(ctx context.Context) error {
	b.say("the web server")
	db, err := b.server.newDatabase(ctx)
	if err != nil {
		return err
	}
	defer db.drop(ctx)
	cookie, err := b.fill(ctx, db)
	if err != nil {
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
	loads := [2][]load{}
	for range b.form.webRounds {
		for i, target := range []string{real.url + "/api/v1/codes", bare.url + "/"} {
			l, err := fire(ctx, target, cookie, b.form.webTime)
			if err != nil {
				return err
			}
			loads[i] = append(loads[i], l)
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
	s := b.report.section("The list of codes", fmt.Sprintf("%d accounts, %d clients that ask without a pause, turns of %s; clients, program and server share the machine. The bare handler runs the query of the list and nothing else: no session, nothing opened, no codes.", accountCount, clients, b.form.webTime),
		"", "requests a second", "median", "99 of 100 within", "turns")
	for i, name := range []string{"AVTotpy", "a bare handler"} {
		s.row(name, fmt.Sprintf("%.0f", median(each(loads[i], func(l load) float64 { return l.rate }))),
			short(median(each(loads[i], func(l load) time.Duration { return l.middle }))), short(median(each(loads[i], func(l load) time.Duration { return l.slow }))), fmt.Sprint(len(loads[i])))
	}
	m := b.report.section("Peak memory of the program", "VmHWM of /proc.", "", "")
	m.row("when it has started", mebibytes(idle))
	m.row("serving the load above", mebibytes(serving))
	m.row("and after somebody has logged in (argon2id takes 46 MiB while it hashes)", mebibytes(afterLogin))
	b.report.judge("Peak memory of the program, serving", "under 40 MiB", fmt.Sprintf("%s; %s after a login", mebibytes(serving), mebibytes(afterLogin)), serving < 40<<20)
	return nil
}

func each[T, U any](all []T, of func(T) U) []U {
	var mapped []U
	for _, x := range all {
		mapped = append(mapped, of(x))
	}
	return mapped
}

// fill makes a user with accounts and returns the cookie of a session.
func (b *bench) fill(ctx context.Context, db *database) (*http.Cookie, error) {
	p, err := b.avtotpyServer(ctx, db)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	cookie, err := logIn(ctx, p.url, db, true)
	for i := 0; err == nil && i < accountCount; i++ {
		_, err = post(ctx, p.url+"/api/v1/accounts", map[string]any{
			"link": fmt.Sprintf("otpauth://totp/Example%d:alice?secret=JBSWY3DPEHPK3PXP&issuer=Example%[1]d", i),
		}, cookie)
	}
	return cookie, err
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
	rate         float64 // answers a second
	middle, slow time.Duration
}

// fire asks from several clients at once for a while.
func fire(ctx context.Context, url string, cookie *http.Cookie, long time.Duration) (load, error) {
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
	return load{float64(len(all)) / time.Since(start).Seconds(), all[len(all)/2], all[len(all)*99/100]}, nil
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
