package backup_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/avtotpy/avtotpy/internal/backup"
	"github.com/avtotpy/avtotpy/internal/localpg"
	"github.com/avtotpy/avtotpy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// options are those of a backup of a migrated database. The test is skipped when a
// server was asked for that comes without pg_dump, as some packages do.
func options(t *testing.T) (*pgtest.DB, backup.Options) {
	t.Helper()
	db := pgtest.Migrated(t)
	if found, _ := localpg.FindPrograms(t.Context(), "pg_dump", pgtest.Bin()); len(found) == 0 && pgtest.Bin() != "" {
		t.Skip("there is no pg_dump in " + pgtest.Bin())
	}
	return db, backup.Options{
		Dir: filepath.Join(t.TempDir(), "made", "for it"), Conn: db.MigratorConn, Schema: "avtotpy", Version: 7,
		BinDir:      pgtest.Bin(),
		Application: "avtotpy-backup/test",
	}
}

// script writes a pg_dump of the newest version that does something else.
func script(t *testing.T, body string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	text := "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'pg_dump (PostgreSQL) 99.1'; exit; fi\n" + body
	if err := os.WriteFile(filepath.Join(dir, "pg_dump"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// holds lists the names in a folder.
func holds(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestABackupHoldsTheSchemaAndNothingElse(t *testing.T) {
	t.Parallel()
	db, o := options(t)
	pgtest.Exec(t, db.SuperConn,
		"CREATE SCHEMA foreigners", "CREATE TABLE foreigners.secret (id int)", "CREATE SCHEMA \"avtotpyx\"",
		"CREATE TABLE avtotpyx.x (id int)",
		"INSERT INTO avtotpy.users (id, name) VALUES (gen_random_uuid(), 'ada')")
	made, err := backup.Make(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(made.File)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != made.Size || made.Size < 1000 {
		t.Errorf("%+v: %v, %v", made, info, err)
	}
	if got := filepath.Base(made.File); !strings.HasPrefix(got, "avtotpy-"+db.Name+"-v0007-2") ||
		!strings.HasSuffix(got, "Z.dump") || holds(t, o.Dir) != got {
		t.Errorf("the file is called %s, and the folder holds %s", got, holds(t, o.Dir))
	}
	sql := read(t, made.File)
	for _, want := range []string{
		"CREATE SCHEMA avtotpy;", "COPY avtotpy.users", "ada", "COPY avtotpy.migrations",
		"ENABLE ROW LEVEL SECURITY", "GRANT ",
	} {
		if !strings.Contains(sql, want) {
			t.Errorf("the backup does not hold %q", want)
		}
	}
	if strings.Contains(sql, "foreigners") || strings.Contains(sql, "avtotpyx") {
		t.Error("the backup holds other schemas, too")
	}
}

// read returns a backup as SQL.
func read(t *testing.T, file string) string {
	t.Helper()
	found, _ := localpg.FindPrograms(t.Context(), "pg_restore", pgtest.Bin())
	if len(found) == 0 {
		t.Fatal("there is no pg_restore beside pg_dump")
	}
	out, err := exec.Command(found[0].Path, "--file=-", file).CombinedOutput()
	if err != nil {
		t.Fatalf("pg_restore: %v\n%s", err, out)
	}
	return string(out)
}

func TestTwoBackupsOfOneSecondHaveTwoNames(t *testing.T) {
	t.Parallel()
	_, o := options(t)
	names := map[string]bool{}
	for range 3 {
		made, err := backup.Make(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		names[made.File] = true
	}
	if len(names) != 3 || len(strings.Fields(holds(t, o.Dir))) != 3 {
		t.Errorf("three backups: %v", names)
	}
}

func TestACancelledBackupLeavesNothing(t *testing.T) {
	t.Parallel()
	db, o := options(t)
	blocker := db.Connect(t, db.SuperConn)
	if _, err := blocker.Exec(t.Context(), "BEGIN; LOCK TABLE avtotpy.users"); err != nil { // which pg_dump waits for
		t.Fatal(err)
	}
	stopped := errors.New("stopped by the test")
	ctx, cancel := context.WithCancelCause(t.Context())
	result := make(chan error, 1)
	go func() { _, err := backup.Make(ctx, o); result <- err }()
	waiting := func() int {
		return pgtest.Value[int](t, db.SuperConn,
			"SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND application_name = "+
				"'pg_dump' OR application_name = 'avtotpy-backup/test' AND datname = current_database() AND "+
				"wait_event_type = 'Lock'")
	}
	pgtest.Eventually(t, "pg_dump waits for the table",
		func() error { return pgtest.Unless(waiting() > 0, "nobody waits") })
	cancel(stopped)
	if err := <-result; !errors.Is(err, stopped) {
		t.Errorf("got %v, want what ended the context", err)
	}
	if left := holds(t, o.Dir); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

func TestATableThatIsLockedForTooLongIsNamed(t *testing.T) {
	t.Parallel()
	db, o := options(t)
	blocker := db.Connect(t, db.SuperConn)
	if _, err := blocker.Exec(t.Context(), "BEGIN; LOCK TABLE avtotpy.users"); err != nil {
		t.Fatal(err)
	}
	o.LockWait = time.Millisecond
	_, err := backup.Make(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "timeout") ||
		!strings.Contains(err.Error(), "LOCK TABLE avtotpy.users") {
		t.Errorf("got %v, want the table that is locked", err)
	}
	if left := holds(t, o.Dir); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// TestADBAsSettingsDoNotHarmABackup sets those that would end it, or change how it
// reads.
func TestADBAsSettingsDoNotHarmABackup(t *testing.T) {
	t.Parallel()
	db, o := options(t)
	for _, setting := range []string{
		"statement_timeout = '50ms'", "lock_timeout = '1ms'", "idle_in_transaction_session_timeout = '50ms'",
		"search_path = avtotpy", "default_transaction_isolation = 'serializable'", "DateStyle = 'German'",
		"client_encoding = 'LATIN1'", "default_transaction_read_only = on",
	} {
		pgtest.Exec(t, db.SuperConn, "ALTER DATABASE "+db.Name+" SET "+setting)
	}
	made, err := backup.Make(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	sql := read(t, made.File)
	for _, want := range []string{"REFERENCES avtotpy.users(id)", "client_encoding = 'UTF8'"} {
		if !strings.Contains(sql, want) {
			t.Errorf("the backup does not hold %q", want)
		}
	}
}

func TestWhatKilledBackupsLeftIsRemovedAndNothingElse(t *testing.T) {
	t.Parallel()
	_, o := options(t)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name string, age time.Duration) *os.File {
		f, err := os.Create(filepath.Join(o.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		if err := os.Chtimes(f.Name(), time.Now(), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
		return f
	}
	const hour = time.Hour
	write(".backup-1.unfinished", hour)
	write(".backup-2.unfinished", 0)
	if f := write(".backup-3.unfinished", 48*hour); unix.Flock(int(f.Fd()), unix.LOCK_EX) != nil {
		t.Fatal("cannot lock a file")
	}
	write("mine.dump", 1000*hour)
	write("avtotpy-a-v0001-20200101T000000Z.dump", 1000*hour)
	made, err := backup.Make(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	want := ".backup-2.unfinished .backup-3.unfinished avtotpy-a-v0001-20200101T000000Z.dump " +
		filepath.Base(made.File) + " mine.dump"
	if got := holds(t, o.Dir); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTheOldestPgDumpThatWillDoIsChosen(t *testing.T) {
	_, o := options(t)
	newer := script(t, "exit 1")
	t.Setenv("PATH", newer+":"+os.Getenv("PATH"))
	if o.BinDir != "" {
		t.Skip("a folder is set")
	}
	made, err := backup.Make(t.Context(), o)
	if err != nil || strings.HasPrefix(made.PgDump, "99.") {
		t.Errorf("got %+v, %v; want the version of the server", made, err)
	}
}

func TestAFolderThatIsClosedIsASetting(t *testing.T) {
	t.Parallel()
	_, o := options(t)
	o.Dir = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(o.Dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := backup.Make(t.Context(), o)
	if _, ok := errors.AsType[*backup.SetupError](err); !ok {
		t.Errorf("got %v, want a SetupError", err)
	}
}
