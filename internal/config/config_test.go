package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/owned"
	"github.com/avtotpy/avtotpy/migrate/connstring"
)

// The settings of a PostgreSQL of one's own.
const (
	admin = "POSTGRES_MIGRATOR_CONNECTION_STR=postgres://admin:hunter2@db/avtotpy"
	web   = "POSTGRES_CONNECTION_STR=host=db user=web password=hunter3 dbname=avtotpy"
	user  = "POSTGRES_MIGRATOR_UNPRIVILEGED_USER=web"
	pass  = "POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD=hunter3"
	key   = "AVTOTPY_MASTER_KEY=k1:hunter4"
)

func TestEachModeNeedsOnlyWhatItUses(t *testing.T) {
	t.Parallel()
	const run, exit, skip = "POSTGRES_MIGRATOR_MODE=RUN", "POSTGRES_MIGRATOR_MODE=RUN_AND_EXIT",
		"POSTGRES_MIGRATOR_MODE=SKIP"
	for _, c := range []struct {
		name    string
		environ []string
		want    []string // parts of the error; none: it is fine
	}{
		{"nothing", nil, nil},
		{"everything", []string{admin, web, user, pass, key}, nil},
		{"run and exit", []string{exit, admin, user, pass}, nil},
		{"skip", []string{skip, web, key}, nil},
		{"skip with all", []string{skip, admin, web, user, pass, key}, nil},
		{
			"run without web",
			[]string{run, admin, user, pass, key},
			[]string{"POSTGRES_CONNECTION_STR: is not set, but RUN needs it to serve", "is only for migrating"},
		},
		{
			"run without admin",
			[]string{web, user, pass, key},
			[]string{
				"POSTGRES_MIGRATOR_CONNECTION_STR: is not set, but RUN needs it to migrate",
				"is only for serving", "POSTGRES_MIGRATOR_MODE=SKIP",
			},
		},
		{
			"exit without admin",
			[]string{exit, web, user, pass},
			[]string{"POSTGRES_MIGRATOR_CONNECTION_STR: is not set, but RUN_AND_EXIT needs it"},
		},
		{
			"skip with admin only",
			[]string{skip, admin},
			[]string{"POSTGRES_CONNECTION_STR: is not set, but SKIP needs it", "AVTOTPY_MASTER_KEY: is not set"},
		},
		{
			"run without the rest",
			[]string{admin, web},
			[]string{
				"POSTGRES_MIGRATOR_UNPRIVILEGED_USER: is not set",
				"POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD: is not set", "AVTOTPY_MASTER_KEY: is not set",
			},
		},
		{
			"a role that no connection string can name",
			[]string{admin, web, "POSTGRES_MIGRATOR_UNPRIVILEGED_USER=a;b", pass},
			[]string{"POSTGRES_MIGRATOR_UNPRIVILEGED_USER: a connection string cannot hold this name"},
		},
		{
			"a role without a server",
			[]string{user, pass},
			[]string{"POSTGRES_MIGRATOR_UNPRIVILEGED_USER: is set, but neither", "with an empty database"},
		},
		{"admin in both", []string{
			admin, "POSTGRES_CONNECTION_STR=postgres://admin:hunter2@db/avtotpy", user, pass,
			key,
		}, []string{"POSTGRES_CONNECTION_STR: is the same as POSTGRES_MIGRATOR_CONNECTION_STR"}},
		{
			"another mode",
			[]string{"POSTGRES_MIGRATOR_MODE=run", admin, web, user, pass, key},
			[]string{`POSTGRES_MIGRATOR_MODE: "run" is not RUN, RUN_AND_EXIT or SKIP`},
		},
	} {
		_, _, err := LoadFor("", append(c.environ, "HOME=/home/a"))
		if (err != nil) != (len(c.want) > 0) {
			t.Errorf("%s: got %v", c.name, err)
		}
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: no %q in %v", c.name, want, err)
			}
		}
	}
}

func TestSkipNeverReadsThePrivilegedConnection(t *testing.T) {
	t.Parallel()
	c, _, err := LoadFor("", []string{"POSTGRES_MIGRATOR_MODE=SKIP", admin, web, user, pass, key})
	if err != nil || c.MigratorConn != "" || c.WebPassword != "" || c.WebConn == "" || c.WebRole != "web" {
		t.Errorf("got %q, %q (%v)", c.MigratorConn.Reveal(), c.WebPassword.Reveal(), err)
	}
}

func TestEveryProblemIsToldAtOnceWithAnExampleAndNoSecret(t *testing.T) {
	t.Parallel()
	_, _, err := LoadFor("", []string{
		"POSTGRES_MIGRATOR_MODE=RUN",
		"POSTGRES_MIGRATOR_CONNECTION_STR=postgres://admin:hunter2/x@db/avtotpy",
		"POSTGRES_CONNECTION_STR=host=db;user=web;password=hunter3",
		"POSTGRES_MIGRATOR_UNPRIVILEGED_USER=pg_web",
		"POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD=hunter4ü",
		"POSTGRES_MIGRATOR_CONNECT_WAIT=soon",
		"POSTGRES_MIGRATOR_LOCK_TIMEOUT=-5s",
		"AVTOTPY_MASTER_KEY=k1:hunter5", "AVTOTPY_MASTER_KEY_FILE=/run/key",
		"AVTOTPY_LISTEN_ADDR=http://localhost:80",
		"AVTOTPY_PUBLIC_URL=otp.example.com",
		"AVTOTPY_DATA_DIR=~/x",
		"AVTOTPY_LOG_LEVEL=loud",
		"AVTOTPY_LOG_FORMAT=xml",
	})
	if err == nil {
		t.Fatal("all of it is fine")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, name := range []string{
		"POSTGRES_MIGRATOR_CONNECTION_STR", "POSTGRES_CONNECTION_STR", "POSTGRES_MIGRATOR_UNPRIVILEGED_USER",
		"POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD",
		"POSTGRES_MIGRATOR_CONNECT_WAIT", "POSTGRES_MIGRATOR_LOCK_TIMEOUT", "AVTOTPY_MASTER_KEY",
		"AVTOTPY_LISTEN_ADDR", "AVTOTPY_PUBLIC_URL", "AVTOTPY_DATA_DIR",
		"AVTOTPY_LOG_LEVEL", "AVTOTPY_LOG_FORMAT",
	} {
		told := false
		for _, line := range lines {
			if strings.HasPrefix(line, name+": ") {
				told = true
				if name != "AVTOTPY_MASTER_KEY" && !strings.Contains(line, "; for example "+name) {
					t.Errorf("no example: %s", line)
				}
			}
		}
		if !told {
			t.Errorf("nothing is said about %s", name)
		}
	}
	if len(lines) != 12 {
		t.Errorf("%d problems, want 12:\n%v", len(lines), err)
	}
	if strings.Contains(err.Error(), "hunter") {
		t.Errorf("a secret is shown:\n%v", err)
	}
}

func TestConnectionStringsThatDoNotWorkAreRefusedWithoutRepeatingThem(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"hunter2", "postgres://u:hunter2/x@h/d", "postgres://u:hunter2%zz@h/d", "postgres://u:hunter2@h:port/d",
		"host=h password=hunter2 x",
		"host=h password='hunter2", "host=h;password=hunter2", "postgres://u:p@h/d?sslmode=hunter2",
		"user=u password=hunter2 host=h port=99999",
		"host=h sslmode=verify-full sslrootcert=/does/not/exist password=hunter2",
		"postgres://u:p@h/d?target_session_attrs=hunter2",
	} {
		err := connstring.Check(bad)
		if err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, good := range []string{
		"postgres://u:p%2Fx@h1:5432,h2:5433/d?sslmode=require&target_session_attrs=read-write",
		"postgresql:///d?host=/run/postgresql", "host=h1,h2 user=u password='two words'",
		"postgres://u@[::1]:5432/d", "host=/run/postgresql dbname=d",
	} {
		if err := connstring.Check(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for content, want := range map[string]string{
		"two words":        "two words",
		"one newline\n":    "one newline",
		"two newlines\n\n": "two newlines\n",
		"windows\r\n":      "windows",
	} {
		c, _, err := LoadFor("", []string{"POSTGRES_MIGRATOR_MODE=SKIP", web, "AVTOTPY_MASTER_KEY_FILE=" +
			file("key", content)})
		if err != nil || c.MasterKey.Reveal() != want {
			t.Errorf("%q: got %q, %v; want %q", content, c.MasterKey.Reveal(), err, want)
		}
	}
	for path, want := range map[string]string{
		file("empty", "\n"):                        "is empty",
		file("zero", "a\x00b"):                     "not plain text",
		file("large", strings.Repeat("x", 70_000)): "larger than 64 KiB",
		filepath.Join(dir, "missing"):              "cannot read",
		dir:                                        "is a folder",
		"hunter2":                                  "its path is not shown",
	} {
		_, _, err := LoadFor("", []string{"POSTGRES_MIGRATOR_MODE=SKIP", web, "AVTOTPY_MASTER_KEY_FILE=" + path})
		if err == nil || !strings.Contains(err.Error(), "AVTOTPY_MASTER_KEY_FILE: ") ||
			!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

func TestAPipeIsReadOnceAndNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip("no named pipes: ", err)
	}
	if _, _, err := readSecretFile(pipe, owned.Ours(), time.Millisecond); err == nil ||
		!strings.Contains(err.Error(), "nothing was written") {
		t.Errorf("a pipe that nobody writes to: got %v", err)
	}
	silent, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := readSecretFile(pipe, owned.Ours(), time.Millisecond); err == nil ||
		!strings.Contains(err.Error(), "nothing was written") {
		t.Errorf("a pipe that somebody holds and does not write to: got %v", err)
	}
	_ = silent.Close()                                             // it wrote nothing
	go func() { _ = os.WriteFile(pipe, []byte("hunter2\n"), 0) }() // the reader reports what is missing
	if got, _, err := readSecretFile(pipe, owned.Ours(), time.Minute); got != "hunter2" || err != nil {
		t.Errorf("a pipe: got %q, %v", got, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{MasterKey: "hunter2"}
	for path, again := range map[string]bool{file: true, pipe: false, file + "-gone": false, "": true} {
		environ := []string{"A=b", "AVTOTPY_MASTER_KEY_FILE=" + path, "AVTOTPY_DATA_DIR_FILE=/nowhere"}
		handed, err := c.HandedOver(environ)
		if runtime.GOOS != "linux" && !again {
			if err == nil || !strings.Contains(err.Error(), "AVTOTPY_MASTER_KEY_FILE: ") {
				t.Errorf("%q: got %v, want that it cannot be handed over", path, err)
			}
			continue
		}
		if err != nil || slices.Equal(handed, environ) != again {
			t.Errorf("%q: got %v, %v, want that it can be read again: %t", path, handed, err, again)
		}
		if again {
			continue
		}
		inMemory := strings.TrimPrefix(handed[1], "AVTOTPY_MASTER_KEY_FILE=")
		if text, _, err := readSecretFile(inMemory, owned.Ours(), fileTimeout); text != "hunter2" || err != nil {
			t.Errorf("%s: got %q, %v, want what was handed over", inMemory, text, err)
		}
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	c, warnings, err := LoadFor("", []string{
		"HOME=/home/a", "POSTGRES_MIGRATOR_LOCK_TIMEOUT=2", "POSTGRES_MIGRATOR_WAIT=1h", "AVTOTPY_LISTEN_ADDR=",
		"AVTOTPY_PUBLIC_URL=https://OTP.example.com:443/",
		"AVTOTPY_LOG_LEVEL=Debug", "AVTOTPY_LOG_FORMAT=JSON", "AVTOTPY_DATA_DIR=/srv/otp",
	})
	if err != nil || len(warnings) != 0 {
		t.Fatal(err, warnings)
	}
	if c.Mode != Run || c.LockTimeout != 2*time.Second || c.Wait != time.Hour || c.ConnectWait != time.Minute ||
		c.ListenAddr != "127.0.0.1:8080" ||
		c.PublicURL.String() != "https://otp.example.com" || c.LogLevel != slog.LevelDebug || c.LogFormat != LogJSON ||
		c.DataDir != "/srv/otp" || !c.Embedded() {
		t.Errorf("got %+v", c)
	}
}

func TestWhereDataLives(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		goos string
		root bool
		env  map[string]string
		want string
	}{
		{"linux", false, map[string]string{"HOME": "/home/a"}, "/home/a/.local/share/avtotpy"},
		{"linux", false, map[string]string{"HOME": "/home/a", "XDG_DATA_HOME": "/data"}, "/data/avtotpy"},
		{"linux", false, map[string]string{"HOME": "/home/a", "XDG_DATA_HOME": "data"}, "/home/a/.local/share/avtotpy"},
		{"darwin", false, map[string]string{"HOME": "/Users/a"}, "/Users/a/Library/Application Support/avtotpy"},
		{"linux", true, map[string]string{"HOME": "/root"}, "/var/lib/avtotpy"},
		{"linux", false, nil, ""},
	} {
		if got, _ := defaultDataDir(c.goos, c.root, c.env); got != c.want {
			t.Errorf("%s, root %v, %v: got %q, want %q", c.goos, c.root, c.env, got, c.want)
		}
	}
}

func TestBackupsAreOnWhereNobodyElseMakesThem(t *testing.T) {
	t.Parallel()
	const dir, own = "AVTOTPY_DATA_DIR=/data", "POSTGRES_MIGRATOR_BACKUP_DIR="
	for _, c := range []struct {
		environ []string
		want    string
	}{
		{[]string{dir}, "/data/backups"},
		{[]string{dir, own}, "/data/backups"},
		{[]string{dir, own + "off"}, ""},
		{[]string{dir, own + "/else"}, "/else"},
		{[]string{admin, web, user, pass, key, dir}, ""},
		{[]string{admin, web, user, pass, key, own + "/else"}, "/else"},
	} {
		cfg, _, err := LoadFor("", c.environ)
		if err != nil || cfg.BackupDir != c.want {
			t.Errorf("%v: got %q, %v; want %q", c.environ, cfg.BackupDir, err, c.want)
		}
	}
}

func TestUnknownVariablesAreWarnedOf(t *testing.T) {
	t.Parallel()
	_, warnings, err := LoadFor("", []string{
		"HOME=/home/a", "AVTOTPY_LISTEN_ADR=:80", "POSTGRES_MIGRATOR_MODUS=RUN", "AVTOTPY_COLOUR=red",
		"AVTOTPY_DATA_DIR_FILE=/x",
		"AVTOTPY_SERVICE_HOST=10.0.0.1", "AVTOTPY_SERVICE_PORT=80", "AVTOTPY_SERVICE_PORT_HTTP=80",
		"AVTOTPY_PORT=tcp://10.0.0.1:80",
		"AVTOTPY_PORT_80_TCP=tcp://10.0.0.1:80", "AVTOTPY_PORT_80_TCP_ADDR=10.0.0.1", "PGHOST=x",
	})
	want := []string{
		"AVTOTPY_COLOUR: there is no such variable",
		"AVTOTPY_DATA_DIR_FILE: there is no such variable; AVTOTPY_DATA_DIR is not a secret" +
			" and can't be given as a file",
		"AVTOTPY_LISTEN_ADR: there is no such variable; did you mean AVTOTPY_LISTEN_ADDR?",
		"POSTGRES_MIGRATOR_MODUS: there is no such variable; did you mean POSTGRES_MIGRATOR_MODE?",
	}
	if err != nil || strings.Join(warnings, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %v\n%s\nwant\n%s", err, strings.Join(warnings, "\n"), strings.Join(want, "\n"))
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	s := Secret("hunter2")
	encoded, err := json.Marshal(Config{MasterKey: s})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "config", Config{MasterKey: s})
	text := fmt.Sprintf("%v %s %q %x %d %+v %#v", s, s, s, s, s, Config{WebConn: s}, Config{WebConn: s}) +
		string(encoded) + log.String()
	if strings.Contains(text, "hunter") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) ||
		strings.Contains(text, fmt.Sprintf("%d", []byte("hunter2"))) {
		t.Errorf("it shows: %s", text)
	}
	if s.Reveal() != "hunter2" || Secret("").String() != "" {
		t.Error("Reveal or the empty secret is wrong")
	}
}

func TestSkipWarnsOfSecretsThatItDoesNotNeed(t *testing.T) {
	t.Parallel()
	environ := []string{
		"POSTGRES_CONNECTION_STR=postgres://web@db/avtotpy",
		"POSTGRES_MIGRATOR_CONNECTION_STR=postgres://admin:hunter2@db/avtotpy",
		"POSTGRES_MIGRATOR_UNPRIVILEGED_USER=web", "POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD=hunter2",
		"AVTOTPY_MASTER_KEY=k1:" + strings.Repeat("A", 43) + "=",
	}
	for mode, want := range map[Mode]int{Skip: 2, Run: 0} {
		_, warnings, err := LoadFor("", append(slices.Clone(environ), "POSTGRES_MIGRATOR_MODE="+string(mode)))
		if err != nil || len(warnings) != want || strings.Contains(strings.Join(warnings, ""), "hunter2") {
			t.Errorf("%s: got %q, %v, want %d warnings", mode, warnings, err, want)
		}
	}
}

func TestTheServingEnvironmentHoldsNoPrivilegedSecret(t *testing.T) {
	t.Parallel()
	c := Config{WebPassword: "the-webs", WebConn: "host=db user=web password=the-webs"}
	for _, environ := range [][2]string{
		{"POSTGRES_MIGRATOR_CONNECTION_STR=x", ""},
		{"POSTGRES_MIGRATOR_CONNECTION_STR_FILE=/x", ""},
		{"POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD=x", ""},
		{"POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD_FILE=/x", ""},
		{"PGPASSWORD=the-admins", ""},
		{"PGPASSWORD=the-webs", "PGPASSWORD=the-webs"},
		{"PGPASSFILE=/x", ""},
		{"PGSSLPASSWORD=x", ""},
		{"POSTGRES_CONNECTION_STR=x", "POSTGRES_CONNECTION_STR=x"},
		{"PATH=/bin", "PATH=/bin"},
	} {
		if got := strings.Join(c.WithoutPrivileged([]string{environ[0]}), ""); got != environ[1] {
			t.Errorf("%s: got %q, want %q", environ[0], got, environ[1])
		}
	}
	for conn, want := range map[string]string{
		"host=db user=web":                       "PGPASSFILE=/x",
		"postgres://web@db/d?sslmode=disable":    "PGPASSFILE=/x",
		"postgres://web@db/d":                    "PGPASSFILE=/x",
		"postgres://web:p%2F@db/d":               "",
		"postgres://db/d?user=web&password=x":    "",
		"host=db user=web password='two words' ": "",
		"host=db user=web password=environment":  "PGPASSFILE=/x",
	} {
		c := Config{WebConn: Secret(conn)}
		if got := strings.Join(c.WithoutPrivileged([]string{"PGPASSFILE=/x", "PGPASSWORD=environment"}),
			""); got != want {
			t.Errorf("%s: got %q, want %q", conn, got, want)
		}
	}
}

func TestTheServingEnvironmentKeepsThePasswordOfAKeyThatItUses(t *testing.T) {
	t.Parallel()
	files := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert": {Type: "CERTIFICATE", Bytes: certificate},
		"key":  {Type: "EC PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(filepath.Join(files, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := Config{WebConn: Secret("host=db user=web sslmode=require sslcert=" + files + "/cert sslkey=" + files + "/key")}
	if got := strings.Join(c.WithoutPrivileged([]string{"PGSSLPASSWORD=x"}), ""); got != "PGSSLPASSWORD=x" {
		t.Errorf("got %q, want the password of the key", got)
	}
}
