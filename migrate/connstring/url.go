package connstring

import (
	"fmt"
	"net/netip"
	"strings"
)

// parseURL reads what follows postgres://. It splits like libpq's conninfo_uri_parse_options, after it has made sure
// that there is one way to split.
func parseURL(rest string) (settings, error) {
	if strings.ContainsAny(rest, blanks) {
		return nil, &Error{
			Part: "the URL", Problem: "holds white space, or ends with it",
			Next: "write %20 for a space in the user, the password or a value, and nothing at the end",
		}
	}
	if strings.Contains(rest, "#") {
		return nil, &Error{
			Part: "the URL", Problem: "holds # as it is",
			Next: "write %23 for # in the user, the password or a value",
		}
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	if strings.Contains(tail, "@") {
		return nil, &Error{
			Part:    "the user or the password",
			Problem: "holds / or ? as it is, or what follows the host holds @", Next: "write " + escapes,
		}
	}
	userinfo, hosts, given := strings.Cut(authority, "@")
	if strings.Contains(hosts, "@") {
		return nil, &Error{Part: "the user or the password", Problem: "holds @ as it is", Next: "write " + escapes}
	}
	if !given {
		userinfo, hosts = "", authority
	}
	s := settings{}
	if err := s.addUser(userinfo); err != nil {
		return nil, err
	}
	if err := s.addHosts(hosts, given); err != nil {
		return nil, err
	}
	path, query, asks := strings.Cut(tail, "?")
	if err := s.addPath(path); err != nil {
		return nil, err
	}
	if !asks {
		return s, nil
	}
	return s, s.addQuery(query)
}

func (s settings) addUser(userinfo string) error {
	user, password, _ := strings.Cut(userinfo, ":")
	for _, part := range []struct{ name, raw string }{{"user", user}, {"password", password}} {
		value, err := decode(part.raw, "the "+part.name)
		if err != nil {
			return err
		}
		if value != "" {
			s[part.name] = setting{value, "the " + part.name}
		}
	}
	if password == "" && strings.Contains(s["user"].value, ":") {
		return &Error{
			Part: "the user", Problem: "holds %3A, and no password follows",
			Next: "write the name of the role alone, and : as it is between it and the password",
		}
	}
	return nil
}

// addHosts reads HOST:PORT,HOST:PORT. A password of which the @ was forgotten looks like a port.
func (s settings) addHosts(list string, hasUser bool) error {
	if list == "" {
		return nil
	}
	var hosts, ports []string
	anyPort := false
	for i, element := range strings.Split(list, ",") {
		host, port, err := splitHost(element, ordinal("host", i), hasUser)
		if err != nil {
			return err
		}
		hosts, ports = append(hosts, host), append(ports, port)
		anyPort = anyPort || port != ""
	}
	if joined := strings.Join(hosts, ","); joined != "" {
		s["host"] = setting{joined, "the host"}
	}
	if anyPort || len(ports) > 1 {
		s["port"] = setting{strings.Join(ports, ","), "the port"}
	}
	return nil
}

func splitHost(element, part string, hasUser bool) (host, port string, err error) {
	rest := ""
	if inside, ok := strings.CutPrefix(element, "["); ok {
		host, rest, ok = strings.Cut(inside, "]")
		if !ok || rest != "" && rest[0] != ':' {
			return "", "", &Error{
				Part: part, Problem: "has [ without its ], or something between ] and the port",
				Next: "write [ADDRESS]:PORT for IPv6",
			}
		}
		if host, err = decode(host, part); err != nil {
			return "", "", err
		}
		if address, err := netip.ParseAddr(host); err != nil || !address.Is6() {
			return "", "", &Error{
				Part: part, Problem: "has something in [ ] that is not an IPv6 address",
				Next: "write the name of a host without [ ]",
			}
		}
		port = strings.TrimPrefix(rest, ":")
	} else {
		host, port, _ = strings.Cut(element, ":")
		if _, err := netip.ParseAddr(element); err == nil && strings.Contains(element, ":") {
			return "", "", &Error{Part: part, Problem: "is an IPv6 address without [ ]", Next: "write [ADDRESS]:PORT"}
		}
		if host, err = decode(host, part); err != nil {
			return "", "", err
		}
		if strings.Contains(host, ",") {
			return "", "", &Error{Part: part, Problem: "holds %2C", Next: "write , between hosts as it is"}
		}
	}
	if expected := checkPort(port); expected != "" {
		problem := "has a port that cannot be used"
		next := "write " + expected + ", and [ADDRESS]:PORT for IPv6"
		if !hasUser {
			problem += ", unless it is a password, and @ and the host are missing behind it"
			next = useURL
		}
		return "", "", &Error{Part: part, Problem: problem, Next: next}
	}
	return host, port, nil
}

func (s settings) addPath(path string) error {
	raw := strings.TrimPrefix(path, "/")
	if strings.Contains(raw, "/") {
		return &Error{
			Part: "what follows the host", Problem: "holds a second /",
			Next: "write one / and the name of the database, with %2F for / in it or in the password",
		}
	}
	database, err := decode(raw, "the database")
	if err != nil {
		return err
	}
	if database != "" {
		s["dbname"] = setting{database, "the database"}
	}
	return nil
}

func (s settings) addQuery(query string) error {
	if strings.Contains(query, "?") {
		return &Error{
			Part: "what follows ?", Problem: "holds a second ?",
			Next: "write & between parameters, and %3F for ? in a value or in the password",
		}
	}
	for i, pair := range strings.Split(query, "&") {
		part := fmt.Sprintf("parameter no. %d", i+1)
		rawName, rawValue, ok := strings.Cut(pair, "=")
		if !ok || strings.Contains(rawValue, "=") {
			return &Error{
				Part: part, Problem: "is not NAME=VALUE",
				Next: "write NAME=VALUE&NAME=VALUE, with %3D for = and %26 for & in a value",
			}
		}
		name, err := decode(rawName, part)
		if err != nil {
			return err
		}
		value, err := decode(rawValue, part)
		if err != nil {
			return err
		}
		if name == "ssl" && value == "true" { // libpq's alias, of URLs alone
			name, value = "sslmode", "require"
		}
		if err := s.add(name, value, part); err != nil {
			return err
		}
	}
	return nil
}

// decode takes percent-encoding off.
func decode(raw, part string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] != '%' {
			b.WriteByte(raw[i])
			continue
		}
		high, low := -1, -1
		if i+2 < len(raw) {
			high, low = hex(raw[i+1]), hex(raw[i+2])
		}
		if high < 0 || low < 0 {
			return "", &Error{
				Part: part, Problem: "holds % that is not followed by two hexadecimal digits",
				Next: "write " + escapes,
			}
		}
		c := byte(high<<4 | low) //nolint:gosec // two hexadecimal digits
		if c == 0 {
			return "", &Error{Part: part, Problem: "holds %00", Next: "leave it out; PostgreSQL has no such character"}
		}
		b.WriteByte(c)
		i += 2
	}
	return b.String(), nil
}

func hex(c byte) int {
	return strings.IndexByte("0123456789abcdef", c|0x20)
}

func ordinal(what string, i int) string { return fmt.Sprintf("%s no. %d", what, i+1) }
