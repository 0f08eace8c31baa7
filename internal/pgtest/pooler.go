package pgtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PoolerLog is the name under which PgBouncer returns the path of its log.
const PoolerLog = "its log"

// PgBouncer runs a pooler in transaction mode in front of some connections and
// returns the connection strings through it, and the path of its log. Settings are lines of its file.
func PgBouncer(tb testing.TB, serverConnections int, to map[string]string, settings ...string) map[string]string {
	tb.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/pgbouncer") // where Debian puts it, and not in everybody's PATH
	}
	if err != nil && os.Getenv("CI") == "" {
		tb.Skip("there is no pgbouncer; make test installs one")
	}
	if err != nil {
		tb.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "avtotpy-pooler-") //nolint:usetesting // TempDir is closed to the user that it runs as
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(folder) })
	address := FreeAddress(tb)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		tb.Fatal(err)
	}
	var config strings.Builder
	config.WriteString("[databases]\n")
	pooled := map[string]string{}
	for name, conn := range to {
		c, err := pgx.ParseConfig(conn)
		if err != nil {
			tb.Fatal(err)
		}
		fmt.Fprintf(&config, "%s = host=%s port=%d dbname=%s user=%s password=%s\n", name, c.Host, c.Port, c.Database,
			c.User, c.Password)
		pooled[name] = fmt.Sprintf("host=%s port=%s dbname=%s user=anybody sslmode=disable "+
			"default_query_exec_mode=cache_describe", host, port, name)
	}
	pooled[PoolerLog] = filepath.Join(folder, "pgbouncer.log")
	fmt.Fprintf(&config, "[pgbouncer]\nlogfile = "+pooled[PoolerLog]+
		"\nlisten_addr = %s\nlisten_port = %s\nunix_socket_dir =\nauth_type = any\nadmin_users = anybody\npool_mode "+
		"= transaction\ndefault_pool_size = %d\nmax_client_conn = 200\n",
		host, port, serverConnections)
	for _, setting := range settings {
		config.WriteString(setting + "\n")
	}
	file := filepath.Join(folder, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(config.String()), 0o644); err != nil { //nolint:gosec // the pooler reads it as somebody else
		tb.Fatal(err)
	}
	if err := os.WriteFile(pooled[PoolerLog], nil, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Chmod(pooled[PoolerLog], 0o666); err != nil { //nolint:gosec // as above
		tb.Fatal(err)
	}
	if err := os.Chmod(folder, 0o755); err != nil { //nolint:gosec // as above
		tb.Fatal(err)
	}
	arguments := []string{"-q", file}
	if os.Geteuid() == 0 { // it refuses root, as the server does
		arguments = append([]string{"-u", "postgres"}, arguments...)
	}
	output := new(Output)
	command := exec.CommandContext(context.Background(), program, arguments...) //nolint:gosec // a program of the system
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		tb.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = command.Wait(); close(exited) }() // it is killed
	tb.Cleanup(func() {
		_ = command.Process.Kill()
		<-exited
		if tb.Failed() {
			tb.Logf("pgbouncer: %s", output.String())
		}
	})
	Eventually(tb, "pgbouncer listens", func() error {
		select {
		case <-exited:
			tb.Fatalf("pgbouncer has ended: %s", output.String())
		default:
		}
		conn, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	return pooled
}
