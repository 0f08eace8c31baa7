package store_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/store"
)

// opposite turns around everything that is pinned; a setting without one fails the test.
func opposite() map[string]string {
	return map[string]string{
		"lock_timeout": "1h", "statement_timeout": "2h", "idle_in_transaction_session_timeout": "3h",
		"row_security": "off", "search_path": "avtotpy, public, pg_catalog", "IntervalStyle": "sql_standard",
		"bytea_output": "escape", "extra_float_digits": "-15", "DateStyle": "SQL, DMY",
		"TimeZone":        "Pacific/Kiritimati",
		"client_encoding": "LATIN1", "standard_conforming_strings": "off",
		"default_transaction_isolation": "serializable", "default_transaction_deferrable": "on",
		"quote_all_identifiers": "on", "transform_null_equals": "on", "array_nulls": "off", "backslash_quote": "off",
	}
}

// pinnedPool is a pool as the program makes it.
func pinnedPool(t *testing.T, conn string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(conn)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(conn, "default_query_exec_mode") {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	store.Pin(config)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func TestSettingsOfAServerChangeNothingForTheWebServer(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"database", "role in database", "connection string", "pooler", "texts"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Migrated(t)
			conn := db.WebConn
			for name, value := range opposite() {
				quoted := "'" + value + "'"
				if name == "search_path" {
					quoted = value
				}
				switch by {
				case "role in database":
					pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.WebRole+" IN DATABASE "+db.Name+" SET "+name+" = "+
						quoted)
				case "connection string":
					conn += " " + strings.ToLower(name) + "='" + value + "'"
				default:
					pgtest.Exec(t, db.SuperConn, "ALTER DATABASE "+db.Name+" SET "+name+" = "+quoted)
				}
			}
			switch by {
			case "pooler":
				conn = pgtest.PgBouncer(t, 2, map[string]string{"d": db.WebConn})["d"]
			case "texts":
				conn += " default_query_exec_mode=simple_protocol"
			}
			line := keyring.Generate("k1")
			f := fixture{Store: store.New(pinnedPool(t, conn), ring(t, line)), db: db, line: line}
			if err := f.CheckMasterKeys(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.keepsSettings(t)
			f.works(t)
		})
	}
}

// TestATransactionIsForNobodyElse leaves the settings that row level security asks for in the session, as a DBA's ALTER
// ROLE or another client of a pooler does.
func TestATransactionIsForNobodyElse(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	left := map[string]string{}
	for _, name := range store.Acting() {
		left[name] = map[string]string{"avtotpy.user_id": uuid.NewString(), "avtotpy.operator": "on"}[name]
		pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.WebRole+" IN DATABASE "+db.Name+" SET "+name+" = '"+left[name]+
			"'")
	}
	s := store.New(pinnedPool(t, db.WebConn), ring(t, keyring.Generate("k1")))
	if err := s.CheckMasterKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, value := range left {
		seen, err := s.Seen(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for kind, got := range seen {
			want := ""
			switch {
			case name == "avtotpy.operator" && kind == "asOperator":
				want = "on"
			case name == "avtotpy.user_id" && kind != "asOperator":
				want = uuid.Nil.String()
			}
			if value == "" || got != want {
				t.Errorf("%s in %s is %q where the session had %q, want %q", name, kind, got, value, want)
			}
		}
	}
}

func (f fixture) keepsSettings(t *testing.T) {
	t.Helper()
	want := store.Settings()
	want["transaction_isolation"], want["transaction_deferrable"] = "read committed", "off"
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if _, ok := opposite()[name]; !ok && !strings.HasPrefix(name, "transaction_") {
			t.Errorf("the test does not turn %s around", name)
		}
		seen, err := f.Seen(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for kind, got := range seen {
			want := want[name]
			if kind == "inOrder" && name == "transaction_isolation" {
				want = "serializable"
			}
			if got != want {
				t.Errorf("%s in %s is %q, want %q", name, kind, got, want)
			}
		}
	}
}

// works calls what sends values of each type.
func (f fixture) works(t *testing.T) {
	t.Helper()
	const name = "Zoë Ünal €"
	user, _, err := f.CreateFirstUser(t.Context(), name, `a\b'c`, here())
	if err != nil {
		t.Fatal(err)
	}
	stored := pgtest.Value[string](t, f.db.SuperConn+" client_encoding=UTF8", "SELECT name FROM avtotpy.users")
	if got := stored; got != name {
		t.Errorf("the database holds %q", got)
	}
	found, password, err := f.UserByName(t.Context(), name)
	if err != nil || found.ID != user.ID || found.Name != name || password.Hash != `a\b'c` ||
		!found.CreatedAt.Equal(user.CreatedAt) {
		t.Errorf("found %v, %q, %v; want %v", found, password.Hash, err, user)
	}
	made := f.add(t, user, totp("Bäckerei €", "x"))
	got, err := f.As(user, here()).Account(t.Context(), made.ID)
	if err != nil || got.Issuer != "Bäckerei €" || string(got.Secret) != "seed of x" ||
		!got.CreatedAt.Equal(made.CreatedAt) {
		t.Errorf("the account: %v %q %q, %v", got, got.Issuer, got.Secret, err)
	}
	opened, err := f.LogIn(t.Context(),
		store.Login{User: user, Checked: password, From: here(), Attempt: stranger(name)})
	if err != nil {
		t.Fatal(err)
	}
	token, session := opened.Token, opened.Session
	if device, err := f.KnownDevice(t.Context(), user.ID, []string{"x", opened.Device}); err != nil ||
		device == uuid.Nil {
		t.Errorf("the device: %v, %v", device, err)
	}
	if d := session.ExpiresAt.Sub(session.CreatedAt); d != store.SessionLifetime {
		t.Errorf("a session of %v", d)
	}
	if again, err := f.Session(t.Context(), token); err != nil || again.User != session.User || again.Origin != here() {
		t.Errorf("the session: %+v, %v; want %+v", again, err, session)
	}
	for range 4 {
		if wait, err := f.AttemptLogin(t.Context(), stranger(name)); wait != 0 || err != nil {
			t.Errorf("attempt: %v, %v", wait, err)
		}
	}
	if _, err := f.Rehash(t.Context(), user.ID, password, "other"); err != nil {
		t.Error(err)
	}
	if list, err := f.As(user, here()).Sessions(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("sessions: %v, %v", list, err)
	}
	if _, err := f.Session(t.Context(), "unknown"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown token: %v", err)
	}
}

// A query that goes around transaction.go would not have the settings.
func TestEachQueryHasTheSettings(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if name != "transaction.go" && !strings.HasSuffix(name, "_test.go") &&
			strings.Contains(string(text), "s.pool") {
			t.Errorf("%s uses the pool itself", name)
		}
	}
}

// TestTheTableOfSettingsSaysWhatIsPinned holds the decisions of migrate/internal/setting/settings.txt about the
// web server to what its transactions begin with. Those of a transaction itself go with BEGIN.
func TestTheTableOfSettingsSaysWhatIsPinned(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile(filepath.Join("..", "..", "migrate", "internal", "setting", "settings.txt"))
	if err != nil {
		t.Fatal(err)
	}
	decided := map[string]string{}
	for line := range strings.Lines(string(table)) {
		const name, web, count = 0, 4, 6
		columns := strings.Split(line, "|")
		if strings.HasPrefix(line, "#") || len(columns) != count {
			continue
		}
		setting, value := strings.TrimSpace(columns[name]), strings.TrimSpace(columns[web])
		if value != "-" && !strings.HasPrefix(setting, "transaction_") {
			decided[setting] = value
		}
	}
	if got := store.Settings(); !maps.Equal(got, decided) {
		t.Errorf("pinned: %v\ndecided: %v", got, decided)
	}
}
