package owned

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestASecretsFileIsNobodyElses: what an operator names may be reached by links, as Kubernetes makes them, but neither
// it nor the links may be in the hands of others.
func TestASecretsFileIsNobodyElses(t *testing.T) {
	t.Parallel()
	for name, a := range attacks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if a.roots {
				needRoot(t)
			}
			path := filepath.Join(newFolder(t), "f")
			a.put(t, path)
			want := a.want
			switch name {
			case "a link to a file", "a pipe":
				want = ""
			case "a link to a folder":
				want = "is a folder"
			case "a link to the environment":
				want = "holds what the kernel says"
			case "a socket", "a link to nothing": // the system refuses them
				if _, _, err := Ours().Given(path); err == nil {
					t.Error("it was opened")
				}
				return
			}
			file, _, err := Ours().Given(path)
			check(t, "given", err, want)
			if err == nil {
				_ = file.Close()
			}
		})
	}
}

func TestTheKernelsFilesAreNoSecrets(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	for _, path := range []string{
		"/proc/self/environ", "/proc/self/cmdline", "/proc/1/status",
		fmt.Sprintf("/proc/%d/environ", os.Getpid()), "/sys/kernel/mm/transparent_hugepage/enabled",
	} {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		_, _, err := Ours().Given(path)
		check(t, path, err, "holds what the kernel says")
	}
}

// TestOrchestratorsFilesAreRead: links within a volume, a folder with the sticky bit, the pipe of a shell.
func TestOrchestratorsFilesAreRead(t *testing.T) {
	t.Parallel()
	volume := newFolder(t)
	must(t, os.Mkdir(filepath.Join(volume, "..2026"), 0o755))
	write(t, filepath.Join(volume, "..2026", "key"), 0o444)
	must(t, os.Symlink("..2026", filepath.Join(volume, "..data")))
	must(t, os.Symlink("..data/key", filepath.Join(volume, "key")))
	must(t, unix.Chmod(volume, 0o1777))
	paths := []string{filepath.Join(volume, "key")}
	if runtime.GOOS == "linux" {
		read, written, err := os.Pipe()
		must(t, err)
		_, err = written.WriteString(secret)
		must(t, err)
		must(t, written.Close())
		paths = append(paths, fmt.Sprintf("/dev/fd/%d", read.Fd()), fmt.Sprintf("/proc/self/fd/%d", read.Fd()))
		defer read.Close() //nolint:errcheck // as above
	}
	for i, path := range paths {
		file, _, err := Ours().Given(path)
		must(t, err)
		if text, err := io.ReadAll(file); i < 2 && (string(text) != secret || err != nil) {
			t.Errorf("%s: got %q, %v", path, text, err)
		}
		must(t, file.Close())
	}
}

// TestWhatOthersCanReadIsAWarning, unless they cannot get there.
func TestWhatOthersCanReadIsAWarning(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	path := write(t, filepath.Join(folder, "key"), 0o644)
	if _, warning, err := Ours().Given(path); warning != "" || err != nil {
		t.Errorf("in a closed folder: got %q, %v, want nothing", warning, err)
	}
	for dir := folder; dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	_, warning, err := Ours().Given(path)
	if memory := onMemory(t, path); !othersReach(path) || memory {
		t.Skip("others cannot get to the folder of temporary files, or it is in memory")
	}
	if err != nil || !strings.Contains(warning, "chmod 0600 '"+path+"'") || !strings.Contains(warning, "0644") {
		t.Errorf("got %q, %v, want a warning with the command", warning, err)
	}
}

func onMemory(t *testing.T, path string) bool {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	defer file.Close() //nolint:errcheck // only looked at
	return mountOf(int(file.Fd())).memory
}

// TestAReadOnlyMountStandsForOwnerAndMode: it is what the secrets of orchestrators are, with owners of another machine.
func TestAReadOnlyMountStandsForOwnerAndMode(t *testing.T) {
	t.Parallel()
	needRoot(t)
	if runtime.GOOS != "linux" {
		t.Skip("needs bind mounts")
	}
	folder := newFolder(t)
	path := write(t, filepath.Join(folder, "key"), 0o444)
	must(t, os.Chown(path, other, other))
	_, _, err := Ours().Given(path)
	check(t, "before", err, "belongs to user id 54321")
	if err := bindReadOnly(path); err != nil {
		t.Skip("this user may not mount: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(path, 0) })
	if file, warning, err := Ours().Given(path); warning != "" || err != nil {
		t.Errorf("mounted read-only: got %q, %v, want nothing", warning, err)
	} else if err := file.Close(); err != nil {
		t.Error(err)
	}
}
