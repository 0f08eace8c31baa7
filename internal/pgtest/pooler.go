package pgtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	program := findPgBouncer(tb)
	folder, err := os.MkdirTemp("", "avtotpy-pooler-") //nolint:usetesting // TempDir is closed to the pooler's user
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(folder) })
	address := FreeAddress(tb)
	pooled, databases := throughPooler(tb, address, to)
	pooled[PoolerLog] = filepath.Join(folder, "pgbouncer.log")
	config := databases + poolerSettings(tb, address, pooled[PoolerLog], serverConnections, settings)
	file := filepath.Join(folder, "pgbouncer.ini")
	// The pooler runs as another user, who reads the one and writes the other.
	for _, err := range []error{
		os.WriteFile(file, []byte(config), 0o644), //nolint:gosec // as above
		os.WriteFile(pooled[PoolerLog], nil, 0o600),
		os.Chmod(pooled[PoolerLog], 0o666), //nolint:gosec // as above
		os.Chmod(folder, 0o755),            //nolint:gosec // as above
	} {
		if err != nil {
			tb.Fatal(err)
		}
	}
	runPooler(tb, program, file, address)
	return pooled
}

func findPgBouncer(tb testing.TB) string {
	tb.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/pgbouncer") // where Debian puts it, and not in every user's PATH
	}
	if err != nil && os.Getenv("CI") == "" {
		tb.Skip("there is no pgbouncer; make test installs one")
	}
	if err != nil {
		tb.Fatal(err)
	}
	return program
}

// throughPooler returns the connection strings through the pooler, and its databases, which lead to the server.
func throughPooler(tb testing.TB, address string, to map[string]string) (pooled map[string]string, databases string) {
	tb.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		tb.Fatal(err)
	}
	pooled = map[string]string{}
	lines := []string{"[databases]"}
	for name, conn := range to {
		c, err := pgx.ParseConfig(conn)
		if err != nil {
			tb.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s = host=%s port=%d dbname=%s user=%s password=%s",
			name, c.Host, c.Port, c.Database, c.User, c.Password))
		pooled[name] = fmt.Sprintf("host=%s port=%s dbname=%s user=anybody sslmode=disable "+
			"default_query_exec_mode=cache_describe", host, port, name)
	}
	return pooled, strings.Join(lines, "\n") + "\n"
}

func poolerSettings(tb testing.TB, address, log string, serverConnections int, more []string) string {
	tb.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		tb.Fatal(err)
	}
	lines := append([]string{
		"[pgbouncer]",
		"logfile = " + log,
		"listen_addr = " + host,
		"listen_port = " + port,
		"unix_socket_dir =",
		"auth_type = any",
		"admin_users = anybody",
		"pool_mode = transaction",
		"default_pool_size = " + strconv.Itoa(serverConnections),
		"max_client_conn = 200",
	}, more...)
	return strings.Join(lines, "\n") + "\n"
}

// runPooler starts the pooler, waits until it listens, and kills it after the test.
func runPooler(tb testing.TB, program, file, address string) {
	tb.Helper()
	arguments := []string{"-q", file}
	if os.Geteuid() == 0 { // it refuses root, as the server does
		arguments = append([]string{"-u", "postgres"}, arguments...)
	}
	output := new(Output)
	command := exec.CommandContext(context.Background(), program, arguments...) //nolint:gosec // of the system
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
}
