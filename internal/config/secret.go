package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/avtotpy/avtotpy/internal/owned"
)

// Secret is text that is not shown, whichever way it is printed, logged or encoded. An empty one stays empty, so
// that a missing secret differs from a hidden one.
type Secret string

const hidden = "[secret]"

// Reveal returns the text.
func (s Secret) Reveal() string { return string(s) }

// String returns "[secret]", or "" for an empty one.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString is String in quotes.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// Format writes String for every verb, %x and %d too.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}
	_, _ = io.WriteString(f, text) // fmt reports its writer's errors
}

// MarshalText serves encoding/json and the like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue serves log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// fileTimeout is how long a pipe may take to deliver a secret.
const fileTimeout = 10 * time.Second

// readSecretFile returns the content of a file without one newline at its end, which editors and echo add, and a
// warning when others can read it, too. It does not wait for a pipe for ever: nothing else but a second signal would
// end the program during that time.
func readSecretFile(path string, trusted owned.Users, timeout time.Duration) (text, warning string, err error) {
	const most = 64 << 10 // bytes; a mistaken path must not fill the memory
	f, warning, err := trusted.Given(path)
	if err != nil {
		return "", "", unreadable(path, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	content, err := readSecret(f, most+1, timeout)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "", "", fmt.Errorf("nothing was written to the pipe %q for %s", path, timeout)
	}
	if err != nil {
		return "", "", unreadable(path, err)
	}
	text, cut := strings.CutSuffix(string(content), "\n")
	if cut {
		text = strings.TrimSuffix(text, "\r")
	}
	switch {
	case len(content) > most:
		return "", "", fmt.Errorf("the file %q is larger than 64 KiB; expected only the secret", path)
	case text == "":
		return "", "", fmt.Errorf("the file %q is empty", path)
	case strings.Contains(text, "\x00"):
		return "", "", fmt.Errorf("the file %q is not plain text", path)
	}
	keepFromChildren(path)
	return text, warning, nil
}

// readSecret reads all of a file. Of a pipe it waits for the first byte: until a writer has opened its other end, it
// looks empty.
func readSecret(f *os.File, most int64, timeout time.Duration) ([]byte, error) {
	pipe := false
	if info, err := f.Stat(); err == nil {
		pipe = info.Mode()&fs.ModeNamedPipe != 0
	}
	if !pipe {
		return io.ReadAll(io.LimitReader(f, most))
	}
	deadline := time.Now().Add(timeout)
	if err := f.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	for {
		content, err := io.ReadAll(io.LimitReader(f, most))
		switch {
		case err != nil || len(content) > 0:
			return content, err
		case time.Now().After(deadline):
			return nil, os.ErrDeadlineExceeded
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// unreadable names the path, unless the value may be the secret itself instead of its path.
func unreadable(path string, err error) error {
	shown := filepath.IsAbs(path) || strings.HasPrefix(path, ".")
	if refused, ok := errors.AsType[*owned.Error](err); ok && shown {
		return refused
	} else if ok {
		err = errors.New("it is not trusted, as others could have changed it, or it is not a file")
	}
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathError.Err
	}
	if !shown {
		return fmt.Errorf("cannot read the file: %w (its path is not shown, as it may be the secret itself; start "+
			"it with / or ./)", err)
	}
	return fmt.Errorf("cannot read %q: %w", path, err)
}
