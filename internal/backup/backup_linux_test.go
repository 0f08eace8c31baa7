package backup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/avtotpy/avtotpy/internal/backup"
	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// TestPgDumpLearnsNoSecret records all that a pg_dump is given: its command line, its
// environment, and what is in the folder of the socket that it is to use.
func TestPgDumpLearnsNoSecret(t *testing.T) {
	db := pgtest.Blank(t)
	for name, value := range map[string]string{
		"AVTOTPY_MASTER_KEY": "k1:SECRET", "POSTGRES_MIGRATOR_CONNECTION_STR": "SECRET", "PGPASSWORD": "SECRET",
		"PGREQUIREPEER": "SECRET",
	} {
		t.Setenv(name, value)
	}
	record := filepath.Join(t.TempDir(), "record")
	password := "a-password-to-be-found"
	pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+db.Migrator()+" PASSWORD '"+password+"'")
	_, err := backup.Make(t.Context(), backup.Options{
		Dir: t.TempDir(), Conn: db.MigratorConn + " password=" + password +
			" pool_max_conns=3 default_query_exec_mode=exec", Schema: "avtotpy",
		BinDir: script(t, "{ tr '\\0' '\\n' </proc/$$/cmdline; cat /proc/$$/environ | tr '\\0' '\\n'; ls -ld "+
			"\"$PGHOST\"; ls -la $PGHOST; } >"+record+" 2>&1; exit 1"),
	})
	if err == nil || !strings.Contains(err.Error(), "pg_dump 99.1: exit status 1") {
		t.Errorf("got %v, want that pg_dump failed", err)
	}
	told, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"SECRET", password, "PGPASSWORD", "POSTGRES_", "AVTOTPY_"} {
		if strings.Contains(string(told), secret) {
			t.Errorf("pg_dump is told %s:\n%s", secret, told)
		}
	}
	for _, want := range []string{
		"--schema=\"avtotpy\"\n", "PGUSER=" + db.Migrator() + "\n", "drwx------",
		".s.PGSQL.5432",
	} {
		if !strings.Contains(string(told), want) {
			t.Errorf("pg_dump is not told %q:\n%s", want, told)
		}
	}
}

func TestAFullDiskIsAClearError(t *testing.T) {
	t.Parallel()
	db, o := options(t)
	o.Dir = t.TempDir()
	if err := unix.Mount("tmpfs", o.Dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("no small file system may be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(o.Dir, unix.MNT_DETACH) })
	pgtest.Exec(t, db.SuperConn, `INSERT INTO avtotpy.users (id, name)
		SELECT gen_random_uuid(), 'u' || encode(sha256(i::text::bytea), 'hex') FROM generate_series(1, 20000) i`)
	_, err := backup.Make(t.Context(), o)
	if want := "No space left on device"; err == nil || !strings.Contains(err.Error(), want) ||
		!strings.Contains(err.Error(), "Make room in "+o.Dir) {
		t.Errorf("got %v\nwant %s and what to do", err, want)
	}
	if left := holds(t, o.Dir); left != "" {
		t.Errorf("left behind: %s", left)
	}
}
