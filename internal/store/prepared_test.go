package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/store"
)

// names counts the prepared statements of the only connection of a pool.
func names(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	if err := pool.QueryRow(context.Background(), "SELECT count(*) FROM pg_prepared_statements").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestQueriesArePreparedWhereNoPoolerIsInBetween(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	line := keyring.Generate("k1")
	maker := fixture{Store: store.New(pinnedPool(t, db.WebConn), ring(t, line)), db: db}
	if err := maker.CheckMasterKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	alice := maker.alice(t)
	token, _ := maker.login(t, alice)
	maker.add(t, alice, totp("Example", "alice"))
	pooled := pgtest.PgBouncer(t, 1, map[string]string{"d": db.WebConn})["d"]

	for how, c := range map[string]struct {
		conn     string
		prepared bool
	}{
		"directly":                 {db.WebConn, true},
		"through PgBouncer":        {pooled, false},
		"with exec":                {db.WebConn + " default_query_exec_mode=exec", false},
		"with describe_exec":       {db.WebConn + " default_query_exec_mode=describe_exec", false},
		"with the simple protocol": {db.WebConn + " default_query_exec_mode=simple_protocol", false},
	} {
		t.Run(how, func(t *testing.T) {
			pool := pinnedPool(t, c.conn+" pool_max_conns=1")
			s := store.New(pool, ring(t, line))
			reads := func(after string) {
				t.Helper()
				for range 3 { // the first time is another way
					if session, accounts, err := s.Codes(t.Context(), token, nil); err != nil ||
						session.User.ID != alice.ID || len(accounts) != 1 ||
						string(accounts[0].Secret) != "seed of alice" {
						t.Fatalf("%s: %d accounts, %v", after, len(accounts), err)
					}
				}
			}
			reads("at first")
			if n := names(t, pool); n > 0 != c.prepared {
				t.Errorf("%d statements are prepared", n)
			}
			var path string
			if err := pool.QueryRow(t.Context(), "SELECT current_setting('search_path')").Scan(&path); err != nil ||
				path == "pg_catalog, pg_temp" != c.prepared {
				t.Errorf("the session has the search_path %s, %v", path, err)
			}
			if !c.prepared {
				return
			}
			blocker := db.Connect(t, db.SuperConn)
			if _, err := blocker.Exec(t.Context(), "BEGIN; LOCK TABLE avtotpy.sessions"); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time the connection has the statements, and is taken to know none
				if _, _, err := s.Codes(t.Context(), token, nil); err == nil || errors.Is(err, store.ErrNotFound) ||
					!strings.Contains(err.Error(), "lock timeout") {
					t.Errorf("with locked sessions: got %v", err)
				}
			}
			if _, err := blocker.Exec(t.Context(), "ROLLBACK"); err != nil {
				t.Fatal(err)
			}
			reads("after a lock")
			pgtest.Exec(t, db.SuperConn, "ALTER TABLE avtotpy.sessions ALTER COLUMN agent TYPE varchar")
			t.Cleanup(func() {
				pgtest.Exec(t, db.SuperConn,
					"ALTER TABLE avtotpy.sessions ALTER COLUMN agent TYPE text")
			})
			reads("after another type")
			if n := names(t, pool); n == 0 {
				t.Error("nothing is prepared after another type")
			}
			// As if something in between that passes process ids on had chosen another connection.
			if _, err := pool.Exec(t.Context(), "DEALLOCATE ALL"); err != nil {
				t.Fatal(err)
			}
			reads("without the statements")
			if n := names(t, pool); n > 0 {
				t.Errorf("%d statements are prepared where they get lost", n)
			}
		})
	}
}
