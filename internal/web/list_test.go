package web_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// titles are the names of the accounts that the API lists.
func (v *visitor) titles(language string) string {
	v.t.Helper()
	list, _ := v.must(http.StatusOK, "GET", "/api/v1/accounts", nil, "Accept-Language", language)["accounts"].([]any)
	var titles []string
	for _, one := range list {
		a, _ := one.(map[string]any)
		titles = append(titles, strings.TrimSpace(fmt.Sprint(a["issuer"], " ", a["account"])))
	}
	return strings.Join(titles, ", ")
}

func TestAccountsAreSortedAsPeopleRead(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	for _, name := range []string{
		"Zürcher Bank", "user103", "Ärzteportal", "zoo", "user3", "apple", "Österreich",
		"Café", "cafe 2", "cafe 10",
	} {
		alice.add(map[string]any{"secret": "JBSWY3DPEHPK3PXP", "issuer": name})
	}
	alice.add(map[string]any{"secret": "JBSWY3DPEHPK3PXP", "issuer": "Apple", "account": "x12"})
	alice.add(map[string]any{"secret": "JBSWY3DPEHPK3PXP", "issuer": "Apple", "account": "x2"})
	alice.add(map[string]any{"secret": "JBSWY3DPEHPK3PXP", "account": "b is its account"})
	const (
		before  = "apple, Apple x2, Apple x12, "
		middle  = "b is its account, Café, cafe 2, cafe 10, "
		general = before + "Ärzteportal, " + middle + "Österreich, user3, user103, zoo, Zürcher Bank"
	)
	for language, want := range map[string]string{
		"": general, "de-CH,de;q=0.9": general, "en-US,en;q=0.5": general, "xx": general, "not a header;;;": general,
		strings.Repeat("de-", 100): general, strings.Repeat("a,", 5000): general,
		"sv-SE,sv;q=0.9,en;q=0.8": before + middle + "user3, user103, zoo, Zürcher Bank, Ärzteportal, Österreich",
	} {
		if got := alice.titles(language); got != want {
			t.Errorf("%.40q: got %s, want %s", language, got, want)
		}
		page := alice.ask("GET", "/", nil, "Accept-Language", language)
		var shown []string
		for _, m := range regexp.MustCompile(
			`card-title">([^<]*)</span> <span class="card-account">([^<]*)<`).FindAllStringSubmatch(page.text, -1) {
			shown = append(shown, strings.TrimSpace(m[1]+" "+m[2]))
		}
		if got := strings.Join(shown, ", "); got != want {
			t.Errorf("%.40q: the page has %s, want %s", language, got, want)
		}
	}
}

// pages are all that a user who is logged in can open, and those for logging in.
func (s *site) pages(alice *visitor, id string) map[string]answer {
	all := map[string]answer{"/login": s.visitor().ask("GET", "/login", nil)}
	for _, path := range []string{
		"/", "/accounts/new", "/accounts/" + id, "/accounts/" + id + "/delete", "/settings",
		"/nothing",
	} {
		all[path] = alice.ask("GET", path, nil)
	}
	return all
}

// TestEveryModuleOfAPageIsPreloaded follows the imports of each page's script as a browser does: none
// is found only after another has come.
func TestEveryModuleOfAPageIsPreloaded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	setup := s.visitor().ask("GET", "/setup", nil)
	alice := s.alice()
	pages := s.pages(alice, alice.add(map[string]any{"link": link}))
	pages["/setup"] = setup
	imported := regexp.MustCompile(`(?:from|import)\s*\(?\s*["']([^"']+)["']`)
	for page, a := range pages {
		var preloaded, needed []string
		for _, m := range regexp.MustCompile(`<link rel="modulepreload" href="([^"]*)">`).FindAllStringSubmatch(a.text,
			-1) {
			preloaded = append(preloaded, m[1])
		}
		scripts := regexp.MustCompile(`<script type="module" src="([^"]*)">`).FindAllStringSubmatch(a.text, -1)
		want := 2 // its own, and that of the session
		switch {
		case page == "/nothing":
			want = 0
		case page == "/login" || page == "/setup" || path.Base(page) == "delete":
			want = 1
		}
		if len(scripts) != want {
			t.Errorf("%s has %d scripts, want %d", page, len(scripts), want)
			continue
		}
		var follow func(string)
		follow = func(address string) {
			file := alice.ask("GET", address, nil)
			if file.StatusCode != http.StatusOK {
				t.Errorf("%s needs %s: %s", page, address, file.Status)
			}
			for _, m := range imported.FindAllStringSubmatch(file.text, -1) {
				if next := path.Join(path.Dir(address), m[1]); !slices.Contains(needed, next) {
					needed = append(needed, next)
					follow(next)
				}
			}
		}
		for _, script := range scripts {
			follow(script[1])
		}
		slices.Sort(preloaded)
		slices.Sort(needed)
		if !slices.Equal(preloaded, needed) {
			t.Errorf("%s preloads %q, and needs %q", page, preloaded, needed)
		}
	}
}

// TestOnlyWhatHoldsNoSecretBesideInputIsCompressed is about BREACH, and about what a first visit costs.
func TestOnlyWhatHoldsNoSecretBesideInputIsCompressed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	id := alice.add(map[string]any{"link": link})
	for page, plain := range s.pages(alice, id) {
		packed := alice.ask("GET", page, nil, "Accept-Encoding", "gzip")
		if got, want := packed.Header.Get("Content-Encoding"), map[bool]string{true: "gzip"}[page == "/"]; got != want {
			t.Errorf("%s comes as %q, want %q", page, got, want)
		}
		if page != "/" {
			continue
		}
		if got := unzip(t, packed.text); !strings.Contains(got, id) ||
			packed.Header.Get("Vary") != "Accept-Encoding" || len(packed.text) >= len(plain.text) {
			t.Errorf("%s: %d bytes of %d, %v: %s", page, len(packed.text), len(plain.text), packed.Header, got)
		}
		// It takes nothing from a request that another site could choose.
		if got := alice.ask("GET", "/?issuer=Reflected&q=Reflected#Reflected", nil, "Accept-Language", "Reflected",
			"Referer", "Reflected"); strings.Contains(got.text, "Reflected") {
			t.Errorf("the list repeats what is asked for: %s", got.text)
		}
	}
	style := regexp.MustCompile(`href="(/static/[0-9a-f]*/app.css)"`).FindStringSubmatch(alice.ask("GET", "/",
		nil).text)[1]
	plain := alice.ask("GET", style, nil)
	for header, compressed := range map[string]bool{
		"gzip": true, "br, GZIP;q=0.5": true, "deflate,gzip; q=1.0": true, "": false, "br": false, "gzip;q=0": false,
		"gzip;q=x": false, "xgzip": false, "*": false,
	} {
		a := alice.ask("GET", style, nil, "Accept-Encoding", header)
		text := a.text
		if compressed {
			text = unzip(t, text)
		}
		if got := a.Header.Get("Content-Encoding") == "gzip"; got != compressed || text != plain.text ||
			a.Header.Get("Content-Type") != "text/css; charset=utf-8" {
			t.Errorf("Accept-Encoding %q: compressed %v, want %v; %v", header, got, compressed, a.Header)
		}
	}
	if a := alice.ask("GET", style, nil, "Range", "bytes=0-0"+
		strings.Repeat(",1-1", 1000)); a.StatusCode != http.StatusOK || a.text != plain.text {
		t.Errorf("many ranges of a file: %s, %d bytes", a.Status, len(a.text))
	}
	if a := alice.ask("GET", style, nil, "Accept-Encoding", "gzip", "Range",
		"bytes=0-4"); a.StatusCode != http.StatusPartialContent || a.text != plain.text[:5] {
		t.Errorf("a part: %s %q", a.Status, a.text)
	}
	if a := alice.ask("HEAD", style, nil, "Accept-Encoding", "gzip"); a.StatusCode != http.StatusOK || a.text != "" ||
		a.ContentLength <= 0 {
		t.Errorf("HEAD: %s, %d bytes", a.Status, a.ContentLength)
	}
}

func unzip(t *testing.T, packed string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// version is that of the codes, which has to be that of the page.
func (v *visitor) version() string {
	v.t.Helper()
	version, _ := v.must(http.StatusOK, "GET", "/api/v1/codes", nil)["version"].(string)
	page := v.ask("GET", "/", nil)
	if shown := regexp.MustCompile(`data-version="([^"]*)"`).FindStringSubmatch(page.text); version == "" ||
		len(shown) != 2 || shown[1] != version {
		v.t.Errorf("the codes have the version %q, the page %q", version, shown)
	}
	return version
}

func TestCodesSayWhenSomethingElseChanged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	id := alice.add(map[string]any{"link": link})
	before := alice.version()
	if again := alice.version(); again != before {
		t.Errorf("the version changes by itself, from %q to %q", before, again)
	}
	changes := []struct {
		what string
		do   func()
	}{
		{"an addition", func() { alice.add(map[string]any{"secret": "JBSWY3DPEHPK3PXP", "kind": "hotp"}) }},
		{"a rename", func() {
			alice.must(http.StatusOK, "PATCH", "/api/v1/accounts/"+id,
				map[string]any{"issuer": "Other"})
		}},
		{"a note", func() {
			alice.must(http.StatusOK, "PATCH", "/api/v1/accounts/"+id,
				map[string]any{"note": "Other"})
		}},
		{"a replacement", func() {
			alice.must(http.StatusNoContent, "DELETE", "/api/v1/accounts/"+id, nil)
			id = alice.add(map[string]any{"link": link})
		}},
	}
	seen := []string{before}
	for _, c := range changes {
		c.do()
		if now := alice.version(); slices.Contains(seen, now) {
			t.Errorf("after %s the version is %q, of %q", c.what, now, seen)
		} else {
			seen = append(seen, now)
		}
	}
}

// TestTheCodeOfACounterStays is about a page without scripts, and about one that is loaded again before
// the code was typed.
func TestTheCodeOfACounterStays(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	// RFC 4226, appendix D.
	id := alice.add(map[string]any{"kind": "hotp", "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"})
	form := `<form class="card-advance" method="post" action="/accounts/` + id + `/next">`
	if page := alice.ask("GET", "/", nil); !strings.Contains(page.text, "••••••") ||
		!strings.Contains(page.text, form) {
		t.Errorf("before the first code: %s", page.text)
	}
	for _, code := range []string{"7 5 5 2 2 4", "2 8 7 0 8 2", "3 5 9 1 5 2"} {
		page := alice.follow(alice.send("/accounts/"+id+"/next", nil), "/#account-"+id)
		again := alice.ask("GET", "/", nil)
		detail := alice.ask("GET", "/accounts/"+id, nil)
		for _, a := range []answer{page, again, detail} {
			if !strings.Contains(a.text, `aria-label="`+code+`, used"`) || !strings.Contains(a.text, form) {
				t.Errorf("the code %s is not on %s", code, a.text)
			}
		}
	}
	if got := pgtest.Value[int](t, s.db.SuperConn, "SELECT counter FROM avtotpy.hotp_counters"); got != 3 {
		t.Errorf("the counter is %d after three codes", got)
	}
	if a := s.visitor().send("/accounts/"+id+"/next", url.Values{}); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("by a stranger: %s", a.Status)
	}
}
