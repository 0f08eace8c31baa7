package migrate

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/redact"
)

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
