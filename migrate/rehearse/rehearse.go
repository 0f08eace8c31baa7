// Package rehearse applies pending files on a scratch database and reports what each costs.
//
// [Run] makes a database on the same server, replays the history there, applies the pending files to it with a
// Migrator, and drops it again. The database that is rehearsed for is only read. [Probe] and [Files] measure a real
// migration in the same way: the locks of each file, by mode and table, the tables that it rewrote, what it wrote to
// the server's log, and how long it took.
package rehearse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// A Report is what Run found.
type Report struct {
	Status migrate.Status        // how the database stands; its Pending files were rehearsed
	Files  []File                // those that succeeded, in order
	Drift  []snapshot.Difference // how the schema differs from what its migrations make
	// of the service's role with the declared privileges, warnings aside; nil when it was skipped
	Audit        *privilege.Audit
	AuditSkipped string // why it was; empty when the service has no role
	Refusal      error  // why Up would stop before it migrates anything; nil when it would not
	Replayed     time.Duration
	Elapsed      time.Duration
}

// Err returns nil when Up can be expected to succeed, on a schema that is what its
// migrations make. Otherwise it is Up's own refusal, a *migrate.DriftError, or the
// *migrate.PrivilegeError of the audit.
func (r Report) Err() error {
	switch {
	case r.Refusal != nil:
		return r.Refusal
	case len(r.Drift) > 0:
		return &migrate.DriftError{Version: r.Status.Version, Drift: r.Drift}
	case r.Audit != nil:
		return r.Audit.Err()
	}
	return nil
}

// Run applies the pending files of a Migrator where it does no harm, reports what each costs, and leaves nothing
// behind.
//
// On a scratch database of the same server it replays the history up to the schema's version, compares what that makes
// with the schema, applies the pending files, gives the service's role its declared privileges in a transaction that is
// rolled back, and audits them there. The tables are empty but for what the files put into them. The Migrator's role
// needs CREATEDB. A scratch database that a killed rehearsal left behind is dropped by the next one.
//
// The report is right up to the error. A file that fails is a *migrate.MigrationError as from Up; a schema that is
// ahead, diverged or has lost its ledger is its state's error, and one that is ahead and compatible leaves nothing to
// rehearse. What else was found is in Report.Err. When the connection is lost, it begins again.
func Run(ctx context.Context, m *migrate.Migrator, connString string) (Report, error) {
	r := &rehearsal{Migrator: *m, connString: connString, started: time.Now()}
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	r.Program = cmp.Or(r.Program, "migrate")
	r.Backup = nil
	r.Wait, r.ConnectWait = cmp.Or(r.Wait, 10*time.Minute), cmp.Or(r.ConnectWait, time.Minute)
	var backoff pg.Backoff
	for {
		r.report = Report{}
		err := r.explain(ctx, r.run(ctx))
		lost, ok := errors.AsType[*pg.ConnLostError](err)
		if ok && !pg.RefusedForGood(lost) && time.Since(r.started) < r.ConnectWait {
			r.Log.Warn("connection to the database lost; rehearsing again", "error", pg.Reason(lost.Err))
			if pg.Sleep(ctx, backoff.Next()) == nil {
				continue
			}
			err = r.explain(ctx, err)
		} else if ok {
			err = r.connectError(lost.Err)
		}
		r.report.Elapsed = time.Since(r.started)
		return r.report, err
	}
}

// A rehearsal is one call of Run.
type rehearsal struct {
	migrate.Migrator
	connString string
	started    time.Time
	report     Report
}

func (r *rehearsal) run(ctx context.Context) error {
	live, err := r.inspect(ctx)
	if err != nil {
		return err
	}
	switch status := r.report.Status; {
	case status.State == migrate.AheadCompatible: // the files that made it so are in a newer program
		return nil
	case !rehearsable(status):
		r.report.Refusal = nil // the error says it
		return status.Err()
	}
	if standby, ok := errors.AsType[*migrate.StandbyError](r.report.Refusal); ok {
		r.report.Refusal = nil
		return standby
	}
	return r.withScratch(ctx, func(s *scratch) error { return r.rehearse(ctx, s, live) })
}

// inspect finds how the database stands and what the schema is like. Another migrator may be at work: it asks again
// until the ledger was the same before and after the schema was read.
func (r *rehearsal) inspect(ctx context.Context) (live string, err error) {
	err = r.Connect(ctx, r.connString, func(ctx context.Context, conn *pgx.Conn) error {
		var backoff pg.Backoff
		for began := time.Now(); ; {
			plan, err := r.Plan(ctx, conn)
			r.report.Status, r.report.Refusal = plan.Status, plan.Refusal
			if err != nil || !rehearsable(plan.Status) {
				return err
			}
			if live, err = migrate.Snapshot(ctx, conn, r.Schema); err != nil {
				return err
			}
			// with the damage of the ledger's table, which Plan looks for only where Up would not refuse for something else
			status, err := r.Status(ctx, conn, migrate.Rows)
			if err != nil {
				return err
			}
			if status.Version == plan.Status.Version && status.Claimed == plan.Status.Claimed {
				r.report.Status = status
				return nil
			}
			if time.Since(began) > r.Wait {
				busy := errors.New("another migrator is still at work")
				return &migrate.BusyError{Waited: time.Since(began), Err: busy}
			}
			if err := pg.Sleep(ctx, backoff.Next()); err != nil {
				return err
			}
		}
	})
	return live, err
}

// rehearsable reports whether files may be applied to a schema like this one.
func rehearsable(s migrate.Status) bool {
	return s.State == migrate.Blank || s.State == migrate.Behind || s.State == migrate.Current
}

// rehearse brings a scratch database to where the schema, which is like live, is, and goes
// on from there.
func (r *rehearsal) rehearse(ctx context.Context, s *scratch, live string) error {
	made, err := r.replay(ctx, s)
	if err != nil {
		return err
	}
	status := r.report.Status
	next, ok := r.Bundle.Snapshot(status.Claimed)
	if !ok {
		next = made
	}
	if status.Claimed == 0 {
		r.report.Drift = snapshot.Compare(made, live)
	} else {
		r.report.Drift = snapshot.CompareDuring(made, live, next)
	}
	if len(status.Pending) > 0 {
		m := s.migrator(r.Bundle)
		m.Log, m.Progress, m.Probe = r.Log.With("rehearsal", s.name), r.Progress, Probe(r.Schema)
		done, err := m.Up(ctx, s.connString)
		r.report.Files = Files(r.Bundle, done.Applied)
		if err != nil {
			return s.unknownToPooler(err)
		}
	}
	return r.tryRole(ctx, s)
}

// replay applies the history, in silence, and returns what it makes of the schema.
func (r *rehearsal) replay(ctx context.Context, s *scratch) (made string, err error) {
	if r.report.Status.Version == 0 {
		return "", nil
	}
	began := time.Now()
	m := s.migrator(r.Bundle.UpTo(r.report.Status.Version))
	if _, err := m.Up(ctx, s.connString); err != nil {
		if _, ok := errors.AsType[*migrate.ConnectError](err); ok {
			return "", s.unknownToPooler(err)
		}
		return "", fmt.Errorf("the history of the schema cannot be replayed on a blank database, which a start on one "+
			"needs to do, too: %w", err)
	}
	r.report.Replayed = time.Since(began)
	r.Log.Info("replayed the history", "version", r.report.Status.Version, "duration",
		r.report.Replayed.Round(time.Millisecond))
	err = m.Connect(ctx, s.connString, func(ctx context.Context, conn *pgx.Conn) (err error) {
		made, err = migrate.Snapshot(ctx, conn, r.Schema)
		return err
	})
	return made, err
}

// tryRole audits what the service's role would hold. Where a start may not make it so, that is in the report.
func (r *rehearsal) tryRole(ctx context.Context, s *scratch) error {
	if r.Role.Name == "" {
		return nil
	}
	m := s.migrator(r.Bundle)
	m.Log, m.Role = r.Log, r.Role
	audit, err := migrate.TryRole(ctx, m, s.connString)
	if lacks, ok := errors.AsType[*migrate.PrivilegeError](err); ok {
		r.report.AuditSkipped, r.report.Refusal = lacks.Error(), cmp.Or(r.report.Refusal, err)
		return nil
	}
	if err != nil {
		return err
	}
	// Verify reports warnings: what every role may do in a scratch database says nothing of the real one.
	audit.Findings = slices.DeleteFunc(audit.Findings,
		func(f privilege.Finding) bool { return f.Severity == privilege.Warn })
	r.report.Audit = &audit
	return nil
}

// explain turns what ended a rehearsal into what its caller can use.
func (r *rehearsal) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("the rehearsal was interrupted, and the database is as it was: %w", context.Cause(ctx))
	}
	if failed, ok := errors.AsType[*migrate.MigrationError](err); ok {
		failed.Rehearsal, failed.Version = true, r.report.Status.Version
	}
	return err
}

// connectError is the error of a connection that was lost, or refused, and is not made again.
func (r *rehearsal) connectError(err error) error {
	target := "the server"
	if config, unread := pgconn.ParseConfig(r.connString); unread == nil {
		target = fmt.Sprintf("%s:%d as %q, database %q", config.Host, config.Port, config.User, config.Database)
	}
	return &migrate.ConnectError{
		Target: target, Tried: time.Since(r.started), Next: pg.Diagnose(err).Next, Err: pg.Reason(err),
	}
}
