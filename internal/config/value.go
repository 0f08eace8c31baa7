package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/avtotpy/avtotpy/migrate/connstring"
)

// The functions here parse one value each. Their errors continue "NAME:" and never repeat a secret.

func setMode(c *Config, value string) error {
	switch m := Mode(value); m {
	case Run, RunAndExit, Skip:
		c.Mode = m
		return nil
	case Inspect:
	}
	return fmt.Errorf("%s is not RUN, RUN_AND_EXIT or SKIP", Shown(value))
}

func setMigratorConn(c *Config, value string) error {
	c.MigratorConn = Secret(value)
	return connstring.Check(value)
}

func setWebConn(c *Config, value string) error {
	c.WebConn = Secret(value)
	return connstring.Check(value)
}

func setWebRole(c *Config, value string) error {
	const longest = 63 // bytes; PostgreSQL cuts off the rest
	c.WebRole = value
	switch {
	case len(value) > longest:
		return fmt.Errorf("the name has %d bytes; PostgreSQL allows 1 to %d", len(value), longest)
	case !utf8.ValidString(value):
		return errors.New("the name is not UTF-8")
	case strings.HasPrefix(value, "pg_"), value == "public", value == "none":
		return fmt.Errorf("PostgreSQL keeps the name %q for itself", value)
	}
	return connstring.CheckRole(value)
}

// setWebPassword refuses what PostgreSQL and its clients normalise differently: login would fail with it.
func setWebPassword(c *Config, value string) error {
	c.WebPassword = Secret(value)
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return fmt.Errorf("byte %d of the password is not printable ASCII; expected letters, digits and "+
				"punctuation", i+1)
		}
	}
	return nil
}

func setMasterKey(c *Config, value string) error {
	c.MasterKey = Secret(value)
	return nil
}

func setDataDir(c *Config, value string) (err error) {
	c.DataDir, err = parseDir(value)
	return err
}

func setPostgresBin(c *Config, value string) (err error) {
	c.PostgresBin, err = parseDir(value)
	return err
}

func setBackupDir(c *Config, value string) (err error) {
	if value == "off" {
		return nil
	}
	c.BackupDir, err = parseDir(value)
	return err
}

// parseDir returns an absolute path: PostgreSQL's programs, to which it is handed, run in a folder of their own.
func parseDir(value string) (string, error) {
	if value == "~" || strings.HasPrefix(value, "~/") {
		return "", fmt.Errorf("only a shell knows what ~ means in %s; write the path in full", Shown(value))
	}
	return filepath.Abs(value)
}

// setDuration returns the parser of a duration in Go's form or a plain number of seconds.
func setDuration(field func(*Config) *time.Duration) func(*Config, string) error {
	return func(c *Config, value string) error {
		text := value
		if strings.Trim(value, "0123456789") == "" {
			text += "s"
		}
		d, err := time.ParseDuration(text)
		switch {
		case err != nil:
			return fmt.Errorf("%s is not a duration; expected a number with ms, s, m or h, or a number of seconds",
				Shown(value))
		case d < 0:
			return fmt.Errorf("%s is negative", Shown(value))
		}
		*field(c) = d
		return nil
	}
}

// setAuditRetention allows no less than the database does, which keeps 90 days from the web server itself.
func setAuditRetention(c *Config, value string) error {
	const least, most = 90, 36500
	days, err := strconv.Atoi(value)
	if err != nil || days != 0 && (days < least || days > most) {
		return fmt.Errorf("%s is not 0 or a number of days from %d to %d", Shown(value), least, most)
	}
	c.AuditRetention = time.Duration(days) * 24 * time.Hour
	return nil
}

func setListenAddr(c *Config, value string) error {
	c.ListenAddr = value
	return checkAddr(value)
}

func setHealthAddr(c *Config, value string) error {
	c.HealthAddr = value
	return checkAddr(value)
}

func checkAddr(value string) error {
	host, port, err := net.SplitHostPort(value)
	switch {
	case strings.Contains(value, "/"):
		return errors.New("this is not an address and a port; expected them without http:// and path")
	case err != nil && strings.Count(value, ":") > 1:
		return fmt.Errorf("%s is not an address and a port; an IPv6 address goes in brackets, as in [::1]:8080",
			Shown(value))
	case err != nil:
		return fmt.Errorf("%s is not an address and a port, divided by a colon", Shown(value))
	case strings.ContainsAny(host, " \t\r\n@"):
		return fmt.Errorf("%s is not an address", Shown(host))
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("the port %s is not a number from 0 to 65535", Shown(port))
	}
	return nil
}

// setPublicURL repeats no part of the value: people do paste addresses with passwords in them.
func setPublicURL(c *Config, value string) error {
	u, err := url.Parse(value)
	switch {
	case err != nil:
		return errors.New("this is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the URL does not start with http:// or https://")
	case u.Hostname() == "":
		return errors.New("the URL has no host name")
	case u.User != nil:
		return errors.New("the URL has a user name in it; expected none")
	case u.Path != "" && u.Path != "/":
		return errors.New("the URL has a path; AVTotpy serves at the root of a host name of its own")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(value, "#"):
		return errors.New("the URL has something after the host name; expected nothing there")
	}
	host := strings.TrimSuffix(strings.ToLower(u.Host), ":")
	host = strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[u.Scheme]) // as browsers do
	c.PublicURL = &url.URL{Scheme: u.Scheme, Host: host}
	return nil
}

func setTrustedProxies(c *Config, value string) error {
	for _, word := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(", \t\r\n;", r) }) {
		switch strings.ToLower(word) {
		case "unix":
			c.Proxies.Unix = true
		case "x-forwarded-for", "forwarded":
			header := map[bool]string{true: "Forwarded", false: "X-Forwarded-For"}[strings.EqualFold(word, "forwarded")]
			if c.Proxies.Header != "" && c.Proxies.Header != header {
				return errors.New("both headers are named; name the one that the proxies write")
			}
			c.Proxies.Header = header
		default:
			network, err := parseNetwork(word)
			if err != nil {
				return err
			}
			c.Proxies.Networks = append(c.Proxies.Networks, network)
		}
	}
	if len(c.Proxies.Networks) == 0 && !c.Proxies.Unix {
		return errors.New("there is no address or network in it")
	}
	return nil
}

// parseNetwork reads an address, or a network in CIDR notation.
func parseNetwork(word string) (netip.Prefix, error) {
	address, err := netip.ParseAddr(word)
	if err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	const mapped = 96 // bits before an IPv4 address that is written as IPv6
	network, err := netip.ParsePrefix(word)
	if err == nil && network.Addr().Is4In6() && network.Bits() >= mapped {
		network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-mapped)
	}
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%s is not an address or a network; host names are not looked up",
			Shown(word))
	case network.Bits() == 0:
		return netip.Prefix{}, fmt.Errorf("%s is every address, so that all visitors could choose theirs; name the "+
			"addresses of the proxies", Shown(word))
	case network != network.Masked():
		return netip.Prefix{}, fmt.Errorf("%s has bits set after the first %d; expected the network %s or the "+
			"address %s",
			Shown(word), network.Bits(), network.Masked(), network.Addr())
	}
	return network, nil
}

// setUser leaves it open whether there is such a user: only a start as root needs to know.
func setUser(c *Config, value string) error {
	const longest = 32 // bytes, of a name (useradd)
	c.User = value
	switch {
	case len(value) > longest, strings.Trim(value,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-$") != "":
		return fmt.Errorf("%s is neither the name nor the number of a user", Shown(value))
	case value == "root" || strings.Trim(value, "0") == "":
		return errors.New("root is the user that is given up; expected another one")
	}
	return nil
}

func setLogLevel(c *Config, value string) error {
	switch strings.ToLower(value) {
	case "debug", "info", "warn", "error":
		return c.LogLevel.UnmarshalText([]byte(value))
	}
	return fmt.Errorf("%s is not debug, info, warn or error", Shown(value))
}

func setLogFormat(c *Config, value string) error {
	c.LogFormat = LogFormat(strings.ToLower(value))
	switch c.LogFormat {
	case LogAuto, LogText, LogJSON:
		return nil
	}
	return fmt.Errorf("%s is not auto, text or json", Shown(value))
}
