package migrate

import (
	_ "embed" // for a long question
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

//go:embed owners.sql
var ownersSQL string

// askOwners asks for the objects of the schema whose owner somebody changed, each as a Drift: a migration cannot change
// them any more.
func (m *Migrator) askOwners() string {
	return strings.NewReplacer("$schema", sqltext.QuoteText(m.Schema), "$ledger",
		sqltext.QuoteText(ledger.Name)).Replace(ownersSQL)
}

// strays are those of them that a migration made, as far as the bundle knows: another object is a difference as a
// whole.
func (m *Migrator) strays(found []snapshot.Difference, version int) []snapshot.Difference {
	wanted, ok := m.Bundle.Snapshot(version)
	if !ok {
		return found
	}
	objects := snapshot.Objects(wanted)
	return slices.DeleteFunc(found, func(d snapshot.Difference) bool {
		return objects[d.Object] == nil &&
			!strings.HasPrefix(d.Object, "schema ")
	})
}

// nameOwners warns of them at a start that has nothing to apply; one that has compares the whole schema.
func (r *run) nameOwners(s seen) {
	strays := r.strays(s.Strays, s.Ledger.Version)
	if r.compared || r.proved || len(strays) == 0 {
		return
	}
	r.compared, r.report.Drift = true, strays
	r.Log.Warn("objects of the schema belong to another role, so that no migration can change them; verify reports "+
		"them as differences, too",
		"differences", snapshot.Lines(strays), "sql", forLog(snapshot.Propose(strays, "", "", r.Schema)))
}

// forLog is a script for a line of the log: the whole one is printed by verify.
func forLog(script []string) string {
	const most = 2000
	text := strings.Join(script, "; ")
	if len(text) > most {
		return "-- too long for the log; verify prints it"
	}
	return text
}
