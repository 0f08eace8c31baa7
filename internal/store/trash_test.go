package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/sqlstate"
	"github.com/avtotpy/avtotpy/internal/store"
)

func (f fixture) addKey(t *testing.T, as store.Actor, key otp.Key) store.Account {
	t.Helper()
	if key.Secret == nil {
		key.Secret = []byte("0123456789")
	}
	account, _, err := as.CreateAccount(t.Context(), store.NewAccount{Key: key.Canonical(), Submission: uuid.New()})
	if err != nil {
		t.Fatal(err)
	}
	return account
}

// actionsOn returns what the audit log has of an account, oldest first.
func (f fixture) actionsOn(t *testing.T, id uuid.UUID) string {
	t.Helper()
	return pgtest.Value[string](t, f.db.SuperConn,
		"SELECT coalesce(string_agg(action, ' ' ORDER BY id), '') FROM avtotpy.audit_log WHERE subject_id = '"+
			id.String()+"'")
}

func TestADeletedAccountIsInTheTrash(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.As(f.alice(t), here())
	token, _ := f.login(t, alice.User())
	account := f.addKey(t, alice, otp.Key{Issuer: "Example"})
	codes := func() int {
		_, accounts, err := f.Codes(t.Context(), token, nil)
		if err != nil {
			t.Fatal(err)
		}
		return len(accounts)
	}
	for range 2 {
		if err := alice.RestoreAccount(t.Context(), account.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("restoring what is in use: %v", err)
		}
		if err := alice.PurgeAccount(t.Context(), account.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("purging what is in use: %v", err)
		}
		if err := alice.DeleteAccount(t.Context(), account.ID); err != nil {
			t.Fatal(err)
		}
		if err := alice.DeleteAccount(t.Context(), account.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("deleting twice: %v", err)
		}
		if _, err := alice.Account(t.Context(), account.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a deleted account: %v", err)
		}
		for what, err := range map[string]error{
			"renamed":           failed(alice.UpdateAccount(t.Context(), account.ID, store.AccountChange{})),
			"advanced":          failed(alice.AdvanceCounter(t.Context(), account.ID)),
			"given another key": failed(alice.ChangeKey(t.Context(), account.ID, store.KeyChange{Key: account.Key})),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a deleted account is %s: %v", what, err)
			}
		}
		list, err := alice.Accounts(t.Context())
		if trash, err2 := alice.Trash(t.Context()); err != nil || err2 != nil || len(list) != 0 || len(trash) != 1 ||
			trash[0].DeletedAt.IsZero() || codes() != 0 {
			t.Errorf("deleted: %d in the list, %d in the trash, %d codes, %v, %v", len(list), len(trash), codes(), err,
				err2)
		}
		if err := alice.RestoreAccount(t.Context(), account.ID); err != nil {
			t.Fatal(err)
		}
		if again, err := alice.Account(t.Context(), account.ID); err != nil || again.Issuer != "Example" ||
			string(again.Secret) != "0123456789" || codes() != 1 {
			t.Errorf("restored: %#v, %v", again.Key, err)
		}
	}
	if err := errors.Join(alice.DeleteAccount(t.Context(), account.ID),
		alice.PurgeAccount(t.Context(), account.ID)); err != nil {
		t.Fatal(err)
	}
	if n := pgtest.Value[int](t, f.db.SuperConn, "SELECT count(*) FROM avtotpy.accounts"); n != 0 {
		t.Errorf("%d accounts are left", n)
	}
	const want = "account.create account.delete account.restore account.delete account.restore account.delete " +
		"account.purge"
	if got := f.actionsOn(t, account.ID); got != want {
		t.Errorf("the audit log has %s", got)
	}
}

func failed[T any](_ T, err error) error { return err }

// TestTheTrashIsEmptied moves the clock by the only means there is: who owns the table.
func TestTheTrashIsEmptied(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.As(f.alice(t), here())
	var ids []uuid.UUID
	for _, age := range []string{"31 days", "29 days", ""} {
		account := f.addKey(t, alice, otp.Key{})
		ids = append(ids, account.ID)
		if age != "" {
			pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.accounts SET deleted_at = now() - interval '"+age+
				"' WHERE id = '"+account.ID.String()+"'")
		}
	}
	deleted, err := f.Sweep(t.Context(), 0, time.Hour)
	if err != nil || deleted["accounts"] != 1 {
		t.Errorf("swept %v, %v", deleted, err)
	}
	if got := f.actionsOn(t, ids[0]); got != "account.create account.expire" {
		t.Errorf("the audit log has %s", got)
	}
	if n := pgtest.Value[int](t, f.db.SuperConn, "SELECT count(*) FROM avtotpy.accounts"); n != 2 {
		t.Errorf("%d accounts are left, want 2", n)
	}
}

func TestADamagedAccountCanBeDeleted(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.As(f.alice(t), here())
	account := f.addKey(t, alice, otp.Key{})
	pgtest.Exec(t, f.db.SuperConn, `UPDATE avtotpy.accounts SET sealed_note = '\x00', version = version + 1`)
	if _, err := alice.ChangeKey(t.Context(), account.ID, store.KeyChange{Key: account.Key}); !errors.Is(err,
		store.ErrDamaged) {
		t.Errorf("another key for a damaged account: %v", err)
	}
	if err := errors.Join(alice.DeleteAccount(t.Context(), account.ID), alice.RestoreAccount(t.Context(), account.ID),
		alice.DeleteAccount(t.Context(), account.ID)); err != nil {
		t.Error(err)
	}
}

func TestTheKeyOfAnAccountCanBeChanged(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.As(f.alice(t), here())
	account := f.addKey(t, alice, otp.Key{Issuer: "Microsoft", LabelIssuer: "Contoso", Account: "bob"})
	number := func(n uint64) *uint64 { return &n }
	for _, c := range []struct {
		change  store.KeyChange
		secret  string
		counter uint64
	}{
		{store.KeyChange{Key: otp.Key{Algorithm: otp.SHA256, Digits: 8, Period: 60}}, "0123456789", 0},
		{store.KeyChange{Key: otp.Key{Secret: []byte("another secret")}}, "another secret", 0},
		{store.KeyChange{Key: otp.Key{Kind: otp.HOTP}}, "another secret", 0},
		{store.KeyChange{Key: otp.Key{Kind: otp.HOTP}, Counter: number(41)}, "another secret", 41},
		{store.KeyChange{Key: otp.Key{Kind: otp.HOTP, Digits: 7}}, "another secret", 41},
		{store.KeyChange{Key: otp.Key{Kind: otp.Steam}}, "another secret", 0},
		{
			store.KeyChange{Key: otp.Key{Kind: otp.HOTP}, Counter: number(otp.MaxCounter)},
			"another secret",
			otp.MaxCounter,
		},
	} {
		want := c.change.Key
		want.Issuer, want.LabelIssuer, want.Account, want.Secret, want.Counter = "Microsoft", "Contoso", "bob",
			[]byte(c.secret), c.counter
		want = want.Canonical()
		c.change.Key = c.change.Key.Canonical()
		got, err := alice.ChangeKey(t.Context(), account.ID, c.change)
		if err != nil || got.URI() != want.URI() {
			t.Fatalf("%#v, %v, want %#v", got.Key, err, want)
		}
	}
	const changed = " account.change-key"
	if got := f.actionsOn(t, account.ID); got != "account.create"+changed+changed+changed+changed+changed+changed+
		changed {
		t.Errorf("the audit log has %s", got)
	}
}

// TestTheWebRoleAndTheTrash tries as the web role what only the trash is for.
func TestTheWebRoleAndTheTrash(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.As(f.alice(t), here())
	account := f.addKey(t, alice, otp.Key{})
	web := f.db.Connect(t, f.db.WebConn)
	if tag, err := web.Exec(t.Context(), "UPDATE avtotpy.accounts SET deleted_at = now()"); err != nil ||
		tag.RowsAffected() != 0 {
		t.Errorf("for nobody: %v, %v", tag, err)
	}
	if _, err := web.Exec(t.Context(), "SELECT set_config('avtotpy.user_id', $1, false)",
		alice.User().ID.String()); err != nil {
		t.Fatal(err)
	}
	_, err := web.Exec(t.Context(), "UPDATE avtotpy.accounts SET digits = 8, deleted_at = now()")
	if sqlstate.Of(err) != sqlstate.CheckViolation {
		t.Errorf("other digits with the same version: %v", err)
	}
	if _, err := web.Exec(t.Context(), "UPDATE avtotpy.accounts SET digits = 8, version = version + 1"); err != nil {
		t.Fatal(err)
	}
	if got, err := alice.Account(t.Context(), account.ID); err != nil || !got.Damaged || got.Secret != nil {
		t.Errorf("with other digits than it was sealed with: %#v, %v", got.Key, err)
	}
	for _, most := range []string{"1000", "-1", "NULL", "2147483647"} {
		var n int
		if err := web.QueryRow(t.Context(), "UPDATE avtotpy.accounts SET deleted_at = now() - interval '29 days' "+
			"RETURNING 1").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if err := web.QueryRow(t.Context(), "SELECT avtotpy.empty_trash("+most+")").Scan(&n); err != nil || n != 0 {
			t.Errorf("empty_trash(%s) deleted %d, %v", most, n, err)
		}
	}
}

// TestNothingIsInTheTrashAfterTheUpgrade adds an account to the schema before the trash.
func TestNothingIsInTheTrashAfterTheUpgrade(t *testing.T) {
	t.Parallel()
	db := pgtest.At(t, 15)
	pgtest.Exec(t, db.SuperConn, `
		INSERT INTO avtotpy.master_keys (id, check_value) VALUES ('k1', sha256(''))`, `
		INSERT INTO avtotpy.vaults (id, name) VALUES ('00000000-0000-0000-0000-000000000001', '')`, `
		INSERT INTO avtotpy.vault_keys (vault_id, generation, master_key_id, sealed_key)
			VALUES ('00000000-0000-0000-0000-000000000001', 1, 'k1', '')`, `
		INSERT INTO avtotpy.accounts (id, vault_id, submission, kind, algorithm, digits, period,
			sealed_secret, sealed_issuer, sealed_name, sealed_note, version, generation)
		SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000001', gen_random_uuid(), 'totp', 'SHA1', 6, 30,
			'', '', '', '', 1, 1`)
	db.Upgrade(t)
	if n := pgtest.Value[int](t, db.SuperConn,
		"SELECT count(*) FROM avtotpy.accounts WHERE deleted_at IS NULL AND version = 1"); n != 1 {
		t.Errorf("%d accounts are in use, want 1", n)
	}
}
