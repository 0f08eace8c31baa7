package main

import (
	"bytes"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/config"
)

// TestWhatCrossesANetworkInTheClearIsAWarning, one for the database and one for the page, and nothing else is.
func TestWhatCrossesANetworkInTheClearIsAWarning(t *testing.T) {
	t.Parallel()
	const database, page = "to PostgreSQL without TLS", "cross the network without TLS"
	for conn, plain := range map[string]bool{
		"postgres://u:p@db/d":                                             true, // prefer is the default
		"postgres://u:p@db/d?sslmode=disable":                             true,
		"postgres://u:p@db/d?sslmode=allow":                               true,
		"postgres://u:p@db/d?sslmode=prefer":                              true,
		"postgres://u:p@db/d?sslmode=require":                             false,
		"postgres://u:p@db/d?sslmode=verify-full":                         false,
		"postgres://u:p@10.0.0.5/d?sslmode=disable":                       true,
		"postgres://u:p@127.0.0.1,10.0.0.5/d?sslmode=prefer":              true,
		"postgres://u:p@localhost,127.0.0.2/d?sslmode=disable":            false,
		"postgres://u:p@[::1]/d?sslmode=disable":                          false,
		"postgres://u:p@[fd00::1]/d?sslmode=disable":                      true,
		"postgres://u:p@localhost.example.com/d?sslmode=disable":          true,
		"postgres://u:p@LOCALHOST/d":                                      false,
		"host=/run/postgresql user=u password=p dbname=d":                 false,
		"host=/run/postgresql,db user=u password=p dbname=d":              true,
		"host=db user=u password=p dbname=d sslmode=require":              false,
		"host=db user=u password='p' dbname=d sslmode=disable port=6432":  true,
		"postgres://u:hunter2@db/d?sslmode=disable&application_name=mine": true,
	} {
		for _, cfg := range []config.Config{
			{Mode: config.RunAndExit, MigratorConn: config.Secret(conn)},
			{Mode: config.Skip, WebConn: config.Secret(conn), ListenAddr: "127.0.0.1:8080"},
		} {
			said := warned(cfg)
			if got := strings.Count(said, database); got > 1 || got == 1 != plain ||
				strings.Contains(said, "hunter2") || strings.Contains(said, page) {
				t.Errorf("%s: got %q, want a warning: %t", conn, said, plain)
			}
		}
	}
	both := warned(config.Config{
		Mode: config.RunAndExit, MigratorConn: "postgres://a:p@db/d",
		WebConn: "postgres://b:p@db/d",
	})
	if strings.Count(both, database) != 1 ||
		!strings.Contains(both, "POSTGRES_MIGRATOR_CONNECTION_STR, POSTGRES_CONNECTION_STR") {
		t.Errorf("got %q, want one line that names both", both)
	}
	for _, test := range []struct {
		listen, public string
		plain          bool
	}{
		{"127.0.0.1:8080", "", false},
		{"[::1]:8080", "", false},
		{"localhost:8080", "", false},
		{":8080", "", true},
		{"0.0.0.0:8080", "", true},
		{"[::]:8080", "", true},
		{"192.168.1.5:8080", "", true},
		{"0.0.0.0:8080", "https://otp.example.com", false},
		{"0.0.0.0:8080", "http://otp.example.com", true},
		{"127.0.0.1:8080", "http://otp.example.com", true},
		{"127.0.0.1:8080", "http://localhost:8080", false},
		{"0.0.0.0:8080", "http://localhost:8080", true},
	} {
		cfg := config.Config{Mode: config.Run, ListenAddr: test.listen}
		if test.public != "" {
			cfg.PublicURL, _ = url.Parse(test.public)
		}
		if said := warned(cfg); strings.Contains(said, page) != test.plain {
			t.Errorf("%+v: got %q", test, said)
		}
		cfg.Mode = config.RunAndExit
		if said := warned(cfg); said != "" {
			t.Errorf("%+v, without a server: got %q", test, said)
		}
	}
}

func warned(cfg config.Config) string {
	var said bytes.Buffer
	warnOfNetworks(cfg, slog.New(slog.NewTextHandler(&said, nil)))
	return said.String()
}
