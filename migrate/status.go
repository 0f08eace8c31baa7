package migrate

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// A Want is what a verb reports beyond what it reports always. Each costs the server something.
type Want int

// What Status and Verify can be asked for.
const (
	// Rows are the rows of the ledger, with Status. The ledger's table is looked at, too, of whose damage the rows say
	// nothing. There are no rows where the ledger is missing or another tool's.
	Rows Want = iota + 1
	// Privileges are those of the service's role, without the comparison of the schema, with Verify: one round trip.
	Privileges
	// OwnPrivileges are those of the connection's role, for a service that verifies itself before it serves. When all
	// is as it should be it takes a third of the time of Privileges, for only then it does not look for warnings.
	OwnPrivileges
)

// Status reports how the database stands to the bundle. Any role that may read the ledger will do; the service's own
// does. It changes nothing. Its error is about the question; whether the schema is fit is
// in Status.Err.
func (m *Migrator) Status(ctx context.Context, conn *pgx.Conn, wants ...Want) (Status, error) {
	if !slices.Contains(wants, Rows) {
		return m.status(ctx, conn.PgConn())
	}
	s, err := m.glance(ctx, conn.PgConn(), historian)
	if err != nil {
		return Status{}, err
	}
	status, err := m.statusOf(ctx, conn.PgConn(), s)
	// otherwise the rows show it, or a newer program knows better
	if status.State == Behind || status.State == Current || s.Ledger != nil && s.Ledger.Damaged {
		status = status.damaged(s.Table.Fatal)
	}
	status.Rows = s.History
	return status, err
}

// A Verification says whether a database is what the program expects.
type Verification struct {
	Status Status
	// nil unless the schema is fit; of a schema that is ahead it shows only what no version may do
	Audit *privilege.Audit

	// Compared reports whether the schema was compared with the snapshot of its version,
	// which the bundle has to have, and Drift how it differs.
	Compared bool
	Drift    []snapshot.Difference
	Proposal []string // the SQL of all differences that come with some, in an order in which it runs
}

// Err returns nil when all is as it should be, and otherwise the error of the
// state, a *DriftError, or the *PrivilegeError of the audit.
func (v Verification) Err() error {
	switch err := v.Status.Err(); {
	case v.Status.State == LedgerLost, v.Status.State == Diverged:
		return err
	case len(v.Drift) > 0:
		return &DriftError{Version: v.Status.Version, Drift: v.Drift}
	case v.Audit == nil:
		return err
	}
	return v.Audit.Err()
}

// Verify is Status and an audit of the service's role, in the same round trip, and with
// one more a comparison of the schema with the snapshot of its version, and of the
// ledger's table with the one that it was made as.
// Without a Role.Name the audit is about the role of the connection itself. Any role
// that may read the ledger will do, and nothing is changed. With a *PrivilegeError of a
// role that may not, the Verification holds what is known of its rights all the same:
// the Audit, Status.Role and Status.TooMuch.
func (m *Migrator) Verify(ctx context.Context, conn *pgx.Conn, wants ...Want) (Verification, error) {
	switch {
	case slices.Contains(wants, OwnPrivileges):
		return m.verifySelf(ctx, conn.PgConn())
	case slices.Contains(wants, Privileges):
		v, _, err := m.inspect(ctx, conn.PgConn(), auditor)
		return v, err
	}
	return m.verify(ctx, conn.PgConn())
}

func (m *Migrator) verifySelf(ctx context.Context, conn *pgconn.PgConn) (Verification, error) {
	own := *m
	own.Role.Name = ""
	v, _, err := own.inspect(ctx, conn, prover)
	if err == nil && v.Audit != nil && v.Audit.Err() == nil {
		return v, nil
	}
	v, _, err = own.inspect(ctx, conn, auditor)
	return v, err
}

// Connect connects as Up does, calls ask, and closes the connection. When the connection is lost, or an answer does not
// come, it does so again until ConnectWait is over: ask only reads, as Status, Plan and Verify do.
func (m *Migrator) Connect(ctx context.Context, connString string, ask func(context.Context, *pgx.Conn) error) error {
	connect := func(ctx context.Context, r *run) error {
		var conn *pgx.Conn
		err := r.connecting(ctx, func(ctx context.Context) (err error) {
			conn, err = pg.ConnectForQueries(ctx, r.parsed)
			return err
		})
		if err != nil {
			return err
		}
		defer pg.Close(ctx, conn.PgConn())
		defer r.silence("its answers")()
		r.limitTo(ctx)
		asking := pg.Metered(ctx, pg.Meter{Limit: r.answersIn, Left: r.left})
		return unforeseen(func() string { return "asking the database" }, ask(asking, conn))
	}
	return m.retried(ctx, connString, true, connect)
}

// limitTo lets a run wait for no longer than is left of ConnectWait and of the time of a caller's context, which is not
// one that asks the run itself.
func (r *run) limitTo(callers context.Context) {
	within := time.Until(r.until)
	r.left = func() time.Duration { return min(within, pg.Left(callers)) }
}

// withConnection makes a run of the Migrator, for what is not Up, and gives it a connection. When that is
// lost, or an answer does not come, it does so again, if that does no harm, until ConnectWait is over.
func (m *Migrator) withConnection(
	ctx context.Context, connString string, harmless bool, ask func(context.Context, *run, *pgconn.PgConn) error,
) error {
	return m.retried(ctx, connString, harmless, func(ctx context.Context, r *run) error {
		return r.withConnection(ctx, func(conn *pgconn.PgConn) error {
			return ask(pg.Metered(ctx, pg.Meter{Limit: r.answersIn, Left: r.waitable}), r, conn)
		})
	})
}

// retried makes a run of the Migrator and calls do with it, again when its connection is lost.
func (m *Migrator) retried(ctx context.Context, connString string, harmless bool,
	do func(context.Context, *run) error,
) error {
	var attempts pause
	started := time.Now()
	for again := false; ; again = true {
		r, err := newRun(*m, connString)
		if err != nil {
			return err
		}
		until := started.Add(r.ConnectWait)
		if attempts.budget, r.until = r.ConnectWait, until; again {
			r.ConnectWait = time.Until(until)
		}
		err = do(ctx, r)
		lost, ok := errors.AsType[*pg.ConnLostError](err)
		switch {
		case !ok, ctx.Err() != nil:
			return err
		case pg.RefusedForGood(lost):
			return r.connectError(lost.Err, time.Since(started))
		case !harmless:
			return r.lostForGood(lost.Err)
		}
		if time.Now().Before(until) {
			r.Log.Warn("connection to the database lost; connecting again", "error", pg.Reason(lost.Err))
			if attempts.before(ctx, &retryError{err: err}) != nil && ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		if !time.Now().Before(until) { // in silence, too
			return r.connectError(lost.Err, time.Since(started))
		}
	}
}

// lostForGood is the error of a connection that is not made again.
func (r *run) lostForGood(err error) error {
	failed := r.connectError(err, 0)
	if broken, ok := errors.AsType[*ConnectError](failed); ok {
		broken.lost = true
		broken.Next = "What was begun is rolled back, unless it had just been committed: it is not repeated by itself. " +
			"See the log of the server, or of the pooler, for why it ended, and try again"
	}
	return failed
}

func (r *run) withConnection(ctx context.Context, ask func(*pgconn.PgConn) error) error {
	conn, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer pg.Close(ctx, conn)
	return unforeseen(func() string { return "asking the database" }, ask(conn))
}

func (m *Migrator) status(ctx context.Context, conn *pgconn.PgConn) (Status, error) {
	s, err := m.glance(ctx, conn, service)
	if err != nil {
		return Status{}, err
	}
	return m.statusOf(ctx, conn, s)
}

func (m *Migrator) verify(ctx context.Context, conn *pgconn.PgConn) (v Verification, err error) {
	err = m.untilStill(ctx, func() error {
		v, err = m.verifyOnce(ctx, conn)
		return err
	})
	return v, err
}

// untilStill looks again while another migrator is at work, whose files would be taken for
// changes by hand, until the time to wait is over. Each look takes longer than such a file, and files
// come to an end.
func (m *Migrator) untilStill(ctx context.Context, look func() error) (err error) {
	const looks = 1000
	began, limit := time.Now(), pg.Left(ctx)
	for i := 0; i < looks && (i == 0 || time.Since(began) < limit); i++ {
		err = look()
		again, ok := errors.AsType[*retryError](err)
		if !ok {
			return err
		}
		err = again.err
	}
	return &BusyError{Waited: time.Since(began), Err: err}
}

func (m *Migrator) verifyOnce(ctx context.Context, conn *pgconn.PgConn) (Verification, error) {
	v, s, err := m.inspect(ctx, conn, auditor)
	if err != nil {
		return v, err
	}
	c, err := m.compareLive(ctx, conn, s, v.Status)
	v.Compared, v.Drift, v.Proposal, v.Status = c.compared, c.drift, c.script, v.Status.damaged(c.damage)
	return v, cmp.Or(err, c.unread)
}

func (m *Migrator) inspect(ctx context.Context, conn *pgconn.PgConn, who audience) (v Verification, s seen, err error) {
	s, err = m.glance(ctx, conn, who)
	if _, unreadable := errors.AsType[*pg.PrivilegeError](err); unreadable && s.Held != nil {
		audit := m.Role.AuditAhead(m.roleFacts(s))
		v.Status.Role, v.Status.TooMuch, v.Audit = s.Me.Name, s.tooMuch(), &audit
	}
	if err != nil {
		return v, s, err
	}
	if v.Status, err = m.statusOf(ctx, conn, s); err != nil || !v.Status.State.Fit() {
		return v, s, err
	}
	var audit privilege.Audit
	if v.Status.State == Current {
		audit, err = m.Role.Audit(m.roleFacts(s))
	} else {
		audit = m.Role.AuditAhead(m.roleFacts(s))
	}
	v.Audit = &audit
	return v, s, err
}

// tellsDifferences reports whether the rows of the ledger can say more about a state.
func (m *Migrator) tellsDifferences(status Status, s seen) bool {
	return status.State == Diverged || status.State == LedgerLost && s.Ledger != nil && !s.Ledger.Foreign &&
		s.Ledger.Rows > 0
}

func (m *Migrator) statusOf(ctx context.Context, conn *pgconn.PgConn, s seen) (status Status, err error) {
	status = plan(m.Bundle, s)
	status.Role, status.TooMuch, status.repair = s.Me.Name, s.tooMuch(), m.RepairCommand
	if m.tellsDifferences(status, s) {
		status.Differences, err = m.differences(ctx, conn)
	}
	return status, err
}
