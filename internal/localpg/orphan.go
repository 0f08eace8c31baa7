package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/avtotpy/avtotpy/internal/owned"
)

// noticeInterval is how often a long wait is logged.
const noticeInterval = 10 * time.Second

// endEarlierServer sees to what a crash left: a server whose instance was killed, or only its postmaster.pid.
// We hold the lock, so such a server is not in use.
func (s *Server) endEarlierServer(ctx context.Context) error {
	dir, err := s.folder.dir.With(s.account.uid).Sub("postgres")
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	defer dir.Close()       //nolint:errcheck // it was only looked at
	const longest = 4 << 10 // bytes
	text, err := dir.Read("postmaster.pid", longest)
	if is[*owned.Error](err) { // PostgreSQL would follow a link
		return fmt.Errorf("cluster: %w", err)
	}
	if err != nil {
		return nil // no such file: it was shut down in order; otherwise PostgreSQL will say what is wrong
	}
	line, rest, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 0 {
		return nil // PostgreSQL explains what to do about such a file
	}
	program, arguments := commandLine(ctx, pid)
	switch {
	case s.isOurs(program, arguments):
		return s.stopOrphan(ctx, pid)
	case program != "" && program != "postgres":
		return s.disown(rest)
	}
	return nil // PostgreSQL removes the file of a dead server, and refuses to disturb one that we do not know
}

// isOurs reports whether a command line is that of a server on our cluster. Its children have other ones.
func (s *Server) isOurs(program, arguments string) bool {
	return program == "postgres" && strings.HasPrefix(arguments, "-D "+s.folder.join("postgres")+" -c ")
}

func (s *Server) stopOrphan(ctx context.Context, pid int) error {
	s.log.Warn("stopping a PostgreSQL that a killed instance left", "pid", pid)
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop the PostgreSQL that a killed instance left, process %d: %w", pid, err)
	}
	notice := time.NewTicker(noticeInterval)
	defer notice.Stop()
	for s.isOurs(commandLine(ctx, pid)) {
		select {
		case <-ctx.Done():
		case <-notice.C:
			s.log.Info("an old PostgreSQL is still stopping", "pid", pid)
		case <-time.After(20 * time.Millisecond):
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("wait for the PostgreSQL that a killed instance left, process %d: %w", pid, err)
		}
	}
	return nil
}

// disown puts our number into postmaster.pid in place of one that now belongs to another program. In a restarted
// container that is often a thread of ours, and PostgreSQL would refuse to start for ever. A file with the number
// of its parent it takes for old, and it still checks that nothing uses the old server's shared memory; had we
// removed the file, it could not.
func (s *Server) disown(rest string) error {
	file, err := os.CreateTemp(s.folder.join("postgres"), "postmaster.pid.")
	if err != nil {
		return fmt.Errorf("update postmaster.pid: %w", err)
	}
	_, err = fmt.Fprintf(file, "%d\n%s", os.Getpid(), rest)
	if err := errors.Join(err, s.account.give(file), file.Close()); err != nil {
		err = errors.Join(err, os.Remove(file.Name())) //nolint:gosec // a file of ours
		return fmt.Errorf("update postmaster.pid: %w", err)
	}
	return os.Rename(file.Name(), s.folder.join("postgres", "postmaster.pid")) //nolint:gosec // paths of ours
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}
