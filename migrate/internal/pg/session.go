package pg

import (
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// A Blocker is a session that blocks a migrator: another migrator at work, or one
// that holds a lock. What it says to the server is left out, for that may be secret.
//
// The server shows the last four fields of another role's session only to members
// of pg_read_all_stats, and prepared transactions have none; then they are zero.
type Blocker struct {
	PID         int       `json:"pid"`                  // of its process on the server; 0 for a prepared transaction
	Application string    `json:"application"`          // the name that it goes by
	State       string    `json:"state,omitempty"`      // such as "active" or "idle in transaction"
	Since       time.Time `json:"since,omitzero"`       // when its transaction began
	QuerySince  time.Time `json:"query_since,omitzero"` // when its current or last statement began
	WaitsFor    string    `json:"waits_for,omitempty"`  // its wait event
}

// String describes the session in one line.
func (h Blocker) String() string {
	s := h.Application
	if h.PID != 0 {
		s += fmt.Sprintf(" (pid %d)", h.PID)
	}
	if h.State != "" {
		s += ", " + h.State
	}
	if !h.Since.IsZero() {
		s += " since " + h.Since.UTC().Format(time.RFC3339)
	}
	if h.WaitsFor != "" {
		s += ", which waits for " + h.WaitsFor
	}
	return s
}

// BlockerOf is the JSON of a Blocker, in a query in which pid is the process and a
// its row of pg_stat_activity, if it has one. A client that a session waits for is
// not worth a word: its state says it better.
const BlockerOf = `json_build_object('pid', pid,
	'application', CASE WHEN pid = 0 THEN 'a prepared transaction (see pg_prepared_xacts)' ELSE coalesce(nullif(a.application_name, ''), 'a session') END,
	'state', coalesce(a.state, ''), 'since', a.xact_start, 'query_since', a.query_start,
	'waits_for', CASE WHEN a.wait_event_type <> 'Client' THEN a.wait_event_type || ' ' || a.wait_event ELSE '' END)`

// An IndexBuild is how far the server is with an index, from
// pg_stat_progress_create_index.
type IndexBuild struct {
	Phase        string `json:"phase"` // in the server's words, such as "building index: scanning table"
	BlocksDone   int64  `json:"blocks_done"`
	BlocksTotal  int64  `json:"blocks_total"`
	TuplesDone   int64  `json:"tuples_done"`
	TuplesTotal  int64  `json:"tuples_total"`
	LockersDone  int64  `json:"lockers_done"` // sessions that CREATE INDEX CONCURRENTLY waited for
	LockersTotal int64  `json:"lockers_total"`
}

// String names the phase and whatever the server counts in it. Where it waits the server
// still has what it counted before.
func (i IndexBuild) String() string {
	type count struct {
		done, total int64
		what        string
	}
	counts := []count{{i.BlocksDone, i.BlocksTotal, "blocks"}, {i.TuplesDone, i.TuplesTotal, "rows"}}
	if strings.HasPrefix(i.Phase, "waiting for ") {
		counts = []count{{i.LockersDone, i.LockersTotal, "sessions"}}
	}
	for _, counted := range counts {
		if counted.total > 0 {
			return fmt.Sprintf("%s, %d of %d %s", i.Phase, counted.done, counted.total, counted.what)
		}
	}
	return i.Phase
}

// IsPooled reports whether a pooler is in between: it makes up the process id that it gives to
// its clients. pid is that of the process which answers.
func IsPooled(conn *pgconn.PgConn, pid int) bool { return int(conn.PID()) != pid }
