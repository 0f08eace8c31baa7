package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// Up connects to a database with a privileged role and brings its schema to the
// bundle's version: it looks, and does the next step, until there is nothing
// left to do. It closes its connection before it returns.
//
// The report is right even when the error is not nil: what it says was applied
// is applied and on disk. The errors to distinguish are *ConnectError,
// *PrivilegeError, *MigrationError, *BusyError, *AheadError, *DivergedError,
// *LedgerLostError, *StandbyError and *BackupError; when ctx is cancelled, the error wraps its
// cause.
func (m *Migrator) Up(ctx context.Context, connString string) (Report, error) {
	run, err := newRun(*m, connString)
	if err == nil && m.Role.Name != "" && m.Role.Password == "" {
		err = fmt.Errorf("the role %q needs a password", m.Role.Name)
	}
	if err != nil {
		return Report{}, err
	}
	run.teller.tell = run.telling(m.Progress)
	err = unforeseen(run.doing, run.untilDone(ctx))
	if err == nil {
		run.phase(Done)
	}
	run.report.Elapsed = time.Since(run.started)
	return run.report, err
}

// untilDone connects and works; when the connection breaks it connects again
// and looks again, for only the ledger knows whether a COMMIT in flight arrived.
func (r *run) untilDone(ctx context.Context) error {
	defer func() { r.report.Waited = r.pause.waited }()
	ctx = pg.Metered(ctx, pg.Meter{
		Limit: r.answersIn, Left: r.waitable,
		Waited: func(d time.Duration) { r.pause.waited += d },
	})
	for {
		began := time.Now()
		conn, err := r.connect(ctx)
		if r.reconnected {
			r.pause.waited += time.Since(began)
		}
		if err != nil {
			return err
		}
		err = r.steps(ctx, conn)
		if _, broken := errors.AsType[*pg.ConnLostError](err); err != nil && !broken {
			_ = r.flush(context.WithoutCancel(ctx), conn) // what cannot be proved to be on disk is not reported
			r.grantSoFar(ctx, conn, err)
		}
		pg.Close(ctx, conn)
		lost, ok := errors.AsType[*pg.ConnLostError](err)
		switch {
		case !ok:
			return err
		case ctx.Err() != nil:
			return r.interrupted(ctx)
		case pg.RefusedForGood(lost):
			return r.connectError(lost.Err, time.Since(r.started))
		}
		r.reconnected = true
		r.Log.Warn("connection to the database lost; connecting again", "error", pg.Reason(lost.Err))
		r.countLoss()
		if err := r.retry(ctx, err); err != nil {
			if _, over := errors.AsType[*BusyError](err); over {
				err = r.blameLosses(r.connectError(lost.Err, time.Since(r.started)))
			}
			return err
		}
	}
}

// steps inspects the database and does the next step, until there is none left.
func (r *run) steps(ctx context.Context, conn *pgconn.PgConn) error {
	for {
		done, err := r.step(ctx, conn)
		if pg.IsDisturbed(err) && ctx.Err() == nil {
			err = &retryError{err: err}
		}
		switch again, ok := errors.AsType[*retryError](err); {
		case ok:
			if err := r.retry(ctx, again); err != nil {
				return err
			}
		case err != nil || done:
			return err
		}
	}
}

// step inspects the database and does one step; done is that there is none.
func (r *run) step(ctx context.Context, conn *pgconn.PgConn) (done bool, err error) {
	s, err := r.inspectNow(ctx, conn)
	if err != nil {
		return false, err
	}
	r.me, r.pooled, r.commit = s.Me.Name, pg.IsPooled(conn, s.Server.PID), flushed(s)
	status, err := r.statusOf(ctx, conn, s)
	if err != nil {
		return false, err
	}
	next := r.next(s, status, r.did)
	if next.action == openLedger {
		return false, r.unhide(ctx, conn, s)
	}
	if r.reconnected || r.tally.inDoubt() {
		if err := r.recount(ctx, conn, &s, status); err != nil {
			return false, err
		}
		r.reconnected = false
	}
	r.note(status, s)
	switch next.action {
	case migrate:
		return false, r.migrate(ctx, conn, s, status)
	case grantRights:
		return false, r.grantRights(ctx, conn, s, next)
	case finish:
		return r.finish(ctx, conn, s, next)
	default:
		return false, r.refuse(ctx, conn, s, status, next.refusal)
	}
}

// refuse is the error of a start that stops, or of another look where what it misses may be on its way.
func (r *run) refuse(ctx context.Context, conn *pgconn.PgConn, s seen, status Status, why error) error {
	switch {
	case status.State == Current:
		return r.insists(ctx, conn, s, why)
	case status.State == AheadCompatible && r.grantsFollow(s):
		return &retryError{err: why, soon: true}
	}
	return why
}

// inspectNow is look for a run, which asks again when a lock is in the way.
func (r *run) inspectNow(ctx context.Context, conn *pgconn.PgConn) (s seen, err error) {
	r.phase(Looking)
	err = r.asking("the answer to what the schema is like", func() (err error) {
		s, err = r.look(ctx, conn, migrator)
		return err
	})
	if !pg.IsDisturbed(err) || ctx.Err() != nil {
		return s, err
	}
	if blocker, unknown := r.askLocker(ctx, conn); unknown == nil && blocker != nil {
		r.Log.Warn("another session has locked the table of applied migrations; asking again", "blocked_by",
			blocker.String())
		r.teller.change(func(*Progress) { r.teller.blocker = blocker })
	}
	return s, &retryError{err: fmt.Errorf("look at the database: %w", err)}
}

// finish is the last step: it sees to the role's password, and that what was reported is on disk.
func (r *run) finish(ctx context.Context, conn *pgconn.PgConn, s seen, next step) (done bool, err error) {
	if next.unchanged != "" {
		missing, excess := r.fixable(s)
		r.Log.Warn("the role's privileges differ from the declared ones and are not changed: "+next.unchanged,
			"role", r.Role.Name, "missing", len(missing), "excess", len(excess))
		done = true
	} else if r.Role.Name == "" {
		done = true
	} else {
		done, err = r.rotate(ctx, conn, s)
	}
	if err != nil || !done {
		return false, err
	}
	if next.status.State == Current {
		r.compareAfterwards(ctx, conn, s, next.status)
		r.nameOwners(s)
	}
	return true, r.flush(ctx, conn)
}

// note keeps the report true to what was seen last.
func (r *run) note(status Status, s seen) {
	if !r.looked {
		r.looked = true
		r.report.State, r.report.From = status.State, status.Version
		r.Log.Info("looked at the database", "state", status.State, "version", status.Version, "bundle", status.Target,
			"pending", len(status.Pending), "postgresql", s.Server.release())
		if status.State == AheadCompatible {
			r.Log.Warn("the schema is ahead of this program, which can still work with it", "version", status.Version,
				"bundle", status.Target)
		}
	}
	if s.Me.CreatesRole && !s.Me.Superuser && s.Server.Version < 16_00_00 {
		r.report.RunsPrograms = s.Me.Name
	}
	r.report.To = status.Version
	if len(r.tally.unflushed) > 0 {
		r.report.To = min(status.Version, r.tally.unflushed[0].Version-1)
	}
}

// migrate applies what is pending, when it may, when no one else does, and when
// there is a backup if one is wanted.
func (r *run) migrate(ctx context.Context, conn *pgconn.PgConn, s seen, status Status) error {
	if err := r.mayMigrate(s); err != nil {
		return err
	}
	if err := r.restricted(ctx, conn, &s); err != nil {
		return err
	}
	if err := r.session(ctx, conn, &s.Server); err != nil {
		return err
	}
	if err := r.mayLogIn(ctx, conn, s); err != nil {
		return err
	}
	if _, err := r.askProbe(ctx, conn); err != nil { // one that does not work is to cost no file its transaction
		return err
	}
	if status.State == Blank {
		return r.apply(ctx, conn, r.messages(s, status))
	}
	if err := r.awaitTurn(ctx, conn, status.Version); err != nil {
		return err
	}
	if err := r.compareFirst(ctx, conn, s, status); err != nil {
		return err
	}
	held, err := r.backUp(ctx, conn, s, status)
	if err != nil {
		return err
	}
	if next := &status.Pending[0]; next.NoTransaction {
		if held { // it takes more than one transaction, so the turn cannot be kept
			err = r.soon(ctx, conn, "COMMIT")
		}
		if err != nil {
			return err
		}
		return r.applyNoTx(ctx, conn, s, next)
	}
	messages := r.messages(s, status)
	if held {
		messages[0] = messages[0].within()
		messages[0].flushes = true // the transaction was opened like that
	}
	return r.apply(ctx, conn, messages)
}

// compareFirst compares the schema with its snapshot before pending files touch it: they
// were written for that one. It only warns, for most differences do no harm to them; but a
// ledger whose table is damaged neither keeps others out nor remembers.
func (r *run) compareFirst(ctx context.Context, conn *pgconn.PgConn, s seen, status Status) error {
	if r.compared {
		return nil
	}
	c, err := r.compareLive(ctx, conn, s, status)
	if err != nil {
		if refusal, ok := errors.AsType[*pgconn.PgError](err); ok && pg.IsDisturbed(refusal) {
			err = &retryError{err: err}
		}
		return err
	}
	if len(c.damage) > 0 {
		return status.damaged(c.damage).Err()
	}
	r.compared, r.report.Drift = true, c.drift
	switch {
	case c.unread != nil: // a locked table, for instance; the files will meet it, and say so
		r.Log.Warn("the schema could not be compared with what its migrations make", "error", c.unread)
	case len(c.drift) > 0:
		r.Log.Warn("the schema is not as its migrations make it: somebody changed it by hand; verify reports the same",
			"version", status.Version, "differences", snapshot.Lines(r.report.Drift), "sql", forLog(c.script))
	}
	return nil
}

// messages lays out a migration: the bootstrap when the database is blank, the
// pending files up to one without a transaction, and when there is none the role's
// rights. All but the last file are committed without waiting for the disk: the last
// one's flush carries them, and a server that crashes before it keeps a prefix of
// whole files, each with its row. A file is reported as applied when it is on disk.
func (r *run) messages(s seen, status Status) []message {
	var messages []message
	if status.State == Blank {
		messages = append(messages, r.bootstrap(s))
	}
	together := slices.IndexFunc(status.Pending, func(m bundle.Migration) bool { return m.NoTransaction })
	if together < 0 {
		together = len(status.Pending)
	}
	for i := range together {
		pending := &status.Pending[i]
		m := r.file(pending, s.Server, "off")
		m.onDisk, _ = r.begin(s.Server, flushed(s))
		s.Server.set = s.Server.set && s.Server.quiet && pending.Plain() // the others may leave something behind
		if last := i == together-1; last {
			m.flush()
		}
		messages = append(messages, m)
	}
	if r.Role.Name != "" && together == len(status.Pending) {
		messages = append(messages, r.rights(s, status.State != Blank && s.Role == nil,
			r.Role.Declared(r.Schema), nil))
	}
	return messages
}
