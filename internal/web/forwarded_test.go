package web

import (
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestWhereARequestComesFrom(t *testing.T) {
	t.Parallel()
	const proxy, other, stranger = "10.0.0.1:5000", "[fd00::1]:5000", "203.0.113.9:5000"
	x, f := func(lines ...string) http.Header { return http.Header{"X-Forwarded-For": lines} },
		func(lines ...string) http.Header { return http.Header{"Forwarded": lines} }
	for _, c := range []struct {
		name, peer string
		header     http.Header
		want       string
		ignored    bool
	}{
		{"no proxy", stranger, nil, "203.0.113.9", false},
		{"a visitor who claims to be a proxy", stranger, x("192.0.2.1"), "203.0.113.9", true},
		{"the same with the other header", stranger, f("for=192.0.2.1"), "203.0.113.9", true},
		{"a proxy that says nothing", proxy, nil, "10.0.0.1", false},
		{"one proxy", proxy, x("192.0.2.1"), "192.0.2.1", false},
		{"a mapped peer", "[::ffff:10.0.0.1]:5000", x("192.0.2.1"), "192.0.2.1", false},
		{"a peer with a zone", "[fd00::1%eth0]:5000", x("192.0.2.1"), "192.0.2.1", false},
		{"forged before it", proxy, x("198.51.100.1, 192.0.2.1"), "192.0.2.1", false},
		{"forged in a line of its own", proxy, x("198.51.100.1", "192.0.2.1"), "192.0.2.1", false},
		{"two proxies", proxy, x("198.51.100.1, 192.0.2.1, 10.9.9.9"), "192.0.2.1", false},
		{"forged as a proxy", proxy, x("10.1.1.1, 192.0.2.1"), "192.0.2.1", false},
		{"a visitor in the proxies' network", proxy, x("10.1.1.1"), "10.1.1.1", false},
		{"empty elements", proxy, x(" , 192.0.2.1,, ", ""), "192.0.2.1", false},
		{"with a port", proxy, x("192.0.2.1:1234"), "192.0.2.1", false},
		{"IPv6", proxy, x("2001:db8::1"), "2001:db8::1", false},
		{"IPv6 in brackets", proxy, x("[2001:db8::1]"), "2001:db8::1", false},
		{"IPv6 with a port", proxy, x("[2001:db8::1]:1234"), "2001:db8::1", false},
		{"mapped", proxy, x("::ffff:192.0.2.1"), "192.0.2.1", false},
		{"a zone", proxy, x("fe80::1%eth0"), "fe80::1", false},
		{"unknown", proxy, x("192.0.2.1, unknown"), "10.0.0.1", false},
		{"no address", proxy, x("192.0.2.1, proxy.example"), "10.0.0.1", false},
		{"no address before one", proxy, x("junk, 192.0.2.1"), "192.0.2.1", false},
		{"a Unix socket", "@", x("192.0.2.1"), "192.0.2.1", false},
		{"a Unix socket, and nothing said", "", nil, "invalid IP", false},

		{"RFC 7239", other, f("for=192.0.2.1"), "192.0.2.1", false},
		{
			"with all of it", other, f(`For=192.0.2.1;proto=https;by=203.0.113.43; host="otp.example.com"`),
			"192.0.2.1", false,
		},
		{"for comes last", other, f(`proto=https;host=x;FOR="192.0.2.1:80"`), "192.0.2.1", false},
		{
			"several elements and lines", other,
			f(`for=198.51.100.1, for=192.0.2.1`, ` for="[fd00::7]:1";proto=http , `),
			"192.0.2.1", false,
		},
		{"IPv6 quoted", other, f(`for="[2001:db8:cafe::17]:4711"`), "2001:db8:cafe::17", false},
		{"a hidden port", other, f(`for="[2001:db8::1]:_port"`), "2001:db8::1", false},
		{"a hidden port of IPv4", other, f(`for="192.0.2.1:_p"`), "192.0.2.1", false},
		{"escaped", other, f(`for="192\.0.2.1"`), "192.0.2.1", false},
		{"unknown there", other, f("for=192.0.2.1, for=unknown"), "fd00::1", false},
		{"hidden", other, f("for=_gazonk"), "fd00::1", false},
		{"hidden before one", other, f("for=_gazonk, for=192.0.2.1"), "192.0.2.1", false},
		{"an element without for", other, f("for=192.0.2.1, proto=https"), "fd00::1", false},
		{"a comma in a quoted host", other, f(`for=192.0.2.1;host="x,for=198.51.100.1"`), "192.0.2.1", false},
		{"a quote left open", other, f(`for="198.51.100.1, for=192.0.2.1`), "fd00::1", false},
		{"a quote that swallows", other, f(`x=", for=192.0.2.1;host="otp.example.com"`), "fd00::1", false},
		{"a quote left open in a line of its own", other, f(`for="198.51.100.1`, "for=192.0.2.1"), "192.0.2.1", false},
		{"twice in one element", other, f("for=192.0.2.1;for=198.51.100.1"), "fd00::1", false},
		{"an escape at the end", other, f(`for="192.0.2.1\`), "fd00::1", false},

		{"both, and they differ", proxy, http.Header{
			"X-Forwarded-For": {"192.0.2.1"},
			"Forwarded":       {"for=198.51.100.1"},
		}, "192.0.2.1", false},
		{"headers that nobody reads", proxy, http.Header{
			"X-Real-Ip": {"198.51.100.1"}, "True-Client-Ip": {"198.51.100.1"}, "X-Forwarded-Host": {"x"},
			"X-Forwarded-For": {"192.0.2.1"},
		}, "192.0.2.1", false},
	} {
		r := &route{Proxies{Networks: []netip.Prefix{
			netip.MustParsePrefix("10.0.0.0/8"),
			netip.MustParsePrefix("fd00::/8"),
		}, Unix: true}}
		if c.header["X-Forwarded-For"] == nil {
			r.proxies.Header = "Forwarded"
		}
		got, ignored := r.address(c.peer, c.header)
		if got.String() != c.want || ignored != c.ignored {
			t.Errorf("%s: %v, ignored %v; want %s, %v", c.name, got, ignored, c.want, c.ignored)
		}
	}
	if got, ignored := new(route).address("", x("192.0.2.1")); got.IsValid() || !ignored {
		t.Errorf("a Unix socket that is not trusted: %v, ignored %v", got, ignored)
	}
}

// TestOneHeaderIsBelieved is about visitors who send the header that their proxy does not write, alone or next to its
// own, in one request or in many: what they send changes neither this request's address nor a later one's.
func TestOneHeaderIsBelieved(t *testing.T) {
	t.Parallel()
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct{ setting, own, proxys, other, forged string }{
		{"", "X-Forwarded-For", "192.0.2.1", "Forwarded", "for=192.0.2.66"},
		{"X-Forwarded-For", "X-Forwarded-For", "192.0.2.1", "Forwarded", "for=192.0.2.66"},
		{"Forwarded", "Forwarded", "for=192.0.2.1", "X-Forwarded-For", "192.0.2.66"},
	} {
		r := &route{Proxies{Networks: networks, Header: c.setting}}
		for range 2 { // what comes in between is not remembered
			for _, request := range []struct {
				header http.Header
				want   string
				misses bool
			}{
				{http.Header{c.own: {c.proxys}}, "192.0.2.1", false},
				{http.Header{c.own: {c.proxys}, c.other: {c.forged}}, "192.0.2.1", false},
				{http.Header{c.other: {c.forged}}, "10.0.0.1", true},
				{http.Header{}, "10.0.0.1", false},
			} {
				got, ignored := r.address("10.0.0.1:1", request.header)
				if misses := r.misses("10.0.0.1:1", request.header); got.String() != request.want || ignored ||
					misses != request.misses {
					t.Errorf("%q, %v: %v, ignored %t, misses %t; want %s, misses %t", c.setting, request.header, got,
						ignored, misses, request.want, request.misses)
				}
			}
		}
		if r.misses("203.0.113.9:1", http.Header{c.other: {c.forged}}) {
			t.Errorf("%q: a stranger's header counts as a proxy's", c.setting)
		}
	}
}

// TestForgedHeadersChangeNothing puts anything before what a proxy appends.
func TestForgedHeadersChangeNothing(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 39))
	pieces := []string{
		"10.0.0.9", "192.0.2.7", "[2001:db8::1]:80", `"`, ";", ",", "for=", "for=192.0.2.66", `\`,
		"unknown", " ", "\t", "=", "_x", "::1", "by=", "é", "\x00",
	}
	for range 20_000 {
		var forged strings.Builder
		for range random.IntN(12) {
			forged.WriteString(pieces[random.IntN(len(pieces))])
		}
		networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		r, f := &route{Proxies{Networks: networks}}, &route{Proxies{Networks: networks, Header: "Forwarded"}}
		header := http.Header{"X-Forwarded-For": {forged.String() + ", 203.0.113.5"}, "Forwarded": {forged.String()}}
		if got, _ := r.address("10.0.0.1:1", header); got.String() != "203.0.113.5" {
			t.Fatalf("X-Forwarded-For %q: %v", header["X-Forwarded-For"], got)
		}
		for _, appended := range []string{"for=203.0.113.5", `for="203.0.113.5:9";proto=https;host="x,y;z"`} {
			// The proxy's own address where the line is broken; never one that the visitor chose.
			inLine := http.Header{"Forwarded": {forged.String() + ", " + appended}}
			if got, _ := f.address("10.0.0.1:1", inLine); got.String() != "203.0.113.5" && got.String() != "10.0.0.1" {
				t.Fatalf("Forwarded %q: %v", inLine["Forwarded"], got)
			}
			itsOwn := http.Header{"Forwarded": {forged.String(), appended}}
			if got, _ := f.address("10.0.0.1:1", itsOwn); got.String() != "203.0.113.5" {
				t.Fatalf("Forwarded %q: %v", itsOwn["Forwarded"], got)
			}
		}
	}
}

func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{
		`for=192.0.2.1`, `for="[2001:db8::1]:80";proto=https, for=unknown`, `for="_x\"`,
		",;=", `a="b`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, forged string) {
		r := &route{Proxies{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
		if got, _ := r.address("203.0.113.9:1",
			http.Header{"Forwarded": {forged}, "X-Forwarded-For": {forged}}); got.String() != "203.0.113.9" {
			t.Errorf("a stranger is %v", got)
		}
		if got, _ := r.address("10.0.0.1:1",
			http.Header{"X-Forwarded-For": {forged, "203.0.113.5"}}); got.String() != "203.0.113.5" {
			t.Errorf("behind a proxy: %v", got)
		}
		r.proxies.Header = "Forwarded"
		if got, _ := r.address("10.0.0.1:1",
			http.Header{"Forwarded": {forged + ",for=203.0.113.5"}}); got.String() != "203.0.113.5" &&
			got.String() != "10.0.0.1" {
			t.Errorf("behind a proxy that appends to Forwarded: %v", got)
		}
	})
}
