package migrate

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// A Migrator brings one schema of a PostgreSQL database to the version of a
// bundle. Bundle and Schema must be set; the rest works as zero values.
type Migrator struct {
	Bundle bundle.Bundle
	Schema string         // created when it does not exist; the ledger lives in it
	Role   privilege.Role // the service's own role

	Program string // names the migrator in pg_stat_activity and the role's comment; "migrate" when empty
	Version string // the program's version, kept in the ledger's rows

	ConnectWait time.Duration // how long to try to connect; 60 s when zero
	LockTimeout time.Duration // how long a statement may queue for a lock before it is tried again; 5 s when zero
	Wait        time.Duration // how long a start may wait in all, for locks and other migrators; 10 min when zero
	Grace       time.Duration // how long a running file may go on after ctx is cancelled; 5 s when zero

	// Backup, when it is set, is called once before pending files touch a schema that
	// holds something: not when it is blank, and by one of many programs that start
	// together. When it fails, nothing is changed, and Up returns a *BackupError. ctx
	// also ends when the connection that keeps the others away is lost.
	Backup func(ctx context.Context, s Status) error

	// Probe, when it is set, is one SELECT of one JSON value. Up asks it at the start and at the end of each file's
	// transaction, in the message of the file, and each Applied has the two values. A file without a transaction has
	// it asked before and after. One that fails costs no migration: Up logs a warning and goes on without it.
	Probe string

	Heartbeat time.Duration // how long a file runs until the log says that it still does, and again; 15 s when zero

	RepairCommand string // what an operator runs to call Repair; the error of a lost ledger names it

	Log *slog.Logger // what happens; nothing is logged when nil
	// hears what Up is busy with whenever that changes, one call at a time; must be quick; may be nil
	Progress func(Progress)
}

// A Report is what a call of Up found and did.
type Report struct {
	State    State     // what the database was like when Up first looked
	From, To int       // the schema's version before and after
	Applied  []Applied // by this call, in order
	// how the schema differs: from the snapshot of its version, when files were pending; in its owners, always
	Drift       []snapshot.Difference
	RoleCreated bool          // whether this call created the role
	Granted     []string      // privileges that the role lacked
	Revoked     []string      // privileges that it had beyond the declared ones
	PasswordSet bool          // whether the role, which was ours, got the configured password again
	Waited      time.Duration // for locks, other migrators and lost connections
	Elapsed     time.Duration

	// RunsPrograms names the privileged role when it is no superuser and can yet run programs on the server: before
	// PostgreSQL 16, CREATEROLE lets a role grant itself pg_execute_server_program.
	RunsPrograms string
}

// An Applied is one file that was applied.
type Applied struct {
	Version  int
	Name     string
	Duration time.Duration

	// what Probe returned at the start and at the end of the file's transaction; nil without a Probe, and where its
	// answers were lost
	Before, After json.RawMessage
}

// A LedgerRow is one applied migration as the database remembers it.
type LedgerRow = ledger.Row

// defaultLockTimeout is LockTimeout when that is zero.
const defaultLockTimeout = 5 * time.Second

func orElse(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
