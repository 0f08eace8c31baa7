package migrate

import (
	"fmt"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

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
	after     string            // the commit guard, the duration, the stamp and COMMIT
	lead      int               // statements in before
	flushes   bool              // its commit waits for the disk
	onDisk    string            // otherwise: the begin of one that does
	probeAt   int               // how many of our statements go between the file and the second probe; 0 without one
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

// opening is how each transaction begins.
const opening = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE NOT DEFERRABLE; "

// begin opens each transaction. The isolation level and READ WRITE override a
// DBA's defaults. Everything else goes by SET LOCAL, because a plain SET would
// leak to the other clients of a pooler: no timeout of a DBA's cuts a migration,
// while a statement that queues for a table lock gives up soon, because every
// query of the application queues behind it; names and times without a schema or
// zone mean the same on every server. pg_temp is last, because where it is not named
// it is searched first: a temporary table, of a file before or of another client of a
// pooler, would take the place of a table of the schema.
func (r *run) begin(server serverSeen, commit string) (sql string, statements int) {
	// The path comes last: PostgreSQL keeps it as another setting says that names are quoted.
	before, count := "", 4
	if !server.set {
		before, count = pg.Assign(usual(server), true)+"; ", 5
	}
	return opening + before +
		fmt.Sprintf("SET LOCAL lock_timeout = %d; SET LOCAL search_path = %s, pg_temp; SET LOCAL "+
			"synchronous_commit = %s;",
			r.lockTimeout(), sqltext.QuoteName(r.Schema), commit), count
}

// file wraps a migration into its transaction. The ledger's row comes first: its
// primary key lets exactly one of many migrators go on. The commit guard divides by
// zero unless the transaction at the end is the one that wrote the row, and takes a
// negative root when there is none: neither can be answered by a trigger, and only
// the server can tell what they are, so that it does not try them when it plans.
func (r *run) file(mig *bundle.Migration, server serverSeen, commit string) message {
	begin, statements := r.begin(server, commit)
	table := ledger.Table(r.Schema)
	touched, guarded := "", ""
	if !server.quiet || !mig.Plain() {
		touched = "WHEN MATCHED" + ledgerTouched(table, mig.Unseen()) +
			" THEN UPDATE SET version = ln(-pg_backend_pid()) "
		// which would outlive the file, for the next one or for other clients
		guarded = guard(mig, server) + "; DISCARD TEMP; "
	}
	row := message{
		what:      mig.File,
		migration: mig,
		begin:     begin,
		before:    begin + " " + ledger.Insert(r.Schema, mig, r.Version) + ";\n",
		sql:       mig.SQL,
		after: fmt.Sprintf("\n;MERGE INTO %s m USING (VALUES (%d)) file (version) ON m.version = file.version "+
			"%sWHEN MATCHED THEN UPDATE SET duration = (clock_timestamp() - applied_at) / (m.xmin = "+
			"pg_current_xact_id()::xid)::int WHEN NOT MATCHED THEN INSERT (version) VALUES "+
			"(sqrt(-pg_backend_pid())); %s%s; COMMIT",
			table, mig.Version, touched, guarded, ledger.WriteStamp(r.Schema, mig.Version, mig.Fingerprint())),
		lead: statements + 1,
	}
	return row.probed(r.Probe, strings.Count(guarded, ";"))
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

// within is the message in a transaction that is open already, and set up like its own.
func (m message) within() message {
	m.before, m.lead = m.before[len(m.begin):], 1
	if m.probeAt > 0 {
		m.lead = 2
	}
	m.after = strings.Replace(m.after, turnLock, "", 1)
	return m
}
