package localpg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/avtotpy/avtotpy/internal/owned"
)

// maxSocketPath is what fits into sun_path with its final zero: 104 bytes on macOS and FreeBSD, 108 on Linux.
const maxSocketPath = 103

// makeSockets makes the folder of the socket, which only the server's user and root may enter.
func (s *Server) makeSockets() error {
	if !fitsSocket(s.folder.join("run")) {
		return nil
	}
	dir, err := s.folder.dir.With(s.account.uid).Make("run")
	if err != nil {
		return fmt.Errorf("folder of the socket: %w", err)
	}
	return errors.Join(s.account.give(dir.File), dir.Close())
}

// openSockets clears the folder of the socket, or makes one elsewhere.
func (s *Server) openSockets() error {
	s.sockets = s.folder.join("run")
	if fitsSocket(s.sockets) {
		// A crash leaves a lock file too, see disown.
		for _, name := range []string{"/.s.PGSQL." + port, "/.s.PGSQL." + port + ".lock"} {
			err := os.Remove(s.sockets + name) //nolint:gosec // a path of ours
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove an old socket: %w", err)
			}
		}
		return nil
	}
	parent, err := owned.Ours().Reach(filepath.Join(os.TempDir(), "avtotpy"))
	if err != nil { // others could put a socket of theirs in place of the server's
		return fmt.Errorf("folder of the socket: %w", err)
	}
	temporary, err := os.MkdirTemp(filepath.Dir(parent), "avtotpy-")
	if err != nil {
		return fmt.Errorf("folder of the socket: %w", err)
	}
	s.sockets = temporary
	s.release = append(s.release, func() error { return os.RemoveAll(temporary) })
	if !fitsSocket(temporary) {
		return fmt.Errorf("neither %s nor %s can hold a socket: set AVTOTPY_DATA_DIR or TMPDIR to a short path of "+
			"letters and digits", s.folder.join("run"), temporary)
	}
	if !s.account.other() {
		return nil
	}
	return os.Lchown(temporary, int(s.account.uid), int(s.account.gid))
}

// fitsSocket also asks for characters that need no quotes, neither in the server's list of folders nor in
// connection strings, where a comma separates hosts.
func fitsSocket(dir string) bool {
	return len(dir+"/.s.PGSQL."+port) <= maxSocketPath && regexp.MustCompile(`^[A-Za-z0-9/._+@~-]+$`).MatchString(dir)
}
