package migrate

import (
	"sync"
	"time"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
)

// A Phase is what a call of Up is busy with.
type Phase string

// The phases, in the order in which a start goes through them; waiting may come
// between any two.
const (
	Connecting  Phase = "connecting"  // to the database, or trying to
	Looking     Phase = "looking"     // at the database, to see what is pending
	Waiting     Phase = "waiting"     // for another migrator, or before another attempt
	BackingUp   Phase = "backing up"  // the database, before it is changed
	Applying    Phase = "applying"    // the files that are pending
	Reconciling Phase = "reconciling" // the rights of the service's role with the declared ones
	Done        Phase = "done"        // there is nothing left to do
)

// Phases returns all phases in that order.
func Phases() []Phase {
	return []Phase{Connecting, Looking, Waiting, BackingUp, Applying, Reconciling, Done}
}

// A Progress says what a call of Up is busy with at a moment. It holds no
// statement and no value of the database.
type Progress struct {
	Phase Phase
	Since time.Time // the start of the phase or, while applying, of the first attempt at the file

	Looked          bool // whether the schema was looked at, so that its version is known
	Version, Target int  // of the schema, and of the bundle
	Applied         int  // how many files the report of this call has so far

	File       string // whose answer is awaited, also while waiting to try it again; empty between files
	Number, Of int    // which of the files of this call it is; 0 without a file

	// what keeps it: a wait event of the server's, such as "Lock relation", or why it tries again
	WaitsFor string
	Blocker  *pg.Blocker    // the session that blocks it, nil while none is known
	Index    *pg.IndexBuild // how far the index is that the file builds, nil when it builds none
}

// A teller keeps what is happening and reports it. The function that hears it is called
// under the lock, so that it hears everything in order.
type teller struct {
	mu    sync.Mutex
	now   Progress
	begun time.Time // when the answer that is awaited became the next one
	tell  func(Progress)

	what    string      // the file, or the message of ours, that was tried last
	since   time.Time   // the first attempt at it
	blocker *pg.Blocker // the last session that was seen in its way

	said    time.Time // the last line about it in the log
	told    string    // of whom the log says that it is waited for
	retried string    // of which file the log says that it is tried again
}

func (t *teller) change(f func(now *Progress)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.now)
	if t.tell != nil {
		t.tell(t.now)
	}
}

// moment returns what is happening, and since when the same answer is awaited.
func (t *teller) moment() (now Progress, begun time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now, t.begun
}
