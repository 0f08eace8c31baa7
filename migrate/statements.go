package migrate

import (
	"slices"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// forbidden returns what to write instead of a statement that would break the
// transaction around its file, outlive it in the session (which a pooler hands
// to somebody else), or wait for data that never comes; "" when it is fine.
func forbidden(s sqltext.Statement) string {
	w := s.Words
	first, second := w[0], ""
	if len(w) > 1 {
		second = w[1]
	}
	const wrapped = "each file already is one transaction; leave this statement out"
	const alone = "cannot run inside a transaction, and each file is one"
	const directive = alone + "; give it a file of its own with -- migrate:no-transaction at the top"
	switch first {
	case "BEGIN", "COMMIT", "END", "ROLLBACK", "ABORT":
		return first + ": " + wrapped
	case "START":
		return "START TRANSACTION: " + wrapped
	case "SAVEPOINT", "RELEASE":
		return first + ": a savepoint in a migration hides errors; use a DO block with EXCEPTION where an error is expected"
	case "PREPARE":
		if second == "TRANSACTION" {
			return "PREPARE TRANSACTION: " + wrapped
		}
		return "PREPARE outlives the migration in a pooled session; write the statement itself"
	case "SET":
		if second != "LOCAL" && second != "CONSTRAINTS" {
			return "SET without LOCAL outlives the migration in a pooled session; write SET LOCAL"
		}
	case "RESET", "DISCARD", "DEALLOCATE", "LISTEN", "UNLISTEN", "LOAD":
		return first + " acts on the session, which a pooler shares with others; leave it out"
	case "VACUUM":
		return "VACUUM " + directive
	case "COPY":
		return forbiddenCopy(w)
	case "ALTER":
		if second == "SYSTEM" {
			return "ALTER SYSTEM changes the whole server; that is the DBA's"
		}
		if second == "TABLE" && slices.Contains(w, "DETACH") && slices.Contains(w, "CONCURRENTLY") {
			return "DETACH PARTITION CONCURRENTLY " + alone + "; leave CONCURRENTLY out"
		}
	case "CREATE", "DROP":
		return forbiddenObject(first, w, alone, directive)
	case "REINDEX":
		if slices.ContainsFunc(w, func(s string) bool { return s == "CONCURRENTLY" || s == "DATABASE" || s == "SYSTEM" || s == "SCHEMA" }) {
			return "this form of REINDEX " + directive
		}
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

func forbiddenObject(verb string, w []string, alone, directive string) string {
	switch w = w[1:]; {
	case len(w) == 0:
	case w[0] == "DATABASE" || w[0] == "TABLESPACE":
		return verb + " " + w[0] + " acts on the whole server and cannot be part of a migration"
	case w[0] == "SUBSCRIPTION":
		return verb + " SUBSCRIPTION " + alone
	case slices.Contains(w[:min(3, len(w))], "INDEX") && slices.Contains(w[:min(4, len(w))], "CONCURRENTLY"):
		return verb + " INDEX CONCURRENTLY " + directive
	}
	return ""
}
