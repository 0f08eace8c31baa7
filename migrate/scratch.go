package migrate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A scratch is a blank database on the same server, for one rehearsal.
type scratch struct {
	*run       // on the database that is rehearsed for
	conn       *pgconn.PgConn
	name       string
	pooled     bool   // a pooler is in between
	options    string // of CREATE DATABASE
	beginsWith string // what the names of all of them begin with
	mark       string // the comment that tells them from other databases, quoted
}

// withScratch makes a blank database that takes text as the one at hand does, and drops
// it when f returns, whatever has happened.
func (r *run) withScratch(ctx context.Context, conn *pgconn.PgConn, s seen, f func(scratch) error) (err error) {
	if !s.Me.CreatesDB && !s.Me.Superuser {
		return mayNotCreateDatabases(s.Me.Name)
	}
	c, err := r.newScratch(ctx, conn)
	if err != nil {
		return err
	}
	if !c.pooled { // these statements have no transaction for SET LOCAL; a pooler's session is not ours to change
		if err := r.order(ctx, conn, "SET statement_timeout = 0; SET lock_timeout = 0; SET "+
			"default_transaction_read_only = off"); err != nil {
			return err
		}
	}
	c.sweep(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// Not to be cancelled half-way: the server would finish it, and nobody know.
	create, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), r.Wait, pg.SilentError(r.Wait))
	defer cancel()
	said := r.silence("a scratch database, for which the server makes a checkpoint and copies files")
	err = r.order(create, conn, "CREATE DATABASE "+sqltext.QuoteName(c.name)+" "+c.options)
	said()
	switch {
	case pg.SQLState(err) == pg.InsufficientPrivilege:
		return mayNotCreateDatabases(s.Me.Name)
	case err != nil:
		return fmt.Errorf("create a scratch database: %w", err)
	}
	defer func() { // the rehearsal says the same when its database stays a while
		if undropped := c.drop(ctx); undropped != nil {
			r.Log.Warn("after the rehearsal", "error", undropped)
		}
	}()
	if err := r.order(create, conn, "COMMENT ON DATABASE "+sqltext.QuoteName(c.name)+" IS "+c.mark); err != nil {
		return fmt.Errorf("mark the scratch database: %w", err)
	}
	r.Log.Info("made a scratch database", "database", c.name)
	return f(c)
}

func mayNotCreateDatabases(me string) error {
	return &pg.PrivilegeError{
		Lacks: fmt.Sprintf("the role %q may not create databases, and a rehearsal needs a scratch one; a rehearsal "+
			"with the data, on a restored copy, does without", me),
		SQL: []string{"ALTER ROLE " + sqltext.QuoteName(me) + " CREATEDB"},
	}
}

// newScratch names a database after the server process that makes it, so that it can be
// told whether that is gone, even when it died before it could write a comment.
func (r *run) newScratch(ctx context.Context, conn *pgconn.PgConn) (scratch, error) {
	c := scratch{run: r, conn: conn}
	answers, err := pg.Batch(ctx, conn, `SELECT json_build_object('pid', a.pid, 'start', (extract(epoch FROM backend_start) * 1000000)::bigint,
			'encoding', pg_encoding_to_char(encoding), 'provider', datlocprovider, 'collate', datcollate, 'ctype', datctype,
			'locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', ''), 'rules', coalesce(to_jsonb(d) ->> 'daticurules', ''))
		FROM pg_database d, pg_stat_activity a WHERE d.datname = current_database() AND a.pid = pg_backend_pid()`)
	if err != nil {
		return c, err
	}
	var here struct {
		localeSeen
		PID   int   `json:"pid"`
		Start int64 `json:"start"`
	}
	if err := answers[0].Decode(&here); err != nil {
		return c, err
	}
	const longest = 24 // of a name of 63 bytes
	program := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(r.Program), "_")
	c.beginsWith = program[:min(len(program), longest)] + "_rehearsal_"
	c.name = fmt.Sprintf("%s%d_%d_%s", c.beginsWith, here.PID, here.Start, strings.ToLower(rand.Text()[:4]))
	c.mark = sqltext.QuoteText(fmt.Sprintf("scratch database of a rehearsal by %s; it holds nothing of value",
		r.Program))
	c.pooled = pg.IsPooled(conn, here.PID)
	c.options = here.createOptions()
	return c, nil
}

// A localeSeen is how a database takes text.
type localeSeen struct {
	Encoding string `json:"encoding"`
	Provider string `json:"provider"` // c libc, i ICU, b the server's own
	Collate  string `json:"collate"`
	Ctype    string `json:"ctype"`
	Locale   string `json:"locale"` // of a provider other than libc
	Rules    string `json:"rules"`
}

// createOptions are those of CREATE DATABASE. Only template0 goes with any encoding
// and locale, and nobody has added anything to it.
func (l localeSeen) createOptions() string {
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

// sweep drops what rehearsals left behind that were killed: databases with our kind of
// name and comment that nobody is connected to and whose maker is gone. One without
// any comment was made by somebody who did not live to write it. That a sweep fails is
// no reason not to rehearse.
func (c scratch) sweep(ctx context.Context) {
	answers, err := pg.Batch(ctx, c.conn, strings.NewReplacer("$begins", sqltext.QuoteText(c.beginsWith), "$mark", c.mark).Replace(`
		SELECT coalesce(json_agg(datname), '[]') FROM pg_database d, regexp_match(substr(datname, length($begins) + 1), '^([0-9]+)_([0-9]+)_[a-z0-9]+$') made
		WHERE starts_with(datname, $begins) AND made IS NOT NULL AND pg_has_role(datdba, 'USAGE')
			AND coalesce(shobj_description(d.oid, 'pg_database'), $mark) = $mark
			AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid AND a.usesysid IS NOT NULL -- not autovacuum, which DROP DATABASE ends
				OR a.pid::text = made[1] AND (backend_start IS NULL OR (extract(epoch FROM backend_start) * 1000000)::bigint::text = made[2]))`))
	var left []string
	if err == nil {
		err = answers[0].Decode(&left)
	}
	for _, name := range left {
		if err == nil {
			// without FORCE: whoever is there by now is at work
			err = c.order(ctx, c.conn, "DROP DATABASE IF EXISTS "+sqltext.QuoteName(name))
		}
		if err == nil {
			c.Log.Info("dropped the scratch database of a rehearsal that was killed", "database", name)
		}
	}
	if err != nil {
		c.Log.Warn("scratch databases of rehearsals that were killed could not be looked for or dropped", "error", err)
	}
}

// drop works with a context that has ended, too, and when the connection is lost. Without
// FORCE the server ends an autovacuum worker itself; with it, it wants a right for that, but
// ends a pooler's idle connections. A monitoring agent of another role goes away by itself, and
// does not come back to a database that takes no connections.
func (c scratch) drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	conn, database := c.conn, sqltext.QuoteName(c.name)
	ask := func(sql string) error {
		err := c.order(ctx, conn, sql)
		if _, lost := errors.AsType[*pg.ConnLostError](err); lost {
			if conn, err = c.connect(ctx); err == nil {
				err = c.order(ctx, conn, sql)
			}
		}
		return err
	}
	defer func() {
		if conn != c.conn && conn != nil {
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
		select {
		case <-ctx.Done():
			return c.undropped(err, plain)
		case <-time.After(time.Second):
		}
		err = ask(plain)
	}
	if err != nil {
		return c.undropped(err, plain)
	}
	return nil
}

func (c scratch) undropped(err error, sql string) error {
	return fmt.Errorf("the scratch database %s could not be dropped, which the next rehearsal tries again: %w. "+
		"By hand: %s", c.name, err, sql)
}

// enter connects to the scratch database. It tries once: the server was there a moment
// ago, and when it is not, the rehearsal begins again.
func (c scratch) enter(ctx context.Context, r *run) (*pgconn.PgConn, error) {
	r.config.Database = c.name // for its heartbeat, too
	conn, err := pg.Connect(ctx, r.config)
	if err == nil {
		return conn, nil
	}
	if !c.pooled && pg.IsTemporary(err) {
		return nil, &pg.ConnLostError{Err: err}
	}
	failed := r.connectError(err, 0)
	if e, ok := errors.AsType[*ConnectError](failed); ok && c.pooled {
		e.Next = "It was made a moment ago, and the pooler in between does not know it: put the server's own " +
			"address into the connection string, or rehearse with the data on a restored copy"
	}
	return nil, failed
}
