package bundle

import (
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// forbidden returns what to write instead of a statement that would break the
// transaction around its file, outlive it in the session (which a pooler hands
// to somebody else), or wait for data that never comes; "" when it is fine.
func forbidden(sql string, s sqltext.Statement) string {
	w := s.Words
	first, second := w[0], ""
	if len(w) > 1 {
		second = w[1]
	}
	const wrapped = "each file already is one transaction; leave this statement out"
	const alone = "cannot run inside a transaction, and each file is one"
	const directive = alone + "; give it a file of its own with -- migrate:no-transaction at the top, and the " +
		"schema with each name"
	if second == "PREPARED" && (first == "COMMIT" || first == "ROLLBACK") {
		return first + " PREPARED ends another transaction, which is the DBA's; leave it out"
	}
	switch first {
	case "BEGIN", "COMMIT", "END", "ROLLBACK", "ABORT":
		return first + ": " + wrapped
	case "START":
		return "START TRANSACTION: " + wrapped
	case "SAVEPOINT", "RELEASE":
		return first + ": a savepoint in a migration hides errors; use a DO block with EXCEPTION where an error " +
			"is expected"
	case "PREPARE":
		if second == "TRANSACTION" {
			return "PREPARE TRANSACTION: " + wrapped
		}
		return "PREPARE outlives the migration in a pooled session; write the statement itself"
	case "EXECUTE":
		return "EXECUTE runs a statement of PREPARE, which outlives the migration in a pooled session; write the " +
			"statement itself"
	case "DECLARE":
		if i := slices.Index(w, "HOLD"); i > 0 && w[i-1] == "WITH" && !slices.Contains(w[i:], "WITHOUT") {
			return "a cursor WITH HOLD outlives the migration in a pooled session; leave WITH HOLD out"
		}
	case "SET":
		return forbiddenSet(w[1:], sqltext.Tokens(sql[s.Start:s.End])[0][1:])
	case "RESET", "DISCARD", "DEALLOCATE", "LISTEN", "UNLISTEN", "LOAD":
		return first + " acts on the session, which a pooler shares with others; leave it out"
	case "CHECKPOINT":
		return "CHECKPOINT acts on the whole server; leave it out"
	case "VACUUM":
		return "VACUUM " + directive
	case "CLUSTER":
		c := cursor(sqltext.Tokens(sql[s.Start:s.End])[0][1:])
		c.list()
		if c.accept("VERBOSE"); len(c) == 0 {
			return "CLUSTER of all tables " + alone + "; write CLUSTER with the table's name"
		}
	case "COPY":
		return forbiddenCopy(w)
	case "ALTER":
		if second == "SYSTEM" {
			return "ALTER SYSTEM changes the whole server; that is the DBA's"
		}
		if second == "DATABASE" || second == "SUBSCRIPTION" || second == "TABLESPACE" {
			return "ALTER " + second + " is the DBA's, not a migration's; leave it out"
		}
		if second == "TABLE" && slices.Contains(w, "DETACH") && slices.Contains(w, "CONCURRENTLY") {
			return "DETACH PARTITION CONCURRENTLY " + alone + "; leave CONCURRENTLY out"
		}
	case "CREATE", "DROP":
		return forbiddenObject(first, w, directive)
	case "REINDEX":
		return forbiddenReindex(sqltext.Tokens(sql[s.Start:s.End])[0], directive)
	}
	return ""
}

// tooLate is what is wrong with the settings of a transaction.
const tooLate = "comes too late: the file's transaction has begun before it, READ COMMITTED and READ WRITE; leave " +
	"it out, and where " +
	"others may not change a table until the file ends, write LOCK TABLE"

// forbiddenSet reads what follows SET, as words and as tokens.
func forbiddenSet(w []string, tokens []sqltext.Token) string {
	local := len(w) > 0 && w[0] == "LOCAL"
	if local || len(w) > 0 && w[0] == "SESSION" && !slices.Contains(w, "CHARACTERISTICS") &&
		!slices.Contains(w, "AUTHORIZATION") {
		w, tokens = w[1:], tokens[1:]
	}
	if len(w) == 0 {
		return ""
	}
	switch w[0] {
	case "CONSTRAINTS":
		return ""
	case "TRANSACTION", "TRANSACTION_ISOLATION", "TRANSACTION_READ_ONLY", "TRANSACTION_DEFERRABLE":
		return "SET TRANSACTION " + tooLate
	case "SESSION": // CHARACTERISTICS AS TRANSACTION, AUTHORIZATION
		return "SET SESSION " + strings.Join(w[1:min(2, len(w))], "") +
			" outlives the migration in a pooled session; leave it out"
	case "ROLE":
		return "SET ROLE takes the ledger away from the role that migrates, which owns what files make; leave it out"
	}
	if !local {
		if message := setLocal(tokens); message != "" { // SET LOCAL would be refused, too
			return message
		}
		return "SET without LOCAL outlives the migration in a pooled session; write SET LOCAL"
	}
	return ""
}

func forbiddenReindex(c cursor, directive string) string {
	c.accept("REINDEX")
	concurrently := false
	// (CONCURRENTLY false) needs no transaction of its own
	for options := c.list(); len(options) > 0; options = options[1:] {
		if options.accept("CONCURRENTLY") {
			concurrently = len(options) == 0 || options.is(",") ||
				!slices.Contains([]string{"FALSE", "OFF"}, options[0].Word) && options[0].Text != "0"
		}
		if len(options) == 0 {
			break
		}
	}
	switch {
	case c.is("DATABASE"), c.is("SYSTEM"):
		return "REINDEX of a database is for its owner, the DBA; write REINDEX SCHEMA in a file of its own with -- " +
			"migrate:no-transaction at the top"
	case concurrently, c.is("SCHEMA"), len(c) > 1 && c[1].Word == "CONCURRENTLY":
		return "this form of REINDEX " + directive
	}
	return ""
}

func forbiddenCopy(w []string) string {
	for i := 1; i < len(w); i++ {
		switch {
		case w[i] == "STDIN" && w[i-1] == "FROM":
			return "COPY … FROM STDIN would wait for data that a migration cannot send; write INSERT … VALUES"
		case w[i] == "STDOUT" && w[i-1] == "TO":
			return "COPY … TO STDOUT sends data that nobody reads; leave it out"
		}
	}
	return ""
}

func forbiddenObject(verb string, w []string, directive string) string {
	switch w = w[1:]; {
	case len(w) == 0:
	case w[0] == "DATABASE" || w[0] == "TABLESPACE":
		return verb + " " + w[0] + " acts on the whole server and cannot be part of a migration"
	case w[0] == "SUBSCRIPTION":
		return verb + " SUBSCRIPTION is the DBA's, not a migration's; leave it out"
	case slices.Contains(w[:min(3, len(w))], "INDEX") && slices.Contains(w[:min(4, len(w))], "CONCURRENTLY"):
		return verb + " INDEX CONCURRENTLY " + directive
	}
	return ""
}
