package migrate

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
)

// A service that takes no verifiers says so at CREATE ROLE, or only at the commit.
func TestARefusedRoleIsToldFromOtherFailures(t *testing.T) {
	t.Parallel()
	const roleAt = 9
	m := message{
		byHand: "CREATE ROLE w", roleAt: roleAt, lead: 7,
		sql: "CREATE SCHEMA s;\nCREATE TABLE l ();\nCREATE ROLE w;\nCOMMENT ON ROLE w IS ''",
	}
	for _, c := range []struct {
		completed int
		code      string
		want      bool
	}{
		{roleAt, "42501", true},
		{roleAt + 1, "42501", true},
		{roleAt + 2, "XX000", true}, // the commit
		{roleAt + 2, "23505", false},
		{roleAt - 1, "42501", false},
		{0, "57P01", false},
	} {
		out := pg.Outcome{Completed: c.completed, Err: &pgconn.PgError{Code: c.code}}
		if got := m.refusesRole(out); got != c.want {
			t.Errorf("after %d statements, %s: got %v, want %v", c.completed, c.code, got, c.want)
		}
	}
	if (message{}).refusesRole(pg.Outcome{Err: &pgconn.PgError{Code: "42501"}}) {
		t.Error("a message without a role refuses one")
	}
}

// TestWhoWasInTheWayIsKnownToTheNextAttempt: the last one may end before a heartbeat sees anybody.
func TestWhoWasInTheWayIsKnownToTheNextAttempt(t *testing.T) {
	t.Parallel()
	for _, m := range []message{
		{what: "rights"},
		{what: "0001_a.sql", migration: &bundle.Migration{File: "0001_a.sql"}},
	} {
		r := &run{}
		r.awaiting(m)
		r.teller.blocker = &pg.Blocker{PID: 1}
		r.awaiting(m)
		if now, _ := r.teller.moment(); now.Blocker == nil {
			t.Errorf("%s: it is forgotten", m.what)
		}
		r.awaiting(message{what: "another"})
		if now, _ := r.teller.moment(); now.Blocker != nil {
			t.Errorf("%s: it is in the way of another message, too", m.what)
		}
	}
}
