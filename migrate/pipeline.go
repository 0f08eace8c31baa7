package migrate

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/redact"
)

// The window bounds what is under way at once: enough to hide the round trips
// of a slow network, little enough that neither end has to hold much.
const (
	windowMessages = 64
	windowBytes    = 1 << 20
)

// window is how many messages go ahead. Through a pooler none does: PgBouncer before 1.21
// gives the answers that a client did not live to hear to the next client of that server.
func (r *run) window() int {
	if r.pooled {
		return 1
	}
	return windowMessages
}

// A pipeline writes messages ahead of their answers. It is safe because each
// message begins its own transaction: when one fails, its aborted transaction (or,
// when it failed before BEGIN, the missing ledger row before theirs) makes all
// later ones fail, until the reader has drained them.
type pipeline struct {
	writing
	conn   *pgconn.PgConn
	window int      // how many messages may be under way
	sent   chan int // the messages that are under way, by index; closed behind the last one

	mu       sync.Mutex
	room     sync.Cond
	messages int
	bytes    int
	stopped  bool
}

// writing notes when something was written last, for a large file takes its time on a slow
// network.
type writing struct {
	net.Conn
	last *atomic.Int64 // in nanoseconds of Unix time
}

func (w *writing) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.last.Store(time.Now().UnixNano())
	return n, err
}

func startPipeline(conn *pgconn.PgConn, last *atomic.Int64, window int, messages []message) *pipeline {
	p := &pipeline{
		writing: writing{Conn: conn.Conn(), last: last}, conn: conn, window: window,
		sent: make(chan int, len(messages)),
	}
	p.room.L = &p.mu
	go p.write(messages)
	return p
}

// write runs beside the reader: if the two took turns, a server that cannot get
// rid of its answers and a client that cannot get rid of its questions would wait
// for each other.
func (p *pipeline) write(messages []message) {
	defer close(p.sent)
	out := bufio.NewWriterSize(&p.writing, 64<<10)
	flushed := time.Now()
	for i := range messages {
		if !messages[i].flushes && time.Since(flushed) >= flushEvery {
			messages[i].flush()
		}
		if messages[i].flushes {
			flushed = time.Now()
		}
		if p.full(messages[i].size()) && out.Flush() != nil {
			break
		}
		if !p.take(messages[i].size()) {
			break
		}
		p.sent <- i
		if writeQuery(out, messages[i]) != nil {
			break
		}
	}
	if out.Flush() != nil {
		_ = p.conn.Conn().Close() // so that the reader learns of it, too
	}
}

// writeQuery writes one Query message (PostgreSQL documentation, "Message
// Formats") without first gluing its parts together: a file may have 50 MB.
func writeQuery(out *bufio.Writer, m message) error {
	header := binary.BigEndian.AppendUint32([]byte{'Q'}, uint32(4+m.size()+1)) //nolint:gosec // Load refuses files that do not fit
	_, err := out.Write(header)
	for _, part := range []string{m.before, m.sql, m.after} {
		// In pieces, because a Writer would hand a long string on as one copy.
		for ; err == nil && part != ""; part = part[min(len(part), out.Size()):] {
			_, err = out.WriteString(part[:min(len(part), out.Size())])
		}
	}
	if err != nil {
		return err
	}
	return out.WriteByte(0)
}

func (p *pipeline) full(size int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.noRoom(size)
}

// noRoom lets one message through however large it is.
func (p *pipeline) noRoom(size int) bool {
	return p.messages > 0 && (p.messages >= p.window || p.bytes+size > windowBytes)
}

// take waits for room and reports false when nothing more is to be sent.
func (p *pipeline) take(size int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.stopped && p.noRoom(size) {
		p.room.Wait()
	}
	if p.stopped {
		return false
	}
	p.messages++
	p.bytes += size
	return true
}

func (p *pipeline) answered(size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages--
	p.bytes -= size
	p.room.Signal()
}

func (p *pipeline) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.room.Signal()
}

// An outcome is how the server answered one message.
type outcome struct {
	err       *pgconn.PgError
	raw       *pgconn.PgError // err before values were taken out of it, to find out who is to blame; not to be shown
	completed int             // statements that succeeded before err
	claim     string          // what the server said of the statement that puts the row into the ledger
}

// read waits for the whole answer to one message. It does not end with the
// caller's context: interrupt ends a file by asking the server, so that the
// outcome is known.
func (p *pipeline) read(ctx context.Context, m message) (outcome, error) {
	ctx = context.WithoutCancel(ctx)
	var o outcome
	for {
		msg, err := p.conn.ReceiveMessage(ctx)
		if err != nil {
			return o, &pg.ConnLostError{Err: err}
		}
		switch msg := msg.(type) {
		case *pgproto3.CommandComplete:
			if o.completed++; o.completed == m.lead {
				o.claim = string(msg.CommandTag)
			}
		case *pgproto3.EmptyQueryResponse:
			o.completed++
		case *pgproto3.ErrorResponse:
			if o.err == nil {
				o.raw = pgconn.ErrorResponseToPgError(msg)
				o.err = redact.Server(o.raw, m.sql) // the one place where errors of files come in
			}
		case *pgproto3.ReadyForQuery:
			return o, nil
		}
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
	case failed >= 0 && r.pause.unconfirmed && out.err.Code == pg.QueryCanceled: // the standby was faster
		return r.settle(ctx, conn, r.unconfirmed())
	case failed < 0 && ctx.Err() != nil && r.head() < r.Bundle.Version():
		err = r.interrupted(ctx)
	case failed < 0:
		return nil
	case ctx.Err() != nil && out.err.Code == pg.QueryCanceled: // by interrupt
		err = r.interrupted(ctx)
	default:
		err = r.failure(messages[failed], out)
	}
	err = r.settle(ctx, conn, err)
	if failed >= 0 && ctx.Err() == nil {
		err = r.blame(ctx, conn, messages[failed], out.raw, err)
	}
	return err
}

// exchange sends the messages and reads all answers. failed is the index of the first
// that failed, -1 when none did; err is the connection's.
func (r *run) exchange(ctx context.Context, conn *pgconn.PgConn, messages []message) (failed int, out outcome,
	err error,
) {
	r.pause.lockLimit, r.pause.locked, r.pause.spent = r.lockLimit(), 0, false
	unwatch := r.watch(ctx, conn)
	p := startPipeline(conn, &r.sentAt, r.window(), messages)
	finished, joined := make(chan struct{}, 1), make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(joined)
		r.interrupt(ctx, p, finished, done)
	}()
	failed, out, err = r.readAll(ctx, p, messages, finished)
	close(done)
	<-joined
	if why := unwatch(); why != nil && err != nil {
		err = &pg.ConnLostError{Err: why}
	}
	if failed >= 0 && r.pause.spent && out.err.Code == pg.QueryCanceled && !messages[failed].alone() {
		out.err = &pgconn.PgError{
			Severity: "ERROR", Code: pg.LockNotAvailable,
			Message: "canceling statement due to lock timeout",
		}
	}
	return failed, out, err
}

// readAll reads the answers to everything that was sent. failed is the index of
// the first message that failed, -1 when none did; err is the connection's.
func (r *run) readAll(ctx context.Context, p *pipeline, messages []message, finished chan<- struct{}) (failed int,
	first outcome, err error,
) {
	failed = -1
	begun := time.Now()
	for i := range p.sent {
		if failed < 0 {
			r.awaiting(messages[i])
		}
		r.source.Store(&messages[i].sql)
		out, err := p.read(ctx, messages[i])
		if err != nil {
			p.stop()
			last := i
			for last = range p.sent { // until the writer has noticed, too
			}
			if failed >= 0 { // the server refuses them all
				return failed, first, err
			}
			if failure := r.exited(messages[i], out, err); failure != nil {
				return failed, first, failure
			}
			r.doubt(messages[i : last+1]...)
			return failed, first, err
		}
		p.answered(messages[i].size())
		switch {
		case failed >= 0: // only drained
		case out.err != nil:
			p.stop()
			failed, first = i, out
		default:
			r.applied(messages[i], time.Since(begun))
			begun = time.Now()
		}
		if ctx.Err() != nil {
			select {
			case finished <- struct{}{}:
			default:
			}
		}
	}
	return failed, first, nil
}

// interrupt gives the file that runs when ctx is cancelled a time of grace, and
// sees to it that the next one does not start: what was sent ahead is cancelled,
// and rolls back. done is closed when all answers are there.
func (r *run) interrupt(ctx context.Context, p *pipeline, finished <-chan struct{}, done <-chan struct{}) {
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	p.stop()
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
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		_ = p.conn.CancelRequest(limited) // tried again below
		cancel()
		select {
		case <-done:
			return
		case <-time.After(250 * time.Millisecond):
		}
	}
	_ = p.conn.Conn().Close() // a server that does not hear: the transaction rolls back when it notices
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
