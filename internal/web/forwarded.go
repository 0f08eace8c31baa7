package web

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are those whose word is taken for where a request comes from; the zero value trusts none.
type Proxies struct {
	Networks []netip.Prefix
	Unix     bool // whether requests over a Unix socket come from a proxy
	// Header is the one that they write, "Forwarded" or, also when it is empty, "X-Forwarded-For". The other one is
	// never read: proxies pass on what a visitor sends under a name that they do not write themselves.
	Header string
}

// The headers in which proxies write where a request came from.
const (
	xForwardedFor = "X-Forwarded-For"
	forwardedFor  = "Forwarded" // RFC 7239
)

// A route finds out where requests come from.
type route struct{ proxies Proxies }

// address returns where a request comes from: the last address that is not a trusted proxy's. Each proxy appends the
// address that it saw, so what stands to the left of that one is for the visitor to choose. It is the zero Addr for a
// visitor over a Unix socket. ignored means that a header says something, and comes from an address that is not
// trusted.
func (r *route) address(peer string, header http.Header) (address netip.Addr, ignored bool) {
	address = addressOf(peer)
	if !r.trusts(address) {
		return address, header[xForwardedFor] != nil || header[forwardedFor] != nil
	}
	hops := r.hops(header)
	for _, hop := range slices.Backward(hops) {
		if !hop.IsValid() { // a proxy does not know, or does not say
			return address, false
		}
		address = hop
		if !r.trusts(hop) {
			return address, false
		}
	}
	return address, false
}

// addressOf returns the address of the other end of a connection; the zero Addr for a Unix socket.
func addressOf(peer string) netip.Addr {
	at, _ := netip.ParseAddrPort(peer)
	return plain(at.Addr())
}

func (r *route) trustsPeer(peer string) bool { return r.trusts(addressOf(peer)) }

func (r *route) trusts(address netip.Addr) bool {
	if !address.IsValid() {
		return r.proxies.Unix
	}
	return slices.ContainsFunc(r.proxies.Networks, func(network netip.Prefix) bool { return network.Contains(address) })
}

// saysPlain reports a request of which a trusted proxy says that it came without TLS.
func (r *route) saysPlain(peer string, header http.Header) bool {
	says := header.Values("X-Forwarded-Proto")
	if len(says) == 0 {
		return false
	}
	all := strings.Split(says[len(says)-1], ",")
	return strings.EqualFold(strings.TrimSpace(all[len(all)-1]), "http") && r.trustsPeer(peer)
}

// hops are the addresses that proxies saw, the last one last; the zero Addr stands for one that cannot be read.
func (r *route) hops(header http.Header) []netip.Addr {
	if r.proxies.Header == forwardedFor {
		return forwardedHops(header[forwardedFor])
	}
	return xForwardedForHops(header[xForwardedFor])
}

// misses reports a request that a proxy forwarded with the other header alone: the setting names the wrong one, or
// none, or the proxy dropped its own because the visitor's Connection header names it.
func (r *route) misses(peer string, header http.Header) bool {
	own, other := xForwardedFor, forwardedFor
	if r.proxies.Header == forwardedFor {
		own, other = other, own
	}
	return header[own] == nil && header[other] != nil && r.trustsPeer(peer)
}

// xForwardedForHops reads addresses divided by commas, in one header line or several. Some proxies write ports.
func xForwardedForHops(lines []string) []netip.Addr {
	var hops []netip.Addr
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ",") {
			if element = strings.TrimSpace(element); element != "" {
				hops = append(hops, node(element))
			}
		}
	}
	return hops
}

// forwardedHops reads the "for" of each element (RFC 7239, section 4). A line that breaks the rules stands for an
// unknown hop: what a visitor left open, such as a quote, could swallow what a proxy appended.
func forwardedHops(lines []string) []netip.Addr {
	var hops []netip.Addr
	for _, line := range lines {
		found, ok := forwardedLine(line)
		if !ok {
			found = []netip.Addr{{}}
		}
		hops = append(hops, found...)
	}
	return hops
}

func forwardedLine(line string) (hops []netip.Addr, ok bool) {
	for rest := line; ; rest = rest[1:] {
		var pairs map[string]string
		if pairs, rest, ok = forwardedElement(rest); !ok {
			return nil, false
		}
		if len(pairs) > 0 { // an empty element means nothing (RFC 9110, section 5.6.1)
			hop := netip.Addr{}
			if value, ok := pairs["for"]; ok {
				hop = node(value)
			}
			hops = append(hops, hop)
		}
		if rest == "" {
			return hops, true
		}
	}
}

// forwardedElement reads the pairs of one element; the rest begins with a comma, or is empty.
func forwardedElement(text string) (pairs map[string]string, rest string, ok bool) {
	pairs = map[string]string{}
	rest = strings.TrimLeft(text, " \t")
	for rest != "" && rest[0] != ',' {
		name, value, after, ok := forwardedPair(rest)
		if _, twice := pairs[name]; !ok || twice {
			return nil, "", false
		}
		pairs[name] = value
		rest = strings.TrimLeft(after, " \t")
		switch {
		case strings.HasPrefix(rest, ";"):
			rest = strings.TrimLeft(rest[1:], " \t")
		case rest != "" && rest[0] != ',':
			return nil, "", false
		}
	}
	return pairs, rest, true
}

// forwardedPair reads token=value or token="value".
func forwardedPair(text string) (name, value, rest string, ok bool) {
	name, rest, ok = strings.Cut(text, "=")
	if !ok || name == "" || strings.ContainsFunc(name, notInToken) {
		return "", "", "", false
	}
	name = strings.ToLower(name)
	if !strings.HasPrefix(rest, `"`) {
		end := strings.IndexFunc(rest, func(r rune) bool { return strings.ContainsRune(";, \t", r) })
		if end < 0 {
			end = len(rest)
		}
		return name, rest[:end], rest[end:], !strings.Contains(rest[:end], `"`)
	}
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '"':
			return name, b.String(), rest[i+1:], true
		case '\\':
			if i++; i == len(rest) {
				return "", "", "", false
			}
		}
		b.WriteByte(rest[i])
	}
	return "", "", "", false
}

func notInToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// node reads an address, with or without a port. It is the zero Addr for "unknown", for a name that hides an address,
// such as _x, and for what is none of these.
func node(text string) netip.Addr {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return plain(at.Addr())
	}
	if inside, ok := strings.CutPrefix(text, "["); ok {
		host, port, ok := strings.Cut(inside, "]")
		if !ok || !strings.Contains(host, ":") || port != "" && !hidden(strings.TrimPrefix(port, ":")) {
			return netip.Addr{}
		}
		text = host
	} else if host, port, ok := strings.Cut(text, ":"); ok && hidden(port) {
		text = host
	}
	address, _ := netip.ParseAddr(text)
	return plain(address)
}

// hidden reports a port that a proxy does not say (RFC 7239, section 6.3).
func hidden(port string) bool { return strings.HasPrefix(port, "_") }

// plain writes an address in one way: two ways to write one must not be two visitors.
func plain(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }
