package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// checkConn says what is wrong with a connection string, a URL or NAME=VALUE pairs
// (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING). It repeats nothing of it: one
// misplaced character makes a part of the password look like something else, to the parser too.
func checkConn(conn string) error {
	config, err := pgconn.ParseConfig(conn)
	isURL := strings.HasPrefix(conn, "postgres://") || strings.HasPrefix(conn, "postgresql://")
	switch file, ok := errors.AsType[*fs.PathError](err); {
	case ok:
		return fmt.Errorf("it names a file that cannot be read: %w", file)
	case err != nil && isURL:
		return errors.New("this URL cannot be read; expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, " +
			"and in the password %2F for /, %3A for :, %40 for @, %3F for ?, %23 for # and %25 for %")
	case err != nil:
		return errors.New("this is neither a URL that starts with postgres:// nor NAME=VALUE pairs with spaces between them; " +
			"a value with spaces goes in quotes, as in password='two words', with \\ before ' and \\")
	}
	hosts := []string{config.Host}
	for _, other := range config.Fallbacks {
		hosts = append(hosts, other.Host)
	}
	for _, host := range hosts {
		// The host is named when it does not answer; what got into it by mistake must not be.
		if !strings.HasPrefix(host, "/") && strings.ContainsAny(host, ";=@ \t\n") {
			return errors.New("a host in it is not the name of a host; NAME=VALUE pairs have spaces between them, not ;")
		}
	}
	return nil
}

// needsPassfile reports whether a connection string has no password of its own, so that it may come from a file that
// the environment names.
func needsPassfile(conn, fromEnvironment string) bool {
	const none = "passfile=" + os.DevNull
	without := conn + " " + none
	if u, err := url.Parse(conn); err == nil && u.Scheme != "" {
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+none, "&")
		without = u.String()
	}
	config, err := pgconn.ParseConfig(without)
	return err != nil || config.Password == "" || config.Password == fromEnvironment
}

// needsKey reports whether a connection uses a client certificate, whose key may be encrypted.
func needsKey(conn string) bool {
	config, err := pgconn.ParseConfig(conn)
	return err != nil || config.TLSConfig != nil && len(config.TLSConfig.Certificates) > 0
}
