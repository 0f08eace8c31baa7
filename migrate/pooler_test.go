package migrate_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
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
	pooled := pgtest.PgBouncer(t, serverConnections, map[string]string{"migrator": db.MigratorConn, "web": db.WebConn})
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
	status, err := askStatus(t.Context(), migrator(t, db, sql...), pooled["web"])
	if err != nil || status.State != migrate.Current {
		t.Errorf("the service's role through the pooler: %v, %v", status.State, err)
	}
	// of this database: other tests have gates in theirs
	if n := pgtest.Value[int](t, db.SuperConn, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "+
		"AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"); n != 0 {
		t.Errorf("%d advisory locks are held", n)
	}
}

// TestNobodyHearsTheAnswersOfAClientThatVanished: PgBouncer before 1.21 gives the answers
// that a client did not live to hear to the next one, unless it vanishes inside a
// transaction. 300 clients vanish after their first answer, their second, and so on, while
// others of the same pool ask and must hear only what they asked for.
func TestNobodyHearsTheAnswersOfAClientThatVanished(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(300)...)
	up(t, m, db.MigratorConn)
	const serverConnections, clients = 2, 100
	pooled := pgtest.PgBouncer(t, serverConnections, map[string]string{"migrator": db.MigratorConn, "web": db.WebConn})

	over := func(ask func(context.Context, *pgx.Conn) error) func(context.Context, string) error {
		return func(ctx context.Context, connString string) error {
			conn, err := pgx.Connect(ctx, connString)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			return ask(ctx, conn)
		}
	}
	service := *m
	service.Role.Name = ""
	var schemas atomic.Int64
	for _, kind := range []struct {
		name, role string
		ask        []func(context.Context, string) error // the vanishing ones, in turn
	}{
		{"a start", "migrator", []func(context.Context, string) error{
			func(ctx context.Context, conn string) error {
				fresh := migrator(t, db, tables(8)...)
				fresh.Schema = fmt.Sprintf("vanished_%d", schemas.Add(1))
				fresh.Role.Name = ""
				_, err := fresh.Up(ctx, conn)
				return err
			},
			func(ctx context.Context, conn string) error { _, err := m.Up(ctx, conn); return err },
		}},
		{"a command that looks", "migrator", []func(context.Context, string) error{
			func(ctx context.Context, conn string) error { _, err := askStatus(ctx, m, conn); return err },
			func(ctx context.Context, conn string) error { _, _, err := askHistory(ctx, m, conn); return err },
			func(ctx context.Context, conn string) error { _, err := askPlan(ctx, m, conn); return err },
			func(ctx context.Context, conn string) error { _, err := askVerify(ctx, m, conn); return err },
			func(ctx context.Context, conn string) error {
				_, err := m.Repair(ctx, conn, migrate.RepairOptions{})
				return err
			},
		}},
		{"a service that looks", "web", []func(context.Context, string) error{
			over(func(ctx context.Context, c *pgx.Conn) error { _, err := service.Status(ctx, c); return err }),
			over(func(ctx context.Context, c *pgx.Conn) error {
				_, err := service.Verify(ctx, c, migrate.OwnPrivileges)
				return err
			}),
			over(func(ctx context.Context, c *pgx.Conn) error {
				_, err := service.Verify(ctx, c, migrate.Privileges)
				return err
			}),
			over(func(ctx context.Context, c *pgx.Conn) error { _, err := service.Verify(ctx, c); return err }),
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			target := pooled[kind.role]
			stop, heard := othersOf(t, target, func(ctx context.Context) error {
				status, err := askStatus(ctx, &service, target)
				if err == nil && status.State != migrate.Current {
					err = fmt.Errorf("the state is %v", status.State)
				}
				return err
			})
			vanished := 0
			for i := 0; vanished < clients; i++ {
				v := startVanisher(t, target, 1+rand.N(4))
				ctx, cancel := context.WithCancel(t.Context())
				v.gone = cancel
				if err := kind.ask[i%len(kind.ask)](ctx, v.conn(target)); err != nil && v.vanished.Load() {
					vanished++
				}
				cancel()
				v.close()
			}
			stop()
			t.Logf("%d clients vanished; others heard %d answers", vanished, heard.Load())
			if heard.Load() == 0 {
				t.Error("nobody else asked anything")
			}
		})
	}
}

// othersOf are clients of a pool that go on asking until stop is called, and check what they
// hear: with plain queries, and with a question of the migrator's.
func othersOf(t *testing.T, target string, ask func(context.Context) error) (stop func(), heard *atomic.Int64) {
	t.Helper()
	heard = new(atomic.Int64)
	done := make(chan struct{})
	var all sync.WaitGroup
	again := func(what string, once func(n int) error) {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				if err := once(n); err != nil {
					t.Errorf("%s: %v", what, err)
					return
				}
				heard.Add(1)
			}
		})
	}
	for range 2 {
		conn, err := pgx.Connect(t.Context(), target+" default_query_exec_mode=simple_protocol")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		again("another client", func(n int) error {
			var mine string
			if err := conn.QueryRow(t.Context(), fmt.Sprintf("SELECT 'mine, %d'", n)).Scan(&mine); err != nil {
				return err
			}
			if want := fmt.Sprintf("mine, %d", n); mine != want {
				return fmt.Errorf("asked for %q, heard %q", want, mine)
			}
			return nil
		})
	}
	again("another look", func(int) error { return ask(t.Context()) })
	return func() { close(done); all.Wait() }, heard
}

// A vanisher passes one connection on to a pooler and is gone, with both ends, once it has
// heard so many answers.
type vanisher struct {
	net.Listener
	server   string
	answers  int    // after which it vanishes
	gone     func() // is called then
	vanished atomic.Bool
}

func startVanisher(t *testing.T, target string, answers int) *vanisher {
	t.Helper()
	config, err := pgx.ParseConfig(target)
	if err != nil {
		t.Fatal(err)
	}
	v := &vanisher{server: fmt.Sprintf("%s:%d", config.Host, config.Port), answers: answers}
	if v.Listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	go v.serve(t.Context())
	return v
}

func (v *vanisher) close() { _ = v.Close() }

func (v *vanisher) conn(target string) string {
	address, _ := v.Addr().(*net.TCPAddr)
	return fmt.Sprintf("%s port=%d", target, address.Port)
}

func (v *vanisher) serve(ctx context.Context) {
	for {
		client, err := v.Accept()
		if err != nil {
			return // closed by the test
		}
		server, err := (&net.Dialer{}).DialContext(ctx, "tcp", v.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		go func() { _, _ = io.Copy(server, client) }() // until either is closed
		go v.pass(server, client)
	}
}

// pass counts the answers, each of which ends with ReadyForQuery; the first one ends the
// login (PostgreSQL documentation, "Message Formats").
func (v *vanisher) pass(server, client net.Conn) {
	defer func() { _, _ = server.Close(), client.Close() }()
	in := bufio.NewReader(server)
	for heard := -1; ; {
		head, err := in.Peek(5)
		if err != nil {
			return
		}
		message := make([]byte, 1+int(binary.BigEndian.Uint32(head[1:])))
		if _, err := io.ReadFull(in, message); err != nil {
			return
		}
		if _, err := client.Write(message); err != nil {
			return
		}
		if message[0] == 'Z' {
			heard++
		}
		if heard == v.answers {
			v.vanished.Store(true)
			v.gone()
			return
		}
	}
}

// TestAPoolerThatEndsEachTransactionIsNamed: in statement mode nothing can ever be migrated,
// so it is said at once, and not tried for all of Wait.
func TestAPoolerThatEndsEachTransactionIsNamed(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	pooled := pgtest.PgBouncer(t, 2, map[string]string{"migrator": db.MigratorConn})
	pgtest.Exec(t, pooled["migrator"]+" dbname=pgbouncer default_query_exec_mode=simple_protocol",
		"SET pool_mode = statement")
	m := migrator(t, db, tables(2)...)
	m.Wait, m.ConnectWait = time.Hour, time.Hour
	_, upErr := m.Up(t.Context(), pooled["migrator"])
	_, statusErr := askStatus(t.Context(), m, pooled["migrator"])
	for name, err := range map[string]error{"Up": upErr, "Status": statusErr} {
		connect, ok := errors.AsType[*migrate.ConnectError](err)
		if !ok || !connect.Refused() || !strings.Contains(connect.Next, "pool_mode") {
			t.Errorf("%s: got %v, want an error that says which pool_mode to set", name, err)
		}
	}
}
