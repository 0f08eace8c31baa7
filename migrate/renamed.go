package migrate

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A RenamedError means that the schema is missing, and another one looks like it: somebody
// has renamed it, or restored it under another name. Nothing was changed.
type RenamedError struct {
	Schema  string // that is missing
	Found   string // that looks like it
	Version int    // of what was found
}

func (e *RenamedError) Error() string {
	return fmt.Sprintf("the schema %q is missing or empty, and the schema %q looks like it: it holds these "+
		"migrations up to version %d, "+
		"and the service's role has its rights there. Nothing was changed. If it was renamed, its owner can run: "+
		"ALTER SCHEMA %[5]s RENAME TO %[4]s; "+
		"(an empty %[4]s has to be dropped first). To begin with an empty schema instead, use another database",
		e.Schema, e.Found, e.Version, sqltext.QuoteName(e.Schema), sqltext.QuoteName(e.Found))
}

// lookForRenamed asks, where the schema is missing or empty, for one that holds the history
// of this bundle and a ledger that the service's role may read. A service that keeps several
// such schemas on purpose gives each a role of its own, or there would be rights in the
// others to take away.
func (m *Migrator) lookForRenamed(ctx context.Context, conn *pgconn.PgConn, role string, s *seen) error {
	b := pg.NewBatch(conn)
	var found []string
	// A hint that cannot be had is no error; what is wrong with the privileges, others say better.
	b.Ask(pg.Untimed+strings.NewReplacer("$schema", sqltext.QuoteText(m.Schema),
		"$ledger", sqltext.QuoteText(ledger.Name), "$role", role,
		"$stamp", sqltext.QuoteText(ledger.StampPrefix+"%")).Replace(`
		SELECT coalesce(json_agg(n.nspname ORDER BY n.nspname), '[]')
		FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = $ledger
		WHERE n.nspname <> $schema AND obj_description(n.oid, 'pg_namespace') LIKE $stamp
		  AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
		  AND EXISTS (SELECT FROM pg_roles r WHERE r.rolname = $role AND NOT rolsuper
			AND has_table_privilege(r.oid, c.oid, 'SELECT'))`), &found)
	if err := b.Run(ctx); err != nil {
		return err
	}
	for _, candidate := range found {
		heads, err := m.askPatiently(ctx, conn, ledger.HeadQuery(candidate, m.Bundle.Version()))
		if err != nil {
			return err
		}
		l, err := ledger.ReadHead(heads[0])
		if err == nil && l.HasHistory() && l.Fingerprint == m.Bundle.Fingerprint(min(l.Version, m.Bundle.Version())) {
			s.Renamed = &RenamedError{Schema: m.Schema, Found: candidate, Version: l.Version}
			return nil
		}
	}
	return nil
}
