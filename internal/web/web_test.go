package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/store"
	"github.com/avtotpy/avtotpy/internal/web"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// A site is a server under test, on a database of its own.
type site struct {
	t      *testing.T
	db     *pgtest.DB
	server *web.Server
	http   *httptest.Server
	log    *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func newSite(t *testing.T, change ...func(*web.Server)) *site {
	t.Helper()
	db := pgtest.Migrated(t)
	ring, err := keyring.Parse(keyring.Generate("k1"))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, db: db, log: new(syncBuffer)}
	s.server = &web.Server{
		Store: store.New(db.WebPool(t), ring), Fit: func(context.Context) error { return nil },
		SetupToken: ring.SetupToken(),
		Log:        slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: time.Now,
		Version:  "test",
		BodyTime: pgtest.Patience, RequestTime: pgtest.Patience, // a busy machine is not what is tested
	}
	if err := s.server.Store.CheckMasterKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(s.server)
	}
	s.http = httptest.NewServer(s.server.Handler())
	t.Cleanup(s.http.Close)
	return s
}

// A visitor is a browser as far as a server can see.
type visitor struct {
	*site
	cookies []*http.Cookie
	sent    []string // the paths of forms
}

func (s *site) visitor() *visitor { return &visitor{site: s} }

type answer struct {
	*http.Response
	text string
}

// ask sends a request as a page of ours would; headers are pairs of name and value.
func (v *visitor) ask(method, path string, body any, headers ...string) answer {
	v.t.Helper()
	var content io.Reader
	if body != nil {
		text, ok := body.(string)
		if !ok {
			encoded, err := json.Marshal(body)
			if err != nil {
				v.t.Fatal(err)
			}
			text = string(encoded)
		}
		content = strings.NewReader(text)
	}
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.http.URL+path, content)
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	for _, c := range v.cookies {
		r.AddCookie(c)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range response.Cookies() {
		v.cookies = slices.DeleteFunc(slices.Clone(v.cookies),
			func(old *http.Cookie) bool { return old.Name == c.Name })
		if c.MaxAge >= 0 {
			v.cookies = append(v.cookies, c)
		}
	}
	return answer{response, string(text)}
}

// must is ask with a status that is expected; it decodes the answer.
func (v *visitor) must(status int, method, path string, body any, headers ...string) map[string]any {
	v.t.Helper()
	a := v.ask(method, path, body, headers...)
	if a.StatusCode != status {
		v.t.Fatalf("%s %s: %s, want %d: %s", method, path, a.Status, status, a.text)
	}
	var decoded map[string]any
	if strings.Contains(a.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal([]byte(a.text), &decoded); err != nil {
			v.t.Fatalf("%s %s: %v in %s", method, path, err, a.text)
		}
	}
	return decoded
}

const password = "correct horse battery"

// alice is the first user, logged in.
func (s *site) alice() *visitor {
	s.t.Helper()
	v := s.visitor()
	v.must(http.StatusCreated, "POST", "/api/v1/setup",
		map[string]any{"token": s.server.SetupToken, "name": "Alice", "password": password})
	return v
}

// bob is a second user, logged in, with the same password as Alice.
func (s *site) bob() *visitor {
	s.t.Helper()
	_, of, err := s.server.Store.UserByName(s.t.Context(), "Alice")
	if err == nil {
		_, _, err = s.server.Store.CreateUser(s.t.Context(), "Bob", of.Hash, store.Operator{})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	v := s.visitor()
	v.must(http.StatusOK, "POST", "/api/v1/session", map[string]any{"name": "Bob", "password": password})
	return v
}

const link = "otpauth://totp/Example:alice%40example.com?secret=JBSWY3DPEHPK3PXP&issuer=Example"

// add adds an account and returns its id.
func (v *visitor) add(body map[string]any) string {
	v.t.Helper()
	account, _ := v.must(http.StatusCreated, "POST", "/api/v1/accounts", body)["account"].(map[string]any)
	id, _ := account["id"].(string)
	return id
}

func TestTheFirstUserIsMadeOnceWithTheToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor()
	for _, path := range []string{"/", "/login", "/settings", "/accounts/new", "/accounts/" + uuid.NewString()} {
		if a := v.ask("GET", path, nil); a.StatusCode != http.StatusSeeOther {
			t.Errorf("%s before the set-up: %s", path, a.Status)
		}
	}
	if a := v.ask("GET", "/login", nil); a.Header.Get("Location") != "/setup" {
		t.Errorf("/login leads to %q", a.Header.Get("Location"))
	}
	if a := v.ask("GET", "/setup", nil); a.StatusCode != http.StatusOK || !strings.Contains(a.text, `id="setup"`) ||
		strings.Contains(a.text, s.server.SetupToken) {
		t.Errorf("/setup: %s %s", a.Status, a.text)
	}
	for _, c := range []struct {
		token, name, password string
		fields                string
	}{
		{"AAAAA-AAAAA-AAAAA-AAAAA", "Alice", password, "token"},
		{"", "Alice", password, "token"},
		{s.server.SetupToken, "", password, "name"},
		{s.server.SetupToken, "  ", password, "name"},
		{s.server.SetupToken, "Al\x00ice", password, "name"},
		{s.server.SetupToken, strings.Repeat("x", 101), "short", "name password"},
		{s.server.SetupToken, "Alice", "elevenchars", "password"},
		{s.server.SetupToken, "Alice", strings.Repeat("x", 1025), "password"},
	} {
		a := v.ask("POST", "/api/v1/setup", map[string]any{"token": c.token, "name": c.name, "password": c.password})
		if got := fields(a); a.StatusCode != http.StatusUnprocessableEntity || got != c.fields {
			t.Errorf("%+v: %s, problems at %q, want %q: %s", c, a.Status, got, c.fields, a.text)
		}
	}
	if a := v.ask("POST", "/api/v1/setup", map[string]any{"token": "x"}); fields(a) != "name password" {
		t.Errorf("missing fields: %s", a.text)
	}
	spoken := strings.ToLower(strings.ReplaceAll(s.server.SetupToken, "-", " "))
	v.must(http.StatusCreated, "POST", "/api/v1/setup",
		map[string]any{"token": spoken, "name": " Alice ", "password": password})
	user, _ := v.must(http.StatusOK, "GET", "/api/v1/session", nil)["user"].(map[string]any)
	if user["name"] != "Alice" {
		t.Errorf("logged in as %v", user)
	}
	s.visitor().must(http.StatusConflict, "POST", "/api/v1/setup",
		map[string]any{"token": s.server.SetupToken, "name": "Mallory", "password": password})
	if a := s.visitor().ask("GET", "/setup", nil); a.Header.Get("Location") != "/login" {
		t.Errorf("/setup afterwards: %s %s", a.Status, a.Header.Get("Location"))
	}
}

// fields lists the fields at which a problem document says something.
func fields(a answer) string {
	var problem struct {
		Errors []struct{ Location, Message string }
	}
	_ = json.Unmarshal([]byte(a.text), &problem) // the caller looks at what it finds
	var names []string
	for _, e := range problem.Errors {
		name, ok := strings.CutPrefix(e.Location, "body.")
		if !ok || e.Message == "" || !strings.ContainsAny(e.Message[len(e.Message)-1:], ".!?") {
			name = fmt.Sprintf("%+v", e)
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func TestLoggingInAndOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	v := s.visitor()
	wrong := v.ask("POST", "/api/v1/session", map[string]any{"name": "Alice", "password": "wrong password"})
	nobody := v.ask("POST", "/api/v1/session", map[string]any{"name": "Mallory", "password": "wrong password"})
	if wrong.StatusCode != http.StatusUnauthorized || nobody.StatusCode != http.StatusUnauthorized ||
		wrong.text != nobody.text {
		t.Errorf("a wrong password and an unknown name differ: %s %s / %s %s", wrong.Status, wrong.text, nobody.Status,
			nobody.text)
	}
	in := v.ask("POST", "/api/v1/session", map[string]any{"name": "aLICE", "password": password})
	if in.StatusCode != http.StatusOK {
		t.Fatal(in.Status, in.text)
	}
	cookies := in.Header.Values("Set-Cookie")
	if len(cookies) != 2 || !strings.HasPrefix(cookies[0], "avtotpy=") ||
		!strings.HasPrefix(cookies[1], "avtotpy-device=") {
		t.Errorf("cookies %q", cookies)
	}
	for _, part := range []string{"HttpOnly", "SameSite=Lax", "Path=/"} {
		for _, cookie := range cookies {
			if !strings.Contains(cookie, part) {
				t.Errorf("no %s in the cookie %s", part, cookie)
			}
		}
	}
	if a := v.ask("GET", "/login", nil); a.Header.Get("Location") != "/" {
		t.Errorf("/login when logged in: %s", a.Status)
	}
	sessions, _ := v.must(http.StatusOK, "GET", "/api/v1/sessions", nil)["sessions"].([]any)
	if len(sessions) != 2 {
		t.Fatalf("sessions: %v", sessions)
	}
	for _, one := range sessions {
		session, _ := one.(map[string]any)
		if session["current"] == false {
			v.must(http.StatusNoContent, "DELETE", fmt.Sprint("/api/v1/sessions/", session["id"]), nil)
		}
	}
	alice.must(http.StatusUnauthorized, "GET", "/api/v1/codes", nil)
	kept := *v
	v.must(http.StatusNoContent, "DELETE", "/api/v1/session", nil)
	if len(v.cookies) != 1 || v.cookies[0].Name != "avtotpy-device" {
		t.Errorf("logging out leaves %v, want the device alone", v.cookies)
	}
	kept.must(http.StatusUnauthorized, "GET", "/api/v1/codes", nil)
	if a := kept.ask("GET", "/", nil); a.Header.Get("Location") != "/login" {
		t.Errorf("the list after logging out: %s", a.Status)
	}
}

func TestOverTLSTheCookieBelongsToThisHostOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *web.Server) { s.PublicURL = &url.URL{Scheme: "https", Host: "otp.example.com"} })
	v := s.visitor()
	a := v.ask("POST", "/api/v1/setup",
		map[string]any{"token": s.server.SetupToken, "name": "Alice", "password": password}, "Host", "otp.example.com")
	cookie := a.Header.Get("Set-Cookie")
	if a.StatusCode != http.StatusCreated || !strings.HasPrefix(cookie, "__Host-avtotpy=") ||
		!strings.Contains(cookie, "Secure") || strings.Contains(cookie, "Domain") {
		t.Errorf("%s, cookie %s", a.Status, cookie)
	}
	if device := a.Header.Values("Set-Cookie")[1]; !strings.HasPrefix(device, "__Host-avtotpy-device=") ||
		!strings.Contains(device, "Secure") {
		t.Errorf("the cookie of the device is %s", device)
	}
	if a.Header.Get("Strict-Transport-Security") == "" {
		t.Error("no Strict-Transport-Security")
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	t.Parallel()
	now := time.Now() // stands still, so that no attempt of an address comes back while passwords are checked
	s := newSite(t, func(s *web.Server) { s.Now = func() time.Time { return now } })
	s.alice()
	v := s.visitor()
	guess := func() answer {
		return v.ask("POST", "/api/v1/session", map[string]any{"name": "Alice", "password": "guess"})
	}
	for range 5 {
		if a := guess(); a.StatusCode != http.StatusUnauthorized {
			t.Fatal(a.Status)
		}
	}
	const wait = "SELECT count(*)::int FROM avtotpy.login_throttle WHERE wait_until = failed_at + interval '1 second'"
	if got := pgtest.Value[int](t, s.db.SuperConn, wait); got != 1 {
		t.Errorf("after five guesses %d rows let the next one wait for a second, want 1", got)
	}
	pgtest.Exec(t, s.db.SuperConn, "UPDATE avtotpy.login_throttle SET wait_until = now() + interval '1 day'")
	a := guess()
	if after, err := strconv.Atoi(a.Header.Get("Retry-After")); a.StatusCode != http.StatusTooManyRequests ||
		err != nil || after < 3600 {
		t.Errorf("the sixth guess: %s, Retry-After %q", a.Status, a.Header.Get("Retry-After"))
	}
	pgtest.Exec(t, s.db.SuperConn, "DELETE FROM avtotpy.login_throttle")
	limited := false
	for range 30 {
		a := v.ask("POST", "/api/v1/session", map[string]any{"name": uuid.NewString(), "password": "guess"})
		limited = limited || a.StatusCode == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("30 guesses with different names from one address were all answered")
	}
}

func TestChangingThePassword(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, elsewhere := s.alice(), s.visitor()
	elsewhere.must(http.StatusOK, "POST", "/api/v1/session", map[string]any{"name": "Alice", "password": password})
	for _, c := range []struct{ current, chosen, field string }{
		{"wrong", "another good password", "current"},
		{password, "short", "new"},
		{strings.Repeat("x", 2000), "another good password", "current"},
	} {
		a := alice.ask("PUT", "/api/v1/password", map[string]any{"current": c.current, "new": c.chosen})
		if a.StatusCode != http.StatusUnprocessableEntity || fields(a) != c.field {
			t.Errorf("%+v: %s at %q", c, a.Status, fields(a))
		}
	}
	alice.must(http.StatusNoContent, "PUT", "/api/v1/password",
		map[string]any{"current": password, "new": "another good password"})
	alice.must(http.StatusOK, "GET", "/api/v1/session", nil)
	elsewhere.must(http.StatusUnauthorized, "GET", "/api/v1/session", nil)
	s.visitor().must(http.StatusUnauthorized, "POST", "/api/v1/session",
		map[string]any{"name": "Alice", "password": password})
	s.visitor().must(http.StatusOK, "POST", "/api/v1/session",
		map[string]any{"name": "Alice", "password": "another good password"})
}

func TestAnAccountFromLinkToDeletion(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 10, 0, time.UTC)
	s := newSite(t, func(s *web.Server) { s.Now = func() time.Time { return now } })
	alice := s.alice()
	preview := alice.must(http.StatusOK, "POST", "/api/v1/preview", map[string]any{"link": link})
	if accounts, _ := alice.must(http.StatusOK, "GET", "/api/v1/accounts",
		nil)["accounts"].([]any); len(accounts) != 0 {
		t.Errorf("a preview added %v", accounts)
	}
	id := alice.add(map[string]any{"link": link, "note": "for tests"})

	key, _, err := otp.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	want := key.At(now)
	codes := alice.must(http.StatusOK, "GET", "/api/v1/codes", nil)
	list, _ := codes["codes"].([]any)
	code, _ := list[0].(map[string]any)
	if len(list) != 1 || code["code"] != want.Value || code["next"] != key.At(want.Until).Value ||
		code["account_id"] != id ||
		code["from"] != "2026-11-24T12:00:00.000Z" || code["until"] != "2026-11-24T12:00:30.000Z" ||
		codes["now"] != "2026-11-24T12:00:10.000Z" {
		t.Errorf("codes %v, want %v", codes, want)
	}
	if preview["code"] != want.Value || preview["until"] != code["until"] {
		t.Errorf("preview %v", preview)
	}
	page := alice.ask("GET", "/", nil)
	if !strings.Contains(page.text, `aria-label="`+strings.Join(strings.Split(want.Value, ""), " ")+`"`) ||
		!strings.Contains(page.text, "alice@example.com") || strings.Contains(page.text, "JBSWY3DP") {
		t.Errorf("the list: %s", page.text)
	}
	got, _ := alice.must(http.StatusOK, "PATCH", "/api/v1/accounts/"+id,
		map[string]any{"account": " work ", "note": ""})["account"].(map[string]any)
	if got["account"] != "work" || got["issuer"] != "Example" || got["note"] != "" {
		t.Errorf("changed to %v", got)
	}
	if page := alice.ask("GET", "/accounts/"+id, nil); page.StatusCode != http.StatusOK ||
		!strings.Contains(page.text, `value="work"`) {
		t.Errorf("its page: %s", page.Status)
	}
	alice.must(http.StatusNoContent, "DELETE", "/api/v1/accounts/"+id, nil)
	alice.must(http.StatusNotFound, "DELETE", "/api/v1/accounts/"+id, nil)
	alice.must(http.StatusNotFound, "GET", "/api/v1/accounts/"+id, nil)
	if page := alice.ask("GET", "/accounts/"+id, nil); page.StatusCode != http.StatusNotFound ||
		!strings.Contains(page.text, "<h1>") {
		t.Errorf("its page after deletion: %s", page.Status)
	}
}

func TestACounterMovesOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	// RFC 4226, appendix D.
	id := alice.add(map[string]any{"kind": "hotp", "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "counter": 1})
	if list, _ := alice.must(http.StatusOK, "GET", "/api/v1/codes", nil)["codes"].([]any); len(list) != 0 {
		t.Errorf("the codes of this moment hold a counter's: %v", list)
	}
	for i, want := range []string{"287082", "359152", "969429"} {
		if got := alice.must(http.StatusOK, "POST", "/api/v1/accounts/"+id+"/hotp", nil); got["code"] != want ||
			got["counter"] != float64(i+1) {
			t.Errorf("code %d: %v, want %s", i, got, want)
		}
	}
	alice.must(http.StatusConflict, "POST", "/api/v1/accounts/"+alice.add(map[string]any{"link": link})+"/hotp", nil)
}

func TestWhatIsWrongIsSaidAtItsField(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	const secret = "JBSWY3DPEHPK3PXP"
	for _, c := range []struct {
		name   string
		body   any
		fields string
	}{
		{"not a link", map[string]any{"link": "https://example.com"}, "link"},
		{"a link without a secret", map[string]any{"link": "otpauth://totp/x"}, "secret"},
		{"nothing", map[string]any{}, "secret"},
		{"a secret that is not base32", map[string]any{"secret": "JBSW1"}, "secret"},
		{"three digits", map[string]any{"secret": secret, "digits": 3}, "digits"},
		{"eleven digits", map[string]any{"secret": secret, "digits": 11}, "digits"},
		{"digits in words", map[string]any{"secret": secret, "digits": "six"}, "digits"},
		{"half a digit", map[string]any{"secret": secret, "digits": 6.5}, "digits"},
		{"digits below 0", map[string]any{"secret": secret, "digits": -6}, "digits"},
		{"a period beyond a day", map[string]any{"secret": secret, "period": 86_401}, "period"},
		{"a counter below 0", map[string]any{"secret": secret, "kind": "hotp", "counter": -1}, "counter"},
		{"an algorithm nobody has", map[string]any{"secret": secret, "algorithm": "ROT13"}, "algorithm"},
		{"a kind nobody has", map[string]any{"secret": secret, "kind": "sms"}, "kind"},
		{"a long issuer", map[string]any{"secret": secret, "issuer": strings.Repeat("x", 300)}, "issuer"},
		{"a long note", map[string]any{"secret": secret, "note": strings.Repeat("x", 2001)}, "note"},
		{"much at once", map[string]any{"secret": "1", "digits": 99, "period": 99_999}, "secret digits period"},
		{"an unknown field", map[string]any{"secret": secret, "colour": "red"}, "colour"},
	} {
		for _, path := range []string{"/api/v1/accounts", "/api/v1/preview"} {
			a := alice.ask("POST", path, c.body)
			if a.StatusCode != http.StatusUnprocessableEntity || fields(a) != c.fields ||
				a.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s on %s: %s, problems at %q, want %q: %s", c.name, path, a.Status, fields(a), c.fields,
					a.text)
			}
		}
	}
	if n := pgtest.Value[int](t, s.db.SuperConn, "SELECT count(*) FROM avtotpy.accounts"); n != 0 {
		t.Errorf("%d accounts were added", n)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	id := alice.add(map[string]any{"link": link})
	huge := `{"link":"` + strings.Repeat("x", 32<<10) + `"}`
	for _, c := range []struct {
		name         string
		method, path string
		body         any
		headers      []string
		want         int
	}{
		{"more than 32 KiB", "POST", "/api/v1/accounts", huge, nil, http.StatusRequestEntityTooLarge},
		{
			"not JSON", "POST", "/api/v1/accounts", "link=x",
			[]string{"Content-Type", "application/x-www-form-urlencoded"},
			http.StatusUnsupportedMediaType,
		},
		{
			"JSON as text", "POST", "/api/v1/accounts", "{}",
			[]string{"Content-Type", "text/plain"},
			http.StatusUnsupportedMediaType,
		},
		{"broken JSON", "POST", "/api/v1/accounts", "{", nil, http.StatusBadRequest},
		{
			"from another site", "DELETE", "/api/v1/accounts/" + id, nil,
			[]string{"Sec-Fetch-Site", "cross-site"},
			http.StatusForbidden,
		},
		{
			"from a sibling", "DELETE", "/api/v1/accounts/" + id, nil,
			[]string{"Sec-Fetch-Site", "same-site"},
			http.StatusForbidden,
		},
		{
			"from an old browser elsewhere", "DELETE", "/api/v1/accounts/" + id, nil,
			[]string{"Sec-Fetch-Site", "", "Origin", "https://evil.example"},
			http.StatusForbidden,
		},
		{"from nowhere", "DELETE", "/api/v1/accounts/" + id, nil, []string{"Sec-Fetch-Site", ""}, http.StatusForbidden},
		{"a name that is not ours", "GET", "/", nil, []string{"Host", "evil.example"}, http.StatusMisdirectedRequest},
		{"an id that is none", "GET", "/api/v1/accounts/1", nil, nil, http.StatusNotFound},
		{"an unknown id", "GET", "/api/v1/accounts/" + uuid.NewString(), nil, nil, http.StatusNotFound},
		{"an unknown session", "DELETE", "/api/v1/sessions/" + uuid.NewString(), nil, nil, http.StatusNotFound},
		{"an unknown part of the API", "GET", "/api/v1/nothing", nil, nil, http.StatusNotFound},
		{"an unknown page", "GET", "/nothing", nil, nil, http.StatusNotFound},
		{"a page by POST", "POST", "/setup/", nil, nil, http.StatusNotFound},
		{
			"a key that is no UUID", "POST", "/api/v1/accounts",
			map[string]any{"link": link},
			[]string{"Idempotency-Key", "1"},
			http.StatusUnprocessableEntity,
		},
	} {
		a := alice.ask(c.method, c.path, c.body, c.headers...)
		if a.StatusCode != c.want {
			t.Errorf("%s: %s, want %d: %.200s", c.name, a.Status, c.want, a.text)
		}
		kind := "text/html"
		if strings.HasPrefix(c.path, "/api/") {
			kind = "application/problem+json"
		}
		if !strings.HasPrefix(a.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: answered as %s", c.name, a.Header.Get("Content-Type"))
		}
	}
	alice.must(http.StatusOK, "GET", "/api/v1/accounts/"+id, nil)
	almost := `{"link":"` + link + `","note":"` + strings.Repeat(" ", 1000) + `"}` + strings.Repeat(" ", 32<<10-2000)
	alice.must(http.StatusCreated, "POST", "/api/v1/accounts", almost)
}

func TestOtherPeoplesThingsLookAsIfTheyDidNotExist(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, bob := s.alice(), s.bob()
	id := alice.add(map[string]any{"kind": "hotp", "secret": "JBSWY3DPEHPK3PXP"})
	mine, _ := alice.must(http.StatusOK, "GET", "/api/v1/sessions", nil)["sessions"].([]any)
	session, _ := mine[0].(map[string]any)
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/api/v1/accounts/", nil},
		{"PATCH", "/api/v1/accounts/", map[string]any{"note": "mine"}},
		{"DELETE", "/api/v1/accounts/", nil},
		{"GET", "/accounts/", nil},
	} {
		his, nobodys := bob.ask(c.method, c.path+id, c.body), bob.ask(c.method, c.path+uuid.NewString(), c.body)
		clock := regexp.MustCompile(`data-now="[^"]*"`)
		if his.StatusCode != http.StatusNotFound ||
			clock.ReplaceAllString(his.text, "") != clock.ReplaceAllString(nobodys.text, "") {
			t.Errorf("%s %s: %s, and %s for what does not exist", c.method, c.path, his.Status, nobodys.Status)
		}
	}
	bob.must(http.StatusNotFound, "POST", "/api/v1/accounts/"+id+"/hotp", nil)
	bob.must(http.StatusNotFound, "POST", "/accounts/"+id+"/next", nil, "Content-Type",
		"application/x-www-form-urlencoded")
	alice.add(map[string]any{"link": link})
	for range 3 {
		if list, _ := bob.must(http.StatusOK, "GET", "/api/v1/codes", nil)["codes"].([]any); len(list) != 0 {
			t.Errorf("Bob sees the codes %v", list)
		}
		if list, _ := alice.must(http.StatusOK, "GET", "/api/v1/codes", nil)["codes"].([]any); len(list) != 1 {
			t.Errorf("Alice sees the codes %v", list)
		}
	}
	bob.must(http.StatusNotFound, "DELETE", fmt.Sprint("/api/v1/sessions/", session["id"]), nil)
	if list, _ := bob.must(http.StatusOK, "GET", "/api/v1/accounts", nil)["accounts"].([]any); len(list) != 0 {
		t.Errorf("Bob sees %v", list)
	}
}

func TestASubmissionThatComesTwiceAddsOneAccount(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	submission := uuid.NewString()
	first, _ := alice.must(http.StatusCreated, "POST", "/api/v1/accounts", map[string]any{"link": link},
		"Idempotency-Key", submission)["account"].(map[string]any)
	again, _ := alice.must(http.StatusOK, "POST", "/api/v1/accounts", map[string]any{"link": link}, "Idempotency-Key",
		submission)["account"].(map[string]any)
	if first["id"] == nil || first["id"] != again["id"] {
		t.Errorf("%v and %v", first, again)
	}
	if a := alice.ask("GET", "/accounts/new",
		nil); !regexp.MustCompile(`name="submission" value="[0-9a-f-]{36}"`).MatchString(a.text) {
		t.Errorf("the form has no submission: %s", a.text)
	}
}

func TestNothingIsServedWhileTheSchemaIsUnfit(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *web.Server) {
		s.Fit = func(context.Context) error { return errors.New("the moon is too near") }
	})
	v := s.visitor()
	for _, path := range []string{"/", "/login", "/setup", "/api/v1/session", "/api/v1/codes", "/readyz"} {
		a := v.ask("GET", path, nil)
		if a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(a.text, "the moon is too near") {
			t.Errorf("%s: %s %s", path, a.Status, a.text)
		}
	}
	if a := v.ask("GET", "/livez", nil); a.StatusCode != http.StatusOK {
		t.Errorf("/livez: %s", a.Status)
	}
}

func TestPagesLoadNothingFromElsewhereAndRunNothingInline(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	setup := s.visitor().ask("GET", "/setup", nil)
	alice := s.alice()
	id := alice.add(map[string]any{
		"link": link, "issuer": `<script>alert(1)</script>`, "account": `"onload="x`,
		"note": `{{.}}`,
	})
	pages := map[string]answer{"/setup": setup, "/login": s.visitor().ask("GET", "/login", nil)}
	for _, path := range []string{"/", "/accounts/new", "/accounts/" + id, "/settings", "/nothing"} {
		pages[path] = alice.ask("GET", path, nil)
	}
	for path, a := range pages {
		policy := a.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") ||
			strings.Contains(policy, "http") {
			t.Errorf("%s: Content-Security-Policy %q", path, policy)
		}
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Content-Type-Options") != "nosniff" ||
			a.Header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: headers %v", path, a.Header)
		}
		for _, inline := range []string{`<script>`, `<style`, ` style=`, `javascript:`, ` onclick=`, `"onload=`} {
			if strings.Contains(a.text, inline) {
				t.Errorf("%s has %s in it", path, inline)
			}
		}
		// Should a script not load, what was typed must not end up in an address.
		if forms := strings.Count(a.text, "<form"); forms != strings.Count(a.text, `method="post"`) {
			t.Errorf("%s has a form that is not sent by POST", path)
		}
		for _, address := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(a.text, -1) {
			if !strings.HasPrefix(address[1], "/") && !strings.HasPrefix(address[1], "#") ||
				strings.HasPrefix(address[1], "//") {
				t.Errorf("%s leads to %s", path, address[1])
			}
			if strings.HasPrefix(address[1], "/static/") {
				file := alice.ask("GET", address[1], nil)
				if file.StatusCode != http.StatusOK || !strings.Contains(file.Header.Get("Cache-Control"),
					"immutable") {
					t.Errorf("%s: %s is %s, %s", path, address[1], file.Status, file.Header.Get("Cache-Control"))
				}
			}
		}
	}
	for _, path := range []string{"/static/", "/static/0/app.css"} {
		if a := alice.ask("GET", path, nil); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
}

func TestTheAPIDescribesItself(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	document := s.visitor().must(http.StatusOK, "GET", "/api/v1/openapi.json", nil)
	paths, _ := document["paths"].(map[string]any)
	version, _ := document["openapi"].(string)
	if !strings.HasPrefix(version, "3.1") || len(paths) != 16 {
		t.Errorf("OpenAPI %v with %d paths", version, len(paths))
	}
	described, err := json.Marshal(document["components"])
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"account_id", "code", "next", "from", "until", "warnings"} {
		if !strings.Contains(string(described), `"`+field+`":{`) {
			t.Errorf("the field %q is not described", field)
		}
	}
}

// TestNoSecretIsLogged plants secrets wherever a person can and looks for them.
func TestNoSecretIsLogged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor()
	planted := []string{
		"PlantedPassword", "PLANTEDSEED23456", "PlantedToken", "PlantedName", password,
		s.server.SetupToken,
	}
	v.ask("POST", "/api/v1/setup", map[string]any{
		"token": "PlantedToken", "name": "PlantedName",
		"password": "PlantedPassword",
	})
	alice := s.alice()
	planted = append(planted, alice.cookies[0].Value)
	v.ask("POST", "/api/v1/session", map[string]any{"name": "PlantedPassword", "password": "PlantedPassword"})
	v.ask("POST", "/api/v1/session", `{"name":"PlantedPassword`)
	alice.add(map[string]any{"secret": "PLANTEDSEED23456", "issuer": "PlantedName"})
	alice.ask("POST", "/api/v1/accounts", map[string]any{"secret": "PLANTEDSEED23456!", "digits": "PlantedPassword"})
	alice.ask("POST", "/api/v1/preview",
		map[string]any{"link": "otpauth://totp/PlantedName?secret=PLANTEDSEED23456&digits=99"})
	alice.ask("GET", "/?q=PlantedName", nil)
	alice.ask("PUT", "/api/v1/password", map[string]any{"current": "PlantedPassword", "new": "PlantedPassword"})
	codes := alice.must(http.StatusOK, "GET", "/api/v1/codes", nil)
	for _, one := range codes["codes"].([]any) { //nolint:forcetypeassert // the test panics with it
		code := one.(map[string]any)["code"].(string) //nolint:forcetypeassert // the test panics with it
		planted = append(planted, code)
	}
	// A failure inside, which is logged in full.
	pgtest.Exec(t, s.db.SuperConn, "ALTER TABLE avtotpy.passwords RENAME TO lost")
	if a := s.visitor().ask("POST", "/api/v1/session",
		map[string]any{"name": "Alice", "password": password}); a.StatusCode != http.StatusInternalServerError ||
		!strings.Contains(a.text, "The server's log says more, under ") {
		t.Errorf("a table that is lost: %s %s", a.Status, a.text)
	}
	log := s.log.String()
	if !strings.Contains(log, "a request failed") || !strings.Contains(log, "route=") {
		t.Errorf("nothing is logged:\n%s", log)
	}
	for _, secret := range planted {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log:\n%s", secret, log)
		}
	}
}

func TestADamagedRowIsADamagedCard(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	whole := alice.add(map[string]any{"link": link})
	damaged := alice.add(map[string]any{"link": strings.ReplaceAll(link, "Example", "Contoso")})
	counter := alice.add(map[string]any{"link": "otpauth://hotp/Counted?secret=JBSWY3DPEHPK3PXP&counter=1"})
	pgtest.Exec(t, s.db.SuperConn, "UPDATE avtotpy.accounts SET digits = 4, version = version + 1 WHERE id IN ('"+
		damaged+"', '"+counter+"')")
	codes, _ := alice.must(http.StatusOK, "GET", "/api/v1/codes", nil)["codes"].([]any)
	//nolint:forcetypeassert // the test panics with it
	if len(codes) != 1 || codes[0].(map[string]any)["account_id"] != whole {
		t.Errorf("codes %v, want that of %s alone", codes, whole)
	}
	list, _ := alice.must(http.StatusOK, "GET", "/api/v1/accounts", nil)["accounts"].([]any)
	for _, one := range list {
		account, _ := one.(map[string]any)
		if got := account["damaged"] == true; got != (account["id"] != whole) {
			t.Errorf("%v says damaged: %v", account["id"], got)
		}
	}
	if a := alice.ask("GET", "/", nil); a.StatusCode != http.StatusOK ||
		strings.Count(a.text, "cannot be opened") != 2 || !strings.Contains(a.text, "<code-card") {
		t.Errorf("the list: %s %s", a.Status, a.text)
	}
	for _, path := range []string{"/accounts/" + damaged, "/accounts/" + damaged + "/delete"} {
		if a := alice.ask("GET", path, nil); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
	alice.must(http.StatusConflict, "PATCH", "/api/v1/accounts/"+damaged, map[string]any{"issuer": "x"})
	alice.must(http.StatusConflict, "POST", "/api/v1/accounts/"+counter+"/hotp", nil)
	for _, id := range []string{damaged, counter} {
		alice.must(http.StatusNoContent, "DELETE", "/api/v1/accounts/"+id, nil)
	}
	if list, _ := alice.must(http.StatusOK, "GET", "/api/v1/accounts", nil)["accounts"].([]any); len(list) != 1 {
		t.Errorf("%d accounts are left", len(list))
	}
}
