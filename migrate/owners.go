package migrate

import (
	_ "embed" // for a long question
	"strings"
)

//go:embed owners.sql
var ownersSQL string

// askOwners asks for the objects of the schema whose owner somebody changed, each as a Drift: a migration cannot change
// them any more.
func (m *Migrator) askOwners() string {
	return strings.NewReplacer("$schema", quoteText(m.Schema), "$ledger", quoteText(ledgerName)).Replace(ownersSQL)
}

// nameOwners warns of them at a start that has nothing to apply; one that has compares the whole schema.
func (r *run) nameOwners(s seen) {
	if r.compared || r.proved || len(s.Strays) == 0 {
		return
	}
	r.compared, r.report.Drift = true, s.Strays
	r.Log.Warn("objects of the schema belong to another role, so that no migration can change them; verify reports them as differences, too",
		"differences", driftLines(s.Strays), "sql", undoing(s.Strays))
}

// undoing is the SQL that takes differences back, as far as it is known.
func undoing(drift []Drift) string {
	var sql []string
	for _, d := range drift {
		if d.SQL != "" {
			sql = append(sql, d.SQL)
		}
	}
	return strings.Join(sql, "; ")
}
