package pg

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Configure sets what each of our connections has: a name in pg_stat_activity, and limits. Of several hosts it goes to
// the primary, unless the connection string names another choice.
func Configure(config *pgconn.Config, program, version string, chosen bool) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second // a host that swallows packets must not use up the time to connect
	}
	config.RuntimeParams["application_name"] = fmt.Sprintf("%.63s", strings.ToLower(program)+"-migrator/"+version)
	// What PgBouncer keeps for each of its clients, also for a file without a transaction.
	config.RuntimeParams["DateStyle"], config.RuntimeParams["TimeZone"] = "ISO, MDY", "UTC"
	config.DialFunc = Dial
	if !chosen && SeveralHosts(config) {
		// Not read-write, which a primary is not either when a DBA's default_transaction_read_only says so.
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
}

// Connect connects once. A server, or a pooler that is paused, which lets the program in and then stays silent, is an
// error after the connect timeout of the configuration.
func Connect(ctx context.Context, config *pgconn.Config) (*pgconn.PgConn, error) {
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return conn, prepare(ctx, conn, config.ConnectTimeout)
}

// ConnectForQueries is Connect for a caller that also sends statements with arguments.
func ConnectForQueries(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return conn, prepare(ctx, conn.PgConn(), config.ConnectTimeout)
}

// prepare makes a new connection fit for our statements; when that fails, it is closed.
func prepare(ctx context.Context, conn *pgconn.PgConn, timeout time.Duration) error {
	err := CheckServer(conn.ParameterStatus)
	if err != nil {
		Discard(ctx, conn)
		return err
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err = speakUTF8(limited, conn); err == nil {
		return nil
	}
	Discard(ctx, conn) // at once, for it may go on to be silent
	if limited.Err() != nil {
		return fmt.Errorf("no answer to the first statement for %s: %w", timeout, limited.Err())
	}
	return err
}

// speakUTF8 makes sure that the server reads files as they are written, where a
// DBA's defaults say otherwise. Poolers keep both settings per client.
func speakUTF8(ctx context.Context, conn *pgconn.PgConn) error {
	for setting, value := range map[string]string{"client_encoding": "UTF8", "standard_conforming_strings": "on"} {
		if conn.ParameterStatus(setting) == value {
			continue
		}
		if _, err := conn.Exec(ctx, "SET "+setting+" = "+value).ReadAll(); err != nil {
			return err
		}
	}
	return nil
}

// Close closes a connection and waits, for a moment, until the server has heard of it.
func Close(ctx context.Context, conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // it is being given up either way
	select {
	case <-conn.CleanupDone():
	case <-ctx.Done():
	}
}

// SeveralHosts reports whether a configuration names more than one server.
func SeveralHosts(config *pgconn.Config) bool {
	for _, f := range config.Fallbacks { // pgx also keeps the same host without TLS there
		if f.Host != config.Host || f.Port != config.Port {
			return true
		}
	}
	return false
}
