package connstring

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The functions here check one value each. They return "" when it is fine, and otherwise what to write.

func anything(string) string { return "" }

func oneOf(words ...string) func(string) string {
	return func(value string) string {
		if slices.Contains(words, value) {
			return ""
		}
		return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	}
}

func whole(least, most int, what string) func(string) string {
	return func(value string) string {
		if n, err := strconv.Atoi(value); err == nil && n >= least && n <= most && value[0] != '+' {
			return ""
		}
		return fmt.Sprintf("%s from %d to %d", what, least, most)
	}
}

func duration(value string) string {
	if d, err := time.ParseDuration(value); err == nil && d >= 0 {
		return ""
	}
	return "a duration such as 30s, 5m or 1h"
}

// interval checks a time as the server reads it, in milliseconds without a unit.
func interval(value string) string {
	number := strings.TrimRight(value, "abcdefghijklmnopqrstuvwxyz")
	unit := value[len(number):]
	n, err := strconv.Atoi(number)
	if err == nil && n >= 0 && n <= 1<<31-1 && number[0] != '+' &&
		slices.Contains([]string{"", "us", "ms", "s", "min", "h", "d"}, unit) {
		return ""
	}
	return "a number of milliseconds, or a number with ms, s, min or h"
}

func checkEncoding(value string) string {
	if slices.Contains([]string{"utf8", "utf-8", "unicode"}, strings.ToLower(value)) {
		return ""
	}
	return "UTF8, or leave it out: the program speaks UTF-8 in any case"
}

// checkUser and checkDatabase refuse what got there by mistake: messages show both, and so do the logs of servers. A
// role or a database whose name holds one of these characters has to be renamed.
func checkUser(value string) string {
	if misplaced(value) || strings.ContainsAny(value, ";=&,") {
		return "the name of a role alone, without ; = & or ,"
	}
	return ""
}

// CheckRole is an error when a connection string cannot name a role, so that nobody creates one
// with which no program can log in. It holds nothing of the name.
func CheckRole(name string) error {
	if next := checkUser(name); next != "" {
		return errors.New("a connection string cannot hold this name; write " + next)
	}
	if strings.Contains(name, ":") {
		return errors.New("this name holds a colon, as a name with its password does; write the name of a role alone")
	}
	return nil
}

func checkDatabase(value string) string {
	if misplaced(value) || strings.ContainsAny(value, "@?;=&") {
		return "the name of a database alone, without @ ? ; = or &; in a URL parameters follow a ?"
	}
	return ""
}

func misplaced(value string) bool {
	return strings.Contains(value, "://") || !utf8.ValidString(value) || strings.ContainsFunc(value, isInvisible) ||
		strings.ContainsAny(value, "\t\n\r\v\f")
}

// checkHostList checks each of several hosts.
func checkHostList(value string) string {
	hosts := strings.Split(value, ",")
	for _, host := range hosts {
		if host == "" && len(hosts) == 1 { // the local socket
			continue
		}
		if !isHost(host) {
			return "the name of a host, an IP address, or the folder of a socket that begins with /, several with , " +
				"between them; and " + escapes + " in the user or the password of a URL"
		}
	}
	return ""
}

func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if strings.HasPrefix(host, "/") {
		return !misplaced(host) && !strings.ContainsAny(host, "@?;=")
	}
	const longest, longestLabel = 253, 63 // RFC 1035
	if len(host) > longest || strings.Trim(host, "0123456789.") == "" {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		allowed := func(r rune) bool {
			return r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		}
		if label == "" || len(label) > longestLabel || label[0] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return !allowed(r) }) {
			return false
		}
	}
	return true
}

func checkPortList(value string) string {
	for port := range strings.SplitSeq(value, ",") {
		if expected := checkPort(port); expected != "" {
			return expected
		}
	}
	return ""
}

// checkPort takes no port for the usual one, as libpq does.
func checkPort(port string) string {
	n, err := strconv.Atoi(port)
	if port == "" || err == nil && n >= 1 && n <= 65535 && strings.Trim(port, "0123456789") == "" {
		return ""
	}
	return "a port from 1 to 65535"
}

func checkRequireAuth(value string) string {
	negated, seen := 0, map[string]bool{}
	methods := strings.Split(value, ",")
	for _, method := range methods {
		method, not := strings.CutPrefix(strings.TrimSpace(method), "!")
		if not {
			negated++
		}
		if oneOf("password", "md5", "gss", "sspi", "scram-sha-256", "oauth", "none")(method) != "" || seen[method] {
			negated = -len(methods) // not one of the methods
		}
		seen[method] = true
	}
	if value == "" || negated == 0 || negated == len(methods) {
		return ""
	}
	return "password, md5, gss, sspi, scram-sha-256, oauth or none, several with , between them, all or none with !"
}

// checkOptions lets -c NAME=VALUE set what the string itself could.
func checkOptions(value string) string {
	const expected = "-c NAME=VALUE with statement_timeout, lock_timeout, transaction_timeout, " +
		"idle_in_transaction_session_timeout or idle_session_timeout; " +
		"the program sets what a statement depends on, and a DBA can set the rest for the role, with ALTER ROLE … SET"
	words := strings.Fields(value)
	for i := 0; i < len(words); i++ {
		option, ok := strings.CutPrefix(words[i], "--")
		if !ok {
			if option, ok = strings.CutPrefix(words[i], "-c"); ok && option == "" && i+1 < len(words) {
				i++
				option = words[i]
			}
		}
		name, text, _ := strings.Cut(option, "=")
		name = strings.ReplaceAll(name, "-", "_")
		if !ok || !runtime(name) || parameters()[name] == nil || parameters()[name](text) != "" {
			return expected
		}
	}
	return ""
}
