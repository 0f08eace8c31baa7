package migrate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
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
)

// A relay passes a connection on to the database and counts round trips: how often
// the client spoke after it had heard something.
type relay struct {
	net.Listener
	dial  func(context.Context) (net.Conn, error)
	mu    sync.Mutex
	turns int
	heard bool
}

func startRelay(t *testing.T, db *pgtest.DB) *relay {
	t.Helper()
	return startRelayThrough(t, db, func(server net.Conn) net.Conn { return server })
}

func startRelayThrough(t *testing.T, db *pgtest.DB, through func(net.Conn) net.Conn) *relay {
	t.Helper()
	config, err := pgconn.ParseConfig(db.MigratorConn)
	if err != nil {
		t.Fatal(err)
	}
	network, address := pgconn.NetworkAddress(config.Host, config.Port)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: listener, heard: true, dial: func(ctx context.Context) (net.Conn, error) {
		server, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return through(server), nil
	}}
	t.Cleanup(func() { _ = r.Close() })
	go r.serve(t.Context())
	return r
}

func (r *relay) serve(ctx context.Context) {
	for {
		client, err := r.Accept()
		if err != nil {
			return // closed by the test's end
		}
		server, err := r.dial(ctx)
		if err != nil {
			_ = client.Close()
			return
		}
		go r.pass(patientConn{client}, server, func(sent []byte) {
			// nobody waits for an answer to Terminate
			if goodbye := len(sent) == 5 && sent[0] == 'X'; r.heard && !goodbye {
				r.turns++
				r.heard = false
			}
		})
		go r.pass(server, client, func([]byte) { r.heard = true })
	}
}

// A patientConn reads all that its peer sends in one go, where the network may deliver it in
// parts and the server answers the first of them.
type patientConn struct{ net.Conn }

func (c patientConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	for err == nil && n < len(b) {
		const pause = 30 * time.Millisecond
		_ = c.SetReadDeadline(time.Now().Add(pause)) // fails when it is closed, as the read does
		var more int
		more, err = c.Conn.Read(b[n:])
		n += more
	}
	_ = c.SetReadDeadline(time.Time{}) // as above
	if errors.Is(err, os.ErrDeadlineExceeded) || n > 0 {
		err = nil
	}
	return n, err
}

func (r *relay) pass(from, to net.Conn, count func([]byte)) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			r.mu.Lock()
			count(buffer[:n])
			r.mu.Unlock()
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// count returns the round trips that f needs.
func (r *relay) count(f func()) int {
	r.mu.Lock()
	before := r.turns
	r.mu.Unlock()
	f()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.turns - before
}

// conn is the migrator's connection string through the relay.
func (r *relay) conn(db *pgtest.DB) string {
	address, _ := r.Addr().(*net.TCPAddr)
	return fmt.Sprintf("%s host=127.0.0.1 port=%d sslmode=disable", db.MigratorConn, address.Port)
}

func TestAStartWithNothingToDoCostsOneRoundTrip(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(200)...)
	up(t, m, db.MigratorConn)
	r := startRelay(t, db)
	connecting := r.count(func() {
		conn, err := pgconn.Connect(t.Context(), r.conn(db))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close(t.Context())
		<-conn.CleanupDone()
	})
	if got := r.count(func() { up(t, m, r.conn(db)) }) - connecting; got != 1 {
		t.Errorf("got %d round trips after connecting, want 1", got)
	}
}

// TestALongLedgerCostsNoRoundTripMore asks what operators ask of a ledger of 10,000 rows,
// and of one of three.
func TestALongLedgerCostsNoRoundTripMore(t *testing.T) {
	t.Parallel()
	turns := func(count int) map[string]int {
		sql := make([]string, count)
		for i := range sql {
			sql[i] = fmt.Sprintf("SELECT %d", i+1)
		}
		sql[0] = "CREATE TABLE app.t1 (id int)"
		db := pgtest.Blank(t)
		up(t, migrator(t, db, sql[0]), db.MigratorConn)
		pgtest.Exec(t, db.SuperConn, fmt.Sprintf(`INSERT INTO app.migrations (version, prev, name, checksum, min_version, duration, app_version)
			SELECT g, g - 1, 'm' || g, sha256(convert_to('SELECT ' || g, 'UTF8')), 1, '1 ms', '1.0' FROM generate_series(2, %d) g`, count), pgtest.Testify("app"))
		m := migrator(t, db, sql...)
		r := startRelay(t, db)
		took := map[string]int{}
		for name, ask := range map[string]func() (migrate.Status, error){
			"a start": func() (migrate.Status, error) {
				report, err := m.Up(t.Context(), r.conn(db))
				return migrate.Status{State: report.State, Version: report.To}, err
			},
			"status": func() (migrate.Status, error) { return askStatus(t.Context(), m, r.conn(db)) },
			"history": func() (migrate.Status, error) {
				s, _, err := askHistory(t.Context(), m, r.conn(db))
				return s,
					err
			},
			"plan": func() (migrate.Status, error) {
				p, err := askPlan(t.Context(), m, r.conn(db))
				return p.Status,
					err
			},
			"verify": func() (migrate.Status, error) {
				v, err := askVerify(t.Context(), m, r.conn(db))
				return v.Status,
					err
			},
		} {
			took[name] = r.count(func() {
				if status, err := ask(); err != nil || status.State != migrate.Current || status.Version != count {
					t.Errorf("%s of %d rows: %+v, %v, want current", name, count, status, err)
				}
			})
		}
		return took
	}
	short, long := turns(3), turns(10_000)
	if !maps.Equal(short, long) {
		t.Errorf("with connecting, 3 rows took %v round trips, and 10,000 rows %v", short, long)
	}
}

func TestFilesAreSentAheadOfTheirAnswers(t *testing.T) {
	t.Parallel()
	turns := func(n int) int {
		db := pgtest.Blank(t)
		r := startRelay(t, db)
		return r.count(func() { up(t, migrator(t, db, tables(n)...), r.conn(db)) })
	}
	few, many := turns(2), turns(60)
	if many > few+4 {
		t.Errorf("2 files took %d round trips, 60 took %d: they are not sent ahead", few, many)
	}
}

// TestAPoolersRefusalChangesNoPassword: through a pooler that knows only some users, or
// an old password, the same start again and again must not set a new one each time.
func TestAPoolersRefusalChangesNoPassword(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(1)...)
	m.Role.Rotate = true
	up(t, m, db.MigratorConn)
	stored := func() string {
		return pgtest.Value[string](t, db.SuperConn, "SELECT rolpassword FROM pg_authid WHERE rolname = '"+db.WebRole+
			"'")
	}
	before := stored()
	r := startRelayThrough(t, db, func(server net.Conn) net.Conn {
		return &poolerConn{
			Conn:    server,
			refused: db.WebRole,
		}
	})
	var log strings.Builder
	m.Log = slog.New(slog.NewTextHandler(&log, nil))
	if report := up(t, m, r.conn(db)); report.PasswordSet || stored() != before {
		t.Errorf("the password was set through a pooler: %+v", report)
	}
	if !strings.Contains(log.String(), "direct connection") {
		t.Errorf("the log does not say that a direct connection is needed: %s", log.String())
	}
	m.Role.Password = "changed"
	if report := up(t, m, db.MigratorConn); !report.PasswordSet {
		t.Errorf("over a direct connection the password was not set: %+v", report)
	}
}

// A poolerConn is a connection to a server that answers as a pooler might: it refuses a
// user, and gives its clients process ids of its own.
type poolerConn struct {
	net.Conn
	refused string
	refuse  atomic.Bool
}

func (c *poolerConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("user\x00"+c.refused+"\x00")) { // the start-up message
		c.refuse.Store(true)
		return len(b), c.Close() // so that Read answers
	}
	return c.Conn.Write(b)
}

func (c *poolerConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && c.refuse.CompareAndSwap(true, false) {
		refusal, err := (&pgproto3.ErrorResponse{
			Severity: "FATAL", Code: "28P01",
			Message: "password authentication failed",
		}).Encode(nil)
		return copy(b, refusal), err
	}
	const backendKeyData, pid = "K\x00\x00\x00\x0c", 5 // and where in the message it is
	if i := bytes.Index(b[:n], []byte(backendKeyData)); i >= 0 && i+pid < n {
		b[i+pid] ^= 1
	}
	return n, err
}
