package store_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/store"
)

// A past is a database at version 11 with what a program of then wrote, and a master key. It is written
// with the operations that the program had, as bytes that no later change of this one alters.
type past struct {
	db    *pgtest.DB
	line  string // the master key
	alice uuid.UUID
	vault uuid.UUID
	key   []byte // of the vault
	token string // of her session
}

func sealedThen(t *testing.T, key, plaintext []byte, place string) string {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`'\x01%x'`, aead.Seal(nil, nil, plaintext, []byte(place)))
}

func newPast(t *testing.T) past {
	t.Helper()
	p := past{
		db: pgtest.At(t, 11), line: keyring.Generate("k1"), alice: uuid.New(), vault: uuid.New(),
		key: make([]byte, 32), token: "her token",
	}
	copy(p.key, p.vault.String())
	raw, err := base64.StdEncoding.DecodeString(p.line[len("k1:"):])
	if err != nil {
		t.Fatal(err)
	}
	derived := func(use string) []byte {
		key, err := hkdf.Key(sha256.New, raw, nil, "avtotpy "+use, 32)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	p.exec(t,
		fmt.Sprintf(`INSERT INTO avtotpy.master_keys (id, check_value) VALUES ('k1', '\x%x')`, derived("check value")),
		`INSERT INTO avtotpy.users (id, name, password_hash) VALUES ('%alice', 'Alice', 'hash of Alice')`,
		fmt.Sprintf(
			`INSERT INTO avtotpy.sessions (id, user_id, token_hash, agent, expires_at)
				VALUES ('%s', '%%alice', '\x%x', 'Then/1.0', now() + interval '11 hours')`,
			uuid.New(), sha256.Sum256([]byte(p.token))),
		`INSERT INTO avtotpy.vaults (id, personal_of, name) VALUES ('%vault', '%alice', '')`,
		`INSERT INTO avtotpy.vault_members (vault_id, user_id, role) VALUES ('%vault', '%alice', 'owner')`,
		`INSERT INTO avtotpy.vault_keys (vault_id, master_key_id, sealed_key) VALUES ('%vault', 'k1', `+
			sealedThen(t, derived("vault keys"), p.key, p.vault.String())+`)`)
	p.addAccount(t, "a", "totp")
	p.addAccount(t, "b", "hotp")
	return p
}

func (p past) exec(t *testing.T, statements ...string) {
	t.Helper()
	for i := range statements {
		statements[i] = strings.NewReplacer("%alice", p.alice.String(), "%vault",
			p.vault.String()).Replace(statements[i])
	}
	pgtest.Exec(t, p.db.SuperConn, statements...)
}

func (p past) addAccount(t *testing.T, name, kind string) {
	t.Helper()
	id := uuid.New()
	field := func(column, text string) string { return sealedThen(t, p.key, []byte(text), id.String()+"/"+column) }
	p.exec(t, fmt.Sprintf(`INSERT INTO avtotpy.accounts (id, vault_id, submission, kind, algorithm, digits, period,
			sealed_secret, sealed_issuer, sealed_name, sealed_note)
		VALUES ('%s', '%%vault', gen_random_uuid(), '%s', 'SHA256', 8, 60, %s, %s, %s, %s)`, id, kind,
		field("secret", "seed of "+name), field("issuer", "Example"), field("name", name),
		field("note", "note of "+name)))
	if kind == "hotp" {
		p.exec(t, fmt.Sprintf(`INSERT INTO avtotpy.hotp_counters (account_id, counter) VALUES ('%s', 7)`, id))
	}
}

// keepsEverything fails when something that was there is not there any more.
func (p past) keepsEverything(t *testing.T, s *store.Store) {
	t.Helper()
	user, password, err := s.UserByName(t.Context(), " aLICE")
	if err != nil || user.ID != p.alice || password.Hash != "hash of Alice" {
		t.Errorf("the user: %+v, %q, %v", user, password.Hash, err)
	}
	session, err := s.Session(t.Context(), p.token)
	if err != nil || session.User.ID != p.alice || session.Agent != "Then/1.0" {
		t.Errorf("the session: %+v, %v", session, err)
	}
	accounts, err := s.As(user, here()).Accounts(t.Context())
	if err != nil || len(accounts) != 2 {
		t.Fatalf("%d accounts, %v", len(accounts), err)
	}
	slices.SortFunc(accounts, func(a, b store.Account) int { return strings.Compare(a.Account, b.Account) })
	for i, name := range []string{"a", "b"} {
		a := accounts[i]
		if a.Account != name || a.Issuer != "Example" || a.Note != "note of "+name || string(a.Secret) != "seed of "+
			name || a.Digits != 8 || a.Period != 60 || a.Algorithm != "SHA256" {
			t.Errorf("account %s is %#v", name, a.Key)
		}
	}
	if accounts[1].Counter != 7 {
		t.Errorf("the counter is %d", accounts[1].Counter)
	}
	if _, err := s.LogIn(t.Context(), store.Login{User: user, Checked: password, From: here()}); err != nil {
		t.Errorf("a login: %v", err)
	}
}

func (p past) leftovers(t *testing.T) (n int) {
	t.Helper()
	for _, table := range []string{
		"unauthenticated_passwords", "unauthenticated_sessions", "unauthenticated_members",
		"unauthenticated_accounts",
	} {
		n += pgtest.Value[int](t, p.db.SuperConn, "SELECT count(*)::int FROM avtotpy."+table)
	}
	return n
}

func TestNothingIsLostInTheUpgrade(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.db.Upgrade(t)
	s := open(t, p.db, p.line)
	if err := s.CheckMasterKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Session(t.Context(), p.token); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a session that nothing proves yet: %v", err)
	}
	if n, err := s.Authenticate(t.Context()); err != nil || n == 0 {
		t.Fatalf("authenticated %d, %v", n, err)
	}
	p.keepsEverything(t, s)
	if n := p.leftovers(t); n != 0 {
		t.Errorf("%d rows are left to authenticate", n)
	}
	if n, err := s.Authenticate(t.Context()); err != nil || n != 0 {
		t.Errorf("a second time authenticated %d, %v", n, err)
	}
}

// TestReplicasUpgradeTogether starts several, as after a migration in a job of its own.
func TestReplicasUpgradeTogether(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.exec(t, // more than one transaction takes
		`INSERT INTO avtotpy.users (id, name, password_hash)
			SELECT gen_random_uuid(), 'user ' || n, 'x' FROM generate_series(1, 1200) n`,
		`INSERT INTO avtotpy.sessions (id, user_id, token_hash, agent, expires_at)
			SELECT gen_random_uuid(), id, sha256(id::text::bytea), '', now() + interval '1 hour' FROM avtotpy.users`)
	p.db.Upgrade(t)
	replicas := make([]*store.Store, 4)
	var wg sync.WaitGroup
	for i := range replicas {
		replicas[i] = open(t, p.db, p.line)
		wg.Go(func() {
			if err := replicas[i].CheckMasterKeys(context.Background()); err != nil {
				t.Error(err)
			}
			if _, err := replicas[i].Authenticate(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := p.leftovers(t); n != 0 {
		t.Errorf("%d rows are left to authenticate", n)
	}
	if n := pgtest.Value[int](t, p.db.SuperConn, "SELECT count(*)::int FROM avtotpy.authentication_key"); n != 1 {
		t.Errorf("%d authentication keys", n)
	}
	for _, s := range replicas {
		p.keepsEverything(t, s)
	}
	if n := pgtest.Value[int](t, p.db.SuperConn,
		"SELECT count(*)::int FROM avtotpy.sessions WHERE mac IS NOT NULL"); n < 1200 {
		t.Errorf("%d sessions are authenticated", n)
	}
}

// TestNamesThatDifferInCaseAlone may be there where the database's locale is C.
func TestNamesThatDifferInCaseAlone(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.exec(t, `DROP INDEX avtotpy.users_name_key`,
		`CREATE UNIQUE INDEX users_name_key ON avtotpy.users (lower(name COLLATE "C"))`,
		`INSERT INTO avtotpy.users (id, name, password_hash)
			VALUES (gen_random_uuid(), 'Ärzte', 'x'), (gen_random_uuid(), 'ärzte', 'x')`)
	p.db.Upgrade(t)
	s := open(t, p.db, p.line)
	if err := s.CheckMasterKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Ärzte", "ärzte"} {
		if user, _, err := s.UserByName(t.Context(), name); err != nil || user.Name != name {
			t.Errorf("%s: found %q, %v", name, user.Name, err)
		}
	}
}

// TestAccountsFromBefore0015 are copied with what their codes depended on, and bound to the first key of their vault.
func TestAccountsFromBefore0015(t *testing.T) {
	t.Parallel()
	db := pgtest.At(t, 14)
	pgtest.Exec(t, db.SuperConn, `
		INSERT INTO avtotpy.master_keys (id, check_value) VALUES ('k1', sha256(''));
		INSERT INTO avtotpy.vaults (id, name) VALUES ('00000000-0000-0000-0000-000000000001', '');
		INSERT INTO avtotpy.vault_keys (vault_id, master_key_id, sealed_key)
			VALUES ('00000000-0000-0000-0000-000000000001', 'k1', '');
		INSERT INTO avtotpy.accounts (id, vault_id, submission, kind, algorithm, digits, period,
			sealed_secret, sealed_issuer, sealed_name, sealed_note)
		SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000001', gen_random_uuid(), 'totp', 'SHA256', 8, 60,
			'', '', '', ''`)
	db.Upgrade(t)
	const copied = `
		SELECT count(*)
		FROM avtotpy.accounts a
		JOIN avtotpy.unauthenticated_accounts u ON u.account_id = a.id AND u.vault_id = a.vault_id
		JOIN avtotpy.vault_keys k ON k.vault_id = a.vault_id AND k.generation = a.generation
		WHERE a.version = 0 AND a.generation = 1 AND u.created_at = a.created_at
			AND (u.kind, u.algorithm, u.digits, u.period) = ('totp', 'SHA256', 8, 60)`
	if n := pgtest.Value[int](t, db.SuperConn, copied); n != 1 {
		t.Errorf("%d accounts are copied as they were, want 1", n)
	}
}

// TestEachMigrationOfWhatIsThereIsTried fails for a migration, from the first that changed what people already had,
// that no test here brings an older database to.
func TestEachMigrationOfWhatIsThereIsTried(t *testing.T) {
	t.Parallel()
	const first = 12
	tests, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range tests {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(source)
	}
	migrations, err := filepath.Glob("../schema/migrations/0*.sql")
	if err != nil || len(migrations) < first {
		t.Fatalf("%d migrations, %v", len(migrations), err)
	}
	for n := first; n <= len(migrations); n++ {
		if !strings.Contains(all.String(), fmt.Sprintf("pgtest.At(t, %d)", n-1)) {
			t.Errorf("no test brings a database from %d to %s", n-1, migrations[n-1])
		}
	}
}
