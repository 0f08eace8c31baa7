package main

import (
	"log/slog"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/migrate/connstring"
)

// warnOfNetworks warns, once in a start, of what crosses a network that others can listen to or change.
func warnOfNetworks(cfg config.Config, log *slog.Logger) {
	var plain []string
	for _, conn := range []struct {
		name string
		text config.Secret
	}{{"POSTGRES_MIGRATOR_CONNECTION_STR", cfg.MigratorConn}, {"POSTGRES_CONNECTION_STR", cfg.WebConn}} {
		if mayBePlain(conn.text.Reveal()) {
			plain = append(plain, conn.name)
		}
	}
	if len(plain) > 0 {
		log.Warn("passwords and data may cross the network to PostgreSQL without TLS: add sslmode=verify-full with "+
			"sslrootcert, or at least sslmode=require, "+
			"to the connection string (docs/tls.md)", "settings", strings.Join(plain, ", "))
	}
	if cfg.Mode != config.Run && cfg.Mode != config.Skip {
		return
	}
	far := !isLocal(hostOf(cfg.ListenAddr))
	switch {
	case far && (cfg.PublicURL == nil || cfg.PublicURL.Scheme == "http" && isLocal(cfg.PublicURL.Hostname())):
		log.Warn("passwords and codes cross the network without TLS, unless a proxy in front of this address adds it: "+
			"put one there and set AVTOTPY_PUBLIC_URL to its https:// address, or listen on 127.0.0.1", "listen",
			cfg.ListenAddr)
	case cfg.PublicURL != nil && cfg.PublicURL.Scheme == "http" && !isLocal(cfg.PublicURL.Hostname()):
		log.Warn("AVTOTPY_PUBLIC_URL begins with http://, so passwords and codes cross the network without TLS: "+
			"put a proxy with TLS in front, and write https://", "address", cfg.PublicURL.String())
	}
}

// mayBePlain reports whether a connection string lets a connection to another machine be made without TLS, at the first
// try or as a way out (sslmode disable, allow, prefer). A string that is not valid gets its message elsewhere.
func mayBePlain(conn string) bool {
	if conn == "" {
		return false
	}
	parsed, err := connstring.ParseConfig(conn)
	if err != nil {
		return false
	}
	ways := append([]*pgconn.FallbackConfig{{Host: parsed.Host, TLSConfig: parsed.TLSConfig}}, parsed.Fallbacks...)
	for _, way := range ways {
		if way.TLSConfig == nil && !isLocal(way.Host) {
			return true
		}
	}
	return false
}

// isLocal reports whether a host is this machine: a socket, the name localhost or an address of the loopback network.
func isLocal(host string) bool {
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || name == "localhost" ||
		strings.HasSuffix(name, ".localhost") {
		return true
	}
	address, _, _ := strings.Cut(host, "%") // a zone
	ip := net.ParseIP(strings.Trim(address, "[]"))
	return ip != nil && ip.IsLoopback()
}

// hostOf is the host of an address to listen on; "" stands for all addresses.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return host
}
