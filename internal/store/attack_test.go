package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/sqlstate"
	"github.com/avtotpy/avtotpy/internal/store"
)

// These tests are the claim that SQL as the web role alone reads no code. The attacker may send any SQL as that role,
// name any user and the operator, has kept what was in the tables at any time, is the user Bob, and has tokens that
// were Alice's once.

// A scene is a database with what an attacker wants and has.
type scene struct {
	fixture
	alice, bob    store.User
	first, second store.Account // hers; the second one counts
	bobs          store.Account
	bobToken      string
	bobSession    store.Session
	hers          store.Session
	herOldToken   string
	conn          *pgx.Conn // of the web role
}

const forged = "forged" // a token of the attacker's making

func newScene(t *testing.T) scene {
	t.Helper()
	s := scene{fixture: fresh(t)}
	s.alice = s.fixture.alice(t)
	bob, _, err := s.CreateUser(t.Context(), "Bob", "hash of Bob", store.Operator{})
	if err != nil {
		t.Fatal(err)
	}
	s.bob = bob
	s.first = s.add(t, s.alice, totp("Example", "first"))
	hotp := totp("Example", "second")
	hotp.Kind = "hotp"
	s.second = s.add(t, s.alice, hotp)
	s.bobs = s.add(t, bob, totp("Example", "bobs"))
	s.herOldToken, s.hers = s.login(t, s.alice)
	s.bobToken, s.bobSession = s.login(t, bob)
	s.conn = s.db.Connect(t, s.db.WebConn)
	// What the attacker keeps for later.
	s.exec(t, "CREATE TEMPORARY TABLE kept_accounts AS SELECT * FROM avtotpy.accounts")
	s.exec(t, "CREATE TEMPORARY TABLE kept_keys AS SELECT * FROM avtotpy.vault_keys")
	s.exec(t, "CREATE TEMPORARY TABLE kept_sessions AS SELECT * FROM avtotpy.sessions")
	s.exec(t, "CREATE TEMPORARY TABLE kept_members AS SELECT * FROM avtotpy.vault_members")
	s.exec(t, "CREATE TEMPORARY TABLE kept_passwords AS SELECT * FROM avtotpy.passwords")
	for _, user := range []uuid.UUID{s.alice.ID, s.bob.ID} { // row level security shows one user's at a time
		s.mustAs(t, user, "INSERT INTO kept_accounts SELECT * FROM avtotpy.accounts")
	}
	s.mustAs(t, s.alice.ID, "INSERT INTO kept_keys SELECT * FROM avtotpy.vault_keys")
	s.mustAs(t, s.alice.ID, "INSERT INTO kept_members SELECT * FROM avtotpy.vault_members")
	// And what changes since.
	renamed := "Renamed"
	if _, err := s.As(s.alice, here()).UpdateAccount(t.Context(), s.first.ID,
		store.AccountChange{Issuer: &renamed}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.As(s.alice, here()).Unlock(t.Context(), s.hers, s.password(t, s.alice),
		store.Attempt{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rehash(t.Context(), s.alice.ID, s.password(t, s.alice), "newest hash"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s scene) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := s.conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// as runs a statement with a user named to row level security, and the operator.
func (s scene) as(t *testing.T, user uuid.UUID, sql string) (int64, error) {
	t.Helper()
	var rows int64
	err := pgx.BeginFunc(t.Context(), s.conn, func(tx pgx.Tx) error {
		const name = "SELECT set_config('avtotpy.user_id', $1, true), set_config('avtotpy.operator', 'on', true)"
		if _, err := tx.Exec(t.Context(), name, user.String()); err != nil {
			return err
		}
		tag, err := tx.Exec(t.Context(), s.fill(sql))
		rows = tag.RowsAffected()
		return err
	})
	return rows, err
}

func (s scene) fill(sql string) string {
	return strings.NewReplacer("%alice", s.alice.ID.String(), "%bob", s.bob.ID.String(), "%first", s.first.ID.String(),
		"%second", s.second.ID.String(),
		"%bobs", s.bobs.ID.String(), "%hers", s.first.VaultID.String(), "%his", s.bobs.VaultID.String(),
		"%hersession", s.hers.ID.String(), "%hissession", s.bobSession.ID.String()).Replace(sql)
}

func (s scene) mustAs(t *testing.T, user uuid.UUID, sql string) {
	t.Helper()
	if n, err := s.as(t, user, sql); err != nil || n == 0 {
		t.Fatalf("%s: %d rows, %v", s.fill(sql), n, err)
	}
}

// holds fails when the attacker reads a code of Alice's, or she is shown a wrong one.
func (s scene) holds(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	hers := func(who string, accounts []store.Account) {
		for _, a := range accounts {
			if strings.HasPrefix(string(a.Secret), "seed of first") ||
				strings.HasPrefix(string(a.Secret), "seed of second") {
				t.Errorf("%s reads the codes of %s", who, a.ID)
			}
		}
	}
	for name, token := range map[string]string{
		"a forged token": forged, "Bob's token": s.bobToken,
		"her old token": s.herOldToken,
	} {
		session, accounts, err := s.Codes(ctx, token, nil)
		hers(name, accounts)
		if err == nil && session.User.ID == s.alice.ID {
			t.Errorf("%s is a session of Alice's", name)
		}
	}
	accounts, err := s.As(s.bob, here()).Accounts(ctx)
	if err == nil {
		hers("Bob", accounts)
	}
	for _, a := range []store.Account{s.first, s.second} {
		if got, err := s.As(s.bob, here()).Account(ctx, a.ID); err == nil {
			hers("Bob", []store.Account{got})
		}
		if _, err := s.As(s.bob, here()).AdvanceCounter(ctx, a.ID); err == nil {
			t.Errorf("Bob gets a code of %s", a.ID)
		}
	}
	for _, name := range []string{"Alice", "Bob"} {
		user, password, err := s.UserByName(ctx, name)
		if err == nil && (user.Name != name ||
			!slices.Contains([]string{"", "newest hash", "hash of Bob"}, password.Hash) || name == "Alice" &&
			password.Hash == "hash of Bob") {
			t.Errorf("%s, found as %s, has the password %q", name, user.Name, password.Hash)
		}
	}
	shown, err := s.As(s.alice, here()).Accounts(ctx)
	if err != nil {
		return // she sees nothing, which is not what this is about
	}
	for _, a := range shown {
		want := map[uuid.UUID]string{s.first.ID: "Renamed first", s.second.ID: "Example second"}[a.ID]
		right := a.Issuer+" "+a.Account == want && a.Digits == 6 && a.Period == 30 && a.Algorithm == "SHA1" &&
			string(a.Secret) == "seed of "+a.Account &&
			(a.Kind == "hotp") == (a.ID == s.second.ID)
		if !a.Damaged && !right {
			t.Errorf("%s is shown as %#v with the secret %q", a.ID, a.Key, a.Secret)
		}
	}
}

const (
	accountContent = `kind, algorithm, digits, period, sealed_secret, sealed_issuer, sealed_name, sealed_note,
		version, generation`
	accountColumns = `id, vault_id, submission, ` + accountContent
	insertSession  = `INSERT INTO avtotpy.sessions (id, user_id, token_hash, address, agent, expires_at, mac) SELECT `
	insertAccounts = `INSERT INTO avtotpy.accounts (` + accountColumns + `) SELECT `
	addMember      = `INSERT INTO avtotpy.vault_members (vault_id, user_id, role, mac) SELECT `
	addKey         = `INSERT INTO avtotpy.vault_keys (vault_id, generation, master_key_id, sealed_key) SELECT `
	addPassword    = `INSERT INTO avtotpy.passwords (user_id, version, sealed) SELECT `
)

// An attack is SQL of the attacker's, sent in the name of Alice, or of Bob where that is said.
type attack struct {
	writes  string   // what it is about: verbs on columns, on a table or on a function
	sql     []string // accepted, and of no use
	refused string   // the last statement's SQLSTATE, where it is refused
	asBob   bool
}

func attacks() map[string]attack {
	return map[string]attack{
		"a session with a token of one's own": {
			writes: "INSERT sessions.id, INSERT sessions.user_id, INSERT sessions.token_hash, INSERT " +
				"sessions.address, INSERT sessions.agent, INSERT sessions.expires_at, INSERT sessions.mac",
			sql: []string{insertSession +
				`gen_random_uuid(), '%alice', sha256('forged'), NULL, '', now() + interval '12 hours', sha256('x')`},
		},
		"a session without a MAC": {sql: []string{insertSession +
			`gen_random_uuid(), '%alice', sha256('forged'), NULL, '', now() + interval '12 hours', NULL`}},
		"a session of ten years": {
			sql: []string{insertSession +
				`gen_random_uuid(), '%alice', sha256('forged'), NULL, '', now() + interval '10 years', NULL`},
			refused: sqlstate.CheckViolation,
		},
		"Bob's session becomes hers": {
			writes: "DELETE sessions",
			sql: []string{`DELETE FROM avtotpy.sessions WHERE user_id = '%bob'`, insertSession +
				`id, '%alice', token_hash, address, agent, now() + interval '12 hours', mac
				FROM kept_sessions WHERE user_id = '%bob'`},
		},
		"her session gets Bob's token": {
			writes: "UPDATE sessions.token_hash, UPDATE sessions.mac, UPDATE sessions.version, UPDATE " +
				"sessions.last_seen_at",
			sql: []string{
				`DELETE FROM avtotpy.sessions WHERE user_id = '%bob'`,
				`UPDATE avtotpy.sessions s
				SET token_hash = k.token_hash, mac = k.mac, version = s.version + 1, last_seen_at = now()
				FROM kept_sessions k WHERE k.user_id = '%bob' AND s.user_id = '%alice'`,
			},
		},
		"her session gets its old token back": {
			sql: []string{
				`UPDATE avtotpy.sessions s SET token_hash = k.token_hash, mac = k.mac, version = 1
				FROM kept_sessions k WHERE k.user_id = '%alice' AND s.user_id = '%alice'`,
			},
			refused: sqlstate.CheckViolation,
		},
		"her session gets its old token back, as a later one": {
			sql: []string{
				`UPDATE avtotpy.sessions s SET token_hash = k.token_hash, mac = k.mac, version = s.version + 1
				FROM kept_sessions k WHERE k.user_id = '%alice' AND s.user_id = '%alice'`,
			},
		},
		"her session from before its token was replaced": {
			sql: []string{`DELETE FROM avtotpy.sessions WHERE user_id = '%alice'`, insertSession +
				`id, user_id, token_hash, address, agent, expires_at, mac FROM kept_sessions WHERE user_id = '%alice'`},
		},
		"a session that was there before the upgrade": {
			sql: []string{
				`INSERT INTO avtotpy.unauthenticated_sessions
				SELECT gen_random_uuid(), '%alice', sha256('forged'), now(), now() + interval '1 hour'`,
			}, refused: sqlstate.InsufficientPrivilege,
		},
		"Bob as a member": {
			writes: "INSERT vault_members.vault_id, INSERT vault_members.user_id, INSERT vault_members.role, INSERT " +
				"vault_members.mac",
			sql: []string{addMember + `'%hers', '%bob', 'owner', mac FROM kept_members WHERE user_id = '%bob'`},
		},
		"Bob as a member, with her MAC": {sql: []string{addMember +
			`'%hers', '%bob', 'owner', mac FROM kept_members WHERE user_id = '%alice'`}},
		"Bob as a member, with a MAC that comes later": {
			writes: "UPDATE vault_members.mac",
			sql: []string{
				addMember + `'%hers', '%bob', 'viewer', NULL`,
				`UPDATE avtotpy.vault_members SET mac = (SELECT mac FROM kept_members WHERE user_id = '%alice')
				WHERE vault_id = '%hers' AND user_id = '%bob'`,
			},
		},
		"a member who was there before the upgrade": {
			sql: []string{
				addMember + `'%hers', '%bob', 'owner', NULL`,
				`INSERT INTO avtotpy.unauthenticated_members
				SELECT vault_id, user_id, role, created_at FROM avtotpy.vault_members WHERE user_id = '%bob'`,
			}, refused: sqlstate.InsufficientPrivilege,
		},
		"a password of one's own": {
			writes: "INSERT passwords.user_id, INSERT passwords.version, INSERT passwords.sealed",
			sql:    []string{addPassword + `'%alice', 3, 'forged'`},
		},
		"her password from before": {sql: []string{addPassword +
			`user_id, 3, sealed FROM kept_passwords WHERE user_id = '%alice'`}},
		"Bob's password": {sql: []string{addPassword +
			`'%alice', 3, sealed FROM kept_passwords WHERE user_id = '%bob'`}},
		"a newest password that is gone": {sql: []string{
			`DELETE FROM avtotpy.passwords WHERE user_id = '%alice' AND version = 2`,
		}, refused: sqlstate.InsufficientPrivilege},
		"a password from before the upgrade": {
			sql:     []string{`INSERT INTO avtotpy.unauthenticated_passwords SELECT '%alice', 'forged'`},
			refused: sqlstate.InsufficientPrivilege,
		},
		"Bob is found by her name": {
			writes: "UPDATE users.name_mac",
			sql: []string{
				`CREATE TEMPORARY TABLE names AS SELECT id, name_mac FROM avtotpy.users`,
				`UPDATE avtotpy.users SET name_mac = NULL`,
				`UPDATE avtotpy.users u SET name_mac = n.name_mac FROM names n WHERE n.id <> u.id`,
			},
		},
		"another Alice": {
			writes:  "INSERT users.id, INSERT users.name, INSERT users.name_mac",
			sql:     []string{`INSERT INTO avtotpy.users (id, name, name_mac) SELECT gen_random_uuid(), 'alice', NULL`},
			refused: sqlstate.UniqueViolation,
		},
		"another Alice with her password": {
			sql: []string{
				`INSERT INTO avtotpy.users (id, name, name_mac) SELECT gen_random_uuid(), 'A1ice', sha256('x')`,
				addPassword +
					`u.id, 1, k.sealed FROM avtotpy.users u, kept_passwords k
					WHERE u.name = 'A1ice' AND k.user_id = '%alice'`,
			},
		},
		"secrets that are swapped": {
			writes: "UPDATE accounts.sealed_secret, UPDATE accounts.sealed_issuer, UPDATE accounts.sealed_name, " +
				"UPDATE accounts.sealed_note, UPDATE accounts.version, UPDATE accounts.generation, UPDATE " +
				"accounts.updated_at",
			sql: []string{`UPDATE avtotpy.accounts a
				SET sealed_secret = b.sealed_secret, sealed_issuer = b.sealed_issuer, sealed_name = b.sealed_name,
				sealed_note = b.sealed_note, version = 9, generation = 1, updated_at = now()
				FROM avtotpy.accounts b WHERE a.id <> b.id`},
		},
		"fields that are swapped": {sql: []string{
			`UPDATE avtotpy.accounts
			SET sealed_issuer = sealed_name, sealed_name = sealed_issuer, version = version + 1`,
		}},
		"fields from before": {
			sql: []string{`UPDATE avtotpy.accounts a
				SET sealed_secret = k.sealed_secret, sealed_issuer = k.sealed_issuer, sealed_name = k.sealed_name,
				sealed_note = k.sealed_note, version = a.version + 1 FROM kept_accounts k WHERE k.id = a.id`},
		},
		"fields from before, with their version": {
			sql: []string{
				`UPDATE avtotpy.accounts a SET sealed_issuer = k.sealed_issuer, version = k.version
				FROM kept_accounts k WHERE k.id = a.id`,
			},
			refused: sqlstate.CheckViolation,
		},
		"an account from before": {
			writes: "DELETE accounts, INSERT accounts.id, INSERT accounts.vault_id, INSERT accounts.submission, " +
				"INSERT accounts.kind, INSERT accounts.sealed_secret, " +
				"INSERT accounts.sealed_issuer, INSERT accounts.sealed_name, INSERT accounts.sealed_note, INSERT " +
				"accounts.version, INSERT accounts.generation",
			sql: []string{`DELETE FROM avtotpy.accounts`, insertAccounts + accountColumns +
				` FROM kept_accounts WHERE vault_id = '%hers'`},
		},
		"her account in Bob's vault": {
			sql: []string{insertAccounts + `gen_random_uuid(), '%his', submission, ` + accountContent +
				` FROM kept_accounts WHERE vault_id = '%hers'`},
			asBob: true,
		},
		"her key in Bob's vault": {
			writes: "UPDATE vault_keys.sealed_key, UPDATE vault_keys.master_key_id, UPDATE vault_keys.sealed_at",
			sql: []string{
				`UPDATE avtotpy.vault_keys
				SET sealed_key = k.sealed_key, master_key_id = k.master_key_id, sealed_at = now()
				FROM (SELECT * FROM kept_keys WHERE vault_id = '%hers') k WHERE avtotpy.vault_keys.vault_id = '%his'`,
				insertAccounts + `gen_random_uuid(), '%his', submission, ` + accountContent +
					` FROM kept_accounts WHERE vault_id = '%hers'`,
			},
			asBob: true,
		},
		"Bob's key in her vault": {sql: []string{
			`UPDATE avtotpy.vault_keys v SET sealed_key = k.sealed_key
			FROM kept_keys k WHERE k.vault_id = '%his' AND v.vault_id = '%hers'`,
		}},
		"a key of one's own": {
			writes: "INSERT vault_keys.vault_id, INSERT vault_keys.generation, INSERT vault_keys.master_key_id, " +
				"INSERT vault_keys.sealed_key",
			sql: []string{addKey + `'%hers', 2, 'k1', decode(repeat('02', 61), 'hex')`},
		},
		"her key as the next one": {sql: []string{addKey +
			`vault_id, 2, master_key_id, sealed_key FROM kept_keys WHERE vault_id = '%hers'`}},
		"Bob's key as her next one": {sql: []string{addKey +
			`'%hers', 2, master_key_id, sealed_key FROM kept_keys WHERE vault_id = '%his'`}},
		"a key from before the first": {
			sql: []string{addKey +
				`vault_id, 0, master_key_id, sealed_key FROM kept_keys WHERE vault_id = '%hers'`},
			refused: sqlstate.InsufficientPrivilege,
		},
		"no key": {
			writes: "DELETE vault_keys",
			sql: []string{
				`WITH gone AS (DELETE FROM avtotpy.vault_keys RETURNING 1) SELECT 1 / (1 - count(*)) FROM gone`,
			},
		},
		"another authentication key": {
			writes: "UPDATE authentication_key.sealed_key, UPDATE authentication_key.master_key_id, UPDATE " +
				"authentication_key.sealed_at",
			sql: []string{
				`UPDATE avtotpy.authentication_key
				SET sealed_key = k.sealed_key, master_key_id = k.master_key_id, sealed_at = now()
				FROM kept_keys k WHERE vault_id = '%his'`,
			},
		},
		"a second authentication key": {
			writes:  "INSERT authentication_key.master_key_id, INSERT authentication_key.sealed_key",
			sql:     []string{`INSERT INTO avtotpy.authentication_key (master_key_id, sealed_key) VALUES ('k1', '')`},
			refused: sqlstate.UniqueViolation,
		},
		"a second personal vault": {
			writes: "INSERT vaults.id, INSERT vaults.personal_of, INSERT vaults.name",
			sql: []string{
				`INSERT INTO avtotpy.vaults (id, personal_of, name) VALUES (gen_random_uuid(), '%alice', '')`,
			},
			refused: sqlstate.UniqueViolation,
		},
		"another counter": {
			writes: "UPDATE hotp_counters.counter, INSERT hotp_counters.account_id, INSERT hotp_counters.counter",
			sql: []string{
				`UPDATE avtotpy.hotp_counters SET counter = 0`,
				`INSERT INTO avtotpy.hotp_counters (account_id, counter) VALUES ('%first', 7)`,
			},
		},
		"other digits": {
			writes: "UPDATE accounts.digits",
			sql:    []string{`UPDATE avtotpy.accounts SET digits = 4, version = version + 1`},
		},
		"other kind": {
			writes: "UPDATE accounts.kind",
			sql:    []string{`UPDATE avtotpy.accounts SET kind = 'steam', version = version + 1`},
		},
		"other period": {
			writes: "UPDATE accounts.period",
			sql:    []string{`UPDATE avtotpy.accounts SET period = 86400, version = version + 1`},
		},
		"other algorithm": {
			writes: "UPDATE accounts.algorithm",
			sql:    []string{`UPDATE avtotpy.accounts SET algorithm = 'MD5', version = version + 1`},
		},
		"other digits with the same version": {
			sql:     []string{`UPDATE avtotpy.accounts SET digits = 4`},
			refused: sqlstate.CheckViolation,
		},
		"other digits on the way to the trash": {
			sql:     []string{`UPDATE avtotpy.accounts SET digits = 4, deleted_at = now()`},
			refused: sqlstate.CheckViolation,
		},
		"other digits of an account that is added again":    again("digits", "4"),
		"other period of an account that is added again":    again("period", "86400"),
		"other algorithm of an account that is added again": again("algorithm", "'MD5'"),
		"other kind of an account that is added again":      again("kind", "'totp'"),
		"an account from before the upgrade": {
			sql: []string{
				`INSERT INTO avtotpy.unauthenticated_accounts
				SELECT vault_id, id, kind, algorithm, 4, period, created_at FROM avtotpy.accounts`,
			},
			refused: sqlstate.InsufficientPrivilege,
		},
	}
}

// again deletes her accounts and adds them again, with another value of a column.
func again(column, value string) attack {
	columns := strings.Replace(accountColumns, column, value, 1)
	return attack{writes: "INSERT accounts." + column, sql: []string{
		`CREATE TEMPORARY TABLE now_accounts AS SELECT * FROM avtotpy.accounts`, `DELETE FROM avtotpy.accounts`,
		insertAccounts + columns + ` FROM now_accounts WHERE vault_id = '%hers'`,
	}}
}

// harmless is what the web role may write, and why that reads no code.
func harmless() map[string]string {
	const (
		waits  = "decides how long somebody waits, and not who they are"
		copies = "what a migration copied; without it there is less to believe"
	)
	return map[string]string{
		"INSERT login_throttle": waits, "UPDATE login_throttle": waits, "DELETE login_throttle": waits,
		"INSERT devices": waits, "UPDATE devices": waits, "DELETE devices": waits,
		"UPDATE accounts.deleted_at":       "moves an account to the trash, or out of it; it may be deleted, too",
		"INSERT audit_log":                 "tells what happened",
		"INSERT master_keys":               "check values; a wrong one stops a start",
		"DELETE unauthenticated_passwords": copies, "DELETE unauthenticated_sessions": copies,
		"DELETE unauthenticated_members": copies, "DELETE unauthenticated_accounts": copies,
	}
}

func TestSQLAsTheWebRoleAloneReadsNoCode(t *testing.T) {
	t.Parallel()
	t.Run("without an attack", func(t *testing.T) {
		t.Parallel()
		s := newScene(t)
		if accounts, err := s.As(s.alice, here()).Accounts(t.Context()); err != nil || len(accounts) != 2 ||
			accounts[0].Damaged || accounts[1].Damaged {
			t.Errorf("Alice has %v, %v", accounts, err)
		}
		s.holds(t)
	})
	for name, a := range attacks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			user := s.alice.ID
			if a.asBob {
				user = s.bob.ID
			}
			for i, sql := range a.sql {
				n, err := s.as(t, user, sql)
				switch last := i == len(a.sql)-1; {
				case last && a.refused != "":
					if sqlstate.Of(err) != a.refused {
						t.Errorf("%s: got %v, want %s", s.fill(sql), err, a.refused)
					}
				case err != nil || n == 0:
					t.Fatalf("%s: reached %d rows, %v; then the attack is none", s.fill(sql), n, err)
				}
			}
			s.holds(t)
			// A server that starts now believes no more than one that runs.
			s.Store = open(t, s.db, s.line)
			err := s.CheckMasterKeys(t.Context())
			if _, stopped := errors.AsType[*store.KeyError](err); stopped {
				return
			}
			if _, err := s.Authenticate(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.holds(t)
			if _, err := s.RotateDataKeys(t.Context(), quietly); err != nil && !errors.Is(err, keyring.ErrSealBroken) {
				t.Error(err)
			}
			s.holds(t)
		})
	}
}

// TestEachWriteOfTheWebRoleIsDecidedOn fails when the role may write something new that no attack tries.
func TestEachWriteOfTheWebRoleIsDecidedOn(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	decided := map[string]bool{}
	for _, a := range attacks() {
		for what := range strings.SplitSeq(a.writes, ", ") {
			decided[what] = true
		}
	}
	for what := range harmless() {
		decided[what] = true
	}
	const writes = `
		SELECT privilege_type || ' ' || table_name, '.' || column_name FROM information_schema.column_privileges
		WHERE table_schema = 'avtotpy' AND grantee = $1 AND privilege_type IN ('INSERT', 'UPDATE')
		UNION ALL
		SELECT privilege_type || ' ' || table_name, '' FROM information_schema.table_privileges
		WHERE table_schema = 'avtotpy' AND grantee = $1 AND privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE')`
	rows, _ := f.db.Connect(t, f.db.SuperConn).Query(t.Context(), writes, f.db.WebRole) // ForEachRow returns the error
	var table, column string
	tag, err := pgx.ForEachRow(rows, []any{&table, &column}, func() error {
		if !decided[table] && !decided[table+column] {
			t.Errorf("the web role may %s%s: add an attack that tries it, or say in harmless why it reads no code",
				table, column)
		}
		return nil
	})
	if err != nil || tag.RowsAffected() < 50 {
		t.Errorf("%d privileges, %v", tag.RowsAffected(), err)
	}
}

// TestAReplacedDataKeyDoesNotComeBack: who has the old one, and SQL, makes no vault use it again.
func TestAReplacedDataKeyDoesNotComeBack(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	if _, err := s.RotateDataKeys(t.Context(), quietly); err != nil {
		t.Fatal(err)
	}
	if _, err := s.as(t, s.alice.ID, addKey+
		`vault_id, generation, master_key_id, sealed_key FROM kept_keys WHERE vault_id = '%hers'`); sqlstate.Of(
		err) != sqlstate.InsufficientPrivilege {
		t.Errorf("the old key comes back: %v", err)
	}
	if n, err := s.as(t, s.alice.ID, `DELETE FROM avtotpy.vault_keys`); n != 0 || err != nil {
		t.Errorf("%d of the newest keys are deleted, %v", n, err)
	}
	_, _ = s.as(t, s.alice.ID, `
		UPDATE avtotpy.vault_keys v SET sealed_key = k.sealed_key
		FROM kept_keys k WHERE k.vault_id = v.vault_id`) // what follows counts
	s.holds(t)
	if _, _, err := s.As(s.alice, here()).CreateAccount(t.Context(), totp("New", "new")); !errors.Is(err,
		keyring.ErrSealBroken) {
		t.Errorf("the old key in the place of the new one seals: %v", err)
	}
}

// TestTheFirstConstructionIsNotAcceptedAgain: what an attacker kept from before the upgrade, with all that was known
// then.
func TestTheFirstConstructionIsNotAcceptedAgain(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.db.Upgrade(t)
	s := open(t, p.db, p.line)
	web := p.db.Connect(t, p.db.WebConn)
	as := "SELECT set_config('avtotpy.user_id', '" + p.alice.String() + "', false)"
	for _, sql := range []string{as, "CREATE TEMPORARY TABLE kept AS SELECT * FROM avtotpy.accounts"} {
		if _, err := web.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CheckMasterKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.keepsEverything(t, s)
	for _, sql := range []string{
		"DELETE FROM avtotpy.accounts",
		insertAccounts + strings.Replace(accountColumns, "digits", "4", 1) + " FROM kept",
	} {
		if tag, err := web.Exec(t.Context(), sql); err != nil || tag.RowsAffected() != 2 {
			t.Fatalf("%s: %v, %v", sql, tag, err)
		}
	}
	if _, err := s.Authenticate(t.Context()); err != nil {
		t.Fatal(err)
	}
	accounts, err := s.As(store.User{ID: p.alice, CreatedAt: time.Now()}, here()).Accounts(t.Context())
	if err != nil || len(accounts) != 2 {
		t.Fatalf("%d accounts, %v", len(accounts), err)
	}
	for _, a := range accounts {
		if !a.Damaged {
			t.Errorf("%s opens, with %d digits", a.ID, a.Digits)
		}
	}
}
