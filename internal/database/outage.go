package database

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	silentFor  = 2 * time.Second        // a query without an answer, while no other has one, is looked into
	unsureFor  = 250 * time.Millisecond // a request waits to hear whether the database is away
	lookEvery  = 500 * time.Millisecond // at each host, while it is, at the most
	answerIn   = 2 * time.Second        // a host that is looked at
	examineGap = 200 * time.Millisecond // between two suspicions; what fails at once fails together
	starvedFor = time.Second            // a wait for a connection means that there are too few
	sayAgain   = time.Minute            // the same complaint
)

// A cause is why a server is suspected.
type cause int

const (
	lost cause = iota // a connection failed, or refused a change
	slow              // an answer is missing
)

// A suspicion lasts until the server was looked at.
type suspicion struct {
	cause   cause
	since   time.Time
	settled chan struct{} // closed then
}

// An outage lasts from a look that failed to one that succeeds.
type outage struct {
	since   time.Time
	why     error
	refused int // requests
}

// An AwayError means that the database is known to be away, and nothing was asked of it.
type AwayError struct{ Why error }

func (e *AwayError) Error() string { return "the database is away: " + e.Why.Error() }

// Unwrap returns what the last look at it found.
func (e *AwayError) Unwrap() error { return e.Why }

// Watch begins to look into failures, until ctx ends. Only then Reachable knows anything.
func (db *DB) Watch(ctx context.Context) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.watching, db.ctx = true, ctx
	go db.watchSilence(ctx)
}

// Reachable returns an *AwayError while the database is away. It waits at most a moment, and never for the database.
func (db *DB) Reachable(ctx context.Context) error {
	db.mu.Lock()
	s := db.suspicion
	unsure := s != nil && s.cause == lost
	db.mu.Unlock()
	if unsure {
		select {
		case <-s.settled:
		case <-ctx.Done():
		case <-time.After(unsureFor):
			return &AwayError{errors.New("its connections have failed, and it does not answer at once")}
		}
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.outage != nil {
		return &AwayError{db.outage.why}
	}
	return nil
}

// away is Reachable for what cannot wait. It is also true while that is being found out.
func (db *DB) away() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.outage != nil || db.suspicion != nil
}

// Refused counts a request that was not served because of the database, for the log's line at the end.
func (db *DB) Refused() {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.outage != nil {
		db.outage.refused++
	}
}

// Outages counts those that have begun. What was known of the server before is out of date when it differs.
func (db *DB) Outages() int {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.outages
}

// AnsweredSince reports whether the server has answered any query since then.
func (db *DB) AnsweredSince(then time.Time) bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.answered.After(then)
}

// A StarvedError means that all connections of the pool are in use, and have been for too long.
type StarvedError struct{ Connections int }

func (e *StarvedError) Error() string {
	return fmt.Sprintf("all %d connections to the database are in use, and requests wait for one", e.Connections)
}

// Starved returns a *StarvedError while requests wait for a connection in vain.
func (db *DB) Starved() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	starved := db.gaveUp.After(db.acquired) && time.Since(db.gaveUp) < AcquireWait
	for _, began := range db.waiting {
		starved = starved || time.Since(began) > starvedFor
	}
	if !starved {
		return nil
	}
	return &StarvedError{int(db.pool.Config().MaxConns)}
}

// complain logs that the database has no time or no room, once a minute for each SQLSTATE. db.mu is held.
func (db *DB) complain(refusal *pgconn.PgError) {
	if refusal == nil || time.Since(db.complaints[refusal.Code]) < sayAgain {
		return
	}
	db.complaints[refusal.Code] = time.Now()
	what := "the database could not serve a query in time"
	if KindOf(refusal) == Lacking {
		what = "the database lacks disk, memory or connections, or cannot read or write its files"
	}
	db.log.Warn(what+"; this is said once a minute", "error", refusal)
}

// Suspect makes the database be looked at because of an error that no query had.
func (db *DB) Suspect(why error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.suspect(why, lost)
}

// suspect begins to look at the server, unless that has begun. db.mu is held.
func (db *DB) suspect(why error, c cause) {
	if !db.watching || db.ctx.Err() != nil || db.outage != nil || time.Since(db.examined) < examineGap {
		return
	}
	if db.suspicion != nil {
		if c == lost {
			db.suspicion.cause = lost
		}
		return
	}
	db.suspicion = &suspicion{c, time.Now(), make(chan struct{})}
	go db.examine(db.ctx, db.suspicion, why)
}

// watchSilence suspects a server that leaves a query without an answer while no other query has one either.
func (db *DB) watchSilence(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(silentFor / 4):
		}
		db.mu.Lock()
		for _, began := range db.working {
			if time.Since(began) > silentFor && time.Since(db.answered) > silentFor {
				db.suspect(errors.New("it does not answer"), slow)
				break
			}
		}
		db.watchCommits(ctx)
		db.mu.Unlock()
	}
}

// examine finds out whether a suspicion is right. It is not as long as any query gets answers: the server may be slow,
// or have no room for one connection more, which those that are open are kept for.
func (db *DB) examine(ctx context.Context, s *suspicion, why error) {
	err := db.lookOnce(ctx, KindOf(why) != ReadOnly)
	db.mu.Lock()
	kind := KindOf(err)
	served := KindOf(why) != ReadOnly && db.answered.After(s.since) // a standby answers questions, too
	full := kind == Lacking && db.open() > 0
	fine := err == nil || kind == Refused || kind == Unprivileged || served || full
	db.suspicion = nil
	if fine {
		db.examined, db.answered = time.Now(), time.Now()
	} else {
		db.outage = &outage{since: s.since, why: err}
		db.outages++
	}
	wasLost := s.cause == lost
	db.mu.Unlock()
	close(s.settled)
	switch {
	case ctx.Err() != nil:
	case fine && wasLost && KindOf(why) == Lacking: // none was lost
		db.mu.Lock()
		defer db.mu.Unlock()
		refusal, _ := errors.AsType[*pgconn.PgError](why)
		db.complain(refusal)
	case fine && wasLost:
		db.log.Debug("connections to the database were lost, and it answers", "error", why)
		db.pool.Reset()
	case !fine:
		db.log.Error("the database is away: requests are answered with 503 until it is back", "error", err)
		db.hosts.cut()
		db.pool.Reset()
		db.search(ctx)
	}
}

// open counts the connections of the pool.
func (db *DB) open() int {
	stat := db.pool.Stat()
	return int(stat.AcquiredConns() + stat.IdleConns())
}

// search looks for the server until it, or another host in its place, answers. Looks that are under way then are not
// cut short: what answers a moment later may be the successor of what answered first.
func (db *DB) search(whole context.Context) {
	ctx, cancel := context.WithCancel(whole)
	defer cancel()
	found := make(chan struct{})
	for _, ways := range db.hosts.all() {
		go func() {
			if !db.lookUntil(whole, ways, ctx.Done()) {
				return
			}
			select {
			case found <- struct{}{}:
			case <-ctx.Done():
			}
		}()
	}
	select {
	case <-ctx.Done():
		return
	case <-found:
	}
	db.hosts.cut() // what was connected during the search
	db.pool.Reset()
	db.mu.Lock()
	o := db.outage
	db.outage, db.examined, db.answered = nil, time.Now(), time.Now()
	db.mu.Unlock()
	db.log.Info("the database is back", "away", time.Since(o.since).Round(time.Millisecond), "refused_requests",
		o.refused)
}

// lookUntil looks at a host until it answers, if only with a refusal, and reports whether it did before the end.
func (db *DB) lookUntil(ctx context.Context, ways []*pgconn.FallbackConfig, end <-chan struct{}) bool {
	for pause := lookEvery / 8; ; pause = min(2*pause, lookEvery) {
		if kind, err := db.look(ctx, ways); err == nil || kind == Refused || kind == Unprivileged {
			return true
		}
		jittered := pause/2 + rand.N(pause) //nolint:gosec // so that many servers do not ask at once
		select {
		case <-end:
			return false
		case <-time.After(jittered):
		}
	}
}

// lookOnce looks at all hosts at the same time, and over a connection that is open already: one of them is enough.
// Where a change was refused, connections that are open may be of another mind than those that are to come. Like those
// of search, looks go on when one has succeeded.
func (db *DB) lookOnce(ctx context.Context, inside bool) error {
	all := db.hosts.all()
	results := make(chan error, len(all)+1)
	for _, ways := range all {
		go func() {
			_, err := db.look(ctx, ways)
			results <- at(nameOf(ways[0]), err)
		}()
	}
	go func() {
		if !inside {
			results <- errNoneIdle
			return
		}
		ctx, cancel := context.WithTimeout(ctx, answerIn)
		defer cancel()
		results <- at("an open connection", db.lookInside(ctx))
	}()
	var problems problems
	for range len(all) + 1 {
		err := <-results
		if err == nil {
			return nil
		}
		if !errors.Is(err, errNoneIdle) {
			problems = append(problems, err)
		}
	}
	return problems
}

// A problem is what was wrong at one place.
type problem struct {
	where string
	err   error
}

func at(where string, err error) error {
	if err == nil {
		return nil
	}
	return &problem{where, err}
}

// Error says nothing of what is around the causes, which repeats the target.
func (p *problem) Error() string {
	var causes []string
	for _, cause := range innermost(p.err) {
		if text := cause.Error(); !slices.Contains(causes, text) {
			causes = append(causes, text)
		}
	}
	return p.where + ": " + strings.Join(causes, ", ")
}

func (p *problem) Unwrap() error { return p.err }

// innermost are the errors that wrap no other. An error of the server, or of a system call, is one of them.
func innermost(err error) []error {
	switch inner := err.(type) { //nolint:errorlint // this is what looks inside
	case *net.OpError, *net.DNSError, *ReadOnlyError, *PastError:
	case interface{ Unwrap() []error }:
		var all []error
		for _, e := range inner.Unwrap() {
			all = append(all, innermost(e)...)
		}
		return all
	case interface{ Unwrap() error }:
		if e := inner.Unwrap(); e != nil {
			return innermost(e)
		}
	}
	return []error{err}
}

// problems are those of all places, in one line.
type problems []error

func (p problems) Error() string {
	var texts []string
	for _, err := range p {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "; ")
}

func (p problems) Unwrap() []error { return p }

var errNoneIdle = errors.New("no connection is idle")

// lookInside asks over an idle connection of the pool.
func (db *DB) lookInside(ctx context.Context) error {
	idle := db.pool.AcquireAllIdle(ctx)
	if len(idle) == 0 {
		return errNoneIdle
	}
	for _, conn := range idle[1:] {
		conn.Release()
	}
	defer idle[0].Release()
	facts, err := FactsOf(ctx, idle[0].Conn())
	if err != nil {
		return err
	}
	return facts.Err()
}

// look connects to one host, and reports whether it can be worked with.
func (db *DB) look(ctx context.Context, ways []*pgconn.FallbackConfig) (Kind, error) {
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	config := db.hosts.config.Copy()
	use(config, ways)
	conn, err := pgx.ConnectConfig(context.WithValue(ctx, dialKey{}, true), config)
	if err != nil {
		return KindOf(err), err
	}
	defer func() { _ = conn.Close(ctx) }()
	facts, err := FactsOf(ctx, conn)
	if err == nil {
		err = facts.Err()
	}
	if err == nil {
		db.hosts.reached(conn.PgConn().Conn().RemoteAddr())
	}
	return KindOf(err), err
}
