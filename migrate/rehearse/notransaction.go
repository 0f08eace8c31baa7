package rehearse

import (
	"slices"

	"github.com/avtotpy/avtotpy/migrate/bundle"
)

// documentedLock is the lock that a statement takes on each table which may run without a transaction (PostgreSQL
// documentation, "Table-Level Locks"). When it ends its locks are gone, so they cannot be asked for.
func documentedLock(form string) string {
	return map[string]string{
		"CREATE INDEX CONCURRENTLY": "ShareUpdateExclusiveLock",
		"DROP INDEX CONCURRENTLY":   "ShareUpdateExclusiveLock",
		"REINDEX CONCURRENTLY":      "ShareUpdateExclusiveLock",
		"REINDEX":                   "ShareLock", // and AccessExclusiveLock on each index
		"VACUUM":                    "ShareUpdateExclusiveLock",
		"VACUUM FULL":               "AccessExclusiveLock",
	}[form]
}

// documented are the locks of a statement, on the tables that it names, the tables of the indexes that it names, or all
// tables of its schema or of the database.
func (s catalogState) documented(statement bundle.NoTx) (locks []relationLock) {
	named := func(r relation) bool {
		return len(statement.On) == 0 || slices.ContainsFunc(statement.On, func(n bundle.Name) bool {
			return n.Schema == r.Schema && (n.Relation == r.Relation || n.Relation == "")
		})
	}
	for _, r := range s.Relations {
		if (r.Kind == "table" || r.Kind == "materialized view" || r.Kind == "index") && named(r) {
			locks = append(locks, relationLock{r.Table, documentedLock(statement.Form)})
		}
	}
	if statement.Form != "REINDEX" {
		return locks
	}
	for _, r := range s.Relations {
		table := slices.ContainsFunc(s.Relations, func(t relation) bool { return t.OID == r.Table && named(t) })
		if r.Kind == "index" && (named(r) || table) {
			locks = append(locks, relationLock{r.OID, "AccessExclusiveLock"})
		}
	}
	return locks
}
