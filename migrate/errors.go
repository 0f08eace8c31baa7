package migrate

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// A ConnectError means that the database could not be reached in time, or that
// trying again is no use: a wrong password, a database that does not exist.
type ConnectError struct {
	Target string        // host, port, user and database; never a password
	Tried  time.Duration // how long
	Next   string        // what the operator can do
	Err    error

	settings bool
	lost     bool // there was a connection, and it is not made again
}

func (e *ConnectError) Error() string {
	if e.lost {
		return fmt.Sprintf("the connection to the database at %s was lost: %v. %s", e.Target, e.Err, e.Next)
	}
	tried := ""
	if e.Tried >= time.Second {
		tried = fmt.Sprintf(" (tried for %s)", e.Tried.Round(time.Second))
	}
	return fmt.Sprintf("connect to the database at %s%s: %v. %s", e.Target, tried, e.Err, e.Next)
}

func (e *ConnectError) Unwrap() error { return e.Err }

// Refused reports whether waiting does not help: the user, the password, the database's
// name, a parameter or a certificate is wrong.
func (e *ConnectError) Refused() bool {
	code := pg.SQLState(e.Err)
	return e.settings || strings.HasPrefix(code, "28") || strings.HasPrefix(code, "3D")
}

// DeniesRole reports whether the server or a pooler turned down the user, the password or the
// database's name, which the migrations may have yet to create.
func (e *ConnectError) DeniesRole() bool {
	code := pg.SQLState(e.Err)
	return strings.HasPrefix(code, "28") || strings.HasPrefix(code, "3D") || code == pg.ProtocolViolation && e.settings
}

// A StandbyError means that something is pending, and the server is a standby
// that cannot be written to.
type StandbyError struct{}

func (e *StandbyError) Error() string {
	return "migrations are pending, but this server is a read-only standby; connect to the primary " +
		"(list all hosts in the connection string, and the one that can be written to is chosen)"
}

// A ReadOnlyError means that something is pending, and that a DBA or the platform has made
// the database read-only by a setting, which is not the migrator's to override.
type ReadOnlyError struct {
	Database, Role string
	Source         string // where the setting comes from, as pg_settings calls it
}

func (e *ReadOnlyError) Error() string {
	const writable = "SET default_transaction_read_only = off; " // the DBA's own session is read-only, too
	mend := "take default_transaction_read_only out of postgresql.conf, or of the connection string"
	switch e.Source {
	case "database":
		mend = writable + "ALTER DATABASE " + sqltext.QuoteName(e.Database) + " RESET default_transaction_read_only"
	case "user":
		mend = writable + "ALTER ROLE " + sqltext.QuoteName(e.Role) + " RESET default_transaction_read_only"
	case "database user":
		mend = writable + "ALTER ROLE " + sqltext.QuoteName(e.Role) + " IN DATABASE " + sqltext.QuoteName(e.Database) +
			" RESET default_transaction_read_only"
	}
	return fmt.Sprintf("migrations are pending, but default_transaction_read_only is on for %q in the database %q "+
		"(set by: %s); platforms do that when a disk is nearly full. "+
		"Nothing was changed. When writing is safe again, and the platform has not reset it: %s;", e.Role,
		e.Database, e.Source, mend)
}

// A BusyError means that waiting for another migrator or for a table lock took
// longer than Migrator.Wait. Trying again later is right.
type BusyError struct {
	Waited  time.Duration
	Blocker string // who held things up, as far as it is known
	Err     error  // what the last attempt ran into

	Unfinished bool // a file without a transaction was cancelled; the next start removes what it left behind
}

func (e *BusyError) Error() string {
	blocker := ""
	if e.Blocker != "" {
		blocker = "; blocked by " + e.Blocker
	}
	end := "Nothing is half-done; try again later"
	if e.Unfinished {
		end = "The next start removes what it left unfinished, and runs it again; try again later"
	}
	if lost, ok := errors.AsType[*pg.ConnLostError](e.Err); ok {
		end = pg.Diagnose(lost.Err).Next + ". " + end
	}
	return fmt.Sprintf("waited %s in all: %v%s. %s", e.Waited.Round(time.Millisecond), e.Err, blocker, end)
}

func (e *BusyError) Unwrap() error { return e.Err }

// A MigrationError means that a file failed and, unless it is Alone, was rolled back. The files
// before it stay applied, and the next Up goes on with it.
type MigrationError struct {
	File         string
	Line, Column int    // 1-based, column in characters; Column is 0 when only the statement is known
	Source       string // the line in the file
	Statement    int    // 1-based; 0 when the failure is not in one of the file's statements
	Statements   int    // in the file
	Version      int    // the schema's version, which it keeps
	What         string // set when the failure is not the server's own words
	Next         string // what to do when the file is not to blame; "" when it has to be fixed
	Advice       string // what else may help than a change of the file; "" when nothing does
	Rehearsal    bool   // it was none of the database's own migrations that failed
	Alone        bool   // it runs without a transaction, so that nothing could be rolled back
	Refused      bool   // something else stopped it, such as an event trigger, and Next says what a DBA can do
	Removed      bool   // then: an index that it left unfinished is gone
	Err          *pgconn.PgError
}

// Error shows the place, the line with a caret under it, and all that the
// server said.
func (e *MigrationError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Column > 0 {
		fmt.Fprintf(&b, ":%d", e.Column)
	}
	if e.Statement > 0 {
		fmt.Fprintf(&b, ": statement %d of %d", e.Statement, e.Statements)
	}
	what := e.What
	if what == "" {
		what = e.Err.Message
	}
	fmt.Fprintf(&b, ": %s (%s)", what, e.Err.Code)
	e.writeSource(&b)
	for _, part := range []struct{ name, text string }{
		{"detail", e.Err.Detail},
		{"hint", e.Err.Hint},
		{"in", e.Err.InternalQuery},
		{"context", e.Err.Where},
		{"constraint", e.Err.ConstraintName},
		{"table", joinNames(e.Err.SchemaName, e.Err.TableName)},
		{"column", e.Err.ColumnName},
	} {
		if part.text != "" {
			fmt.Fprintf(&b, "\n%s: %s", part.name, strings.ReplaceAll(part.text, "\n", "\n  "))
		}
	}
	mend := ". Mend the file and start again"
	switch {
	case e.Rehearsal:
		fmt.Fprintf(&b, "\nrehearsed only; the database is as it was, at version %d", e.Version)
		mend = ". A start would fail like this: change the file, or the data that it does not expect, and " +
			"rehearse again"
	case e.Removed:
		fmt.Fprintf(&b, "\nit ran without a transaction, and what it left unfinished was removed; the schema is "+
			"at version %d", e.Version)
	case e.Alone:
		fmt.Fprintf(&b, "\nit ran without a transaction, so it was not rolled back; the schema is at version %d",
			e.Version)
	default:
		fmt.Fprintf(&b, "\nrolled back; the schema is at version %d", e.Version)
	}
	if e.Advice != "" && !e.Rehearsal {
		mend = ". " + e.Advice
	}
	if e.Next != "" {
		b.WriteString(". The file is not to blame: " + e.Next)
	} else {
		b.WriteString(mend)
	}
	return b.String()
}

// joinNames is the name of a table for people; "" when there is no table.
func joinNames(schema, table string) string {
	if schema == "" || table == "" {
		return table
	}
	return schema + "." + table
}

// writeSource shows at most so much of a line as fits a terminal around the caret.
func (e *MigrationError) writeSource(b *strings.Builder) {
	if e.Line == 0 || strings.TrimSpace(e.Source) == "" {
		return
	}
	const width = 100
	line := []rune(strings.ReplaceAll(e.Source, "\t", " "))
	caret := max(e.Column-1, 0)
	if caret > width/2 && len(line) > width {
		cut := min(caret-width/2, len(line)-width)
		line, caret = line[cut:], caret-cut
	}
	prefix := fmt.Sprintf("%5d | ", e.Line)
	fmt.Fprintf(b, "\n%s%s", prefix, string(line[:min(len(line), width)]))
	if e.Column > 0 {
		fmt.Fprintf(b, "\n%s^", strings.Repeat(" ", len(prefix)+caret))
	}
}

func (e *MigrationError) Unwrap() error { return e.Err }

// WithoutValues marks an error that holds no values of rows, but may repeat the file: see redact.Text.
func (e *MigrationError) WithoutValues() {}

// A retryError is a failure that another look, a little later, may turn into
// success: a lost race, a lock that was not to be had, a deadlock.
type retryError struct {
	err  error
	soon bool // another session got ahead: the next look will show it
}

func (e *retryError) Error() string { return e.err.Error() }

func (e *retryError) Unwrap() error { return e.err }

var (
	// errRaceLost means that another migrator applied what this one was about to.
	errRaceLost = errors.New("another migrator was faster")
	// errBusy means that another migrator has not finished in time.
	errBusy = errors.New("another migrator is still at work")
)

// A DriftError means that the schema was changed by something else than migrations.
type DriftError struct {
	Version int // that it should be like
	Drift   []snapshot.Difference
}

func (e *DriftError) Error() string {
	return fmt.Sprintf("the schema is not as the migrations up to version %d make it:%s\nSomebody changed it by "+
		"hand. Undo that, or put it into a migration", e.Version, snapshot.Lines(e.Drift))
}

// A PrivilegeError means that a role lacks what is needed for the task.
type PrivilegeError = pg.PrivilegeError

// A Blocker is a session that keeps a migrator waiting.
type Blocker = pg.Blocker

// An IndexBuild is how far the server is with an index.
type IndexBuild = pg.IndexBuild

// An UnforeseenError is an error of the server for which no step has an explanation. What
// was begun is rolled back, and trying again is safe.
type UnforeseenError struct {
	Step string // what was being done
	Err  *pgconn.PgError
}

func (e *UnforeseenError) Error() string {
	var b strings.Builder
	b.WriteString(e.Step + ": the server says: " + e.Err.Message + " (" + e.Err.Code + ")")
	for _, part := range []struct{ name, text string }{{"detail", e.Err.Detail}, {"hint", e.Err.Hint}} {
		if part.text != "" {
			b.WriteString("\n" + part.name + ": " + strings.ReplaceAll(part.text, "\n", "\n  "))
		}
	}
	b.WriteString("\nNothing is half-done, and starting again is safe")
	return b.String()
}

func (e *UnforeseenError) Unwrap() error { return e.Err }

// unforeseen names the step of an error that is the server's alone, with nothing but words
// around it.
func unforeseen(doing func() string, err error) error {
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	for inner := err; inner != error(refusal); inner = errors.Unwrap(inner) { //nolint:errorlint // it walks the chain
		if _, several := inner.(interface{ Unwrap() []error }); several || explains(inner) {
			return err
		}
	}
	words, bare := strings.CutSuffix(err.Error(), refusal.Error())
	switch {
	case !bare: // what follows says more
		return err
	case words == "":
		return &UnforeseenError{Step: doing(), Err: refusal}
	}
	return &UnforeseenError{Step: strings.TrimSuffix(words, ": "), Err: refusal}
}

// explains reports whether an error is more than words around another one.
func explains(err error) bool {
	switch err.(type) { //nolint:errorlint // each error of the chain is asked by itself
	case *MigrationError, *BusyError, *ConnectError, *pg.PrivilegeError, *BackupError, *pg.ConnLostError, *retryError,
		*UnforeseenError:
		return true
	}
	return false
}
