package observe

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

	"github.com/avtotpy/avtotpy/internal/database"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// A RoleWatch audits the role of the web server, and compares the schema, while the program
// serves. RUN has corrected the role's privileges before; in SKIP, and when they are changed
// later, the watch notices and logs it.
type RoleWatch struct {
	migrator *migrate.Migrator
	pool     *pgxpool.Pool
	health   *health
	log      *slog.Logger
	first    time.Duration // to wait for before the first audit
	findings []string      // of the last audit, warnings aside
	drift    string        // of the last comparison
}

const (
	auditEvery = 5 * time.Minute
	retryAudit = 10 * time.Second // while the schema is not current, or the database does not answer
	afterProof = 3 * time.Second  // which has found nothing wrong, and did not look for warnings; requests come first
)

// WatchRole returns a watch for the role of the pool's connections, which migrator audits. proof is an audit that was
// just made, nil without one.
func (o *Observers) WatchRole(migrator *migrate.Migrator, pool *pgxpool.Pool, proof *privilege.Audit) *RoleWatch {
	w := &RoleWatch{migrator: migrator, pool: pool, health: o.health, log: o.log}
	if proof != nil {
		w.found(*proof)
		w.first = afterProof
	}
	return w
}

// Run audits now and then, until ctx ends.
func (w *RoleWatch) Run(ctx context.Context) {
	next := w.first
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

// audit reports whether there was something to judge and no privilege missing to judge it:
// only the privileges on a schema that is current can be judged as a whole. The reasons why
// there was not are logged elsewhere.
func (w *RoleWatch) audit(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		w.connectDenied(err)
		return false
	}
	defer conn.Release()
	v, err := w.migrator.Verify(ctx, conn.Conn())
	if v.Audit == nil {
		return false
	}
	w.found(*v.Audit)
	if v.Compared {
		w.compared(v.Drift)
	}
	return err == nil
}

// compared logs that a schema is not as its migrations make it: a policy or a trigger that
// none of them made changes what the role's privileges let it do. The program serves all the same.
func (w *RoleWatch) compared(drift []snapshot.Difference) {
	var lines []string
	for _, d := range drift {
		lines = append(lines, d.String())
	}
	defer w.health.compared(len(drift))
	before := w.drift
	switch w.drift = shorten(lines); w.drift {
	case before:
	case "":
		w.log.Info("the schema is as its migrations make it now")
	default:
		w.log.Warn("THE SCHEMA IS NOT AS ITS MIGRATIONS MAKE IT: avtotpy migrate verify prints what differs, and "+
			"the SQL that undoes it", "differences", w.drift)
	}
}

// connectDenied makes the one finding that an audit cannot make.
func (w *RoleWatch) connectDenied(err error) {
	const checksConnect = "CheckMyDatabase" // the function of the server
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	if ok && database.KindOf(err) == database.Unprivileged && refusal.Routine == checksConnect {
		config := w.pool.Config().ConnConfig
		w.found(privilege.Audit{
			Role: config.User,
			Findings: []privilege.Finding{{Severity: privilege.Missing, What: "CONNECT ON DATABASE " +
				config.Database}},
		})
	}
}

func (w *RoleWatch) found(a privilege.Audit) {
	w.health.audited(a)
	findings := errorsOnly(a)
	if !slices.Equal(findings, w.findings) {
		w.findings = findings
		w.report(a)
	}
}

// Summary lists the findings of an audit, warnings aside, in one line.
func Summary(a privilege.Audit) string { return shorten(errorsOnly(a)) }

// errorsOnly are the findings of an audit, warnings aside.
func errorsOnly(a privilege.Audit) []string {
	var findings []string
	for _, f := range a.Findings {
		if f.Severity != privilege.Warn {
			findings = append(findings, f.String())
		}
	}
	return findings
}

func (w *RoleWatch) report(a privilege.Audit) {
	if len(w.findings) == 0 {
		w.log.Info("the web server's role holds exactly the declared privileges now", "role", a.Role)
		return
	}
	w.log.Warn("THE WEB SERVER'S ROLE IS NOT WHAT IT SHOULD BE: avtotpy migrate verify prints the SQL that mends "+
		"it, and a start in mode RUN does most of it",
		"role", a.Role, "excess", a.Count(privilege.Excess), "missing", a.Count(privilege.Missing), "findings",
		shorten(w.findings))
}

// shorten makes a list fit a line of a log.
func shorten(list []string) string {
	const most = 8
	if len(list) <= most {
		return strings.Join(list, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(list[:most], "; "), len(list)-most)
}
