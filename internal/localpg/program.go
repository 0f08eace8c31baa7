package localpg

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Program is one of PostgreSQL's client programs, as it is installed somewhere.
type Program struct {
	Path         string
	Major, Minor int
}

// FindPrograms returns the installed programs of a name, such as pg_dump, newest first: the one in binDir, or
// when that is "", those in PATH and where packages put them. looked says where that was.
//
// A link that leads to a program of another name is left out: that is Debian's wrapper, whose version depends on
// how it is called. What it leads to is found next to the server.
func FindPrograms(ctx context.Context, name, binDir string) (found []Program, looked []string) {
	for _, dir := range folders(binDir) {
		path, err := filepath.EvalSymlinks(filepath.Join(dir, name))
		if err != nil || filepath.Base(path) != name {
			continue
		}
		p := Program{Path: path}
		if p.Major, p.Minor, err = version(ctx, self(), path); err == nil && !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	slices.SortStableFunc(found, func(a, b Program) int {
		return cmp.Or(cmp.Compare(b.Major, a.Major), cmp.Compare(b.Minor, a.Minor))
	})
	return found, places(binDir)
}

// version asks a program which it is.
func version(ctx context.Context, a account, path string) (major, minor int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := a.command(ctx, path, "--version")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cmd.SysProcAttr.Credential} // it ends by itself
	output, err := cmd.Output()
	if err != nil {
		return 0, 0, err
	}
	return parseVersion(string(output))
}
