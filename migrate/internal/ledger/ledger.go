// Package ledger is the table of applied migrations, and its stamp in the comment of the schema.
//
// The table's primary key is the lock that lets one of many migrators apply a file, and each row refers to the one
// before it, so that a gap or a fork is impossible. The stamp, which each migration writes in its own transaction,
// notices a table that was dropped, emptied or edited.
package ledger

import (
	"encoding/hex"
	"fmt"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// Name is the table's name in the schema that is migrated.
const Name = bundle.Ledger

// Comment is the table's comment. It distinguishes a ledger that was changed by hand from another tool's table.
const Comment = "the migrations applied to this schema; written by the migrator only"

// Columns are those of Create, in its order, and NullColumns are NULLs of their types.
const (
	Columns = "version, prev, name, checksum, min_version, applied_at, duration, applied_by, app_version, " +
		"claimed_by_pid, claimed_by_start, rebuilt"
	NullColumns = "NULL::int, NULL::int, NULL::text, NULL::bytea, NULL::int, NULL::timestamptz, NULL::interval, " +
		"NULL::text, NULL::text, NULL::int, NULL::timestamptz, NULL::boolean"
)

// Table is the ledger of a schema, as SQL writes it.
func Table(schema string) string { return sqltext.QuoteName(schema, Name) }

// Create creates the ledger. prev makes a gap or a fork impossible in the
// database itself, and is what keeps a file from being applied when the one
// before it, sent just ahead of it, failed.
//
// duration is NULL while a file is unfinished. claimed_by_pid and
// claimed_by_start name the server process that works on a file which cannot
// run inside a transaction; rebuilt marks rows that a repair wrote.
func Create(schema string) string {
	table := Table(schema)
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
` + WriteComment(schema)
}

// WriteComment writes the comment by which a damaged ledger is still recognised.
func WriteComment(schema string) string {
	return "COMMENT ON TABLE " + Table(schema) + " IS " + sqltext.QuoteText(Comment)
}

// WithoutRowSecurity takes row level security off the ledger, which an event trigger may put on each new table: with
// it the service's role finds no row, and with FORCE neither does the owner.
func WithoutRowSecurity(schema string) string {
	return "ALTER TABLE " + Table(schema) + " NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY"
}

// Insert puts a migration into the ledger, as applied by a version of the program.
func Insert(schema string, m *bundle.Migration, program string) string {
	return fmt.Sprintf("INSERT INTO %s (version, prev, name, checksum, min_version, app_version) "+
		`VALUES (%d, nullif(%d, 0), '%s', '\x%s', %d, %s)`,
		Table(schema), m.Version, m.Version-1, m.Name, hex.EncodeToString(m.Checksum[:]), m.MinVersion,
		sqltext.QuoteText(program))
}
