package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/avtotpy/avtotpy/internal/localpg"
)

// findPgDump chooses the oldest pg_dump that is not older than the server: each reads
// all older servers, but what it writes can be read only by a pg_restore that is no
// older, and a newer one's settings are not known to the server that it restores to.
func findPgDump(ctx context.Context, binDir string, major int) (localpg.Program, error) {
	found, looked := localpg.FindPrograms(ctx, "pg_dump", binDir)
	var best *localpg.Program
	var tooOld strings.Builder
	for i, p := range found { // newest first
		switch {
		case p.Major < major:
			fmt.Fprintf(&tooOld, " (%s is version %d.%d, which is too old)", p.Path, p.Major, p.Minor)
		case best == nil || p.Major < best.Major:
			best = &found[i]
		}
	}
	if best != nil {
		return *best, nil
	}
	return localpg.Program{}, &SetupError{fmt.Errorf("there is no pg_dump %[1]d or newer, which the server's version "+
		`asks for%[2]s; looked in
  %[3]s
install one:
  apt install postgresql-client-%[1]d, dnf install postgresql%[1]d or brew install postgresql@%[1]d
or set AVTOTPY_POSTGRES_BIN to the folder that holds it, or POSTGRES_MIGRATOR_BACKUP_DIR=off to migrate without a `+
		"backup",
		major, tooOld.String(), strings.Join(looked, "\n  "))}
}

// dump has pg_dump write the schema into a file.
func (s *session) dump(ctx context.Context, program localpg.Program, o Options, file string) error {
	// Owners and privileges are in the archive, comments too: pg_restore leaves out on demand what does not fit.
	// Its own sync would come before ours.
	arguments := []string{
		"--format=custom", "--encoding=UTF8", "--schema=" + pattern(o.Schema), "--file=" + file,
		"--no-password", "--no-sync",
	}
	if o.LockWait > 0 {
		arguments = append(arguments, fmt.Sprintf("--lock-wait-timeout=%d", max(o.LockWait.Milliseconds(), 1)))
	}
	cmd := exec.CommandContext(ctx, program.Path, arguments...) //nolint:gosec // a program of PostgreSQL
	cmd.Env = s.environ()
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C in a terminal reaches us, and ctx reaches it
	cmd.WaitDelay = 5 * time.Second
	var said last
	cmd.Stderr = &said
	served := make(chan error, 1)
	go func() { served <- s.serve() }()
	err := cmd.Run()
	s.close()
	broken := <-served
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("pg_dump %d.%d: %w", program.Major, program.Minor, errors.Join(err, said.err(), broken))
	}
	return nil
}

// environ is all that pg_dump gets of ours: no secret, and none of libpq's variables
// but those that lead to the session. LC_ALL keeps its messages in English.
func (s *session) environ() []string {
	environ := []string{
		"LC_ALL=C", "PGHOST=" + s.dir, "PGPORT=" + port, "PGUSER=" + s.user, "PGDATABASE=" + s.database,
		"PGSSLMODE=disable", "PGGSSENCMODE=disable", "PGPASSFILE=" + filepath.Join(s.dir, "none"),
	}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			environ = append(environ, name+"="+value)
		}
	}
	return environ
}

// pattern quotes a name so that pg_dump matches it alone.
func pattern(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// escape makes path a pattern that matches path only.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(filepath.Clean(path))
}

// A last keeps the end of what a program says.
type last struct{ text []byte }

func (l *last) Write(b []byte) (int, error) {
	const most = 4 << 10
	l.text = append(l.text, b...)
	l.text = l.text[max(len(l.text)-most, 0):]
	return len(b), nil
}

func (l *last) err() error {
	if text := strings.TrimSpace(string(l.text)); text != "" {
		return errors.New(text)
	}
	return nil
}
