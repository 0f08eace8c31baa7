package localpg

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// MissingSecretError says that a secret is lost without which the existing data is of no use.
type MissingSecretError struct {
	Path string
	Help string
}

func (e *MissingSecretError) Error() string {
	return fmt.Sprintf("%s is missing although there is data that needs it: restore it from a backup. %s", e.Path, e.Help)
}

type secrets struct {
	superuser, migrator, web string // passwords
	masterKey                string
}

// openSecrets reads the secrets and makes those that are missing. Where data exists, only the passwords of the
// migrator and of the web role are made anew: setUp gives them to the roles.
func openSecrets(f folder, dataExists bool, masterKey string, now time.Time) (secrets, error) {
	dir := f.join("secrets")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return secrets{}, err
	}
	var helpKey, helpSuperuser string
	if dataExists {
		helpKey = "Without the master key the stored secrets cannot be read, and a new one would not help; if you keep it elsewhere, set AVTOTPY_MASTER_KEY"
		helpSuperuser = fmt.Sprintf(`Without a backup, set a new password that you write to that file as well: as the owner of the cluster run
  echo "ALTER ROLE %s PASSWORD 'letters-and-digits'" | postgres --single -D '%s' postgres`, superuser, f.join("postgres"))
	}
	s := secrets{masterKey: strings.TrimSpace(masterKey)}
	var errs [4]error
	s.superuser, errs[0] = openPassword(filepath.Join(dir, "superuser-password"), helpSuperuser)
	s.migrator, errs[1] = openPassword(filepath.Join(dir, "migrator-password"), "")
	s.web, errs[2] = openPassword(filepath.Join(dir, "web-password"), "")
	if s.masterKey == "" {
		s.masterKey, errs[3] = openSecret(filepath.Join(dir, "master-key"), helpKey, func() string {
			return "k" + now.UTC().Format("20060102") + ":" + base64.StdEncoding.EncodeToString(random32())
		})
	}
	return s, errors.Join(errs[:]...)
}

// openPassword accepts only what needs no quotes in SQL and connection strings.
func openPassword(path, help string) (string, error) {
	password, err := openSecret(path, help, func() string { return base64.RawURLEncoding.EncodeToString(random32()) })
	if err == nil && !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(password) {
		return "", fmt.Errorf("%s: a password here consists of the characters A-Z, a-z, 0-9, _ and - only", path)
	}
	return password, err
}

// openSecret reads a secret. One that does not exist is made, unless help says what else to do.
func openSecret(path, help string, generate func() string) (string, error) {
	text, err := os.ReadFile(path) //nolint:gosec // a path of ours
	switch {
	case errors.Is(err, fs.ErrNotExist) && help != "":
		return "", &MissingSecretError{Path: path, Help: help}
	case errors.Is(err, fs.ErrNotExist):
		secret := generate()
		return secret, writeSecret(path, secret)
	case err != nil:
		return "", fmt.Errorf("read a secret: %w", err)
	case strings.TrimSpace(string(text)) == "":
		return "", fmt.Errorf("%s is empty: restore it from a backup", path)
	}
	return strings.TrimSpace(string(text)), nil
}

// writeSecret leaves a whole file or none.
func writeSecret(path, secret string) error {
	part, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // a path of ours
	if err != nil {
		return err
	}
	_, err = part.WriteString(secret + "\n")
	if err := errors.Join(err, part.Sync(), part.Close()); err != nil {
		return err
	}
	if err := os.Rename(part.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // a path of ours
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func random32() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails: the program would have ended
	return b
}
