package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/avtotpy/avtotpy/migrate"
)

// A fitness tells whether the schema is fit for this program, as the web server's
// own role sees it. It remembers the answer for a moment, so that it may be asked
// for each request; a schema that another process migrates becomes fit without a
// restart.
type fitness struct {
	migrator *migrate.Migrator
	pool     *pgxpool.Pool
	log      *slog.Logger
	prepare  func(context.Context) error // what must succeed once before the first request is served
	audited  func(migrate.Audit)         // told what the web server's role can do, now and then

	mu       sync.Mutex
	asked    time.Time
	answer   error
	prepared bool
	audit    time.Time // when the role was audited last
	findings []string  // what was found then, warnings aside
	said     string    // the last complaint
}

// These keep what a driver says of hosts and users off the pages; the log has it.
var (
	errNoAnswer = errors.New("the database does not answer; try again in a moment")
	errLacks    = errors.New("the web server's user lacks a right in the database; \"avtotpy migrate verify\" lists what is missing")
	errRefused  = errors.New("the database does not let the web server in: the migrations, which create its user, have not run yet, or its password is wrong")
)

const (
	fitFor    = 5 * time.Second // how long a good answer holds
	unfitFor  = time.Second     // and a bad one
	askAtMost = 3 * time.Second
	auditFor  = 5 * time.Minute // how long an audit of the role's rights holds
)

// check returns nil when requests can be served, and otherwise why not, in words
// that a visitor may read.
func (f *fitness) check(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	holds := fitFor
	if f.answer != nil {
		holds = unfitFor
	}
	if !f.asked.IsZero() && time.Since(f.asked) < holds {
		return f.answer
	}
	// The answer is for all, not only for the request that happens to ask.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askAtMost)
	defer cancel()
	before := f.answer
	f.answer = f.ask(ctx)
	f.asked = time.Now()
	f.logChange(before)
	return f.answer
}

func (f *fitness) ask(ctx context.Context) error {
	conn, err := f.pool.Acquire(ctx)
	if err != nil {
		f.complain("the web server's connection to the database fails", err)
		if isRefusal(err) {
			return errRefused
		}
		return errNoAnswer
	}
	defer conn.Release()
	status, err := f.look(ctx, conn.Conn())
	if err != nil {
		f.complain("the schema's state cannot be read", err)
		return errNoAnswer
	}
	if err := status.Err(); err != nil {
		return err
	}
	if len(status.TooMuch) > 0 && !f.prepared { // RUN has refused it before
		f.log.Warn("POSTGRES_CONNECTION_STR connects as a role that could do more than a web server should; use the one that the migrator creates",
			"role", status.Role, "it", strings.Join(status.TooMuch, ", "))
	}
	if f.prepared {
		return nil
	}
	switch err := f.prepare(ctx); {
	case is[*settingsError](err):
		return err
	case err != nil:
		f.complain("the database fails", err)
		if lacks, ok := errors.AsType[*pgconn.PgError](err); ok && lacks.Code == "42501" {
			return errLacks
		}
		return errNoAnswer
	}
	f.prepared = true
	return nil
}

// complain logs a failure when it is a new one: it is met at each question.
func (f *fitness) complain(what string, err error) {
	if said := what + err.Error(); said != f.said {
		f.said = said
		f.log.Error(what, "error", err)
	}
}

// look asks for the state of the schema, and now and then also what the role can
// do, which costs a little more. RUN has made the role's rights right; in SKIP, and
// when somebody changes them while the server runs, this is who says so.
func (f *fitness) look(ctx context.Context, conn *pgx.Conn) (migrate.Status, error) {
	if time.Since(f.audit) < auditFor {
		return f.migrator.StatusOver(ctx, conn)
	}
	v, err := f.migrator.VerifyOver(ctx, conn)
	if err != nil || v.Audit == nil { // only the rights of a schema that is current can be judged
		return v.Status, err
	}
	f.audit = time.Now()
	f.audited(*v.Audit)
	var findings []string
	for _, finding := range v.Audit.Findings {
		if finding.Severity != migrate.Warn {
			findings = append(findings, finding.String())
		}
	}
	if !slices.Equal(findings, f.findings) {
		f.findings = findings
		f.logFindings(v)
	}
	return v.Status, nil
}

func (f *fitness) logFindings(v migrate.Verification) {
	if len(f.findings) == 0 {
		f.log.Info("the web server's role holds exactly the declared privileges now", "role", v.Audit.Role)
		return
	}
	f.log.Warn("THE WEB SERVER'S ROLE IS NOT WHAT IT SHOULD BE: avtotpy migrate verify prints the SQL that mends it, and a start in mode RUN does most of it",
		"role", v.Audit.Role, "excess", v.Audit.Count(migrate.Excess), "missing", v.Audit.Count(migrate.Missing), "findings", shortened(f.findings))
}

// shortened is a list that still fits a line of a log.
func shortened(list []string) string {
	const most = 8
	if len(list) <= most {
		return strings.Join(list, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(list[:most], "; "), len(list)-most)
}

// isRefusal reports that the server is there and knows no such user, password or
// database.
func isRefusal(err error) bool {
	const noSuchUser, wrongPassword, noSuchDatabase = "28000", "28P01", "3D000"
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains([]string{noSuchUser, wrongPassword, noSuchDatabase}, refusal.Code)
}

func (f *fitness) logChange(before error) {
	switch {
	case f.answer == nil && before != nil:
		f.said = ""
		f.log.Info("ready: the schema is fit now")
	case f.answer != nil && (before == nil || before.Error() != f.answer.Error()):
		f.log.Error("NOT READY: requests are answered with 503 until this is mended", "reason", f.answer)
	}
}
