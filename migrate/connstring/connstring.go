// Package connstring reads a connection string of PostgreSQL and says what is wrong with it, without repeating any of
// it.
//
// It promises that a string which passes is read by pgx in the same way: the same hosts, user, password and database;
// that nothing is sent to a server of which nobody said what it means, for each parameter has to be in a table; and
// that an Error holds no part of the string: one misplaced character makes a part of a password look like a host, a
// database or the name of a parameter. It connects to nothing.
//
// The grammar is that of libpq (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING), without
// what can be read in two ways. In a URL the characters @ / ? # and white space are always percent-encoded where they
// are not its punctuation. In pairs a value with = or ; that looks like the next pair has to be in quotes.
package connstring

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// An Error says which part of a connection string, or of what completes it, is wrong.
type Error struct {
	Part    string // "the password", "parameter no. 3 (sslmode)", "PGPORT in the environment"; "" for the whole
	Problem string // continues Part
	Next    string // what to write instead
}

func (e *Error) Error() string {
	text := strings.TrimPrefix(e.Part+" "+e.Problem, " ")
	if e.Next != "" {
		text += "; " + e.Next
	}
	return text
}

// Check returns what is wrong with a connection string, as an *Error. Like pgx it completes the string with the
// variables of libpq in the environment and with a service file, and checks what it takes from there.
func Check(conn string) error {
	_, err := read(conn, os.Getenv)
	return err
}

// ParseConfig is pgx.ParseConfig for a string that passes Check. Parameters of pgxpool are left out, and so is the time
// zone of the environment: what a statement means must not depend on the machine that sends it.
func ParseConfig(conn string) (*pgx.ConnConfig, error) {
	if err := Check(conn); err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(conn)
	if err != nil {
		return nil, unforeseen()
	}
	for name := range config.RuntimeParams {
		if strings.HasPrefix(name, "pool_") || name == "timezone" {
			delete(config.RuntimeParams, name)
		}
	}
	return config, nil
}

// Parameter returns the value that a connection string has for a parameter of libpq or pgx, or what completes it, and
// whether any of them names it. A name inside a password, or inside another value, is none.
func Parameter(conn, name string) (value string, named bool) {
	all, err := read(conn, os.Getenv)
	if err != nil {
		return "", false
	}
	found, named := all[name]
	return found.value, named
}

// WithDatabase returns a connection string, which has to pass Check, for another database of the same server. Its name
// has to be of letters, digits and _.
func WithDatabase(conn, name string) string {
	if !strings.HasPrefix(conn, "postgres://") && !strings.HasPrefix(conn, "postgresql://") {
		return conn + " dbname=" + name
	}
	if strings.Contains(conn, "?") {
		return conn + "&dbname=" + name
	}
	return conn + "?dbname=" + name
}

// unforeseen is the error for what pgx refuses and Check does not. pgx repeats parts of the string.
func unforeseen() error {
	return &Error{Problem: "is not understood by the driver", Next: useURL}
}

const (
	useURL   = "write postgres://USER:PASSWORD@HOST:PORT/DATABASE"
	usePairs = "write host=HOST port=PORT user=USER password='PASSWORD' dbname=DATABASE"
	escapes  = "%40 for @, %2F for /, %3A for :, %3F for ?, %23 for #, %25 for %, %5B for [, %5D for ] and %20 " +
		"for a space"
)

// A setting is one value, and where it stands.
type setting struct{ value, part string }

// settings are what a string says, by the names of libpq.
type settings map[string]setting

// read returns the settings of a string, complete and checked.
func read(conn string, getenv func(string) string) (settings, error) {
	given, err := parse(conn)
	if err != nil {
		return nil, err
	}
	all, err := given.complete(getenv)
	if err != nil {
		return nil, err
	}
	return all, all.check()
}

// parse reads the string alone.
func parse(conn string) (settings, error) {
	if err := checkCharacters(conn); err != nil {
		return nil, err
	}
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		if rest, ok := strings.CutPrefix(conn, scheme); ok {
			return parseURL(rest)
		}
	}
	if err := checkScheme(conn); err != nil {
		return nil, err
	}
	return parsePairs(conn)
}

// checkCharacters refuses what no form of a connection string holds, most of it invisible.
func checkCharacters(conn string) error {
	switch {
	case strings.Trim(conn, blanks) == "":
		return &Error{Problem: "holds nothing but white space", Next: useURL}
	case strings.ContainsRune(conn, 0):
		return &Error{Problem: "holds a NUL byte", Next: "write it as plain text"}
	case strings.HasPrefix(conn, "\ufeff"), strings.HasPrefix(conn, "\xff\xfe"), strings.HasPrefix(conn, "\xfe\xff"):
		return &Error{Problem: "begins with the byte order mark of a text editor", Next: "save it as UTF-8 without one"}
	case strings.ContainsAny(strings.TrimLeft(conn, blanks)[:1], "'\"`") ||
		slices.ContainsFunc([]string{"“", "”", "‘", "’", "«", "„", "<", "{"},
			func(quote string) bool { return strings.HasPrefix(strings.TrimLeft(conn, blanks), quote) }):
		return &Error{
			Problem: "begins with a quote or a bracket",
			Next:    "write it without the quotes around it; not every reader of .env files takes them off",
		}
	case conn[0] == '$', strings.HasPrefix(conn, "%("):
		return &Error{Problem: "begins with the name of a variable that nothing has replaced", Next: useURL}
	}
	for _, r := range conn {
		if isInvisible(r) {
			return &Error{Problem: "holds an invisible character that is no space, as text from a web page or a " +
				"word processor does", Next: "type it again"}
		}
	}
	return nil
}

// isInvisible reports spaces that are none to PostgreSQL, and characters without a width.
func isInvisible(r rune) bool {
	switch {
	case r == '\u00a0', r == '\u00ad', r >= '\u2000' && r <= '\u200f', r >= '\u2028' && r <= '\u202f', r >= '\u2060' &&
		r <= '\u2064', r == '\u3000', r == '\ufeff':
		return true
	case r < ' ' && !strings.ContainsRune(blanks, r), r >= 0x7f && r < 0xa0:
		return true
	}
	return false
}

// blanks are what libpq takes for white space.
const blanks = " \t\n\r\v\f"

// checkScheme refuses URLs of other schemes, so that they are not read as pairs.
func checkScheme(conn string) error {
	trimmed := strings.TrimLeft(conn, blanks)
	lower := strings.ToLower(trimmed)
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		switch at := strings.Index(lower, scheme); {
		case at == 0 && trimmed != conn:
			return &Error{Problem: "begins with white space", Next: "begin with postgres://"}
		case at == 0:
			return &Error{
				Problem: "begins with a scheme in capital letters",
				Next:    "begin with postgres:// in small letters",
			}
		case at > 0 && !startsWithPair(trimmed):
			return &Error{Problem: "holds something before the URL", Next: "begin with postgres://"}
		}
	}
	if startsWithPair(trimmed) {
		return nil
	}
	for _, other := range foreignSchemes() {
		if strings.HasPrefix(lower, other.name) {
			return &Error{Problem: "begins with " + other.name + ", " + other.why, Next: useURL}
		}
	}
	if head, _, ok := strings.Cut(lower, ":"); ok && !strings.ContainsAny(head, "=@"+blanks) {
		return &Error{Problem: "is neither a URL that begins with postgres:// nor pairs of NAME=VALUE", Next: useURL}
	}
	return nil
}

// startsWithPair reports whether a string begins with a NAME of libpq or pgx, and =.
func startsWithPair(conn string) bool {
	name, _, ok := strings.Cut(conn, "=")
	_, known := parameters()[canonical(strings.Trim(name, blanks))]
	return ok && known
}

// check checks the values, in the order of their names so that the same string gets the same message.
func (s settings) check() error {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if expected := parameters()[name](s[name].value); expected != "" {
			return &Error{Part: s[name].part, Problem: "has a value that cannot be used", Next: "write " + expected}
		}
	}
	if user := s["user"]; strings.Contains(user.value, ":") && s["password"].value == "" {
		return &Error{
			Part: user.part, Problem: "holds : and there is no password, so it may be user:password",
			Next: "write the name of the role alone, and the password by itself",
		}
	}
	if err := s.checkHosts(); err != nil {
		return err
	}
	return s.checkFiles()
}

// checkHosts checks that hosts and ports belong together.
func (s settings) checkHosts() error {
	hosts, ports := strings.Split(s["host"].value, ","), strings.Split(s["port"].value, ",")
	if len(ports) > 1 && len(ports) != len(hosts) {
		return &Error{
			Part: s["port"].part, Problem: fmt.Sprintf("lists %d ports for %d hosts", len(ports), len(hosts)),
			Next: "write one port for all, or one for each",
		}
	}
	return nil
}
