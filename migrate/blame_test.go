package migrate_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// TestAFailedFileSaysWhoCanHelp: not every failure is mended in the file, and what the server finds before it runs
// anything is not a transaction that could not be opened.
func TestAFailedFileSaysWhoCanHelp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql, want     string
		externalCause bool
	}{
		"an extension that is not there": {"CREATE EXTENSION no_such_thing", "Let a DBA install this version of " +
			"the extension", false},
		"a version that is not there": {
			"CREATE EXTENSION pgcrypto VERSION '99'", "this version of the extension",
			false,
		},
		"a privilege": {"COPY app.t1 TO PROGRAM 'cat'", "The migrator's role lacks a " +
			"privilege", false},
		"a timeout of its own": {
			"SET LOCAL statement_timeout = 1; SELECT pg_sleep(60)", "Mend the file",
			false,
		},
		"bytes that are no text": {
			`SELECT 1; SELECT E'\xff'`,
			`cannot read the file: invalid byte sequence for encoding "UTF8": 0xff`, false,
		},
		"a limit of a DBA": {"SET LOCAL work_mem = '64kB'; CREATE TABLE app.x AS SELECT g FROM " +
			"generate_series(1, 100000) g ORDER BY -g", "a limit that a DBA has set", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.Migrator()+" SET temp_file_limit = '64kB'")
			_, err := migrator(t, db, table, c.sql).Up(t.Context(), db.MigratorConn)
			failed, ok := errors.AsType[*migrate.MigrationError](err)
			if !ok || failed.Next != "" != c.externalCause || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %q", err, c.want)
			}
		})
	}
	t.Run("a character that the database lacks", func(t *testing.T) {
		t.Parallel()
		db := pgtest.Blank(t)
		latin := db.Name + "_latin"
		pgtest.Exec(t, db.SuperConn, "CREATE DATABASE "+latin+" TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'",
			"GRANT CREATE ON DATABASE "+latin+" TO "+db.Migrator())
		t.Cleanup(func() { pgtest.Exec(t, db.SuperConn, "DROP DATABASE "+latin+" WITH (FORCE)") })
		m := migrator(t, db, table, "COMMENT ON TABLE app.t1 IS '€'")
		_, err := m.Up(t.Context(), db.MigratorConn+" dbname="+latin)
		if err == nil || !strings.Contains(err.Error(), "create the database with ENCODING 'UTF8'") {
			t.Errorf("got %v", err)
		}
	})
}

// TestAFullPoolIsNamed also when it is full in the middle of a start.
func TestAFullPoolIsNamed(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	pooled := pgtest.PgBouncer(t, 1, map[string]string{"p": db.MigratorConn}, "query_wait_timeout = 1")["p"]
	blocker := db.Connect(t, pooled)
	if _, err := blocker.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	for what, ask := range map[string]func(*migrate.Migrator) error{
		"up":     func(m *migrate.Migrator) error { _, err := m.Up(t.Context(), pooled); return err },
		"status": func(m *migrate.Migrator) error { _, err := askStatus(t.Context(), m, pooled); return err },
	} {
		pgtest.WithMoreTime(t, 3*time.Second, func(limit time.Duration) error { // for the pooler to give up first
			m := migrator(t, db, tables(1)...)
			m.Wait, m.ConnectWait = limit, limit
			err := ask(m)
			named := err != nil && strings.Contains(err.Error(), "query_wait_timeout") &&
				strings.Contains(err.Error(), "raise its pool size")
			return pgtest.Unless(named, "%s: got %v", what, err)
		})
	}
}
