package main

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// cmdMayRehearse lets the script's migrator make scratch databases, and puts its name
// into MIGRATOR.
func cmdMayRehearse(ts *testscript.TestScript, _ bool, _ []string) {
	s := storyOf(ts)
	pgtest.Exec(s.tb, s.db.SuperConn, "ALTER ROLE "+s.db.Migrator()+" CREATEDB")
	ts.Setenv("MIGRATOR", s.db.Migrator())
}

// cmdKilled runs a command, kills it when its scratch database sleeps, and waits until
// the server has noticed: killed migrate rehearse
func cmdKilled(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	cmd := exec.CommandContext(context.Background(), "avtotpy", args...)
	for _, name := range []string{
		"PATH", "BUNDLE", "POSTGRES_MIGRATOR_CONNECTION_STR",
		"POSTGRES_MIGRATOR_UNPRIVILEGED_USER",
	} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(cmd.Start())
	const asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname LIKE " +
		"'avtotpy\\_rehearsal\\_%' AND usename = "
	ts.Check(pgtest.Poll("it sleeps", func() error {
		n := query(ts, s.db, asleep+"'"+s.db.Migrator()+"'")
		return pgtest.Unless(n == "1", "%s sessions sleep, want 1", n)
	}))
	ts.Check(cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
}

func TestRehearsalInJSONKeepsItsNamesAndTypes(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.Migrator()+" CREATEDB")
	code, document := call(t, db, true, "migrate", "rehearse", "--json")
	var got struct {
		Schema  string `json:"schema"`
		State   string `json:"state"`
		Version int    `json:"version"`
		Target  int    `json:"target"`
		Files   []struct {
			Version   int            `json:"version"`
			Name      string         `json:"name"`
			File      string         `json:"file"`
			Seconds   float64        `json:"seconds"`
			WAL       int64          `json:"wal_bytes"`
			Locks     []measuredLock `json:"locks"`
			Rewritten []string       `json:"rewritten"`
		} `json:"files"`
		Drift    []snapshot.Difference `json:"drift"`
		Role     string                `json:"role"`
		Findings []struct{}            `json:"findings"`
		Seconds  float64               `json:"seconds"`
	}
	read(t, document, &got)
	if code != 0 || got.State != "blank" || got.Role != db.WebRole || got.Drift == nil || got.Findings == nil ||
		got.Seconds <= 0 || len(got.Files) != got.Target {
		t.Fatalf("exited with %d, want 0 and a proof of %s:\n%s", code, db.WebRole, document)
	}
	if lock := `"kind": "table",
          "relation": "users",
          "mode": "ShareRowExclusiveLock",
          "blocks_reads": false,
          "blocks_writes": true
        }`; !strings.Contains(string(document), lock) {
		t.Errorf("got\n%s\nwant in it\n%s", document, lock)
	}
	sessions := got.Files[1]
	locked := slices.ContainsFunc(sessions.Locks,
		func(l measuredLock) bool { return l.Relation == "users" && l.BlocksWrites && !l.BlocksReads })
	if !locked || sessions.WAL <= 0 || sessions.Seconds <= 0 || sessions.Rewritten == nil {
		t.Errorf("%+v, want that it blocks writes to users", sessions)
	}
}
