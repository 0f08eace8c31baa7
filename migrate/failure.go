package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/redact"
)

// failure turns the server's error to one message into ours: a lost race and a
// lock that was not to be had are tried again, the rest points into the file.
func (r *run) failure(m message, out pg.Outcome) error {
	switch {
	case m.probeFailed(out):
		return r.withoutProbe(out.Err)
	case r.lostRace(m, out):
		return &retryError{err: errRaceLost, soon: true}
	case transient(out.Err), out.Err.Code == pg.QueryCanceled && (m.migration == nil || out.Completed < m.lead):
		return &retryError{err: r.place(m, out)}
	// Those without a transaction of ours are explained elsewhere. Where the row of a file was written, the server
	// takes changes, and the file itself has ended that.
	case out.Err.Code == pg.ReadOnlyTransaction &&
		(m.migration == nil || !m.migration.NoTransaction && out.Completed < m.lead):
		return &StandbyError{}
	case m.refusesRole(out):
		return &pg.PrivilegeError{
			Lacks: fmt.Sprintf("the server did not create the role %q: %s", r.Role.Name, out.Err.Message),
			SQL:   []string{m.byHand},
		}
	case out.Err.Code == pg.InsufficientPrivilege && (m.migration == nil || out.Completed < m.lead):
		return &pg.PrivilegeError{
			Lacks: fmt.Sprintf("%s: %s. Run the migrations as the role that owns the schema and all that is in it",
				m.what, out.Err.Message),
			SQL: takeOver(r.Schema, r.me),
		}
	}
	claims := m.migration != nil && m.lead > 0 && out.Completed == m.lead-1
	if claims && r.externalCause(m, out.Err) == "" {
		return r.ledgerRejects(m.what, out.Err.Message)
	}
	if m.commitGuard(out) == rowGone && out.Tag == "INSERT 0 0" {
		return r.ledgerRejects(m.what, swallowed)
	}
	return r.place(m, out)
}

// ledgerRejects is the error of a ledger that was changed so that it takes no more rows.
func (r *run) ledgerRejects(file, why string) error {
	return &LedgerLostError{
		Why: fmt.Sprintf("the table of applied migrations does not take the row of %s: %s. "+
			"Somebody has changed that table; undo it", file, why),
		Command: r.RepairCommand,
	}
}

const swallowed = "a trigger or a rule swallows it"

// What the commit guard says; see Migrator.file.
const (
	endedItself = pg.DivisionByZero
	rowGone     = pg.InvalidArgumentForPower
	tableBroken = pg.InvalidArgumentForLogarithm
)

// commitGuard is what the commit guard after a file said, and "" when the error is another one's.
func (m message) commitGuard(out pg.Outcome) string {
	if m.migration == nil || m.after == "" || out.Completed != m.lead+len(m.migration.Spans()) {
		return ""
	}
	switch code := out.Err.Code; code {
	case endedItself, rowGone, tableBroken:
		return code
	// it dropped or renamed it
	case pg.UndefinedTable, pg.InvalidSchemaName, pg.UndefinedColumn, pg.WrongObjectType, pg.FeatureNotSupported,
		pg.InsufficientPrivilege:
		return tableBroken
	}
	return ""
}

// refusesRole reports whether the server does not let the role be created: some
// services let only certain roles set passwords, or take no verifiers, which one of them
// says only at the commit (XX000).
func (m message) refusesRole(out pg.Outcome) bool {
	atCommit := strings.Count(m.sql, ";\n") + 1 + m.lead
	return m.byHand != "" && (out.Completed == m.roleAt || out.Completed == m.roleAt+1 ||
		out.Completed == atCommit && out.Err.Code == pg.InternalError)
}

// takeOver makes a role the owner of a schema and of all that is in it: a dump
// belongs to the role that restored it.
func takeOver(schema, role string) []string {
	return []string{
		"ALTER SCHEMA " + sqltext.QuoteName(schema) + " OWNER TO " + sqltext.QuoteName(role),
		"DO " + sqltext.DollarQuote(strings.NewReplacer("$schema", sqltext.QuoteText(schema),
			"$role", sqltext.QuoteText(role)).Replace(` DECLARE s text; BEGIN
    FOR s IN SELECT format('ALTER TABLE %s OWNER TO %I', c.oid::regclass, $role) 
               FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
               WHERE nspname = $schema AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT EXISTS (
                 SELECT FROM pg_depend WHERE objid = c.oid AND deptype IN ('a', 'i') AND refobjsubid > 0)
             UNION ALL SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, $role)
               FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = $schema
             UNION ALL SELECT format('ALTER TYPE %s OWNER TO %I', t.oid::regtype, $role)
               FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
               WHERE nspname = $schema AND typtype IN ('d', 'e', 'r')
    LOOP EXECUTE s; END LOOP;
  END `)),
	}
}

// externalCause says why a file, or a statement of ours, is not to blame for a failure, and
// what to do; "" when it may be.
func (r *run) externalCause(m message, err *pgconn.PgError) string {
	alone := m.alone()
	switch code := err.Code; {
	case transient(err):
		return "another session was in its way, and pg_stat_activity shows whose transactions are open"
	case code == pg.DiskFull:
		return "the disk of the database server is full. Make room there and start again"
	case code == pg.OutOfMemory:
		return "the database server ran out of memory, or of room for locks (max_locks_per_transaction). " +
			"Let a DBA raise that and start again"
	case code == pg.ConfigurationLimitExceeded:
		return "a limit that a DBA has set was reached. Let a DBA raise it and start again"
	case strings.HasPrefix(code, "53"), code == pg.IoError: // insufficient resources; io_error
		return "the database server ran out of something, or its disk fails. See to it and start again"
	case alone && code == pg.QueryCanceled:
		return "somebody cancelled it, or " + r.settingHint("statement_timeout = 0")
	case alone && code == pg.TransactionTimeout:
		return r.settingHint("transaction_timeout = 0")
	case alone && code == pg.ReadOnlyTransaction:
		return r.settingHint("default_transaction_read_only = off")
	case code == pg.QueryCanceled && setsTimeout(m.sql):
		return ""
	case code == pg.QueryCanceled:
		return "somebody cancelled it. Start again"
	}
	return ""
}

// setsTimeout reports whether a file may have been ended by a timeout of its own.
func setsTimeout(sql string) bool {
	sql = strings.ToLower(sql)
	return strings.Contains(sql, "statement_timeout") || strings.Contains(sql, "transaction_timeout")
}

// advice is what may help instead of a change of the file: a DBA can do what it needs.
func advice(err *pgconn.PgError, statement string) string {
	verb := strings.ToUpper(strings.Join(strings.Fields(statement), " "))
	extension := strings.HasPrefix(verb, "CREATE EXTENSION") || strings.HasPrefix(verb, "ALTER EXTENSION")
	switch code := err.Code; {
	case extension && code == pg.InsufficientPrivilege:
		return "Let a superuser create the extension and start again: with IF NOT EXISTS the file finds it there"
	case extension && (code == pg.FeatureNotSupported || code == pg.InvalidParameterValue ||
		code == pg.UndefinedObject ||
		code == pg.UndefinedFile):
		return "Let a DBA install this version of the extension on the server and start again, or change the file"
	case code == pg.InsufficientPrivilege:
		return "The migrator's role lacks a privilege for this statement: let a DBA grant it and start again, or " +
			"change the file"
	}
	return ""
}

// settingHint explains a failure by a setting that a file without a transaction runs with.
func (r *run) settingHint(setting string) string {
	name, _, _ := strings.Cut(setting, " ")
	return fmt.Sprintf("without a transaction it runs with the %s of its session, which through a pooler is that "+
		"of the role, the database or the server. "+
		"Connect past the pooler, or let a DBA run\n  ALTER ROLE %s SET %s;\nand start again", name,
		sqltext.QuoteName(r.me), setting)
}

// lostRace reports whether the claim failed because another migrator was faster:
// the ledger's row is there (or the one before it was not applied after all), or
// the schema and the role are.
func (r *run) lostRace(m message, out pg.Outcome) bool {
	claims := m.migration == nil || out.Completed == m.lead-1
	if !claims {
		return false
	}
	switch out.Err.Code {
	case pg.UniqueViolation, pg.ForeignKeyViolation:
		return m.migration == nil || out.Err.TableName == ledger.Name && out.Err.SchemaName == r.Schema
	case pg.DuplicateSchema, pg.DuplicateTable, pg.DuplicateObject:
		return m.migration == nil
	case pg.UndefinedTable, pg.InvalidSchemaName: // the ledger is gone: look what happened
		return m.migration != nil
	}
	return false
}

// transient errors have nothing to do with the file: another session was in the
// way.
func transient(err *pgconn.PgError) bool {
	switch err.Code {
	case pg.LockNotAvailable, pg.DeadlockDetected, pg.SerializationFailure:
		return true
	case pg.InternalError:
		return strings.Contains(err.Message, "tuple concurrently")
	}
	return false
}

// place finds where in the file an error happened. The server's position counts
// characters of the whole message and is 0 for run-time errors; then the number of
// statements that succeeded shows which one failed.
func (r *run) place(m message, out pg.Outcome) error {
	next := r.externalCause(m, out.Err)
	switch {
	case m.migration == nil && next != "":
		return fmt.Errorf("%s: %w. Nothing is half-done: %s", m.what, out.Err, next)
	case m.migration == nil:
		return fmt.Errorf("%s: %w%s", m.what, out.Err,
			strings.TrimPrefix(words(out.Err), out.Err.Message+" ("+out.Err.Code+")"))
	}
	if out.Err.Code == pg.InvalidTransactionTermination && out.Err.Hint == "" {
		out.Err.Hint = "A file is one transaction, which no procedure that it calls may end: leave its COMMIT and " +
			"ROLLBACK out, or do without the call."
	}
	e := &MigrationError{
		File: m.migration.File, Version: r.head(), Next: next, Alone: m.migration.NoTransaction,
		Err: out.Err,
	}
	e.Statements = len(m.migration.Spans())
	r.locate(e, m, out)
	e.Source = sourceLine(m.sql, e.Line)
	e.Advice = r.adviceFor(e, m, out.Err)
	return e
}

// locate finds the statement that failed, or what failed instead of one.
func (r *run) locate(e *MigrationError, m message, out pg.Outcome) {
	statements := m.migration.Spans()
	inFile := int(out.Err.Position) - 1 - utf8.RuneCountInString(m.before)
	switch failed := out.Completed - m.lead; {
	case m.commitGuard(out) == tableBroken:
		e.What = "the file changed the table of applied migrations, or locked it, which is the migrator's alone"
	case out.Err.Position > 0 && inFile >= 0:
		offset := byteOffset(m.sql, inFile)
		e.Line, e.Column = sqltext.Place(m.sql, offset)
		e.Statement = statementAt(statements, offset)
	case out.Completed == 0 && unparsed(out.Err):
		// which holds nothing but what stands in the file
		e.What = "the server cannot read the file: " + out.Raw.Message
	case failed < 0:
		e.What = "the transaction could not be opened: " + out.Err.Message
	case failed < len(statements):
		e.Line, _ = sqltext.Place(m.sql, statements[failed].Start)
		e.Statement = failed + 1
	case m.commitGuard(out) == endedItself:
		e.What = "the file ended its own transaction: what it did up to there may have stayed, and has to be " +
			"undone by hand"
	case m.commitGuard(out) == rowGone:
		e.What = "the file deleted its own row from the ledger of applied migrations"
	case m.changed(out) != "":
		e.What = "the file left " + m.changed(out) + ", by which the files after it would be read; " +
			"write SET LOCAL for a setting that this file needs, and leave set_config(…, false) out"
	default:
		e.What = "at its commit: " + out.Err.Message
	}
}

// adviceFor is what may help instead of a change of the file that failed; "" when nothing does.
func (r *run) adviceFor(e *MigrationError, m message, err *pgconn.PgError) string {
	switch {
	case err.Code == pg.ReadOnlyTransaction && !m.migration.NoTransaction:
		return "The server takes changes, and the file has made its own transaction read-only: take " +
			"SET TRANSACTION READ ONLY, or what sets transaction_read_only, out of the file and start again"
	case err.Code == pg.NonstandardEscape:
		return "backslash_quote is off, by which the server reads the file before it can be set: write '' for a " +
			"quote in it, or let a DBA run ALTER ROLE " + sqltext.QuoteName(r.me) +
			" SET backslash_quote = safe_encoding, and start again"
	case e.Statement > 0:
		return advice(err, m.sql[m.migration.Spans()[e.Statement-1].Start:])
	case err.Code == pg.UntranslatableCharacter:
		return "The encoding of this database lacks a character of the file: create the database with " +
			"ENCODING 'UTF8'"
	}
	return ""
}

// unparsed reports an error that the server finds in a whole message, before it runs any of it: in what encodes the
// text, in the escapes of a string, or in how deep it is nested.
func unparsed(err *pgconn.PgError) bool {
	return slices.Contains([]string{
		pg.CharacterNotInRepertoire, pg.UntranslatableCharacter, pg.StatementTooComplex,
		pg.ProgramLimitExceeded,
	}, err.Code)
}

func byteOffset(s string, runes int) int {
	for i := range s {
		if runes == 0 {
			return i
		}
		runes--
	}
	return len(s)
}

func statementAt(statements []sqltext.Statement, offset int) int {
	for i, s := range statements {
		if offset < s.End {
			return i + 1
		}
	}
	return len(statements)
}

func sourceLine(sql string, line int) string {
	for l := range strings.Lines(sql) {
		if line--; line == 0 {
			return strings.TrimRight(l, "\r\n")
		}
	}
	return ""
}

// changed returns the setting, with its value, that the guard after a file found.
func (m message) changed(out pg.Outcome) string {
	if m.migration == nil || m.after == "" || out.Raw == nil || out.Raw.Code != pg.InvalidTextRepresentation ||
		out.Completed != m.lead+len(m.migration.Spans())+1 {
		return ""
	}
	_, found, _ := strings.Cut(out.Raw.Message, guardMark)
	return strings.TrimRight(found, `"»“”'`)
}

// exited is the error of a message whose statement failed and ended its session with that, because exit_on_error is on:
// to send it again would end the next one. nil is any other loss of a connection, of which only the ledger knows the
// outcome.
//
// Each transaction turns exit_on_error off, and so does each session that is not a pooler's. What is left is what the
// server finds before the transaction begins, in the text of the message, and a file without a transaction.
func (r *run) exited(m message, o pg.Outcome, err error) error {
	said := o.Raw
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		said = refusal
	}
	if m.migration == nil || said == nil || said.SeverityUnlocalized != "FATAL" || transient(said) ||
		!pg.OfStatement(said.Code) {
		return nil
	}
	o.Raw, o.Err = said, redact.Server(said, m.sql)
	failure := r.place(m, o)
	if file, ok := errors.AsType[*MigrationError](failure); ok {
		file.Advice += ". The session ended with this error, because exit_on_error is on: let a DBA take that from " +
			"the role, the " +
			"database or the server, as in ALTER ROLE " + sqltext.QuoteName(r.me) + " RESET exit_on_error"
		if file.Advice[0] == '.' {
			file.Advice = "Mend the file and start again" + file.Advice
		}
	}
	return failure
}
