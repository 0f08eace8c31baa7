package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/avtotpy/avtotpy/internal/auth"
)

func TestBodiesWithMorePartsThanAnythingTakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		json, want bool
	}{
		{"nothing", "", true, false},
		{
			"what the API takes",
			`{"link":"otpauth://totp/x:y?secret=A&issuer=x","note":"a, b: {[c]}, \"d\":\\"}`, true, false,
		},
		{"many names", `{` + strings.Repeat(`"0":0,`, 100) + `"1":1}`, true, true},
		{"the same name", `{` + strings.Repeat(`"":0,`, 100) + `"":1}`, true, true},
		{"many values", `[` + strings.Repeat(`0,`, 100) + `0]`, true, true},
		{"many brackets side by side", `[` + strings.Repeat(`[]`, 100) + `]`, true, true},
		{"deep", strings.Repeat(`[`, 9), true, true},
		{"deep, with names", strings.Repeat(`{"a":`, 9), true, true},
		{"a long name", `{"` + strings.Repeat("x", 65) + `":1}`, true, true},
		{"a long name, spelt out", `{"` + strings.Repeat(`\u0061`, 20) + `" : 1}`, true, true},
		{"a long value", `{"x":"` + strings.Repeat("x", 5000) + `"}`, true, false},
		{"separators in a text", `{"x":"` + strings.Repeat(`{[,:\"`, 500) + `"}`, true, false},
		{"a text without end", `{"x` + strings.Repeat(`,`, 500), true, false},
		{"ends within an escape", `{"x\`, true, false},
		{"a form", "a=1&b=2&c=", false, false},
		{"a form with many fields", strings.Repeat("a&", 100), false, true},
	} {
		if got := tooComplex([]byte(c.body), fewParts, c.json); got != c.want {
			t.Errorf("%s: too complex is %t, want %t", c.name, got, c.want)
		}
	}
}

func FuzzPartsAreCounted(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"\""}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if !tooComplex(body, 4, true) && strings.Count(string(body), "[") > 4 && !strings.Contains(string(body), `"`) {
			t.Errorf("%q passes", body)
		}
	})
}

// TestNoNetworkTakesAllThatOthersNeed asks for all that one network gets, and then for others.
func TestNoNetworkTakesAllThatOthersNeed(t *testing.T) {
	t.Parallel()
	b := newBudget()
	const one = 1 << 20
	taken := 0
	network := func(text string) netip.Prefix { return auth.Customer(netip.MustParseAddr(text)) }
	for b.take(network("192.0.2.1"), one) {
		taken++
	}
	const ofOne = budgetOfAll / budgetShare
	if taken != ofOne/one {
		t.Errorf("one network took %d times 1 MiB", taken)
	}
	b.give(network("192.0.2.1"), one)
	if !b.take(network("192.0.2.1"), one) {
		t.Error("what was given back is not there")
	}
	if b.take(network("192.0.2.1"), 1) || !b.take(network("192.0.2.2"), one) {
		t.Error("another network is kept out, or the same one is not")
	}
	left := (budgetOfAll - b.taken) / budgetShare
	if !b.take(network("2001:db8:1:1::1"), left) || b.take(network("2001:db8:1:ffff::1"), 1) {
		t.Error("a network of IPv6 is not one")
	}
	b = newBudget()
	for i := range 20 { // networks that take all they can
		for b.take(network(fmt.Sprintf("192.0.2.%d", i+1)), limitOf(mostTyped).bytes) {
		}
	}
	if !b.take(network("192.0.2.99"), limitOf("POST /login").bytes) || b.taken > budgetOfAll {
		t.Errorf("20 networks keep the others out, with %d bytes in all", b.taken)
	}
}

type fakeConn struct {
	net.Conn
	address string
	closed  bool
}

func (c *fakeConn) RemoteAddr() net.Addr { return c }
func (c *fakeConn) Network() string      { return "tcp" }
func (c *fakeConn) String() string       { return c.address }
func (c *fakeConn) Close() error         { c.closed = true; return nil }

// TestTooManyConnectionsCostTheNetworkThatHasThem opens connections from a network that has many, and from one that
// has a few: the latter keeps all.
func TestTooManyConnectionsCostTheNetworkThatHasThem(t *testing.T) {
	t.Parallel()
	c := Connections{Most: 10}
	open := func(address string, states ...http.ConnState) *fakeConn {
		conn := &fakeConn{address: address}
		for _, state := range append([]http.ConnState{http.StateNew}, states...) {
			c.Changed(conn, state)
		}
		return conn
	}
	var few, many []*fakeConn
	few = append(few, open("192.0.2.1:1", http.StateActive), open("192.0.2.1:2", http.StateActive, http.StateIdle))
	for i := range 8 {
		state := http.StateActive // as if their bodies were slow
		if i == 3 {
			state = http.StateIdle
		}
		many = append(many, open("198.51.100.7:1", http.StateActive, state))
	}
	open("198.51.100.7:9")
	if !many[3].closed {
		t.Error("an idle connection of the network with the most is kept")
	}
	few = append(few, open("192.0.2.9:1"))
	closed := 0
	for _, conn := range many {
		if conn.closed {
			closed++
		}
	}
	if closed != 1 || len(c.all) != 10 { // the one without headers is gone
		t.Errorf("%d of the many are closed, %d are open in all", closed, len(c.all))
	}
	few = append(few, open("192.0.2.10:1"))
	if !many[0].closed {
		t.Error("the oldest busy connection of the network with the most is kept")
	}
	for _, conn := range few {
		if conn.closed {
			t.Errorf("%s lost a connection", conn.address)
		}
	}
	c.Changed(few[0], http.StateClosed)
	if len(c.all) != 9 {
		t.Errorf("%d connections are known after one was closed", len(c.all))
	}
}

func TestSharesAreForgottenWhenTheyAreFull(t *testing.T) {
	t.Parallel()
	s := newShares()
	busy, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.join(busy); !ok {
		t.Fatal("refused")
	}
	for range sharesAtMost {
		s.each[uuid.New()] = &share{changes: rate.NewLimiter(changesASecond, changesAtOnce)}
	}
	if _, ok := s.join(uuid.New()); !ok || len(s.each) != 2 || s.each[busy] == nil {
		t.Errorf("%d shares are kept", len(s.each))
	}
	for range turnsWaiting {
		s.join(busy)
	}
	if _, ok := s.join(busy); ok {
		t.Error("a user has any number of requests waiting")
	}
}
