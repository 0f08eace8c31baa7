package migrate

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// failure turns the server's error to one message into ours: a lost race and a
// lock that was not to be had are tried again, the rest points into the file.
func (r *run) failure(m message, out outcome) error {
	switch {
	case r.lostRace(m, out):
		return &retryError{err: errRaceLost, soon: true}
	case transient(out.err), out.err.Code == queryCanceled && (m.migration == nil || out.completed < m.lead):
		return &retryError{err: r.place(m, out)}
	case out.err.Code == "25006": // read_only_sql_transaction
		return &StandbyError{}
	case m.refusesRole(out):
		return &PrivilegeError{Lacks: fmt.Sprintf("the server did not create the role %q: %s", r.Role.Name, out.err.Message), SQL: []string{m.byHand}}
	case out.err.Code == "42501" && (m.migration == nil || out.completed < m.lead):
		return &PrivilegeError{
			Lacks: fmt.Sprintf("%s: %s. Run the migrations as the role that owns the schema and all that is in it", m.what, out.err.Message),
			SQL:   takeOver(r.Schema, r.me),
		}
	}
	return r.place(m, out)
}

// refusesRole reports whether the server does not let the role be created: some
// services let only certain roles set passwords, or take no verifiers, which one of them
// says only at the commit (XX000).
func (m message) refusesRole(out outcome) bool {
	atCommit := strings.Count(m.sql, ";\n") + 1 + m.lead
	return m.byHand != "" && (out.completed == m.roleAt || out.completed == m.roleAt+1 || out.completed == atCommit && out.err.Code == "XX000")
}

// takeOver makes a role the owner of a schema and of all that is in it: a dump that
// was restored by somebody else belongs to them.
func takeOver(schema, role string) []string {
	return []string{
		"ALTER SCHEMA " + quoteName(schema) + " OWNER TO " + quoteName(role),
		strings.NewReplacer("$schema", quoteText(schema), "$role", quoteText(role)).Replace(`DO $$ DECLARE s text; BEGIN
    FOR s IN SELECT format('ALTER TABLE %s OWNER TO %I', c.oid::regclass, $role) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
               WHERE nspname = $schema AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype IN ('a', 'i') AND refobjsubid > 0)
             UNION ALL SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, $role) FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = $schema
             UNION ALL SELECT format('ALTER TYPE %s OWNER TO %I', t.oid::regtype, $role) FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace WHERE nspname = $schema AND typtype IN ('d', 'e', 'r')
    LOOP EXECUTE s; END LOOP;
  END $$`),
	}
}

// queryCanceled in a statement of ours, and not of a file's, is a DBA's short
// statement_timeout that struck before ours took its place.
const queryCanceled = "57014"

// lostRace reports whether the claim failed because another migrator was faster:
// the ledger's row is there (or the one before it was not applied after all), or
// the schema and the role are.
func (r *run) lostRace(m message, out outcome) bool {
	claims := m.migration == nil || out.completed == m.lead-1
	if !claims {
		return false
	}
	switch out.err.Code {
	case "23505", "23503": // unique and foreign key violation
		return m.migration == nil || out.err.TableName == ledgerName && out.err.SchemaName == r.Schema
	case "42P06", "42P07", "42710": // duplicate schema, table, object
		return m.migration == nil
	case "42P01", "3F000": // the ledger is gone: look what happened
		return m.migration != nil
	}
	return false
}

// transient errors have nothing to do with the file: another session was in the
// way.
func transient(err *pgconn.PgError) bool {
	switch err.Code {
	case "55P03", "40P01", "40001": // lock not available, deadlock, serialization failure
		return true
	case "XX000":
		return strings.Contains(err.Message, "tuple concurrently")
	}
	return false
}

// place finds where in the file an error happened. The server's position counts
// characters of the whole message and is 0 for run-time errors; then the number of
// statements that succeeded tells which one failed.
func (r *run) place(m message, out outcome) error {
	if m.migration == nil {
		return fmt.Errorf("%s: %w", m.what, out.err)
	}
	e := &MigrationError{File: m.migration.File, Version: r.report.To, Err: out.err}
	statements := m.migration.script.Statements
	e.Statements = len(statements)
	inFile := int(out.err.Position) - 1 - utf8.RuneCountInString(m.before)
	switch failed := out.completed - m.lead; {
	case out.err.Position > 0 && inFile >= 0:
		offset := byteOffset(m.sql, inFile)
		e.Line, e.Column = sqltext.Place(m.sql, offset)
		e.Statement = statementAt(statements, offset)
	case failed < 0:
		e.What = "the transaction could not be opened: " + out.err.Message
	case failed < len(statements):
		e.Line, _ = sqltext.Place(m.sql, statements[failed].Start)
		e.Statement = failed + 1
	case out.err.Code == "22012": // the canary divided by zero
		e.What = "the file ended its own transaction: what it did up to there may have stayed, and has to be undone by hand"
	default:
		e.What = "at its commit: " + out.err.Message
	}
	e.Source = sourceLine(m.sql, e.Line)
	return e
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
