package store_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// A fixture is a store on a database of its own, connected as the web role.
type fixture struct {
	*store.Store
	db   *pgtest.DB
	line string // the master key
}

func fresh(t *testing.T) fixture {
	t.Helper()
	db := pgtest.Migrated(t)
	line := keyring.Generate("k1")
	f := fixture{Store: open(t, db, line), db: db, line: line}
	if err := f.CheckMasterKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

func open(t *testing.T, db *pgtest.DB, keys ...string) *store.Store {
	t.Helper()
	return store.New(db.WebPool(t), ring(t, keys...))
}

func ring(tb testing.TB, keys ...string) *keyring.Ring {
	tb.Helper()
	ring, err := keyring.Parse(strings.Join(keys, "\n"))
	if err != nil {
		tb.Fatal(err)
	}
	return ring
}

func here() store.Origin {
	return store.Origin{Address: netip.MustParseAddr("192.0.2.7"), Agent: "Test/1.0"}
}

func (f fixture) alice(t *testing.T) store.User {
	t.Helper()
	user, _, err := f.CreateFirstUser(t.Context(), "Alice", "$argon2id$…", here())
	if err != nil {
		t.Fatal(err)
	}
	return user
}

// login begins a session with the password that the user has.
func (f fixture) login(t *testing.T, user store.User) (string, store.Session) {
	t.Helper()
	opened, err := f.LogIn(t.Context(), store.Login{User: user, Checked: f.password(t, user), From: here()})
	if err != nil {
		t.Fatal(err)
	}
	return opened.Token, opened.Session
}

func (f fixture) password(t *testing.T, user store.User) store.Password {
	t.Helper()
	_, password, err := f.UserByName(t.Context(), user.Name)
	if err != nil {
		t.Fatal(err)
	}
	return password
}

// bob is a second user; there is no way to make one but by hand yet.
func (f fixture) bob(t *testing.T) store.User {
	t.Helper()
	id := uuid.New()
	pgtest.Exec(t, f.db.SuperConn, "INSERT INTO avtotpy.users (id, name) VALUES ('"+id.String()+"', 'Bob')")
	return store.User{ID: id, Name: "Bob"}
}

func totp(issuer, name string) store.NewAccount {
	return store.NewAccount{
		Key:        otp.Key{Issuer: issuer, Account: name, Secret: []byte("seed of " + name)}.Canonical(),
		Submission: uuid.New(), Note: "note of " + name,
	}
}

func (f fixture) add(t *testing.T, user store.User, n store.NewAccount) store.Account {
	t.Helper()
	account, created, err := f.As(user, here()).CreateAccount(t.Context(), n)
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	return account
}

// actions lists the audit log.
func (f fixture) actions(t *testing.T) string {
	t.Helper()
	return pgtest.Value[string](t, f.db.SuperConn, `
		SELECT coalesce(string_agg(
			action || CASE WHEN actor_name = '' THEN '' ELSE ' by ' || actor_name END, ', ' ORDER BY id), '')
		FROM avtotpy.audit_log`)
}

func TestOnlyOneBecomesTheFirstUser(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	if has, err := f.HasUsers(t.Context()); has || err != nil {
		t.Fatalf("a new database has users: %v, %v", has, err)
	}
	const rivals = 12
	results := make([]error, rivals)
	var wg sync.WaitGroup
	for i := range rivals {
		wg.Go(func() {
			_, _, results[i] = f.CreateFirstUser(context.Background(), "user"+string(rune('a'+i)), "x", here())
		})
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, store.ErrSetupDone):
			t.Errorf("a rival got %v, want ErrSetupDone", err)
		}
	}
	if n := pgtest.Value[int](t, f.db.SuperConn, "SELECT count(*) FROM avtotpy.users"); won != 1 || n != 1 {
		t.Errorf("%d won and there are %d users", won, n)
	}
	if n := pgtest.Value[int](t, f.db.SuperConn,
		"SELECT count(*) FROM avtotpy.vaults JOIN avtotpy.vault_keys ON vault_id = id JOIN avtotpy.vault_members "+
			"USING (vault_id)"); n != 1 {
		t.Errorf("%d vaults with key and owner, want 1", n)
	}
}

func TestUsersAreFoundWhateverTheCase(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	user, password, err := f.UserByName(t.Context(), "  aLICE ")
	if err != nil || user.ID != alice.ID || user.Name != "Alice" || password.Hash != "$argon2id$…" {
		t.Errorf("got %+v, %q, %v", user, password.Hash, err)
	}
	if _, _, err := f.UserByName(t.Context(), "mallory"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown name: %v", err)
	}
	now, err := f.Rehash(t.Context(), alice.ID, password, "costlier")
	if err != nil {
		t.Fatal(err)
	}
	if got := f.password(t, alice); got != now || got.Hash != "costlier" {
		t.Errorf("hash %q after Rehash", got.Hash)
	}
}

func TestSessionsEndByThemselvesAndOnDemand(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	login := func() (string, store.Session) { return f.login(t, alice) }
	move := func(s store.Session, set string) {
		pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.sessions SET "+set+" WHERE id = '"+s.ID.String()+"'")
	}
	alive := func(token string) bool {
		_, err := f.Session(t.Context(), token)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}

	token, session := login()
	if got, err := f.Session(t.Context(), token); err != nil || got.User.Name != "Alice" ||
		got.Address != here().Address || got.Agent != "Test/1.0" ||
		got.ExpiresAt.Sub(got.CreatedAt) != store.SessionLifetime {
		t.Fatalf("got %+v, %v", got, err)
	}
	move(session, "last_seen_at = now() - interval '14 minutes'")
	if !alive(token) {
		t.Error("14 minutes without use ended it")
	}
	if s, _ := f.Session(t.Context(), token); s.Locked || time.Since(s.LastSeenAt) < 10*time.Minute {
		t.Errorf("to ask for it counts as use: %+v", s)
	}
	use := func() store.Session {
		if err := f.As(alice, here()).UseSession(t.Context(), session.ID); err != nil {
			t.Fatal(err)
		}
		s, err := f.Session(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := use(); s.Locked || time.Since(s.LastSeenAt) > time.Minute {
		t.Errorf("being used did not move it on: %+v", s)
	}
	move(session, "last_seen_at = now() - interval '16 minutes'")
	if s := use(); !s.Locked || time.Since(s.LastSeenAt) < 15*time.Minute {
		t.Errorf("16 minutes without use, and it goes on: %+v", s)
	}
	token, session = login()
	move(session, "expires_at = now() - interval '1 second'")
	if alive(token) {
		t.Error("its lifetime did not end it")
	}
	token, session = login()
	if _, err := f.Sweep(t.Context(), 0, time.Hour); err != nil {
		t.Error(err)
	}
	if n := pgtest.Value[int](t, f.db.SuperConn,
		"SELECT count(*) FROM avtotpy.sessions WHERE expires_at < now()"); n != 0 {
		t.Errorf("%d expired sessions are still there", n)
	}
	other, otherSession := login()
	list, err := f.As(alice, here()).Sessions(t.Context())
	if err != nil || len(list) != 3 || !list[2].Locked || list[0].Locked {
		t.Fatalf("%d sessions listed (%v), want the 2 that are alive and the one that is locked", len(list), err)
	}
	if err := f.As(f.bob(t), here()).EndSession(t.Context(), session.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Bob ends Alice's session: %v", err)
	}
	if err := f.As(alice, here()).EndSession(t.Context(), otherSession.ID); err != nil || alive(other) ||
		!alive(token) {
		t.Errorf("ending one of two: %v", err)
	}
	for _, forged := range []string{"", "x", token + "x", strings.ToUpper(token)} {
		if alive(forged) {
			t.Errorf("the token %q is somebody", forged)
		}
	}
	if n := pgtest.Value[int](t, f.db.SuperConn,
		"SELECT count(*) FROM avtotpy.sessions s WHERE s::text LIKE '%' || $1 || '%'", token); n != 0 {
		t.Error("the token itself is in the table")
	}
}

func TestANewPasswordEndsTheOtherSessions(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	before, mine := f.login(t, alice)
	thief, _ := f.login(t, alice)
	renewed, err := f.As(alice, here()).ChangePassword(t.Context(), mine, f.password(t, alice), "new hash",
		store.Keep{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Session(t.Context(), before); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the session goes on with the token that it had: %v", err)
	}
	if s, err := f.Session(t.Context(), renewed); err != nil || s.ID != mine.ID {
		t.Errorf("the session with its new token: %v, %v", s.ID, err)
	}
	if _, err := f.Session(t.Context(), thief); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the other session: %v", err)
	}
	if list, _ := f.As(alice, here()).Sessions(t.Context()); len(list) != 1 || list[0].ID != mine.ID {
		t.Errorf("left are %v", list)
	}
	if got := f.password(t, alice); got.Hash != "new hash" {
		t.Errorf("hash %q", got.Hash)
	}
	if got, want := f.actions(t), "user.create by Alice, session.create by Alice, session.create by Alice, "+
		"user.password by Alice"; got != want {
		t.Errorf("audit log\n got %s\nwant %s", got, want)
	}
}

func TestAPasswordThatWasReplacedMeanwhileDoesNothing(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	_, session := f.login(t, alice)
	old := f.password(t, alice)
	if _, err := f.As(alice, here()).ChangePassword(t.Context(), session, old, "new", store.Keep{}); err != nil {
		t.Fatal(err)
	}
	_, err := f.Rehash(t.Context(), alice.ID, old, "costlier")
	if !errors.Is(err, store.ErrChanged) {
		t.Errorf("hashing the old one again: %v", err)
	}
	if _, err := f.LogIn(t.Context(), store.Login{User: alice, Checked: old, From: here()}); !errors.Is(err,
		store.ErrChanged) {
		t.Errorf("a login with the old one: %v", err)
	}
	if _, err := f.As(alice, here()).ChangePassword(t.Context(), session, old, "other", store.Keep{}); !errors.Is(err,
		store.ErrChanged) {
		t.Errorf("changing the old one: %v", err)
	}
	if got := f.password(t, alice); got.Hash != "new" {
		t.Errorf("the password is %q", got.Hash)
	}
}

// TestADamagedPasswordIsNobodysAndIsReplaced is about a row that does not open: it is no way in and no failure of the
// server, and an operator replaces it.
func TestADamagedPasswordIsNobodysAndIsReplaced(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	pgtest.Exec(t, f.db.SuperConn, `
		UPDATE avtotpy.passwords SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)`)
	var met []string
	f.Distrust = func(kind store.Distrusted, id uuid.UUID) { met = append(met, string(kind)+id.String()) }
	if got := f.password(t, alice); got.Hash != "" || len(met) != 1 || met[0] != "password"+alice.ID.String() {
		t.Errorf("the damaged hash is %q, and %v is reported", got.Hash, met)
	}
	if _, err := f.ResetPassword(t.Context(), alice, "new",
		store.Operator{Name: "operator x", Command: "test"}); err != nil {
		t.Fatal(err)
	}
	if got := f.password(t, alice); got.Hash != "new" {
		t.Errorf("the hash is %q", got.Hash)
	}
}

func TestSecurityEventsAreAudited(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	err := f.RecordIncidents(t.Context(), []store.Incident{
		{Action: "login.fail", Subject: alice.ID, From: here(), Count: 1},
		{Action: "login.fail", From: store.Origin{Agent: "bad\nforged line\x00"}, Count: 900},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.actions(t), "user.create by Alice, login.fail, login.fail"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	const of = "SELECT agent || ' ' || count FROM avtotpy.audit_log WHERE address IS NULL AND actor_id IS NULL"
	if got := pgtest.Value[string](t, f.db.SuperConn, of); got != "badforged line 900" {
		t.Errorf("agent and count %q", got)
	}
}

func TestAnAccountLives(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	n := totp("Example", "alice@example.com")
	account := f.add(t, alice, n)
	if account.Issuer != n.Issuer || account.Account != n.Account || account.Note != n.Note ||
		string(account.Secret) != string(n.Secret) ||
		account.Kind != "totp" || account.Algorithm != "SHA1" || account.Digits != 6 || account.Period != 30 ||
		account.Counter != 0 {
		t.Errorf("stored %#v", account)
	}
	again, created, err := f.As(alice, here()).CreateAccount(t.Context(), n)
	if err != nil || created || again.ID != account.ID {
		t.Errorf("the same submission again: %v, created %v, %v", again, created, err)
	}
	name := "new@example.com"
	changed, err := f.As(alice, here()).UpdateAccount(t.Context(), account.ID, store.AccountChange{Account: &name})
	if err != nil || changed.Account != name || changed.Issuer != n.Issuer || changed.Note != n.Note ||
		string(changed.Secret) != string(n.Secret) {
		t.Errorf("after a change of the name: %#v, %v", changed, err)
	}
	if !changed.UpdatedAt.After(account.UpdatedAt) || !changed.CreatedAt.Equal(account.CreatedAt) {
		t.Errorf("times: created %v then %v, updated %v then %v", account.CreatedAt, changed.CreatedAt,
			account.UpdatedAt, changed.UpdatedAt)
	}
	if err := f.As(alice, here()).DeleteAccount(t.Context(), account.ID); err != nil {
		t.Fatal(err)
	}
	if err := f.As(alice, here()).DeleteAccount(t.Context(), account.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleting it again: %v", err)
	}
	if got, want := f.actions(t), "user.create by Alice, account.create by Alice, account.update by Alice, "+
		"account.delete by Alice"; got != want {
		t.Errorf("audit log\n got %s\nwant %s", got, want)
	}
}

func TestADoubleClickAddsOneAccount(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	n := totp("Example", "alice")
	ids := make([]uuid.UUID, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			account, _, err := f.As(alice, here()).CreateAccount(context.Background(), n)
			if err != nil {
				t.Error(err)
			}
			ids[i] = account.ID
		})
	}
	wg.Wait()
	if len(slices.Compact(ids)) != 1 {
		t.Errorf("got the accounts %v", ids)
	}
}

func TestCodesOpenNothingButSecrets(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	token, want := f.login(t, alice)
	timed := f.add(t, alice, totp("Example", "alice"))
	counted := f.add(t, alice, store.NewAccount{
		Submission: uuid.New(),
		Key:        otp.Key{Kind: otp.HOTP, Algorithm: otp.SHA1, Digits: 6, Period: 30, Secret: []byte("s")},
	})
	pgtest.Exec(t, f.db.SuperConn, "ALTER TABLE avtotpy.accounts DISABLE TRIGGER version_grows", `
		UPDATE avtotpy.accounts SET sealed_issuer = '', sealed_name = '', sealed_note = '',
			sealed_secret = CASE kind WHEN 'hotp' THEN ''::bytea ELSE sealed_secret END`)
	for range 3 { // the first time on a connection is another way
		session, accounts, err := f.Codes(t.Context(), token, nil)
		if err != nil || session.ID != want.ID || session.User.ID != alice.ID || len(accounts) != 2 {
			t.Fatalf("session %v, %d accounts, %v", session, len(accounts), err)
		}
		for _, a := range accounts {
			if secret := map[uuid.UUID]string{
				timed.ID:   "seed of alice",
				counted.ID: "",
			}[a.ID]; string(a.Secret) != secret || !a.UpdatedAt.Equal(timed.UpdatedAt) &&
				a.ID == timed.ID {
				t.Errorf("%s: got the secret %q and %v, want %q and %v", a.ID, a.Secret, a.UpdatedAt, secret,
					timed.UpdatedAt)
			}
		}
		if _, accounts, err := f.Codes(t.Context(), "no token", nil); !errors.Is(err, store.ErrNotFound) ||
			len(accounts) != 0 {
			t.Errorf("nobody has %d accounts, %v", len(accounts), err)
		}
	}
	pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.vault_members SET created_at = now()")
	if session, accounts, err := f.Codes(t.Context(), token, nil); err != nil || session.ID != want.ID ||
		len(accounts) != 0 {
		t.Errorf("a member that is not proved has %d accounts, %v", len(accounts), err)
	}
	pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.sessions SET expires_at = expires_at + interval '1 second'")
	if _, accounts, err := f.Codes(t.Context(), token, nil); !errors.Is(err, store.ErrNotFound) || len(accounts) != 0 {
		t.Errorf("a session that is not proved has %d accounts, %v", len(accounts), err)
	}
	token, want = f.login(t, alice)
	if err := f.As(alice, here()).EndSession(t.Context(), want.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Codes(t.Context(), token, nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after the end of the session: %v", err)
	}
}

func TestOtherPeoplesAccountsAreNotFound(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice, bob := f.alice(t), f.bob(t)
	account := f.add(t, alice, store.NewAccount{
		Submission: uuid.New(),
		Key:        otp.Key{Kind: otp.HOTP, Algorithm: otp.SHA1, Digits: 6, Period: 30, Secret: []byte("s")},
	})
	name := "mine"
	for what, err := range map[string]error{
		"read": second(f.As(bob, here()).Account(t.Context(), account.ID)),
		"change": second(f.As(bob, here()).UpdateAccount(t.Context(), account.ID,
			store.AccountChange{Account: &name})),
		"delete":  f.As(bob, here()).DeleteAccount(t.Context(), account.ID),
		"advance": second(f.As(bob, here()).AdvanceCounter(t.Context(), account.ID)),
		"unknown": second(f.As(alice, here()).Account(t.Context(), uuid.New())),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: got %v, want ErrNotFound", what, err)
		}
	}
	if accounts, err := f.As(bob, here()).Accounts(t.Context()); len(accounts) != 0 || err != nil {
		t.Errorf("Bob sees %v, %v", accounts, err)
	}
	n := totp("x", "y")
	n.Vault = account.VaultID
	if _, _, err := f.As(bob, here()).CreateAccount(t.Context(), n); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Bob adds to Alice's vault: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestAViewerReadsAndChangesNothing(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice, bob := f.alice(t), f.bob(t)
	account := f.add(t, alice, totp("Example", "shared"))
	f.join(t, account.VaultID, bob, "viewer")
	if got, err := f.As(bob, here()).Account(t.Context(), account.ID); err != nil || got.Account != "shared" {
		t.Fatalf("got %v, %v", got, err)
	}
	n, name := totp("x", "y"), "mine"
	n.Vault = account.VaultID
	for what, err := range map[string]error{
		"change": second(f.As(bob, here()).UpdateAccount(t.Context(), account.ID, store.AccountChange{Account: &name})),
		"delete": f.As(bob, here()).DeleteAccount(t.Context(), account.ID),
		"add":    func() error { _, _, err := f.As(bob, here()).CreateAccount(t.Context(), n); return err }(),
	} {
		if !errors.Is(err, store.ErrForbidden) {
			t.Errorf("%s: got %v, want ErrForbidden", what, err)
		}
	}
}

func TestACounterGivesEachNumberOnce(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	const start = 1000
	account := f.add(t, alice, store.NewAccount{
		Submission: uuid.New(),
		Key: otp.Key{
			Kind: otp.HOTP, Algorithm: otp.SHA1, Digits: 6, Period: 30, Secret: []byte("s"), Counter: start,
		},
	})
	counters := make([]uint64, 20)
	var wg sync.WaitGroup
	for i := range counters {
		wg.Go(func() {
			a, err := f.As(alice, here()).AdvanceCounter(context.Background(), account.ID)
			if err != nil {
				t.Error(err)
			}
			counters[i] = a.Counter
		})
	}
	wg.Wait()
	slices.Sort(counters)
	for i, c := range counters {
		if c != start+uint64(i) {
			t.Fatalf("counters %v, want %d and up without gaps", counters, start)
		}
	}
	if a, _ := f.As(alice, here()).Account(t.Context(), account.ID); a.Counter != start+uint64(len(counters)) {
		t.Errorf("the next counter is %d", a.Counter)
	}
	if _, err := f.As(alice, here()).AdvanceCounter(t.Context(), f.add(t, alice, totp("x", "y")).ID); !errors.Is(err,
		store.ErrNotHOTP) {
		t.Errorf("advancing a TOTP account: %v", err)
	}
	pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.hotp_counters SET counter = 9223372036854775807")
	if _, err := f.As(alice, here()).AdvanceCounter(t.Context(), account.ID); !errors.Is(err, store.ErrCounterSpent) {
		t.Errorf("advancing the last counter: %v", err)
	}
}

func TestNothingReadableReachesTheDatabase(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	f.add(t, alice, totp("IssuerInClear", "NameInClear"))
	for _, table := range []string{"accounts", "vaults", "vault_keys", "audit_log", "master_keys"} {
		for _, word := range []string{"IssuerInClear", "NameInClear", "seed of", "note of"} {
			hex := "%" + pgtest.Value[string](t, f.db.SuperConn, "SELECT encode(convert_to($1, 'UTF8'), 'hex')",
				word) + "%"
			if n := pgtest.Value[int](t, f.db.SuperConn, "SELECT count(*) FROM avtotpy."+table+
				" r WHERE r::text LIKE $1 OR r::text LIKE $2", hex, "%"+word+"%"); n != 0 {
				t.Errorf("%q can be read in %s", word, table)
			}
		}
	}
}

func TestSwappedSecretsDoNotOpen(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	a, b := f.add(t, alice, totp("A", "a")), f.add(t, alice, totp("B", "b"))
	pgtest.Exec(t, f.db.SuperConn, "UPDATE avtotpy.accounts a SET sealed_secret = b.sealed_secret, version = "+
		"a.version + 1 FROM avtotpy.accounts b WHERE a.id = '"+a.ID.String()+"' AND b.id = '"+b.ID.String()+"'")
	if got, err := f.As(alice, here()).Account(t.Context(), a.ID); err != nil || !got.Damaged || got.Secret != nil {
		t.Errorf("got %#v, %v; want a damaged one", got.Key, err)
	}
}

func TestMasterKeysAreCheckedAndRotated(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	alice := f.alice(t)
	account := f.add(t, alice, totp("Example", "a"))
	check := func(keys ...string) error { return open(t, f.db, keys...).CheckMasterKeys(t.Context()) }

	wrong, ok := errors.AsType[*store.WrongKeyError](check(keyring.Generate("k1")))
	if !ok || wrong.ID != "k1" {
		t.Errorf("another key under the same id: %v", wrong)
	}
	missing, ok := errors.AsType[*keyring.MissingKeyError](check(keyring.Generate("k2")))
	if !ok || missing.ID != "k1" {
		t.Errorf("only a new key: %v", missing)
	}
	if n := pgtest.Value[int](t, f.db.SuperConn, "SELECT count(*) FROM avtotpy.master_keys"); n != 1 {
		t.Errorf("%d master keys are registered after failed checks, want 1", n)
	}

	newLine := keyring.Generate("k3")
	both := open(t, f.db, newLine, f.line)
	if err := both.CheckMasterKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := pgtest.Value[string](t, f.db.SuperConn, "SELECT string_agg(a::text, ',') FROM avtotpy.accounts a")
	if n, err := both.RotateKeys(t.Context()); n != 1 || err != nil {
		t.Fatalf("resealed %d, %v", n, err)
	}
	if n, err := both.RotateKeys(t.Context()); n != 0 || err != nil {
		t.Errorf("rotating again resealed %d, %v", n, err)
	}
	if after := pgtest.Value[string](t, f.db.SuperConn,
		"SELECT string_agg(a::text, ',') FROM avtotpy.accounts a"); after != before {
		t.Error("rotating touched an account")
	}
	onlyNew := open(t, f.db, newLine)
	if err := onlyNew.CheckMasterKeys(t.Context()); err != nil {
		t.Errorf("the old key is not needed any more, but: %v", err)
	}
	if got, err := onlyNew.As(alice, here()).Account(t.Context(), account.ID); err != nil ||
		string(got.Secret) != "seed of a" {
		t.Errorf("after the rotation: %v, %v", got, err)
	}
}
