// Package config reads the settings of AVTotpy from the environment.
//
// It promises that one table is the source of what is parsed, of the help and of docs/configuration.md; that
// every problem is reported at once, with the variable's name and what is expected; that nothing it returns
// or prints shows a secret; and that a mode neither requires nor reads a secret that it does not use.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/avtotpy/avtotpy/internal/osuser"
	"github.com/avtotpy/avtotpy/internal/owned"
)

// Mode is what a start does with the database and whether it serves.
type Mode string

// The modes.
const (
	Run        Mode = "RUN"          // migrate, then serve
	RunAndExit Mode = "RUN_AND_EXIT" // migrate, then exit
	Skip       Mode = "SKIP"         // serve; something else migrates

	// Inspect is for commands that only inspect the database; it is not a value of POSTGRES_MIGRATOR_MODE.
	Inspect Mode = "a command that inspects the database"
)

// LogFormat is how log lines are written.
type LogFormat string

// The log formats.
const (
	LogAuto LogFormat = "auto" // text on a terminal, JSON otherwise
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Config holds the settings of one start. What its mode does not use is empty.
type Config struct {
	Mode           Mode
	MigratorConn   Secret // connection string of the privileged role
	WebConn        Secret // connection string of the unprivileged role
	WebRole        string // name of the unprivileged role, which the migrator creates
	WebPassword    Secret // its password
	ConnectWait    time.Duration
	LockTimeout    time.Duration
	Wait           time.Duration
	ListenAddr     string   // host:port
	HealthAddr     string   // host:port for machines, or empty
	PublicURL      *url.URL // without a path; nil when not set
	Proxies        Proxies
	MasterKey      Secret        // text for keyring.Parse
	AuditRetention time.Duration // 0: for ever
	DataDir        string        // absolute
	BackupDir      string        // absolute, or empty: no backups
	PostgresBin    string        // absolute, or empty: search
	LogLevel       slog.Level
	LogFormat      LogFormat
	User           string // whom root becomes before it serves, by name or number; empty when not set
}

// Proxies are the reverse proxies that are trusted to say where a request comes from.
type Proxies struct {
	Networks []netip.Prefix
	Unix     bool   // whether requests over a Unix socket come from one
	Header   string // the one that they write, Forwarded or X-Forwarded-For; empty stands for the latter
}

// Embedded reports whether no database is configured, so that AVTotpy runs the embedded PostgreSQL.
func (c Config) Embedded() bool {
	return c.MigratorConn == "" && c.WebConn == ""
}

// LoadFor reads the settings from an environment as os.Environ returns it, and the files that it names, for a command
// that starts in one mode, whatever POSTGRES_MIGRATOR_MODE says; "" is the mode that it says. For Inspect, either
// connection will do; the privileged one needs the name of the unprivileged user. It returns warnings also when there
// is an error. The error has one line for each problem.
func LoadFor(m Mode, environ []string) (Config, []string, error) {
	l := loader{env: parseEnviron(environ), config: Config{Mode: m}}
	l.trusted = owned.Ours(l.asked()...)
	for _, v := range variables() {
		if m == "" || v.name != mode {
			l.read(v)
		}
	}
	l.validate()
	warnings := append(unknownVariables(l.env), l.warnings...)
	if m == "" && l.config.Mode == Skip {
		for _, v := range variables() {
			if v.privileged && l.isSet(v.name) {
				warnings = append(warnings, fmt.Sprintf("%s: %s does not use it; leave it out, so that the web "+
					"server never sees it", v.name, Skip))
			}
		}
	}
	if err := errors.Join(l.problems...); err != nil {
		return Config{}, warnings, err
	}
	return l.config, warnings, nil
}

// WithoutPrivileged returns the environment of a process that only serves: without the privileged connection and the
// password for making users. Of PostgreSQL's own variables that lead to a password only those stay that the web
// server's connection needs.
func (c Config) WithoutPrivileged(environ []string) []string {
	env := parseEnviron(environ)
	drop := map[string]bool{
		"PGPASSFILE":    !needsPassfile(c.WebConn.Reveal(), env["PGPASSWORD"]),
		"PGSSLPASSWORD": !needsKey(c.WebConn.Reveal()),
	}
	for _, v := range variables() {
		drop[v.name], drop[v.fileName()] = v.privileged, v.privileged
	}
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, value, _ := strings.Cut(entry, "=")
		return drop[name] || name == "PGPASSWORD" && value != c.WebPassword.Reveal()
	})
}

// HandedOver returns the environment with which another process, of the user that this one is now, finds the secrets
// that a server needs. A file that it could not read, because only root can, or because it was a pipe whose content is
// gone, is replaced by one in memory, which only this process and its successor can reach.
func (c Config) HandedOver(environ []string) ([]string, error) {
	env := parseEnviron(environ)
	environ = slices.Clone(environ)
	for _, secret := range []struct {
		name  string
		value Secret
	}{{webConn, c.WebConn}, {masterKey, c.MasterKey}} {
		path := env[secret.name+fileSuffix]
		if path == "" || canReadAgain(path) {
			continue
		}
		handed, err := inMemory(secret.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %q cannot be read again, and its content cannot be handed over: %w",
				secret.name+fileSuffix, path, err)
		}
		for i, entry := range environ {
			if name, _, _ := strings.Cut(entry, "="); name == secret.name+fileSuffix {
				environ[i] = name + "=" + handed
			}
		}
	}
	return environ, nil
}

func canReadAgain(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path) //nolint:gosec // the operator says which file
	return err == nil && f.Close() == nil
}

// parseEnviron leaves out empty variables: compose files set those that were not given. Like os.Getenv it takes
// the first of two with one name.
func parseEnviron(environ []string) map[string]string {
	env := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if _, seen := env[name]; !seen {
			env[name] = value
		}
	}
	for name, value := range env {
		if value == "" {
			delete(env, name)
		}
	}
	return env
}

// loader collects the settings and what is wrong with them.
type loader struct {
	env      map[string]string
	config   Config
	problems []error
	warnings []string
	trusted  owned.Users // of whom a file of a secret may be
}

// asked returns the user that root is to become, whose files are trusted as well.
func (l *loader) asked() []uint32 {
	if name := l.env[runAs]; name != "" {
		if user, err := osuser.Lookup(name); err == nil {
			return []uint32{user.UID}
		}
	}
	return nil
}

func (l *loader) problem(name, format string, args ...any) {
	l.problems = append(l.problems, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
}

// read parses one variable, or its default, into the config.
func (l *loader) read(v variable) {
	value, path := l.env[v.name], ""
	if v.secret {
		path = l.env[v.fileName()]
	}
	switch {
	case !v.usedIn(l.config.Mode):
		return
	case value != "" && path != "":
		l.problem(v.name, "is set, and %s too; set one of the two", v.fileName())
		return
	case path != "":
		content, warning, err := readSecretFile(path, l.trusted, fileTimeout)
		if err != nil {
			l.problem(v.fileName(), "%v; for example %s=%s", err, v.fileName(), v.exampleFile())
			return
		}
		if warning != "" {
			l.warnings = append(l.warnings, v.fileName()+": "+warning)
		}
		value = content
	case value == "":
		value = v.def
	}
	if value == "" {
		return
	}
	if v.name == migratorConn || v.name == webConn {
		before := len(l.problems)
		if l.checkConnFiles(v.name, value); len(l.problems) > before {
			return
		}
	}
	if err := v.set(&l.config, value); err != nil {
		name := v.name
		if path != "" {
			name = v.fileName()
		}
		l.problem(name, "%v%s", err, v.forExample())
	}
}

// isSet reports whether a variable is set, itself or as a file.
func (l *loader) isSet(name string) bool {
	return l.env[name] != "" || l.env[name+fileSuffix] != ""
}

// validate checks what single variables can't show: which are missing, and which don't fit together.
func (l *loader) validate() {
	if !l.isSet(migratorConn) && !l.isSet(webConn) {
		l.checkEmbedded()
		return
	}
	if l.config.Mode == Inspect && l.isSet(migratorConn) && !l.isSet(webRole) {
		l.problem(webRole, "is not set, but with %s it says which user to inspect", migratorConn)
	}
	for _, v := range variables() {
		if slices.Contains(v.neededBy, l.config.Mode) && !l.isSet(v.name) {
			l.problem(v.name, "is not set, but %s needs it %s%s%s", l.config.Mode, v.neededFor, l.otherConn(v.name),
				v.forExample())
		}
	}
	if l.config.Mode == Run && l.config.WebConn != "" && l.config.WebConn == l.config.MigratorConn {
		l.problem(webConn, "is the same as %s, so the web server would run with the rights of an administrator; "+
			"put the user and the password of %s into it", migratorConn, webRole)
	}
}

// otherConn explains why the one connection string that is set does not do for both.
func (l *loader) otherConn(missing string) string {
	switch {
	case missing == webConn:
		return "; " + migratorConn + ", which is set, is only for migrating"
	case missing == migratorConn && l.config.Mode == Run:
		return "; " + webConn + ", which is set, is only for serving (when something else migrates: " + mode + "=" +
			string(Skip) + ")"
	case missing == migratorConn:
		return "; " + webConn + ", which is set, is only for serving"
	}
	return ""
}

// checkEmbedded checks what a start on the embedded PostgreSQL needs. It makes its roles itself: an operator who names
// one has a server, forgot to say where, and would find an empty database.
func (l *loader) checkEmbedded() {
	for _, name := range []string{webRole, webPassword} {
		if l.isSet(name) {
			l.problem(name, "is set, but neither %s nor %s is, so AVTotpy would start the embedded PostgreSQL, "+
				"with an empty database; "+
				"set them, or remove %s", migratorConn, webConn, name)
		}
	}
	if l.config.DataDir == "" && l.env[dataDir] == "" {
		home, err := defaultDataDir(runtime.GOOS, os.Geteuid() == 0, l.env)
		if err != nil {
			l.problem(dataDir, "is not set, and %v; for example %s=/var/lib/avtotpy", err, dataDir)
		}
		l.config.DataDir = home
	}
	if l.config.DataDir != "" && !l.isSet(backupDir) {
		l.config.BackupDir = filepath.Join(l.config.DataDir, "backups")
	}
}

// defaultDataDir returns where an operating system keeps the data of a user's programs. Root has no folder of its
// own there: PostgreSQL then runs as another user, who must not see root's home.
func defaultDataDir(goos string, root bool, env map[string]string) (string, error) {
	if root {
		return "/var/lib/avtotpy", nil
	}
	if dir := env["XDG_DATA_HOME"]; goos != "darwin" && filepath.IsAbs(dir) { // its specification: ignore relative ones
		return filepath.Join(dir, "avtotpy"), nil
	}
	home := env["HOME"]
	if !filepath.IsAbs(home) {
		return "", errors.New("there is no home directory (HOME) to keep the data in")
	}
	if goos == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "avtotpy"), nil
	}
	return filepath.Join(home, ".local", "share", "avtotpy"), nil
}
