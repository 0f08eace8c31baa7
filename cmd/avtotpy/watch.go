package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/avtotpy/avtotpy/migrate"
)

// A watch audits the role of the web server while it serves. RUN has made the role's
// rights right before; in SKIP, and when somebody changes them meanwhile, this is who
// says so.
type watch struct {
	migrator *migrate.Migrator
	pool     *pgxpool.Pool
	health   *health
	log      *slog.Logger
	findings []string // of the last audit, warnings aside
	drift    string   // that the last comparison found
}

const (
	auditEvery = 5 * time.Minute
	retryAudit = 10 * time.Second // while the schema is not current, or the database does not answer
	afterProof = 3 * time.Second  // which has found nothing wrong, and has not looked for warnings; requests come first
)

// run audits after a while and then now and then, until ctx ends.
func (w *watch) run(ctx context.Context, next time.Duration) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(next):
		}
		if next = auditEvery; !w.audit(ctx) {
			next = retryAudit
		}
	}
}

// audit reports whether there was something to judge and no right missing to look: only
// the rights on a schema that is current can be judged as a whole. Why there was not,
// others say.
func (w *watch) audit(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		w.lockedOut(err)
		return false
	}
	defer conn.Release()
	v, err := w.migrator.VerifyOver(ctx, conn.Conn())
	if v.Audit == nil {
		return false
	}
	w.found(*v.Audit)
	if v.Compared {
		w.compared(v.Drift)
	}
	return err == nil
}

// compared tells of a schema that is not as its migrations make it: a policy or a trigger that
// none of them made changes what the role's privileges let it do. It serves all the same.
func (w *watch) compared(drift []migrate.Drift) {
	var lines []string
	for _, d := range drift {
		lines = append(lines, d.String())
	}
	defer w.health.compared(len(drift))
	before := w.drift
	switch w.drift = shortened(lines); w.drift {
	case before:
	case "":
		w.log.Info("the schema is as its migrations make it now")
	default:
		w.log.Warn("THE SCHEMA IS NOT AS ITS MIGRATIONS MAKE IT: avtotpy migrate verify prints what differs, and "+
			"the SQL that undoes it", "differences", w.drift)
	}
}

// lockedOut tells of the one finding that an audit cannot make.
func (w *watch) lockedOut(err error) {
	const checksConnect = "CheckMyDatabase" // the function of the server
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok && lacksRight(err) && refusal.Routine == checksConnect {
		config := w.pool.Config().ConnConfig
		w.found(migrate.Audit{
			Role:     config.User,
			Findings: []migrate.Finding{{Severity: migrate.Missing, What: "CONNECT ON DATABASE " + config.Database}},
		})
	}
}

func (w *watch) found(a migrate.Audit) {
	w.health.audited(a)
	findings := grave(a)
	if !slices.Equal(findings, w.findings) {
		w.findings = findings
		w.say(a)
	}
}

// grave are the findings of an audit, warnings aside.
func grave(a migrate.Audit) []string {
	var findings []string
	for _, f := range a.Findings {
		if f.Severity != migrate.Warn {
			findings = append(findings, f.String())
		}
	}
	return findings
}

func (w *watch) say(a migrate.Audit) {
	if len(w.findings) == 0 {
		w.log.Info("the web server's role holds exactly the declared privileges now", "role", a.Role)
		return
	}
	w.log.Warn("THE WEB SERVER'S ROLE IS NOT WHAT IT SHOULD BE: avtotpy migrate verify prints the SQL that mends "+
		"it, and a start in mode RUN does most of it",
		"role", a.Role, "excess", a.Count(migrate.Excess), "missing", a.Count(migrate.Missing), "findings",
		shortened(w.findings))
}

// shortened is a list that still fits a line of a log.
func shortened(list []string) string {
	const most = 8
	if len(list) <= most {
		return strings.Join(list, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(list[:most], "; "), len(list)-most)
}
