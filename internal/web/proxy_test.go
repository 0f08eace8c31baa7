package web_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/web"
)

// TestTwoClientsBehindAProxyHaveTwoBuckets is about a proxy that appends to what its visitors send.
func TestTwoClientsBehindAProxyHaveTwoBuckets(t *testing.T) {
	t.Parallel()
	now := time.Now() // stands still, so that no attempt comes back
	s := newSite(t, func(s *web.Server) {
		s.Proxies = web.Proxies{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
		s.Now = func() time.Time { return now }
	})
	s.alice()
	// What takes no time to check: a name with a NUL in it has no password.
	guess := func(forged, address string) int {
		list := strings.TrimPrefix(forged+", "+address, ", ")
		return s.visitor().ask("POST", "/api/v1/session", map[string]any{"name": "x\x00", "password": "guess"},
			"X-Forwarded-For", list, "Forwarded", "for="+forged, "X-Real-IP", forged).StatusCode
	}
	const limit = 20
	for i := range limit {
		if got := guess("", "192.0.2.1"); got != http.StatusUnauthorized {
			t.Fatalf("attempt %d: %d", i+1, got)
		}
	}
	for _, forged := range []string{
		"", "198.51.100.1", "192.0.2.2", "127.0.0.9", "unknown", `"`,
		"198.51.100.1, 127.0.0.1",
	} {
		if got := guess(forged, "192.0.2.1"); got != http.StatusTooManyRequests {
			t.Errorf("one more with a forged %q: %d", forged, got)
		}
	}
	if got := guess("", "192.0.2.2"); got != http.StatusUnauthorized {
		t.Errorf("another client behind the same proxy: %d", got)
	}
	if got := guess("192.0.2.1", "192.0.2.2"); got != http.StatusUnauthorized {
		t.Errorf("a forged header brings the wait of somebody else: %d", got)
	}
	// What is recorded is the client.
	s.visitor().must(http.StatusOK, "POST", "/api/v1/session", map[string]any{"name": "Alice", "password": password},
		"X-Forwarded-For", "6.6.6.6, 192.0.2.7")
	if n := pgtest.Value[int](t, s.db.SuperConn,
		"SELECT count(*) FROM avtotpy.sessions WHERE address = '192.0.2.7'"); n != 1 {
		t.Errorf("%d sessions from the client, want 1", n)
	}
	if strings.Contains(s.log.String(), "AVTOTPY_TRUSTED_PROXIES") {
		t.Errorf("a trusted proxy causes a warning:\n%s", s.log.String())
	}
}

func TestAProxyThatIsNotTrustedCausesOneWarning(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor()
	v.ask("GET", "/login", nil)
	if strings.Contains(s.log.String(), "AVTOTPY_TRUSTED_PROXIES") {
		t.Errorf("without a header:\n%s", s.log.String())
	}
	for _, header := range []string{"X-Forwarded-For", "Forwarded", "X-Forwarded-For"} {
		v.ask("GET", "/login", nil, header, "192.0.2.1")
	}
	if n := strings.Count(s.log.String(), "AVTOTPY_TRUSTED_PROXIES"); n != 1 ||
		!strings.Contains(s.log.String(), "sender=127.0.0.1") {
		t.Errorf("%d warnings, want 1:\n%s", n, s.log.String())
	}
}

// TestAFormThatCameWithoutTLSCausesOneWarning, when a trusted proxy says so.
func TestAFormThatCameWithoutTLSCausesOneWarning(t *testing.T) {
	t.Parallel()
	const warning = "without TLS"
	s := newSite(t, func(s *web.Server) {
		s.Proxies = web.Proxies{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	})
	v := s.visitor()
	send := func(method, address string, protos ...string) {
		headers := []string{"X-Forwarded-For", address}
		for _, proto := range protos {
			headers = append(headers, "X-Forwarded-Proto", proto)
		}
		v.ask(method, "/api/v1/session", nil, headers...)
	}
	send("POST", "192.0.2.1", "https")
	send("POST", "192.0.2.1", "http, https")
	send("POST", "192.0.2.1")
	send("GET", "192.0.2.1", "http")
	send("POST", "127.0.0.1", "http")
	if strings.Contains(s.log.String(), warning) {
		t.Errorf("a warning without a reason:\n%s", s.log.String())
	}
	for range 2 {
		send("POST", "192.168.1.7", "HTTP")
	}
	if n := strings.Count(s.log.String(), warning); n != 1 {
		t.Errorf("%d warnings, want 1:\n%s", n, s.log.String())
	}
	direct := newSite(t)
	direct.visitor().ask("POST", "/api/v1/session", nil, "X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "http")
	if strings.Contains(direct.log.String(), warning) {
		t.Errorf("a proxy that is not trusted is believed:\n%s", direct.log.String())
	}
}
