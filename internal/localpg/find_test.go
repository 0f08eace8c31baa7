package localpg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// install writes programs that only print their version.
func install(t *testing.T, dir, version string) string {
	t.Helper()
	for _, name := range []string{"postgres", "initdb"} {
		path := filepath.Join(dir, name)
		write(t, path, fmt.Sprintf("#!/bin/sh\necho '%s (PostgreSQL) %s'\n", name, version))
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestMissingBinariesAreAnErrorWithTheWayOut(t *testing.T) {
	t.Parallel()
	empty, old := t.TempDir(), install(t, t.TempDir(), "14.9")
	wrappers := install(t, t.TempDir(), "17.1")
	remove(t, filepath.Join(wrappers, "initdb"))
	for _, bin := range []string{empty, old, wrappers} {
		_, err := FindBin(bin)
		missing, ok := errors.AsType[*NotFoundError](err)
		if !ok {
			t.Fatalf("FindBin(%s): got %v, want a *NotFoundError", bin, err)
		}
		for _, want := range []string{
			bin, "apt install postgresql", "dnf install postgresql-server",
			"brew install postgresql@17", "AVTOTPY_POSTGRES_BIN",
		} {
			if !strings.Contains(missing.Error(), want) {
				t.Errorf("error %q does not mention %s", missing, want)
			}
		}
	}
	dir := newDir(t)
	_ = startError[*NotFoundError](t, Options{DataDir: dir, BinDir: empty})
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data folder was made: %v", err)
	}
}

func TestTheNewestServerInPathWins(t *testing.T) {
	older, newer := install(t, t.TempDir(), "98.7 (Debian 98.7-1)"), install(t, t.TempDir(), "99beta1")
	links := t.TempDir()
	if err := os.Symlink(filepath.Join(newer, "postgres"), filepath.Join(links, "postgres")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", older+":"+links+":"+os.Getenv("PATH"))
	want, err := filepath.EvalSymlinks(newer)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := FindBin(""); got != want || err != nil {
		t.Errorf("FindBin: got %q, %v; want %q", got, err, want)
	}
	cluster := cluster{path: "postgres", major: 98}
	if got, err := choose(search(t.Context(), self(), ""), cluster, ""); got.major != 98 || err != nil {
		t.Errorf("for a cluster of version 98: got %+v, %v", got, err)
	}
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][2]int{
		"postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n": {15, 20},
		"postgres (PostgreSQL) 17.5 (Homebrew)":                  {17, 5},
		"postgres (PostgreSQL) 18beta1":                          {18, 0},
		"postgres (PostgreSQL) 9.6.24":                           {9, 6},
	} {
		major, minor, err := parseVersion(line)
		if got := [2]int{major, minor}; got != want || err != nil {
			t.Errorf("parseVersion(%q): got %v, %v; want %v", line, got, err, want)
		}
	}
	if _, _, err := parseVersion("usage: postgres"); err == nil {
		t.Error("parseVersion accepts a line without a version")
	}
}

func TestItBuildsForEachUnix(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("compiles the package for other systems")
	}
	for _, system := range []string{"darwin", "freebsd", "linux"} {
		cmd := exec.Command("go", "vet", ".")
		cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("GOOS=%s go vet: %v\n%s", system, err, output)
		}
	}
}

func TestProgramsAreFoundNewestFirstAndWithoutWrappers(t *testing.T) {
	older, newer, wrapped := t.TempDir(), t.TempDir(), t.TempDir()
	for dir, version := range map[string]string{older: "15.9", newer: "17.2"} {
		path := filepath.Join(dir, "pg_tool")
		write(t, path, "#!/bin/sh\necho 'pg_tool (PostgreSQL) "+version+"'\n")
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(wrapped, "pg_wrapper"), "#!/bin/sh\necho 'pg_tool (PostgreSQL) 99.1'\n")
	if err := errors.Join(os.Chmod(filepath.Join(wrapped, "pg_wrapper"), 0o755),
		os.Symlink("pg_wrapper", filepath.Join(wrapped, "pg_tool"))); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", strings.Join([]string{wrapped, older, newer, os.Getenv("PATH")}, ":"))
	found, looked := FindPrograms(t.Context(), "pg_tool", "")
	if len(found) != 2 || found[0] != (Program{filepath.Join(newer, "pg_tool"), 17, 2}) || found[1].Minor != 9 ||
		len(looked) < 4 {
		t.Errorf("in PATH: %+v; want 17.2 and 15.9", found)
	}
	if found, _ := FindPrograms(t.Context(), "pg_tool", older); len(found) != 1 || found[0].Major != 15 {
		t.Errorf("in one folder: %+v; want 15.9", found)
	}
}
