package database

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A tracer is called by pgx around everything that the pool does.
type tracer struct{ db *DB }

var (
	_ pgx.QueryTracer       = (*tracer)(nil)
	_ pgx.BatchTracer       = (*tracer)(nil)
	_ pgx.PrepareTracer     = (*tracer)(nil)
	_ pgx.ConnectTracer     = (*tracer)(nil)
	_ pgxpool.AcquireTracer = (*tracer)(nil)
)

type (
	workKey struct{} // of something that began in a context
	waitKey struct{}
	dialKey struct{} // of a connection that is wanted
)

// A wait is for a connection.
type wait struct {
	began  time.Time
	cancel context.CancelFunc
}

// TraceAcquireStart bounds the wait.
func (t *tracer) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool,
	_ pgxpool.TraceAcquireStartData,
) context.Context {
	ctx, cancel := context.WithTimeout(ctx, AcquireWait)
	w := &wait{time.Now(), cancel}
	t.db.mu.Lock()
	defer t.db.mu.Unlock()
	t.db.waiting[w] = w.began
	return context.WithValue(ctx, waitKey{}, w)
}

// TraceAcquireEnd suspects a server of which no connection was to be had in time, and that answered no query in that
// time either.
func (t *tracer) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	w, _ := ctx.Value(waitKey{}).(*wait)
	inTime := ctx.Err() == nil
	w.cancel()
	db := t.db
	db.mu.Lock()
	defer db.mu.Unlock()
	delete(db.waiting, w)
	switch {
	case data.Err == nil:
		db.acquired = time.Now()
	case !inTime && time.Since(w.began) >= AcquireWait:
		db.gaveUp = time.Now()
		if db.answered.Before(w.began) {
			db.suspect(data.Err, slow)
		}
	}
}

func (t *tracer) begin(ctx context.Context) context.Context {
	key := new(byte)
	t.db.mu.Lock()
	defer t.db.mu.Unlock()
	t.db.working[key] = time.Now()
	return context.WithValue(ctx, workKey{}, key)
}

func (t *tracer) end(ctx context.Context, err error) {
	db := t.db
	db.mu.Lock()
	defer db.mu.Unlock()
	delete(db.working, ctx.Value(workKey{}))
	refusal, answered := errors.AsType[*pgconn.PgError](err)
	if err == nil || errors.Is(err, pgx.ErrNoRows) || answered && !isFatal(refusal) {
		db.answered = time.Now()
	}
	switch KindOf(err) {
	case Away, ReadOnly:
		db.suspect(err, lost)
	case Busy, Lacking:
		db.complain(refusal)
	default:
	}
}

// TraceQueryStart implements pgx.QueryTracer.
func (t *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return t.begin(ctx)
}

// TraceQueryEnd implements pgx.QueryTracer.
func (t *tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	t.end(ctx, data.Err)
}

// TracePrepareStart implements pgx.PrepareTracer.
func (t *tracer) TracePrepareStart(ctx context.Context, _ *pgx.Conn, _ pgx.TracePrepareStartData) context.Context {
	return t.begin(ctx)
}

// TracePrepareEnd implements pgx.PrepareTracer.
func (t *tracer) TracePrepareEnd(ctx context.Context, _ *pgx.Conn, data pgx.TracePrepareEndData) {
	t.end(ctx, data.Err)
}

// TraceBatchStart implements pgx.BatchTracer.
func (t *tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return t.begin(ctx)
}

// TraceBatchQuery implements pgx.BatchTracer.
func (t *tracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (t *tracer) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	t.end(ctx, data.Err)
}

// TraceConnectStart implements pgx.ConnectTracer.
func (t *tracer) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return context.WithValue(ctx, dialKey{}, time.Now())
}

// TraceConnectEnd suspects a server that accepts no connection, whatever it says, unless it knows the user and does not
// want them: more attempts would not help.
func (t *tracer) TraceConnectEnd(ctx context.Context, data pgx.TraceConnectEndData) {
	if data.Err == nil || ctx.Err() != nil {
		return
	}
	if kind := KindOf(data.Err); kind == Refused || kind == Unprivileged {
		return
	}
	t.db.mu.Lock()
	defer t.db.mu.Unlock()
	t.db.suspect(data.Err, lost)
}
