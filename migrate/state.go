package migrate

import (
	"fmt"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// A State is how a database stands to a bundle.
type State int

// The states. Only Blank and Behind let a migration run; Current and
// AheadCompatible need none; the others are refused.
const (
	Blank             State = iota // the schema does not exist, or holds nothing at all
	Behind                         // the ledger's last version is below the bundle's
	Current                        // ledger and bundle agree
	AheadCompatible                // a newer program migrated; this bundle can still work with the schema
	AheadIncompatible              // a newer program migrated; this bundle cannot work with the schema
	Diverged                       // ledger and bundle contradict each other
	LedgerLost                     // the schema holds objects, and the ledger does not show how they came there
)

// String names the state as the documentation does.
func (s State) String() string {
	names := [...]string{
		"blank", "behind", "current", "ahead, compatible", "ahead, incompatible", "diverged",
		"ledger lost",
	}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return names[s]
}

// MarshalText is String, for logs and other machine-readable output.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Fit reports whether a service with this bundle can work with the schema.
func (s State) Fit() bool { return s == Current || s == AheadCompatible }

// A Status says how a database stands to a bundle.
type Status struct {
	State      State
	Version    int                // the ledger's last version; 0 when nothing was applied
	Target     int                // the bundle's last version
	MinVersion int                // the oldest bundle that the schema admits
	Pending    []bundle.Migration // what would be applied
	// the version of a file without a transaction that a migrator works on, or worked on when it died; 0 when there is
	// none
	Claimed int
	// where ledger and bundle contradict each other, when the state is Diverged or LedgerLost
	Differences []Difference
	Foreign     bool   // with LedgerLost: a table of another tool stands where the ledger belongs
	Lost        string // why the state is LedgerLost
	// with LedgerLost: how the ledger's table is not as it was made, where that was asked
	Damage  []snapshot.Difference
	repair  string // the command against that
	renamed *RenamedError
	Role    string      // as which role it was asked
	Rows    []LedgerRow // of the ledger; nil unless they were asked for
	// what that role could do and a service's own role must not: "is a superuser", "may create roles" …
	TooMuch []string
}

// A Difference is one place where ledger and bundle contradict each other.
type Difference struct {
	Version int
	What    string
}

func (d Difference) String() string { return fmt.Sprintf("%04d: %s", d.Version, d.What) }

// Err returns nil when a service with this bundle can work with the schema, and
// otherwise the error of the state: an *UnmigratedError, *RenamedError, *AheadError,
// *DivergedError or *LedgerLostError.
func (s Status) Err() error {
	switch s.State {
	case Blank, Behind:
		if s.renamed != nil {
			return s.renamed
		}
		return &UnmigratedError{Version: s.Version, Target: s.Target}
	case AheadIncompatible:
		return &AheadError{Version: s.Version, Target: s.Target, MinVersion: s.MinVersion}
	case Diverged:
		return &DivergedError{Version: s.Version, Differences: s.Differences}
	case LedgerLost:
		return &LedgerLostError{
			Why: s.Lost, Foreign: s.Foreign, Differences: s.Differences, Damage: s.Damage,
			Command: s.repair,
		}
	case Current, AheadCompatible:
	}
	return nil
}

// An UnmigratedError means that files are pending.
type UnmigratedError struct{ Version, Target int }

func (e *UnmigratedError) Error() string {
	if e.Version == 0 {
		return fmt.Sprintf("the database has no schema yet, and this program needs version %d; run the "+
			"migrations first", e.Target)
	}
	return fmt.Sprintf("the schema is at version %d, and this program needs version %d; run the migrations first",
		e.Version, e.Target)
}

// An AheadError means that a newer program changed the schema in a way that this
// one cannot work with.
type AheadError struct{ Version, Target, MinVersion int }

func (e *AheadError) Error() string {
	return fmt.Sprintf("the schema is at version %d and needs a program whose migrations reach at least version %d; "+
		"this one ends at %d. "+
		"Nothing was changed. Start a newer release, or restore the backup from before the upgrade", e.Version,
		e.MinVersion, e.Target)
}

// A DivergedError means that the ledger and the bundle contradict each other.
type DivergedError struct {
	Version     int
	Differences []Difference
}

func (e *DivergedError) Error() string {
	return "the ledger of applied migrations and the files of this program contradict each other:" +
		list(e.Differences) +
		"\nNothing was changed. Start the release that migrated this database, or restore the ledger from a backup"
}

func list(differences []Difference) string {
	var b strings.Builder
	for _, d := range differences {
		b.WriteString("\n  " + d.String())
	}
	return b.String()
}

// A LedgerLostError means that the ledger does not show how the schema came to be what
// it is: it is missing, empty, not ours, or contradicts its stamp, the
// schema's comment. [Migrator.Repair] can rebuild it.
type LedgerLostError struct {
	Why         string
	Foreign     bool                  // a table of another tool stands where it belongs
	Differences []Difference          // rows that contradict the bundle
	Damage      []snapshot.Difference // how its table is not as it was made
	Command     string                // what calls Repair; see Migrator.RepairCommand
}

func (e *LedgerLostError) Error() string {
	text := "the ledger is lost: " + e.Why + list(e.Differences) + snapshot.Lines(e.Damage)
	if len(e.Differences)+len(e.Damage) > 0 {
		text += "\n"
	} else {
		text += ". "
	}
	text += "Nothing was changed, for applying migrations that were applied before would fail or destroy data"
	switch {
	case e.Foreign:
		return text + ". Rename that table, or choose another schema"
	case e.Command != "":
		return text + fmt.Sprintf(". %q shows what can be rebuilt, and rebuilds it with --yes", e.Command)
	}
	return text
}
