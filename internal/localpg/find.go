package localpg

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const oldestMajor = 15

// NotFoundError says that no PostgreSQL server is installed where we look.
type NotFoundError struct {
	Looked []string // folders and patterns
	Found  []string // versions that are too old
}

func (e *NotFoundError) Error() string {
	found := ""
	if len(e.Found) > 0 {
		found = " (found " + strings.Join(e.Found, ", ") + ", which is too old)"
	}
	return fmt.Sprintf(`no PostgreSQL server %d or newer%s; looked for postgres and initdb in
  %s
install one:
  apt install postgresql, dnf install postgresql-server or brew install postgresql@17
or set AVTOTPY_POSTGRES_BIN to the folder that holds them`, oldestMajor, found, strings.Join(e.Looked, "\n  "))
}

// VersionError says that the cluster was made by another major version than the installed ones.
type VersionError struct {
	Cluster   string // folder of the cluster
	Major     int    // its version
	Installed []int  // majors, newest first
}

func (e *VersionError) Error() string {
	var installed []string
	for _, major := range e.Installed {
		installed = append(installed, strconv.Itoa(major))
	}
	return fmt.Sprintf("%s holds data of PostgreSQL %d, and the installed server is PostgreSQL %s; the data was not "+
		`touched.
Install PostgreSQL %[2]d (for example apt install postgresql-%[2]d), or set AVTOTPY_POSTGRES_BIN to its folder.
To move the data to another version, use pg_dump with both, or pg_upgrade`,
		e.Cluster, e.Major, strings.Join(installed, ", "))
}

// FindBin returns the folder of the newest PostgreSQL server that is 15 or newer: binDir, or when that is "",
// one in PATH or where packages put it. Without one the error is a *NotFoundError.
func FindBin(binDir string) (string, error) {
	bin, err := choose(search(context.Background(), self(), binDir), cluster{}, binDir)
	return bin.dir, err
}

// binaries is an installed server.
type binaries struct {
	dir          string // holds postgres and initdb
	major, minor int
}

func (b binaries) version() string { return fmt.Sprintf("%d.%d", b.major, b.minor) }

func (b binaries) path(program string) string { return filepath.Join(b.dir, program) }

// choose returns the newest server that can run the cluster, where installed is ordered newest first.
func choose(installed []binaries, found cluster, binDir string) (binaries, error) {
	missing := &NotFoundError{Looked: places(binDir)}
	var majors []int
	for _, b := range installed {
		switch {
		case b.major < oldestMajor:
			missing.Found = append(missing.Found, b.version())
		case !found.exists() || b.major == found.major:
			return b, nil
		}
		majors = append(majors, b.major)
	}
	if found.exists() && len(majors) > 0 {
		return binaries{}, &VersionError{Cluster: found.path, Major: found.major, Installed: slices.Compact(majors)}
	}
	return binaries{}, missing
}

// search returns the installed servers, newest first. Each is asked for its version as the account that is to run it:
// root starts nothing of a folder that another user may fill.
func search(ctx context.Context, a account, binDir string) []binaries {
	var installed []binaries
	for _, dir := range folders(binDir) {
		b, ok := look(ctx, a, dir)
		if ok && !slices.Contains(installed, b) {
			installed = append(installed, b)
		}
	}
	slices.SortStableFunc(installed, func(a, b binaries) int {
		return cmp.Or(cmp.Compare(b.major, a.major), cmp.Compare(b.minor, a.minor))
	})
	return installed
}

// folders lists where programs are looked for.
func folders(binDir string) []string {
	if binDir != "" {
		return []string{binDir} // its name is no pattern
	}
	var list []string
	for _, place := range places("") {
		dirs, _ := filepath.Glob(place) // a folder in PATH whose name is no pattern holds nothing of ours
		list = append(list, dirs...)
	}
	return list
}

// places lists where servers are looked for, as patterns.
func places(binDir string) []string {
	if binDir != "" {
		return []string{binDir}
	}
	var list []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if filepath.IsAbs(dir) { // what a relative one names is a matter of chance
			list = append(list, dir)
		}
	}
	list = append(list,
		"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
		"/usr/pgsql-*/bin",          // packages of postgresql.org for Red Hat
		"/usr/lib64/pgsql*/bin", "/usr/lib/postgresql*/bin", "/usr/libexec/postgresql*",
		"/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin", "/opt/homebrew/bin",
		"/usr/local/bin", "/usr/local/pgsql/bin")
	return slices.Compact(list)
}

// look returns the server in dir. A link leads to the folder where initdb finds its files.
func look(ctx context.Context, a account, dir string) (binaries, bool) {
	program, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil {
		return binaries{}, false
	}
	b := binaries{dir: filepath.Dir(program)}
	if _, err := exec.LookPath(b.path("initdb")); err != nil {
		return binaries{}, false
	}
	b.major, b.minor, err = version(ctx, a, b.path("postgres"))
	return b, err == nil
}

// parseVersion reads a line such as "postgres (PostgreSQL) 17.5 (Homebrew)". A preview, 18beta1, counts as 18.0.
func parseVersion(line string) (major, minor int, err error) {
	match := regexp.MustCompile(`\(PostgreSQL\) (\d{1,4})(?:\.(\d{1,4}))?`).FindStringSubmatch(line)
	if match == nil {
		return 0, 0, fmt.Errorf("%q does not name a version of PostgreSQL", line)
	}
	major, _ = strconv.Atoi(match[1]) // digits
	minor, _ = strconv.Atoi(match[2]) // digits or nothing, which is 0
	return major, minor, nil
}
