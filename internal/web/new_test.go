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
		asLink := url.Values{"secret": {secret}, "algorithm": {c.given.Algorithm}, "digits": {c.given.Digits}, "period": {c.given.Period}}
		if c.given.Kind == "hotp" {
			asLink.Set("counter", "0")
		}
		asForm := url.Values{"box": {secret}, "kind": {c.given.Kind}, "algorithm": {c.given.Algorithm}, "digits": {c.given.Digits}, "period": {c.given.Period}}
		for way, id := range map[string]string{
			"the API": alice.add(body),
			"a link":  alice.add(map[string]any{"link": "otpauth://" + c.given.Kind + "/" + url.PathEscape(name) + "?" + asLink.Encode()}),
			"a form":  alice.addByForm(asForm),
		} {
			got, _ := alice.must(http.StatusOK, "GET", "/api/v1/accounts/"+id, nil)["account"].(map[string]any)
			text, _ := json.Marshal([]any{got["kind"], got["algorithm"], got["digits"], got["period"]})
			if want := `["` + c.want.Kind + `","` + c.want.Algorithm + `",` + c.want.Digits + `,` + c.want.Period + `]`; string(text) != want {
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
