package migrate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/connstring"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/redact"
)

// parseConfig reads the connection string, which has to be one that cannot be misread.
func (r *run) parseConfig(connString string) (*pgx.ConnConfig, error) {
	parsed, err := connstring.ParseConfig(connString)
	if err != nil {
		return nil, fmt.Errorf("the connection string: %w", err)
	}
	config := &parsed.Config
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { r.notice(n) }
	_, named := connstring.Parameter(connString, "target_session_attrs")
	pg.Configure(config, r.Program, r.Version, named)
	return parsed, nil
}

// connect tries until the database answers: it may be starting up, be full, or
// its name may not be known yet. It does not try again what cannot get better.
func (r *run) connect(ctx context.Context) (conn *pgconn.PgConn, err error) {
	err = r.connecting(ctx, func(ctx context.Context) (err error) {
		conn, err = pg.Connect(ctx, r.config)
		return err
	})
	return conn, err
}

// connecting is connect with another way to make an attempt.
func (r *run) connecting(ctx context.Context, attempt func(context.Context) error) error {
	r.phase(Connecting)
	started := time.Now()
	tries, limit := r.connectsIn()
	inTime, cancel := context.WithTimeoutCause(ctx, limit, errors.New("the time to connect is over"))
	defer cancel()
	attempts := pause{budget: tries}
	defer r.silence("a connection")()
	var last error
	for {
		err := attempt(inTime)
		over := inTime.Err() != nil || time.Since(started) >= tries // a dial may notice before inTime does
		if err != nil && over && last != nil {
			err = last // and not that the time was over in the middle of an attempt
		}
		last = err
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !pg.IsTemporary(err) || over:
			return r.connectError(err, time.Since(started))
		case !attempts.backoff.Begun():
			r.Log.Info("the database does not answer yet; trying again", "for", tries, "error", pg.Reason(err))
		}
		r.teller.change(func(now *Progress) { now.WaitsFor = pg.Reason(err).Error() })
		attempts.waited = time.Since(started)
		if attempts.before(inTime, &retryError{err: err}) != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return r.connectError(err, time.Since(started))
		}
	}
}

// notice passes on the notices of the server.
//
// Of one message it passes on so many: an event trigger may have hundreds of lines to say.
func (r *run) notice(n *pgconn.Notice) {
	const most = 20
	switch said := r.notices.Add(1); {
	case said == most+1:
		r.Log.Info("the server says more, which is not logged")
		return
	case said > most:
		return
	}
	source := ""
	if sent := r.answering.Load(); sent != nil {
		source = *sent
	}
	n = redact.Notice(n, source)
	switch n.SeverityUnlocalized {
	case "WARNING":
		r.Log.Warn("the server warns", "message", n.Message, "code", n.Code, "detail", n.Detail, "hint", n.Hint)
	case "DEBUG", "LOG":
		r.Log.Debug("the server says", "message", n.Message)
	default:
		r.Log.Info("the server says", "message", n.Message)
	}
}

func (r *run) connectError(err error, tried time.Duration) error {
	c := r.config
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok && refusal.Code == pg.InsufficientPrivilege {
		return pg.ConnectDenied(c, refusal)
	}
	address := net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
	if pg.SeveralHosts(c) {
		address += " (and the other hosts listed)"
	}
	cause := pg.Diagnose(err)
	next := cause.Next
	switch {
	case pg.SQLState(err) == pg.InvalidPassword && c.Password == "":
		next = "No password is given: put it into the connection string, PGPASSWORD or a password file"
	case c.SSLNegotiation == "direct" && pg.Closed(err):
		next = "Servers before PostgreSQL 17, and most poolers, close the connection at sslnegotiation=direct: " +
			"leave it out"
	}
	return &ConnectError{
		Target: fmt.Sprintf("%s as %q, database %q", address, c.User, c.Database),
		Tried:  tried, Next: next, Err: pg.Reason(err), settings: cause.Settings,
	}
}

// manyLosses of one file are rarely a chance.
const manyLosses = 3

// countLoss is called when a connection was lost, before anything else is done.
func (r *run) countLoss() {
	now, _ := r.teller.moment()
	if now.Phase != Applying || now.File == "" || now.File != r.losses.file {
		r.losses = losses{}
	}
	if now.Phase != Applying || now.File == "" {
		return
	}
	r.losses.file = now.File
	if r.losses.times++; r.losses.times == manyLosses {
		r.Log.Warn("the connection was lost several times in a row while the same file ran: the file may end its own "+
			"session, or crash the server, whose log says more", "file", now.File, "times", r.losses.times)
	}
}

// blameLosses makes an error about a connection name the file at which it was lost again and again.
func (r *run) blameLosses(err error) error {
	connect, ok := errors.AsType[*ConnectError](err)
	if ok && r.losses.times >= manyLosses {
		connect.Next = fmt.Sprintf("The connection was lost %d times in a row while %s ran, and the server "+
			"answered in "+
			"between: see whether the file ends its own session (pg_terminate_backend) or crashes the server, "+
			"whose log "+
			"says more", r.losses.times, r.losses.file)
	}
	return err
}
