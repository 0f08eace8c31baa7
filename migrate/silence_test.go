package migrate_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/rehearse"
)

// silentServer accepts connections, and then does what a test wants of them.
func silentServer(t *testing.T, serve func(net.Conn)) (conn string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(pgtest.Serve(t, serve))
	return "host=" + host + " port=" + port + " user=u dbname=d"
}

// TestASilentServerIsGivenUpInTimeAndInWords: whatever a server does with a new connection
// except to answer, a start and a look end within CONNECT_WAIT, and the log says what is
// waited for.
func TestASilentServerIsGivenUpInTimeAndInWords(t *testing.T) {
	t.Parallel()
	swallow := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	for name, c := range map[string]struct {
		serve func(net.Conn)
		more  string
	}{
		"accepts and never answers":         {swallow, " sslmode=disable"},
		"never answers whether it encrypts": {swallow, " sslmode=require"},
		"the handshake of TLS hangs": {func(c net.Conn) {
			_, _ = io.CopyN(io.Discard, c, 8)
			_, _ = c.Write([]byte("S"))
			swallow(c)
		}, " sslmode=require"},
		"dies in the middle of a message": {func(c net.Conn) {
			_, _ = io.CopyN(io.Discard, c, 8)
			_, _ = c.Write([]byte{'R', 0, 0})
		}, " sslmode=disable"},
		"stops in the middle of a message": {func(c net.Conn) {
			_, _ = c.Write([]byte{'R', 0, 0})
			swallow(c)
		}, " sslmode=disable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &syncBuffer{}
			m := migrator(t, &pgtest.DB{WebRole: "w", WebPassword: "p"}, tables(1)...)
			m.ConnectWait, m.Heartbeat, m.Log = 500*time.Millisecond, 50*time.Millisecond,
				slog.New(slog.NewTextHandler(log, nil))
			conn := silentServer(t, c.serve) + c.more
			for what, ask := range map[string]func() error{
				"up":     func() error { _, err := m.Up(context.Background(), conn); return err },
				"status": func() error { _, err := askStatus(context.Background(), m, conn); return err },
				"verify": func() error { _, err := askVerify(context.Background(), m, conn); return err },
				"plan":   func() error { _, err := askPlan(context.Background(), m, conn); return err },
			} {
				err := ask()
				if _, ok := errors.AsType[*migrate.ConnectError](err); !ok {
					t.Errorf("%s: got %v, want a ConnectError", what, err)
				}
			}
			if !strings.Contains(log.String(), `msg="still waiting for the database" for="a connection"`) {
				t.Errorf("the log does not say what is waited for:\n%s", log.String())
			}
		})
	}
}

// TestASilentLoginDoesNotUseUpTheTime: a server that lets the program in and then stays silent is left after the
// connect timeout, and the next attempt reaches what has taken its place.
func TestASilentLoginDoesNotUseUpTheTime(t *testing.T) {
	t.Parallel()
	var clients atomic.Int32
	conn := silentServer(t, func(c net.Conn) {
		server := pgproto3.NewBackend(c, c)
		if _, err := server.ReceiveStartupMessage(); err != nil {
			return
		}
		if clients.Add(1) > 1 {
			server.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: "no"})
			_ = server.Flush()
			return
		}
		server.Send(&pgproto3.AuthenticationOk{})
		server.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "LATIN1"})
		server.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		_ = server.Flush()
		_, _ = io.Copy(io.Discard, c)
	})
	m := migrator(t, &pgtest.DB{WebRole: "w", WebPassword: "p"}, tables(1)...)
	m.ConnectWait = time.Minute
	_, err := m.Up(context.Background(), conn+" sslmode=disable connect_timeout=1")
	refused, ok := errors.AsType[*migrate.ConnectError](err)
	if !ok || !refused.Refused() || clients.Load() != 2 {
		t.Errorf("after %d attempts: %v", clients.Load(), err)
	}
}

// TestAServerThatFreezesDuringAFileIsGivenUp when it answers nobody for as long as may be waited: what the file
// itself takes has no limit, so that a second connection has to tell. One that answers in between is waited for.
func TestAServerThatFreezesDuringAFileIsGivenUp(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	config, err := pgconn.ParseConfig(db.MigratorConn)
	if err != nil {
		t.Fatal(err)
	}
	network, address := pgconn.NetworkAddress(config.Host, config.Port)
	frozen := make(chan struct{})
	pass := func(from, to net.Conn) {
		for content := make([]byte, 1<<16); ; {
			n, err := from.Read(content)
			select {
			case <-frozen:
				return
			default:
			}
			if _, failed := to.Write(content[:n]); err != nil || failed != nil {
				return
			}
		}
	}
	host, port, _ := net.SplitHostPort(pgtest.Serve(t, func(client net.Conn) {
		server, err := net.Dial(network, address)
		if err != nil {
			return
		}
		defer func() { _ = server.Close() }()
		go pass(server, client)
		pass(client, server)
		<-t.Context().Done() // open, and silent
	}))
	log := &syncBuffer{}
	m := migrator(t, db, "SELECT pg_sleep(3600)")
	m.Wait, m.ConnectWait, m.Heartbeat, m.Log = time.Second, time.Second, 50*time.Millisecond,
		slog.New(slog.NewTextHandler(log, nil))
	var once sync.Once
	m.Progress = func(p migrate.Progress) {
		if p.WaitsFor == "Timeout PgSleep" { // the second connection works
			once.Do(func() { close(frozen) })
		}
	}
	_, err = m.Up(context.Background(), db.MigratorConn+" sslmode=disable host="+host+" port="+port)
	if err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(log.String(), `msg="the connection to the database is given up" reason="no answer for`) {
		t.Errorf("the log does not say what happened:\n%s", log.String())
	}
}

// TestWaitBoundsAFileWithoutATransaction that other sessions keep waiting: it is cancelled,
// the error names who was in the way, the report says how long it waited, and the next start
// removes what is left and goes on.
func TestWaitBoundsAFileWithoutATransaction(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"direct", "pooled"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			up(t, migrator(t, db, table), db.MigratorConn)
			reader := read(t, db)
			conn := db.MigratorConn
			if way == "pooled" {
				conn = pgtest.PgBouncer(t, 4, map[string]string{"migrator": conn})["migrator"]
			}
			m := migrator(t, db, table, indexAlone, "INSERT INTO app.t1 VALUES (-2, -2)")
			m.Wait, m.Heartbeat = 300*time.Millisecond, 50*time.Millisecond
			report, err := m.Up(context.Background(), conn)
			busy, ok := errors.AsType[*migrate.BusyError](err)
			if !ok || !busy.Unfinished || busy.Blocker == "" || !strings.Contains(err.Error(), "0002_m2.sql") {
				t.Fatalf("got %v, want a BusyError that names the file and who is in the way", err)
			}
			if report.Waited < m.Wait || report.To != 1 {
				t.Errorf("the report says that it waited %s, and ends at %d", report.Waited, report.To)
			}
			// The next one meets the reader, too, when it removes the index.
			if way == "direct" {
				if _, err = m.Up(context.Background(), conn); !errors.As(err, &busy) {
					t.Errorf("a start while the reader is there: got %v, want a BusyError", err)
				}
			}
			if _, err := reader.Exec(t.Context(), "ROLLBACK"); err != nil {
				t.Fatal(err)
			}
			m.Wait = 5 * time.Minute
			up(t, m, db.MigratorConn)
			if got := ledger(t, db); got != upTo(3) || valid(t, db, "t1_a") != "valid" {
				t.Errorf("the ledger holds %s, the index is %s", got, valid(t, db, "t1_a"))
			}
		})
	}
}

// administer gives a command to the console of a pooler.
func administer(t *testing.T, pooled, command string) {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), pooled+" dbname=pgbouncer")
	if err == nil {
		_, err = conn.Exec(t.Context(), command).ReadAll()
		_ = conn.Close(t.Context())
	}
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
}

// TestAPausedPoolerIsWaitedForInWords: a start and the commands that look say what they wait
// for when they meet a PAUSE, before they are let in or afterwards, and go on after RESUME.
// With little time they end with the reason.
func TestAPausedPoolerIsWaitedForInWords(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(1)...), db.MigratorConn)
	commands := func(m *migrate.Migrator, conn string) map[string]func() error {
		return map[string]func() error{
			"up":     func() error { _, err := m.Up(context.Background(), conn); return err },
			"status": func() error { _, err := askStatus(context.Background(), m, conn); return err },
			"verify": func() error { _, err := askVerify(context.Background(), m, conn); return err },
			"plan":   func() error { _, err := askPlan(context.Background(), m, conn); return err },
		}
	}
	for _, letIn := range []bool{false, true} {
		t.Run(fmt.Sprintf("letIn=%t", letIn), func(t *testing.T) {
			t.Parallel()
			conn := strings.ReplaceAll(pgtest.PgBouncer(t, 4,
				map[string]string{"migrator": db.MigratorConn})["migrator"], "default_query_exec_mode=cache_describe",
				"")
			if letIn {
				if _, err := askStatus(t.Context(), migrator(t, db, tables(1)...), conn); err != nil {
					t.Fatal(err)
				}
			}
			administer(t, conn, "PAUSE")
			briefly := migrator(t, db, tables(1)...)
			briefly.ConnectWait, briefly.Wait, briefly.LockTimeout = 300*time.Millisecond, 300*time.Millisecond,
				50*time.Millisecond
			for what, ask := range commands(briefly, conn) {
				if err := ask(); err == nil || !strings.Contains(err.Error(), "a pooler is paused") {
					t.Errorf("%s with little time: got %v, want a ConnectError that names the pooler", what, err)
				} else if _, ok := errors.AsType[*migrate.ConnectError](err); !ok {
					t.Errorf("%s with little time: got %v, want a ConnectError", what, err)
				}
			}
			waiting, done := map[string]*syncBuffer{}, make(chan error)
			for what := range commands(briefly, conn) {
				log := &syncBuffer{}
				waiting[what] = log
				m := migrator(t, db, tables(1)...)
				m.ConnectWait, m.Heartbeat, m.Log = pgtest.Patience, 50*time.Millisecond,
					slog.New(slog.NewTextHandler(log, nil))
				go func() { done <- commands(m, conn)[what]() }()
			}
			for what, log := range waiting {
				pgtest.Eventually(t, what+" says what it waits for", func() error {
					return pgtest.Unless(strings.Contains(log.String(), `msg="still waiting for the database"`),
						"the log is:\n%s", log.String())
				})
			}
			administer(t, conn, "RESUME")
			for range waiting {
				if err := <-done; err != nil {
					t.Errorf("after RESUME: %v", err)
				}
			}
		})
	}
}

// TestACommandThatLooksGoesOnAfterItsConnectionWasCut at any message.
func TestACommandThatLooksGoesOnAfterItsConnectionWasCut(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := remembering(t, migrator(t, db, tables(2)...))
	m.ConnectWait = pgtest.Patience
	up(t, m, db.MigratorConn)
	for what, ask := range map[string]func(conn string) error{
		"status":  func(conn string) error { _, err := askStatus(t.Context(), m, conn); return err },
		"history": func(conn string) error { _, _, err := askHistory(t.Context(), m, conn); return err },
		"plan":    func(conn string) error { _, err := askPlan(t.Context(), m, conn); return err },
		"verify":  func(conn string) error { _, err := askVerify(t.Context(), m, conn); return err },
		"repair": func(conn string) error {
			_, err := m.Repair(t.Context(), conn, migrate.RepairOptions{})
			return err
		},
	} {
		for n := 1; ; n++ {
			c := &cutter{n: n}
			if err := ask(startCutter(t, db, c)); err != nil {
				t.Errorf("%s, cut at message %d: %v", what, n, err)
			}
			if c.heard() < n {
				break
			}
		}
	}
}

// TestARehearsalBeginsAgainAfterItsConnectionWasCut, and snapshots go on where they were. MIGRATE_LONG=1 cuts at each
// message, and not only at some.
func TestARehearsalBeginsAgainAfterItsConnectionWasCut(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.Migrator()+" CREATEDB")
	m := migrator(t, db, tables(2)...)
	up(t, m, db.MigratorConn)
	more := remembering(t, migrator(t, db, tables(3)...))
	fresh := *more
	fresh.Role = privilege.Role{}
	step := 25
	if os.Getenv("MIGRATE_LONG") != "" {
		step = 1
	}
	blank := pgtest.Blank(t)
	for what, ask := range map[string]func(conn string) error{
		"rehearse": func(conn string) error {
			report, err := rehearse.Run(t.Context(), more, conn)
			return cmp.Or(err, pgtest.Unless(err != nil || len(report.Files) == 1 && report.Err() == nil,
				"%d files, %v", len(report.Files), report.Err()))
		},
		"snapshots": func(conn string) error {
			pgtest.Exec(t, blank.SuperConn, "DROP SCHEMA IF EXISTS app CASCADE")
			texts, err := migrate.Snapshots(t.Context(), &fresh, conn)
			return cmp.Or(err, pgtest.Unless(err != nil || len(texts) == 3, "%d texts", len(texts)))
		},
	} {
		on := map[string]*pgtest.DB{"rehearse": db, "snapshots": blank}[what]
		for n := min(step, 20); ; n += step {
			c := &cutter{n: n}
			if err := ask(startCutter(t, on, c)); err != nil {
				t.Errorf("%s, cut at message %d: %v", what, n, err)
			}
			if c.heard() < n {
				break
			}
		}
	}
}
