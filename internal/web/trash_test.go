package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/web"
)

func TestTheTrashByTheAPI(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	id := alice.add(map[string]any{"link": link})
	trash := func() []any {
		list, _ := alice.must(http.StatusOK, "GET", "/api/v1/trash", nil)["accounts"].([]any)
		return list
	}
	alice.must(http.StatusNotFound, "POST", "/api/v1/accounts/"+id+"/restore", nil)
	alice.must(http.StatusNoContent, "DELETE", "/api/v1/accounts/"+id, nil)
	deleted, _ := trash()[0].(map[string]any)
	at, err := time.Parse(time.RFC3339, deleted["deleted_at"].(string))
	gone, err2 := time.Parse(time.RFC3339, deleted["gone_at"].(string))
	if err != nil || err2 != nil || gone.Sub(at) < 29*24*time.Hour {
		t.Errorf("the trash has %v", deleted)
	}
	alice.must(http.StatusOK, "POST", "/api/v1/accounts/"+id+"/restore", nil)
	alice.must(http.StatusOK, "GET", "/api/v1/accounts/"+id, nil)
	purge := "/api/v1/trash/" + id + "/delete"
	right := map[string]any{"current": password}
	alice.must(http.StatusNotFound, "POST", purge, right) // it is not in the trash
	alice.must(http.StatusNoContent, "DELETE", "/api/v1/accounts/"+id, nil)
	if a := alice.ask("POST", purge, map[string]any{
		"current": "wrong",
	}); a.StatusCode != http.StatusUnprocessableEntity || fields(a) != "current" {
		t.Errorf("a wrong password: %s at %q", a.Status, fields(a))
	}
	alice.must(http.StatusNoContent, "POST", purge, right)
	if left := trash(); len(left) != 0 {
		t.Errorf("the trash has %v", left)
	}
}

func TestAKeyIsChangedByWhoKnowsThePassword(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 10, 0, time.UTC)
	s := newSite(t, func(s *web.Server) { s.Now = func() time.Time { return now } })
	alice := s.alice()
	id := alice.add(map[string]any{"link": link})
	path := "/api/v1/accounts/" + id + "/key"
	for _, c := range []struct {
		body   map[string]any
		fields string
	}{
		{map[string]any{"current": "wrong", "digits": 8}, "current"},
		{map[string]any{"digits": 8}, "current"},
		{map[string]any{"current": password, "digits": 99}, "digits"},
		{map[string]any{"current": password, "secret": "JBSW1", "period": 99999}, "secret period"},
		{map[string]any{"current": password, "kind": "sms"}, "kind"},
		{map[string]any{"current": password, "algorithm": "ROT13"}, "algorithm"},
	} {
		if a := alice.ask("PATCH", path, c.body); a.StatusCode != http.StatusUnprocessableEntity ||
			fields(a) != c.fields {
			t.Errorf("%v: %s at %q, want %q", c.body, a.Status, fields(a), c.fields)
		}
	}
	want, _, err := otp.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	check := func(body map[string]any) {
		t.Helper()
		body["current"] = password
		alice.must(http.StatusOK, "PATCH", path, body)
		codes, _ := alice.must(http.StatusOK, "GET", "/api/v1/codes", nil)["codes"].([]any)
		if code, _ := codes[0].(map[string]any); code["code"] != want.At(now).Value {
			t.Errorf("after %v: %v, want %s", body, code, want.At(now).Value)
		}
	}
	want.Digits = 8
	check(map[string]any{"digits": 8})
	want.Algorithm, want.Period = otp.SHA256, 60
	check(map[string]any{"algorithm": "sha-256", "period": 60})
	want.Secret = []byte("12345678901234567890")
	check(map[string]any{"secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"})
	want.Kind = otp.Steam
	check(map[string]any{"kind": "steam"})
	alice.must(http.StatusOK, "PATCH", path,
		map[string]any{"current": password, "kind": "hotp", "counter": 1, "digits": 0})
	// RFC 4226, appendix D.
	if got := alice.must(http.StatusOK, "POST", "/api/v1/accounts/"+id+"/hotp", nil); got["code"] != "287082" {
		t.Errorf("the counter at 1: %v", got)
	}
	// A form that was opened before the counter moved on does not set it back.
	alice.follow(alice.send("/accounts/"+id+"/key",
		url.Values{"kind": {"hotp"}, "counter": {"1"}, "counter-before": {"1"}, "current": {password}}), "/accounts/"+
		id)
	if got := alice.must(http.StatusOK, "POST", "/api/v1/accounts/"+id+"/hotp", nil); got["code"] != "359152" {
		t.Errorf("the counter at 2: %v", got)
	}
	warned := alice.must(http.StatusOK, "PATCH", path, map[string]any{"current": password, "secret": "JBSW"})
	if list, _ := warned["warnings"].([]any); len(list) != 1 {
		t.Errorf("a short secret: %v", warned)
	}
	if page := alice.ask("GET", "/accounts/"+id, nil); !strings.Contains(page.text, "very short") {
		t.Errorf("its page has no warning: %s", page.text)
	}
}

// TestBothNamesOfAnIssuerAreKept adds a link whose label and issuer differ, and renames it.
func TestBothNamesOfAnIssuerAreKept(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	id := alice.add(map[string]any{"link": "otpauth://totp/Contoso:bob?secret=JBSWY3DPEHPK3PXP&issuer=Microsoft"})
	expect := func(got map[string]any, issuer, label, account string) {
		t.Helper()
		got, _ = got["account"].(map[string]any)
		if text, _ := got["label_issuer"].(string); got["issuer"] != issuer || text != label ||
			got["account"] != account {
			t.Errorf("%v, want %s, %s, %s", got, issuer, label, account)
		}
	}
	path := "/api/v1/accounts/" + id
	expect(alice.must(http.StatusOK, "GET", path, nil), "Microsoft", "Contoso", "bob")
	for _, page := range []string{"/", "/accounts/" + id} {
		if got := alice.ask("GET", page, nil); !strings.Contains(got.text, "Microsoft (Contoso)") {
			t.Errorf("%s: %s", page, got.text)
		}
	}
	expect(alice.must(http.StatusOK, "PATCH", path, map[string]any{"account": "Microsoft:alice"}), "Microsoft",
		"Contoso", "alice")
	expect(alice.must(http.StatusOK, "PATCH", path, map[string]any{"issuer": "Contoso"}), "Contoso", "", "alice")
	expect(alice.must(http.StatusOK, "PATCH", path, map[string]any{"label_issuer": "Fabrikam"}), "Contoso", "Fabrikam",
		"alice")
	expect(alice.must(http.StatusOK, "PATCH", path, map[string]any{"label_issuer": ""}), "Contoso", "", "alice")
	id = alice.add(map[string]any{
		"secret": "GEZDGNBVGY3TQOJQ", "issuer": "Other Company",
		"account": "Other Company:michal",
	})
	expect(alice.must(http.StatusOK, "GET", "/api/v1/accounts/"+id, nil), "Other Company", "", "michal")
}
