package migrate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// A Repair is what Repair found, and what it wrote or would write.
type Repair struct {
	Version int         // that the schema is at, as Proof shows
	Proof   string      // what tells the version
	Rows    []RowRepair // rows of the ledger that are not as they should be, by version
	// the ledger itself is missing or damaged, and made anew; who had rights on it keeps them
	Table   bool
	Damage  []snapshot.Difference // how the table that is there is not as it was made
	Gone    []snapshot.Difference // what others made of that table, and what goes with it: an index, for instance
	Label   bool                  // the ledger's own comment has to be written
	Comment string                // the schema's comment, the stamp, when it has to be written
	Written bool
}

// Needed reports whether anything is to be written.
func (r Repair) Needed() bool { return r.Table || len(r.Rows) > 0 || r.Label || r.Comment != "" }

// A RowRepair is what is done to one row of the ledger.
type RowRepair struct {
	Version int
	Name    string
	What    string // "is missing", "the ledger calls it …"; why it is written anew or removed
	Removed bool
}

// RepairOptions say what Repair may do.
type RepairOptions struct {
	// Write writes what is only told otherwise.
	Write bool

	// Version is the one that the schema is at, as whoever asks knows; 0 when nobody knows.
	// It decides between versions whose snapshots are equal when neither says. It is
	// believed no further: the schema, its comment and what is left of the ledger have to agree.
	Version int
}

// Repair rebuilds a ledger that cannot be relied on, when it can be proved which
// version the schema is at: the live schema has to equal the snapshot of that version,
// and neither the schema's comment nor what is left of the ledger may say otherwise. The
// comment decides between versions whose snapshots are equal. It never guesses: an
// *UnrepairableError says why it cannot tell. A blank database needs none, and is an
// *UnmigratedError.
//
// It only tells what it would write, unless the options say to write it. It touches
// nothing but the ledger and the comment; rows that agree with the bundle keep what they
// tell, those that it writes are marked as rebuilt. With an error the Repair holds what
// is known of the ledger's table all the same.
func (m *Migrator) Repair(ctx context.Context, connString string, o RepairOptions) (repair Repair, err error) {
	harmless := !o.Write // an answer about a write must not be lost: a second attempt would find nothing to do
	callers := ctx
	err = m.withConnection(ctx, connString, harmless, func(ctx context.Context, r *run, conn *pgconn.PgConn) error {
		defer r.silence("its answers")()
		if harmless {
			r.limitTo(callers)
		}
		for {
			repair, err = r.repair(ctx, conn, o)
			again, ok := errors.AsType[*retryError](err)
			if !ok {
				return err
			}
			if err := r.retry(ctx, again); err != nil {
				return err
			}
		}
	})
	return repair, err
}

func (r *run) repair(ctx context.Context, conn *pgconn.PgConn, o RepairOptions) (Repair, error) {
	e, err := r.examine(ctx, conn)
	if err != nil {
		return Repair{}, err
	}
	repair, err := versionProof{r.Bundle}.repair(e, o.Version)
	if err != nil || !o.Write || !repair.Needed() {
		return repair, err
	}
	if e.Server.Standby || e.Server.ReadOnly != "" || !e.Schema.Mine {
		return repair, r.mayMigrate(e.seen)
	}
	err = r.rebuild(ctx, conn, e, repair)
	repair.Written = err == nil
	return repair, err
}

// evidence is all that tells of a schema's history.
type evidence struct {
	seen
	rows   []storedRow      // of the ledger, nil when it does not exist
	live   string           // the snapshot of the schema as it is
	table  ledger.TableDiff // how the ledger's table is not as it was made
	grants []string         // on the ledger, to others than its owner and the service's role
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
	r.me = e.Me.Name
	told, _, err := r.describeAt(ctx, conn, e.seen, snapshot.Question, snapshot.Ledger)
	if err != nil {
		return e, err
	}
	if err := cmp.Or(told[0].err, told[1].err); err != nil {
		return e, err
	}
	e.live, e.table = told[0].text, ledger.DiffTable(told[1].text)
	if e.Ledger != nil && !e.Ledger.Foreign {
		if err := r.readRows(ctx, conn, &e); err != nil {
			return e, err
		}
	}
	return e, pg.Ask(ctx, conn, snapshot.Qualified+r.askGrants(), &e.grants)
}

// readRows reads all of the ledger, in the order in which it lies there. It takes a policy
// out of the way that hides rows from the table's owner, and puts it back. Columns of
// another type make the ledger a damaged one, whose rows are lost.
func (r *run) readRows(ctx context.Context, conn *pgconn.PgConn, e *evidence) error {
	table := ledger.Table(r.Schema)
	ask := "SELECT coalesce(json_agg(to_json(m) ORDER BY version, ctid), '[]') FROM (SELECT ctid, " + ledger.Columns +
		" FROM " + table +
		" UNION ALL SELECT NULL, " + ledger.NullColumns + " WHERE false) m"
	if hidden := slices.ContainsFunc(e.table.Fatal,
		func(d snapshot.Difference) bool { return d.Line == "row security forced" }); hidden {
		ask = "ALTER TABLE " + table + " NO FORCE ROW LEVEL SECURITY; " + ask
	}
	const path = "SET LOCAL search_path = pg_catalog, pg_temp; "
	before, after := fmt.Sprintf("BEGIN; SET LOCAL lock_timeout = %d; ", r.lockTimeout())+path, "ROLLBACK"
	if conn.TxStatus() != 'I' {
		before, after = "SAVEPOINT rows; "+path, "ROLLBACK TO rows; RELEASE rows"
	}
	limited, cancel := r.limited(ctx)
	defer cancel()
	rows, err := pg.Exec(limited, conn, before+ask)
	if err != nil {
		return err
	}
	if err := r.soon(ctx, conn, after); err != nil {
		return err
	}
	err = rows.Decode(&e.rows)
	if ledger.IsForeign(pg.SQLState(err)) {
		e.Ledger, e.rows, err = &ledger.Head{Foreign: true, Damaged: true}, nil, nil
	}
	return err
}

// askGrants asks for the statements that grant anew what others were granted on the
// ledger, as far as the columns are there that it is made with.
func (r *run) askGrants() string {
	return strings.NewReplacer("$schema", sqltext.QuoteText(r.Schema), "$ledger", sqltext.QuoteText(ledger.Name),
		"$table", sqltext.QuoteText(ledger.Table(r.Schema)), "$role", sqltext.QuoteText(r.Role.Name),
		"$columns", sqltext.QuoteText("{"+ledger.Columns+"}")).Replace(`
		WITH ledger AS (SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = $schema AND relname = $ledger),
		entry AS (SELECT '' AS columns, a.* FROM ledger, aclexplode(relacl) a
			UNION ALL SELECT format(' (%I)', attname), a.* FROM ledger l JOIN pg_attribute ON attrelid = l.oid AND attname = ANY ($columns::text[]), aclexplode(attacl) a)
		SELECT coalesce(json_agg(grants ORDER BY grants), '[]') FROM (SELECT format('GRANT %s%s ON %s TO %s%s', privilege_type, columns, $table,
			CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END) AS grants
		FROM ledger, entry WHERE grantee <> relowner AND pg_get_userbyid(grantee) <> $role) entry`)
}

func (e evidence) equal(other evidence) bool {
	mine, _ := json.Marshal(e.rows) // plain values
	theirs, _ := json.Marshal(other.rows)
	return e.live == other.live && slices.Equal(e.table.Fatal, other.table.Fatal) &&
		slices.Equal(e.table.Harmless, other.table.Harmless) && slices.Equal(e.grants, other.grants) &&
		e.comment() == other.comment() && (string(mine) == string(theirs) || len(e.rows)+len(other.rows) == 0)
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
// more behind a lock: a migrator may have been at work since.
func (r *run) rebuild(ctx context.Context, conn *pgconn.PgConn, e evidence, repair Repair) error {
	table := ledger.Table(r.Schema)
	first := r.newLedger()
	switch { // nobody queues, for all who ask the ledger whether the schema is fit would queue behind
	case e.rows != nil && !repair.Table:
		first = "LOCK TABLE " + table + " IN SHARE ROW EXCLUSIVE MODE NOWAIT"
	case e.rows != nil:
		first = "LOCK TABLE " + table + " IN ACCESS EXCLUSIVE MODE NOWAIT"
	case e.Ledger != nil: // damaged: to read it would end the transaction
		first = "LOCK TABLE " + table + " IN ACCESS EXCLUSIVE MODE NOWAIT; DROP TABLE " + table + "; " + first
	}
	begin, lead := r.begin(e.Server, flushed(e.seen))
	step := func(sql string) error {
		limited, cancel := r.limited(ctx)
		defer cancel()
		a, err := pg.Exec(limited, conn, sql)
		if err != nil || a.Err == nil {
			return err
		}
		failure := r.failure(message{what: "repair", before: begin, lead: lead},
			pg.Outcome{Err: a.Err, Completed: lead})
		if a.Err.Code == pg.DependentObjects {
			failure = &UnrepairableError{
				Why:  "it is made anew, and something depends on it: " + a.Err.Detail,
				Next: "Drop that and repair again",
			}
		}
		return r.blame(ctx, conn, message{what: "repair", sql: sql}, a.Err, r.settle(ctx, conn, failure))
	}
	if err := step(begin + " " + first); err != nil {
		return err
	}
	again, err := r.examine(ctx, conn)
	if err != nil {
		return err
	}
	if e.rows == nil { // what was there is gone by now
		again.table, again.grants = e.table, e.grants
	}
	if !e.equal(again) {
		return r.settle(ctx, conn, &retryError{err: errRaceLost, soon: true})
	}
	sql, err := r.rebuildSQL(e, repair)
	if err != nil {
		return err
	}
	return step(strings.Join(append(sql, "COMMIT"), "; "))
}

// rebuildSQL makes the table anew when it is damaged, for whoever could delete a row in
// the middle had taken away the constraints that forbid it. A sound table keeps the rows
// that are right, and all that others made of it.
func (r *run) rebuildSQL(e evidence, repair Repair) (sql []string, err error) {
	table := ledger.Table(r.Schema)
	if repair.Table {
		if e.rows != nil {
			sql = append(sql, "DROP TABLE "+table, r.newLedger())
		}
		sql = append(sql, e.grants...)
		if r.Role.Name != "" && e.Role != nil { // without it the service could not see that all is well
			sql = append(sql, "GRANT SELECT ON "+table+" TO "+sqltext.QuoteName(r.Role.Name))
		}
	}
	if repair.Label && !repair.Table {
		sql = append(sql, ledger.WriteComment(r.Schema))
	}
	rows, removed := r.rightRows(e, repair)
	if len(rows) > 0 {
		document, err := json.Marshal(rows)
		if err != nil {
			return nil, err
		}
		sql = append(sql, putRows(table, string(document)))
	}
	if len(removed) > 0 && !repair.Table {
		sql = append(sql, "DELETE FROM "+table+" WHERE version IN ("+strings.Join(removed, ", ")+")")
	}
	return append(sql, ledger.WriteStamp(r.Schema, repair.Version, r.Bundle.Fingerprint(repair.Version))), nil
}

// rightRows are the rows that have to be written, all of them into a table that is made
// anew, and the versions of those that have to go.
func (r *run) rightRows(e evidence, repair Repair) (rows []storedRow, removed []string) {
	wrong := map[int]bool{}
	for _, row := range repair.Rows {
		switch {
		case row.What == twice: // the first one stays
		case row.Removed:
			wrong[row.Version] = true
			removed = append(removed, strconv.Itoa(row.Version))
		default:
			wrong[row.Version] = true
			rows = append(rows, r.rebuiltRow(r.Bundle.Migration(row.Version)))
		}
	}
	if !repair.Table {
		return rows, removed
	}
	for _, row := range e.rows {
		if !wrong[row.Version] && (row.claimed() || versionProof{r.Bundle}.wrong(row) == "") {
			wrong[row.Version] = true // without a primary key there could be another one of it
			row.Prev = before(row.Version)
			rows = append(rows, row)
		}
	}
	return rows, removed
}

// newLedger creates the ledger for nobody but its owner, whatever default privileges say.
func (r *run) newLedger() string {
	return ledger.Create(r.Schema) + "; DO " +
		sqltext.DollarQuote(strings.NewReplacer("$schema", sqltext.QuoteText(r.Schema), "$ledger",
			sqltext.QuoteText(ledger.Name), "$table",
			sqltext.QuoteText(ledger.Table(r.Schema))).Replace(
			`DECLARE s text; BEGIN
			FOR s IN SELECT DISTINCT format('REVOKE ALL ON %s FROM %s', $table, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
				FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace, aclexplode(relacl) WHERE nspname = $schema AND relname = $ledger AND grantee <> relowner
			LOOP EXECUTE s; END LOOP; END`))
}

// putRows writes a document of rows, each over the one of its version. It is one
// statement, for each row refers to the one before it.
func putRows(table, document string) string {
	return "INSERT INTO " + table + " (" + ledger.Columns + `)
		SELECT version, prev, name, checksum, min_version, coalesce(applied_at, now()), duration, coalesce(applied_by, current_user), app_version, claimed_by_pid, claimed_by_start, rebuilt
		FROM json_to_recordset(` + sqltext.QuoteText(document) + `) AS row (version int, prev int, name text, checksum bytea, min_version int, applied_at timestamptz, duration interval,
			applied_by text, app_version text, claimed_by_pid int, claimed_by_start timestamptz, rebuilt boolean)
		ON CONFLICT (version) DO UPDATE SET (` + ledger.Columns + `) = ROW (excluded.*)`
}

// rebuiltRow is the row of a file that was applied nobody knows when.
func (r *run) rebuiltRow(m bundle.Migration) storedRow {
	none := "0"
	return storedRow{
		Version: m.Version, Name: m.Name, Checksum: fmt.Sprintf(`\x%x`, m.Checksum), MinVersion: m.MinVersion,
		Duration: &none, AppVersion: r.Version, ClaimedByStart: json.RawMessage("null"), Rebuilt: true,
		Prev: before(m.Version),
	}
}

// before is the version that a row refers to; the first one has none.
func before(version int) *int {
	if version == 1 {
		return nil
	}
	version--
	return &version
}
