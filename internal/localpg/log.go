package localpg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/avtotpy/avtotpy/internal/owned"
)

const (
	logName = "postgres.log"
	maxLog  = 10 << 20 // bytes in one file
	oldLogs = 5
	maxTail = 4 << 10 // bytes kept for error messages
)

// serverLog is what the server writes: in a file that is replaced when it is full, and its end in memory.
type serverLog struct {
	path string
	max  int
	dir  *owned.Dir

	mu     sync.Mutex
	file   *os.File // nil when it could not be opened
	size   int
	recent []byte
}

// openLog keeps the logs of earlier starts as postgres.log.1 and so on.
func openLog(dir *owned.Dir) (*serverLog, error) {
	l := &serverLog{path: filepath.Join(dir.Name(), logName), max: maxLog, dir: dir}
	return l, l.rotate()
}

// Write never fails: it would end the copying, and on a full disk the server goes on, and so does the tail.
func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent = append(l.recent, p...)
	l.recent = l.recent[max(0, len(l.recent)-maxTail):]
	if l.size > l.max {
		_ = l.rotate() // as above
	}
	if l.file != nil {
		n, _ := l.file.Write(p) // as above
		l.size += n
	}
	return len(p), nil
}

func (l *serverLog) rotate() error {
	if l.file != nil {
		_ = l.file.Close() // a log line lost on a full disk
		l.file = nil
	}
	for n := oldLogs; n > 0; n-- {
		from := logName
		if n > 1 {
			from = fmt.Sprintf("%s.%d", logName, n-1)
		}
		if err := l.dir.Rename(from, fmt.Sprintf("%s.%d", logName, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keep an old log of the server: %w", err)
		}
	}
	file, err := l.dir.Open(logName, os.O_WRONLY|os.O_CREATE|os.O_APPEND)
	if err != nil {
		return fmt.Errorf("open the server's log: %w", err)
	}
	l.file, l.size = file, 0
	return nil
}

// Close ends the file; the tail remains.
func (l *serverLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.dir.Close()
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	return err
}

// tail returns the last lines.
func (l *serverLog) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := string(l.recent)
	if len(l.recent) == maxTail {
		_, text, _ = strings.Cut(text, "\n") // the first line is not whole
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}
