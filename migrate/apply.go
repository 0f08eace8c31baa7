package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
)

// window is how many messages go ahead. Through a pooler none does: PgBouncer before 1.21
// gives the answers that a client did not live to hear to the next client of that server.
func (r *run) window() int {
	if r.pooled {
		return 1
	}
	return pg.WindowMessages
}

// source has the messages for a pipeline. From time to time one of them waits for the disk.
func (r *run) source(messages []message) pg.Source {
	flushed := time.Now()
	return pg.Source{
		Messages: len(messages),
		Message: func(i int) pg.Message {
			m := &messages[i]
			if !m.flushes && time.Since(flushed) >= flushEvery {
				m.flush()
			}
			if m.flushes {
				flushed = time.Now()
			}
			return pg.Message{Before: m.before, SQL: m.sql, After: m.after, KeepRows: m.probeAt > 0}
		},
		Wrote:  func() { r.sentAt.Store(time.Now().UnixNano()) },
		Window: r.window(),
	}
}

// apply sends the messages and reads their answers, up to the first failure.
func (r *run) apply(ctx context.Context, conn *pgconn.PgConn, messages []message) error {
	failed, out, err := r.exchange(ctx, conn, messages)
	switch {
	case err != nil:
		return err
	case failed < 0 && r.pause.unconfirmed:
		return r.unconfirmed()
	case failed >= 0 && r.pause.unconfirmed && out.Err.Code == pg.QueryCanceled: // the standby was faster
		return r.settle(ctx, conn, r.unconfirmed())
	case failed < 0 && ctx.Err() != nil && r.head() < r.Bundle.Version():
		err = r.interrupted(ctx)
	case failed < 0:
		return nil
	case ctx.Err() != nil && out.Err.Code == pg.QueryCanceled: // by interrupt
		err = r.interrupted(ctx)
	default:
		err = r.failure(messages[failed], out)
	}
	err = r.settle(ctx, conn, err)
	if failed >= 0 && ctx.Err() == nil {
		err = r.blame(ctx, conn, messages[failed], out.Raw, err)
	}
	return err
}

// exchange sends the messages and reads all answers. failed is the index of the first
// that failed, -1 when none did; err is the connection's.
func (r *run) exchange(ctx context.Context, conn *pgconn.PgConn, messages []message) (failed int, out pg.Outcome,
	err error,
) {
	r.pause.lockLimit, r.pause.locked, r.pause.spent = r.lockLimit(), 0, false
	unwatch := r.watch(ctx, conn)
	p := pg.Send(conn, r.source(messages))
	finished, joined := make(chan struct{}, 1), make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(joined)
		r.interrupt(ctx, p, finished, done)
	}()
	failed, out, err = r.receiveAll(ctx, p, messages, finished)
	close(done)
	<-joined
	if why := unwatch(); why != nil && err != nil {
		err = &pg.ConnLostError{Err: why}
	}
	if failed >= 0 && r.pause.spent && out.Err.Code == pg.QueryCanceled && !messages[failed].alone() {
		out.Err = &pgconn.PgError{
			Severity: "ERROR", Code: pg.LockNotAvailable,
			Message: "canceling statement due to lock timeout",
		}
	}
	return failed, out, err
}

// receiveAll reads the answers to everything that was sent. failed is the index of
// the first message that failed, -1 when none did; err is the connection's.
func (r *run) receiveAll(ctx context.Context, p *pg.Pipeline, messages []message, finished chan<- struct{}) (failed int,
	first pg.Outcome, err error,
) {
	failed = -1
	begun := time.Now()
	for sent := range p.Sent() {
		i := sent.Index
		if failed < 0 {
			r.awaiting(messages[i])
		}
		r.answering.Store(&messages[i].sql)
		out, err := p.Receive(ctx, sent, messages[i].lead)
		if err != nil {
			last := drain(p, i)
			if failed < 0 { // otherwise the server refuses them all
				err = r.lostAt(messages[i:last+1], out, err)
			}
			return failed, first, err
		}
		switch {
		case failed >= 0: // only drained
		case out.Err != nil:
			p.Stop()
			failed, first = i, out
		default:
			r.applied(messages[i], out, time.Since(begun))
			begun = time.Now()
		}
		if ctx.Err() != nil {
			signal(finished)
		}
	}
	return failed, first, nil
}

// drain keeps more from being sent, waits until the writer has noticed, too, and returns the index of the last message
// that was sent.
func drain(p *pg.Pipeline, last int) int {
	p.Stop()
	for sent := range p.Sent() {
		last = sent.Index
	}
	return last
}

// lostAt is the error of a connection that was lost before the answer to the first of these messages had come.
func (r *run) lostAt(unanswered []message, out pg.Outcome, err error) error {
	if failure := r.exited(unanswered[0], out, err); failure != nil {
		return failure
	}
	r.doubt(unanswered...)
	return err
}

// signal sends on a channel that holds one value, if that is not there yet.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// interrupt gives the file that runs when ctx is cancelled a time of grace, and
// sees to it that the next one does not start: what was sent ahead is cancelled,
// and rolls back. done is closed when all answers are there.
func (r *run) interrupt(ctx context.Context, p *pg.Pipeline, finished <-chan struct{}, done <-chan struct{}) {
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	p.Stop()
	grace := time.NewTimer(r.Grace)
	defer grace.Stop()
	select {
	case <-done:
		return
	case <-finished:
	case <-grace.C:
	}
	// More than once, because a request that arrives between two files is lost.
	const attempts = 20
	for range attempts {
		p.Cancel(ctx)
		select {
		case <-done:
			return
		case <-time.After(250 * time.Millisecond):
		}
	}
	p.Close() // a server that does not hear: the transaction rolls back when it notices
}

// unconfirmed is the error of a start whose commits wait for a standby.
func (r *run) unconfirmed() error {
	return &BusyError{
		Waited: r.pause.waited,
		Err: fmt.Errorf("each commit waits for a synchronous standby that does not answer. "+
			"The schema is at version %d on the primary's disk; see synchronous_standby_names and "+
			"pg_stat_replication there", r.head()),
	}
}

func (r *run) interrupted(ctx context.Context) error {
	return fmt.Errorf("interrupted; the schema is at version %d, and the next start goes on from there: %w", r.head(),
		context.Cause(ctx))
}

// settle ends the aborted transaction of a failure, and makes what was applied
// before it safe on disk, so that what was said to be applied is.
func (r *run) settle(ctx context.Context, conn *pgconn.PgConn, failure error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var err error
	if conn.TxStatus() != 'I' {
		err = r.order(ctx, conn, "ROLLBACK")
	}
	if err == nil {
		err = r.flush(ctx, conn)
	}
	if _, again := errors.AsType[*retryError](failure); err != nil && !again {
		return errors.Join(failure, fmt.Errorf("and afterwards: %w", err))
	}
	return failure
}
