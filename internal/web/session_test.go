package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/web"
)

// idle lets a quarter of an hour pass, for all sessions, by the database's clock.
func (s *site) idle() {
	s.t.Helper()
	pgtest.Exec(s.t, s.db.SuperConn, "UPDATE avtotpy.sessions SET last_seen_at = last_seen_at - interval '15 "+
		"minutes 1 second'")
}

const locked = `"type":"urn:avtotpy:session-locked"`

// TestASessionThatNobodyUsesIsLocked goes through all routes: each that asks for a session is closed, but for those
// that unlock and end it.
func TestASessionThatNobodyUsesIsLocked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	id := alice.add(map[string]any{"link": link})
	session := pgtest.Value[string](t, s.db.SuperConn, "SELECT id::text FROM avtotpy.sessions")

	// What pages do by themselves does not keep it open.
	pgtest.Exec(t, s.db.SuperConn, "UPDATE avtotpy.sessions SET last_seen_at = now() - interval '10 minutes'")
	const age = "SELECT extract(epoch FROM now() - last_seen_at) > 500 FROM avtotpy.sessions"
	for _, ask := range []func() answer{
		func() answer { return alice.ask("GET", "/api/v1/codes", nil) },
		func() answer { return alice.ask("GET", "/api/v1/session", nil) },
		func() answer { return alice.ask("GET", "/api/v1/accounts", nil) },
		func() answer { return alice.ask("POST", "/api/v1/preview", map[string]any{"link": link}) },
		func() answer { return alice.ask("GET", "/", nil, "Sec-Fetch-Site", "cross-site") },
		func() answer { return alice.ask("GET", "/settings", nil, "Sec-Fetch-Site", "same-site") },
		func() answer { return alice.ask("GET", "/", nil, "Sec-Purpose", "prefetch") },
	} {
		if a := ask(); a.StatusCode != http.StatusOK || !pgtest.Value[bool](t, s.db.SuperConn, age) {
			t.Errorf("%s %s: %s, and it counts as use", a.Request.Method, a.Request.URL.Path, a.Status)
		}
	}
	for _, ask := range []func() answer{
		func() answer { return alice.ask("GET", "/", nil) },
		func() answer { return alice.ask("POST", "/api/v1/session/activity", nil) },
		func() answer { return alice.ask("PATCH", "/api/v1/accounts/"+id, map[string]any{"note": "x"}) },
		func() answer { return alice.send("/accounts/"+id, url.Values{"note": {"x"}}) },
	} {
		pgtest.Exec(t, s.db.SuperConn, "UPDATE avtotpy.sessions SET last_seen_at = now() - interval '10 minutes'")
		if a := ask(); pgtest.Value[bool](t, s.db.SuperConn, age) {
			t.Errorf("%s %s: %s, and it does not count as use", a.Request.Method, a.Request.URL.Path, a.Status)
		}
	}

	s.idle()
	if a := alice.ask("GET", "/api/v1/codes", nil); a.StatusCode != http.StatusUnauthorized ||
		!strings.Contains(a.text, locked) {
		t.Errorf("codes of a locked session: %s %s", a.Status, a.text)
	}
	document := s.visitor().must(http.StatusOK, "GET", "/api/v1/openapi.json", nil)
	paths, _ := document["paths"].(map[string]any)
	open := []string{
		"POST /api/v1/setup", "POST /api/v1/session", "POST /api/v1/session/unlock",
		"DELETE /api/v1/session",
	}
	for path, methods := range paths {
		for method := range methods.(map[string]any) { //nolint:forcetypeassert // the test panics with it
			route := strings.ToUpper(method) + " " + path
			if slices.Contains(open, route) {
				continue
			}
			body := map[string]any{
				"POST /api/v1/preview":            map[string]any{"link": link},
				"POST /api/v1/accounts":           map[string]any{"link": link},
				"PATCH /api/v1/accounts/{id}":     map[string]any{"note": "x"},
				"PUT /api/v1/password":            map[string]any{"current": "x", "new": "x"},
				"PATCH /api/v1/accounts/{id}/key": map[string]any{"current": "x"},
				"POST /api/v1/trash/{id}/delete":  map[string]any{"current": "x"},
			}[route]
			a := alice.ask(strings.ToUpper(method), strings.ReplaceAll(path, "{id}", id), body)
			if a.StatusCode != http.StatusUnauthorized || !strings.Contains(a.text, locked) {
				t.Errorf("%s of a locked session: %s %s", route, a.Status, a.text)
			}
		}
	}
	for _, path := range []string{"/", "/accounts/new", "/accounts/" + id, "/accounts/" + id + "/delete", "/settings"} {
		if a := alice.ask("GET", path, nil); a.StatusCode != http.StatusSeeOther ||
			!strings.HasPrefix(a.Header.Get("Location"), "/login") {
			t.Errorf("%s of a locked session: %s to %s", path, a.Status, a.Header.Get("Location"))
		}
	}
	for _, path := range []string{
		"/accounts/new", "/accounts/" + id, "/accounts/" + id + "/delete", "/settings/password",
		"/settings/sessions/end", "/settings/sessions/" + session + "/end",
	} {
		if a := alice.send(path, url.Values{}); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("POST %s of a locked session: %s", path, a.Status)
		}
	}

	// A wrong password leaves it locked, the right one goes on with another token.
	if a := alice.ask("POST", "/api/v1/session/unlock", map[string]any{"password": "wrong"}); fields(a) != "password" {
		t.Errorf("a wrong password: %s %s", a.Status, a.text)
	}
	before := *alice
	before.cookies = slices.Clone(alice.cookies)
	alice.must(http.StatusOK, "POST", "/api/v1/session/unlock", map[string]any{"password": password})
	alice.must(http.StatusOK, "GET", "/api/v1/codes", nil)
	if a := before.ask("GET", "/api/v1/codes", nil); a.StatusCode != http.StatusUnauthorized ||
		strings.Contains(a.text, locked) {
		t.Errorf("the token from before it was unlocked: %s %s", a.Status, a.text)
	}
	if got := pgtest.Value[string](t, s.db.SuperConn, "SELECT id::text FROM avtotpy.sessions"); got != session {
		t.Error("unlocking made another session")
	}

	// Without scripts: the login page, and then the page that was asked for. The session of the browser is replaced.
	s.idle()
	page := alice.follow(alice.ask("GET", "/settings", nil), "/login?next=%2Fsettings")
	if page.StatusCode != http.StatusOK || !strings.Contains(page.text, `name="next" value="/settings"`) {
		t.Errorf("the login page: %s %s", page.Status, page.text)
	}
	alice.follow(alice.send("/login", url.Values{"name": {"alice"}, "password": {password}, "next": {"/settings"}}),
		"/settings")
	if n := pgtest.Value[int](t, s.db.SuperConn, "SELECT count(*) FROM avtotpy.sessions WHERE id <> '"+session+
		"'"); n != 1 {
		t.Errorf("%d other sessions, want 1", n)
	}
	if n := pgtest.Value[int](t, s.db.SuperConn, "SELECT count(*) FROM avtotpy.sessions"); n != 1 {
		t.Errorf("%d sessions after a login of a browser that had one, want 1", n)
	}

	// A locked session can be ended, and ends by itself.
	s.idle()
	kept := *alice
	alice.must(http.StatusNoContent, "DELETE", "/api/v1/session", nil)
	kept.must(http.StatusUnauthorized, "POST", "/api/v1/session/unlock", map[string]any{"password": password})
	alice.must(http.StatusOK, "POST", "/api/v1/session", map[string]any{"name": "alice", "password": password})
	s.idle()
	pgtest.Exec(t, s.db.SuperConn, "DELETE FROM avtotpy.sessions")
	alice.must(http.StatusUnauthorized, "POST", "/api/v1/session/unlock", map[string]any{"password": password})
}

func TestEndingAllOtherSessions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, bob := s.alice(), s.bob()
	logIn := func() *visitor {
		v := s.visitor()
		v.must(http.StatusOK, "POST", "/api/v1/session", map[string]any{"name": "Alice", "password": password})
		return v
	}
	for name, end := range map[string]func(){
		"API":  func() { alice.must(http.StatusNoContent, "DELETE", "/api/v1/sessions", nil) },
		"form": func() { alice.follow(alice.send("/settings/sessions/end", nil), "/settings") },
	} {
		one, two := logIn(), logIn()
		if page := alice.ask("GET", "/settings", nil); !strings.Contains(page.text, "End all others") {
			t.Errorf("%s: the page does not offer it", name)
		}
		end()
		one.must(http.StatusUnauthorized, "GET", "/api/v1/session", nil)
		two.must(http.StatusUnauthorized, "GET", "/api/v1/session", nil)
		alice.must(http.StatusOK, "GET", "/api/v1/session", nil)
		bob.must(http.StatusOK, "GET", "/api/v1/session", nil)
	}
	const devices = "SELECT count(*) FROM avtotpy.devices d JOIN avtotpy.users u ON u.id = d.user_id WHERE " +
		"u.name = 'Alice'"
	if n := pgtest.Value[int](t, s.db.SuperConn, devices); n != 1 {
		t.Errorf("%d devices of Alice are known, want the one that asks", n)
	}
	if page := alice.ask("GET", "/settings", nil); strings.Contains(page.text, "End all others") {
		t.Error("the page offers to end others when there are none")
	}
}

// TestAPasswordChangeGivesTheSessionAnotherToken is about a copy of the cookie that an attacker may have.
func TestAPasswordChangeGivesTheSessionAnotherToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	for i, change := range []func(current, chosen string){
		func(current, chosen string) {
			alice.must(http.StatusNoContent, "PUT", "/api/v1/password",
				map[string]any{"current": current, "new": chosen})
		},
		func(current, chosen string) {
			alice.follow(alice.send("/settings/password", url.Values{"current": {current}, "new": {chosen}}),
				"/settings?saved")
		},
	} {
		copied := *alice
		copied.cookies = slices.Clone(alice.cookies)
		change([]string{password, "another good password"}[i],
			[]string{"another good password", "a third good one, too"}[i])
		alice.must(http.StatusOK, "GET", "/api/v1/session", nil)
		copied.must(http.StatusUnauthorized, "GET", "/api/v1/session", nil)
	}
}

// advance lets the clock of a page run ahead of everything else.
const advanceable = `(() => { const now = Date.now; window.ahead = 0; Date.now = () => now() + window.ahead; })()`

// TestAPageThatNobodyTouchesShowsNoCode advances the clock of the page, then that of the server.
func TestAPageThatNobodyTouchesShowsNoCode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	key, _, err := otp.Parse(strings.Replace(link, "issuer=", "period=3&issuer=", 1))
	if err != nil {
		t.Fatal(err)
	}
	id := alice.add(map[string]any{"link": key.URI()})
	alice.add(map[string]any{"kind": "hotp", "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "issuer": "Counter"})
	b := newTab(t, s)
	const (
		covered = `document.getElementById("lock").open &&
			getComputedStyle(document.getElementById("main")).visibility === "hidden"`
		uncovered = `!document.getElementById("lock").open &&
			getComputedStyle(document.getElementById("main")).visibility === "visible"`
		anyCode = `[...document.querySelectorAll("code-card")].some((card) =>
			/\d{6}/.test(card.textContent.replace(/\s/g, "")) || card.dataset.code || card.dataset.next)`
	)
	// The pointer may still move for a moment after the click, which is use: then it is idle once more.
	const idleAgain = `performance.now() < (window.idleUntil ?? 0) ? false :
		(window.idleUntil = performance.now() + 5_000, window.ahead += 15 * 60_000 + 1_000, false)`
	unlock := func(password string) {
		b.do(chromedp.SetValue("#unlock #password", password), submit("#unlock"))
	}
	b.do(b.open("/login?next=/"), chromedp.WaitVisible("#login"), chromedp.SendKeys("#name", "alice"),
		chromedp.SendKeys("#password", password), submit("#login"),
		chromedp.WaitVisible("#cards .card"), chromedp.Evaluate[chromedp.Void](advanceable))
	b.do(click(".card-advance"), b.until(
		`document.querySelector("[data-kind=hotp] .card-code").textContent.replace(/\s/g, "") === "755224"`),
		b.until(anyCode))

	// By the clock of the page alone: the server says that the session is not locked, as when another tab is in use.
	b.do(chromedp.Evaluate[chromedp.Void](`(() => { window.covers = 0; new MutationObserver(() => { if (`+covered+
		` && !`+anyCode+`) { window.covers++; } }).observe(document.getElementById("lock"), {attributes: true}); })()`),
		b.until(`window.covers > 0 || (`+idleAgain+`)`), b.until(uncovered), b.until(anyCode),
		b.until(`document.querySelector("[data-kind=hotp] .card-code").textContent.replace(/\s/g, "") === "755224"`))

	// By the clock of the server.
	s.idle()
	b.do(b.until(covered))
	if b.value(anyCode) != "false" {
		t.Errorf("a locked page shows a code: %s", b.value(`document.getElementById("cards").outerHTML`))
	}
	b.do(chromedp.KeyEvent("\x1b"), chromedp.KeyEvent("\x1b"), b.until(covered))
	unlock("wrong password")
	b.do(chromedp.WaitVisible("#password-error"))
	unlock(password)
	b.do(b.until(uncovered), b.until(anyCode))

	// What was typed is still there, and the session that has ended is replaced in place.
	b.do(b.open("/accounts/"+id), chromedp.WaitVisible("#note"), chromedp.SetValue("#note", "typed, not sent"))
	pgtest.Exec(t, s.db.SuperConn, "DELETE FROM avtotpy.sessions WHERE agent LIKE '%Chrome%'")
	b.do(submit("#account-form"), b.until(covered))
	unlock(password)
	b.do(b.until(uncovered))
	if got := b.value(`location.pathname + " " + document.getElementById("note").value`); got != "/accounts/"+id+
		" typed, not sent" {
		t.Errorf("after a login in place: %s", got)
	}
	b.do(submit("#account-form"), b.until(`document.querySelector(".saved").textContent === "Saved"`))
	if got := pgtest.Value[int](t, s.db.SuperConn,
		"SELECT count(*) FROM avtotpy.sessions WHERE agent LIKE '%Chrome%'"); got != 1 {
		t.Errorf("%d sessions of the browser, want 1", got)
	}
	b.quiet()
}

// TestATouchKeepsASessionOpen moves the pointer over a page whose session was used long ago.
func TestATouchKeepsASessionOpen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.alice().add(map[string]any{"link": link})
	b := newTab(t, s)
	b.do(b.open("/login"), chromedp.WaitVisible("#login"), chromedp.SendKeys("#name", "alice"),
		chromedp.SendKeys("#password", password), submit("#login"),
		chromedp.WaitVisible("#cards .card"), chromedp.Evaluate[chromedp.Void](advanceable),
		chromedp.Evaluate[chromedp.Void](`window.ahead = 61_000`))
	pgtest.Exec(t, s.db.SuperConn, "UPDATE avtotpy.sessions SET last_seen_at = now() - interval '10 minutes'")
	pgtest.Eventually(t, "the session is in use", func() error {
		b.do(chromedp.KeyEvent("x")) // the first may come before the page listens
		if pgtest.Value[bool](t, s.db.SuperConn,
			"SELECT bool_or(last_seen_at < now() - interval '9 minutes') AND bool_and(agent <> '') FROM "+
				"avtotpy.sessions WHERE agent LIKE '%Chrome%'") {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	b.quiet()
}

// TestRequestsThatDoNotSayWhereTheyComeFrom is about browsers of years ago, for which a cookie is all that a page of
// another site's needs.
func TestRequestsThatDoNotSayWhereTheyComeFrom(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *web.Server) { s.PublicURL = &url.URL{Scheme: "http", Host: "otp.example.com"} })
	const host = "otp.example.com"
	v := s.visitor()
	v.must(http.StatusCreated, "POST", "/api/v1/setup",
		map[string]any{"token": s.server.SetupToken, "name": "Alice", "password": password}, "Host", host)
	device := &visitor{site: s, cookies: slices.DeleteFunc(slices.Clone(v.cookies),
		func(c *http.Cookie) bool { return c.Name == "avtotpy" })}
	for name, c := range map[string]struct {
		v       *visitor
		headers []string
		status  int
		text    string
	}{
		"neither": {
			v,
			[]string{"Sec-Fetch-Site", ""},
			http.StatusForbidden,
			"neither Sec-Fetch-Site nor Origin",
		},
		"neither, a device alone": {
			device,
			[]string{"Sec-Fetch-Site", ""},
			http.StatusForbidden,
			"neither Sec-Fetch-Site nor Origin",
		},
		"neither, without cookie": {s.visitor(), []string{"Sec-Fetch-Site", ""}, http.StatusUnauthorized, ""},
		"another site": {
			v,
			[]string{"Sec-Fetch-Site", "cross-site"},
			http.StatusForbidden,
			"came from another site",
		},
		"a neighbour": {
			v,
			[]string{"Sec-Fetch-Site", "same-site"},
			http.StatusForbidden,
			"came from another site",
		},
		"another origin": {
			v,
			[]string{"Sec-Fetch-Site", "", "Origin", "http://evil.example"},
			http.StatusForbidden, "came from another site",
		},
		"no origin": {
			v,
			[]string{"Sec-Fetch-Site", "", "Origin", "null"},
			http.StatusForbidden,
			"came from another site",
		},
		"ours": {
			v,
			[]string{"Sec-Fetch-Site", "", "Origin", "http://" + host},
			http.StatusUnauthorized, "",
		},
	} {
		a := c.v.ask("POST", "/api/v1/session", map[string]any{"name": "nobody", "password": "wrong"},
			append(c.headers, "Host", host)...)
		if a.StatusCode != c.status || !strings.Contains(a.text, c.text) {
			t.Errorf("%s: %s %s, want %d and %q", name, a.Status, a.text, c.status, c.text)
		}
	}
	if a := v.ask("GET", "/settings", nil, "Sec-Fetch-Site", "cross-site", "Host",
		host); a.StatusCode != http.StatusOK {
		t.Errorf("a link from another site: %s", a.Status)
	}
}
