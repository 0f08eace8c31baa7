package localpg

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAClusterOfAnotherVersionIsNotTouched(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	write(t, filepath.Join(dir, "postgres", "PG_VERSION"), "99\n")
	write(t, filepath.Join(dir, "postgres", "base", "1"), "data")
	write(t, filepath.Join(dir, unfinished+"1", "PG_VERSION"), "99\n")
	before := contents(t, dir)
	wrong := startError[*VersionError](t, options(dir))
	if wrong.Major != 99 || len(wrong.Installed) == 0 {
		t.Errorf("got versions %d and %v, want 99 and the installed ones", wrong.Major, wrong.Installed)
	}
	for _, want := range []string{"PostgreSQL 99", "pg_dump", "AVTOTPY_POSTGRES_BIN"} {
		if !strings.Contains(wrong.Error(), want) {
			t.Errorf("error %q does not mention %s", wrong, want)
		}
	}
	if !maps.Equal(before, contents(t, dir)) {
		t.Error("the folder was changed")
	}
}

func TestAFolderThatIsNoClusterIsNotTouched(t *testing.T) {
	t.Parallel()
	needServer(t)
	dir := newDir(t)
	write(t, filepath.Join(dir, "postgres", "precious"), "data")
	before := contents(t, dir)
	if s, err := Start(t.Context(), options(dir)); err == nil {
		stop(t, s)
		t.Fatal("it started")
	}
	if !maps.Equal(before, contents(t, dir)) {
		t.Error("the folder was changed")
	}
}

func TestALostMasterKeyIsNeverReplaced(t *testing.T) {
	t.Parallel()
	o := options(newDir(t))
	stop(t, start(t, o))
	key := filepath.Join(o.DataDir, "secrets", "master-key")
	remove(t, key)
	missing := startError[*MissingSecretError](t, o)
	if missing.Path != key || !strings.Contains(missing.Error(), "AVTOTPY_MASTER_KEY") {
		t.Errorf("got %v, want a message about %s and AVTOTPY_MASTER_KEY", missing, key)
	}
	o.MasterKey = "elsewhere:AAAA"
	if got := start(t, o).MasterKey(); got != o.MasterKey {
		t.Errorf("master key: got %q, want the operator's %q", got, o.MasterKey)
	}
	if _, err := os.Stat(key); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a master key was made: %v", err)
	}
}

func TestALostSuperuserPasswordIsAnErrorWithTheWayOut(t *testing.T) {
	t.Parallel()
	o := options(newDir(t))
	stop(t, start(t, o))
	remove(t, filepath.Join(o.DataDir, "secrets", "superuser-password"))
	if missing := startError[*MissingSecretError](t, o); !strings.Contains(missing.Error(), "--single") {
		t.Errorf("got %v, want the way out", missing)
	}
	write(t, filepath.Join(o.DataDir, "secrets", "superuser-password"), "wrong\n")
	s, err := Start(t.Context(), o)
	if err == nil {
		stop(t, s)
	}
	if err == nil || !strings.Contains(err.Error(), "superuser-password") {
		t.Errorf("a wrong password: got %v, want the name of the file", err)
	}
}

func TestLostPasswordsOfOtherRolesAreMadeAnew(t *testing.T) {
	t.Parallel()
	o := options(newDir(t))
	first := start(t, o)
	stop(t, first)
	remove(t, filepath.Join(o.DataDir, "secrets", "migrator-password"))
	remove(t, filepath.Join(o.DataDir, "secrets", "web-password"))
	second := start(t, o)
	if first.MigratorConn() == second.MigratorConn() || first.WebPassword() == second.WebPassword() {
		t.Error("the passwords did not change")
	}
	// and with it the migrator gives the web role its new one
	if got := ask[int](t, second.MigratorConn(), `SELECT 1`); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
}

func TestAnUnfinishedFirstStartIsRepaired(t *testing.T) {
	t.Parallel()
	o := options(newDir(t))
	first := start(t, o)
	// What a crash after initdb leaves: a cluster without our database and roles.
	execute(t, first.SuperConn("postgres"), `DROP DATABASE avtotpy`, `DROP ROLE avtotpy_migrator`)
	stop(t, first)
	if got := ask[string](t, start(t, o).MigratorConn(), `SELECT current_user::text`); got != migratorRole {
		t.Errorf("got user %q, want %q", got, migratorRole)
	}
}

func TestAnInterruptedInitdbIsSwept(t *testing.T) {
	t.Parallel()
	o := options(newDir(t))
	aside := filepath.Join(o.DataDir, unfinished+"1")
	write(t, filepath.Join(aside, "cluster", "PG_VERSION"), "15\n")
	start(t, o)
	if _, err := os.Stat(aside); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", aside, err)
	}
}

func TestRootIsToldWhichFolderIsClosed(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	closed := newDir(t)
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	unreachable := startError[*UnreachableError](t, options(filepath.Join(closed, "a", "b")))
	if unreachable.Parent != closed || !strings.Contains(unreachable.Error(), "AVTOTPY_DATA_DIR=/var/lib/avtotpy") {
		t.Errorf("got %v, want a message about %s", unreachable, closed)
	}
	if left, _ := os.ReadDir(closed); len(left) > 0 {
		t.Errorf("%s was written to: %v", closed, left)
	}
}

func TestRootOnlyOpensTheWayToTheCluster(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := newDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil { // as an operator or systemd may have made it
		t.Fatal(err)
	}
	start(t, options(dir))
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o711 {
		t.Errorf("mode of the folder: got %o, want 711", got)
	}
	for name, root := range map[string]bool{
		"secrets": true, "secrets/master-key": true, "lock": true, "log": false,
		"postgres": false, "run": false,
	} {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t).Uid; (owner == 0) != root { //nolint:forcetypeassert // on every Unix
			t.Errorf("%s belongs to user %d, want root: %t", name, owner, root)
		}
	}
}

func TestAUserWithoutANameIsExplained(t *testing.T) {
	t.Parallel()
	nameless := account{uid: 1234}
	if got := nameless.help("initdb: could not look up effective user ID 1234: user " +
		"does not exist"); !strings.Contains(got, "add user 1234 to /etc/passwd") {
		t.Errorf("got %q, want what to do", got)
	}
	if got := nameless.help("initdb: no space left on device"); got != "" {
		t.Errorf("another fault: got %q, want nothing", got)
	}
}
