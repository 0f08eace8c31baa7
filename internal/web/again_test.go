package web_test

import (
	"context"
	"errors"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/web"
)

// resend returns where the first form of a page goes, and what it holds in hidden fields.
func (v *visitor) resend(page string) (path string, values url.Values) {
	v.t.Helper()
	form := regexp.MustCompile(`(?s)<form [^>]*method="post" action="([^"]+)".*?</form>`).FindStringSubmatch(page)
	if form == nil {
		v.t.Fatalf("no form in %s", page)
	}
	values = url.Values{}
	for _, one := range regexp.MustCompile(
		`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(form[0], -1) {
		values.Add(html.UnescapeString(one[1]), html.UnescapeString(one[2]))
	}
	return html.UnescapeString(form[1]), values
}

// TestAFormIsSentAgainWhenTheServerIsReady sends one while it is not.
func TestAFormIsSentAgainWhenTheServerIsReady(t *testing.T) {
	t.Parallel()
	fit := true
	s := newSite(t, func(s *web.Server) {
		before := s.Fit
		s.Fit = func(ctx context.Context) error {
			if !fit {
				return errors.New("the database is away")
			}
			return before(ctx)
		}
	})
	alice := s.alice()
	typed := url.Values{"box": {link}, "note": {"typed"}}
	fit = false
	a := alice.send("/accounts/new", typed)
	if a.StatusCode != http.StatusServiceUnavailable {
		t.Fatal(a.Status)
	}
	if a := alice.send("/login", url.Values{"name": {"alice"}, "password": {password}}); strings.Contains(a.text,
		password) {
		t.Errorf("the password is repeated: %s", a.text)
	}
	if a := alice.ask("POST", "/accounts/new", typed.Encode(), "Content-Type", "application/x-www-form-urlencoded",
		"Sec-Fetch-Site", "cross-site"); strings.Contains(a.text, "typed") {
		t.Errorf("what another site sent is offered: %s", a.text)
	}
	fit = true
	path, values := alice.resend(a.text)
	alice.follow(alice.send(path, values), "/#account-")
}

// TestTwoClicksAreOne sends the forms of buttons twice, as browsers do that have no scripts.
func TestTwoClicksAreOne(t *testing.T) {
	t.Parallel()
	var seen events
	s := newSite(t, func(s *web.Server) { s.Event = seen.add })
	alice := s.alice()
	id := alice.add(map[string]any{"kind": "hotp", "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"})
	_, next := alice.resend(regexp.MustCompile(`(?s)<form class="card-advance".*?</form>`).FindString(alice.ask("GET",
		"/", nil).text))
	seen.take()
	for range 2 {
		alice.follow(alice.send("/accounts/"+id+"/next", next), "/#account-"+id)
	}
	if n := pgtest.Value[int64](t, s.db.SuperConn, "SELECT counter FROM avtotpy.hotp_counters"); n != 1 {
		t.Errorf("the counter is at %d", n)
	}
	for _, act := range []struct{ what, to string }{{"delete", "/?deleted=" + id}, {"restore", "/#account-" + id}} {
		for range 2 {
			alice.follow(alice.send("/accounts/"+id+"/"+act.what, nil), act.to)
		}
	}
	if got := seen.take(); got != "" {
		t.Errorf("the events are %q", got)
	}
	const nobodys = "/accounts/3b6a2f0e-97a5-4f0e-9d4b-5f3c2f2f4b11/"
	for _, act := range []string{"delete", "restore", "next"} {
		if a := alice.send(nobodys+act, nil); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s of what is not there: %s", act, a.Status)
		}
		if got := seen.take(); got != string(auth.EventUnknownID) {
			t.Errorf("%s of what is not there: the events are %q", act, got)
		}
	}
}

// TestAnOldFormChangesOnlyWhatWasTypedIntoIt sends forms that were open while another tab changed the same account.
func TestAnOldFormChangesOnlyWhatWasTypedIntoIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	id := alice.add(map[string]any{"link": link})
	path := "/accounts/" + id
	open := func(path string) url.Values {
		_, text, _ := strings.Cut(alice.ask("GET", path, nil).text, "<main")
		_, values := alice.resend(text)
		for name := range values {
			if of, ok := strings.CutSuffix(name, "-before"); ok {
				values.Set(of, values.Get(name))
			}
		}
		return values
	}
	names, key := open(path), open(path+"/key")
	alice.must(http.StatusOK, "PATCH", "/api/v1"+path, map[string]any{"issuer": "Elsewhere", "note": "two\nlines"})
	alice.must(http.StatusOK, "PATCH", "/api/v1"+path+"/key", map[string]any{"current": password, "digits": 8})

	names.Set("account", "typed")
	alice.follow(alice.send(path, names), path+"?saved")
	key.Set("period", "60")
	key.Set("current", password)
	alice.follow(alice.send(path+"/key", key), path+"?saved")
	a, _ := alice.must(http.StatusOK, "GET", "/api/v1"+path, nil)["account"].(map[string]any)
	if a["issuer"] != "Elsewhere" || a["note"] != "two\nlines" || a["account"] != "typed" || a["digits"] != 8.0 ||
		a["period"] != 60.0 {
		t.Errorf("the account is %v", a)
	}

	// Breaks of lines that only a browser writes otherwise are no change, and are stored as they are typed.
	names = open(path)
	names.Set("note", "two\r\nlines")
	names.Set("note-before", "two\nlines")
	alice.must(http.StatusOK, "PATCH", "/api/v1"+path, map[string]any{"note": "changed elsewhere"})
	alice.follow(alice.send(path, names), path+"?saved")
	names.Set("note-before", "x")
	if a, _ := alice.must(http.StatusOK, "GET", "/api/v1"+path,
		nil)["account"].(map[string]any); a["note"] != "changed elsewhere" {
		t.Errorf("the note is %q", a["note"])
	}
	alice.follow(alice.send(path, names), path+"?saved")
	if a, _ := alice.must(http.StatusOK, "GET", "/api/v1"+path,
		nil)["account"].(map[string]any); a["note"] != "two\nlines" {
		t.Errorf("the note is %q", a["note"])
	}
}

// TestAnEmptyPasswordIsNoGuess sends each form that needs one without it.
func TestAnEmptyPasswordIsNoGuess(t *testing.T) {
	t.Parallel()
	var seen events
	s := newSite(t, func(s *web.Server) { s.Event = seen.add })
	alice := s.alice()
	id, deleted := alice.add(map[string]any{"link": link}), alice.add(map[string]any{"secret": "GEZDGNBVGY3TQOJQ"})
	alice.must(http.StatusNoContent, "DELETE", "/api/v1/accounts/"+deleted, nil)
	seen.take()
	locked := s.visitor()
	locked.must(http.StatusOK, "POST", "/api/v1/session", map[string]any{"name": "alice", "password": password})
	s.idle()
	for _, who := range []*visitor{locked, s.visitor()} {
		a := who.send("/accounts/new", url.Values{"box": {link}, "resume-name": {"alice"}, "resume-password": {""}})
		if a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.text, "The password is missing.") ||
			!strings.Contains(a.text, html.EscapeString(link)) {
			t.Errorf("a form whose session has ended: %s %s", a.Status, a.text)
		}
	}
	alice.must(http.StatusOK, "POST", "/api/v1/session", map[string]any{"name": "alice", "password": password})
	seen.take()
	for _, path := range []string{"/login", "/settings/password", "/accounts/" + id + "/key", "/trash/" + deleted +
		"/delete"} {
		a := alice.send(path, url.Values{"name": {"alice"}, "new": {"another good password"}})
		if a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.text, "The password is missing.") {
			t.Errorf("%s: %s %s", path, a.Status, a.text)
		}
		if got := seen.take(); got != "" {
			t.Errorf("%s: the events are %q", path, got)
		}
	}
}
