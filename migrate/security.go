package migrate

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// hidden reports whether row level security is on the ledger, which its owner may take off.
func (m *Migrator) hidden(s seen) bool {
	if s.Held == nil || s.Schema == nil || !s.Schema.Mine || s.Server.Standby {
		return false
	}
	return slices.ContainsFunc(s.Held.Grants,
		func(h privilege.Held) bool { return h.IsRowSecurity() && h.Object == ledger.Name })
}

// unhide takes it off before anything is planned: a ledger that shows no rows looks lost.
func (r *run) unhide(ctx context.Context, conn *pgconn.PgConn, s seen) error {
	r.did.opened = true
	r.Log.Warn("row level security hid the table of applied migrations; it is taken off", "event_triggers",
		r.eventTriggers(ctx, conn).names())
	err := r.apply(ctx, conn, []message{r.wrap("ledger", s, []string{ledger.WithoutRowSecurity(r.Schema)})})
	if _, again := errors.AsType[*retryError](err); again {
		r.did.opened = false
	}
	return err
}

// insists adds to a difference that came back after it was mended what may have brought it.
func (r *run) insists(ctx context.Context, conn *pgconn.PgConn, s seen, differs error) error {
	lacks, ok := errors.AsType[*pg.PrivilegeError](differs)
	if triggers := r.eventTriggers(ctx, conn); ok && len(triggers) > 0 && r.did.granted &&
		r.Role.InsistsOnSecurity(r.roleFacts(s)) {
		lacks.Lacks += ". It came back after it was taken off: see what the event triggers of this database do (" +
			triggers.names() + ")"
		lacks.SQL = slices.Concat(triggers.switchedOff(), lacks.SQL)
	}
	return differs
}

// compareAfterwards compares the schema with its snapshot after files were applied: what ran
// with them, an event trigger for instance, may have made something else of it. It only
// warns: what takes rights from the service's role is mended, and the rest does it no harm.
func (r *run) compareAfterwards(ctx context.Context, conn *pgconn.PgConn, s seen, status Status) {
	if r.proved || len(r.report.Applied) == 0 {
		return
	}
	r.proved = true
	c, err := r.compareLive(ctx, conn, s, status)
	switch before := r.report.Drift; {
	case err != nil:
		r.Log.Warn("the schema could not be compared with what its migrations make", "error", err)
		return
	case c.unread != nil:
		r.Log.Warn("the schema could not be compared with what its migrations make", "error", c.unread)
		return
	default:
		c.drift = slices.DeleteFunc(slices.Concat(c.drift, c.damage), func(d snapshot.Difference) bool {
			return slices.ContainsFunc(before, func(b snapshot.Difference) bool { return b.String() == d.String() })
		})
	}
	if len(c.drift) == 0 {
		return
	}
	r.report.Drift = slices.Concat(r.report.Drift, c.drift)
	triggers := r.eventTriggers(ctx, conn)
	r.Log.Warn("the schema is not what the migrations that were just applied make: something else changed it at the "+
		"same time, such as an event trigger. "+
		"Undo what it did, and keep it from the schema; until then verify reports the same and exits with an error",
		"version", status.Version, "differences", snapshot.Lines(c.drift), "sql", forLog(c.script), "event_triggers",
		triggers.names(),
		"switch_off", strings.Join(triggers.switchedOff(), "; "))
}
