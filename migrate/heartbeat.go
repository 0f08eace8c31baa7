package migrate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A heartbeat watches over another connection what the server does with a file, because the
// migrator's own connection is busy. It opens a second connection only when
// something takes long, and a question that it cannot ask is no failure.
type heartbeat struct {
	*run
	pid  uint32 // what the server called our process; a pooler makes that up
	conn *pgconn.PgConn

	askAgain time.Time // not before, after a question that failed

	main *pgconn.PgConn // the connection that is watched

	flushed int // the version up to which it had, or tried to have, files put on disk

	waits   time.Time // since when it was seen to wait for a lock, or until when that was counted
	unheard time.Time // since when no process of the server was seen to work for it

	gaveUp     error     // why it closed the connection that it watches
	silent     int       // questions in a row that were not answered
	silentFrom time.Time // when the first of them was asked
}

// syncRep is what a COMMIT waits for that is on the primary's disk, and on no synchronous standby. To
// cancel it ends the wait, and the COMMIT is done.
const syncRep = "IPC SyncRep"

// deadAfter is how long no process of the server works for a connection on which an answer is
// awaited, until it is given up: its answer was lost on the way.
const deadAfter = 30 * time.Second

// silentTimes is how many questions in a row a server leaves without an answer until it counts as frozen, and
// not as busy, and until this program cannot have been the one that stood still.
const silentTimes = 3

// watch starts a heartbeat and returns how to stop it; then its connection is
// closed. stop returns why conn was closed, if it was.
func (r *run) watch(ctx context.Context, conn *pgconn.PgConn) (stop func() error) {
	h := &heartbeat{run: r, pid: conn.PID(), main: conn}
	ctx = pg.Metered(ctx, pg.Meter{}) // its questions have limits of their own, and no step waits for them
	done, joined := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(joined)
		h.beat(context.WithoutCancel(ctx), done) // a file in its time of grace is watched, too
	}()
	return func() error { close(done); <-joined; return h.gaveUp }
}

// beat looks often enough to see who holds a lock before the wait for it is given
// up, and speaks less often.
func (h *heartbeat) beat(ctx context.Context, done <-chan struct{}) {
	defer func() {
		if h.conn != nil {
			pg.Close(ctx, h.conn)
		}
	}()
	interval := min(h.Heartbeat, max(h.lockLimit()/3, 50*time.Millisecond))
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		if _, begun := h.teller.moment(); !begun.IsZero() && time.Since(begun) >= interval {
			v := h.ask(ctx)
			h.tell(v, begun)
			h.bound(ctx, v, begun)
			if v.Unreplicated {
				h.flushAside(ctx)
			}
		}
	}
}

// bound counts the time at locks against Migrator.Wait, cancels what waits for one when that is used up,
// and closes a connection that the server has forgotten. lock_timeout, which a file without a transaction does
// not have, bounds each wait of a file, and not their sum.
func (h *heartbeat) bound(ctx context.Context, v vital, begun time.Time) {
	_, awaited := h.teller.moment()
	// a pooler may have no connection for the question
	if awaited.Equal(begun) && h.silent >= silentTimes && !h.pooled {
		h.giveUpFrozen(latest(h.silentFrom, begun))
	}
	if !awaited.Equal(begun) || !v.asked {
		h.waits, h.unheard = time.Time{}, time.Time{}
		return
	}
	now := time.Now()
	if strings.HasPrefix(v.WaitsFor, "Lock ") || strings.HasPrefix(v.WaitsFor, "BufferPin ") || v.WaitsFor == syncRep {
		since := latest(latest(h.waits, begun), now.Add(-time.Duration(v.Waited*float64(time.Second))))
		if v.WaitsFor == syncRep && !h.waits.IsZero() { // of which the server does not say since when
			since = h.waits
		}
		h.pause.locked += now.Sub(since)
		h.pause.waited += now.Sub(since)
		h.waits = now
	} else {
		h.waits = time.Time{}
	}
	if !h.waits.IsZero() && h.pause.left() <= 0 {
		h.pause.spent = v.WaitsFor != syncRep
		h.pause.unconfirmed = v.WaitsFor == syncRep
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		_ = h.main.CancelRequest(limited) // tried again with the next beat
		cancel()
	}
	switch sent := time.Unix(0, h.sentAt.Load()); {
	case v.Works:
		h.unheard = time.Time{}
	case h.unheard.IsZero():
		h.unheard = now
	case now.Sub(latest(h.unheard, sent)) >= deadAfter:
		h.giveUp(errForgotten, now.Sub(begun))
	}
}

var errForgotten = errors.New("no process of the server works for it any more")

// giveUp closes the connection that is watched: its answer will not come.
func (h *heartbeat) giveUp(why error, elapsed time.Duration) {
	if h.gaveUp != nil {
		return
	}
	h.gaveUp = why
	h.Log.Warn("the connection to the database is given up", "reason", why, "elapsed", elapsed.Round(time.Millisecond))
	_ = h.main.Conn().Close()
}

// giveUpFrozen closes a connection to a server that takes connections and answers no question, as one whose disk hangs
// does, when the time to wait is used up: the answer may never come.
func (h *heartbeat) giveUpFrozen(since time.Time) {
	waited := time.Since(since)
	if waited < h.pause.left() {
		return
	}
	h.pause.waited += waited
	h.giveUp(pg.SilentError(waited.Round(time.Second)), waited)
}

// flushAside has the files before a long one put on disk, over the second connection, so that
// they are reported while the first one is busy. It tries once for each, and not where a commit
// waits for a standby: it would keep its locks while it does.
func (h *heartbeat) flushAside(ctx context.Context) {
	version := h.unreported()
	if version <= h.flushed || h.conn == nil {
		return
	}
	h.flushed = version
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	switch err := h.order(ctx, h.conn, h.flushing(version)); {
	case err == nil:
		h.countUpTo(version)
	case h.conn.IsClosed():
		h.conn = nil
	case h.conn.TxStatus() != 'I':
		pg.Close(ctx, h.conn)
		h.conn = nil
	}
}

// A vital is what the server shows of a process that works for us.
type vital struct {
	WaitsFor string         `json:"waits_for"`
	Blocker  *pg.Blocker    `json:"blocker"`
	Index    *pg.IndexBuild `json:"index"`
	Waited   float64        `json:"waited"` // seconds since it began to wait for the lock
	Works    bool           `json:"works"`  // some process works for us

	Unreplicated bool `json:"unreplicated"` // no commit waits for a standby

	asked bool // the server has answered
}

// tell reports what was seen of the answer that was awaited since begun.
func (h *heartbeat) tell(v vital, begun time.Time) {
	if _, now := h.teller.moment(); now != begun {
		return // it has come
	}
	t := &h.teller
	t.change(func(p *Progress) {
		p.WaitsFor, p.Blocker, p.Index = v.WaitsFor, v.Blocker, v.Index
		if v.Blocker != nil {
			t.blocker = v.Blocker
		}
	})
	now, _ := t.moment()
	standby := v.WaitsFor == syncRep && t.told != now.File+syncRep
	news := v.Blocker != nil && t.told != fmt.Sprint(now.File, v.Blocker.PID)
	switch {
	case news:
		t.told = fmt.Sprint(now.File, v.Blocker.PID)
		h.Log.Warn("a migration waits for another session", logAttrs(now)...)
	case standby:
		t.told = now.File + syncRep
		h.Log.Warn("a commit waits for a synchronous standby; see synchronous_standby_names and pg_stat_replication "+
			"on the server", logAttrs(now)...)
	case time.Since(latest(now.Since, t.said)) >= h.Heartbeat:
		h.Log.Info("still "+string(now.Phase), logAttrs(now)...)
	default:
		return
	}
	t.said = time.Now()
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ask asks the server what it does for us, within a limit: the next look at the
// database must not wait for this one.
func (h *heartbeat) ask(ctx context.Context) (v vital) {
	if time.Now().Before(h.askAgain) {
		return v
	}
	asked := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	err := h.askOver(ctx, &v)
	if err == nil {
		v.asked, h.silent = true, 0
		return v
	}
	if ctx.Err() == nil { // refused, or lost
		h.silent = 0
	} else {
		if h.silent == 0 {
			h.silentFrom = asked
		}
		h.silent++
	}
	if lacks, ok := errors.AsType[*pg.PrivilegeError](err); ok && !h.unshown {
		h.unshown = true
		h.Log.Warn("what the server does for the migration cannot be shown, and the time that it waits for locks "+
			"cannot be counted", "error", lacks)
	} else {
		h.Log.Debug("what the server does for the migration could not be asked", "error", pg.Reason(err))
	}
	h.askAgain = time.Now().Add(h.Heartbeat)
	if h.conn != nil {
		pg.Close(ctx, h.conn)
		h.conn = nil
	}
	return vital{}
}

func (h *heartbeat) askOver(ctx context.Context, v *vital) error {
	if h.conn == nil {
		conn, err := pgconn.ConnectConfig(ctx, h.config)
		if err != nil {
			return err
		}
		h.conn = conn
	}
	return pg.Ask(ctx, h.conn, pg.Untimed+h.question(), v)
}

// question finds the process that works for us and what keeps it. Behind a pooler
// its number is not the one that we were given; there it is the session with our name
// and role that holds the ledger's lock and does not queue for another migrator's row.
// A file without a transaction holds no such lock, and is then the only one.
func (h *heartbeat) question() string {
	return strings.NewReplacer("$schema", sqltext.QuoteText(h.Schema), "$ledger", sqltext.QuoteText(ledger.Name),
		"$pid", strconv.FormatUint(uint64(h.pid), 10), "$pooled", strconv.FormatBool(h.pooled),
		"$blocker", pg.BlockerOf).Replace(`
	WITH ours AS (
		SELECT a.pid, a.wait_event_type, a.wait_event FROM pg_stat_activity a
		WHERE a.datname = current_database() AND a.usename = session_user
			AND a.application_name = current_setting('application_name')
			AND a.state IN ('active', 'disabled') AND a.pid <> pg_backend_pid() AND ($pooled OR a.pid = $pid)
		ORDER BY a.pid = $pid DESC, EXISTS (
				SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
				WHERE l.pid = a.pid AND l.granted AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock')
					AND nspname = $schema AND relname = $ledger) DESC,
			a.wait_event IS NOT DISTINCT FROM 'transactionid', a.xact_start
		LIMIT 1)
	SELECT coalesce((SELECT json_build_object('works', true,
		'unreplicated', current_setting('synchronous_standby_names') = '',
		'waited', coalesce((SELECT extract(epoch FROM clock_timestamp() - max(waitstart))
			FROM pg_locks l WHERE l.pid = ours.pid AND NOT granted), 0),
		'waits_for', coalesce(wait_event_type || ' ' || wait_event
			|| coalesce(' of ' || (SELECT min(relation::regclass::text)
				FROM pg_locks l WHERE l.pid = ours.pid AND NOT granted), ''), ''),
		'blocker', (SELECT $blocker FROM unnest(pg_blocking_pids(ours.pid)) pid LEFT JOIN pg_stat_activity a USING (pid)
			ORDER BY a.wait_event_type IS NOT DISTINCT FROM 'Lock', a.xact_start LIMIT 1),
		'index', (SELECT json_build_object('phase', phase, 'blocks_done', blocks_done, 'blocks_total', blocks_total,
				'tuples_done', tuples_done,
				'tuples_total', tuples_total, 'lockers_done', lockers_done, 'lockers_total', lockers_total)
			FROM pg_stat_progress_create_index i WHERE i.pid = ours.pid LIMIT 1))
		FROM ours), '{}')`)
}
