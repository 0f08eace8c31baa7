package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// Snapshot describes a schema as a text for people; inside a transaction, with that transaction's
// settings. Any role that may connect will do and gets the same text; it is the
// same on every version of PostgreSQL and does not depend on the schema's name.
//
// Each object has a line at the margin, and below it one indented line for each
// fact about it, in an order that keeps the difference between two texts small. It
// shows everything but comments, owners, privileges, the ledger and the members of
// extensions; of rare kinds, such as operators, it shows only that they are there.
// A schema that does not exist, or holds nothing, is the empty text.
func Snapshot(ctx context.Context, conn *pgx.Conn, schema string) (string, error) {
	m := Migrator{Schema: schema}
	return m.snapshot(ctx, conn.PgConn())
}

// Snapshots brings a blank database to each version of the bundle, one file at a
// time, and returns the text after each: what [Bundle.WithSnapshots] wants to read
// from files. The service's role is left out of it.
func Snapshots(ctx context.Context, m *Migrator, connString string) (texts []string, err error) {
	alone := *m
	alone.Role = privilege.Role{}
	begun := false
	err = alone.withConnection(ctx, connString, true, func(ctx context.Context, r *run, conn *pgconn.PgConn) error {
		defer r.silence("its answers")()
		status, err := r.status(ctx, conn)
		switch {
		case err != nil:
			return err
		case status.State != Blank && !begun:
			return fmt.Errorf("the schema %q holds something already; snapshots are made in a blank database, which "+
				"is brought to each version in turn. Name another one", m.Schema)
		}
		begun = true
		for i := len(texts); i < m.Bundle.Version(); i++ { // after a connection was lost, where it was
			r.Bundle = m.Bundle.UpTo(i + 1)
			if err := r.steps(ctx, conn); err != nil {
				return err
			}
			text, err := r.snapshot(ctx, conn)
			if err != nil {
				return err
			}
			texts = append(texts, text)
		}
		return nil
	})
	return texts, err
}

func (m *Migrator) snapshot(ctx context.Context, conn *pgconn.PgConn) (string, error) {
	return m.tell(ctx, conn, snapshot.Question)
}

// tell asks one question about the schema.
func (m *Migrator) tell(ctx context.Context, conn *pgconn.PgConn, ask question) (string, error) {
	told, err := m.describe(ctx, conn, ask)
	if err != nil {
		return "", err
	}
	return told[0].text, told[0].err
}

// A question is SQL about a schema; its arguments are SQL literals.
type question func(schema, ledger string) string

// A told is the answer to a question, or the server's error.
type told struct {
	text string
	err  error
}

// describe asks each question about the schema, all in one flight.
func (m *Migrator) describe(ctx context.Context, conn *pgconn.PgConn, questions ...question) (all []told, err error) {
	all, _, err = m.describeAnd(ctx, conn, questions)
	return all, err
}

// describeAt is describe for a schema whose ledger was read before. It reads that again, after
// the schema: a ledger that has not moved between two looks had nothing applied in between.
// It also returns the objects whose owner was changed.
func (m *Migrator) describeAt(ctx context.Context, conn *pgconn.PgConn, s seen, questions ...question) (all []told,
	strays []snapshot.Difference, err error,
) {
	all, rest, err := m.describeAnd(ctx, conn, questions,
		m.patiently(ctx, 1)+ledger.HeadQuery(m.Schema, m.Bundle.Version()), pg.Untimed+snapshot.Qualified+m.askOwners())
	if err == nil {
		err = rest[1].Decode(&strays)
	}
	if err != nil {
		return nil, nil, err
	}
	now, err := ledger.ReadHead(rest[0])
	switch {
	case pg.SQLState(err) == pg.InsufficientPrivilege, s.Ledger == nil && now == nil:
		return all, strays, nil
	case err != nil:
		return nil, nil, err
	case s.Ledger == nil || now == nil || !s.Ledger.Same(now):
		return nil, nil, &retryError{err: errRaceLost, soon: true}
	}
	return all, strays, nil
}

// describeAnd asks each question about the schema and then the others, all in one flight.
func (m *Migrator) describeAnd(ctx context.Context, conn *pgconn.PgConn, questions []question,
	others ...string,
) (all []told, rest []pg.Result, err error) {
	if m.Schema == "" {
		return nil, nil, errors.New("migrate: the Migrator has no Schema")
	}
	// Deparsing takes weak locks on tables; a statement of another session that queues
	// for a strong one must not wait for a look.
	settings := pg.Untimed + snapshot.Settings +
		fmt.Sprintf("SET LOCAL lock_timeout = %d; ",
			min(orElse(m.LockTimeout, lookTimeout), lookTimeout, max(pg.Left(ctx), leastLock)).Milliseconds())
	var messages []string
	for _, question := range questions {
		messages = append(messages, settings+question(sqltext.QuoteText(m.Schema), sqltext.QuoteText(ledger.Name)))
	}
	answers, err := pg.Batch(ctx, conn, append(messages, others...)...)
	if err != nil {
		return nil, nil, err
	}
	for _, a := range answers[:len(questions)] {
		t := told{text: snapshot.Tell(a.Values, m.Schema)}
		if a.Err != nil {
			t = told{err: fmt.Errorf("read what the schema %q holds: %w", m.Schema, a.Failure())}
		}
		all = append(all, t)
	}
	return all, answers[len(questions):], nil
}

// lookTimeout is how long a look at the schema may queue for a lock on a table.
const lookTimeout = time.Second
