package web_test

import (
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// send posts a form as a browser without scripts does.
func (v *visitor) send(path string, values url.Values) answer {
	v.t.Helper()
	v.sent = append(v.sent, path)
	return v.ask("POST", path, values.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// follow expects that a form leads to another page, and opens that.
func (v *visitor) follow(a answer, to string) answer {
	v.t.Helper()
	if where := a.Header.Get("Location"); a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(where, to) {
		v.t.Fatalf("%s to %q, want to go to %q: %.2000s", a.Status, where, to, a.text)
	}
	path, _, _ := strings.Cut(a.Header.Get("Location"), "#")
	return v.ask("GET", path, nil)
}

// TestASecondClickSaysThatItIsDone sends forms twice whose first click ends or deletes something.
func TestASecondClickSaysThatItIsDone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, elsewhere := s.alice(), s.visitor()
	elsewhere.must(http.StatusOK, "POST", "/api/v1/session", map[string]any{"name": "alice", "password": password})
	other := pgtest.Value[string](t, s.db.SuperConn, "SELECT id::text FROM avtotpy.sessions ORDER BY id DESC LIMIT 1")
	id := alice.add(map[string]any{"link": link})
	alice.follow(alice.send("/accounts/"+id+"/delete", nil), "/")
	for _, c := range []struct {
		form, first, second, heading string
		values                       url.Values
	}{
		{"/settings/sessions/" + other + "/end", "/settings", "This session has ended already", "Sessions", nil},
		{
			"/trash/" + id + "/delete", "/trash?purged", "not in the trash any more", "Trash",
			url.Values{"current": {password}},
		},
	} {
		alice.follow(alice.send(c.form, c.values), c.first)
		if a := alice.send(c.form, c.values); a.StatusCode != http.StatusNotFound ||
			!strings.Contains(a.text, c.second) || !strings.Contains(a.text, c.heading+"</h") {
			t.Errorf("%s, sent twice: %s: %s", c.form, a.Status, a.text)
		}
	}
	for range 2 {
		alice.follow(alice.send("/logout", nil), "/login")
	}
}

// TestOtherSitesDoNotSayWhatWasDone opens links of another site to pages that say that a form was taken.
func TestOtherSitesDoNotSayWhatWasDone(t *testing.T) {
	t.Parallel()
	alice := newSite(t).alice()
	account := "/accounts/" + alice.add(map[string]any{"link": link})
	for path, text := range map[string]string{
		"/settings?saved": "Password changed", "/trash?purged": "Deleted for good.", account + "?saved": "Saved",
	} {
		for from, says := range map[string]bool{"same-origin": true, "cross-site": false, "same-site": false} {
			a := alice.ask("GET", path, nil, "Sec-Fetch-Site", from)
			if a.StatusCode != http.StatusOK || strings.Contains(a.text, text) != says {
				t.Errorf("%s, opened by %s: %s, which says %q or not: %s", path, from, a.Status, text, a.text)
			}
		}
	}
}

// TestEveryFormWorksWithoutScripts sends each form as a browser does by itself: first with
// something wrong in it, which is said at its field while what was typed is kept, and then right.
func TestEveryFormWorksWithoutScripts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor()
	again := func(a answer, status int, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if a.StatusCode != status || !strings.Contains(a.text, text) {
				t.Fatalf("%s, want %d and %q in %s", a.Status, status, text, a.text)
			}
		}
		if strings.Contains(a.text, password) {
			t.Error("a page repeats the password")
		}
	}

	set := url.Values{"token": {"WRONG"}, "name": {`"Alice"`}, "password": {password}}
	again(v.send("/setup", set), http.StatusUnprocessableEntity, `value="&#34;Alice&#34;"`, `value="WRONG"`,
		"This is not the token.", `aria-invalid="true"`)
	set.Set("token", s.server.SetupToken)
	set.Set("name", "Alice")
	v.follow(v.send("/setup", set), "/")
	v.follow(v.send("/logout", nil), "/login")

	// The page that was asked for comes after the login.
	page := v.follow(v.ask("GET", "/settings?x=1", nil), "/login?next=%2Fsettings%3Fx%3D1")
	again(page, http.StatusOK, `name="next" value="/settings?x=1"`)
	in := url.Values{"name": {"alice"}, "password": {"wrong"}, "next": {"/settings?x=1"}}
	again(v.send("/login", in), http.StatusUnauthorized, "Name or password is wrong.", `value="alice"`,
		`value="/settings?x=1"`)
	in.Set("password", password)
	again(v.follow(v.send("/login", in), "/settings?x=1"), http.StatusOK, "Current password")

	for _, wrong := range []struct {
		values url.Values
		texts  []string
	}{
		{
			url.Values{"box": {"JBSWY3DP1"}, "issuer": {"Bank <1>"}, "note": {"kept"}},
			[]string{"Bank &lt;1&gt;", `value="kept"`, "JBSWY3DP1</textarea>", "Log out"},
		},
		{
			url.Values{"box": {"JBSWY3DPEHPK3PXP"}, "digits": {"six"}, "kind": {"totp"}},
			[]string{"This is not a whole number.", `value="six"`, `<details id="advanced" open>`},
		},
		{
			url.Values{"box": {"JBSWY3DPEHPK3PXP"}, "counter": {"9223372036854775808"}, "kind": {"hotp"}},
			[]string{"A counter of 9223372036854775808 is not possible", `value="9223372036854775808"`},
		},
		{
			url.Values{"box": {"JBSWY3DPEHPK3PXP"}, "digits": {"99999999999999999999"}, "kind": {"totp"}},
			[]string{"digits is not possible", `value="99999999999999999999"`},
		},
		{
			url.Values{"box": {"JBSWY3DPEHPK3PXP"}, "digits": {"99"}, "kind": {"hotp"}},
			[]string{"of 99 digits", `<option value="hotp" selected>`},
		},
		{url.Values{"box": {"otpauth://totp/x"}}, []string{"no secret"}},
	} {
		again(v.send("/accounts/new", wrong.values), http.StatusUnprocessableEntity, wrong.texts...)
	}
	submission := "3b6a2f0e-97a5-4f0e-9d4b-5f3c2f2f4b11"
	right := url.Values{"box": {link}, "submission": {submission}}
	again(v.follow(v.send("/accounts/new", right), "/"), http.StatusOK, "alice@example.com")
	v.follow(v.send("/accounts/new", right), "/") // twice is once
	id := pgtest.Value[string](t, s.db.SuperConn, "SELECT id::text FROM avtotpy.accounts")

	account := "/accounts/" + id
	again(v.send(account, url.Values{"issuer": {strings.Repeat("x", 300)}, "account": {"typed"}, "note": {"n"}}),
		http.StatusUnprocessableEntity, "300 characters", `value="typed"`)
	again(v.follow(v.send(account, url.Values{"issuer": {"Other"}, "account": {"bob"}, "note": {"a note"}}), account+
		"?saved"), http.StatusOK, `value="Other"`, "a note</textarea>", "Saved")
	again(v.ask("GET", account+"/delete", nil), http.StatusOK, "Delete <bdi>Other</bdi>?", `action="`+account+
		`/delete"`)

	key := url.Values{
		"secret": {"JBSWY3DP1"}, "kind": {"hotp"}, "digits": {"8"}, "counter": {"41"},
		"counter-before": {"0"}, "current": {password},
	}
	again(v.ask("GET", account+"/key", nil), http.StatusOK, `name="period" value="30"`)
	again(v.send(account+"/key", key), http.StatusUnprocessableEntity, "The digit 1 at position 9",
		`value="JBSWY3DP1"`, `value="41"`)
	key.Set("secret", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
	key.Set("current", "wrong")
	again(v.send(account+"/key", key), http.StatusUnprocessableEntity, "not your current password", `value="41"`)
	key.Set("current", password)
	again(v.follow(v.send(account+"/key", key), account+"?saved"), http.StatusOK, "Counter-based (HOTP)",
		`<dd id="counter">41</dd>`, "Saved")
	v.follow(v.send(account+"/next", nil), "/")

	again(v.follow(v.send(account+"/delete", nil), "/?deleted="+id), http.StatusOK, "No accounts yet",
		"<bdi>Other</bdi> was deleted.", `action="`+account+`/restore"`)
	again(v.follow(v.send(account+"/restore", nil), "/#account-"+id), http.StatusOK, `id="account-`+id)
	v.follow(v.send(account+"/delete", nil), "/")
	again(v.ask("GET", "/trash", nil), http.StatusOK, "Other", "/trash/"+id+"/delete")
	again(v.ask("GET", "/trash/"+id+"/delete", nil), http.StatusOK, "Delete <bdi>Other</bdi> for good?")
	again(v.send("/trash/"+id+"/delete", url.Values{"current": {"wrong"}}), http.StatusUnprocessableEntity,
		"not your current password")
	again(v.follow(v.send("/trash/"+id+"/delete", url.Values{"current": {password}}), "/trash?purged"), http.StatusOK,
		"The trash is empty")

	other := s.visitor()
	other.must(http.StatusOK, "POST", "/api/v1/session", map[string]any{"name": "Alice", "password": password})
	session := pgtest.Value[string](t, s.db.SuperConn,
		"SELECT id::text FROM avtotpy.sessions ORDER BY created_at DESC LIMIT 1")
	v.follow(v.send("/settings/sessions/"+session+"/end", nil), "/settings")
	v.follow(v.send("/settings/sessions/end", nil), "/settings")
	other.must(http.StatusUnauthorized, "GET", "/api/v1/codes", nil)

	again(v.send("/settings/password", url.Values{"current": {"wrong"}, "new": {"another good password"}}),
		http.StatusUnprocessableEntity, "not your current password")
	again(v.follow(v.send("/settings/password", url.Values{"current": {password}, "new": {"another good password"}}),
		"/settings?saved"), http.StatusOK, "Password changed")

	for _, path := range []string{
		"/accounts/new", account, account + "/delete", account + "/key", account + "/restore", "/trash/" + id +
			"/delete", "/settings/password",
	} {
		if a := s.visitor().send(path, right); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s by a stranger: %s", path, a.Status)
		}
	}
	everyFormOf(t, v.sent)
	if a := v.ask("POST", "/login", "name=x", "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site",
		"cross-site"); a.StatusCode != http.StatusForbidden {
		t.Errorf("a login from another site: %s", a.Status)
	}
}

// everyFormOf fails for a form of the server's table that was not sent.
func everyFormOf(t *testing.T, sent []string) {
	t.Helper()
	source, err := os.ReadFile("server.go")
	if err != nil {
		t.Fatal(err)
	}
	forms := regexp.MustCompile(`Handle\("POST (/[^"]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(forms) < 10 {
		t.Errorf("server.go has %d forms; is it read right?", len(forms))
	}
	for _, form := range forms {
		path := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(form[1]), `\{id\}`, "[0-9a-f-]{36}") + "$")
		if !slices.ContainsFunc(sent, path.MatchString) {
			t.Errorf("the form of %s is not tried without scripts", form[1])
		}
	}
}

func TestALoginLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.alice()
	for _, next := range []string{
		"https://evil.example/", "//evil.example/", `/\evil.example`, "/\t/evil.example",
		"evil", "javascript:alert(1)", "",
	} {
		v := s.visitor()
		a := v.send("/login", url.Values{"name": {"alice"}, "password": {password}, "next": {next}})
		if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/" {
			t.Errorf("next %q leads to %q", next, a.Header.Get("Location"))
		}
	}
}
