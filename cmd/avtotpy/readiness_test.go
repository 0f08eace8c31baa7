package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/internal/database"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// TestClocksThatDifferAreAWarning: once when it begins and once when it ends, and not where a slow answer may be the
// reason.
func TestClocksThatDifferAreAWarning(t *testing.T) {
	t.Parallel()
	said := new(pgtest.Output)
	f := &readinessCheck{log: slog.New(slog.NewTextHandler(said, nil)), clockAhead: func(float64) {}}
	for _, c := range []struct {
		ahead, within time.Duration
		want          string
		lines         int // of the log so far
	}{
		{0, 0, "", 0},
		{5 * time.Second, time.Millisecond, "", 0},
		{-4 * time.Second, 0, "", 0},
		{7 * time.Second, 3 * time.Second, "", 0},
		{time.Hour, time.Millisecond, "1h0m0s ahead of this server's", 1},
		{59 * time.Minute, time.Millisecond, "59m0s ahead of this server's", 1},
		{-6 * time.Second, 0, "6s behind this server's", 1},
		{time.Second, 0, "", 2},
		{-time.Hour, 0, "1h0m0s behind this server's", 3},
	} {
		f.compareClocks(database.Facts{Ahead: c.ahead, Within: c.within})
		if (f.warning == "") != (c.want == "") || !strings.Contains(f.warning, c.want) {
			t.Errorf("%s ahead, within %s: got %q, want %q", c.ahead, c.within, f.warning, c.want)
		}
		if n := strings.Count(said.String(), "\n"); n != c.lines {
			t.Errorf("%s ahead: %d lines of log, want %d:\n%s", c.ahead, n, c.lines, said)
		}
	}
}

// TestAStandbyAloneIsNotReady: until it is promoted.
func TestAStandbyAloneIsNotReady(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	l := startServing(t, p.conn()).load(2)
	l.awaitWrite(time.Now())
	p.first.refuse()
	l.awaitUnready("the database")
	l.awaitRefused()
	p.Kill(t) // or it would go on as a second primary
	p.promote(t)
	l.awaitWrite(time.Now())
	l.awaitReady()
	l.report(2)
}

// readinessCheckOf asks about a database, with keys that fit, and logs to said.
func readinessCheckOf(s service, web *database.DB, said io.Writer) *readinessCheck {
	return &readinessCheck{
		migrator: s.migrator, db: web, log: slog.New(slog.NewTextHandler(said, nil)),
		inspected: func(migrate.Status) {}, clockAhead: func(float64) {},
		prepare: func(context.Context) error { return nil },
		keys:    func(context.Context) error { return nil },
	}
}

// TestAServerThatStaysWithAStandbySaysWhy, for its DB finds a primary, and has nothing to say.
func TestAServerThatStaysWithAStandbySaysWhy(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	hosts := fmt.Sprintf("%s host=127.0.0.1,127.0.0.1 port=%s,%s sslmode=disable", p.WebConn, p.second.port(),
		p.first.port())
	for _, attributes := range []string{"any", "prefer-standby"} {
		t.Run(attributes, func(t *testing.T) {
			s := serviceOf(t, hosts+" target_session_attrs="+attributes, "")
			web, err := openDatabase(t.Context(), s.cfg, s.observers.Log())
			if err != nil {
				t.Fatal(err)
			}
			defer web.Close()
			web.Watch(t.Context())
			said := new(pgtest.Output)
			f := readinessCheckOf(s, web, said)
			pgtest.Eventually(t, "it is said", func() error {
				err := f.check(t.Context())
				return pgtest.Unless(errors.Is(err, errReadOnly) &&
					strings.Contains(said.String(), "target_session_attrs"), "%v, the log is %s", err, said)
			})
		})
	}
}

// TestAnErrorThatTheDatabaseAnswersIsLogged, for nothing else is: to its DB such a server is not away.
func TestAnErrorThatTheDatabaseAnswersIsLogged(t *testing.T) {
	t.Parallel()
	answered := &pgconn.PgError{Severity: "ERROR", Code: "42P05", Message: "prepared statement \"s\" already exists"}
	for _, c := range []struct {
		err, want error
		logged    bool
	}{
		{answered, errFails, true},
		{fmt.Errorf("check the keys: %w", answered), errFails, true},
		{&pgconn.PgError{Severity: "FATAL", Code: "57P01"}, errNoAnswer, false},
		{&database.AwayError{Why: answered}, errNoAnswer, false},
		{io.ErrUnexpectedEOF, errNoAnswer, false},
		{&pgconn.PgError{Severity: "ERROR", Code: "42501"}, errLacks, true},
		{&pgconn.PgError{Severity: "ERROR", Code: "55P03"}, errSlow, false},
		{&pgconn.PgError{Severity: "FATAL", Code: "53300"}, errLacking, false}, // its DB logs it once a minute
		{&database.AwayError{Why: &pgconn.PgError{Severity: "FATAL", Code: "53300"}}, errLacking, false},
	} {
		said := new(pgtest.Output)
		f := &readinessCheck{log: slog.New(slog.NewTextHandler(said, nil))}
		if got := f.inPublic("the database fails", c.err); !errors.Is(got, c.want) ||
			(said.String() != "") != c.logged {
			t.Errorf("%v: got %v, want %v; the log is %q", c.err, got, c.want, said.String())
		}
	}
}
