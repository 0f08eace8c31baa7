package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// A Repair is what Repair found, and what it wrote or would write.
type Repair struct {
	Version int         // that the schema is at, as Proof shows
	Proof   string      // what tells the version
	Rows    []RowRepair // rows of the ledger that are not as they should be, by version
	Table   bool        // the ledger itself is missing or damaged, and made anew
	Comment string      // the schema's comment, the second witness, when it has to be written
	Written bool
}

// Needed reports whether anything is to be written.
func (r Repair) Needed() bool { return r.Table || len(r.Rows) > 0 || r.Comment != "" }

// A RowRepair is what is done to one row of the ledger.
type RowRepair struct {
	Version int
	Name    string
	What    string // "is missing", "the ledger calls it …"; why it is written anew or removed
	Removed bool
}

// Repair rebuilds a ledger that cannot be relied on, when it can be proved which
// version the schema is at: the live schema has to equal the snapshot of that version,
// and neither the schema's comment nor what is left of the ledger may say otherwise. The
// comment decides between versions whose snapshots are equal. It never guesses: an
// *UnrepairableError says why it cannot tell.
//
// Without write it only tells what it would write. It touches nothing but the ledger and
// the comment; rows that agree with the bundle keep what they tell, those that it writes
// are marked as rebuilt.
func (m *Migrator) Repair(ctx context.Context, connString string, write bool) (repair Repair, err error) {
	run, err := newRun(*m, connString)
	if err != nil {
		return repair, err
	}
	conn, err := run.connect(ctx)
	if err != nil {
		return repair, err
	}
	defer run.close(ctx, conn)
	for {
		repair, err = run.repair(ctx, conn, write)
		again, ok := errors.AsType[*retryError](err)
		if !ok {
			return repair, err
		}
		if err := run.retry(ctx, again); err != nil {
			return repair, err
		}
	}
}

func (r *run) repair(ctx context.Context, conn *pgconn.PgConn, write bool) (Repair, error) {
	e, err := r.examine(ctx, conn)
	if err != nil {
		return Repair{}, err
	}
	repair, err := r.Bundle.repair(e)
	if err != nil || !write || !repair.Needed() {
		return repair, err
	}
	if e.Server.Standby || !e.Schema.Mine {
		return repair, r.mayMigrate(e.seen)
	}
	err = r.rebuild(ctx, conn, e, repair)
	repair.Written = err == nil
	return repair, err
}

// evidence is all that tells of a schema's history.
type evidence struct {
	seen
	rows []storedRow // of the ledger, nil when it does not exist
	live string      // the snapshot of the schema as it is
}

// A storedRow is a row of the ledger with all its columns, as the server writes them.
type storedRow struct {
	Version        int             `json:"version"`
	Prev           *int            `json:"prev"`
	Name           string          `json:"name"`
	Checksum       string          `json:"checksum"` // \x and hexadecimal
	MinVersion     int             `json:"min_version"`
	AppliedAt      *string         `json:"applied_at"`
	Duration       *string         `json:"duration"` // nil while unfinished
	AppliedBy      *string         `json:"applied_by"`
	AppVersion     string          `json:"app_version"`
	ClaimedByPID   *int            `json:"claimed_by_pid"`
	ClaimedByStart json.RawMessage `json:"claimed_by_start"`
	Rebuilt        bool            `json:"rebuilt"`
}

func (row storedRow) claimed() bool { return row.Duration == nil && row.ClaimedByPID != nil }

func (r *run) examine(ctx context.Context, conn *pgconn.PgConn) (e evidence, err error) {
	if e.seen, err = r.glance(ctx, conn, migrator); err != nil {
		return e, err
	}
	if e.Ledger != nil && !e.Ledger.Foreign {
		answers, err := flight(ctx, conn, "SELECT coalesce(json_agg(to_json(m) ORDER BY version), '[]') FROM "+quoteName(r.Schema, ledgerName)+" m")
		if err != nil {
			return e, err
		}
		if err := answers[0].into(&e.rows); err != nil {
			return e, err
		}
	}
	e.live, err = r.snapshot(ctx, conn)
	return e, err
}

func (e evidence) equal(other evidence) bool {
	mine, _ := json.Marshal(e.rows) // plain values
	theirs, _ := json.Marshal(other.rows)
	return e.live == other.live && e.comment() == other.comment() && (string(mine) == string(theirs) || len(e.rows)+len(other.rows) == 0)
}

func (s seen) comment() string {
	switch {
	case s.Ledger != nil && !s.Ledger.Foreign:
		return s.Ledger.Comment
	case s.Schema != nil:
		return s.Schema.Comment
	}
	return ""
}

// rebuild writes a repair in one transaction, in which it examines everything once
// more behind a lock: a migrator may have been at work since. The table is made anew,
// because whoever could delete a row in the middle had taken away the constraints that
// forbid it.
func (r *run) rebuild(ctx context.Context, conn *pgconn.PgConn, e evidence, repair Repair) error {
	table := quoteName(r.Schema, ledgerName)
	first := createLedger(r.Schema)
	switch {
	case e.rows != nil:
		first = "LOCK TABLE " + table + " IN ACCESS EXCLUSIVE MODE"
	case e.Ledger != nil: // damaged: to read it would end the transaction
		first = "DROP TABLE " + table + "; " + first
	}
	begin, lead := r.begin(e.Server, flushed(e.seen))
	step := func(sql string) error {
		answers, err := flight(ctx, conn, sql)
		if err != nil || answers[0].err == nil {
			return err
		}
		failure := r.failure(message{what: "repair", before: begin, lead: lead}, outcome{err: answers[0].err, completed: lead})
		const dependentObjects = "2BP01"
		if answers[0].err.Code == dependentObjects {
			failure = &UnrepairableError{Why: "it is made anew, and something depends on it: " + answers[0].err.Detail, Next: "Drop that and repair again"}
		}
		return r.settle(ctx, conn, r.report.To, failure)
	}
	if err := step(begin + " " + first); err != nil {
		return err
	}
	again, err := r.examine(ctx, conn)
	if err != nil {
		return err
	}
	if !e.equal(again) {
		return r.settle(ctx, conn, r.report.To, &retryError{err: errRaceLost, soon: true})
	}
	var sql []string
	if repair.Table || len(repair.Rows) > 0 {
		if e.rows != nil {
			sql = append(sql, "DROP TABLE "+table, createLedger(r.Schema))
		}
		rows, err := r.insertRows(e, repair)
		if err != nil {
			return err
		}
		sql = append(sql, rows)
		if r.Role.Name != "" && e.Role != nil { // without it the service could not see that all is well
			sql = append(sql, "GRANT SELECT ON "+table+" TO "+quoteName(r.Role.Name))
		}
	}
	sql = append(sql, r.testify(repair.Version, r.Bundle.fingerprint(repair.Version)), "COMMIT")
	return step(strings.Join(sql, "; "))
}

// insertRows is one statement, for each row refers to the one before it.
func (r *run) insertRows(e evidence, repair Repair) (string, error) {
	wrong := map[int]bool{}
	for _, row := range repair.Rows {
		wrong[row.Version] = true
	}
	var rows []storedRow
	kept := map[int]bool{}
	for _, row := range e.rows {
		if !wrong[row.Version] {
			rows, kept[row.Version] = append(rows, row), true
		}
	}
	for _, m := range r.Bundle.migrations[:repair.Version] {
		if !kept[m.Version] {
			rows = append(rows, r.rebuiltRow(m))
		}
	}
	document, err := json.Marshal(rows)
	if err != nil {
		return "", err
	}
	return "INSERT INTO " + quoteName(r.Schema, ledgerName) + ` (version, prev, name, checksum, min_version, applied_at, duration, applied_by, app_version, claimed_by_pid, claimed_by_start, rebuilt)
		SELECT version, prev, name, checksum, min_version, coalesce(applied_at, now()), duration, coalesce(applied_by, current_user), app_version, claimed_by_pid, claimed_by_start, rebuilt
		FROM json_to_recordset(` + quoteText(string(document)) + `) AS row (version int, prev int, name text, checksum bytea, min_version int, applied_at timestamptz, duration interval,
			applied_by text, app_version text, claimed_by_pid int, claimed_by_start timestamptz, rebuilt boolean)`, nil
}

// rebuiltRow is the row of a file that was applied nobody knows when.
func (r *run) rebuiltRow(m Migration) storedRow {
	none := "0"
	row := storedRow{
		Version: m.Version, Name: m.Name, Checksum: fmt.Sprintf(`\x%x`, m.Checksum), MinVersion: m.MinVersion,
		Duration: &none, AppVersion: r.Version, ClaimedByStart: json.RawMessage("null"), Rebuilt: true,
	}
	if m.Version > 1 {
		prev := m.Version - 1
		row.Prev = &prev
	}
	return row
}
