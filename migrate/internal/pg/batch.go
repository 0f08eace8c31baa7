// Package pg is one connection to PostgreSQL: many questions in one round trip, errors by class, and what a session is
// busy with.
package pg

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// A Questions is a batch of questions that share one round trip; see [Batch].
type Questions struct {
	conn    *pgconn.PgConn
	answers []*Answer
}

// An Answer is what one question of a batch brought back. It is filled when the batch has run.
type Answer struct {
	Rows [][]byte // the first column
	Err  error    // the server's, or that of decoding

	question string
	target   any
}

// NewBatch begins a batch.
func NewBatch(conn *pgconn.PgConn) *Questions { return &Questions{conn: conn} }

// Ask adds a question, and the value into which the one JSON document of its answer is decoded; nil where the rows are
// wanted as they are.
func (b *Questions) Ask(question string, target any) *Answer {
	a := &Answer{question: question, target: target}
	b.answers = append(b.answers, a)
	return a
}

// Run asks all questions. Its error is the connection's; the others are in the answers.
func (b *Questions) Run(ctx context.Context) error {
	var questions []string
	for _, a := range b.answers {
		questions = append(questions, a.question)
	}
	results, err := Batch(ctx, b.conn, questions...)
	if err != nil {
		return err
	}
	for i, a := range b.answers {
		a.Rows = results[i].Values
		if a.Err = results[i].Failure(); a.Err == nil && a.target != nil {
			a.Err = results[i].Decode(a.target)
		}
	}
	return nil
}

// Ask is a batch of one question.
func Ask(ctx context.Context, conn *pgconn.PgConn, question string, target any) error {
	b := NewBatch(conn)
	a := b.Ask(question, target)
	if err := b.Run(ctx); err != nil {
		return err
	}
	return a.Err
}

// A Result is what one query of a flight brought back: the first column of its
// rows, or the server's error.
type Result struct {
	Values [][]byte
	Err    *pgconn.PgError
	asked  string // the question
	me     string // who asked, as the server calls it
}

// Decode unmarshals the single JSON document that every question here asks for.
func (a Result) Decode(target any) error {
	if a.Err != nil {
		return a.Failure()
	}
	if len(a.Values) != 1 {
		return fmt.Errorf("read the database's state: %d rows instead of one", len(a.Values))
	}
	return json.Unmarshal(a.Values[0], target)
}

// AnswerLimit is how long all answers of a flight may take together. A server that is
// there answers within a second, after at most mostPatience of waiting for a lock; one that
// is not, or a pooler that is paused, may stay silent for ever.
const AnswerLimit = 30 * time.Second

// A Meter limits how long the answers of a batch may take, and counts the time for which nothing came
// of one.
type Meter struct {
	Limit  func() time.Duration
	Left   func() time.Duration // of all that may be waited; nil where nothing limits it
	Waited func(time.Duration)  // nil where nothing counts it
}

// Left is how much of the time to wait is left in ctx; the largest value where nothing limits it.
func Left(ctx context.Context) time.Duration {
	if m, ok := ctx.Value(meterKey{}).(Meter); ok && m.Left != nil {
		return m.Left()
	}
	return math.MaxInt64
}

type meterKey struct{}

// Metered gives each flight a limit that is shorter than answerLimit.
func Metered(ctx context.Context, m Meter) context.Context {
	return context.WithValue(ctx, meterKey{}, m)
}

func meterOf(ctx context.Context) Meter {
	if m, ok := ctx.Value(meterKey{}).(Meter); ok && m.Limit != nil {
		return m
	}
	return Meter{Limit: func() time.Duration { return AnswerLimit }}
}

// count counts the time since a flight began, if it was lost, or met a lock.
func (m Meter) count(began time.Time, answers []Result, err error) {
	locked := slices.ContainsFunc(answers, func(a Result) bool { return a.Err != nil && IsDisturbed(a.Err) })
	if m.Waited != nil && (err != nil || locked) {
		m.Waited(time.Since(began))
	}
}

var (
	errNotOurs = errors.New("an answer to another question arrived, as a pooler passes it on when its " +
		"client is gone")
	errUnfinished = errors.New("the transaction of the questions did not end")
)

// A SilentError is that no answer came for so long.
type SilentError time.Duration

func (e SilentError) Error() string { return fmt.Sprintf("no answer for %s", time.Duration(e)) }

// Batch asks several questions, which only read, before it hears the first answer, so
// that all of them together cost one round trip. They are messages of one read-only
// transaction, each from the same savepoint, so that one which fails (a ledger that does
// not exist) leaves the others alone, and SET LOCAL in a question is for that question.
// Inside a transaction that is open they leave it as it was.
//
// One transaction, because of poolers: PgBouncer before 1.21 gives the server connection
// of a client that vanishes between two transactions to the next client, which then hears
// the answers that are still to come. In a transaction it closes it. Each answer begins
// with a mark of this flight and its number; another one is for another client, and means
// that the connection is of no use any more.
//
// The error is the connection's; the server's own are in the answers.
func Batch(ctx context.Context, conn *pgconn.PgConn, questions ...string) (answers []Result, err error) {
	meter, started := meterOf(ctx), time.Now()
	defer func() { meter.count(started, answers, err) }()
	limit := meter.Limit()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, SilentError(limit))
	defer cancel()
	began := conn.TxStatus()
	mark := rand.Text()
	messages := flightMessages(mark, began == 'I', questions)
	for _, message := range messages {
		conn.Frontend().SendQuery(&pgproto3.Query{String: message})
	}
	if err := conn.Frontend().Flush(); err != nil {
		err = parting(ctx, conn, err)
		Discard(ctx, conn)
		return nil, &ConnLostError{err}
	}
	answers = make([]Result, 0, len(messages))
	for i := range messages {
		a, err := receive(ctx, conn)
		if err == nil {
			err = a.unmark(mark + strconv.Itoa(i))
		}
		if err != nil {
			Discard(ctx, conn)
			return nil, lost(ctx, err)
		}
		answers = append(answers, a)
	}
	if conn.TxStatus() != began {
		Discard(ctx, conn)
		return nil, &ConnLostError{errUnfinished}
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
func (a *Result) unmark(mark string) error {
	if len(a.Values) == 0 || string(a.Values[0]) != mark {
		if a.Err != nil { // at what comes before the mark
			return a.Err
		}
		return errNotOurs
	}
	a.Values = slices.Delete(a.Values, 0, 1)
	return nil
}

// Exec sends one message, which may write, and waits for its answer for as long as ctx lets
// it. Nothing is sent ahead: each message may be a transaction of its own.
func Exec(ctx context.Context, conn *pgconn.PgConn, sql string) (Result, error) {
	conn.Frontend().SendQuery(&pgproto3.Query{String: sql})
	err := conn.Frontend().Flush()
	if err != nil {
		err = parting(ctx, conn, err)
		Discard(ctx, conn)
		return Result{}, &ConnLostError{err}
	}
	a, err := receive(ctx, conn)
	if err != nil {
		Discard(ctx, conn)
		return Result{}, lost(ctx, err)
	}
	a.asked, a.me = sql, conn.ParameterStatus("session_authorization")
	return a, nil
}

// Do is Exec for a statement whose answer is only whether it succeeded.
func Do(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	a, err := Exec(ctx, conn, sql)
	if err == nil && a.Err != nil {
		err = a.Err
	}
	return err
}

// parting is what the server said before it closed a connection to which nothing can be written any more: that it was
// idle for too long, for instance. It is err when it said nothing.
func parting(ctx context.Context, conn *pgconn.PgConn, err error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, said := receive(ctx, conn)
	if SQLState(said) != "" {
		return said
	}
	return err
}

// receive reads the answer to one message.
func receive(ctx context.Context, conn *pgconn.PgConn) (a Result, err error) {
	for {
		msg, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return a, err
		}
		switch msg := msg.(type) {
		case *pgproto3.DataRow:
			a.Values = append(a.Values, slices.Clone(msg.Values[0]))
		case *pgproto3.ErrorResponse:
			a.Err = pgconn.ErrorResponseToPgError(msg)
		case *pgproto3.ReadyForQuery:
			return a, nil
		}
	}
}

// Discard closes a connection on which answers are still to come: the next user,
// of a pool for instance, would take them for the answers to other questions.
func Discard(ctx context.Context, conn *pgconn.PgConn) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cancel() // it is not to wait for anything
	_ = conn.Close(ctx)
}

// A ConnLostError is a connection that broke: what was in flight has an unknown
// outcome, and only the ledger shows it.
type ConnLostError struct{ Err error }

func (e *ConnLostError) Error() string {
	return "connection to the database lost: " + Reason(e.Err).Error()
}

func (e *ConnLostError) Unwrap() error { return e.Err }

// lost names the reason when it was our own context that broke a connection.
func lost(ctx context.Context, err error) error {
	return &ConnLostError{cmp.Or(context.Cause(ctx), err)}
}

// Untimed goes before a question, in one message and so in one transaction with it: a
// timeout that a DBA set for the application's queries is not meant for ours.
const Untimed = "SET LOCAL statement_timeout = 0; SET LOCAL exit_on_error = off; "
