package migrate_test

import (
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate/bundle"
)

// TestWhatLoadAdvisesWorks applies what each refusal says to write instead.
func TestWhatLoadAdvisesWorks(t *testing.T) {
	t.Parallel()
	const leaveOut, directive = "SELECT 1", "-- migrate:no-transaction\n"
	const table = "CREATE TABLE app.t (id int PRIMARY KEY, a int); CREATE TABLE app.p (a int) PARTITION BY LIST " +
		"(a); CREATE TABLE app.q PARTITION OF app.p DEFAULT"
	sql := []string{table}
	for _, c := range []struct{ refused, says, instead string }{
		{"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "leave it out", leaveOut},
		{
			"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE, DEFERRABLE", "write LOCK TABLE",
			"LOCK TABLE app.t IN EXCLUSIVE MODE",
		},
		{"SET LOCAL TRANSACTION READ ONLY", "leave it out", leaveOut},
		{"SET LOCAL transaction_read_only = on", "leave it out", leaveOut},
		{"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "leave it out", leaveOut},
		{"SET SESSION AUTHORIZATION DEFAULT", "leave it out", leaveOut},
		{"SET LOCAL ROLE NONE", "leave it out", leaveOut},
		{"SET client_encoding = 'UTF8'", "leave this out", leaveOut},
		{"SET lock_timeout = 0", "write a limit, such as '30s'", "SET LOCAL lock_timeout = '30s'"},
		{"DO $$ BEGIN COMMIT; END $$", "leave it out", leaveOut},
		{"COMMIT AND CHAIN", "leave this statement out", leaveOut},
		{"SET work_mem = '8MB'", "write SET LOCAL", "SET LOCAL work_mem = '8MB'"},
		{"SET SESSION work_mem TO DEFAULT", "write SET LOCAL", "SET LOCAL work_mem TO DEFAULT"},
		{"SET XML OPTION DOCUMENT", "write SET LOCAL", "SET LOCAL XML OPTION DOCUMENT"},
		{"RESET ALL", "leave it out", leaveOut},
		{"DISCARD ALL", "leave it out", leaveOut},
		{"LISTEN x", "leave it out", leaveOut},
		{"LOAD 'plpgsql'", "leave it out", leaveOut},
		{"BEGIN", "leave this statement out", leaveOut},
		{"COMMIT PREPARED 'x'", "leave it out", leaveOut},
		{"PREPARE TRANSACTION 'x'", "leave this statement out", leaveOut},
		{
			"SAVEPOINT a", "a DO block with EXCEPTION",
			"DO $$ BEGIN PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END $$",
		},
		{"PREPARE p AS SELECT 1", "the statement itself", "SELECT 1"},
		{"EXECUTE p", "the statement itself", "SELECT 1"},
		{"DECLARE c CURSOR WITH HOLD FOR SELECT 1", "leave WITH HOLD out", "DECLARE c CURSOR FOR SELECT 1; FETCH c"},
		{"COPY app.t FROM STDIN", "INSERT … VALUES", "INSERT INTO app.t VALUES (1, 1)"},
		{"COPY app.t TO STDOUT", "leave it out", leaveOut},
		{"CHECKPOINT", "leave it out", leaveOut},
		{"ALTER DATABASE d SET TABLESPACE x", "leave it out", leaveOut},
		{"CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p", "leave it out", leaveOut},
		{"CLUSTER", "with the table's name", "CLUSTER app.t USING t_pkey"},
		{"VACUUM app.t", "-- migrate:no-transaction", directive + "VACUUM app.t"},
		{"CREATE INDEX CONCURRENTLY i ON app.t (a)", "-- migrate:no-transaction", directive +
			"CREATE INDEX CONCURRENTLY i ON app.t (a)"},
		{"REINDEX TABLE CONCURRENTLY app.t", "-- migrate:no-transaction", directive +
			"REINDEX TABLE CONCURRENTLY app.t"},
		{"REINDEX (CONCURRENTLY) INDEX app.i", "-- migrate:no-transaction", directive +
			"REINDEX (CONCURRENTLY) INDEX app.i"},
		{"REINDEX SCHEMA app", "-- migrate:no-transaction", directive + "REINDEX SCHEMA app"},
		{"REINDEX DATABASE d", "REINDEX SCHEMA", directive + "REINDEX SCHEMA CONCURRENTLY app"},
		{"DROP INDEX CONCURRENTLY app.i", "-- migrate:no-transaction", directive + "DROP INDEX CONCURRENTLY app.i"},
		{
			"ALTER TABLE app.p DETACH PARTITION app.q CONCURRENTLY", "leave CONCURRENTLY out",
			"ALTER TABLE app.p DETACH PARTITION app.q",
		},
	} {
		if _, err := bundle.Load(files(c.refused)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", c.refused, err, c.says)
		}
		sql = append(sql, c.instead)
	}
	db := pgtest.Blank(t)
	up(t, withoutRole(t, db, sql...), db.MigratorConn)
}
