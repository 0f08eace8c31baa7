package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// checkConn says what is wrong with a connection string in the two forms of
// https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING, as pgx reads them. It repeats nothing
// of the string but the names of known settings: a misplaced character makes a part of the password look like something else.
func checkConn(conn string) error {
	if strings.Contains(conn, "\x00") {
		return errors.New("the connection string is not plain text")
	}
	var settings map[string]string
	var err error
	if rest, ok := cutPrefixes(conn, "postgres://", "postgresql://"); ok {
		settings, err = readURL(rest)
	} else {
		settings, err = readPairs(conn)
	}
	if err != nil {
		return err
	}
	return checkSettings(settings)
}

func cutPrefixes(s string, prefixes ...string) (string, bool) {
	for _, prefix := range prefixes {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			return rest, true
		}
	}
	return s, false
}

// readURL reads USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?NAME=VALUE&NAME=VALUE. The first @ ends the password,
// and the first / the hosts.
func readURL(rest string) (map[string]string, error) {
	const escapes = "in the password write %2F for /, %3A for :, %40 for @ and %25 for %"
	authority, path, _ := strings.Cut(rest, "/")
	user, hosts, found := strings.Cut(authority, "@")
	if !found {
		user, hosts = "", authority
		if database, _, _ := strings.Cut(path, "?"); strings.Contains(database, "@") {
			return nil, errors.New("the URL has a / before the @; " + escapes)
		}
	}
	hosts, query, _ := strings.Cut(hosts, "?")
	if strings.Contains(hosts, "@") {
		return nil, errors.New("the URL has more than one @; " + escapes)
	}
	if database, after, ok := strings.Cut(path, "?"); ok {
		path, query = database, after
	}

	settings := map[string]string{}
	var names, ports []string
	for host := range strings.SplitSeq(hosts, ",") {
		name, port, err := cutPort(host)
		if err != nil {
			return nil, err
		}
		names, ports = append(names, name), append(ports, port)
	}
	settings["host"], settings["port"] = strings.Join(names, ","), strings.Join(ports, ",")
	for _, part := range []string{user, hosts, path} {
		if _, err := decodePercent(part); err != nil {
			return nil, fmt.Errorf("%w; %s", err, escapes)
		}
	}
	return settings, readQuery(query, settings)
}

// cutPort splits NAME:PORT, where NAME may be an IPv6 address in brackets.
func cutPort(host string) (name, port string, err error) {
	if !strings.HasPrefix(host, "[") {
		name, port, _ = strings.Cut(host, ":")
		return name, port, nil
	}
	name, port, ok := strings.Cut(host[1:], "]")
	if !ok || name == "" || port != "" && port[0] != ':' {
		return "", "", errors.New("the URL has an IPv6 address that is not written as [ADDRESS] or [ADDRESS]:PORT")
	}
	return name, strings.TrimPrefix(port, ":"), nil
}

// readQuery adds the parameters of a URL to settings.
func readQuery(query string, settings map[string]string) error {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if strings.Count(pair, "=") != 1 {
			return errors.New("the URL has a parameter that is not NAME=VALUE; in values write %3D for =, %26 for &")
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := decodePercent(name)
		if err != nil {
			return err
		}
		if settings[name], err = decodePercent(value); err != nil {
			return err
		}
	}
	return nil
}

// decodePercent is stricter than net/url in that it refuses spaces inside, and says nothing of what it reads.
func decodePercent(s string) (string, error) {
	s = strings.Trim(s, " ")
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == ' ':
			return "", errors.New("the URL has a space in it; write %20")
		case s[i] != '%':
			b.WriteByte(s[i])
		default:
			c, err := strconv.ParseUint(s[min(i+1, len(s)):min(i+3, len(s))], 16, 8)
			if err != nil || i+3 > len(s) || c == 0 {
				return "", errors.New("the URL has a % that does not begin a character's code")
			}
			b.WriteByte(byte(c))
			i += 2
		}
	}
	return b.String(), nil
}

const spaces = " \t\n\r\v\f"

// readPairs reads NAME=VALUE NAME='VALUE WITH SPACES', with \ before ' and \.
func readPairs(conn string) (map[string]string, error) {
	settings := map[string]string{}
	rest := strings.TrimLeft(conn, spaces)
	for first := true; rest != "" || first; first = false {
		name, after, found := strings.Cut(rest, "=")
		name = strings.Trim(name, spaces)
		switch {
		case first && (!found || strings.Contains(name, "://")):
			return nil, errors.New("this is neither a URL that starts with postgres:// nor NAME=VALUE pairs")
		case !found || strings.ContainsAny(name, spaces):
			return nil, errors.New("a word in it belongs to no NAME=VALUE pair; a value with spaces goes in quotes, as in password='two words'")
		case name == "":
			return nil, errors.New("it has a = without a name before it; a value with spaces goes in quotes, as in password='a = b'")
		}
		value, remains, err := cutValue(strings.TrimLeft(after, spaces))
		if err != nil {
			return nil, err
		}
		settings[name] = value
		rest = strings.TrimLeft(remains, spaces)
	}
	return settings, nil
}

// cutValue cuts a value, quoted or not, from the beginning of s.
func cutValue(s string) (value, rest string, err error) {
	var b strings.Builder
	inner, quoted := strings.CutPrefix(s, "'")
	for i := 0; i < len(inner); i++ {
		switch c := inner[i]; {
		case quoted && c == '\'':
			return b.String(), inner[i+1:], nil
		case !quoted && strings.IndexByte(spaces, c) >= 0:
			return b.String(), inner[i:], nil
		case c == '\\' && i+1 < len(inner):
			i++
			b.WriteByte(inner[i])
		case c != '\\':
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", errors.New(`a quote in it does not end; inside quotes write \' for ' and \\ for \`)
	}
	return b.String(), "", nil
}

// checkSettings checks the settings in which a mistake would show late, or in an error that repeats the password.
func checkSettings(settings map[string]string) error {
	hosts, ports := strings.Split(settings["host"], ","), strings.Split(settings["port"], ",")
	if len(ports) > 1 && len(ports) != len(hosts) {
		return fmt.Errorf("it has %d hosts and %d ports; expected one port for all, or one for each", len(hosts), len(ports))
	}
	for _, port := range ports {
		if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
			return errors.New("a port in it is not a number from 1 to 65535; in the password of a URL write %2F for /, %3A for : and %40 for @")
		}
	}
	for _, host := range hosts {
		if !strings.HasPrefix(host, "/") && strings.ContainsAny(host, ";="+spaces) {
			return errors.New("a host in it is not a host's name; NAME=VALUE pairs are divided by spaces, not by ;")
		}
	}
	if wait, ok := settings["connect_timeout"]; ok {
		if _, err := strconv.ParseUint(wait, 10, 63); err != nil {
			return errors.New("its connect_timeout is not a number of seconds")
		}
	}
	for name, values := range map[string][]string{
		"sslmode":              {"", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
		"target_session_attrs": {"any", "read-write", "read-only", "primary", "standby", "prefer-standby"},
	} {
		if value, ok := settings[name]; ok && !slices.Contains(values, value) {
			return fmt.Errorf("its %s is not one of %s", name, strings.TrimLeft(strings.Join(values, ", "), ", "))
		}
	}
	return nil
}
