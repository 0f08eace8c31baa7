package migrate

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// An answer is what one query of a flight brought back: the first column of its
// rows, or the server's error.
type answer struct {
	values [][]byte
	err    *pgconn.PgError
	asked  string // the question
	me     string // who asked, as the server calls it
}

// into unmarshals the single JSON document that every question here asks for.
func (a answer) into(target any) error {
	if a.err != nil {
		return a.failure()
	}
	if len(a.values) != 1 {
		return fmt.Errorf("read the database's state: %d rows instead of one", len(a.values))
	}
	return json.Unmarshal(a.values[0], target)
}

// answerLimit is how long all answers of a flight may take together. A server that is
// there answers within a second, after at most mostPatience of waiting for a lock; one that
// is not, or a pooler that is paused, may stay silent for ever.
const answerLimit = 30 * time.Second

// A meter says how long the answers of a flight may take, and counts the time for which nothing came
// of one.
type meter struct {
	limit  func() time.Duration
	waited func(time.Duration) // nil where nobody counts
}

type meterKey struct{}

// metered gives each flight a limit that is shorter than answerLimit.
func metered(ctx context.Context, m meter) context.Context {
	return context.WithValue(ctx, meterKey{}, m)
}

func meterOf(ctx context.Context) meter {
	if m, ok := ctx.Value(meterKey{}).(meter); ok && m.limit != nil {
		return m
	}
	return meter{limit: func() time.Duration { return answerLimit }}
}

// count counts the time since a flight began, if it was lost, or met a lock.
func (m meter) count(began time.Time, answers []answer, err error) {
	locked := slices.ContainsFunc(answers, func(a answer) bool { return a.err != nil && disturbed(a.err) })
	if m.waited != nil && (err != nil || locked) {
		m.waited(time.Since(began))
	}
}

var (
	errNotOurs = errors.New("an answer to another question arrived, as a pooler passes it on when its " +
		"client is gone")
	errUnfinished = errors.New("the transaction of the questions did not end")
)

// A silentError is that no answer came for so long.
type silentError time.Duration

func (e silentError) Error() string { return fmt.Sprintf("no answer for %s", time.Duration(e)) }

// flight asks several questions, which only read, before it hears the first answer, so
// that all of them together cost one round trip. They are messages of one read-only
// transaction, each from the same savepoint, so that one which fails (a ledger that does
// not exist) leaves the others alone, and SET LOCAL in a question is for that question.
// Inside a transaction that is open they leave it as it was.
//
// One transaction, because of poolers: PgBouncer before 1.21 gives the server connection
// of a client that vanishes between two transactions to the next client, which then hears
// the answers that are still to come. In a transaction it closes it. Each answer begins
// with a mark of this flight and its number; another one is somebody else's, and means
// that the connection is of no use any more.
//
// The error is the connection's; the server's own are in the answers.
func flight(ctx context.Context, conn *pgconn.PgConn, questions ...string) (answers []answer, err error) {
	meter, started := meterOf(ctx), time.Now()
	defer func() { meter.count(started, answers, err) }()
	limit := meter.limit()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, silentError(limit))
	defer cancel()
	began := conn.TxStatus()
	mark := rand.Text()
	messages := flightMessages(mark, began == 'I', questions)
	for _, message := range messages {
		conn.Frontend().SendQuery(&pgproto3.Query{String: message})
	}
	if err := conn.Frontend().Flush(); err != nil {
		err = parting(ctx, conn, err)
		abandon(ctx, conn)
		return nil, &lostError{err}
	}
	answers = make([]answer, 0, len(messages))
	for i := range messages {
		a, err := receive(ctx, conn)
		if err == nil {
			err = a.unmark(mark + strconv.Itoa(i))
		}
		if err != nil {
			abandon(ctx, conn)
			return nil, lost(ctx, err)
		}
		answers = append(answers, a)
	}
	if conn.TxStatus() != began {
		abandon(ctx, conn)
		return nil, &lostError{errUnfinished}
	}
	for i := range questions {
		answers[i].asked, answers[i].me = questions[i], conn.ParameterStatus("session_authorization")
	}
	return answers[:len(questions)], nil
}

// flightMessages puts marks and a transaction around questions. A single question outside
// of a transaction is one message and so a transaction already.
func flightMessages(mark string, outside bool, questions []string) []string {
	marked := func(i int) string { return "SELECT '" + mark + strconv.Itoa(i) + "'; " }
	// A DBA's search_path must not decide which functions and operators a privileged role calls.
	asked := func(i int) string { return marked(i) + "SET LOCAL search_path = pg_catalog, pg_temp; " + questions[i] }
	if outside && len(questions) == 1 {
		return []string{asked(0)}
	}
	first, last := "SAVEPOINT question; ", "RELEASE question"
	if outside {
		first, last = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; "+first, "COMMIT"
	}
	const again = "ROLLBACK TO question; "
	messages := []string{first + asked(0)}
	for i := range questions[1:] {
		messages = append(messages, again+asked(i+1))
	}
	return append(messages, again+marked(len(questions))+last)
}

// unmark takes the mark away with which an answer begins.
func (a *answer) unmark(mark string) error {
	if len(a.values) == 0 || string(a.values[0]) != mark {
		if a.err != nil { // at what comes before the mark
			return a.err
		}
		return errNotOurs
	}
	a.values = slices.Delete(a.values, 0, 1)
	return nil
}

// exec sends one message, which may write, and waits for its answer for as long as ctx lets
// it. Nothing is sent ahead: each message may be a transaction of its own.
func exec(ctx context.Context, conn *pgconn.PgConn, sql string) (answer, error) {
	conn.Frontend().SendQuery(&pgproto3.Query{String: sql})
	err := conn.Frontend().Flush()
	if err != nil {
		err = parting(ctx, conn, err)
		abandon(ctx, conn)
		return answer{}, &lostError{err}
	}
	a, err := receive(ctx, conn)
	if err != nil {
		abandon(ctx, conn)
		return answer{}, lost(ctx, err)
	}
	a.asked, a.me = sql, conn.ParameterStatus("session_authorization")
	return a, nil
}

// parting is what the server said before it closed a connection to which nothing can be written any more: that it was
// idle for too long, for instance. It is err when it said nothing.
func parting(ctx context.Context, conn *pgconn.PgConn, err error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, said := receive(ctx, conn)
	if sqlState(said) != "" {
		return said
	}
	return err
}

// receive reads the answer to one message.
func receive(ctx context.Context, conn *pgconn.PgConn) (a answer, err error) {
	for {
		msg, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return a, err
		}
		switch msg := msg.(type) {
		case *pgproto3.DataRow:
			a.values = append(a.values, slices.Clone(msg.Values[0]))
		case *pgproto3.ErrorResponse:
			a.err = pgconn.ErrorResponseToPgError(msg)
		case *pgproto3.ReadyForQuery:
			return a, nil
		}
	}
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

func (e *lostError) Error() string {
	return "connection to the database lost: " + reason(e.err).Error()
}
func (e *lostError) Unwrap() error { return e.err }

// lost names the reason when it was our own context that broke a connection.
func lost(ctx context.Context, err error) error {
	return &lostError{cmp.Or(context.Cause(ctx), err)}
}
