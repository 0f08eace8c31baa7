package migrate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// RehearseOptions say where files are rehearsed. The zero value is a scratch database,
// which is safe beside a service at work.
type RehearseOptions struct {
	// WithData rehearses on the given database itself, in one transaction that is rolled
	// back. It keeps all its locks until the end, and sequences stay where it brought them:
	// it is meant for a restored copy.
	WithData bool

	// Yes allows WithData while other clients are connected.
	Yes bool
}

// A Rehearsal is what Rehearse found.
type Rehearsal struct {
	Status Status                // how the database stands; its Pending files were rehearsed
	Files  []Rehearsed           // those that succeeded or were left out, in order
	Drift  []snapshot.Difference // how the schema differs from what its migrations make; not known with data
	// of the service's role with the declared rights, warnings aside; nil when it was not proved
	Audit    *privilege.Audit
	Unproved string // why it was not; empty when the service has no role
	Refusal  error  // why Up would stop before it migrates anything; nil when it would not
	Replayed time.Duration
	Clients  int // with data: how many others were connected
	Elapsed  time.Duration
}

// A Rehearsed is one file that was applied to see what it does.
type Rehearsed struct {
	Version int
	Name    string
	File    string
	Alone   bool          // without a transaction: of its locks are known those that it asks for first
	Left    string        // why it was left out; empty when it was not
	Elapsed time.Duration // of its statements, without the commit
	Footprint
}

// Err returns nil when Up can be expected to succeed, on a schema that is what its
// migrations make. Otherwise it is Up's own refusal, a *DriftError, or the
// *PrivilegeError of the audit.
func (r Rehearsal) Err() error {
	switch {
	case r.Refusal != nil:
		return r.Refusal
	case len(r.Drift) > 0:
		return &DriftError{Version: r.Status.Version, Drift: r.Drift}
	case r.Audit != nil:
		return r.Audit.Err()
	}
	return nil
}

// An OthersConnectedError means that a rehearsal with data was refused because other
// clients are connected to the database, whose queries would wait for its locks.
type OthersConnectedError struct {
	Database string
	Clients  int
}

func (e *OthersConnectedError) Error() string {
	who := "another client is"
	if e.Clients > 1 {
		who = fmt.Sprintf("%d other clients are", e.Clients)
	}
	return fmt.Sprintf("%s connected to the database %q; queries would wait for the rehearsal's locks until it ends. "+
		"Nothing was done. Rehearse on a restored copy, or insist", who, e.Database)
}

// Rehearse applies the pending files where it does no harm, reports what each costs, and
// leaves nothing behind.
//
// On a scratch database of the same server it replays the history up to the schema's
// version, compares what that makes with the schema, applies the pending files one at a
// time, gives the service's role its declared rights and proves them. The tables are
// empty there but for what the files put into them. Its role needs CREATEDB. A scratch
// database that a killed rehearsal left behind is dropped by the next one.
//
// With data it applies them to the database itself: see [RehearseOptions]. Files without
// a transaction are left out then, and all the others share one, so that a lock which is
// held already may be told only of the file that took it.
//
// The report tells all up to the error. A file that fails is a *MigrationError as from
// Up; a schema that is ahead, diverged or has lost its ledger is its state's error, and one
// that is ahead and compatible leaves nothing to rehearse. What else was found is in
// Rehearsal.Err.
func (m *Migrator) Rehearse(ctx context.Context, connString string, o RehearseOptions) (report Rehearsal, err error) {
	err = m.withConnection(ctx, connString, !o.WithData, func(ctx context.Context, r *run, conn *pgconn.PgConn) error {
		report = Rehearsal{}
		if r.Role.Password == "" {
			r.Role.Password = rand.Text() // of a role that nobody will ever see
		}
		r.teller.tell = m.Progress
		err := r.rehearse(ctx, conn, o, &report)
		if err == nil {
			r.phase(Done)
		}
		report.Elapsed = time.Since(r.started)
		return r.unrehearsed(ctx, err, report)
	})
	return report, err
}

func (r *run) rehearse(ctx context.Context, conn *pgconn.PgConn, o RehearseOptions, report *Rehearsal) error {
	r.phase(Looking)
	var s seen
	var live told
	err := r.asking("the answer to what the schema is like", func() error {
		return r.untilStill(ctx, func() (err error) {
			s, live, err = r.glanceInside(ctx, conn)
			return err
		})
	})
	if err != nil {
		return err
	}
	report.Status, err = r.statusOf(ctx, conn, s)
	if err != nil {
		return err
	}
	r.me, r.pooled = s.Me.Name, pg.IsPooled(conn, s.Server.PID)
	r.report.From, r.report.To = report.Status.Version, report.Status.Version
	switch report.Status.State {
	case Blank, Behind, Current:
	case AheadCompatible: // the files that made it so are in a newer program
		return nil
	default:
		return report.Status.Err()
	}
	report.Status, err = r.askDamage(ctx, conn, report.Status)
	if err != nil {
		return err
	}
	if report.Status.State == LedgerLost {
		return report.Status.Err()
	}
	if s.Server.Standby {
		return &StandbyError{}
	}
	report.Refusal = r.next(s, report.Status, memory{opened: true}).refusal
	if o.WithData {
		return r.rehearseWithData(ctx, conn, s, o.Yes, report)
	}
	return r.withScratch(ctx, conn, s, func(c scratch) error { return r.rehearseOn(ctx, c, s, live, report) })
}

// glanceInside is glance with the schema's snapshot at the version that was seen.
func (r *run) glanceInside(ctx context.Context, conn *pgconn.PgConn) (s seen, live told, err error) {
	if s, err = r.glance(ctx, conn, migrator); err != nil {
		return s, live, err
	}
	all, _, err := r.describeAt(ctx, conn, s, snapshot.Question)
	if err != nil {
		return s, live, err
	}
	return s, all[0], nil
}

// rehearseOn brings a scratch database to where the schema, which is like live, is, and goes
// on from there.
func (r *run) rehearseOn(ctx context.Context, c scratch, s seen, live told, report *Rehearsal) error {
	if live.err != nil {
		return live.err
	}
	sub := r.inScratch()
	conn, err := c.enter(ctx, sub)
	if err != nil {
		return err
	}
	defer pg.Close(ctx, conn)
	began := time.Now()
	if err := sub.steps(ctx, conn); err != nil {
		return fmt.Errorf("the history of the schema cannot be replayed on a blank database, which a start on one "+
			"needs to do, too: %w", err)
	}
	report.Replayed = time.Since(began)
	r.Log.Info("replayed the history", "version", report.Status.Version, "duration",
		report.Replayed.Round(time.Millisecond))
	made, err := sub.snapshot(ctx, conn)
	if err != nil {
		return err
	}
	report.Drift = versionProof{r.Bundle}.beyondClaim(report.Status.Claimed, made, live.text)
	r.Log = r.Log.With("rehearsal", c.name)
	sub.Log, sub.Bundle, sub.Role, sub.report, sub.me = r.Log, r.Bundle, r.Role,
		Report{From: r.report.From, To: r.report.To}, r.me
	sub.teller.tell = r.Progress
	return (&stage{run: sub, conn: conn, seen: s}).play(ctx, report)
}

// inScratch is a run that replays the history, in silence and without the service's role,
// which all databases of the server share.
func (r *run) inScratch() *run {
	m := r.Migrator
	m.Role, m.Backup, m.Log, m.Bundle = privilege.Role{}, nil, slog.New(slog.DiscardHandler),
		r.Bundle.UpTo(r.report.To)
	sub := &run{Migrator: m, started: time.Now()}
	sub.pause.budget = m.Wait
	sub.left = func() time.Duration { return min(sub.pause.left(), r.waitable()) }
	sub.pooled = r.pooled
	sub.config = r.config.Copy()
	sub.config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { sub.notice(n) }
	return sub
}

func (r *run) rehearseWithData(ctx context.Context, conn *pgconn.PgConn, s seen, insist bool,
	report *Rehearsal,
) (err error) {
	if report.Refusal != nil {
		return report.Refusal
	}
	if report.Clients, err = r.others(ctx, conn); err != nil {
		return err
	}
	if report.Clients > 0 && !insist {
		return &OthersConnectedError{s.Database, report.Clients}
	}
	if report.Status.State == Behind {
		if err := r.awaitTurn(ctx, conn, report.Status.Version); err != nil {
			return err
		}
	}
	r.Log = r.Log.With("rehearsal", "is rolled back")
	st := &stage{run: r, conn: conn, seen: s, inside: true}
	defer st.rollBack(ctx)
	if report.Status.State == Blank {
		if err := st.bootstrap(ctx); err != nil {
			return err
		}
	}
	return st.play(ctx, report)
}

// lostInRehearsal is the error of a connection that is not made again.
func (r *run) lostInRehearsal(err error) error {
	failed := r.connectError(err, 0)
	if broken, ok := errors.AsType[*ConnectError](failed); ok {
		broken.lost = true
		broken.Next = "The server rolls the rehearsal back, and the database is as it was. A rehearsal with data is " +
			"not repeated by itself, " +
			"because it takes its locks each time: see the log of the server, or of the pooler, for why it ended, " +
			"and rehearse again"
	}
	return failed
}

// others counts who else is connected. The server shows of other roles' sessions only
// that they are there, and gives its own workers no user.
func (r *run) others(ctx context.Context, conn *pgconn.PgConn) (clients int, err error) {
	answers, err := pg.Batch(ctx, conn, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
		AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'`)
	if err == nil {
		err = answers[0].Decode(&clients)
	}
	return clients, err
}

// unrehearsed turns what ended a rehearsal into what its caller can use: what was in the way of
// another session is not tried again, because a rehearsal with data would take its locks anew each time.
func (r *run) unrehearsed(ctx context.Context, err error, report Rehearsal) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("the rehearsal was interrupted, and the database is as it was: %w", context.Cause(ctx))
	}
	if failed, ok := errors.AsType[*MigrationError](err); ok {
		failed.Rehearsal, failed.Version = true, report.Status.Version
	}
	if _, ok := errors.AsType[*pg.ConnLostError](err); ok { // withConnection knows what to do
		return err
	}
	if again, ok := errors.AsType[*retryError](err); ok {
		busy := &BusyError{Waited: r.pause.waited, Err: again.err}
		if pg.SQLState(err) == pg.LockNotAvailable {
			busy.Waited += max(r.pause.lockLimit-r.pause.locked, 0)
		}
		r.retrying(again)
		if now, _ := r.teller.moment(); now.Blocker != nil {
			busy.Blocker = now.Blocker.String()
		}
		return busy
	}
	return err
}
