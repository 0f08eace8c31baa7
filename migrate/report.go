package migrate

import (
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
)

// telling adds what a heartbeat may have reported since an answer came.
func (r *run) telling(tell func(Progress)) func(Progress) {
	if tell == nil {
		return nil
	}
	return func(p Progress) {
		r.tally.mu.Lock()
		p.Version, p.Applied = r.report.To, len(r.report.Applied)
		r.tally.mu.Unlock()
		tell(p)
	}
}

// phase begins a phase; called again, it changes nothing but what is known of the
// schema.
func (r *run) phase(p Phase) {
	r.teller.change(func(now *Progress) {
		since := now.Since
		if now.Phase != p {
			since = time.Now()
		}
		*now = Progress{Phase: p, Since: since, Looked: r.looked, Version: r.report.To, Target: r.Bundle.Version()}
	})
}

// awaiting says that the answer to a message is the next one to come: of all that
// is under way, this is what runs.
func (r *run) awaiting(m message) {
	r.notices.Store(0)
	t := &r.teller
	t.change(func(now *Progress) {
		t.begun = time.Now()
		*now = Progress{
			Phase: Applying, Since: t.begun, Looked: true, Version: r.reported(),
			Target: r.Bundle.Version(),
		}
		switch {
		case m.migration == nil && m.what != "bootstrap":
			now.Phase = Reconciling
		case m.migration != nil:
			now.File = m.migration.File
			now.Number, now.Of = m.migration.Version-r.report.From, now.Target-r.report.From
		}
		if m.what == "" || m.what != t.what {
			t.what, t.since, t.blocker = m.what, now.Since, nil
		}
		now.Since, now.Blocker = t.since, t.blocker // of another attempt, until the next heartbeat knows better
	})
}

// waitingFor says that another migrator is at work.
func (r *run) waitingFor(h *pg.Blocker) {
	r.phase(Waiting)
	r.teller.change(func(now *Progress) { now.Blocker = h })
}

// retrying says why the last attempt is made again later. It keeps the file and
// who was in its way, because that is what is waited for.
func (r *run) retrying(why error) {
	r.teller.change(func(now *Progress) {
		if now.Phase != Applying {
			now.File, now.Number, now.Of = "", 0, 0
		}
		now.Phase, now.Since, now.WaitsFor, now.Index = Waiting, time.Now(), summary(why), nil
		now.Blocker = r.teller.blocker
	})
}

// summary is an error without the lines of the file that it quotes.
func summary(err error) string {
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refusal.Message
	}
	return err.Error()
}

// logAttrs is what a line of the log says of a progress.
func logAttrs(p Progress) []any {
	var attrs []any
	add := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	add("file", p.File)
	if p.Of > 0 {
		attrs = append(attrs, slog.Int("number", p.Number), slog.Int("of", p.Of))
	}
	attrs = append(attrs, slog.Duration("elapsed", time.Since(p.Since).Round(time.Millisecond)))
	add("waits_for", p.WaitsFor)
	if p.Blocker != nil {
		add("blocked_by", p.Blocker.String())
	}
	if p.Index != nil {
		add("index", p.Index.String())
	}
	return attrs
}

// doing is the step that a run is at, for messages.
func (r *run) doing() string {
	now, _ := r.teller.moment()
	switch {
	case now.File != "":
		return string(now.Phase) + " " + now.File
	case now.Phase == Applying:
		return "creating the schema"
	case now.Phase == Looking:
		return "looking at the database"
	case now.Phase == Reconciling:
		return "making the rights of the service's role equal to the declared ones"
	}
	return string(now.Phase)
}
