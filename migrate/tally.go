package migrate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// flushEvery is how often one of the files that are sent together is committed with a wait
// for the disk, so that those before it can be reported as applied.
const flushEvery = time.Second

// head is the version of the schema as the server's answers show it.
func (r *run) head() int {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	if n := len(r.tally.unflushed); n > 0 {
		return r.tally.unflushed[n-1].Version
	}
	return r.report.To
}

// reported is the version up to which files are reported, while a heartbeat may report some.
func (r *run) reported() int {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	return r.report.To
}

// applied notes a message that was committed.
func (r *run) applied(m message, out pg.Outcome, d time.Duration) {
	r.pause.backoff.Reset()
	if m.open { // nothing is committed yet
		return
	}
	if m.byHand != "" {
		r.roleCreated()
	}
	if m.migration != nil && !m.migration.NoTransaction { // these count when their row is finished
		r.tally.answered(m.migration)
		r.tally.mu.Lock()
		r.tally.unflushed = append(r.tally.unflushed, Applied{
			Version: m.migration.Version, Name: m.migration.Name, Duration: d, Before: out.First, After: out.Last,
		})
		r.tally.mu.Unlock()
	}
	if m.flushes {
		r.countFlushed()
	}
}

// countFlushed reports the files that were committed so far: a later commit that is on disk
// took them there, too, because the server's log is written in order.
func (r *run) countFlushed() {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	for _, a := range r.tally.unflushed {
		r.count(a)
	}
	r.tally.unflushed = nil
}

// unreported is the version of the last file that was committed and not reported yet, 0 when
// there is none.
func (r *run) unreported() int {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	if n := len(r.tally.unflushed); n > 0 {
		return r.tally.unflushed[n-1].Version
	}
	return 0
}

// countUpTo is countFlushed for the files up to a version.
func (r *run) countUpTo(version int) {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	for len(r.tally.unflushed) > 0 && r.tally.unflushed[0].Version <= version {
		r.count(r.tally.unflushed[0])
		r.tally.unflushed = r.tally.unflushed[1:]
	}
}

// count puts a file that was applied into the report and the log.
func (r *run) count(a Applied) {
	r.report.To = a.Version
	r.report.Applied = append(r.report.Applied, a)
	r.Log.Info("applied a migration", "version", a.Version, "name", a.Name, "of", r.Bundle.Version(), "duration",
		a.Duration.Round(10*time.Microsecond))
}

func (r *run) roleCreated() {
	if !r.report.RoleCreated {
		r.report.RoleCreated = true
		r.Log.Info("created the service's role", "role", r.Role.Name)
	}
}

// doubt notes messages whose answers did not come before the connection was lost.
func (r *run) doubt(messages ...message) {
	for _, m := range messages {
		switch {
		case m.open:
		case m.migration != nil && !m.migration.NoTransaction:
			r.tally.doubt(m.migration)
		case m.byHand != "":
			r.tally.doubts = append(r.tally.doubts, func(s *seen) bool {
				if s.Role != nil && s.Role.Comment == privilege.Mark(r.Program, s.Database) {
					r.roleCreated()
				}
				return s.Role != nil // otherwise the server may still be at it
			})
		}
	}
}

// recount makes the tally agree with a look after a connection was lost, and with the later ones while something is in
// doubt. Files that the
// server lost in a crash or a failover are no longer reported. Files whose answers were lost
// are, when the ledger shows them as applied by this role and this version of the program.
func (r *run) recount(ctx context.Context, conn *pgconn.PgConn, s *seen, status Status) error {
	if status.State == LedgerLost || status.State == Diverged {
		return nil
	}
	beyond := func(a Applied) bool { return a.Version > status.Version }
	reported := len(r.report.Applied)
	r.report.Applied = slices.DeleteFunc(r.report.Applied, beyond)
	r.tally.unflushed = slices.DeleteFunc(r.tally.unflushed, beyond)
	if lost := reported - len(r.report.Applied); lost > 0 {
		r.Log.Warn("the server lost migrations that it had committed, as in a failover to a standby that had not "+
			"received them; they are applied again",
			"lost", lost, "version", status.Version)
	}
	r.report.RoleCreated = r.report.RoleCreated && s.Role != nil
	r.tally.doubts = slices.DeleteFunc(r.tally.doubts, func(report func(*seen) bool) bool { return report(s) })
	if err := r.recountDoubtful(ctx, conn, status); err != nil {
		return err
	}
	if s.Server.Standby { // it has only what is on the primary's disk
		r.countFlushed()
	}
	return nil
}

func (r *run) recountDoubtful(ctx context.Context, conn *pgconn.PgConn, status Status) error {
	pending := func(m *bundle.Migration) bool { return m.Version > status.Version } // the server may still be at it
	doubtful := slices.DeleteFunc(slices.Clone(r.tally.doubtful), pending)
	if len(doubtful) == 0 {
		return nil
	}
	var rows []ledger.Row
	if err := pg.Ask(ctx, conn, r.patiently(ctx, 1)+ledger.RowsQuery(r.Schema), &rows); err != nil {
		return err
	}
	r.tally.doubtful = slices.DeleteFunc(r.tally.doubtful, func(m *bundle.Migration) bool { return !pending(m) })
	for _, m := range doubtful {
		i := slices.IndexFunc(rows, func(row ledger.Row) bool { return row.Version == m.Version })
		if i < 0 || rows[i].Seconds == nil || rows[i].AppVersion != r.Version || rows[i].AppliedBy != r.me {
			continue
		}
		r.tally.unflushed = append(r.tally.unflushed,
			Applied{Version: m.Version, Name: m.Name, Duration: time.Duration(*rows[i].Seconds * float64(time.Second))})
	}
	return nil
}

// flush makes what was committed safe on disk, and reports it.
func (r *run) flush(ctx context.Context, conn *pgconn.PgConn) error {
	version := r.unreported()
	if version == 0 {
		return nil
	}
	defer r.silence("the last files to be on disk, and where a synchronous standby is set, on that one")()
	err := r.soon(ctx, conn, r.flushing(version))
	if err != nil {
		return err
	}
	r.countFlushed()
	return nil
}

// flushing is a transaction that waits for the disk, and changes nothing.
func (r *run) flushing(version int) string {
	return fmt.Sprintf("BEGIN READ WRITE; SET LOCAL synchronous_commit = %s; SET LOCAL lock_timeout = %d; UPDATE %s "+
		"SET app_version = app_version WHERE version = %d; COMMIT",
		r.commit, r.lockTimeout(), ledger.Table(r.Schema), version)
}

// granted puts changes of the role's rights into the report, each once: after a failover they
// may have to be made again.
func (r *run) granted(granted, revoked []string) {
	add := func(list *[]string, more []string) {
		for _, right := range more {
			if !slices.Contains(*list, right) {
				*list = append(*list, right)
			}
		}
	}
	add(&r.report.Granted, granted)
	add(&r.report.Revoked, revoked)
}

func (r *run) passwordSet() {
	r.report.PasswordSet = true
	r.Log.Info("the configured password did not log in; it is the role's password now", "role", r.Role.Name)
}
