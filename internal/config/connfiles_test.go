package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/avtotpy/avtotpy/internal/owned"
)

// TestFilesOfConnectionStringsAreNobodyElses: in the string, in the environment and in the home directory; at once,
// too, where a pipe stands in the place of one.
func TestFilesOfConnectionStringsAreNobodyElses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("hunter2"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open, fine := put("open", 0o666), put("fine", 0o600)
	put("home/.pgpass", 0o666)
	put("root/.postgresql/root.crt", 0o606)
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip("no named pipes: ", err)
	}
	const url, pairs = "postgres://u@db/d", "host=db user=u dbname=d"
	for _, test := range []struct {
		conn  string
		env   map[string]string
		wants string // "" when it is fine
	}{
		{url, nil, ""},
		{url + "?passfile=" + fine, nil, ""},
		{url + "?passfile=" + open, nil, "the file that passfile names"},
		{pairs + " passfile=" + open, nil, "the file that passfile names"},
		{pairs + " passfile = '" + open + "'", nil, "the file that passfile names"},
		{pairs + " sslkey=" + open + " sslcert=" + fine, nil, "the file that sslkey names"},
		{pairs + " sslrootcert=" + open, nil, "the file that sslrootcert names"},
		{pairs + " passfile=" + pipe, nil, "is a pipe"},
		{pairs + " passfile=/proc/self/environ", nil, "the kernel"},
		{pairs + " sslrootcert=system passfile=/dev/null", nil, ""},
		{url, map[string]string{"PGPASSFILE": open}, open + " can be changed by others"},
		{url, map[string]string{"PGPASSFILE": pipe}, "is a pipe"},
		{url, map[string]string{"PGPASSFILE": "/dev/null"}, ""},
		{url, map[string]string{"PGSERVICE": "s", "PGSERVICEFILE": open}, open + " can be changed by others"},
		{url, map[string]string{"PGSSLROOTCERT": open}, open + " can be changed by others"},
		{url, map[string]string{"HOME": dir + "/home"}, ".pgpass can be changed by others"},
		{"postgres://u:p@db/d", map[string]string{"HOME": dir + "/home"}, ""}, // nobody asks for it
		{"host=db user=u password='a b' dbname=d", map[string]string{"HOME": dir + "/home"}, ""},
		{"postgres://u:p@db/d", map[string]string{"HOME": dir + "/root"}, "root.crt can be changed by others"},
		{url, map[string]string{"HOME": dir + "/nowhere"}, ""},
	} {
		l := loader{env: test.env, trusted: owned.Ours()}
		l.checkConnFiles(webConn, test.conn)
		said := ""
		if err := errors.Join(l.problems...); err != nil {
			said = err.Error()
		}
		if strings.Contains(said, "hunter2") || !strings.Contains(said, test.wants) ||
			(said == "") != (test.wants == "") {
			t.Errorf("%s %v: got %q, want %q", test.conn, test.env, said, test.wants)
		}
		if strings.Contains(test.conn, dir) && strings.Contains(said, dir) {
			t.Errorf("%s: %q shows a part of the string", test.conn, said)
		}
	}
}
