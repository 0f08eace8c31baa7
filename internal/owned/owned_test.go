package owned

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// other is the number of a user who is neither root nor this user.
const other = 54321

// newFolder returns a folder that this user alone can write to, without links in its path.
func newFolder(t *testing.T) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	must(t, os.Chmod(path, 0o700))
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files to others")
	}
}

const secret = "k1:hunter2"

func write(t *testing.T, path string, mode fs.FileMode) string {
	t.Helper()
	must(t, os.WriteFile(path, []byte(secret), 0o600))
	must(t, os.Chmod(path, mode))
	return path
}

// An attack puts something in place of a file. want is a part of the message; "" when the file is fine.
type attack struct {
	put   func(t *testing.T, path string)
	want  string
	roots bool // only root can do it
}

func attacks() map[string]attack {
	return map[string]attack{
		"a file":                       {func(t *testing.T, p string) { t.Helper(); write(t, p, 0o600) }, "", false},
		"a file that a group can read": {func(t *testing.T, p string) { t.Helper(); write(t, p, 0o640) }, "", false},
		"mode 0666": {
			func(t *testing.T, p string) { t.Helper(); write(t, p, 0o666) },
			"can be changed by others (mode 0666", false,
		},
		"mode 0602": {
			func(t *testing.T, p string) { t.Helper(); write(t, p, 0o602) },
			"can be changed by others (mode 0602", false,
		},
		"mode 0620 of another group": {func(t *testing.T, p string) {
			t.Helper()
			must(t, os.Chown(write(t, p, 0o620), 0, other))
			must(t, os.Chmod(p, 0o620))
		}, "can be changed by others (mode 0620", true},
		"the file of another": {func(t *testing.T,
			p string,
		) {
			t.Helper()
			must(t, os.Chown(write(t, p, 0o600), other, other))
		}, "belongs to user id 54321 (mode 0600)", true},
		"a pipe": {
			func(t *testing.T, p string) { t.Helper(); must(t, syscall.Mkfifo(p, 0o600)) },
			"is a pipe", false,
		},
		"a folder": {
			func(t *testing.T, p string) { t.Helper(); must(t, os.Mkdir(p, 0o700)) },
			"is a folder, where a file belongs", false,
		},
		"a device": {func(t *testing.T,
			p string,
		) {
			t.Helper()
			must(t, syscall.Mknod(p, syscall.S_IFCHR|0o600, 1<<8|5))
		}, "is a device", true},
		"a socket": {func(t *testing.T, p string) { t.Helper(); socket(t, p) }, "is a socket", false},
		"a link to a file": {func(t *testing.T,
			p string,
		) {
			t.Helper()
			must(t, os.Symlink(write(t, p+".x", 0o600), p))
		}, "is a link", false},
		"a link to nothing": {
			func(t *testing.T, p string) { t.Helper(); must(t, os.Symlink(p+".gone", p)) },
			"is a link", false,
		},
		"a link to a folder": {func(t *testing.T,
			p string,
		) {
			t.Helper()
			must(t, os.Symlink(filepath.Dir(p), p))
		}, "is a link", false},
		"a link to the environment": {func(t *testing.T,
			p string,
		) {
			t.Helper()
			must(t, os.Symlink("/proc/self/environ", p))
		}, "is a link", false},
	}
}

func socket(t *testing.T, path string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
}

// TestOnlyOnesOwnFilesAreOpened: in every way of opening, at once, and without a word of what the file holds.
func TestOnlyOnesOwnFilesAreOpened(t *testing.T) {
	t.Parallel()
	ways := map[string]int{
		"to read": os.O_RDONLY, "to write": os.O_RDWR, "to append": os.O_WRONLY | os.O_APPEND,
		"to make": os.O_RDWR | os.O_CREATE,
	}
	for name, a := range attacks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if a.roots {
				needRoot(t)
			}
			folder := newFolder(t)
			a.put(t, filepath.Join(folder, "f"))
			dir, err := Ours().Open(folder)
			must(t, err)
			defer dir.Close() //nolint:errcheck // only looked at
			for way, flags := range ways {
				file, err := dir.Open("f", flags)
				check(t, way, err, a.want)
				if err == nil {
					_ = file.Close()
				}
			}
			if a.want == "" {
				return
			}
			if _, err := dir.Read("f", 100); err == nil {
				t.Error("it was read")
			}
			if err := dir.Replace("f", "new"); err == nil {
				if text, _ := os.ReadFile(filepath.Join(folder, "f.x")); len(text) > 0 && string(text) != secret {
					t.Errorf("what a link leads to is now %q", text)
				}
			}
		})
	}
}

func check(t *testing.T, what string, err error, want string) {
	t.Helper()
	refused, ok := errors.AsType[*Error](err)
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: got %v, want no error", what, err)
	case want != "" && (!ok || !strings.Contains(err.Error(), want) || refused.Next == "" ||
		!strings.Contains(err.Error(), refused.Path)):
		t.Errorf("%s: got %v, want an *Error with %q, the path and the next step", what, err, want)
	case err != nil && strings.Contains(err.Error(), "hunter2"):
		t.Errorf("%s: %v repeats the content", what, err)
	}
}

func TestAFileWithASecondNameIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	must(t, os.Link(write(t, filepath.Join(folder, "a"), 0o600), filepath.Join(folder, "b")))
	dir, err := Ours().Open(folder)
	must(t, err)
	defer dir.Close() //nolint:errcheck // only looked at
	_, err = dir.Open("b", os.O_RDWR|os.O_CREATE)
	check(t, "to write", err, "has 2 names (hard links)")
	if text, err := dir.Read("b", 100); string(text) != secret || err != nil {
		t.Errorf("to read: got %q, %v", text, err)
	}
	must(t, dir.Replace("b", "new"))
	if text, _ := os.ReadFile(filepath.Join(folder, "a")); string(text) != secret {
		t.Errorf("the other name holds %q", text)
	}
}

// TestThePathToAFolderIsOnesOwn: a user who can put something else in place of a part of a path chooses what it leads
// to.
func TestThePathToAFolderIsOnesOwn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare func(t *testing.T, parent string)
		want    string
		roots   bool
	}{
		"a folder of one's own": {func(t *testing.T, _ string) { t.Helper() }, "", false},
		"a sticky folder": {
			func(t *testing.T, p string) { t.Helper(); must(t, unix.Chmod(p, 0o1777)) }, "",
			false,
		},
		"mode 0777": {
			func(t *testing.T, p string) { t.Helper(); must(t, unix.Chmod(p, 0o777)) },
			"has the mode 0777", false,
		},
		"mode 0770 of another group": {func(t *testing.T, p string) {
			t.Helper()
			must(t, os.Chown(p, 0, other))
			must(t, unix.Chmod(p, 0o770))
		}, "has the mode 0770", true},
		"the folder of another": {
			func(t *testing.T, p string) { t.Helper(); must(t, os.Chown(p, other, other)) },
			"belongs to user id 54321", true,
		},
		"a link of one's own": {func(t *testing.T, p string) {
			t.Helper()
			must(t, os.Rename(p, p+".x"))
			must(t, os.Symlink(p+".x", p))
		}, "", false},
		"a relative link": {func(t *testing.T, p string) {
			t.Helper()
			must(t, os.Rename(p, p+".x"))
			must(t, os.Symlink("../"+filepath.Base(filepath.Dir(p))+"/"+filepath.Base(p)+".x", p))
		}, "", false},
		"the link of another in a sticky folder": {func(t *testing.T, p string) {
			t.Helper()
			must(t, os.Rename(p, p+".x"))
			must(t, os.Symlink(p+".x", p))
			must(t, os.Lchown(p, other, other))
			must(t, unix.Chmod(filepath.Dir(p), 0o1777))
		}, "is a link that belongs to user id 54321", true},
		"a link to the folder of another": {func(t *testing.T, p string) {
			t.Helper()
			must(t, os.Rename(p, p+".x"))
			must(t, os.Symlink(p+".x", p))
			must(t, os.Chown(p+".x", other, other))
		}, "belongs to user id 54321", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.roots {
				needRoot(t)
			}
			parent := filepath.Join(newFolder(t), "parent")
			must(t, os.Mkdir(parent, 0o700))
			test.prepare(t, parent)
			_, err := Ours().Reach(filepath.Join(parent, "data", "not", "yet", "there"))
			check(t, "reach", err, test.want)
		})
	}
}

func TestLinksWithoutAnEndAreAnError(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	must(t, os.Symlink("b", filepath.Join(folder, "a")))
	must(t, os.Symlink("a", filepath.Join(folder, "b")))
	if _, err := Ours().Reach(filepath.Join(folder, "a", "c")); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("got %v, want %v", err, syscall.ELOOP)
	}
}

// TestTheFolderItselfIsClosed: what may stand above it, a sticky folder, may not be the folder.
func TestTheFolderItselfIsClosed(t *testing.T) {
	t.Parallel()
	for mode, want := range map[uint32]string{
		0o700: "", 0o711: "", 0o755: "",
		0o1777: "can be changed by others (mode 1777", 0o777: "mode 0777", 0o720: "mode 0720",
	} {
		folder := newFolder(t)
		must(t, unix.Chmod(folder, mode))
		dir, err := Ours().Open(folder)
		check(t, "open", err, want)
		if err == nil {
			_ = dir.Close()
		}
	}
	link := filepath.Join(newFolder(t), "link")
	must(t, os.Symlink(newFolder(t), link))
	_, err := Ours().Open(link)
	check(t, "a link", err, "is a link")
}
