package migrate_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// TestReplicasBehindATransactionPooler proves that nothing depends on a session:
// each transaction may run on another server connection, and there are fewer of
// these than migrators.
func TestReplicasBehindATransactionPooler(t *testing.T) {
	t.Parallel()
	const replicas, count, serverConnections = 16, 50, 5
	db := pgtest.Blank(t)
	pooled := pgBouncer(t, serverConnections, map[string]string{"migrator": db.MigratorConn, "web": db.WebConn})
	sql := tables(count)

	reports, errs := make([]migrate.Report, replicas), make([]error, replicas)
	var wg sync.WaitGroup
	for i := range replicas {
		wg.Go(func() { reports[i], errs[i] = migrator(t, db, sql...).Up(context.Background(), pooled["migrator"]) })
	}
	wg.Wait()
	applied := 0
	for i := range replicas {
		if errs[i] != nil {
			t.Errorf("replica %d: %v", i, errs[i])
		}
		applied += len(reports[i].Applied)
	}
	if applied != count {
		t.Errorf("%d files were applied in all, want %d", applied, count)
	}
	for i := range count {
		if n := pgtest.Value[int](t, db.SuperConn, fmt.Sprintf("SELECT count(*) FROM app.t%d", i+1)); n != 1 {
			t.Errorf("file %d was applied %d times", i+1, n)
		}
	}
	status, err := migrator(t, db, sql...).Status(t.Context(), pooled["web"])
	if err != nil || status.State != migrate.Current {
		t.Errorf("the service's role through the pooler: %v, %v", status.State, err)
	}
	if n := pgtest.Value[int](t, db.SuperConn, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"); n != 0 {
		t.Errorf("%d advisory locks are held", n)
	}
}

// pgBouncer runs a pooler in transaction mode in front of some connections and
// returns the connection strings through it.
func pgBouncer(t *testing.T, serverConnections int, to map[string]string) map[string]string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/pgbouncer") // where Debian puts it, and not in everybody's PATH
	}
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("there is no pgbouncer; make test installs one")
	}
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "avtotpy-pooler-") //nolint:usetesting // t.TempDir is closed to the user that it runs as
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	address := freeAddress(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	var config strings.Builder
	config.WriteString("[databases]\n")
	pooled := map[string]string{}
	for name, conn := range to {
		c, err := pgx.ParseConfig(conn)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&config, "%s = host=%s port=%d dbname=%s user=%s password=%s\n", name, c.Host, c.Port, c.Database, c.User, c.Password)
		pooled[name] = fmt.Sprintf("host=%s port=%s dbname=%s user=anybody sslmode=disable default_query_exec_mode=cache_describe", host, port, name)
	}
	fmt.Fprintf(&config, "[pgbouncer]\nlisten_addr = %s\nlisten_port = %s\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = %d\nmax_client_conn = 200\n",
		host, port, serverConnections)
	file := filepath.Join(folder, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(config.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	arguments := []string{"-q", file}
	if os.Geteuid() == 0 { // it refuses root, as the server does
		arguments = append([]string{"-u", "postgres"}, arguments...)
	}
	var output strings.Builder
	command := exec.CommandContext(context.Background(), program, arguments...)
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
		if t.Failed() {
			t.Logf("pgbouncer: %s", output.String())
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
			return pooled
		}
		if time.Now().After(deadline) {
			t.Fatalf("pgbouncer does not listen: %v", err)
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
