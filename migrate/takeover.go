package migrate

import (
	"context"
	_ "embed" // for long questions
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A claimant is who holds a claim, as the server sees it.
type claimant struct {
	claim
	Checksum string      `json:"checksum"`
	Alive    bool        `json:"alive"`
	Blocker  *pg.Blocker `json:"blocker"`
}

// takeOver waits until the claim on a file is finished or its process gone, and then
// takes it over by a comparison and a change in one statement: of many migrators that
// wait, one succeeds.
func (r *run) takeOver(ctx context.Context, conn *pgconn.PgConn, s seen, m *bundle.Migration) (c claim, err error) {
	var old claimant
	err = r.await(ctx, func() (*pg.Blocker, error) {
		if old, err = r.askClaimant(ctx, conn, m); err != nil || !old.Alive {
			return nil, err
		}
		return old.Blocker, nil
	})
	if err != nil {
		return c, err
	}
	r.Log.Warn("taking over a migration that was left unfinished", "version", m.Version, "name", m.Name,
		"claimed_by_pid", old.PID, "claimed_by_start", old.Start)
	// applied_at is this attempt's beginning: the row's duration is not to hold the time when no process worked.
	a, err := r.ask(ctx, conn, s, m, fmt.Sprintf(`WITH taken AS (
			UPDATE %s SET claimed_by_pid = me.pid, claimed_by_start = me.backend_start, applied_at = clock_timestamp(),
				applied_by = current_user, app_version = %s
			FROM %s me WHERE version = %d AND duration IS NULL AND %s RETURNING claimed_by_pid, claimed_by_start)
		SELECT json_build_object('pid', max(claimed_by_pid), 'start', max(claimed_by_start)::text, 'taken', 1 / count(*)) FROM taken`,
		ledger.Table(r.Schema), sqltext.QuoteText(r.Version), myself, m.Version, old.is()))
	if err != nil {
		return c, err
	}
	return c, a.Decode(&c)
}

//go:embed claimant.sql
var claimantSQL string

// askClaimant asks which process holds the claim, and whether it is alive.
func (r *run) askClaimant(ctx context.Context, conn *pgconn.PgConn, m *bundle.Migration) (c claimant, err error) {
	var found *claimant
	question := strings.NewReplacer("$ledger", ledger.Table(r.Schema),
		"$version", strconv.Itoa(m.Version), "$blocker", pg.BlockerOf, "$marker", sqltext.QuoteText(markerFormat))
	switch err := pg.Ask(ctx, conn, r.patiently(ctx, 1)+question.Replace(claimantSQL), &found); {
	case err != nil:
		return c, err
	case found == nil: // finished, or given back
		return c, &retryError{err: errRaceLost, soon: true}
	}
	c = *found
	if c.Checksum != hex.EncodeToString(m.Checksum[:]) {
		return c, &DivergedError{
			Version: m.Version - 1,
			Differences: []Difference{{m.Version, m.File +
				" was begun by another program with other contents, and never finished"}},
		}
	}
	return c, nil
}

// leftOver reports whether the statement had succeeded before its migrator died, and
// otherwise removes what it left behind.
func (r *run) leftOver(ctx context.Context, conn *pgconn.PgConn, m *bundle.Migration) (done bool, err error) {
	// the others do no harm when they are done again
	if statement := m.NoTx(); statement.Verb == "CREATE" || statement.Verb == "DROP" {
		exists, valid, err := r.askIndex(ctx, conn, statement)
		if err != nil {
			return false, err
		}
		if statement.Verb == "CREATE" && valid || statement.Verb == "DROP" && !exists {
			return true, nil
		}
	}
	return false, r.mend(ctx, conn, m)
}

// askIndex asks whether the index that the statement names exists, on the table that it
// names, and is valid.
func (r *run) askIndex(ctx context.Context, conn *pgconn.PgConn, s bundle.NoTx) (exists, valid bool, err error) {
	table := ""
	if s.Table != "" {
		table = " AND indrelid = to_regclass(" + s.Qualified(s.Table) + ")"
	}
	var index struct {
		Valid bool `json:"valid"`
		Rows  int  `json:"rows"`
	}
	err = pg.Ask(ctx, conn, fmt.Sprintf(`SELECT json_build_object('valid', coalesce(bool_or(indisvalid), false), 'rows', count(*))
		FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = to_regnamespace(%s) AND relname = %s%s`,
		sqltext.QuoteText(sqltext.QuoteName(s.Schema)), sqltext.QuoteText(s.Name), table), &index)
	return index.Rows > 0, index.Valid, err
}

// mend drops the invalid indexes that an interrupted statement left: of the
// name that it was to create, or those next to the ones that it was to replace.
func (r *run) mend(ctx context.Context, conn *pgconn.PgConn, m *bundle.Migration) error {
	alone := m.NoTx()
	if alone.LeftInvalid() == "" {
		return nil
	}
	var invalid []string
	err := pg.Ask(ctx, conn, fmt.Sprintf(`SELECT coalesce(json_agg(i.relname), '[]') FROM pg_index x JOIN pg_class i ON i.oid = indexrelid
		WHERE i.relnamespace = to_regnamespace(%s) AND NOT indisvalid AND %s`, sqltext.QuoteText(sqltext.QuoteName(alone.Schema)), alone.LeftInvalid()), &invalid)
	if err != nil {
		return err
	}
	for _, index := range invalid {
		r.Log.Warn("dropping an invalid index that an interrupted statement left behind", "index", index, "file",
			m.File)
		drop := message{what: m.File, migration: m, sql: "DROP INDEX CONCURRENTLY IF EXISTS " +
			sqltext.QuoteName(alone.Schema, index)}
		failed, out, err := r.exchange(ctx, conn, []message{drop})
		switch {
		case err != nil:
			return err
		case failed >= 0 && r.pause.spent && out.Err.Code == pg.QueryCanceled:
			return r.spent(m)
		case failed >= 0:
			return fmt.Errorf("drop the invalid index %s: %w", index, out.Err)
		}
	}
	return nil
}
