package migrate

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/bundle"
)

// A run is one call of Up.
type run struct {
	Migrator
	parsed      *pgx.ConnConfig      // the connection string
	config      *pgconn.Config       // of parsed
	left        func() time.Duration // how much of the time to wait is left
	report      Report
	me          string // as whom it is connected
	pooled      bool   // a pooler is in between
	commit      string // the synchronous_commit of a transaction whose success is reported
	compared    bool   // the schema with its snapshot, before files were applied
	proved      bool   // the same, afterwards
	admitted    bool   // the service's role logs in with the configured password, as far as can be seen
	did         memory
	reconnected bool         // after a connection was lost, so that the report may be wrong
	looked      bool         // the report knows what the database was like
	backedUp    bool         // Backup was called and succeeded
	unshown     bool         // what the server does is not shown to the role, which was logged
	lacked      time.Time    // when the role first lacked rights on a schema that is ahead
	notices     atomic.Int32 // how many notices the server has sent, to the message at hand
	tally       tally
	losses      losses
	sentAt      atomic.Int64 // when something of a file was written last, in nanoseconds of Unix time
	pause       pause
	teller      teller
	started     time.Time
	until       time.Time              // when what is not Up connects no more
	answering   atomic.Pointer[string] // the SQL that is being answered, of which notices may repeat each word
}

func newRun(m Migrator, connString string) (*run, error) {
	switch {
	case m.Schema == "":
		return nil, errors.New("migrate: the Migrator has no Schema")
	case m.Bundle.Version() == 0:
		return nil, errors.New("migrate: the Migrator has no Bundle")
	}
	if err := m.Bundle.KeepsOff(m.Schema); err != nil {
		return nil, err
	}
	if err := m.Role.Check(m.Schema); err != nil {
		return nil, err
	}
	if m.Program == "" {
		m.Program = "migrate"
	}
	m.ConnectWait = orElse(m.ConnectWait, time.Minute)
	m.LockTimeout = orElse(m.LockTimeout, defaultLockTimeout)
	m.Wait = orElse(m.Wait, 10*time.Minute)
	m.Grace = orElse(m.Grace, 5*time.Second)
	m.Heartbeat = orElse(m.Heartbeat, 15*time.Second)
	if m.Log == nil {
		m.Log = slog.New(slog.DiscardHandler)
	}
	r := &run{Migrator: m, started: time.Now()}
	r.pause.budget = m.Wait
	r.left = r.pause.left
	parsed, err := r.parseConfig(connString)
	if err != nil {
		return nil, err
	}
	r.parsed, r.config = parsed, &parsed.Config
	return r, nil
}

// flushed is the synchronous_commit of a transaction whose success is reported:
// the server's own, unless a DBA turned it off.
func flushed(s seen) string {
	if s.Server.SynchronousCommit == "off" {
		return "on"
	}
	return s.Server.SynchronousCommit
}

// A tally is what a run knows of the work that it sent, beyond what its report may say. The
// report says that a file is applied when it is on disk, on a server that did not lose it.
type tally struct {
	// of unflushed, and of what the report lists: a heartbeat may count files, too
	mu        sync.Mutex
	unflushed []Applied                    // committed, and possibly not on disk yet
	doubtful  []*bundle.Migration          // sent over a connection that was lost before the answer came
	doubts    []func(*seen) (settled bool) // what else was sent like that: reports it when it was done all the same
	password  bool                         // the role's password was sent like that
}

// inDoubt reports whether something was sent of which it is not known yet what became of it. The server may still be at
// it after the program has connected again, so that each look may show it.
func (t *tally) inDoubt() bool { return len(t.doubtful)+len(t.doubts) > 0 }

// doubt notes a file whose answer did not come.
func (t *tally) doubt(m *bundle.Migration) {
	if !slices.Contains(t.doubtful, m) {
		t.doubtful = append(t.doubtful, m)
	}
}

// answered ends the doubt about a file: it was sent again, and this time the answer came.
func (t *tally) answered(m *bundle.Migration) {
	t.doubtful = slices.DeleteFunc(t.doubtful, func(d *bundle.Migration) bool { return d.Version == m.Version })
}

// losses counts how often in a row the connection was lost while the same file ran. The server answered in between, or
// the file would not have been begun again.
type losses struct {
	file  string
	times int
}

// A memory is what a start has done already, of what another look does not show.
type memory struct {
	opened bool // row level security was taken off the ledger once
	// the role's privileges were made equal once; a difference that is left cannot be removed by a migrator
	granted bool
}
