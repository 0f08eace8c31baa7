package localpg

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/avtotpy/avtotpy/internal/owned"
)

// MissingSecretError says that a secret is lost without which the existing data is of no use.
type MissingSecretError struct {
	Path string
	Help string
}

func (e *MissingSecretError) Error() string {
	return fmt.Sprintf("%s is missing although there is data that needs it: restore it from a backup. %s", e.Path,
		e.Help)
}

type secrets struct {
	superuser, migrator, web string // passwords
	masterKey                string
}

// openSecrets reads the secrets and makes those that are missing. Where data exists, only the passwords of the
// migrator and of the web role are made again: setUp gives them to the roles.
func openSecrets(f folder, dataExists bool, masterKey string, now time.Time, log *slog.Logger) (secrets, error) {
	dir, err := f.dir.Make("secrets")
	if err != nil {
		return secrets{}, err
	}
	defer dir.Close() //nolint:errcheck // what was written to it is on the disk
	var helpKey, helpSuperuser string
	if dataExists {
		helpKey = "Without the master key the stored secrets cannot be read, and a new one would not help; if you " +
			"keep it elsewhere, set AVTOTPY_MASTER_KEY"
		helpSuperuser = fmt.Sprintf("Without a backup, set a new password that you write to that file as well: as the "+
			`owner of the cluster run
  echo "ALTER ROLE %s PASSWORD 'letters-and-digits'" | postgres --single -D '%s' postgres`,
			superuser, f.join("postgres"))
	}
	s := secrets{masterKey: strings.TrimSpace(masterKey)}
	var errs [4]error
	s.superuser, errs[0] = openPassword(dir, "superuser-password", helpSuperuser)
	s.migrator, errs[1] = openPassword(dir, "migrator-password", "")
	s.web, errs[2] = openPassword(dir, "web-password", "")
	if s.masterKey == "" {
		s.masterKey, errs[3] = openSecret(dir, "master-key", helpKey, func() string {
			return "k" + now.UTC().Format("20060102") + ":" + base64.StdEncoding.EncodeToString(random32())
		})
	}
	warnOfReaders(dir, log)
	return s, errors.Join(errs[:]...)
}

// warnOfReaders says which secrets others can read: who did so has them, and closing the files does not change
// that.
func warnOfReaders(dir *owned.Dir, log *slog.Logger) {
	const others = 0o077
	if folder, err := dir.Stat(); err != nil || folder.Mode().Perm()&others == 0 {
		return // no other user gets as far as the files
	}
	entries, _ := dir.ReadDir(-1) // what cannot be listed was not read either
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.Mode().Perm()&others != 0 {
			log.Warn("other users of this machine can read a secret: close the file, and if they are not to be "+
				"trusted change the secret",
				"file", filepath.Join(dir.Name(), entry.Name()), "mode", fmt.Sprintf("%04o", info.Mode().Perm()),
				"command", fmt.Sprintf("chmod 0700 '%[1]s' && chmod 0600 '%[1]s'/*", dir.Name()))
		}
	}
}

// openPassword accepts only what needs no quotes in SQL and connection strings.
func openPassword(dir *owned.Dir, name, help string) (string, error) {
	password, err := openSecret(dir, name, help,
		func() string { return base64.RawURLEncoding.EncodeToString(random32()) })
	if err == nil && !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(password) {
		return "", fmt.Errorf("%s: a password here consists of the characters A-Z, a-z, 0-9, _ and - only",
			filepath.Join(dir.Name(), name))
	}
	return password, err
}

// openSecret reads a secret. One that does not exist is made, unless help says what else to do.
func openSecret(dir *owned.Dir, name, help string, generate func() string) (string, error) {
	const longest = 64 << 10 // bytes, of many master keys
	path := filepath.Join(dir.Name(), name)
	text, err := dir.Read(name, longest)
	switch {
	case errors.Is(err, fs.ErrNotExist) && help != "":
		return "", &MissingSecretError{Path: path, Help: help}
	case errors.Is(err, fs.ErrNotExist):
		secret := generate()
		return secret, dir.Replace(name, secret+"\n")
	case err != nil:
		return "", fmt.Errorf("read a secret: %w", err)
	case strings.TrimSpace(string(text)) == "":
		return "", fmt.Errorf("%s is empty: restore it from a backup", path)
	}
	return strings.TrimSpace(string(text)), nil
}

func random32() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails: the program would have ended
	return b
}
