package migrate

import (
	"context"
	_ "embed" // for long questions
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// applyNoTx applies the next pending file, one without a transaction. Its claim is a
// ledger row that is committed first and says which server process works on it; then
// comes the statement, and then the row is finished. Other migrators see the
// unfinished row and poll. When the claiming process is gone, the next one takes the
// claim over, and removes what an interrupted statement left unfinished.
func (r *run) applyNoTx(ctx context.Context, conn *pgconn.PgConn, s seen, m *bundle.Migration) error {
	s.Server.set = false // an index may call functions
	if err := r.unpinned(ctx, conn, s, m); err != nil {
		return err
	}
	take, taken := r.claim, s.Ledger.Claimed == m.Version
	if taken {
		take = r.adoptClaim
	}
	c, err := take(ctx, conn, s, m)
	if err != nil {
		return err
	}
	if err := r.untimeSession(ctx, conn, c, s.Server); err != nil {
		return err
	}
	before, err := r.askProbe(ctx, conn)
	if err != nil {
		return err
	}
	began := time.Now()
	err = r.completeNoTx(ctx, conn, m, c, s, taken)
	if busy, ok := errors.AsType[*BusyError](err); ok && busy.Unfinished {
		r.disown(ctx, conn, m, c, s)
	}
	if err != nil {
		return err
	}
	applied := Applied{Version: m.Version, Name: m.Name, Duration: time.Since(began), Before: before}
	ctx = context.WithoutCancel(ctx) // what is done is put down, even when the program is to stop
	if _, err := r.ask(ctx, conn, s, m, r.finishRow(m, c)); err != nil {
		if _, lost := errors.AsType[*pg.ConnLostError](err); lost {
			r.tally.doubt(m)
		}
		return err
	}
	if applied.After, err = r.askProbe(ctx, conn); err != nil {
		applied.Before = nil // the file is applied all the same, and the next look shows it
	}
	r.tally.answered(m)
	r.count(applied)
	return err
}

// completeNoTx runs the statement of a file, unless the migrator from which the claim was
// taken had succeeded with it.
func (r *run) completeNoTx(ctx context.Context, conn *pgconn.PgConn, m *bundle.Migration, c claim, s seen,
	taken bool,
) error {
	if taken {
		if done, err := r.alreadyApplied(ctx, conn, m); done || err != nil {
			return err
		}
	}
	return r.runNoTx(ctx, conn, m, c, s)
}

// disown lets the next migrator take a claim over at once. A session ends with its program, but
// a pooler's goes on, and would seem to work on the file for another minute. If that fails, it does.
func (r *run) disown(ctx context.Context, conn *pgconn.PgConn, m *bundle.Migration, c claim, s seen) {
	_, _ = r.ask(context.WithoutCancel(ctx), conn, s, m, fmt.Sprintf(
		"UPDATE %s SET claimed_by_start = '-infinity' WHERE version = %d AND duration IS NULL AND %s",
		ledger.Table(r.Schema), m.Version, c.is()))
}

// A claim is the right to apply one file, as its ledger row holds it.
type claim struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // of the server process, as the server writes it
}

func (c claim) is() string {
	return fmt.Sprintf("claimed_by_pid = %d AND claimed_by_start = %s", c.PID, sqltext.QuoteText(c.Start))
}

// marker goes before the statement, as a comment: through a pooler it may run in
// another server process than the one that claimed it, and then is what identifies it.
func (c claim) marker(version int) string {
	return fmt.Sprintf(markerFormat, strconv.Itoa(version), strconv.Itoa(c.PID), c.Start) + " "
}

// markerFormat is for Sprintf and for the server's format, which has to find what it wrote:
// version, process and its start.
const markerFormat = "/* migration %s, claimed by %s of %s */"

// myself is the server process that runs a statement. A process id alone would not
// do: they are used again.
const myself = "(SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())"

func (r *run) claim(ctx context.Context, conn *pgconn.PgConn, s seen, m *bundle.Migration) (c claim, err error) {
	a, err := r.ask(ctx, conn, s, m, fmt.Sprintf(`INSERT INTO %s (version, prev, name, checksum, min_version, app_version,
			claimed_by_pid, claimed_by_start)
		SELECT %d, nullif(%d, 0), '%s', '\x%s', %d, %s, pid, backend_start FROM %s me
		RETURNING json_build_object('pid', claimed_by_pid, 'start', claimed_by_start::text)`,
		ledger.Table(r.Schema), m.Version, m.Version-1, m.Name, hex.EncodeToString(m.Checksum[:]),
		m.MinVersion, sqltext.QuoteText(r.Version), myself))
	switch code := pg.SQLState(err); {
	case code == pg.NotNullViolation || code == pg.CheckViolation:
		return c, r.ledgerRejects(m.File, a.Err.Message)
	case err == nil && len(a.Values) == 0:
		return c, r.ledgerRejects(m.File, swallowed)
	case err != nil:
		return c, err
	}
	return c, a.Decode(&c)
}

// finishRow puts down that the file was applied, by the process that holds the claim: the commit guard
// divides by zero when another migrator has taken it over.
func (r *run) finishRow(m *bundle.Migration, c claim) string {
	return fmt.Sprintf(`WITH done AS (UPDATE %s SET duration = clock_timestamp() - applied_at
			WHERE version = %d AND duration IS NULL AND %s RETURNING 1)
		SELECT 1 / count(*) FROM done; %s`,
		ledger.Table(r.Schema), m.Version, c.is(), ledger.WriteStamp(r.Schema, m.Version, m.Fingerprint()))
}

// ask runs statements of ours about a claim in a transaction of their own, flushed to
// disk, and returns the first row.
func (r *run) ask(ctx context.Context, conn *pgconn.PgConn, s seen, m *bundle.Migration, sql string) (pg.Result,
	error,
) {
	begin, lead := r.begin(s.Server, flushed(s))
	r.pause.lockLimit, r.pause.locked = r.lockLimit(), 0
	limited, cancel := r.limited(ctx)
	defer cancel()
	a, err := pg.Exec(limited, conn, begin+" "+sql+"; COMMIT")
	if err == nil && a.Err == nil {
		r.countFlushed()
	}
	if err != nil || a.Err == nil {
		return a, err
	}
	failure := error(&retryError{err: errRaceLost, soon: true})
	if a.Err.Code != pg.DivisionByZero {
		failure = r.failure(message{what: "claim " + m.File, before: begin, lead: lead},
			pg.Outcome{Err: a.Err, Completed: lead})
	}
	return a, r.blame(ctx, conn, message{what: "claim " + m.File}, a.Err, r.settle(ctx, conn, failure))
}

// runNoTx sends the file's one statement. When it fails, what it left behind is
// removed and the claim is given back, so that the schema is at the version before
// the file, as after any other failure.
func (r *run) runNoTx(ctx context.Context, conn *pgconn.PgConn, m *bundle.Migration, c claim, s seen) error {
	statement := message{what: m.File, migration: m, before: c.marker(m.Version), sql: m.SQL}
	failed, out, err := r.exchange(ctx, conn, []message{statement})
	if ended, ok := errors.AsType[*pgconn.PgError](err); ok && ended.Code == pg.TransactionTimeout {
		return r.place(statement, pg.Outcome{Err: ended}) // with its session; the next start takes over
	}
	if err == nil && failed < 0 && m.NoTx().IfNotExists {
		failed, out.Err, err = r.wrongIndex(ctx, conn, m)
	}
	if err != nil || failed < 0 {
		return err
	}
	if r.pause.spent && out.Err.Code == pg.QueryCanceled {
		return r.spent(m) // to remove what it left would wait for the same sessions
	}
	return r.giveBack(ctx, conn, statement, out, c, s)
}

// giveBack removes what a statement that failed has left, and its claim.
func (r *run) giveBack(ctx context.Context, conn *pgconn.PgConn, statement message, out pg.Outcome, c claim,
	s seen,
) error {
	m, failure := statement.migration, r.failure(statement, out)
	if ctx.Err() != nil && out.Err.Code == pg.QueryCanceled {
		failure = r.interrupted(ctx)
	}
	ctx = context.WithoutCancel(ctx)
	if out.Raw != nil && out.Err.Code != pg.QueryCanceled {
		failure = r.blame(ctx, conn, statement, out.Raw, failure)
	}
	if out.Err.Code != pg.DuplicateTable { // the error of an index, too: then it is not ours to remove
		if err := r.dropInvalidIndexes(ctx, conn, m); err != nil {
			return fmt.Errorf("%w\nWhat it left behind could not be removed, which the next start tries again: %w",
				failure, err)
		}
		if failed, ok := errors.AsType[*MigrationError](failure); ok {
			failed.Removed = m.NoTx().Verb == "CREATE" || m.NoTx().Verb == "REINDEX"
		}
	}
	_, err := r.ask(ctx, conn, s, m, fmt.Sprintf("DELETE FROM %s WHERE version = %d AND duration IS NULL AND %s",
		ledger.Table(r.Schema), m.Version, c.is()))
	if err != nil {
		return fmt.Errorf("%w\nIts claim could not be given back, which the next start takes over: %w", failure, err)
	}
	return failure
}

// spent is the error of a file without a transaction that was cancelled because other sessions
// kept it waiting for too long. Its claim stays: the next start removes what it left behind.
func (r *run) spent(m *bundle.Migration) error {
	busy := &BusyError{
		Waited: r.pause.waited, Unfinished: true,
		Err: fmt.Errorf("%s, which runs without a transaction, waited for other sessions and was cancelled", m.File),
	}
	if now, _ := r.teller.moment(); now.Blocker != nil {
		busy.Blocker = now.Blocker.String()
	} else if r.teller.blocker != nil {
		busy.Blocker = r.teller.blocker.String()
	}
	return busy
}

// wrongIndex finds what IF NOT EXISTS took for the index without being it: one that is
// invalid, which serves no query, or another relation of that name. failed is 0 then.
func (r *run) wrongIndex(ctx context.Context, conn *pgconn.PgConn, m *bundle.Migration) (failed int,
	why *pgconn.PgError,
	err error,
) {
	switch _, valid, err := r.askIndex(ctx, conn, m.NoTx()); {
	case err != nil:
		return -1, nil, err
	case valid:
		return -1, nil, nil
	}
	return 0, &pgconn.PgError{
		Code: pg.DuplicateTable,
		Message: fmt.Sprintf("IF NOT EXISTS passed over %s, which is invalid, or is no index of this table",
			sqltext.QuoteName(m.NoTx().Schema, m.NoTx().Name)),
		Hint: "Drop it, or give the index another name.",
	}, nil
}

// untimeSession keeps a DBA's timeouts and defaults from the statement, which has no
// transaction for SET LOCAL. lock_timeout is 0, too: it would also cut the wait of CREATE
// INDEX CONCURRENTLY for old snapshots, and leave an invalid index. A session of a pooler
// is shared, so there nothing is set: then the file fails if such a timeout strikes, and
// says so.
func (r *run) untimeSession(ctx context.Context, conn *pgconn.PgConn, c claim, server serverSeen) error {
	if pg.IsPooled(conn, c.PID) {
		return nil
	}
	settings := pg.Assign(append(usual(server), pg.Assignment{Name: "lock_timeout", Value: "0"},
		pg.Assignment{Name: "default_transaction_read_only", Value: "off"},
		pg.Assignment{Name: "default_transaction_isolation", Value: "read committed"}), false) +
		// so that what lacks its schema fails here as well as through a pooler
		"; SET search_path = pg_catalog, pg_temp"
	return r.soon(ctx, conn, settings)
}

// A claimOwner is who holds a claim, as the server sees it.
type claimOwner struct {
	claim
	Checksum string      `json:"checksum"`
	Alive    bool        `json:"alive"`
	Blocker  *pg.Blocker `json:"blocker"`
}

// adoptClaim waits until the claim on a file is finished or its process gone, and then
// takes it over by a comparison and a change in one statement: of many migrators that
// wait, one succeeds.
func (r *run) adoptClaim(ctx context.Context, conn *pgconn.PgConn, s seen, m *bundle.Migration) (c claim, err error) {
	var old claimOwner
	err = r.poll(ctx, func() (*pg.Blocker, error) {
		if old, err = r.askClaimOwner(ctx, conn, m); err != nil || !old.Alive {
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
		SELECT json_build_object('pid', max(claimed_by_pid), 'start', max(claimed_by_start)::text,
			'taken', 1 / count(*)) FROM taken`,
		ledger.Table(r.Schema), sqltext.QuoteText(r.Version), myself, m.Version, old.is()))
	if err != nil {
		return c, err
	}
	return c, a.Decode(&c)
}

//go:embed claim_owner.sql
var claimOwnerSQL string

// askClaimOwner asks which process holds the claim, and whether it is alive.
func (r *run) askClaimOwner(ctx context.Context, conn *pgconn.PgConn, m *bundle.Migration) (c claimOwner, err error) {
	var found *claimOwner
	question := strings.NewReplacer("$ledger", ledger.Table(r.Schema),
		"$version", strconv.Itoa(m.Version), "$blocker", pg.BlockerOf, "$marker", sqltext.QuoteText(markerFormat))
	switch err := pg.Ask(ctx, conn, r.patiently(ctx, 1)+question.Replace(claimOwnerSQL), &found); {
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

// alreadyApplied reports whether the statement had succeeded before its migrator died, and
// otherwise removes what it left behind.
func (r *run) alreadyApplied(ctx context.Context, conn *pgconn.PgConn, m *bundle.Migration) (done bool, err error) {
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
	return false, r.dropInvalidIndexes(ctx, conn, m)
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
	err = pg.Ask(ctx, conn, fmt.Sprintf(`SELECT json_build_object('valid', coalesce(bool_or(indisvalid), false),
			'rows', count(*))
		FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = to_regnamespace(%s)
			AND relname = %s%s`,
		sqltext.QuoteText(sqltext.QuoteName(s.Schema)), sqltext.QuoteText(s.Name), table), &index)
	return index.Rows > 0, index.Valid, err
}

// dropInvalidIndexes drops the invalid indexes that an interrupted statement left: of the
// name that it was to create, or those next to the ones that it was to replace.
func (r *run) dropInvalidIndexes(ctx context.Context, conn *pgconn.PgConn, m *bundle.Migration) error {
	alone := m.NoTx()
	if alone.LeftInvalid() == "" {
		return nil
	}
	var invalid []string
	err := pg.Ask(ctx, conn, fmt.Sprintf(`SELECT coalesce(json_agg(i.relname), '[]')
		FROM pg_index x JOIN pg_class i ON i.oid = indexrelid
		WHERE i.relnamespace = to_regnamespace(%s) AND NOT indisvalid AND %s`,
		sqltext.QuoteText(sqltext.QuoteName(alone.Schema)), alone.LeftInvalid()), &invalid)
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
