package migrate

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// Status connects, tells how the database stands to the bundle, and closes its
// connection. Any role that may read the ledger will do; the service's own does.
// It changes nothing. Its error is about the asking; whether the schema is fit is
// in Status.Err.
func (m *Migrator) Status(ctx context.Context, connString string) (status Status, err error) {
	err = m.connected(ctx, connString, func(ctx context.Context, r *run, conn *pgconn.PgConn) error {
		status, err = r.status(ctx, conn)
		return err
	})
	return status, err
}

// StatusOver is Status over a connection that is there already, which it leaves
// open.
func (m *Migrator) StatusOver(ctx context.Context, conn *pgx.Conn) (Status, error) {
	return m.status(ctx, conn.PgConn())
}

// History is Status with the rows of the ledger and a look at its table, of whose damage
// the rows say nothing, in the same round trip. There are no rows where the ledger is
// missing or another tool's.
func (m *Migrator) History(ctx context.Context, connString string) (status Status, rows []ledger.Row, err error) {
	err = m.connected(ctx, connString, func(ctx context.Context, r *run, conn *pgconn.PgConn) error {
		s, err := r.glance(ctx, conn, historian)
		if err != nil {
			return err
		}
		rows = s.History
		status, err = r.statusOf(ctx, conn, s)
		// otherwise the rows tell, or a newer program knows better
		if status.State == Behind || status.State == Current || s.Ledger != nil && s.Ledger.Damaged {
			status = status.damaged(s.Table.Fatal)
		}
		return err
	})
	return status, rows, err
}

// A Verification says whether a database is what the program expects.
type Verification struct {
	Status Status
	Audit  *Audit // nil unless the schema is fit; of a schema that is ahead it tells only what no version may do

	// Compared tells whether the schema was compared with the snapshot of its version,
	// which the bundle has to have, and Drift how it differs.
	Compared bool
	Drift    []snapshot.Difference
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
func (m *Migrator) Verify(ctx context.Context, connString string) (v Verification, err error) {
	err = m.connected(ctx, connString, func(ctx context.Context, r *run, conn *pgconn.PgConn) error {
		v, err = r.verify(ctx, conn)
		return err
	})
	return v, err
}

// VerifyOver is Verify over a connection that is there already, which it leaves
// open.
func (m *Migrator) VerifyOver(ctx context.Context, conn *pgx.Conn) (Verification, error) {
	return m.verify(ctx, conn.PgConn())
}

// Audit is Verify without the comparison of the schema: one round trip.
func (m *Migrator) Audit(ctx context.Context, connString string) (v Verification, err error) {
	err = m.connected(ctx, connString, func(ctx context.Context, r *run, conn *pgconn.PgConn) error {
		v, _, err = r.inspect(ctx, conn, auditor)
		return err
	})
	return v, err
}

// AuditOver is Audit over a connection that is there already, which it leaves open.
func (m *Migrator) AuditOver(ctx context.Context, conn *pgx.Conn) (Verification, error) {
	v, _, err := m.inspect(ctx, conn.PgConn(), auditor)
	return v, err
}

// ProveOver is AuditOver for a service that asks about itself before it serves. When all is
// as it should be it takes a third of the time, for only then it does not look for warnings.
func (m *Migrator) ProveOver(ctx context.Context, conn *pgx.Conn) (Verification, error) {
	own := *m
	own.Role.Name = ""
	v, _, err := own.inspect(ctx, conn.PgConn(), prover)
	if err == nil && v.Audit != nil && v.Audit.Err() == nil {
		return v, nil
	}
	return own.AuditOver(ctx, conn)
}

// connected is withConnection for what only looks.
func (m *Migrator) connected(ctx context.Context, connString string,
	ask func(context.Context, *run, *pgconn.PgConn) error,
) error {
	return m.withConnection(ctx, connString, true, func(ctx context.Context, r *run, conn *pgconn.PgConn) error {
		defer r.silence("its answers")()
		within := time.Until(r.until)
		r.left = func() time.Duration { return min(within, m.waitable()) }
		return ask(ctx, r, conn)
	})
}

// once is withConnection for what must not be done twice.
func (m *Migrator) once(ctx context.Context, connString string,
	ask func(context.Context, *run, *pgconn.PgConn) error,
) error {
	return m.withConnection(ctx, connString, false, ask)
}

// withConnection makes a run of the Migrator, for what is not Up, and gives it a connection. When that is
// lost, or an answer does not come, it does so again, if that does no harm, until ConnectWait is over.
func (m *Migrator) withConnection(
	ctx context.Context, connString string, harmless bool, ask func(context.Context, *run, *pgconn.PgConn) error,
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
		err = r.withConnection(ctx, func(conn *pgconn.PgConn) error {
			return ask(pg.Metered(ctx, pg.Meter{Limit: r.answersIn}), r, conn)
		})
		lost, ok := errors.AsType[*pg.ConnLostError](err)
		switch {
		case !ok, ctx.Err() != nil:
			return err
		case pg.RefusedForGood(lost):
			return r.connectError(lost.Err, time.Since(started))
		case !harmless:
			return r.lostInRehearsal(lost.Err)
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
	err = m.untilStill(func() error {
		v, err = m.verifyOnce(ctx, conn)
		return err
	})
	return v, err
}

// untilStill looks again while another migrator is at work, whose files would be taken for
// somebody's changes, until the time to wait is over. Each look takes longer than such a file, and files
// come to an end.
func (m *Migrator) untilStill(look func() error) (err error) {
	const looks = 1000
	began, limit := time.Now(), m.waitable()
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
	v.Compared, v.Drift, v.Status = c.compared, c.drift, v.Status.damaged(c.damage)
	return v, cmp.Or(err, c.unread)
}

func (m *Migrator) inspect(ctx context.Context, conn *pgconn.PgConn, who audience) (v Verification, s seen, err error) {
	s, err = m.glance(ctx, conn, who)
	if _, unreadable := errors.AsType[*pg.PrivilegeError](err); unreadable && s.Held != nil {
		audit := m.auditAlways(s)
		v.Status.Role, v.Status.TooMuch, v.Audit = s.Me.Name, s.tooMuch(), &audit
	}
	if err != nil {
		return v, s, err
	}
	if v.Status, err = m.statusOf(ctx, conn, s); err != nil || !v.Status.State.Fit() {
		return v, s, err
	}
	var audit Audit
	if v.Status.State == Current {
		audit, err = m.audit(s)
	} else {
		audit = m.auditAlways(s)
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
