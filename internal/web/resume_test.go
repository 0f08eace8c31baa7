package web_test

import (
	"html"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
)

var (
	hiddenField   = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	passwordField = regexp.MustCompile(`Name: *"([^"]+)",[^{}]*Type: *"password"`)
)

// held are the values that a page holds in hidden fields.
func held(a answer) url.Values {
	values := url.Values{}
	for _, one := range hiddenField.FindAllStringSubmatch(a.text, -1) {
		values.Add(html.UnescapeString(one[1]), html.UnescapeString(one[2]))
	}
	return values
}

// TestNothingTypedIsLostWithASession sends each form that asks for a session, as a browser does without scripts, when
// the session is locked and when it has ended: what was typed is kept, passwords are not, and with the password the
// form does what it does.
func TestNothingTypedIsLostWithASession(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	id := alice.add(map[string]any{"link": link})
	trashed := alice.add(map[string]any{"link": link})
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	forms := []struct {
		path string
		sent url.Values
		to   string // where it leads
		has  string // what the page there has
	}{
		// the page with several
		{"/accounts/new", url.Values{"box": {link + "\n" + link}, "note": {`"a" <note>`, "second"}}, "", "otpauth"},
		{"/accounts/" + id, url.Values{"issuer": {"Other"}, "account": {"bob"}, "note": {"line\nline"}}, "/accounts/" +
			id + "?saved", "line\nline</textarea>"},
		{"/accounts/" + id + "/key", url.Values{
			"secret": {secret}, "kind": {"hotp"}, "counter": {"7"},
			"counter-before": {"0"}, "current": {password},
		}, "/accounts/" + id + "?saved", `<dd id="counter">7</dd>`},
		{"/accounts/" + id + "/next", url.Values{}, "/", "Other"},
		{"/accounts/" + trashed + "/delete", url.Values{}, "/?deleted=" + trashed, "was deleted"},
		{"/accounts/" + trashed + "/restore", url.Values{}, "/#account-" + trashed, "account-" + trashed},
		{"/accounts/" + trashed + "/delete", url.Values{}, "/?deleted=" + trashed, "was deleted"},
		{"/trash/" + trashed + "/delete", url.Values{"current": {password}}, "/trash?purged", "The trash is empty"},
		// which is asked for again
		{"/settings/password", url.Values{"current": {password}, "new": {"another good password"}}, "", "New password"},
		{"/settings/sessions/end", url.Values{}, "/settings", "Sessions"},
		{"/settings/sessions/3b6a2f0e-97a5-4f0e-9d4b-5f3c2f2f4b11/end", url.Values{}, "", "not yours"},
	}
	for i, f := range forms {
		locked := i%2 == 0
		if s.idle(); !locked {
			pgtest.Exec(t, s.db.SuperConn, "DELETE FROM avtotpy.sessions")
		}
		page := alice.send(f.path, f.sent)
		kept := maps.Clone(f.sent)
		if kept.Has("current") {
			kept.Set("resume-current", "1")
		}
		kept.Del("current")
		kept.Del("new")
		if got := held(page); page.StatusCode != http.StatusUnauthorized || got.Encode() != kept.Encode() ||
			strings.Contains(page.text, password) || !strings.Contains(page.text, `action="`+f.path+`"`) {
			t.Errorf("%s: %s, holds %v, want %v: %s", f.path, page.Status, got, kept, page.text)
		}
		again := held(page)
		again.Set("resume-name", "Alice")
		again.Set("resume-password", "wrong")
		wrong := alice.send(f.path, again)
		if got := held(wrong); wrong.StatusCode < 400 || got.Encode() != kept.Encode() ||
			strings.Contains(wrong.text, `value="wrong"`) {
			t.Errorf("%s with a wrong password: %s, holds %v: %s", f.path, wrong.Status, got, wrong.text)
		}
		again.Set("resume-password", password)
		a := alice.send(f.path, again)
		if f.to != "" {
			a = alice.follow(a, f.to)
		}
		if !strings.Contains(a.text, f.has) {
			t.Errorf("%s after the password: %s, want %q in %s", f.path, a.Status, f.has, a.text)
		}
		alice.must(http.StatusOK, "GET", "/api/v1/codes", nil)
	}
	alice.sent = append(alice.sent, "/setup", "/login", "/logout") // which ask for none
	everyFormOf(t, alice.sent)
}

// TestNoPageHoldsAPassword fails for a field for passwords that passwordFields does not know.
func TestNoPageHoldsAPassword(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	known, err := os.ReadFile("resume.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(known), "func passwordFields() []string {")
	list, _, _ = strings.Cut(list, "\n")
	var found []string
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range passwordField.FindAllStringSubmatch(string(source), -1) {
			if found = append(found, one[1]); !strings.Contains(list, `"`+one[1]+`"`) {
				t.Errorf("%s has the field %q for a password, which passwordFields does not have", file, one[1])
			}
		}
	}
	if !slices.Contains(found, "new") {
		t.Errorf("only %q were found; are the sources read right?", found)
	}
}
