package migrate_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
)

// A onlooker keeps what a migrator tells, and calls back on what a test waits for.
type onlooker struct {
	mu    sync.Mutex
	heard []migrate.Progress
	on    func(migrate.Progress)
}

func (l *onlooker) hear(p migrate.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, p)
	if l.on != nil {
		l.on(p)
	}
}

// story is the phases and files in the order in which they were heard, each once.
func (l *onlooker) story() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var steps []string
	for _, p := range l.heard {
		step := strings.TrimSpace(string(p.Phase) + " " + p.File)
		if len(steps) == 0 || steps[len(steps)-1] != step {
			steps = append(steps, step)
		}
	}
	return strings.Join(steps, ", ")
}

func TestProgressTellsTheWholeStory(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	var l onlooker
	m := migrator(t, db, tables(2)...)
	m.Progress = l.hear
	up(t, m, db.MigratorConn)
	if got, want := l.story(), "connecting, looking, applying, applying 0001_m1.sql, applying 0002_m2.sql, "+
		"reconciling, looking, done"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	l.heard = nil
	m = migrator(t, db, tables(5)...)
	m.Progress = l.hear
	up(t, m, db.MigratorConn)
	for _, p := range l.heard {
		if p.Target != 5 || p.Since.IsZero() || p.File == "0004_m4.sql" &&
			(p.Number != 2 || p.Of != 3 || p.Version != 2) {
			t.Errorf("got %+v, want the second of three files on a schema of which version 2 of 5 is on disk", p)
		}
	}
	if last := l.heard[len(l.heard)-1]; last.Phase != migrate.Done || last.Version != 5 {
		t.Errorf("the last was %+v, want done at version 5", last)
	}
	l.heard = nil
	if _, err := askStatus(t.Context(), m, db.WebConn); err != nil || len(l.heard) > 0 {
		t.Errorf("a look at the status: %v, told %+v; only Up is to be told of", err, l.heard)
	}
}

// lockedTable has a schema whose table t1 is locked by a session that calls itself
// "the report".
func lockedTable(t *testing.T) (db *pgtest.DB, letGo func()) {
	t.Helper()
	db = pgtest.Blank(t)
	up(t, migrator(t, db, tables(1)...), db.MigratorConn)
	conn := db.Connect(t, db.MigratorConn+" application_name='the report'")
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE app.t1"); err != nil {
		t.Fatal(err)
	}
	return db, sync.OnceFunc(func() {
		if _, err := conn.Exec(context.WithoutCancel(t.Context()), "ROLLBACK"); err != nil {
			t.Error(err)
		}
	})
}

func TestTheHeartbeatNamesWhoHoldsAFileUp(t *testing.T) {
	t.Parallel()
	for _, via := range []string{"direct", "pooler"} {
		t.Run(via, func(t *testing.T) {
			t.Parallel()
			db, letGo := lockedTable(t)
			conn := db.MigratorConn
			if via == "pooler" {
				conn = pgtest.PgBouncer(t, 5, map[string]string{"migrator": conn})["migrator"]
			}
			var log bytes.Buffer // written under the lock of the handler, read when Up is over
			held := make(chan migrate.Progress, 1)
			l := onlooker{on: func(p migrate.Progress) {
				if p.Phase == migrate.Applying && p.Blocker != nil {
					select {
					case held <- p:
					default:
					}
				}
			}}
			m := migrator(t, db, append(tables(1), "ALTER TABLE app.t1 ADD COLUMN a int")...)
			m.Heartbeat, m.LockTimeout, m.Progress, m.Log = 20*time.Millisecond, time.Minute, l.hear,
				slog.New(slog.NewTextHandler(&log, nil))
			var running sync.WaitGroup
			running.Go(func() { up(t, m, conn) })
			p := <-held
			if left := pgtest.Value[int](t, db.SuperConn,
				"SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND application_name "+
					"= 'test-migrator/1.0'"); left > 2 {
				t.Errorf("%d connections of the migrator, want its own and that of the heartbeat", left)
			}
			pgtest.Eventually(t, "it says more than once that it still waits", func() error {
				n := seen(&l)
				return pgtest.Unless(n >= 20, "it has said something %d times", n)
			})
			letGo()
			running.Wait()
			if p.File != "0002_m2.sql" || p.WaitsFor != "Lock relation of app.t1" ||
				p.Blocker.Application != "the report" || p.Blocker.State != "idle in transaction" ||
				p.Blocker.Since.IsZero() {
				t.Errorf("got %+v, blocker %+v; want 0002_m2.sql blocked by the report", p, p.Blocker)
			}
			if via == "direct" {
				awaitClients(t, db, 1) // the report's connection
			}
			for _, want := range []string{
				`level=WARN msg="a migration waits for another session" file=0002_m2.sql number=1 of=1 elapsed=`,
				`waits_for="Lock relation of app.t1" blocked_by="the report (pid `,
				`level=INFO msg="still applying" file=0002_m2.sql`,
			} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("the log lacks %q:\n%s", want, log.String())
				}
			}
			if strings.Contains(log.String(), "LOCK TABLE") ||
				strings.Count(log.String(), "waits for another session") != 1 {
				t.Errorf("the log shows another session's statement, or says more than once that it waits:\n%s",
					log.String())
			}
		})
	}
}

func seen(l *onlooker) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.heard)
}

func TestAnErrorAfterALockNamesWhoHeldIt(t *testing.T) {
	t.Parallel()
	db, letGo := lockedTable(t)
	defer letGo()
	var log bytes.Buffer
	m := migrator(t, db, append(tables(1), "ALTER TABLE app.t1 ADD COLUMN a int")...)
	pgtest.WithMoreTime(t, time.Second, func(limit time.Duration) error { // for the heartbeat to see who it is
		log.Reset()
		m.Heartbeat, m.LockTimeout, m.Wait, m.Log = 20*time.Millisecond, limit, limit,
			slog.New(slog.NewTextHandler(&log, nil))
		_, err := m.Up(t.Context(), db.MigratorConn)
		busy, ok := errors.AsType[*migrate.BusyError](err)
		if !ok || !strings.Contains(err.Error(), "0002_m2.sql") {
			t.Errorf("got %v, want a BusyError that names the file", err)
		}
		return pgtest.Unless(ok && strings.HasPrefix(busy.Blocker, "the report (pid "),
			"got %v, want that it names the report", err)
	})
	if want := `msg="a migration was rolled back because another session was in its way; trying again" file=0002_m2.sql`; strings.Count(log.String(), want) != 1 {
		t.Errorf("the log does not say once %q:\n%s", want, log.String())
	}
}

func TestAHeartbeatThatCannotAskFailsNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+owner(t, db)+" CONNECTION LIMIT 1")
	var log pgtest.Output
	m := migrator(t, db, "CREATE TABLE app.t1 (id int); "+atGate)
	m.Heartbeat, m.Log = 20*time.Millisecond,
		slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	open := gate(t, db)
	var running sync.WaitGroup
	running.Go(func() {
		if _, err := m.Up(t.Context(), db.MigratorConn); err != nil {
			t.Error(err)
		}
	})
	for _, want := range []string{"too many connections for role", `msg="still applying" file=0001_m1.sql`} {
		pgtest.Eventually(t, "the log says "+want,
			func() error { return pgtest.Unless(strings.Contains(log.String(), want), "%s", log.String()) })
	}
	open()
	running.Wait()
}

func TestTheHeartbeatTellsHowFarAnIndexIs(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	open := gate(t, db)
	m := migrator(t, db, `CREATE TABLE app.t1 (id int);
		INSERT INTO app.t1 VALUES (1);
		CREATE FUNCTION app.slowly(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $f$
			BEGIN WHILE `+shut+` LOOP PERFORM pg_sleep(0.01); END LOOP; RETURN $1; END $f$;
		CREATE INDEX ON app.t1 (app.slowly(id))`)
	var index *pg.IndexBuild
	m.Heartbeat, m.Progress = 20*time.Millisecond, func(p migrate.Progress) {
		if p.Index != nil {
			index = p.Index
			open()
		}
	}
	up(t, m, db.MigratorConn)
	if index == nil || !strings.HasPrefix(index.Phase, "building index") {
		t.Errorf("got %+v, want an index that is being built", index)
	}
}

func TestAnIndexBuildSaysHowFarItIs(t *testing.T) {
	t.Parallel()
	for want, build := range map[string]pg.IndexBuild{
		"building index: scanning table, 3 of 9 blocks": {
			Phase: "building index: scanning table", BlocksDone: 3,
			BlocksTotal: 9,
		},
		"building index: loading tuples in tree, 5 of 8 rows": {
			Phase:      "building index: loading tuples in tree",
			TuplesDone: 5, TuplesTotal: 8,
		},
		"waiting for old snapshots, 1 of 2 sessions": {
			Phase: "waiting for old snapshots", LockersDone: 1,
			LockersTotal: 2,
		},
		"initializing": {Phase: "initializing"},
	} {
		if got := build.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
