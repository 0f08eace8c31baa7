package migrate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// An answer is what one query of a flight brought back: the first column of its
// rows, or the server's error.
type answer struct {
	values [][]byte
	err    *pgconn.PgError
}

// into unmarshals the single JSON document that every question here asks for.
func (a answer) into(target any) error {
	if a.err != nil {
		return a.err
	}
	if len(a.values) != 1 {
		return fmt.Errorf("read the database's state: %d rows instead of one", len(a.values))
	}
	return json.Unmarshal(a.values[0], target)
}

// flight sends several simple queries before it reads the first answer, so that
// all of them together cost one round trip. They are separate messages, so that
// one which fails (a ledger that does not exist) leaves the others alone. The
// error is the connection's; the server's own are in the answers.
func flight(ctx context.Context, conn *pgconn.PgConn, queries ...string) ([]answer, error) {
	for _, q := range queries {
		conn.Frontend().SendQuery(&pgproto3.Query{String: q})
	}
	if err := conn.Frontend().Flush(); err != nil {
		abandon(ctx, conn)
		return nil, &lostError{err}
	}
	answers := make([]answer, len(queries))
	for i := 0; i < len(queries); {
		msg, err := conn.ReceiveMessage(ctx)
		if err != nil {
			abandon(ctx, conn)
			return nil, lost(ctx, err)
		}
		switch msg := msg.(type) {
		case *pgproto3.DataRow:
			answers[i].values = append(answers[i].values, append([]byte(nil), msg.Values[0]...))
		case *pgproto3.ErrorResponse:
			answers[i].err = pgconn.ErrorResponseToPgError(msg)
		case *pgproto3.ReadyForQuery:
			i++
		}
	}
	return answers, nil
}

// abandon closes a connection on which answers are still to come: whoever used it
// next, of a pool for instance, would take them for the answers to other questions.
func abandon(ctx context.Context, conn *pgconn.PgConn) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cancel() // it is not to wait for anything
	_ = conn.Close(ctx)
}

// A lostError is a connection that broke: what was in flight has an unknown
// outcome, and only another look at the ledger can tell.
type lostError struct{ err error }

func (e *lostError) Error() string { return "connection to the database lost: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// lost names the reason when it was our own context that broke a connection.
func lost(ctx context.Context, err error) error {
	return &lostError{cmp.Or(context.Cause(ctx), err)}
}
