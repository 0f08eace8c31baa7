package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/avtotpy/avtotpy/internal/owned"
)

// A connFile is a file that completes a connection string.
type connFile struct {
	name   string // of the parameter
	path   string
	inConn bool // the string names it: then the path is not shown, as something else may stand there
	secret bool
}

// connFiles returns the files that PostgreSQL's driver reads for a connection string, as libpq does: named by it, by
// the environment, or at their places in the home directory.
func connFiles(conn string, env map[string]string) []connFile {
	given := connParameters(conn)
	asksPassword := given["password"] == "" && env["PGPASSWORD"] == ""
	asksService := given["service"] != "" || env["PGSERVICE"] != ""
	var files []connFile
	for _, file := range []struct {
		name, variable, home string
		needed, secret       bool
	}{
		{"servicefile", "PGSERVICEFILE", ".pg_service.conf", asksService, false},
		{"passfile", "PGPASSFILE", ".pgpass", asksPassword, true},
		{"sslkey", "PGSSLKEY", ".postgresql/postgresql.key", true, true},
		{"sslcert", "PGSSLCERT", ".postgresql/postgresql.crt", true, false},
		{"sslrootcert", "PGSSLROOTCERT", ".postgresql/root.crt", true, false},
	} {
		found := connFile{name: file.name, path: given[file.name], inConn: true, secret: file.secret}
		if found.path == "" {
			found.path, found.inConn = env[file.variable], false
		}
		if found.path == "" && filepath.IsAbs(env["HOME"]) && file.needed {
			found.path = filepath.Join(env["HOME"], file.home)
		}
		const none, systems = "/dev/null", "system"
		if found.path != "" && found.path != none && found.path != systems {
			files = append(files, found)
		}
	}
	return files
}

// connParameters reads the parameters of a connection string that lead to files or make them needless. What is wrong
// with the string is said elsewhere.
func connParameters(conn string) map[string]string {
	found := map[string]string{}
	if u, err := url.Parse(conn); err == nil && strings.HasPrefix(u.Scheme, "postgres") {
		for name, values := range u.Query() {
			found[name] = values[len(values)-1]
		}
		if password, ok := u.User.Password(); ok {
			found["password"] = password
		}
		return found
	}
	pairs := regexp.MustCompile(`([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s']\S*))`)
	for _, pair := range pairs.FindAllStringSubmatch(conn, -1) {
		found[pair[1]] = regexp.MustCompile(`\\(.)`).ReplaceAllString(pair[2]+pair[3], "$1")
	}
	return found
}

// checkConnFiles refuses files of others before the driver reads them, and pipes, for which it would wait for ever. One
// that cannot be opened is the driver's to explain.
func (l *loader) checkConnFiles(name, conn string) {
	for _, file := range connFiles(conn, l.env) {
		warning, err := l.checkFile(file.path)
		what := file.name + " "
		if refused, ok := errors.AsType[*owned.Error](err); ok {
			message := what + refused.Error()
			if file.inConn {
				message = fmt.Sprintf("the file that %s names, or a folder on the way to it, %s. Give it to root or "+
					"to the user of this program, and close it to others (chmod go-w)",
					file.name, refused.Problem)
			}
			l.problem(name, "%s", message)
		}
		if warning == "" || !file.secret {
			continue
		}
		if file.inConn {
			warning = "every user of this machine can read the file that it names; close it: chmod 0600"
		}
		l.warnings = append(l.warnings, name+": "+what+warning)
	}
}

// checkFile opens a file as the driver will, and refuses a pipe.
func (l *loader) checkFile(path string) (warning string, err error) {
	opened, warning, err := l.trusted.Given(path)
	if err != nil {
		return warning, err
	}
	defer func() { _ = opened.Close() }() // nothing was read
	if info, errStat := opened.Stat(); errStat == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		err = &owned.Error{Path: path, Problem: "is a pipe, and is read more than once", Next: "Name a file"}
	}
	return warning, err
}
