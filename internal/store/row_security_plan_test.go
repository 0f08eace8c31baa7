package store_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/store"
)

const perVault = 100

// TestTheWallUsesTheIndex is about the query that forgot to ask whose rows it
// wants: it must be no way to keep the database busy either.
func TestTheWallUsesTheIndex(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := crowd(t, f.db, f.Store, 200)
	conn := f.db.Connect(t, f.db.WebConn)
	if _, err := conn.Exec(t.Context(), "SELECT set_config('avtotpy.user_id', $1, false)",
		alice.ID.String()); err != nil {
		t.Fatal(err)
	}
	rows, _ := conn.Query(t.Context(), "EXPLAIN SELECT FROM avtotpy.accounts") // CollectRows returns the error
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if plan := strings.Join(lines, "\n"); !strings.Contains(plan, "Index Cond: (vault_id = ANY") ||
		strings.Contains(plan, "Seq Scan") {
		t.Errorf("all accounts are read:\n%s", plan)
	}
}

// BenchmarkAccounts lists the 100 accounts of one user out of 200,000 in 2,000
// vaults: with the policies as they are, with the form that they avoid, and without
// (docs/decisions/0008-row-level-security.md). The forgetful query has no WHERE.
func BenchmarkAccounts(b *testing.B) {
	db := pgtest.Migrated(b)
	pool := db.WebPool(b)
	s := store.New(pool, ring(b, keyring.Generate("k1")))
	if err := s.CheckMasterKeys(b.Context()); err != nil {
		b.Fatal(err)
	}
	alice := crowd(b, db, s, 2000)
	for _, wall := range []struct {
		name string
		make []string
	}{
		{"array", nil},
		{"unnest", eachTable("ALTER POLICY members_see_them ON avtotpy.%s USING (vault_id IN (SELECT "+
			"unnest(avtotpy.visible_vaults())))", "accounts", "vault_members")},
		{"none", eachTable("ALTER TABLE avtotpy.%s DISABLE ROW LEVEL SECURITY", walled()...)},
	} {
		pgtest.Exec(b, db.SuperConn, wall.make...)
		b.Run("policies="+wall.name, func(b *testing.B) {
			for b.Loop() {
				accounts, err := s.As(alice, here()).Accounts(b.Context())
				if err != nil || len(accounts) != perVault {
					b.Fatalf("%d accounts, %v", len(accounts), err)
				}
			}
		})
		if wall.name == "none" {
			break
		}
		b.Run("policies="+wall.name+"/forgetful", func(b *testing.B) {
			for b.Loop() {
				var batch pgx.Batch
				batch.Queue("SELECT set_config('avtotpy.user_id', $1, true)", alice.ID.String())
				batch.Queue("SELECT count(*) FROM avtotpy.accounts").QueryRow(func(row pgx.Row) error {
					var n int
					if err := row.Scan(&n); err != nil || n != perVault {
						return fmt.Errorf("%d accounts, %w", n, err)
					}
					return nil
				})
				if err := pool.SendBatch(b.Context(), &batch).Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// crowd makes a user whose accounts open, among others whose are filled with
// nothing. One account in ten has a counter.
func crowd(tb testing.TB, db *pgtest.DB, s *store.Store, vaults int) store.User {
	tb.Helper()
	ctx := context.Background()
	alice, _, err := s.CreateFirstUser(ctx, "Alice", "x", here())
	if err != nil {
		tb.Fatal(err)
	}
	for i := range perVault {
		n := totp("Example", "a")
		n.Submission = uuid.New()
		if i%10 == 0 {
			n.Kind = "hotp"
		}
		if _, _, err := s.As(alice, here()).CreateAccount(ctx, n); err != nil {
			tb.Fatal(err)
		}
	}
	pgtest.Exec(tb, db.SuperConn, `
		CREATE TABLE public.crowd AS
			SELECT gen_random_uuid() AS id, n FROM generate_series(2, `+strconv.Itoa(vaults)+`) n`, `
		INSERT INTO avtotpy.users (id, name) SELECT id, 'user ' || n FROM public.crowd`, `
		INSERT INTO avtotpy.vaults (id, personal_of, name) SELECT id, id, '' FROM public.crowd`, `
		INSERT INTO avtotpy.vault_members (vault_id, user_id, role) SELECT id, id, 'owner' FROM public.crowd`, `
		INSERT INTO avtotpy.vault_keys (vault_id, generation, master_key_id, sealed_key)
			SELECT id, 1, 'k1', '\x00' FROM public.crowd`, `
		INSERT INTO avtotpy.accounts (id, vault_id, submission, kind, algorithm, digits, period,
				sealed_secret, sealed_issuer, sealed_name, sealed_note, version, generation)
			SELECT gen_random_uuid(), c.id, gen_random_uuid(), CASE WHEN i % 10 = 0 THEN 'hotp' ELSE 'totp' END,
				'SHA1', 6, 30,
				e, e, e, e, 1, 1
			FROM public.crowd c, generate_series(1, `+strconv.Itoa(perVault)+`) i, decode(repeat('00', 40), 'hex') e`, `
		INSERT INTO avtotpy.hotp_counters (account_id, counter)
			SELECT id, 0 FROM avtotpy.accounts WHERE kind = 'hotp' ON CONFLICT DO NOTHING`, `
		DROP TABLE public.crowd`, `
		VACUUM ANALYZE`)
	return alice
}

func eachTable(sql string, tables ...string) []string {
	var statements []string
	for _, table := range tables {
		statements = append(statements, fmt.Sprintf(sql, table))
	}
	return statements
}
