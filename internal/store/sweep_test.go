package store_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/store"
)

// TestQuotasHoldForManyAtOnce fills what a user may keep up to a few, and adds more than that at the same time.
func TestQuotasHoldForManyAtOnce(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	before := f.add(t, alice, totp("first", "x"))
	pgtest.Exec(t, f.db.SuperConn, `
		INSERT INTO avtotpy.accounts (id, vault_id, submission, kind, algorithm, digits, period,
			sealed_secret, sealed_issuer, sealed_name, sealed_note, version, generation)
		SELECT gen_random_uuid(), vault_id, gen_random_uuid(), kind, algorithm, digits, period,
			sealed_secret, sealed_issuer, sealed_name, sealed_note, 1, 1
		FROM avtotpy.accounts, generate_series(1, 994)`, `
		INSERT INTO avtotpy.sessions (id, user_id, token_hash, agent, last_seen_at, expires_at)
		SELECT gen_random_uuid(), id, sha256(i::text::bytea), 'old',
			now() - interval '1 hour' - i * interval '1 s', now() + interval '1 hour'
		FROM avtotpy.users, generate_series(1, 48) i`)
	const rivals = 12
	const room = 5
	var added, full int
	var mu sync.Mutex
	var group sync.WaitGroup
	last := totp("last", "x")
	for range rivals {
		group.Go(func() {
			_, _, err := f.As(alice, here()).CreateAccount(context.Background(), totp("more", "x"))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				added++
			case errors.Is(err, store.ErrFull):
				full++
			default:
				t.Error(err)
			}
		})
		group.Go(func() {
			_, password, err := f.UserByName(context.Background(), "Alice")
			if err == nil {
				_, err = f.LogIn(context.Background(), store.Login{User: alice, Checked: password, From: here()})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if added != room || full != rivals-room {
		t.Errorf("%d accounts were added and %d refused, want %d and %d", added, full, room, rivals-room)
	}
	const sessions = "SELECT count(*) || ' ' || count(*) FILTER (WHERE agent <> 'old') || ' ' || bool_or(token_hash " +
		"= sha256('1'::bytea)) FROM avtotpy.sessions"
	if got := pgtest.Value[string](t, f.db.SuperConn, sessions); got != "50 12 true" {
		t.Errorf("sessions, new ones, whether the latest of the old is kept: %s", got)
	}
	if _, _, err := f.As(alice, here()).CreateAccount(t.Context(), last); !errors.Is(err, store.ErrFull) {
		t.Errorf("into a full vault: %v", err)
	}
	if err := f.As(alice, here()).DeleteAccount(t.Context(), before.ID); err != nil {
		t.Fatal(err)
	}
	f.add(t, alice, last)
	if _, created, err := f.As(alice, here()).CreateAccount(t.Context(), last); err != nil || created { // sent again
		t.Errorf("again: created %t, %v", created, err)
	}
}

// TestSweepsDeleteWhatHasEnded fills each table with more than a batch that has ended, and with what has not.
func TestSweepsDeleteWhatHasEnded(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	f.alice(t)
	const ended = 2500
	pgtest.Exec(t, f.db.SuperConn, `
		INSERT INTO avtotpy.sessions (id, user_id, token_hash, agent, created_at, expires_at)
		SELECT gen_random_uuid(), id, sha256(i::text::bytea), '',
			now() - interval '13 hours', now() - interval '1 hour' + (i / 2501) * interval '2 hours'
		FROM avtotpy.users, generate_series(1, 2503) i`, `
		INSERT INTO avtotpy.login_throttle (name_mac, failures, failed_at, wait_until)
		SELECT sha256(i::text::bytea), 1, now() - interval '25 hours' + (i / 2501) * interval '2 hours', now()
		FROM generate_series(1, 2503) i`, `
		INSERT INTO avtotpy.devices (id, user_id, token_mac, last_used_at)
		SELECT gen_random_uuid(), id, sha256(i::text::bytea),
			now() - interval '181 days' + (i / 2501) * interval '2 days'
		FROM avtotpy.users, generate_series(1, 2503) i`, `
		INSERT INTO avtotpy.audit_log (at, actor_name, action, agent)
		SELECT now() - interval '101 days' + (i / 2501) * interval '2 days', '', 'x', ''
		FROM generate_series(1, 2503) i`)
	const day = 24 * time.Hour

	blocker := f.db.Connect(t, f.db.SuperConn)
	if _, err := blocker.Exec(t.Context(), "SELECT pg_advisory_lock(hashtextextended('avtotpy sweep', 0))"); err != nil {
		t.Fatal(err)
	}
	if deleted, err := f.Sweep(t.Context(), 100*day, time.Hour); err != nil || deleted["sessions"] != 0 {
		t.Errorf("while another server sweeps: %v, %v", deleted, err)
	}
	if _, err := blocker.Exec(t.Context(), "SELECT pg_advisory_unlock_all()"); err != nil {
		t.Fatal(err)
	}
	if deleted, err := f.Sweep(t.Context(), 100*day, 0); err != nil || deleted["sessions"] != 0 {
		t.Errorf("in no time: %v, %v", deleted, err)
	}
	// A session that is locked is left.
	if _, err := blocker.Exec(t.Context(),
		"BEGIN; SELECT FROM avtotpy.sessions WHERE token_hash = sha256('1') FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	deleted, err := f.Sweep(t.Context(), 100*day, time.Hour)
	want := map[string]int64{
		"sessions": ended - 1, "login_throttle": ended, "devices": ended, "audit_log": ended,
		"accounts": 0,
	}
	if err != nil || !maps.Equal(deleted, want) {
		t.Errorf("deleted %v, want %v: %v", deleted, want, err)
	}
	if _, err := blocker.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if deleted, err := f.Sweep(t.Context(), 0, time.Hour); err != nil || deleted["sessions"] != 1 {
		t.Errorf("afterwards: %v, %v", deleted, err)
	}
	const left = `SELECT (SELECT count(*) FROM avtotpy.sessions) || ' ' ||
		(SELECT count(*) FROM avtotpy.login_throttle) || ' ' ||
		(SELECT count(*) FROM avtotpy.devices) || ' ' ||
		(SELECT count(*) FROM avtotpy.audit_log WHERE action = 'x')`
	if got := pgtest.Value[string](t, f.db.SuperConn, left); got != "3 3 3 3" {
		t.Errorf("left are %s", got)
	}
}

// TestTheAuditLogKeepsWhatIsRecent asks as the web role for more than it may delete.
func TestTheAuditLogKeepsWhatIsRecent(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	pgtest.Exec(t, f.db.SuperConn, `
		INSERT INTO avtotpy.audit_log (at, actor_name, action, agent)
		SELECT now() - days * interval '1 day', '', days::text, '' FROM unnest(ARRAY[500, 91, 89, 0]) days`)
	web := f.db.Connect(t, f.db.WebConn)
	for _, c := range []struct {
		arguments string
		deleted   int64
	}{
		{"2147483647, 10", 0},
		{"400, -1", 0},
		{"400, 0", 0},
		{"400, 1", 1},
		{"-2147483648, 2147483647", 1},
		{"0, NULL", 0},
		{"NULL, NULL", 0},
	} {
		var deleted int64
		err := web.QueryRow(t.Context(), "SELECT avtotpy.sweep_audit_log("+c.arguments+")").Scan(&deleted)
		if err != nil || deleted != c.deleted {
			t.Errorf("(%s): deleted %d, %v; want %d", c.arguments, deleted, err, c.deleted)
		}
	}
	if got := pgtest.Value[string](t, f.db.SuperConn,
		"SELECT string_agg(action, ' ' ORDER BY id) FROM avtotpy.audit_log"); got != "89 0" {
		t.Errorf("left are %s", got)
	}
}

func TestUsersAreRemovedWithAllButTheirTraces(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	f.login(t, alice)
	f.add(t, alice, totp("a", "x"))
	if err := f.RemoveUser(t.Context(), alice.ID,
		store.Operator{Name: "operator: root", Command: "test"}); !errors.Is(err, store.ErrLastUser) {
		t.Errorf("the last one: %v", err)
	}
	bob := f.bob(t)
	if err := f.RemoveUser(t.Context(), uuid.New(), store.Operator{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	shared := uuid.NewString()
	pgtest.Exec(t, f.db.SuperConn, "INSERT INTO avtotpy.vaults (id, name) VALUES ('"+shared+"', 'shared')",
		"INSERT INTO avtotpy.vault_members (vault_id, user_id, role) VALUES ('"+shared+"', '"+alice.ID.String()+
			"', 'owner'), ('"+shared+"', '"+bob.ID.String()+"', 'editor')")
	if err := f.RemoveUser(t.Context(), alice.ID, store.Operator{}); !errors.Is(err, store.ErrOnlyOwner) {
		t.Errorf("the only owner of a vault: %v", err)
	}
	pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.vault_members SET role = 'owner' WHERE user_id = '"+bob.ID.String()+
		"'")
	// Two at once leave one.
	var group sync.WaitGroup
	errs := make([]error, 2)
	pgtest.Exec(t, f.db.SuperConn, "DELETE FROM avtotpy.vaults WHERE id = '"+shared+"'")
	for i, user := range []store.User{alice, bob} {
		group.Go(func() {
			errs[i] = f.RemoveUser(context.Background(), user.ID,
				store.Operator{Name: "operator: root", Command: "test"})
		})
	}
	group.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), store.ErrLastUser) {
		t.Errorf("both at once: %v", errs)
	}
	const left = `SELECT (SELECT count(*) FROM avtotpy.users) || ' ' || (
		SELECT count(*) FROM avtotpy.audit_log
		WHERE action = 'user.delete' AND actor_name = 'operator: root' AND actor_id IS NULL)`
	if got := pgtest.Value[string](t, f.db.SuperConn, left); got != "1 1" {
		t.Errorf("users and rows of the audit log: %s", got)
	}
}

// TestTheAuditLogFromBefore0013 keeps its rows, each of which happened once.
func TestTheAuditLogFromBefore0013(t *testing.T) {
	t.Parallel()
	db := pgtest.At(t, 12)
	pgtest.Exec(t, db.SuperConn, "INSERT INTO avtotpy.audit_log (actor_name, action, agent) VALUES ('Alice', "+
		"'session.create', 'Then/1.0')")
	db.Upgrade(t)
	if got := pgtest.Value[string](t, db.SuperConn,
		"SELECT actor_name || ' ' || count FROM avtotpy.audit_log"); got != "Alice 1" {
		t.Errorf("the row is now %s", got)
	}
	web := db.Connect(t, db.WebConn)
	// As a program from before does, and as this one.
	for _, sql := range []string{
		"INSERT INTO avtotpy.audit_log (actor_name, action, agent) VALUES ('', 'login.fail', '')",
		"INSERT INTO avtotpy.audit_log (actor_name, action, agent, count) VALUES ('', 'login.fail', '', 2)",
	} {
		if _, err := web.Exec(t.Context(), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
}
