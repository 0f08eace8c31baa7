package migrate

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// grantSoFar gives the role the declared rights on what is there, after a start that applied
// files and then failed: the newest release whose files are all there has to be able to serve.
// It revokes nothing, for that release may need it. What it cannot do, the next start does,
// even when it fails at once: the start before it may have been killed after the last good file.
func (r *run) grantSoFar(ctx context.Context, conn *pgconn.PgConn, failure error) {
	_, tried := errors.AsType[*MigrationError](failure)
	if r.Role.Name == "" || !tried && r.report.To <= r.report.From || conn.IsClosed() || conn.TxStatus() != 'I' {
		return
	}
	const limit = 15 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(limit, max(r.waitable(), leastAnswer)))
	defer cancel()
	s, err := r.look(ctx, conn, migrator)
	if err != nil || s.Held == nil || s.Role == nil || s.Schema == nil || !s.Schema.Mine || s.Server.Standby ||
		plan(r.Bundle, s).State != Behind {
		return
	}
	there, err := r.relations(ctx, conn)
	if err != nil {
		return
	}
	missing, _ := r.fixable(s)
	var granted []string
	for _, g := range privilege.WithoutRowSecurity(missing) {
		if g.Kind == "TABLE" && !slices.Contains(there, g.Object) { // the server's log need not say so
			continue
		}
		m := r.rights(s, false, []privilege.Grant{g}, nil)
		err := pg.Do(ctx, conn, m.before+m.sql+m.after)
		if conn.TxStatus() != 'I' && !conn.IsClosed() && r.order(ctx, conn, "ROLLBACK") != nil {
			return
		}
		switch {
		case err == nil:
			granted = append(granted, r.Role.Writer(r.roleFacts(s)).Describe(g, true))
		// these mean that an object, which a later file makes, is not there yet
		case !slices.Contains([]string{pg.UndefinedTable, pg.UndefinedColumn, pg.UndefinedFunction, pg.UndefinedObject},
			pg.SQLState(err)):
			r.Log.Warn("the role's rights on what is there could not be granted; the next start does it", "role",
				r.Role.Name, "error", pg.Reason(err))
			return
		}
	}
	if len(granted) == 0 {
		return
	}
	r.granted(granted, nil)
	r.Log.Info("granted the declared rights on what is there, so that a release before this one can serve",
		"role", r.Role.Name, "granted", granted)
}

// relations lists the tables and views of the schema.
func (r *run) relations(ctx context.Context, conn *pgconn.PgConn) (names []string, err error) {
	err = pg.Ask(ctx, conn, pg.Untimed+`SELECT coalesce(json_agg(relname), '[]')
		FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = `+sqltext.QuoteText(r.Schema), &names)
	return names, err
}
