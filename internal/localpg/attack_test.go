package localpg

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/avtotpy/avtotpy/internal/owned"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const mallory = 54321 // a user who is neither root nor that of the server

// TestNothingOfOthersIsTrusted tries, on one folder that works, everything that another user may have put into it, or
// that may have been left open to them. Each is refused before anything is written, in words that repeat no content.
func TestNothingOfOthersIsTrusted(t *testing.T) {
	t.Parallel()
	o := options(newDir(t))
	o.BinDir = needServer(t) // not searched for each time
	first := start(t, o)
	stop(t, first)
	key := strings.TrimSpace(read(t, filepath.Join(o.DataDir, "secrets", "master-key")))
	elsewhere := filepath.Join(filepath.Dir(o.DataDir), "roots-file")
	write(t, elsewhere, "precious\n")

	type attempt struct {
		name, want string
		do         func(t *testing.T, path string)
		undo       func(t *testing.T, path string)
		roots      bool
	}
	aside := func(put func(path string) error) (do, undo func(*testing.T, string)) {
		return func(t *testing.T, path string) {
				t.Helper()
				must(t, os.Rename(path, path+".aside"))
				must(t, put(path))
			}, func(t *testing.T, path string) {
				t.Helper()
				must(t, os.Remove(path))
				must(t, os.Rename(path+".aside", path))
			}
	}
	change := func(f func(path string) error, back func(path string) error) (do, undo func(*testing.T, string)) {
		return func(t *testing.T, path string) { t.Helper(); must(t, f(path)) },
			func(t *testing.T, path string) { t.Helper(); must(t, back(path)) }
	}
	onFiles := func() (all []attempt) {
		add := func(name, want string, roots bool, do, undo func(*testing.T, string)) {
			all = append(all, attempt{name, want, do, undo, roots})
		}
		do, undo := aside(func(p string) error { return os.Symlink(elsewhere, p) })
		add("a link to a file of root's", "is a link", false, do, undo)
		do, undo = aside(func(p string) error {
			return os.Symlink(filepath.Join(o.DataDir, "secrets", "master-key"),
				p)
		})
		add("a link to the master key", "is a link", false, do, undo)
		do, undo = aside(func(p string) error { return syscall.Mkfifo(p, 0o600) })
		add("a pipe", "is a pipe", false, do, undo)
		do, undo = aside(func(p string) error { return os.Mkdir(p, 0o700) })
		add("a folder", "is a folder", false, do, undo)
		do, undo = aside(func(p string) error { return syscall.Mknod(p, syscall.S_IFCHR|0o600, 1<<8|5) })
		add("a device", "is a device", true, do, undo)
		do, undo = change(func(p string) error { return os.Chmod(p, 0o666) },
			func(p string) error { return os.Chmod(p, 0o600) })
		add("mode 0666", "mode 0666", false, do, undo)
		return all
	}
	onFolders := func(mode os.FileMode) (all []attempt) {
		do, undo := change(func(p string) error { return os.Chmod(p, 0o777) },
			func(p string) error { return os.Chmod(p, mode) })
		all = append(all, attempt{"mode 0777", "mode 0777", do, undo, false})
		do, undo = change(func(p string) error { return os.Chmod(p, os.ModeSticky|0o777) },
			func(p string) error { return os.Chmod(p, mode) })
		all = append(all, attempt{"mode 1777", "mode 1777", do, undo, false})
		do, undo = aside(func(p string) error { return os.Symlink(p+".aside", p) })
		return append(all, attempt{"a link", "is a link", do, undo, false})
	}
	paths := map[string][]attempt{
		"lock": onFiles(), "secrets/master-key": onFiles(), "secrets/superuser-password": onFiles(),
		"secrets/migrator-password": onFiles(),
		"secrets/web-password":      onFiles(), "postgres/PG_VERSION": onFiles(),
		"secrets": onFolders(0o700), "postgres": onFolders(0o700), "log": onFolders(0o700), "run": onFolders(0o700),
	}
	// PostgreSQL's log repeats their words
	for _, name := range []string{"postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf"} {
		do, undo := aside(func(p string) error {
			return os.Symlink(filepath.Join(o.DataDir, "secrets", "master-key"),
				p)
		})
		paths["postgres/"+name] = []attempt{{"a link to the master key", "is a link", do, undo, false}}
	}
	do, undo := change(func(p string) error {
		return os.Symlink(filepath.Join(o.DataDir, "secrets", "master-key"),
			p)
	}, os.Remove)
	paths["postgres/postmaster.pid"] = []attempt{{"a link to the master key", "is a link", do, undo, false}}
	if os.Geteuid() == 0 {
		for path, attempts := range paths {
			// whose it is decides who runs it; and there is none
			if path == "postgres" || path == "postgres/postmaster.pid" {
				continue
			}
			info, err := os.Lstat(filepath.Join(o.DataDir, path))
			must(t, err)
			was, _ := info.Sys().(*syscall.Stat_t)
			do, undo := change(func(p string) error { return os.Chown(p, mallory, mallory) },
				func(p string) error { return os.Chown(p, int(was.Uid), int(was.Gid)) })
			paths[path] = append(attempts, attempt{"of another", "belongs to user id 54321", do, undo, true})
		}
	}
	for name, attempts := range paths {
		for _, a := range attempts {
			if a.roots && os.Geteuid() != 0 {
				continue
			}
			path := filepath.Join(o.DataDir, name)
			a.do(t, path)
			s, err := Start(t.Context(), o)
			if err == nil {
				stop(t, s)
			}
			a.undo(t, path)
			if _, ok := errors.AsType[*owned.Error](err); !ok || !strings.Contains(err.Error(), a.want) ||
				!strings.Contains(err.Error(), path) {
				t.Errorf("%s, %s: got %v, want a refusal with %q", name, a.name, err, a.want)
			}
			if err != nil && (strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "precious")) {
				t.Errorf("%s, %s: %v repeats what a file holds", name, a.name, err)
			}
			if got := read(t, elsewhere); got != "precious\n" {
				t.Errorf("%s, %s: the file outside of the folder is now %q", name, a.name, got)
			}
		}
	}
	again := start(t, o) // all of them were undone, and nothing was broken
	if got := again.MasterKey(); got != key {
		t.Errorf("the master key is another one now")
	}
}

// TestTheContentOfAVersionIsNotRepeated, whatever was put there.
func TestTheContentOfAVersionIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"k1:hunter2", "-1", "15\nhunter2", strings.Repeat("hunter2", 100), ""} {
		dir := newDir(t)
		write(t, filepath.Join(dir, "postgres", "PG_VERSION"), text)
		s, err := Start(t.Context(), options(dir))
		if err == nil {
			stop(t, s)
		}
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "PG_VERSION") {
			t.Errorf("%.20q: got %v", text, err)
		}
	}
}

// TestAFolderInTheHandsOfOthersIsRefused: they could have made it before us, or can exchange it.
func TestAFolderInTheHandsOfOthersIsRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for name, test := range map[string]struct {
		prepare func(dir string) error
		want    string
	}{
		"it belongs to another": {func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o755),
				os.Chown(dir, mallory, mallory))
		}, "belongs to user id 54321"},
		"its parent does": {
			func(dir string) error { return os.Chown(filepath.Dir(dir), mallory, mallory) },
			"belongs to user id 54321",
		},
		"it is open to all": {func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o755),
				os.Chmod(dir, 0o777))
		}, "mode 0777"},
		"its parent is": {func(dir string) error { return os.Chmod(filepath.Dir(dir), 0o777) }, "mode 0777"},
	} {
		dir := newDir(t)
		must(t, test.prepare(dir))
		refused := startError[*owned.Error](t, options(dir))
		if !strings.Contains(refused.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, refused, test.want)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: something was written: %v", name, left)
		}
	}
}

// TestWhoOwnsTheFolderIsRootsDecision only where no other user can make one.
func TestWhoOwnsTheFolderIsRootsDecision(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := newDir(t)
	if owner, err := OwnerOf(dir); owner != nil || err != nil {
		t.Errorf("there is none: got %v, %v", owner, err)
	}
	must(t, errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, mallory, mallory)))
	if owner, err := OwnerOf(dir); err != nil || owner.UID != mallory {
		t.Errorf("made by root: got %v, %v", owner, err)
	}
	must(t, os.Chmod(filepath.Dir(dir), os.ModeSticky|0o777))
	if _, err := OwnerOf(dir); !is[*owned.Error](err) || !strings.Contains(err.Error(), "any user may have made it") {
		t.Errorf("in a folder like /tmp: got %v", err)
	}
	must(t, os.Chown(dir, 0, 0))
	if owner, err := OwnerOf(dir); err != nil || owner.UID != 0 {
		t.Errorf("root's in a folder like /tmp: got %v, %v", owner, err)
	}
}

// TestAClusterOfAnotherUserIsRefused with the command that fixes it.
func TestAClusterOfAnotherUserIsRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := newDir(t)
	installed := search(t.Context(), self(), needServer(t))
	write(t, filepath.Join(dir, "postgres", "PG_VERSION"), strconv.Itoa(installed[0].major)+"\n")
	if wrong := startError[*OwnerError](t, options(dir)); !strings.Contains(wrong.Error(), "chown -R") {
		t.Errorf("got %v, want the command", wrong)
	}
}

// TestSecretsThatOthersCanReadAreAWarning: root's folder of secrets is closed, so only its own mode can open them.
func TestSecretsThatOthersCanReadAreAWarning(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	write(t, filepath.Join(dir, "master-key"), "k1:x\n")
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Chmod(filepath.Join(dir, "master-key"), 0o644))
	folder, err := owned.Ours().Open(dir)
	must(t, err)
	defer folder.Close() //nolint:errcheck // only looked at
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	warnOfReaders(folder, log)
	if text := said.String(); !strings.Contains(text, "chmod 0700 '"+dir+"'") || !strings.Contains(text, "mode=0644") {
		t.Errorf("got %q, want the command and the mode", text)
	}
	must(t, os.Chmod(dir, 0o700))
	said.Reset()
	if warnOfReaders(folder, log); said.Len() > 0 {
		t.Errorf("in a closed folder: got %q, want nothing", said.String())
	}
}
