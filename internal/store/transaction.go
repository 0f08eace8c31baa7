package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/avtotpy/avtotpy/internal/database"
	"github.com/avtotpy/avtotpy/internal/sqlstate"
)

// A setting is one of PostgreSQL's, with the value that the queries of a Store count on.
type setting struct{ name, value string }

// pinned are the settings of each transaction. A server, a database, a role, a connection
// string or what another client of a pooler left may have others. They go with each
// transaction because a pooler in transaction mode may run the next one over another
// connection, and would hand what SET leaves to other clients.
//
// migrate/internal/setting/settings.txt holds all of PostgreSQL's, with the reasons.
func pinned() []setting {
	return []setting{
		// While a query waits, its connection is missing in the pool, and the request that waits for it holds up
		// others.
		{"lock_timeout", "2s"},
		{"statement_timeout", "10s"},
		// A server that lost its network does not keep its locks.
		{"idle_in_transaction_session_timeout", "10s"},
		// What a query without privileges on other people's rows does: it does not see them. Off, it fails.
		{"row_security", "on"},
		// No function or operator of another schema is found before PostgreSQL's.
		{searchPath, systemPath},
		// How values are written where the connection string chose a mode that sends texts.
		{"IntervalStyle", "postgres"},
		{"bytea_output", "hex"},
		{"extra_float_digits", "1"},
	}
}

// Pin sets what must be right before the first query arrives, because the server reads
// queries by it, and what every pooler keeps for each of its clients. PgBouncer refuses
// other start-up parameters than these. They override those of the connection string.
func Pin(config *pgxpool.Config) {
	for _, s := range atStart() {
		for name := range config.ConnConfig.RuntimeParams {
			if strings.EqualFold(name, s.name) {
				delete(config.ConnConfig.RuntimeParams, name)
			}
		}
		config.ConnConfig.RuntimeParams[s.name] = s.value
	}
}

func atStart() []setting {
	return []setting{
		{"client_encoding", "UTF8"},
		{"standard_conforming_strings", "on"},
		{"DateStyle", "ISO, YMD"},
		{"TimeZone", "UTC"},
	}
}

// Transactions may be serializable or deferrable by default, too. That they are
// read-only by default is left: it is how a DBA or a platform stops writes.
const (
	begin             = "BEGIN ISOLATION LEVEL READ COMMITTED NOT DEFERRABLE"
	beginSerializable = "BEGIN ISOLATION LEVEL SERIALIZABLE NOT DEFERRABLE"
	commit            = "COMMIT"
)

// pin is the statement that follows BEGIN: it sets what is pinned, and for whom the
// transaction is; value is an SQL expression. It is for no other user, even if the session names one. What
// the session has for good is left out.
func pin(who, value string, session ...string) string {
	var sql strings.Builder
	sql.WriteString("SELECT")
	for _, s := range pinned() {
		if slices.Contains(session, s.name) {
			continue
		}
		sql.WriteString(" pg_catalog.set_config('" + s.name + "', '" + s.value + "', true),")
	}
	for _, other := range []string{actingUser, actingOperator} {
		if other != who {
			sql.WriteString(" pg_catalog.set_config('" + other + "', '', true),")
		}
	}
	return sql.String() + " pg_catalog.set_config('" + who + "', " + value + ", true)"
}

// What row level security asks for.
const (
	actingUser     = "avtotpy.user_id"
	actingOperator = "avtotpy.operator"
)

// literal needs no escaping: a UUID prints only hex digits and dashes.
func literal(id uuid.UUID) string { return "'" + id.String() + "'" }

// inTx does all or nothing, for a user: row level security shows it nothing of
// others' vaults, and no vault at all for the zero UUID. The authentication key is read before it
// begins: a transaction that waits for a second connection may wait for itself.
func (s *Store) inTx(ctx context.Context, user uuid.UUID, do func(pgx.Tx) error) error {
	if err := s.mayChange(); err != nil {
		return err
	}
	if _, err := s.proof(ctx); err != nil {
		return err
	}
	return s.transact(ctx, begin, pin(actingUser, literal(user)), do)
}

// inOrder is inTx as if there were no other transactions at the same time.
func (s *Store) inOrder(ctx context.Context, user uuid.UUID, do func(pgx.Tx) error) error {
	if err := s.mayChange(); err != nil {
		return err
	}
	if _, err := s.proof(ctx); err != nil {
		return err
	}
	return s.transact(ctx, beginSerializable, pin(actingUser, literal(user)), do)
}

// asOperator does all or nothing, on the keys of all vaults.
func (s *Store) asOperator(ctx context.Context, do func(pgx.Tx) error) error {
	return s.transact(ctx, begin, pin(actingOperator, "'on'"), do)
}

// commitWait is how long a COMMIT may take. No timeout of the server's ends its wait for a synchronous standby.
const commitWait = 5 * time.Second

// transact begins in one round trip, with a message that takes no arguments.
func (s *Store) transact(ctx context.Context, begin, pin string, do func(pgx.Tx) error) error {
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin + "; " + pin})
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback(ctx) // where that fails, the pool closes the connection
		return err
	}
	lost := tx.Conn().IsClosed() // then the COMMIT is not sent
	inTime, cancel := context.WithTimeout(ctx, commitWait)
	defer cancel()
	switch err := tx.Commit(inTime); {
	case err == nil:
		note(ctx, SomeCommitted)
		return nil
	case !lost && database.OutcomeUnknown(err):
		note(ctx, OutcomeUnknown)
		return &UnknownOutcomeError{err}
	default:
		return err
	}
}

// A query is one that needs nothing of those before it but their settings. collect is nil for one
// that returns no rows.
type query struct {
	sql     string
	args    []any
	collect func(pgx.Rows) error
}

// single is inTx for one query, in one round trip once its connection knows the query. collect
// is nil for a query that returns no rows.
func (s *Store) single(ctx context.Context, user uuid.UUID, collect func(pgx.Rows) error, sql string,
	args ...any,
) error {
	return s.together(ctx, user, query{sql, args, collect})
}

// together is single for several queries: the first error of one ends it. Each collect may be called once more,
// from the start.
func (s *Store) together(ctx context.Context, user uuid.UUID, queries ...query) error {
	err := s.togetherOnce(ctx, user, queries)
	if isUnprepared(err) { // nothing was done
		err = s.togetherOnce(ctx, user, queries)
	}
	return err
}

func (s *Store) togetherOnce(ctx context.Context, user uuid.UUID, queries []query) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	known := knownTo(conn.Conn())
	if slices.ContainsFunc(queries, func(q query) bool { return !known.queries[q.sql] }) {
		return s.firstTime(ctx, conn, user, known, queries)
	}
	if err := known.frame(ctx, conn.Conn()); err != nil {
		s.distrustNames(ctx, conn, err)
		return err
	}
	var batch pgx.Batch
	batch.Queue(begin)
	if known.direct {
		batch.Queue(s.pinDirect, user.String())
	} else {
		batch.Queue(s.pinActing, user.String())
	}
	for _, q := range queries {
		queued := batch.Queue(q.sql, q.args...)
		if q.collect != nil {
			queued.Query(q.collect)
		}
	}
	batch.Queue(commit)
	err = conn.SendBatch(ctx, &batch).Close()
	if conn.Conn().PgConn().TxStatus() != 'I' { // an error made the server skip the COMMIT
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_, _ = conn.Exec(limited, "ROLLBACK") // the pool closes a connection that stays in its transaction
	}
	// then pgx may ask for the description again
	if err != nil && !errors.Is(err, pgx.ErrNoRows) && !errors.Is(err, ErrNotFound) {
		for _, q := range queries {
			delete(known.queries, q.sql)
		}
	}
	s.distrustNames(ctx, conn, err)
	return err
}

// firstTime is together for queries of which a connection does not know all. To describe one the
// server locks its tables; a batch would ask for that before its BEGIN, where no timeout is
// pinned, and would wait for a lock without a limit. As in a batch, only what the server says
// undoes anything, and not that collect finds too few rows.
func (s *Store) firstTime(ctx context.Context, conn *pgxpool.Conn, user uuid.UUID, known *knowledge,
	queries []query,
) error {
	if err := s.meet(ctx, conn.Conn(), known); err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin + "; " + pin(actingUser, literal(user))})
	if err != nil {
		return err
	}
	for _, q := range queries {
		err = q.first(ctx, tx, known.direct)
		known.queries[q.sql] = err == nil || errors.Is(err, pgx.ErrNoRows) || errors.Is(err, ErrNotFound)
		if err != nil {
			break
		}
	}
	if tx.Conn().IsClosed() || conn.Conn().PgConn().TxStatus() != 'T' {
		_ = tx.Rollback(ctx) // where that fails, the pool closes the connection
		s.distrustNames(ctx, conn, err)
		return err
	}
	return errors.Join(err, tx.Commit(ctx))
}

// first runs a query that its connection does not know.
func (q query) first(ctx context.Context, tx pgx.Tx, prepare bool) error {
	if prepare {
		if _, err := tx.Conn().Prepare(ctx, q.sql, q.sql); err != nil {
			return err
		}
	}
	if q.collect == nil {
		_, err := tx.Exec(ctx, q.sql, q.args...)
		return err
	}
	rows, _ := tx.Query(ctx, q.sql, q.args...) // its error is that of rows, too
	defer rows.Close()
	return q.collect(rows)
}

// meet finds out, once, what a connection reaches. On a server's own connection a prepared statement saves planning
// the codes, which takes longer than to run them, and the search_path is set for good: to set it in each transaction
// makes the server look it up again for each policy. A pooler, which may run the next transaction over another
// connection, makes up the process id that it gives to its clients. No table is touched here, so nothing waits for a
// lock.
func (s *Store) meet(ctx context.Context, conn *pgx.Conn, known *knowledge) error {
	if known.met {
		return nil
	}
	// others were asked for
	if conn.Config().DefaultQueryExecMode == pgx.QueryExecModeCacheDescribe && !s.unnamed.Load() {
		var pid uint32
		if err := conn.QueryRow(ctx, `SELECT pg_catalog.pg_backend_pid()`,
			pgx.QueryExecModeExec).Scan(&pid); err != nil {
			return err
		}
		known.direct = pid == conn.PgConn().PID()
	}
	if known.direct {
		if _, err := conn.Exec(ctx, `SELECT pg_catalog.set_config($1, $2, false)`, pgx.QueryExecModeExec, searchPath,
			systemPath); err != nil {
			return err
		}
		// Each batch begins with this statement. Where it is not there, nothing of the batch runs, so it also
		// proves that the search_path is set.
		if _, err := conn.Prepare(ctx, s.pinDirect, s.pinDirect); err != nil {
			return err
		}
	}
	known.met = true
	return nil
}

const (
	searchPath = "search_path"
	systemPath = "pg_catalog, pg_temp"
)

// isUnprepared reports that the server did nothing because a prepared statement is not what it was: there is a pooler
// in between that passes process ids on, or what the statement returns was changed.
func isUnprepared(err error) bool {
	return isMissingName(err) || sqlstate.Of(err) == sqlstate.FeatureNotSupported
}

// isMissingName reports that a prepared statement is on another connection than this one.
func isMissingName(err error) bool {
	code := sqlstate.Of(err)
	return code == sqlstate.InvalidStatementName || code == sqlstate.DuplicatePreparedStatement
}

// distrustNames does without a connection whose prepared statements are not what they were, and without
// such statements where they get lost.
func (s *Store) distrustNames(ctx context.Context, conn *pgxpool.Conn, err error) {
	if !isUnprepared(err) {
		return
	}
	if isMissingName(err) {
		s.unnamed.Store(true)
		s.pool.Reset()
	}
	_ = conn.Conn().Close(ctx) // the pool drops it either way
}

// A knowledge is what a connection has been asked before.
type knowledge struct {
	met     bool
	direct  bool            // no pooler is in between: queries are prepared
	framed  bool            // BEGIN and COMMIT are, too
	queries map[string]bool // that it has described, and prepared when it is direct
}

// frame prepares what is around the queries of a batch, where they are prepared. It is not part of meet, because a
// start, which asks little, waits for each of these round trips.
func (k *knowledge) frame(ctx context.Context, conn *pgx.Conn) error {
	if !k.direct || k.framed {
		return nil
	}
	for _, sql := range []string{begin, commit} {
		if _, err := conn.Prepare(ctx, sql, sql); err != nil {
			return err
		}
	}
	k.framed = true
	return nil
}

func knownTo(conn *pgx.Conn) *knowledge {
	const key = "queries of avtotpy"
	data := conn.PgConn().CustomData()
	known, ok := data[key].(*knowledge)
	if !ok {
		known = &knowledge{queries: map[string]bool{}}
		data[key] = known
	}
	return known
}

// scan collects one row, for single.
func scan(into ...any) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		_, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (struct{}, error) {
			return struct{}{}, row.Scan(into...)
		})
		return err
	}
}
