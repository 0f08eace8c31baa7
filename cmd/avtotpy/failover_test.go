package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// The tests below drive the real program with people who read and write while the database moves. Short, each way to
// fail happens once. With AVTOTPY_LONG set (make test-long) each happens ten times where that is possible; the figures
// that they log are in docs/decisions/0020-the-web-server-follows-the-primary.md.
func rounds() int {
	if os.Getenv("AVTOTPY_LONG") != "" {
		return 10
	}
	return 1
}

// A pair is a primary and its standby, each behind a relay.
type pair struct {
	*pgtest.Own
	standby       *pgtest.Standby
	first, second *relay // primary, standby
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{Own: pgtest.OwnServer(t, "wal_level=replica", "max_wal_senders=4", "max_connections=50")}
	upgrade(t, p.DB)
	p.standby = p.Standby(t)
	p.standby.Await(t, p.Own)
	config, err := pgx.ParseConfig(p.WebConn)
	if err != nil {
		t.Fatal(err)
	}
	p.first = startRelay(t, "unix", socketOf(config.Host, strconv.Itoa(int(config.Port))))
	p.second = startRelay(t, "unix", socketOf(p.standby.Host, "5432"))
	return p
}

func socketOf(folder, port string) string { return filepath.Join(folder, ".s.PGSQL."+port) }

// upgrade migrates a database of its own.
func upgrade(t *testing.T, db *pgtest.DB) {
	t.Helper()
	bundle, err := schema.Load(schema.Files())
	if err != nil {
		t.Fatal(err)
	}
	migrator := migrate.Migrator{
		Bundle: bundle, Schema: schema.Name, Program: "AVTotpy", Version: "test",
		Role: privilege.Role{Name: db.WebRole, Password: db.WebPassword, Privileges: schema.Privileges()},
	}
	if _, err := migrator.Up(t.Context(), db.MigratorConn); err != nil {
		t.Fatal(err)
	}
}

// conn is the web server's connection string, to both hosts.
func (p *pair) conn() string {
	return p.WebConn + " host=127.0.0.1,127.0.0.1 port=" + p.first.port() + "," + p.second.port() + " sslmode=disable"
}

// promote returns when the standby was a primary.
func (p *pair) promote(t *testing.T) time.Time {
	t.Helper()
	p.standby.Promote(t)
	pgtest.EventuallyValue(t, p.standby.Conn(p.SuperConn), "SELECT pg_is_in_recovery()", false)
	return time.Now()
}

func TestACrashedPrimaryIsFollowedToItsSuccessor(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	l := startServing(t, p.conn()).load(4)
	l.awaitWrite(time.Now())
	outages := 0
	for range rounds() {
		p.Kill(t)
		l.awaitRefused()
		p.Start(t)
		t.Logf("restarted: a change succeeds %s after the server was up", l.awaitWrite(time.Now()))
		outages += 3 // a server that recovers may come and go
	}
	p.standby.Await(t, p.Own)
	p.Kill(t)
	l.awaitRefused()
	t.Logf("crashed: a change succeeds %s after the promotion", l.awaitWrite(p.promote(t)))
	l.awaitReady()
	l.report(outages + 2)
}

func TestASilentPrimaryIsLeftAndAnOldOneIsNotGoneBackTo(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	l := startServing(t, p.conn()).load(4)
	l.awaitWrite(time.Now())
	began := time.Now()
	p.first.drop()
	l.awaitRefused()
	t.Logf("silent: noticed after %s", since(began))
	promoted := p.promote(t)
	t.Logf("silent: a change succeeds %s after the promotion", l.awaitWrite(promoted))
	l.awaitReady()

	// The old primary comes back and was not stopped: nobody may write there any more.
	p.first.speak()
	pgtest.EventuallyValue(t, p.SuperConn, // what was on its way when the network failed arrives now, and ends
		"SELECT count(*)::int FROM pg_stat_activity WHERE usename = '"+p.WebRole+"'", 0)
	before := pgtest.Value[int](t, p.SuperConn, "SELECT count(*)::int FROM avtotpy.audit_log")
	for range 5 {
		l.awaitWrite(time.Now())
	}
	for range 3 { // all connections are made again, while only the old primary answers at once
		p.second.aim(socketOf(p.standby.Host, "5432"))
		for range 10 {
			l.awaitWrite(time.Now())
		}
	}
	p.second.refuse() // only the old primary is left
	l.awaitUnready("a primary of the past")
	p.second.listen(t)
	l.awaitWrite(time.Now())
	if after := pgtest.Value[int](t, p.SuperConn, "SELECT count(*)::int FROM avtotpy.audit_log"); after != before {
		t.Errorf("%d changes were written to the old primary", after-before)
	}

	// It comes back as a standby.
	p.first.aim(socketOf(p.standby.Host, "5432"))
	p.second.refuse()
	t.Logf("moved to the other address: a change succeeds after %s", l.awaitWrite(time.Now()))
	l.report(10)
}

func TestASwitchoverUnderOneAddressIsFollowed(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	l := startServing(t, p.conn()).load(4)
	l.awaitWrite(time.Now())
	primary, standby := p.first.to, p.second.to
	for range rounds() {
		p.first.aim(standby) // both are standbys now
		l.awaitUnready("the database")
		p.second.aim(primary)
		t.Logf("switched over: a change succeeds after %s", l.awaitWrite(time.Now()))
		p.first.aim(primary)
		p.second.aim(standby)
		l.awaitWrite(time.Now())
	}
	l.report(6 * rounds())
}

func TestAPoolerThatPausesOrGoesIsNoticed(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	// PAUSE ends logins that are under way, which PgBouncer takes for failed ones: by default none follows for 15 s.
	pooled := pgtest.PgBouncer(t, 10, map[string]string{"web": db.WebConn}, "server_login_retry = 1")["web"]
	config, err := pgx.ParseConfig(pooled)
	if err != nil {
		t.Fatal(err)
	}
	r := startRelay(t, "tcp", config.Host+":"+strconv.Itoa(int(config.Port)))
	l := startServing(t, pooled+" host=127.0.0.1 port="+r.port()).load(4)
	l.awaitWrite(time.Now())
	console := db.Connect(t, pooled+" dbname=pgbouncer default_query_exec_mode=simple_protocol")
	for range rounds() {
		r.refuse()
		l.awaitRefused()
		r.listen(t)
		t.Logf("the pooler was away: a change succeeds after %s", l.awaitWrite(time.Now()))

		if _, err := console.Exec(t.Context(), "PAUSE"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		l.awaitRefused()
		t.Logf("the pooler pauses: noticed after %s", since(began))
		if _, err := console.Exec(t.Context(), "RESUME"); err != nil {
			t.Fatal(err)
		}
		t.Logf("the pooler goes on: a change succeeds after %s", l.awaitWrite(time.Now()))
	}
	l.report(3 * rounds())
}

// TestALockDoesNotTakeThePagesOfOthersAway: a locked table and a pool of four keep nobody waiting for long, and
// /readyz says so.
func TestALockDoesNotTakeThePagesOfOthersAway(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	l := startServing(t, db.WebConn+" pool_max_conns=4").load(12)
	l.awaitWrite(time.Now())
	blocker := db.Connect(t, db.SuperConn)
	if _, err := blocker.Exec(t.Context(), "BEGIN; LOCK TABLE avtotpy.accounts"); err != nil {
		t.Fatal(err)
	}
	l.awaitUnready("connections to the database are in use")
	l.awaitRefused()
	if status, body, err := l.ask(http.MethodGet, "/static/none", nil); err != nil || status != http.StatusNotFound {
		t.Errorf("a page without the database: %d %s, %v", status, body, err)
	}
	if _, err := blocker.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	l.awaitWrite(time.Now())
	l.awaitReady()
	l.report(0)
}

// TestEveryAnonymousVisitorIsAnsweredWhileATableIsLocked: no answer waits for the lock's end. The connections are new
// when the lock is taken, so that nothing about their queries is known yet.
func TestEveryAnonymousVisitorIsAnsweredWhileATableIsLocked(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	s := startServing(t, db.WebConn+" pool_max_conns=4")
	s.cookie = "avtotpy=ended" // which has to be looked for
	if status, body, err := s.ask(http.MethodGet, "/login", nil); err != nil || status != http.StatusOK {
		t.Fatalf("before: %d %s, %v", status, body, err)
	}
	blocker := db.Connect(t, db.SuperConn)
	if _, err := blocker.Exec(t.Context(), "BEGIN; LOCK TABLE avtotpy.sessions"); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, db.SuperConn, `
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND usename = '`+db.WebRole+"'")
	const visitors = 40
	answers := make(chan error, visitors)
	var seen atomic.Bool
	for range visitors {
		go func() {
			var wrong error
			// as many until it was seen, however slow that is
			for asked := false; !asked || !seen.Load() && wrong == nil; asked = true {
				status, body, err := s.ask(http.MethodGet, "/login", nil)
				if err == nil {
					err = pgtest.Unless(status == http.StatusServiceUnavailable, "%d %s", status, body)
				}
				wrong = err
			}
			answers <- wrong
		}()
	}
	s.awaitUnready("all 4 connections to the database are in use")
	seen.Store(true)
	for range visitors {
		if err := <-answers; err != nil {
			t.Errorf("got %v, want 503", err)
		}
	}
	for text, want := range map[string]bool{
		"due to lock timeout": true, "due to statement timeout": false,
		"a request failed": false,
	} {
		if strings.Contains(s.said.String(), text) != want {
			t.Errorf("the log says %q: %t, want %t", text, !want, want)
		}
	}
	if _, err := blocker.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	s.awaitReady()
}

// TestQueriesThatAreCancelledAreTriedAgainByVisitors: a DBA, a pooler's cancel request that comes late, and
// statement_timeout end queries that way.
func TestQueriesThatAreCancelledAreTriedAgainByVisitors(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	l := startServing(t, db.WebConn).load(4)
	l.awaitWrite(time.Now())
	super, blocker := db.Connect(t, db.SuperConn), db.Connect(t, db.SuperConn)
	refused, cancelled := l.refusals(), 0
	// so that there is something to cancel
	if _, err := blocker.Exec(t.Context(), "BEGIN; LOCK TABLE avtotpy.sessions"); err != nil {
		t.Fatal(err)
	}
	pgtest.Eventually(t, "cancelled queries are refused", func() error {
		tag, err := super.Exec(t.Context(), `
			SELECT pg_cancel_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND usename = $1 AND wait_event_type = 'Lock'`, db.WebRole)
		if err != nil {
			t.Fatal(err)
		}
		cancelled += int(tag.RowsAffected())
		const enough = 8
		return pgtest.Unless(cancelled >= enough && l.refusals() >= refused+enough, "%d cancelled, %d refused so far",
			cancelled, l.refusals()-refused)
	})
	if _, err := blocker.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	l.awaitWrite(time.Now())
	l.awaitReady()
	l.report(0)
	if !strings.Contains(l.said.String(), "canceling statement due to user request") {
		t.Error("the log does not say why")
	}
}

// TestAServerWithoutRoomKeepsTheConnectionsThatAreOpen: that no connection more is to be had is no reason to give up
// those that work, after which none would be to be had.
func TestAServerWithoutRoomKeepsTheConnectionsThatAreOpen(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	l := startServing(t, db.WebConn+" pool_max_conns=4")
	sessions := func() int {
		return pgtest.Value[int](t, db.SuperConn, "SELECT count(*)::int FROM pg_stat_activity WHERE datname = '"+
			db.Name+"' AND usename = '"+db.WebRole+"'")
	}
	pgtest.Exec(t, db.SuperConn, fmt.Sprintf("ALTER DATABASE %s CONNECTION LIMIT %d", db.Name, max(1, sessions())))
	load := l.load(8)
	load.awaitWrite(time.Now())
	pgtest.Eventually(t, "a connection is refused", func() error {
		return pgtest.Unless(strings.Contains(l.said.String(), "lacks disk, memory or connections"), "%d refused",
			load.refusals())
	})
	for range 5 {
		load.awaitWrite(time.Now())
	}
	load.report(0)
	l.awaitReady()
	if strings.Count(l.said.String(), "this is said once a minute") != 1 {
		t.Error("it is not said once a minute")
	}
}

// TestALockedLedgerTakesNobodysPagesAway: a look that gets no answer says nothing about the schema.
func TestALockedLedgerTakesNobodysPagesAway(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	l := startServing(t, db.WebConn).load(2)
	l.awaitWrite(time.Now())
	blocker := db.Connect(t, db.SuperConn)
	if _, err := blocker.Exec(t.Context(), "BEGIN; LOCK TABLE avtotpy.migrations"); err != nil {
		t.Fatal(err)
	}
	super := db.Connect(t, db.SuperConn) // the blocker would see one state of the others for ever
	var before time.Time
	for range 2 { // looks, each of which waits
		var began time.Time
		pgtest.Eventually(t, "a look waits", func() error {
			return super.QueryRow(t.Context(), `
				SELECT query_start FROM pg_stat_activity
				WHERE datname = current_database() AND usename = $1 AND wait_event_type = 'Lock' AND query_start > $2
				LIMIT 1`,
				db.WebRole, before.Add(time.Second)).Scan(&began)
		})
		before = began
	}
	l.awaitWrite(time.Now())
	if log := l.said.String(); strings.Contains(log, "NOT READY") {
		t.Errorf("got\n%s\nwant that it stays ready", log)
	}
	l.report(0)
}

func TestADatabaseThatIsMadeReadOnlyIsNotReady(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	l := startServing(t, db.WebConn).load(2)
	l.awaitWrite(time.Now())
	pgtest.Exec(t, db.SuperConn, "ALTER DATABASE "+db.Name+" SET default_transaction_read_only = on",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "+
			"pg_backend_pid()")
	l.awaitUnready("takes no changes")
	l.awaitRefused()
	pgtest.Exec(t, db.SuperConn, "SET default_transaction_read_only = off", "ALTER DATABASE "+db.Name+
		" RESET default_transaction_read_only")
	l.awaitWrite(time.Now())
	l.awaitReady()
	l.report(2)
}

// Only a superuser can set it, for a role or a database, and the role itself cannot undo it.
func TestADatabaseThatChecksNothingIsNotReady(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	l := startServing(t, db.WebConn).load(2)
	l.awaitWrite(time.Now())
	in := "ALTER ROLE " + db.WebRole + " IN DATABASE " + db.Name
	pgtest.Exec(t, db.SuperConn, in+" SET session_replication_role = replica",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "+
			"pg_backend_pid()")
	l.awaitUnready("session_replication_role")
	l.awaitRefused()
	pgtest.Exec(t, db.SuperConn, in+" RESET session_replication_role")
	l.awaitWrite(time.Now())
	l.awaitReady()
}

func TestKeysThatWereRotatedElsewhereMakeAServerNotReady(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	s := startServing(t, db.WebConn)
	pgtest.Exec(t, db.SuperConn, "INSERT INTO avtotpy.master_keys (id, check_value) VALUES ('new', "+
		"decode(repeat('00', 32), 'hex'))",
		"UPDATE avtotpy.vault_keys SET master_key_id = 'new'")
	if status, body, err := s.write(); err != nil || status != http.StatusServiceUnavailable ||
		!strings.Contains(body, "master key") {
		t.Errorf("got %d %s, %v, want 503 about the key", status, body, err)
	}
	s.awaitUnready("master key")
	pgtest.Exec(t, db.SuperConn, "UPDATE avtotpy.vault_keys SET master_key_id = 'k1'")
	s.awaitReady()
}

// TestALostCommitIsNotCalledUndone: the change is in the database, and nobody has said otherwise.
func TestALostCommitIsNotCalledUndone(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	config, err := pgx.ParseConfig(db.WebConn)
	if err != nil {
		t.Fatal(err)
	}
	r := startRelay(t, "unix", socketOf(config.Host, strconv.Itoa(int(config.Port))))
	s := startServing(t, db.WebConn+" host=127.0.0.1 port="+r.port())
	r.loseCommit()
	status, body, err := s.ask(http.MethodPost, "/api/v1/accounts", []byte(someAccount))
	if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, "is not known") ||
		strings.Contains(body, "Nothing was changed") {
		t.Errorf("got %d %s, %v, want 503 that leaves it open", status, body, err)
	}
	if n := pgtest.Value[int](t, db.SuperConn, "SELECT count(*)::int FROM avtotpy.accounts"); n != 1 {
		t.Errorf("%d accounts, want that the COMMIT has arrived", n)
	}
}

// TestAMissingSynchronousStandbyIsNoticed: while no COMMIT is answered, changes are refused before they are made, who
// only reads is served, and /readyz says why.
func TestAMissingSynchronousStandbyIsNoticed(t *testing.T) {
	t.Parallel()
	own := pgtest.OwnServer(t)
	upgrade(t, own.DB)
	l := startServing(t, own.WebConn).load(2)
	l.awaitWrite(time.Now())
	pgtest.Exec(t, own.SuperConn, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
	began := time.Now()
	l.awaitUnready("synchronous standby")
	t.Logf("noticed after %s", since(began))
	l.awaitRefused()
	if status, body, err := l.ask(http.MethodGet, "/api/v1/codes", nil); err != nil || status != http.StatusOK {
		t.Errorf("a page that only reads: %d %s, %v", status, body, err)
	}
	status, body, err := l.write()
	if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, "confirms no changes") ||
		!strings.Contains(body, "Nothing was changed") {
		t.Errorf("a change: %d %s, %v, want 503 before it was made", status, body, err)
	}
	pgtest.Exec(t, own.SuperConn, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
	l.awaitWrite(time.Now())
	l.awaitReady()
	l.report(0)
	for line, n := range map[string]int{
		"each COMMIT waits for a synchronous standby": 1,
		"the database confirms changes again":         1,
	} {
		if got := strings.Count(l.said.String(), line); got != n {
			t.Errorf("the log says %d times that %s, want %d", got, line, n)
		}
	}
	if n := pgtest.Value[int](t, own.SuperConn,
		"SELECT count(*)::int FROM pg_stat_activity WHERE wait_event = 'SyncRep'"); n != 0 {
		t.Errorf("%d sessions still wait for a standby", n)
	}
}
