package database

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	confirmIn  = 3 * time.Second  // a query or a COMMIT that takes longer is looked into
	confirmFor = 10 * time.Second // an attempt to have a change confirmed, before it is cancelled
	askedEvery = 5 * time.Second  // whether what takes long waits for a standby
)

// An UnconfirmedError means that the server answers, and confirms no change: each COMMIT waits for a synchronous
// standby.
type UnconfirmedError struct{ Since time.Time }

func (e *UnconfirmedError) Error() string {
	return "the database confirms no changes: each COMMIT waits for a synchronous standby that does not answer"
}

// Changes returns an *UnconfirmedError while it is known that a change would wait for a standby that is missing. What
// only reads is not affected.
func (db *DB) Changes() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.unconfirmed == nil {
		return nil
	}
	return db.unconfirmed
}

// watchCommits looks into what takes long. db.mu is held.
func (db *DB) watchCommits(ctx context.Context) {
	if db.confirming || db.outage != nil || time.Since(db.asked) < askedEvery {
		return
	}
	for _, began := range db.working {
		if time.Since(began) > confirmIn {
			db.confirming = true
			go db.confirm(ctx)
			return
		}
	}
}

// confirm asks what our sessions wait for, and when that is a standby, tries until a change is confirmed.
func (db *DB) confirm(ctx context.Context) {
	waits, err := db.waitsForStandby(ctx)
	db.mu.Lock()
	db.asked = time.Now()
	if err != nil || !waits {
		db.confirming = false
		db.mu.Unlock()
		return
	}
	began := time.Now()
	db.unconfirmed = &UnconfirmedError{began}
	db.mu.Unlock()
	db.log.Error("each COMMIT waits for a synchronous standby (wait event SyncRep): changes are answered with 503 "+
		"until one confirms them; "+
		"see synchronous_standby_names and pg_stat_replication on the server", "host", db.hosts.bestName())
	for !db.confirmed(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery):
		}
	}
	db.mu.Lock()
	db.unconfirmed, db.confirming, db.asked = nil, false, time.Now()
	db.mu.Unlock()
	db.log.Info("the database confirms changes again", "after", time.Since(began).Round(time.Millisecond))
}

// aside is a connection that is not of the pool.
func (db *DB) aside(ctx context.Context) (*pgx.Conn, error) {
	config := db.hosts.config.Copy()
	db.hosts.order(config)
	return pgx.ConnectConfig(context.WithValue(ctx, dialKey{}, true), config)
}

// waitsForStandby asks about the sessions of our role, which is all that the server shows.
func (db *DB) waitsForStandby(ctx context.Context) (waits bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	conn, err := db.aside(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close(ctx) }()
	err = conn.QueryRow(ctx, `
		SELECT EXISTS (
			SELECT FROM pg_catalog.pg_stat_activity WHERE usename = current_user AND wait_event = 'SyncRep')`,
		pgx.QueryExecModeExec).Scan(&waits)
	return waits, err
}

// confirmed makes a change that leaves nothing, and reports whether the server confirms it. Where the role may
// not make it, it is enough that no session of ours waits any more.
func (db *DB) confirmed(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, confirmFor+2*answerIn)
	defer cancel()
	conn, err := db.aside(ctx)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close(ctx) }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err = conn.Exec(ctx, `SELECT pg_catalog.pg_logical_emit_message(true, 'avtotpy', '')`,
			pgx.QueryExecModeSimpleProtocol)
	}()
	select {
	case <-done:
	case <-time.After(confirmFor):
		// Or the server process would wait for the standby for ever.
		limited, cancel := context.WithTimeout(context.WithValue(ctx, dialKey{}, true), answerIn)
		defer cancel()
		_ = conn.PgConn().CancelRequest(limited)
		<-done // a COMMIT that was cancelled counts as done, and no standby has it
		return false
	}
	if kind := KindOf(err); err != nil && (kind == Unprivileged || kind == Other) {
		waits, err := db.waitsForStandby(ctx)
		return err == nil && !waits
	}
	return err == nil
}
