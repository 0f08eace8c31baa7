package rehearse

import (
	"context"
	"crypto/rand"
	_ "embed" // for long questions
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/connstring"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// A scratch is a blank database on the same server, for one rehearsal.
type scratch struct {
	*rehearsal
	conn       *pgconn.PgConn // to the database that is rehearsed for
	name       string
	connString string
	pooled     bool   // a pooler is in between
	options    string // of CREATE DATABASE
	beginsWith string // what the names of all of them begin with
	mark       string // the comment by which they are known, quoted
}

// withScratch makes a blank database that takes text as the one at hand does, and drops
// it when f returns, whatever has happened.
func (r *rehearsal) withScratch(ctx context.Context, f func(*scratch) error) error {
	conn, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { pg.Close(ctx, conn) }()
	s, err := r.newScratch(ctx, conn)
	if err != nil {
		return err
	}
	if !s.pooled { // these statements have no transaction for SET LOCAL; a pooler's session is not ours to change
		if err := pg.Do(ctx, conn, "SET statement_timeout = 0; SET lock_timeout = 0; SET "+
			"default_transaction_read_only = off"); err != nil {
			return err
		}
	}
	s.dropStale(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// Not to be cancelled half-way: the server would finish it, unseen.
	create, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), r.Wait, pg.SilentError(r.Wait))
	defer cancel()
	r.Log.Info("making a scratch database, for which the server writes a checkpoint and copies files", "database", s.name)
	err = pg.Do(create, conn, "CREATE DATABASE "+sqltext.QuoteName(s.name)+" "+s.options)
	switch pg.SQLState(err) {
	case pg.InsufficientPrivilege:
		return mayNotCreateDatabases(r.report.Status.Role)
	case pg.ReadOnlyTransaction:
		return &migrate.StandbyError{}
	}
	if err != nil {
		return fmt.Errorf("create a scratch database: %w", err)
	}
	defer func() { // the rehearsal says the same when its database stays a while
		if undropped := s.drop(ctx); undropped != nil {
			r.Log.Warn("after the rehearsal", "error", undropped)
		}
	}()
	if err := pg.Do(create, conn, "COMMENT ON DATABASE "+sqltext.QuoteName(s.name)+" IS "+s.mark); err != nil {
		return fmt.Errorf("mark the scratch database: %w", err)
	}
	r.Log.Info("made a scratch database", "database", s.name)
	return f(s)
}

// connect tries once: the server was there a moment ago, and when it is not, the rehearsal begins again.
func (r *rehearsal) connect(ctx context.Context) (*pgconn.PgConn, error) {
	parsed, err := connstring.ParseConfig(r.connString)
	if err != nil {
		return nil, fmt.Errorf("the connection string: %w", err)
	}
	_, named := connstring.Parameter(r.connString, "target_session_attrs")
	pg.Configure(&parsed.Config, r.Program, r.Version, named)
	conn, err := pg.Connect(ctx, &parsed.Config)
	if err != nil {
		return nil, &pg.ConnLostError{Err: err}
	}
	return conn, nil
}

func mayNotCreateDatabases(me string) error {
	return &migrate.PrivilegeError{
		Lacks: fmt.Sprintf("the role %q may not create databases, and a rehearsal needs a scratch one; a migration of "+
			"a restored copy that reports its impact does without", me),
		SQL: []string{"ALTER ROLE " + sqltext.QuoteName(me) + " CREATEDB"},
	}
}

//go:embed scratch.sql
var askHere string

// newScratch names a database after the server process that makes it, so that it can be
// known whether that is gone, even when it died before it could write a comment.
func (r *rehearsal) newScratch(ctx context.Context, conn *pgconn.PgConn) (*scratch, error) {
	var here struct {
		locale
		PID   int   `json:"pid"`
		Start int64 `json:"start"`
	}
	if err := pg.Ask(ctx, conn, askHere, &here); err != nil {
		return nil, err
	}
	const longest = 24 // of a name of 63 bytes
	program := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(r.Program), "_")
	s := &scratch{
		rehearsal: r, conn: conn, pooled: pg.IsPooled(conn, here.PID), options: here.createOptions(),
		beginsWith: program[:min(len(program), longest)] + "_rehearsal_",
		mark: sqltext.QuoteText(fmt.Sprintf("scratch database of a rehearsal by %s; it holds nothing of value",
			r.Program)),
	}
	s.name = fmt.Sprintf("%s%d_%d_%s", s.beginsWith, here.PID, here.Start, strings.ToLower(rand.Text()[:4]))
	s.connString = connstring.WithDatabase(r.connString, s.name)
	return s, nil
}

// migrator is one that works on the scratch database: in silence, and without the service's role, which all databases
// of the server share.
func (s *scratch) migrator(b bundle.Bundle) *migrate.Migrator {
	m := s.Migrator
	m.Bundle, m.Role, m.Progress, m.Log = b, privilege.Role{}, nil, slog.New(slog.DiscardHandler)
	if s.pooled { // which does not get to know the database by itself
		m.ConnectWait = min(m.ConnectWait, 5*time.Second)
	}
	return &m
}

// unknownToPooler says why a pooler does not connect to a scratch database.
func (s *scratch) unknownToPooler(err error) error {
	if e, ok := errors.AsType[*migrate.ConnectError](err); ok && s.pooled {
		e.Next = "It was made a moment ago, and the pooler in between does not know it: put the server's own " +
			"address into the connection string"
	}
	return err
}

// A locale is how a database takes text.
type locale struct {
	Encoding string `json:"encoding"`
	Provider string `json:"provider"` // c libc, i ICU, b the server's own
	Collate  string `json:"collate"`
	Ctype    string `json:"ctype"`
	Locale   string `json:"locale"` // of a provider other than libc
	Rules    string `json:"rules"`
}

// createOptions are those of CREATE DATABASE. Only template0 goes with any encoding
// and locale, and holds nothing but what the server made.
func (l locale) createOptions() string {
	options := "TEMPLATE template0 ENCODING " + sqltext.QuoteText(l.Encoding) + " LC_COLLATE " +
		sqltext.QuoteText(l.Collate) +
		" LC_CTYPE " + sqltext.QuoteText(l.Ctype)
	switch l.Provider {
	case "i":
		options += " LOCALE_PROVIDER icu ICU_LOCALE " + sqltext.QuoteText(l.Locale)
	case "b":
		options += " LOCALE_PROVIDER builtin BUILTIN_LOCALE " + sqltext.QuoteText(l.Locale)
	default:
		options += " LOCALE_PROVIDER libc"
	}
	if l.Rules != "" {
		options += " ICU_RULES " + sqltext.QuoteText(l.Rules)
	}
	return options
}

//go:embed stale.sql
var askStale string

// dropStale drops what rehearsals left behind that were killed: databases with our kind of
// name and comment that no session is connected to and whose maker is gone. One without
// any comment is of a rehearsal that did not live to write it. That this fails is
// not a reason not to rehearse.
func (s *scratch) dropStale(ctx context.Context) {
	var stale []string
	err := pg.Ask(ctx, s.conn, strings.NewReplacer(
		":'begins'", sqltext.QuoteText(s.beginsWith), ":'mark'", s.mark).Replace(askStale), &stale)
	for _, name := range stale {
		if err == nil {
			// without FORCE: a session that is there by now is at work
			err = pg.Do(ctx, s.conn, "DROP DATABASE IF EXISTS "+sqltext.QuoteName(name))
		}
		if err == nil {
			s.Log.Info("dropped the scratch database of a rehearsal that was killed", "database", name)
		}
	}
	if err != nil {
		s.Log.Warn("scratch databases of rehearsals that were killed could not be looked for or dropped", "error", err)
	}
}

// drop works with a context that has ended, too, and when the connection is lost. Without
// FORCE the server ends an autovacuum worker itself; with it, it wants a privilege for that, but
// ends a pooler's idle connections. A monitoring agent of another role goes away by itself, and
// does not come back to a database that takes no connections.
func (s *scratch) drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	conn, database := s.conn, sqltext.QuoteName(s.name)
	ask := func(sql string) error {
		err := pg.Do(ctx, conn, sql)
		if _, lost := errors.AsType[*pg.ConnLostError](err); lost {
			if again, err := s.reconnect(ctx); err == nil {
				conn = again
				return pg.Do(ctx, conn, sql)
			}
		}
		return err
	}
	defer func() {
		if conn != s.conn {
			pg.Close(ctx, conn)
		}
	}()
	plain := "DROP DATABASE IF EXISTS " + database
	err := ask("ALTER DATABASE " + database + " ALLOW_CONNECTIONS false")
	if err == nil {
		err = ask(plain)
	}
	for pg.SQLState(err) == pg.ObjectInUse || pg.SQLState(err) == pg.InsufficientPrivilege {
		if forced := ask(plain + " WITH (FORCE)"); forced == nil {
			return nil
		}
		if pg.Sleep(ctx, time.Second) != nil {
			break
		}
		err = ask(plain)
	}
	if err != nil {
		return fmt.Errorf("the scratch database %s could not be dropped, which the next rehearsal tries again: %w. "+
			"By hand: %s", s.name, err, plain)
	}
	return nil
}

// reconnect tries for a moment: the server may be starting again.
func (s *scratch) reconnect(ctx context.Context) (conn *pgconn.PgConn, err error) {
	var backoff pg.Backoff
	for began := time.Now(); ; {
		conn, err = s.connect(ctx)
		lost, ok := errors.AsType[*pg.ConnLostError](err)
		if !ok || !pg.IsTemporary(lost.Err) || time.Since(began) > s.ConnectWait {
			return conn, err
		}
		if pg.Sleep(ctx, backoff.Next()) != nil {
			return nil, err
		}
	}
}
