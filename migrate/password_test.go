package migrate_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
)

// withPassword is the service's connection string with another password.
func withPassword(db *pgtest.DB, password string) string {
	return db.WebConn + " password='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(password) + "'"
}

func logsIn(t *testing.T, conn string) bool {
	t.Helper()
	c, err := pgx.Connect(t.Context(), conn)
	if err == nil {
		_ = c.Close(t.Context())
	}
	return err == nil
}

func TestNoStatementHoldsThePassword(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	pgtest.Exec(t, db.SuperConn, "ALTER DATABASE "+db.Name+" SET log_statement = 'all'", "ALTER DATABASE "+db.Name+
		" SET log_min_error_statement = 'error'")
	m := migrator(t, db, tables(1)...)
	m.Role.Rotate = true
	passwords := []string{"first-" + rand.Text(), "second-" + rand.Text(), "third-" + rand.Text()}

	// A CREATE ROLE that fails: somebody else creates the role in a transaction that ends while ours waits for it.
	m.Role.Password = passwords[0]
	blocker := db.Connect(t, db.SuperConn)
	if _, err := blocker.Exec(t.Context(), "BEGIN; CREATE ROLE "+db.WebRole+" LOGIN"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { _, err := m.Up(context.Background(), db.MigratorConn); done <- err }()
	pgtest.EventuallyValue(t, db.SuperConn,
		"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')",
		true)
	if _, err := blocker.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "does not bear the mark") {
		t.Fatalf("got %v, and the role is somebody else's", err)
	}
	pgtest.Exec(t, db.SuperConn, "DROP OWNED BY "+db.WebRole, "DROP ROLE "+db.WebRole)

	m.Role.Password = passwords[1]
	if report := up(t, m, db.MigratorConn); !report.RoleCreated {
		t.Fatalf("report %+v, want that the role was created", report)
	}
	m.Role.Password = passwords[2]
	if report := up(t, m, db.MigratorConn); !report.PasswordSet {
		t.Fatalf("report %+v, want that the password was set", report)
	}
	if !logsIn(t, withPassword(db, passwords[2])) {
		t.Error("the new password does not log in")
	}
	log := pgtest.ServerLog(t)
	for _, must := range []string{
		"statement: BEGIN ISOLATION LEVEL READ COMMITTED", // log_statement was on
		`duplicate key value violates unique constraint "pg_authid_rolname_index"`,
		`CREATE ROLE "` + db.WebRole + `"`,
		`ALTER ROLE "` + db.WebRole + `" PASSWORD 'SCRAM-SHA-256$`,
	} {
		if !strings.Contains(log, must) {
			t.Errorf("the server's log lacks %s, so it proves nothing", must)
		}
	}
	for _, password := range passwords {
		if strings.Contains(log, password) {
			t.Errorf("the server's log holds the password %s", password)
		}
	}
}

func TestAChangedPasswordReachesOnlyARoleOfOurs(t *testing.T) {
	t.Parallel()
	const changed = `new p:'"\ %word`
	for name, c := range map[string]struct {
		before string // run as superuser, between the first Up and the change
		rotate bool
		set    bool
		fails  bool
	}{
		"ours":                    {"", true, true, false},
		"ours, and not asked for": {"", false, false, false},
		"somebody else's":         {"COMMENT ON ROLE %[1]s IS 'of another application'", true, false, true},
		"without a mark":          {"COMMENT ON ROLE %[1]s IS NULL", true, false, true},
		"made for another database": {
			"COMMENT ON ROLE %[1]s IS 'created by migrate for database other'", true,
			false, true,
		},
		"ours, and the password was lost": {"ALTER ROLE %[1]s PASSWORD NULL", true, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			m := migrator(t, db, tables(1)...)
			m.Role.Rotate = c.rotate
			up(t, m, db.MigratorConn)
			if c.before != "" {
				pgtest.Exec(t, db.SuperConn, fmt.Sprintf(c.before, db.WebRole))
			}
			m.Role.Password = changed
			if c.fails {
				for _, files := range []int{1, 2} { // with nothing to do, and before anything is migrated
					m := migrator(t, db, tables(files)...)
					m.Role.Rotate, m.Role.Password = true, changed
					report, err := m.Up(t.Context(), db.MigratorConn)
					if lacks, ok := errors.AsType[*pg.PrivilegeError](err); !ok ||
						!strings.Contains(fmt.Sprint(lacks.SQL), `\password "`+db.WebRole) || len(report.Applied) > 0 {
						t.Errorf("got %+v, %v; want nothing applied, and what a DBA can do", report, err)
					}
				}
				return
			}
			if report := up(t, m, db.MigratorConn); report.PasswordSet != c.set {
				t.Errorf("password set: %v, want %v", report.PasswordSet, c.set)
			}
			if got := logsIn(t, withPassword(db, changed)); got != c.set {
				t.Errorf("the changed password logs in: %v, want %v", got, c.set)
			}
			if report := up(t, m, db.MigratorConn); report.PasswordSet {
				t.Error("the next start set it again")
			}
		})
	}
}

func TestAPasswordThatMayNotBeSetNamesTheNextStep(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(1)...)
	m.Role.Rotate = true
	up(t, m, db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+owner(t, db)+" NOCREATEROLE")
	m.Role.Password = "changed"
	_, err := m.Up(t.Context(), db.MigratorConn)
	if err == nil || !strings.Contains(err.Error(), "does not log in, and") ||
		!strings.Contains(err.Error(), `\password "`+db.WebRole+`"`) {
		t.Errorf("got %v, want what a DBA can do", err)
	}
}

// TestAPromisedLoginThatDoesNotWork is an error with the next step for a job, which has no other
// way to notice, and a warning otherwise: PgBouncer says it with a code of its own.
func TestAPromisedLoginThatDoesNotWork(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "avtotpy-auth-") //nolint:usetesting // TempDir is closed to the user that the pooler runs as
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	users := filepath.Join(folder, "users.txt")
	err = errors.Join(os.WriteFile(users, []byte("\"anybody\" \"let me in\"\n"), 0o644), os.Chmod(folder, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ auth, plant, says, sql string }{
		"a pooler that asks for SCRAM": {"scram-sha-256", "", "through this pooler", "auth_file"},
		"a pooler that asks for MD5":   {"md5", "", "through this pooler", "auth_file"},
		"read-only by a setting": {
			"", "ALTER DATABASE %d SET default_transaction_read_only = on",
			"cannot be set: the server is a standby, or is read-only", `\password "%w"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			fill := strings.NewReplacer("%d", db.Name, "%w", db.WebRole).Replace
			m := migrator(t, db, tables(1)...)
			m.Role.Rotate = true
			up(t, m, db.MigratorConn)
			conn := db.MigratorConn
			if c.auth != "" {
				conn = pgtest.PgBouncer(t, 2, map[string]string{"m": conn}, "auth_type = "+c.auth, "auth_file = "+
					users)["m"] + " password='let me in'"
			} else {
				pgtest.Exec(t, db.SuperConn, fill(c.plant))
			}
			m.Role.Password = "another"
			var log pgtest.Output
			m.Log = logTo(&log)
			up(t, m, conn)
			if !strings.Contains(log.String(), c.says) {
				t.Errorf("the log lacks %q:\n%s", c.says, log.String())
			}
			m.Role.MustLogIn = true
			_, err := m.Up(t.Context(), conn)
			if lacks, ok := errors.AsType[*pg.PrivilegeError](err); !ok ||
				!strings.Contains(lacks.Lacks, c.says) || !strings.Contains(strings.Join(lacks.SQL, ""), fill(c.sql)) {
				t.Errorf("got %v; want %q and what to do", err, c.says)
			}
		})
	}
}

// Some managed databases take no verifiers; the server's own module for checking
// passwords refuses one that is the role's name.
func TestAServerThatRefusesTheRoleNamesTheNextStep(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	if _, err := db.Connect(t, db.SuperConn).Exec(t.Context(), "LOAD 'passwordcheck'"); err != nil {
		t.Skip("this PostgreSQL comes without the module passwordcheck: ", err)
	}
	pgtest.Exec(t, db.SuperConn, "ALTER DATABASE "+db.Name+" SET session_preload_libraries = 'passwordcheck'")
	m := migrator(t, db, tables(1)...)
	m.Role.Password = db.WebRole
	_, err := m.Up(t.Context(), db.MigratorConn)
	lacks, ok := errors.AsType[*pg.PrivilegeError](err)
	if !ok || !strings.Contains(err.Error(), "the server did not create the role") ||
		!strings.Contains(strings.Join(lacks.SQL, ""), "CREATE ROLE") {
		t.Errorf("got %v, want what a DBA can do", err)
	}
}

// A role whose password has expired, or that may open no connection, cannot log in whatever
// its password is: that is said before anything is migrated, with what a DBA can do.
func TestARoleThatCannotLogInIsRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(1)...)
	m.Role.Rotate = true
	up(t, m, db.MigratorConn)
	for plant, mend := range map[string]string{
		"VALID UNTIL '2020-01-01'": "VALID UNTIL 'infinity'", "CONNECTION LIMIT 0": "CONNECTION LIMIT -1",
		"NOLOGIN": "LOGIN",
	} {
		pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.WebRole+" "+plant)
		next := migrator(t, db, tables(2)...)
		next.Role.Rotate = true
		for _, m := range []*migrate.Migrator{m, next} {
			report, err := m.Up(t.Context(), db.MigratorConn)
			want := `ALTER ROLE "` + db.WebRole + `" ` + mend
			if err == nil || !strings.Contains(err.Error(), want) || len(report.Applied) > 0 {
				t.Errorf("%s: %+v, %v; want %s", plant, report, err, want)
			}
		}
		if audited(t, m, db).Err() == nil {
			t.Errorf("%s: the audit finds nothing", plant)
		}
		pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.WebRole+" "+mend)
		up(t, m, db.MigratorConn)
	}
}

// TestTwoDatabasesRaceForOneRole starts the migrators of two databases of one
// cluster at once, with the same name for their role: one creates it, the other finds
// it made, and both grant it what it needs.
func TestTwoDatabasesRaceForOneRole(t *testing.T) {
	t.Parallel()
	const rounds = 6
	for round := range rounds {
		t.Run(strconv.Itoa(round), func(t *testing.T) {
			t.Parallel()
			one, two := pgtest.Blank(t), pgtest.Blank(t)
			dbs := []*pgtest.DB{one, two, one, two}
			reports, errs := make([]migrate.Report, len(dbs)), make([]error, len(dbs))
			var wg sync.WaitGroup
			for i, db := range dbs {
				m := migrator(t, db, tables(3)...)
				m.Role.Name = one.WebRole
				wg.Go(func() { reports[i], errs[i] = m.Up(context.Background(), db.MigratorConn) })
			}
			wg.Wait()
			created := 0
			for i := range dbs {
				if errs[i] != nil {
					t.Errorf("migrator %d: %v", i, errs[i])
				}
				if reports[i].RoleCreated {
					created++
				}
			}
			if created != 1 {
				t.Errorf("the role was created %d times, want once", created)
			}
			for _, db := range []*pgtest.DB{one, two} {
				conn := strings.ReplaceAll(db.WebConn, db.WebRole, one.WebRole)
				if n := pgtest.Value[int](t, conn, "SELECT count(*) FROM app.t1"); n != 1 {
					t.Errorf("the role reads %d rows in %s, want 1", n, db.Name)
				}
			}
		})
	}
}
