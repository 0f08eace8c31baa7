package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/avtotpy/avtotpy/internal/access"
	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/sqlstate"
	"github.com/avtotpy/avtotpy/internal/store"
)

// These tests send SQL of their own, as the web role: queries that forgot to ask
// whose rows they are.

// walled lists the tables that hold what belongs to vaults.
func walled() []string {
	return []string{"vaults", "vault_keys", "vault_members", "accounts", "hotp_counters"}
}

// A raw connection sends SQL as the web role, each time in a transaction for a user.
type raw struct{ *pgx.Conn }

func (f fixture) raw(t *testing.T) raw {
	t.Helper()
	return raw{f.db.Connect(t, f.db.WebConn)}
}

// as returns how many rows a statement reached; the zero UUID is no user. Nothing of
// it stays.
func (r raw) as(t *testing.T, user uuid.UUID, sql string, args ...any) (int64, error) {
	t.Helper()
	tx, err := r.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if user != uuid.Nil {
		if _, err := tx.Exec(t.Context(), "SELECT set_config('avtotpy.user_id', $1, true)", user.String()); err != nil {
			t.Fatal(err)
		}
	}
	tag, err := tx.Exec(t.Context(), sql, args...)
	return tag.RowsAffected(), err
}

func (r raw) reaches(t *testing.T, user uuid.UUID, want int64, sql string, args ...any) {
	t.Helper()
	if got, err := r.as(t, user, sql, args...); err != nil || got != want {
		t.Errorf("%s: reached %d rows, %v; want %d", sql, got, err, want)
	}
}

func (r raw) refused(t *testing.T, user uuid.UUID, sql string, args ...any) {
	t.Helper()
	_, err := r.as(t, user, sql, args...)
	if sqlstate.Of(err) != sqlstate.InsufficientPrivilege {
		t.Errorf("%s: got %v, want 42501", sql, err)
	}
}

const (
	insertAccount = `INSERT INTO avtotpy.accounts (id, vault_id, submission, kind, algorithm, digits, period,
			sealed_secret, sealed_issuer, sealed_name, sealed_note, version, generation)
		VALUES (gen_random_uuid(), $1, gen_random_uuid(), 'totp', 'SHA1', 6, 30, '', '', '', '', 1, 1)`
	insertMember = `INSERT INTO avtotpy.vault_members (vault_id, user_id, role) VALUES ($1, $2, $3)`
	insertKey    = `INSERT INTO avtotpy.vault_keys (vault_id, generation, master_key_id, sealed_key)
		SELECT $1, 2, id, '' FROM avtotpy.master_keys`
	insertVault = `INSERT INTO avtotpy.vaults (id, personal_of, name) VALUES ($1, $2, '')`
)

// hotp adds an account with a counter, so that each table has a row.
func (f fixture) hotp(t *testing.T, user store.User) store.Account {
	t.Helper()
	return f.add(t, user, store.NewAccount{
		Submission: uuid.New(),
		Key:        otp.Key{Kind: otp.HOTP, Algorithm: otp.SHA1, Digits: 6, Period: 30, Secret: []byte("s")},
	})
}

// join makes a user a member, as a program would that lets owners do it.
func (f fixture) join(t *testing.T, vault uuid.UUID, user store.User, role string) {
	t.Helper()
	pgtest.Exec(t, f.db.SuperConn, "INSERT INTO avtotpy.vault_members (vault_id, user_id, role) VALUES ('"+
		vault.String()+"', '"+user.ID.String()+"', '"+role+"')")
	member := "vault_id = '" + vault.String() + "' AND user_id = '" + user.ID.String() + "'"
	since := pgtest.Value[time.Time](t, f.db.SuperConn, "SELECT created_at FROM avtotpy.vault_members WHERE "+member)
	mac, err := f.MemberMAC(t.Context(), vault, user.ID, access.Role(role), since)
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, f.db.SuperConn, fmt.Sprintf(`UPDATE avtotpy.vault_members SET mac = '\x%x' WHERE %s`, mac, member))
}

func TestNobodySeesNothing(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	account := f.hotp(t, alice)
	r := f.raw(t)
	for _, table := range walled() {
		r.reaches(t, uuid.Nil, 0, "SELECT FROM avtotpy."+table)
		r.reaches(t, uuid.New(), 0, "SELECT FROM avtotpy."+table)
		r.reaches(t, alice.ID, 1, "SELECT FROM avtotpy."+table) // or the two above would prove nothing
	}
	for _, user := range []uuid.UUID{uuid.Nil, uuid.New()} {
		r.refused(t, user, insertVault, uuid.New(), alice.ID)
		r.refused(t, user, insertVault, uuid.New(), nil)
		r.refused(t, user, insertKey, account.VaultID)
		r.refused(t, user, insertMember, account.VaultID, alice.ID, "owner")
		r.refused(t, user, insertAccount, account.VaultID)
		r.refused(t, user, "INSERT INTO avtotpy.hotp_counters (account_id, counter) VALUES ($1, 0)", account.ID)
	}
}

func TestOtherPeoplesRowsAreOutOfReach(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice, bob := f.alice(t), f.bob(t)
	account := f.hotp(t, alice)
	r := f.raw(t)
	for _, table := range walled() {
		r.reaches(t, bob.ID, 0, "SELECT FROM avtotpy."+table)
	}
	for sql, withAlice := range map[string]int64{
		"UPDATE avtotpy.accounts SET sealed_note = '', version = version + 1": 1,
		"DELETE FROM avtotpy.accounts":                                        1,
		"UPDATE avtotpy.hotp_counters SET counter = 7":                        1,
		"UPDATE avtotpy.vault_keys SET sealed_key = ''":                       0, // only rotating master keys does that
		"SELECT FROM avtotpy.vault_keys FOR UPDATE":                           0,
		"SELECT FROM avtotpy.accounts FOR UPDATE":                             1,
		"UPDATE avtotpy.hotp_counters SET counter = 7 RETURNING *":            1,
		"SELECT FROM avtotpy.accounts a, avtotpy.hotp_counters h":             1,
		"SELECT FROM avtotpy.vaults v NATURAL JOIN avtotpy.vault_keys":        1,
	} {
		r.reaches(t, bob.ID, 0, sql)
		r.reaches(t, alice.ID, withAlice, sql)
	}
	r.refused(t, bob.ID, insertAccount, account.VaultID)
	r.refused(t, bob.ID, insertAccount+` ON CONFLICT DO NOTHING`, account.VaultID)
	r.refused(t, bob.ID, insertKey, account.VaultID)
	r.refused(t, bob.ID, insertVault, uuid.New(), alice.ID)
	r.refused(t, bob.ID, insertVault, uuid.New(), nil)
	r.refused(t, bob.ID, "INSERT INTO avtotpy.hotp_counters (account_id, counter) VALUES ($1, 0)", account.ID)
}

func TestNobodyJoinsAVaultByThemselves(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice, bob := f.alice(t), f.bob(t)
	hers := f.hotp(t, alice).VaultID
	carol := uuid.New()
	pgtest.Exec(t, f.db.SuperConn, "INSERT INTO avtotpy.users (id, name) VALUES ('"+carol.String()+"', 'Carol')")
	empty := uuid.New() // Carol's, and she is not in it yet
	shared := uuid.New()
	pgtest.Exec(t, f.db.SuperConn,
		"INSERT INTO avtotpy.vaults (id, personal_of, name) VALUES ('"+empty.String()+"', '"+carol.String()+"', '')",
		"INSERT INTO avtotpy.vaults (id, name) VALUES ('"+shared.String()+"', 'without members')")
	r := f.raw(t)
	for _, role := range []string{"owner", "editor", "viewer"} {
		for _, vault := range []uuid.UUID{hers, empty, shared, uuid.New()} {
			r.refused(t, bob.ID, insertMember, vault, bob.ID, role)
		}
		r.refused(t, bob.ID, insertMember, empty, carol, role)
		if role != "owner" {
			r.refused(t, carol, insertMember, empty, carol, role)
		}
		r.refused(t, carol, insertMember, empty, bob.ID, role)
		r.reaches(t, alice.ID, 1, insertMember, hers, bob.ID, role)
	}
	r.reaches(t, carol, 1, insertMember, empty, carol, "owner")

	f.join(t, hers, bob, "editor")
	r.refused(t, bob.ID, insertMember, hers, carol, "viewer") // only owners decide
	f.join(t, empty, bob, "viewer")
	r.refused(t, carol, insertMember, empty, carol, "owner") // it is claimed, were it by another user
}

func TestTheDatabaseKnowsTheRoles(t *testing.T) {
	t.Parallel()
	for role, want := range map[string]int64{"viewer": 0, "editor": 1} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			f := fresh(t)
			alice, bob := f.alice(t), f.bob(t)
			account := f.hotp(t, alice)
			f.join(t, account.VaultID, bob, role)
			r := f.raw(t)
			for table, rows := range map[string]int64{
				"vaults": 1, "vault_keys": 1, "vault_members": 2, "accounts": 1,
				"hotp_counters": 1,
			} {
				r.reaches(t, bob.ID, rows, "SELECT FROM avtotpy."+table)
			}
			r.reaches(t, bob.ID, want, "UPDATE avtotpy.accounts SET sealed_note = '', version = version + 1")
			r.reaches(t, bob.ID, want, "DELETE FROM avtotpy.accounts")
			// to read a code is to use it up
			r.reaches(t, bob.ID, 1, "UPDATE avtotpy.hotp_counters SET counter = counter + 1")
			pgtest.Exec(t, f.db.SuperConn, "DELETE FROM avtotpy.hotp_counters")
			const insertCounter = "INSERT INTO avtotpy.hotp_counters (account_id, counter) VALUES ($1, 0)"
			if want == 1 {
				r.reaches(t, bob.ID, 1, insertAccount, account.VaultID)
				r.reaches(t, bob.ID, 1, insertCounter, account.ID)
			} else {
				r.refused(t, bob.ID, insertAccount, account.VaultID)
				r.refused(t, bob.ID, insertCounter, account.ID)
			}
		})
	}
}

// TestTheActingUserEndsWithTheTransaction uses one connection for all users, as a
// pool does that is busy.
func TestTheActingUserEndsWithTheTransaction(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_describe", "cache_statement", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Migrated(t)
			pool, err := pgxpool.New(t.Context(), db.WebConn+" pool_max_conns=1 default_query_exec_mode="+mode)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			f := fixture{Store: store.New(pool, ring(t, keyring.Generate("k1"))), db: db}
			noTrace := func(after string) {
				t.Helper()
				var left string
				var rows int
				if err := pool.QueryRow(t.Context(), `
					SELECT coalesce(current_setting('avtotpy.user_id', true), '')
							|| coalesce(current_setting('avtotpy.operator', true), ''),
						(SELECT count(*) FROM avtotpy.vault_keys)`).Scan(&left, &rows); err != nil {
					t.Fatal(err)
				}
				if left != "" || rows != 0 {
					t.Errorf("after %s the connection is still that of %q and sees %d keys", after, left, rows)
				}
			}
			if err := f.CheckMasterKeys(t.Context()); err != nil {
				t.Fatal(err)
			}
			alice := f.alice(t)
			noTrace("a serializable transaction")
			account := f.add(t, alice, totp("Example", "a"))
			noTrace("a transaction")
			for range 2 { // the first describes the query, the second remembers it
				if accounts, err := f.As(alice, here()).Accounts(t.Context()); err != nil || len(accounts) != 1 {
					t.Errorf("Alice has %v, %v", accounts, err)
				}
				noTrace("a read")
			}
			if _, err := f.As(alice, here()).Account(t.Context(), uuid.New()); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
			noTrace("a read that found nothing")
			if _, err := store.New(pool, ring(t, keyring.Generate("k2"))).As(alice, here()).Account(t.Context(),
				account.ID); err == nil {
				t.Error("another key opens the account")
			}
			noTrace("a read whose rows could not be opened")
			if err := f.As(alice, here()).DeleteAccount(t.Context(), uuid.New()); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
			noTrace("a transaction that was rolled back")
			if _, err := f.RotateKeys(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := f.CheckMasterKeys(t.Context()); err != nil {
				t.Fatal(err)
			}
			noTrace("the operator's work")
		})
	}
}
