package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestSpellingsAreReadAlike enters the same values in a link, through the API and in the form.
func TestSpellingsAreReadAlike(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	type values struct{ Kind, Algorithm, Digits, Period string }
	const secret = "JBSWY3DPEHPK3PXP"
	for _, c := range []struct{ given, want values }{
		{values{"totp", "sha-256", "0", "0"}, values{"totp", "SHA256", "6", "30"}},
		{values{"TOTP", "HmacSHA512", "null", "null"}, values{"totp", "SHA512", "6", "30"}},
		{values{"totp", "null", "8", "60"}, values{"totp", "SHA1", "8", "60"}},
		{values{"totp", "", "", ""}, values{"totp", "SHA1", "6", "30"}},
		{values{"Steam", "hmac_sha_1", "5", "30"}, values{"steam", "SHA1", "5", "30"}},
		{values{"hotp", "SHA384", "7", "0"}, values{"hotp", "SHA384", "7", "30"}},
	} {
		name := strings.Join([]string{c.given.Kind, c.given.Algorithm, c.given.Digits, c.given.Period}, " ")
		body := map[string]any{"secret": secret, "kind": c.given.Kind, "algorithm": c.given.Algorithm}
		if c.given.Algorithm == "null" {
			body["algorithm"] = nil
		}
		for field, text := range map[string]string{"digits": c.given.Digits, "period": c.given.Period} {
			if text != "" {
				body[field] = json.RawMessage(text)
			}
		}
		asLink := url.Values{
			"secret": {secret}, "algorithm": {c.given.Algorithm}, "digits": {c.given.Digits},
			"period": {c.given.Period},
		}
		if c.given.Kind == "hotp" {
			asLink.Set("counter", "0")
		}
		asForm := url.Values{
			"box": {secret}, "kind": {c.given.Kind}, "algorithm": {c.given.Algorithm},
			"digits": {c.given.Digits}, "period": {c.given.Period}, "reviewed": {"1"}, "take": {"1"},
		}
		for way, id := range map[string]string{
			"the API": alice.add(body),
			"a link": alice.add(map[string]any{"link": "otpauth://" + c.given.Kind + "/" + url.PathEscape(name) +
				"?" + asLink.Encode()}),
			"a form": alice.addByForm(asForm),
		} {
			got, _ := alice.must(http.StatusOK, "GET", "/api/v1/accounts/"+id, nil)["account"].(map[string]any)
			text, _ := json.Marshal([]any{got["kind"], got["algorithm"], got["digits"], got["period"]})
			if want := `["` + c.want.Kind + `","` + c.want.Algorithm + `",` + c.want.Digits + `,` + c.want.Period +
				`]`; string(text) != want {
				t.Errorf("%s by %s: %s, want %s", name, way, text, want)
			}
			alice.must(http.StatusNoContent, "DELETE", "/api/v1/accounts/"+id, nil)
		}
	}
}

// addByForm adds an account as a browser without scripts does, and returns its id.
func (v *visitor) addByForm(values url.Values) string {
	v.t.Helper()
	a := v.send("/accounts/new", values)
	v.follow(a, "/")
	_, id, _ := strings.Cut(a.Header.Get("Location"), "#account-")
	return id
}

func TestWarningsHaveCodes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	const steam = "otpauth://totp/Steam:gabe?secret=JBSWY3DPEHPK3PXP&digits=5&issuer=Steam"
	for _, c := range []struct {
		body map[string]any
		want string
		kind string
	}{
		{map[string]any{"secret": "JBSW"}, "warning.short", "totp"},
		{map[string]any{"secret": "password"}, "warning.short", "totp"},
		{map[string]any{"secret": "letmeinletmeinplease"}, "warning.guessable", "totp"},
		{map[string]any{"link": "otpauth://totp/?secret=password"}, "warning.short", "totp"},
		{map[string]any{"link": "otpauth://hotp/?secret=JBSWY3DPEHPK3PXP"}, "warning.no-counter", "hotp"},
		{map[string]any{"link": steam}, "warning.steam", "totp"},
		{map[string]any{"link": steam, "kind": "totp"}, "", "totp"},
		{map[string]any{"link": steam, "kind": "steam"}, "", "steam"},
		{map[string]any{"secret": "JBSWY3DPEHPK3PXP", "issuer": "Steam", "digits": 5}, "warning.steam", "totp"},
	} {
		got := alice.must(http.StatusOK, "POST", "/api/v1/preview", c.body)
		account, _ := got["account"].(map[string]any)
		var codes []string
		for _, one := range got["warnings"].([]any) {
			one, _ := one.(map[string]any)
			codes = append(codes, one["code"].(string))
			if message, _ := one["message"].(string); !strings.HasSuffix(message, ".") {
				t.Errorf("%v: %q is not a sentence", c.body, message)
			}
		}
		if strings.Join(codes, " ") != c.want || account["kind"] != c.kind {
			t.Errorf("%v: %v, %v, want %q", c.body, codes, account["kind"], c.want)
		}
	}
}

// TestSeveralAccountsAreReviewedFirst pastes several links, as a browser without scripts sends them.
func TestSeveralAccountsAreReviewedFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	accounts := func() int {
		list, _ := alice.must(http.StatusOK, "GET", "/api/v1/accounts", nil)["accounts"].([]any)
		return len(list)
	}
	const second = "otpauth://totp/Other:bob?issuer=Other&secret=GEZDGNBVGY3TQOJQ"
	box := link + "\n" + second + "\nhello, world\n" + second
	form := url.Values{"box": {box}, "submission": {"3b6a2f0e-97a5-4f0e-9d4b-5f3c2f2f4b11"}}
	page := alice.send("/accounts/new", form)
	for _, want := range []string{
		"Check before adding", "alice@example.com", "bob", `name="take" value="1" checked`,
		`name="take" value="2" checked`, `name="take" value="4">`,
		// what was typed is kept
		"Number 3", "neither a link nor a secret", "the same secret as in number 2", "hello, world",
	} {
		if page.StatusCode != http.StatusOK || !strings.Contains(page.text, want) {
			t.Fatalf("%s without %q: %s", page.Status, want, page.text)
		}
	}
	if accounts() != 0 {
		t.Error("a review adds accounts")
	}
	form.Set("reviewed", "1")
	if page := alice.send("/accounts/new", form); page.StatusCode != http.StatusUnprocessableEntity ||
		!strings.Contains(page.text, "Nothing is chosen.") {
		t.Errorf("nothing chosen: %s", page.Status)
	}
	form["take"] = []string{"1", "2", "3"}
	for range 2 { // twice is once
		alice.follow(alice.send("/accounts/new", form), "/#account-")
		if n := accounts(); n != 2 {
			t.Fatalf("%d accounts, want 2", n)
		}
	}
	page = alice.send("/accounts/new", url.Values{"box": {second}, "issuer": {"kept"}})
	if page.StatusCode != http.StatusOK ||
		!strings.Contains(page.text, "You have this secret already, as Other, bob.") {
		t.Errorf("a duplicate: %s", page.text)
	}
	if page := alice.send("/accounts/new",
		url.Values{
			"box": {second}, "issuer": {"kept"}, "back": {"1"},
			"reviewed": {"1"},
		}); !strings.Contains(page.text, `value="kept"`) {
		t.Errorf("back: %s", page.text)
	}
	alice.addByForm(url.Values{"box": {second}, "reviewed": {"1"}, "take": {"1"}})
	if n := accounts(); n != 3 {
		t.Errorf("%d accounts, want 3: a duplicate was wanted", n)
	}
	for _, body := range []map[string]any{
		{"link": box},
		{"link": link + second},
		{"secret": "JBSWY3DPEHPK3PXP\nGEZDGNBVGY3TQOJQ"},
	} {
		if a := alice.ask("POST", "/api/v1/accounts", body); a.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%v is one account: %s", body, a.Status)
		}
	}
}

func TestADoubtfulSecretIsShownFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	for _, c := range []struct{ box, want string }{
		{"JBSW", "very short"},
		{"letmeinletmeinplease", "a word or a pattern"},
		{"JBSW\nY3DP\nEHPK\n3PXP", "several lines, which were joined"},
		{"otpauth://hotp/?secret=JBSWY3DPEHPK3PXP", "no counter"},
	} {
		form := url.Values{"box": {c.box}, "kind": {"totp"}}
		if page := alice.send("/accounts/new", form); page.StatusCode != http.StatusOK ||
			!strings.Contains(page.text, c.want) {
			t.Errorf("%q: %s without %q: %s", c.box, page.Status, c.want, page.text)
		}
		form.Set("reviewed", "1")
		form.Set("take", "1")
		alice.addByForm(form)
	}
}

// TestSteamIsAskedFor adds what some apps export for Steam: five digits, which Steam does not take.
func TestSteamIsAskedFor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	for _, form := range []url.Values{
		{"box": {"otpauth://totp/Steam:gabe?secret=JBSWY3DPEHPK3PXP&digits=5&issuer=Steam"}},
		{
			"box": {"JBSWY3DPEHPK3PXP"}, "issuer": {"Steam"}, "kind": {"totp"}, "digits": {"5"},
			"period": {"None"}, "algorithm": {"undefined"}, // as programs write what they do not know
		},
	} {
		if page := alice.send("/accounts/new", form); page.StatusCode != http.StatusOK ||
			!strings.Contains(page.text, "Which code does the site expect?") {
			t.Fatalf("%v: %s: %s", form, page.Status, page.text)
		}
		form.Set("reviewed", "1")
		form.Set("take", "1")
		if page := alice.send("/accounts/new", form); page.StatusCode != http.StatusUnprocessableEntity ||
			!strings.Contains(page.text, "Choose one of the two.") {
			t.Fatalf("no answer: %s: %s", page.Status, page.text)
		}
		for _, kind := range []string{"steam", "totp"} {
			form.Set("kind-1", kind)
			id := alice.addByForm(form)
			got, _ := alice.must(http.StatusOK, "GET", "/api/v1/accounts/"+id, nil)["account"].(map[string]any)
			if got["kind"] != kind || got["digits"] != 5.0 {
				t.Errorf("%s: %v", kind, got)
			}
			alice.must(http.StatusNoContent, "DELETE", "/api/v1/accounts/"+id, nil)
		}
	}
}
