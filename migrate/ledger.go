package migrate

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// ledgerComment tells a ledger that somebody changed from another tool's table.
const ledgerComment = "the migrations applied to this schema; written by the migrator only"

// createLedger creates the ledger. prev makes a gap or a fork impossible in the
// database itself, and is what keeps a file from being applied when the one
// before it, sent just ahead of it, failed.
//
// duration is NULL while a file is unfinished. claimed_by_pid and
// claimed_by_start name the server process that works on a file which cannot
// run inside a transaction; rebuilt marks rows that a repair wrote.
func createLedger(schema string) string {
	table := sqltext.QuoteName(schema, ledger.Name)
	return `CREATE TABLE ` + table + ` (
	version          integer     PRIMARY KEY CHECK (version > 0),
	prev             integer     UNIQUE REFERENCES ` + table + ` (version),
	name             text        NOT NULL,
	checksum         bytea       NOT NULL CHECK (octet_length(checksum) = 32),
	min_version      integer     NOT NULL,
	applied_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
	duration         interval,
	applied_by       text        NOT NULL DEFAULT current_user,
	app_version      text        NOT NULL,
	claimed_by_pid   integer,
	claimed_by_start timestamptz,
	rebuilt          boolean     NOT NULL DEFAULT false,
	CONSTRAINT migrations_prev_check CHECK (prev IS NOT DISTINCT FROM nullif(version - 1, 0))
);
` + labelLedger(table)
}

// labelLedger writes the comment by which a ledger is known whatever became of it.
func labelLedger(table string) string {
	return "COMMENT ON TABLE " + table + " IS " + sqltext.QuoteText(ledgerComment)
}

// A message is one transaction on its way to the server, as one simple-protocol
// message: its three parts are sent one behind the other.
type message struct {
	what      string            // for people: a file's name, "bootstrap" or "rights"
	migration *bundle.Migration // nil for our own transactions
	byHand    string            // what a DBA can run in its place, when it creates the role
	roleAt    int               // then: how many statements succeed before that one
	begin     string            // what of before opens the transaction, when it has a ledger's row
	before    string            // BEGIN, settings and the claim: the ledger's row
	sql       string            // the file, byte for byte
	after     string            // the canary, the duration, the second witness and COMMIT
	lead      int               // statements in before
	flushes   bool              // its commit waits for the disk
	onDisk    string            // otherwise: the begin of one that does
	open      bool              // it leaves its transaction open, so that nothing is applied yet
}

// flush makes the message one whose commit waits for the disk.
func (m *message) flush() {
	if m.onDisk != "" {
		m.before, m.begin, m.flushes = m.onDisk+m.before[len(m.begin):], m.onDisk, true
	}
}

// alone reports whether it is, or cleans up after, a file without a transaction.
func (m message) alone() bool { return m.migration != nil && m.migration.NoTransaction }

func (m message) size() int { return len(m.before) + len(m.sql) + len(m.after) }

// opening is how each transaction begins.
const opening = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE NOT DEFERRABLE; "

// orphanTimeout is how soon a server process ends the work of a program that is gone: until
// then it keeps all others out. Not every system can tell it.
const orphanTimeout = "2s" // as the server writes it, so that it is seen to be set

// idleTimeout is how soon the server ends a transaction of ours in which nothing happens. It
// keeps all others out, and its program has vanished or is frozen: one that is alive sends its
// statements together, and a sign of life every 20 seconds while it makes a backup.
const idleTimeout = "90s"

// orphanSettings let the server notice that a program is gone: one whose connection is closed,
// within seconds, and one whose machine has vanished without a word, within a minute. They do
// nothing on a socket in the file system.
func orphanSettings() []pg.Assignment {
	return []pg.Assignment{
		{Name: "client_connection_check_interval", Value: orphanTimeout},
		{Name: "tcp_keepalives_idle", Value: "20"},
		{Name: "tcp_keepalives_interval", Value: "10"},
		{Name: "tcp_keepalives_count", Value: "4"}, // seconds
		{Name: "tcp_user_timeout", Value: "60000"}, // ms
	}
}

// begin opens each transaction. The isolation level and READ WRITE override a
// DBA's defaults. Everything else goes by SET LOCAL, because a plain SET would
// leak to the other clients of a pooler: no timeout of a DBA's cuts a migration,
// while a statement that queues for a table lock gives up soon, because every
// query of the application queues behind it; names and times without a schema or
// zone mean the same on every server. pg_temp is last, because where it is not named
// it is searched first: a temporary table, of a file before or of another client of a
// pooler, would take the place of a table of the schema.
func (m *Migrator) begin(server serverSeen, commit string) (sql string, statements int) {
	// The path comes last: PostgreSQL keeps it as another setting says that names are quoted.
	before, count := "", 4
	if !server.set {
		before, count = pg.Assign(usual(server), true)+"; ", 5
	}
	return opening + before +
		fmt.Sprintf("SET LOCAL lock_timeout = %d; SET LOCAL search_path = %s, pg_temp; SET LOCAL "+
			"synchronous_commit = %s;",
			m.lockTimeout(), sqltext.QuoteName(m.Schema), commit), count
}

// usual are the settings of each of our transactions which are the same in all of them.
func usual(server serverSeen) []pg.Assignment {
	settings := append(pinned(server.Version),
		pg.Assignment{Name: "statement_timeout", Value: "0"},
		pg.Assignment{Name: "idle_in_transaction_session_timeout", Value: idleTimeout},
		pg.Assignment{Name: "TimeZone", Value: "UTC"})
	settings = append(settings, server.settable...)
	if server.Version >= 17_00_00 {
		settings = append(settings, pg.Assignment{Name: "transaction_timeout", Value: "0"})
	}
	if server.checksClients() {
		settings = append(settings, orphanSettings()...)
	}
	return settings
}

// file wraps a migration into its transaction. The ledger's row comes first: its
// primary key lets exactly one of many migrators go on. The canary divides by
// zero unless the transaction at the end is the one that wrote the row, and takes a
// negative root when there is none: neither can be answered by a trigger, and only
// the server can tell what they are, so that it does not try them when it plans.
func (m *Migrator) file(mig *bundle.Migration, server serverSeen, commit string) message {
	begin, statements := m.begin(server, commit)
	table := sqltext.QuoteName(m.Schema, ledger.Name)
	touched, guarded := "", ""
	if !server.quiet || !mig.Plain() {
		touched = "WHEN MATCHED" + ledgerTouched(table, mig.Unseen()) +
			" THEN UPDATE SET version = ln(-pg_backend_pid()) "
		// which would outlive the file, for the next one or for other clients
		guarded = guard(mig, server) + "; DISCARD TEMP; "
	}
	return message{
		what:      mig.File,
		migration: mig,
		begin:     begin,
		before:    begin + " " + m.ledgerRow(mig) + ";\n",
		sql:       mig.SQL,
		after: fmt.Sprintf("\n;MERGE INTO %s m USING (VALUES (%d)) file (version) ON m.version = file.version "+
			"%sWHEN MATCHED THEN UPDATE SET duration = (clock_timestamp() - applied_at) / (m.xmin = "+
			"pg_current_xact_id()::xid)::int WHEN NOT MATCHED THEN INSERT (version) VALUES "+
			"(sqrt(-pg_backend_pid())); %s%s; COMMIT",
			table, mig.Version, touched, guarded, m.testify(mig.Version, mig.Fingerprint())),
		lead: statements + 1,
	}
}

// ledgerTouched is the condition for what a file did to the ledger that no text shows, in a
// DO block or a function for instance: whatever changes a table takes a stronger lock on it than the
// row of the file did, and keeps it. It asks the function behind pg_locks, which costs a third of the view.
// A comment, statistics or a publication take no such lock. They are looked for where the file may hide them.
// A grant is none: GRANT … ON ALL TABLES is right in a file, and a start takes back what is too much.
func ledgerTouched(table string, unseen bool) string {
	oid := sqltext.QuoteText(table) + "::regclass"
	locked := "EXISTS (SELECT FROM pg_lock_status() WHERE pid = pg_backend_pid() AND relation = " + oid +
		" AND mode IN (" + strongLocks + "))"
	if !unseen {
		return " AND " + locked
	}
	return " AND (" + locked + " OR " + strings.ReplaceAll(ledgerDescribed, "$ledger", oid) + ")"
}

// ledgerDescribed looks for rows about the ledger that this transaction has written, which are
// visible and in progress. In a subtransaction they have a number of their own, which is newer.
const ledgerDescribed = `EXISTS (SELECT FROM (
	SELECT xmin FROM pg_catalog.pg_description WHERE objoid = $ledger
	UNION ALL SELECT xmin FROM pg_catalog.pg_statistic_ext WHERE stxrelid = $ledger
	UNION ALL SELECT xmin FROM pg_catalog.pg_publication_rel WHERE prrelid = $ledger) written
	WHERE CASE WHEN age(xmin) <= 0
		THEN pg_xact_status((pg_current_xact_id()::text::bigint - age(xmin))::text::xid8) = 'in progress' END)`

// strongLocks are those of CREATE INDEX, of CREATE TRIGGER and of ALTER TABLE. A backup, which keeps the
// turn for the first file, has the second itself.
const (
	turnLock    = "'ShareRowExclusiveLock', "
	strongLocks = turnLock + "'ShareLock', 'ExclusiveLock', 'AccessExclusiveLock'"
)

// ledgerRow puts a migration into the ledger.
func (m *Migrator) ledgerRow(mig *bundle.Migration) string {
	return fmt.Sprintf(
		`INSERT INTO %s (version, prev, name, checksum, min_version, app_version) VALUES (%d, nullif(%d, 0), '%s', '\x%s', %d, %s)`,
		sqltext.QuoteName(m.Schema, ledger.Name), mig.Version, mig.Version-1, mig.Name,
		hex.EncodeToString(mig.Checksum[:]),
		mig.MinVersion, sqltext.QuoteText(m.Version))
}

// A LedgerRow is one applied migration as the database remembers it.
type LedgerRow struct {
	Version    int       `json:"version"`
	Name       string    `json:"name"`
	Checksum   string    `json:"checksum"` // SHA-256 of the file, in hexadecimal
	MinVersion int       `json:"min_version"`
	AppliedAt  time.Time `json:"applied_at"`
	Seconds    *float64  `json:"seconds"` // nil while unfinished
	AppliedBy  string    `json:"applied_by"`
	AppVersion string    `json:"app_version"`
	Claimed    bool      `json:"claimed"` // a file without a transaction, which a server process works on or worked on
	Rebuilt    bool      `json:"rebuilt"` // written by Repair
}

// ledgerRows reads the whole ledger, as one JSON array.
func ledgerRows(schema string) string {
	return `SELECT coalesce(json_agg(json_build_object(
		'version', version, 'name', name, 'checksum', encode(checksum, 'hex'), 'min_version', min_version,
		'applied_at', CASE WHEN applied_at BETWEEN '0001-01-01' AND '9999-12-31' THEN applied_at ELSE '0001-01-01' END, 'seconds', extract(epoch FROM duration), 'applied_by', applied_by,
		'app_version', app_version, 'claimed', claimed_by_pid IS NOT NULL, 'rebuilt', rebuilt) ORDER BY version), '[]')
	FROM (SELECT ` + ledgerColumns + ` FROM ` + sqltext.QuoteName(schema, ledger.Name) + ` UNION ALL SELECT ` + ledgerNulls + ` WHERE false) l`
}

// ledgerHead condenses the ledger into one short row, however long it is: its
// last version, the oldest bundle that it admits, and two fingerprints: of the part
// that the bundle should know by heart, and of the whole, where that is more: it is what
// the second witness knows, which is read in the same snapshot. A file that a server process
// claimed and has not finished is not applied yet. Every column is named, so that a table
// that lacks one is noticed before it is written to.
func ledgerHead(schema string, bundleVersion int) string {
	return fmt.Sprintf(`SELECT json_build_object(
		'version', version, 'min_version', min_version, 'rows', rows, 'unfinished', unfinished, 'claimed', claimed,
		'fingerprint', encode(sha256(convert_to(known, 'UTF8')), 'hex'),
		'whole', CASE WHEN newer <> '' THEN encode(sha256(convert_to(known || newer, 'UTF8')), 'hex') END,
		'comment', (SELECT description FROM pg_description WHERE objoid = (SELECT oid FROM pg_namespace WHERE nspname = %[3]s) AND classoid = 'pg_catalog.pg_namespace'::regclass AND objsubid = 0))
	FROM (SELECT
		max(version) FILTER (WHERE NOT open) AS version,
		max(min_version) AS min_version,
		count(*) FILTER (WHERE NOT open) AS rows,
		min(version) FILTER (WHERE duration IS NULL AND NOT open) AS unfinished,
		max(version) FILTER (WHERE open) AS claimed,
		coalesce(string_agg(line, '' ORDER BY version) FILTER (WHERE NOT open AND version <= %[1]d), '') AS known,
		coalesce(string_agg(line, '' ORDER BY version) FILTER (WHERE NOT open AND version > %[1]d), '') AS newer
		FROM (SELECT version, prev, name, checksum, min_version, applied_at, duration, applied_by, app_version, claimed_by_pid, claimed_by_start, rebuilt FROM %[2]s) l,
			LATERAL (SELECT duration IS NULL AND claimed_by_pid IS NOT NULL AS open,
			version || ' ' || name || ' ' || encode(checksum, 'hex') || ' ' || min_version || E'\n' AS line) line) head`,
		bundleVersion, sqltext.QuoteName(schema, ledger.Name), sqltext.QuoteText(schema))
}
