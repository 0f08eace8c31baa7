package backup

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/avtotpy/avtotpy/internal/owned"
	"github.com/avtotpy/avtotpy/migrate/connstring"
)

const port = "5432" // only names the socket: nothing listens on TCP

// A session is a connection to the database that one pg_dump may use, through a socket
// in a folder of this user. So passwords, certificates, service files and lists of hosts
// are the business of one driver, the one that migrates, and pg_dump sees none of them.
//
// All of it is one transaction. A pooler in transaction mode then keeps to one server
// process, which pg_dump, with its settings for a session, needs; and throws it away
// afterwards, because the transaction is never ended.
type session struct {
	server         *pgconn.HijackedConn
	listener       net.Listener
	dir            string // of the socket
	user, database string
	major          int // the server's version

	once sync.Once
	mu   sync.Mutex
	used net.Conn // pg_dump's end
	done bool
}

// open connects to the database and makes the socket.
func open(ctx context.Context, o Options) (*session, error) {
	config, err := parseConfig(o.Conn, o.Application)
	if err != nil {
		return nil, err
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	s := &session{user: config.User}
	if err := s.begin(ctx, conn); err != nil {
		_ = conn.Close(ctx) // err says more
		return nil, err
	}
	if s.server, err = conn.Hijack(); err != nil {
		return nil, err
	}
	if err := s.listen(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("make a socket for pg_dump: %w", err)
	}
	return s, nil
}

// parseConfig reads the connection string as the migrator does. With several hosts it
// takes the one that is migrated, the primary.
func parseConfig(conn, application string) (*pgconn.Config, error) {
	parsed, err := connstring.ParseConfig(conn)
	if err != nil {
		return nil, fmt.Errorf("the connection string: %w", err)
	}
	config := &parsed.Config
	config.RuntimeParams["application_name"] = application
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	if config.ValidateConnect == nil {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	return config, nil
}

// begin opens the transaction, in the way that pg_dump is about to and is then answered to
// have done (it would warn), without a DBA's timeouts for the application's queries.
func (s *session) begin(ctx context.Context, conn *pgconn.PgConn) error {
	results, err := conn.Exec(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
		SET LOCAL client_min_messages = error;
		SELECT set_config(name, '0', true) FROM pg_catalog.pg_settings
			WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
				'transaction_timeout');
		SELECT current_setting('server_version_num')::int / 10000, current_database()`).ReadAll()
	if err != nil {
		return err
	}
	row := results[len(results)-1].Rows[0]
	s.database = string(row[1])
	if s.major, err = strconv.Atoi(string(row[0])); err != nil {
		return err
	}
	return conn.SyncConn(ctx)
}

// listen makes the socket. A container may have no folder for temporary files that can
// be written to: but it has ours.
func (s *session) listen(ctx context.Context) (err error) {
	parent, err := owned.Ours().Reach(filepath.Join(os.TempDir(), "avtotpy"))
	if err != nil { // others could put a socket of theirs in place of this one
		return err
	}
	if s.dir, err = os.MkdirTemp(filepath.Dir(parent), "avtotpy-"); err != nil {
		return err
	}
	s.listener, err = (&net.ListenConfig{}).Listen(ctx, "unix", filepath.Join(s.dir, ".s.PGSQL."+port))
	return err
}

// serve lets one client in and passes on what it and the server say to each other.
func (s *session) serve() error {
	client, err := s.listener.Accept()
	if err != nil {
		return nil // closed, because pg_dump ended without ever connecting, and it says why
	}
	if !s.use(client) {
		return nil
	}
	defer s.close()
	// a pg_dump that gives up asks to cancel its query by a second connection, and would wait for ever
	_ = s.listener.Close()
	if err := s.greet(client); err != nil {
		return fmt.Errorf("let pg_dump in: %w", err)
	}
	go func() {
		_, _ = io.Copy(s.server.Conn, client) // pg_dump says what went wrong
		s.close()
	}()
	_, _ = io.Copy(client, s.server.Conn) // as above
	return nil
}

// greet plays the server's part at the begin of a connection (PostgreSQL documentation,
// "Message Flow, Start-up"), for a client that has nothing to prove: it got this far.
func (s *session) greet(client net.Conn) error {
	backend := pgproto3.NewBackend(client, client)
	for {
		message, err := backend.ReceiveStartupMessage()
		if err != nil {
			return err
		}
		if _, ok := message.(*pgproto3.StartupMessage); ok {
			break
		}
		if _, err := client.Write([]byte{'N'}); err != nil { // no encryption within this machine
			return err
		}
	}
	backend.Send(&pgproto3.AuthenticationOk{})
	for name, value := range s.server.ParameterStatuses {
		backend.Send(&pgproto3.ParameterStatus{Name: name, Value: value})
	}
	backend.Send(&pgproto3.BackendKeyData{SecretKey: make([]byte, 4)}) // it cancels nothing
	backend.Send(&pgproto3.ReadyForQuery{TxStatus: s.server.TxStatus})
	return backend.Flush()
}

// use notes pg_dump's end, so that close can close it, and reports false when it is too
// late.
func (s *session) use(client net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = client
	if s.done {
		_ = client.Close()
	}
	return !s.done
}

// close ends everything; it may be called often, and from several goroutines.
func (s *session) close() {
	s.once.Do(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.done = true
		_ = s.server.Conn.Close() // the server rolls back what only read
		if s.used != nil {
			_ = s.used.Close()
		}
		if s.listener != nil {
			_ = s.listener.Close()
		}
		if s.dir != "" {
			_ = os.RemoveAll(s.dir) // it is empty, and lies where the system cleans up
		}
	})
}
