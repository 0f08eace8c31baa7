package migrate_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// A cutter passes connections on to the database until the n-th message of the clients,
// and then cuts them all: either that message never arrives, or it does and nobody hears
// the answer, while the server goes on with it.
type cutter struct {
	net.Listener
	n       int
	arrives bool
	hidden  bool   // the server does not hear that a client is gone, as behind a network that fails
	gone    func() // is called then, if it is set, and nobody gets through any more

	server string // its network and address
	path   string

	mu       sync.Mutex
	messages int
	clients  []net.Conn
	cut      bool
}

func (c *cutter) serve(ctx context.Context) {
	for {
		client, err := c.Accept()
		if err != nil {
			return // closed by the test
		}
		server, err := (&net.Dialer{}).DialContext(ctx, c.server, c.path)
		if err != nil || !c.enters(client) {
			_ = client.Close()
			continue
		}
		go func() {
			_, _ = io.Copy(client, server) // until either is closed
			_ = client.Close()
			_, _ = io.Copy(io.Discard, server) // the server is not to notice
			_ = server.Close()
		}()
		go func() {
			c.pass(client, server)
			if !c.hidden {
				half, _ := server.(interface{ CloseWrite() error }) // of TCP or a socket
				_ = half.CloseWrite()                               // it may be gone
			}
		}()
	}
}

func (c *cutter) enters(client net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clients = append(c.clients, client)
	return !c.cut || c.gone == nil
}

// pass passes on one message after the other (PostgreSQL documentation, "Message
// Formats"); the first of a connection has no type.
func (c *cutter) pass(client io.Reader, server io.Writer) {
	in := bufio.NewReader(client)
	for kind := 0; ; kind = 1 {
		head, err := in.Peek(kind + 4)
		if err != nil {
			return
		}
		message := make([]byte, kind+int(binary.BigEndian.Uint32(head[kind:])))
		if _, err := io.ReadFull(in, message); err != nil {
			return
		}
		const cancelRequest = 80877102
		if c.hidden && kind == 0 && binary.BigEndian.Uint32(message[4:]) == cancelRequest {
			return
		}
		send, last := c.count()
		if send {
			if _, err := server.Write(message); err != nil {
				return
			}
		}
		if last {
			c.end()
			return
		}
	}
}

func (c *cutter) count() (send, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages++
	last = c.messages == c.n
	c.cut = c.cut || last
	return !last || c.arrives, last
}

// heard is how many messages have come so far.
func (c *cutter) heard() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.messages
}

func (c *cutter) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, client := range c.clients {
		_ = client.Close()
	}
	c.clients = nil
	if c.cut && c.gone != nil {
		c.gone()
	}
}

func startCutter(t *testing.T, db *pgtest.DB, c *cutter) (conn string) {
	t.Helper()
	config, err := pgconn.ParseConfig(db.MigratorConn)
	if err != nil {
		t.Fatal(err)
	}
	c.server, c.path = pgconn.NetworkAddress(config.Host, config.Port)
	if c.Listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); c.end() })
	go c.serve(t.Context())
	address, _ := c.Addr().(*net.TCPAddr)
	return fmt.Sprintf("%s host=127.0.0.1 port=%d sslmode=disable", db.MigratorConn, address.Port)
}

// logged are files that each leave a row of their own in a table that forgives being
// applied twice, so that it shows; some of them go without a transaction.
var logged = []string{
	"CREATE TABLE t1 (id int); CREATE TABLE log (version int); INSERT INTO log VALUES (1)",
	"INSERT INTO log VALUES (2); ALTER TABLE t1 ADD COLUMN a int",
	"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY t1_id ON app.t1 (id)",
	"INSERT INTO log VALUES (4); ALTER TABLE t1 ADD COLUMN b int",
	"INSERT INTO log VALUES (5); ALTER TABLE t1 ADD COLUMN c int",
	"-- migrate:no-transaction\nREINDEX TABLE CONCURRENTLY app.t1",
	"-- migrate:no-transaction\nDROP INDEX CONCURRENTLY app.t1_id",
	"INSERT INTO log VALUES (8)",
}

// TestACrashAtAnyMessageIsResumed cuts the connection of a migrator at its first message,
// its second, and so on until one gets through. The same program goes on, or several
// others, while the server may still be busy with what the first one sent. Afterwards each
// file was applied once, and ledger, comment, schema and rights agree. MIGRATE_LONG=1 cuts
// at each message; otherwise it is every fifth, from one of the first five that chance picks.
func TestACrashAtAnyMessageIsResumed(t *testing.T) {
	t.Parallel()
	step := 5
	if os.Getenv("MIGRATE_LONG") != "" {
		step = 1
	}
	remembered := remembering(t, migrator(t, pgtest.Blank(t), logged...)).Bundle
	for _, arrives := range []bool{false, true} {
		for _, gone := range []bool{false, true} {
			t.Run(fmt.Sprintf("arrives=%t,gone=%t", arrives, gone), func(t *testing.T) {
				t.Parallel()
				db := pgtest.Blank(t)
				const most = 200
				for n := 1 + rand.N(step); ; n += step {
					c := &cutter{n: n, arrives: arrives}
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if gone {
						c.gone = cancel
					}
					m := migrator(t, db, logged...)
					m.Bundle = remembered
					m.Role.Name += strconv.Itoa(n)
					report, err := m.Up(ctx, startCutter(t, db, c))
					if !gone && err != nil {
						t.Errorf("cut at message %d: it did not go on: %v", n, err)
					}
					if gone {
						resume(t, db, *m)
					}
					agrees(t, db, m, n)
					if c.heard() < n {
						if len(report.Applied) != len(logged) || n < len(logged) {
							t.Errorf("with %d messages %d files were applied", n, len(report.Applied))
						}
						return
					}
					pgtest.Exec(t, db.SuperConn, "DROP SCHEMA IF EXISTS app CASCADE")
					if n > most {
						t.Fatalf("after %d messages it has not come to an end", n)
					}
				}
			})
		}
	}
}

// resume starts several migrators at once that get through.
func resume(t *testing.T, db *pgtest.DB, m migrate.Migrator) {
	t.Helper()
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if _, err := m.Up(t.Context(), db.MigratorConn); err != nil {
				t.Errorf("%s: another one did not go on: %v", m.Schema, err)
			}
		})
	}
	all.Wait()
}

func agrees(t *testing.T, db *pgtest.DB, m *migrate.Migrator, n int) {
	t.Helper()
	v, err := askVerify(t.Context(), m, db.MigratorConn)
	if err != nil || v.Err() != nil || !v.Compared || v.Status.State != migrate.Current {
		t.Errorf("cut at message %d: verify found %v, %v, %+v", n, err, v.Err(), v)
	}
	got := pgtest.Value[string](t, db.SuperConn, fmt.Sprintf(`SELECT concat_ws('; ',
		(SELECT string_agg(version::text, ',' ORDER BY version) FROM %[1]s.log),
		(SELECT string_agg(version::text, ',' ORDER BY version) FROM %[1]s.migrations WHERE duration IS NOT NULL),
		(SELECT count(*) FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = '%[1]s'::regnamespace AND NOT indisvalid))`, m.Schema))
	if want := "1,2,4,5,8; 1,2,3,4,5,6,7,8; 0"; got != want {
		t.Errorf("cut at message %d: applied, ledger, invalid indexes: got %s, want %s", n, got, want)
	}
}
