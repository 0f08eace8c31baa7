package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/store"
)

func quietly(store.DataKeyRotation) {}

const generations = "SELECT coalesce(string_agg(generation::text, ' ' ORDER BY vault_id, generation), '') FROM " +
	"avtotpy.vault_keys"

// opensAll fails unless a user has so many accounts that open, with the secrets that totp gave them.
func (f fixture) opensAll(t *testing.T, user store.User, want int) {
	t.Helper()
	accounts, err := f.As(user, here()).Accounts(t.Context())
	if err != nil || len(accounts) != want {
		t.Errorf("%d accounts, %v; want %d", len(accounts), err, want)
	}
	for _, a := range accounts {
		if a.Damaged || !bytes.Equal(a.Secret, []byte("seed of "+a.Account)) || a.Note != "note of "+a.Account {
			t.Errorf("%s is damaged: %v, with the secret %q of %q", a.ID, a.Damaged, a.Secret, a.Account)
		}
	}
}

func TestDataKeysAreReplaced(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	bob, _, err := f.CreateUser(t.Context(), "Bob", "x", store.Operator{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		f.add(t, alice, totp("Example", fmt.Sprint("a", i)))
	}
	f.add(t, bob, totp("Example", "b"))
	const all = "SELECT string_agg(sealed_secret::text || sealed_issuer || sealed_name || sealed_note, ',' ORDER BY " +
		"id) FROM avtotpy.accounts"
	before := pgtest.Value[string](t, f.db.SuperConn, all)
	updated := pgtest.Value[string](t, f.db.SuperConn, "SELECT max(updated_at)::text FROM avtotpy.accounts")
	r, err := f.RotateDataKeys(t.Context(), quietly)
	if want := (store.DataKeyRotation{Vaults: 2, Done: 2, Sealed: 4}); err != nil || r != want {
		t.Fatalf("got %+v, %v; want %+v", r, err, want)
	}
	f.opensAll(t, alice, 3)
	f.opensAll(t, bob, 1)
	if got := pgtest.Value[string](t, f.db.SuperConn, generations); got != "2 2" {
		t.Errorf("the generations are %s, want 2 2", got)
	}
	if pgtest.Value[string](t, f.db.SuperConn, all) == before {
		t.Error("nothing was sealed again")
	}
	if got := pgtest.Value[string](t, f.db.SuperConn,
		"SELECT max(updated_at)::text FROM avtotpy.accounts"); got != updated {
		t.Error("accounts look as if their owners had changed them")
	}
	f.add(t, alice, totp("Example", "new"))
	f.opensAll(t, alice, 4)
	if r, err := f.RotateDataKeys(t.Context(), quietly); err != nil || r.Resumed || r.Sealed != 5 {
		t.Errorf("once more: %+v, %v", r, err)
	}
	f.opensAll(t, alice, 4)
}

// TestAnInterruptedRotationOfDataKeysIsEnded stops it after each step that it commits.
func TestAnInterruptedRotationOfDataKeysIsEnded(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	for i := range 205 { // more than two batches
		f.add(t, alice, totp("Example", fmt.Sprint("a", i)))
	}
	newest := 1
	for after := 1; ; after++ {
		ctx, kill := context.WithCancel(t.Context())
		steps := 0
		_, err := f.RotateDataKeys(ctx, func(store.DataKeyRotation) {
			if steps++; steps == after {
				kill()
			}
		})
		kill()
		newest++
		if steps < after {
			if err != nil {
				t.Fatal(err)
			}
			break // there are no more steps
		}
		f.opensAll(t, alice, 205)
		r, err := f.RotateDataKeys(t.Context(), quietly)
		if err != nil {
			t.Fatalf("interrupted after step %d: %v", after, err)
		}
		if !r.Resumed { // all was done but to say so
			newest++
		}
		if got, want := pgtest.Value[string](t, f.db.SuperConn, generations), strconv.Itoa(newest); got != want {
			t.Fatalf("interrupted after step %d, and resumed: %v; the generations are %s, want %s", after, r.Resumed,
				got, want)
		}
	}
	f.opensAll(t, alice, 205)
}

// TestServersGoOnWhileDataKeysAreReplaced adds, renames, reads and deletes on another server at the same time.
func TestServersGoOnWhileDataKeysAreReplaced(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	for i := range 20 {
		f.add(t, alice, totp("Example", fmt.Sprint("a", i)))
	}
	server := open(t, f.db, f.line)
	if err := server.CheckMasterKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	as := server.As(alice, here())
	var wg sync.WaitGroup
	var stop atomic.Bool
	var worked atomic.Int64
	for range 3 {
		wg.Go(func() {
			for !stop.Load() {
				account, _, err := as.CreateAccount(context.Background(), totp("Example", "mine"))
				issuer := "Renamed"
				if err == nil {
					account, err = as.UpdateAccount(context.Background(), account.ID,
						store.AccountChange{Issuer: &issuer})
				}
				if err == nil && (account.Damaged || string(account.Secret) != "seed of mine") {
					err = fmt.Errorf("the account does not open: %v", account.Damaged)
				}
				accounts, listed := as.Accounts(context.Background())
				for _, a := range accounts {
					if a.Damaged {
						listed = errors.Join(listed, fmt.Errorf("%s is damaged", a.ID))
					}
				}
				if err := errors.Join(err, listed, as.DeleteAccount(context.Background(), account.ID)); err != nil {
					t.Error(err)
					return
				}
				worked.Add(1)
			}
		})
	}
	for range 5 {
		before := worked.Load()
		if _, err := f.RotateDataKeys(t.Context(), quietly); err != nil {
			t.Error(err)
		}
		pgtest.Eventually(t, "the server goes on",
			func() error { return pgtest.Unless(worked.Load() > before || t.Failed(), "it does nothing") })
	}
	stop.Store(true)
	wg.Wait()
	f.opensAll(t, alice, 20)
	if got := pgtest.Value[string](t, f.db.SuperConn, generations); got != "6" {
		t.Errorf("the generations are %s, want 6", got)
	}
}

// TestADamagedAccountKeepsItsKey, so that it can be put right once it is known what was altered.
func TestADamagedAccountKeepsItsKey(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	damaged := f.add(t, alice, totp("Example", "damaged"))
	f.add(t, alice, totp("Example", "whole"))
	pgtest.Exec(t, f.db.SuperConn, "ALTER TABLE avtotpy.accounts DISABLE TRIGGER version_grows")
	set := func(digits string, id uuid.UUID) {
		pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.accounts SET digits = "+digits+" WHERE id = '"+id.String()+"'")
	}
	set("4", damaged.ID)
	for _, want := range []string{"1 2", "1 3"} {
		r, err := f.RotateDataKeys(t.Context(), quietly)
		if err != nil || r.Damaged != 1 || r.Sealed != 1 || r.Resumed {
			t.Errorf("got %+v, %v", r, err)
		}
		if got := pgtest.Value[string](t, f.db.SuperConn, generations); got != want {
			t.Errorf("the generations are %s, want %s", got, want)
		}
	}
	set("6", damaged.ID)
	f.opensAll(t, alice, 2)
	if r, err := f.RotateDataKeys(t.Context(), quietly); err != nil || !r.Resumed || r.Sealed != 1 || r.Damaged != 0 {
		t.Errorf("after it was put right: %+v, %v", r, err)
	}
	f.opensAll(t, alice, 2)
}

// TestAUserGoesWithAllThatTheirKeysSeal, although a key that seals something cannot be removed.
func TestAUserGoesWithAllThatTheirKeysSeal(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	f.add(t, alice, totp("Example", "a"))
	f.hotp(t, alice)
	pgtest.Exec(t, f.db.SuperConn, "DELETE FROM avtotpy.users")
	const left = "SELECT (SELECT count(*) FROM avtotpy.vault_keys) + (SELECT count(*) FROM avtotpy.accounts) + " +
		"(SELECT count(*) FROM avtotpy.passwords)"
	if n := pgtest.Value[int](t, f.db.SuperConn, left); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}
