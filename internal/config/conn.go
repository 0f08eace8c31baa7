package config

import (
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

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
