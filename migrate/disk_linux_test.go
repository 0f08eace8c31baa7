package migrate_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// A disk is a small one, in memory.
type disk struct{ folder string }

// smallDisk makes a disk with room for so much, such as 16m; making one is root's.
func smallDisk(t *testing.T, folder, room string) disk {
	t.Helper()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "mode=0700,size="+room); err != nil {
		t.Skipf("a small disk cannot be mounted: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(folder, syscall.MNT_DETACH) })
	return disk{folder}
}

func (d disk) resize(t *testing.T, room string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", d.folder, "tmpfs", syscall.MS_REMOUNT, "size="+room); err != nil {
		t.Fatal(err)
	}
}

// giveTo gives a file or folder the same owner as another one.
func giveTo(t *testing.T, like, path string) {
	t.Helper()
	info, err := os.Stat(like)
	if err != nil {
		t.Fatal(err)
	}
	owner, _ := info.Sys().(*syscall.Stat_t)
	if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
		t.Fatal(err)
	}
}

// TestAFullDiskIsNotTheFilesFault fills the disk that the tables are on, with one of
// several files: it is rolled back, the ones before it stay, and the next start, with
// room, goes on.
func TestAFullDiskIsNotTheFilesFault(t *testing.T) {
	t.Parallel()
	server := pgtest.OwnServer(t)
	folder := filepath.Join(server.Folder, "small")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	small := smallDisk(t, folder, "16m")
	giveTo(t, filepath.Join(server.Folder, "data", "postgres"), folder)
	pgtest.Exec(t, server.SuperConn, "CREATE TABLESPACE small LOCATION '"+folder+"'",
		"GRANT CREATE ON TABLESPACE small TO PUBLIC",
		"ALTER DATABASE avtotpy SET default_tablespace = small")

	sql := tables(4)
	sql[2] = "CREATE TABLE app.t3 (id int, filler text);\n INSERT INTO app.t3 SELECT i, repeat('x', 900) FROM " +
		"generate_series(1, 30000) i;"
	m := migrator(t, server.DB, sql...)
	for range 2 { // a start that changes nothing does not make it worse
		report, err := m.Up(t.Context(), server.MigratorConn)
		failed, ok := errors.AsType[*migrate.MigrationError](err)
		if !ok || failed.Err.Code != "53100" || report.To != 2 ||
			!strings.Contains(err.Error(), "0003_m3.sql:2: statement 2 of 2: could not extend file") ||
			!strings.Contains(err.Error(), "rolled back; the schema is at version 2. The file is not to blame: the "+
				"disk of the database server is full. Make room there and start again") {
			t.Fatalf("at version %d got %v\nwant version 2, and that the disk is full", report.To, err)
		}
	}
	if got := ledger(t, server.DB); got != "1,2" {
		t.Errorf("ledger %s, want 1,2", got)
	}
	small.resize(t, "64m")
	if report := up(t, m, server.MigratorConn); report.From != 2 || report.To != 4 {
		t.Errorf("with room: %+v", report)
	}
	pgtest.Exec(t, server.SuperConn, "DROP SCHEMA app CASCADE")

	// Where nothing fits at all, not even the ledger, it is no bug of ours either.
	filler, err := os.Create(filepath.Join(folder, "filler"))
	for err == nil {
		_, err = filler.Write(make([]byte, 4<<10))
	}
	_ = filler.Close()
	_, err = m.Up(t.Context(), server.MigratorConn)
	if err == nil || !strings.Contains(err.Error(), "Nothing is half-done: the disk of the database server is full") {
		t.Errorf("a blank database on a full disk: got %v", err)
	}
	if left := pgtest.Value[int](t, server.SuperConn,
		"SELECT count(*) FROM pg_namespace WHERE nspname = 'app'"); left != 0 {
		t.Error("it left a schema behind")
	}
}

// TestAFullDiskOfTheLogIsSurvived fills the disk with the server's log of changes, which
// makes the server crash: the migrator waits for it, says that it is not there, and with
// room the next start goes on.
func TestAFullDiskOfTheLogIsSurvived(t *testing.T) {
	t.Parallel()
	server := pgtest.OwnServer(t)
	sql := append(tables(2), "CREATE TABLE app.big (id int, filler text); INSERT INTO app.big SELECT i, repeat('x', "+
		"900) FROM generate_series(1, 100000) i")
	up(t, migrator(t, server.DB, sql[:1]...), server.MigratorConn)
	server.Stop(t)
	folder := filepath.Join(server.Folder, "log")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	small := smallDisk(t, folder, "56m")
	wal := filepath.Join(server.Folder, "data", "postgres", "pg_wal")
	giveTo(t, wal, folder)
	moveFolder(t, wal, folder)
	server.Start(t)

	m := migrator(t, server.DB, sql...)
	m.ConnectWait, m.Wait = 300*time.Millisecond, 2*time.Second
	report, err := m.Up(context.Background(), server.MigratorConn)
	_, unreachable := errors.AsType[*migrate.ConnectError](err)
	_, busy := errors.AsType[*migrate.BusyError](err)
	if !unreachable && !busy {
		t.Errorf("at version %d got %v, want a ConnectError or a BusyError", report.To, err)
	}
	small.resize(t, "400m")
	server.Revive(t)
	m.ConnectWait, m.Wait = pgtest.Patience, pgtest.Patience
	if report := up(t, m, server.MigratorConn); report.To != 3 {
		t.Errorf("with room: %+v", report)
	}
	if got := pgtest.Value[int](t, server.SuperConn, "SELECT count(*) FROM app.big"); got != 100000 ||
		ledger(t, server.DB) != upTo(3) {
		t.Errorf("%d rows, ledger %s", got, ledger(t, server.DB))
	}
}

// moveFolder moves what a folder holds to another disk and leaves a link in its place.
func moveFolder(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		source, target := filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())
		if entry.IsDir() { // of the archiver, empty
			err = os.Mkdir(target, 0o700)
		} else if content, readErr := os.ReadFile(source); readErr == nil {
			err = os.WriteFile(target, content, 0o600)
		} else {
			err = readErr
		}
		if err != nil {
			t.Fatal(err)
		}
		giveTo(t, from, target)
	}
	if err := errors.Join(os.RemoveAll(from), os.Symlink(to, from)); err != nil {
		t.Fatal(err)
	}
}
