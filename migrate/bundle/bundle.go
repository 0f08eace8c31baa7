// Package bundle reads migration files and refuses what cannot run safely.
//
// A bundle is the whole history of a schema: files 0001_name.sql, 0002_name.sql and so on, without gaps. Load reports
// everything that is wrong with them at once, each with file, line and column and what to write instead. Comments that
// begin with "-- migrate:" are directives. WithSnapshots adds what the schema looks like after each file.
package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A Migration is one bundled file.
type Migration struct {
	Version  int               // from the file's name: 12 for 0012_add_tags.sql
	Name     string            // from the file's name: add_tags
	File     string            // the file's name
	SQL      string            // the file, byte for byte
	Checksum [sha256.Size]byte // of the file with its line ends as LF, so that a checkout with CRLF is the same file
	// the oldest bundle, by its last version, that can work with the schema after this file
	MinVersion int

	// NoTransaction means that the file runs outside of a transaction, because its one statement
	// cannot run inside: "-- migrate:no-transaction".
	NoTransaction bool

	// Exemptions are the rules of package review that the file may break:
	// "-- migrate:allow RULE because REASON".
	Exemptions []Exemption

	script  sqltext.Script    // its statements, for errors that point into it
	unseen  bool              // whether it may do what its text does not show
	plain   bool              // it runs nothing but what its text shows
	kept    []relationName    // where it would change what may be the migrator's own, by its schema
	history [sha256.Size]byte // of the ledger that the files up to this one leave
}

// A Bundle is the whole history of a schema, in order and without gaps: what a
// program expects of its database. The zero Bundle is empty.
type Bundle struct {
	migrations []Migration
	snapshots  []string // of the schema after each file; nil when there are none
}

// Migrations returns the files in the order in which they are applied.
func (b Bundle) Migrations() []Migration { return slices.Clone(b.migrations) }

// Ledger is the table, in the schema that is migrated, which remembers what was applied. Files leave it alone.
const Ledger = "migrations"

// Version returns the version of the last file, the one a database has when
// nothing is pending; 0 for an empty bundle.
func (b Bundle) Version() int { return len(b.migrations) }

// Migration returns the file of a version, from 1 to Version.
func (b Bundle) Migration(version int) Migration { return b.migrations[version-1] }

// UpTo returns the files up to a version, without snapshots.
func (b Bundle) UpTo(version int) Bundle { return Bundle{migrations: b.migrations[:version]} }

// After returns the files after a version.
func (b Bundle) After(version int) []Migration { return b.migrations[min(version, len(b.migrations)):] }

// Fingerprint condenses the ledger that the files up to a version leave, so that one short value shows whether the two
// agree.
func (b Bundle) Fingerprint(version int) string {
	history := sha256.Sum256(nil)
	if n := min(version, len(b.migrations)); n > 0 {
		history = b.migrations[n-1].history
	}
	return hex.EncodeToString(history[:])
}

// computeFingerprints computes each file's history: one pass, because hashing all files before
// each file again would make ten thousand of them slow.
func (b Bundle) computeFingerprints() {
	h := sha256.New()
	var line []byte
	for i := range b.migrations {
		line = b.migrations[i].appendLedgerLine(line[:0])
		_, _ = h.Write(line) // a hash never fails
		h.Sum(b.migrations[i].history[:0])
	}
}

// appendLedgerLine is written out because formatting ten thousand of them takes as long as
// hashing their files.
func (m *Migration) appendLedgerLine(line []byte) []byte {
	line = strconv.AppendInt(line, int64(m.Version), 10)
	line = append(append(append(line, ' '), m.Name...), ' ')
	line = append(hex.AppendEncode(line, m.Checksum[:]), ' ')
	return append(strconv.AppendInt(line, int64(m.MinVersion), 10), '\n')
}

// A Problem is one thing wrong with a bundle, where it is and what to do.
type Problem struct {
	File         string
	Line, Column int // 1-based, column in characters; 0 when the problem is the whole file
	Message      string
}

func (p Problem) String() string {
	switch {
	case p.File == "":
		return p.Message
	case p.Line == 0:
		return p.File + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

// An Error holds everything that is wrong with a bundle. Nothing is sent
// to a database while there is one.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Load reads a bundle: every NNNN_snake_case.sql at the root of fsys, from 0001
// on without a gap. It reports every problem at once, as a *BundleError: names,
// gaps, duplicates, text that is not UTF-8, unknown directives, and statements
// that would break the transaction around their file.
//
// Files whose names start with a dot or an underscore, and .md and .go files, are
// passed over; anything else that is not a migration is a problem, because it
// may be a migration with a misspelt name.
func Load(fsys fs.FS) (Bundle, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return Bundle{}, fmt.Errorf("read the migrations: %w", err)
	}
	var b Bundle
	var problems []Problem
	for _, entry := range entries {
		if ignored(entry) {
			continue
		}
		m, wrong := readMigration(fsys, entry.Name())
		problems = append(problems, wrong...)
		if m.Version > 0 {
			b.migrations = append(b.migrations, m)
		}
	}
	if len(b.migrations) == 0 && len(problems) == 0 {
		problems = append(problems, Problem{Message: noMigrations(entries)})
	}
	problems = append(problems, b.sortAndCheck()...)
	if len(problems) > 0 {
		return Bundle{}, &Error{problems}
	}
	b.computeFingerprints()
	return b, nil
}

func ignored(entry fs.DirEntry) bool {
	name := entry.Name()
	return entry.IsDir() || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") ||
		path.Ext(name) == ".md" || path.Ext(name) == ".go"
}

func noMigrations(entries []fs.DirEntry) string {
	for _, entry := range entries {
		if entry.IsDir() {
			return fmt.Sprintf("no migrations here, but a folder %q: pass it with fs.Sub(files, %q)", entry.Name(),
				entry.Name())
		}
	}
	return "no migrations here: the first one is called 0001_some_name.sql"
}

// sortAndCheck sorts the files and checks that versions run 1, 2, 3 …; minimum
// versions are carried forward, for the schema stays as demanding as it was.
func (b Bundle) sortAndCheck() []Problem {
	slices.SortFunc(b.migrations, func(x, y Migration) int { return x.Version - y.Version })
	var problems []Problem
	previous := Migration{MinVersion: 1}
	for i, m := range b.migrations {
		switch {
		case m.Version == previous.Version:
			problems = append(problems, Problem{
				File:    m.File,
				Message: fmt.Sprintf("has the same version as %s; give it the next free one", previous.File),
			})
		case m.Version > previous.Version+1:
			problems = append(problems, Problem{
				File: m.File,
				Message: fmt.Sprintf("there is no %04d before it; versions have no gaps, because a file that turns "+
					"up later would never be applied", previous.Version+1),
			})
		}
		b.migrations[i].MinVersion = max(m.MinVersion, previous.MinVersion)
		previous = b.migrations[i]
	}
	return problems
}

// longestFile leaves room for what goes before and behind a file in its message, which
// PostgreSQL limits (MaxAllocSize).
const longestFile = 1<<30 - 64<<10

func readMigration(fsys fs.FS, file string) (Migration, []Problem) {
	version, name, err := parseFileName(file)
	if err != nil {
		return Migration{}, []Problem{{File: file, Message: err.Error()}}
	}
	if info, err := fs.Stat(fsys, file); err == nil && info.Size() > longestFile { // before it is read
		return Migration{Version: version, File: file},
			[]Problem{{File: file, Message: "is longer than the 1 GiB that PostgreSQL takes as one message; split it"}}
	}
	content, err := fs.ReadFile(fsys, file)
	if err != nil {
		return Migration{}, []Problem{{File: file, Message: err.Error()}}
	}
	// A copy of 50 MB, only to make it a string, would be half of what such a file costs.
	text := unsafe.String(unsafe.SliceData(content), len(content)) //nolint:gosec // content is ours alone, and nothing writes to it
	m := Migration{Version: version, Name: name, File: file, SQL: text, Checksum: checksum(content)}
	return m, m.check()
}

// parseFileName splits NNNN_snake_case.sql. It is written out because a regular
// expression costs a start with thousands of files more than reading them.
func parseFileName(file string) (version int, name string, err error) {
	base, ok := strings.CutSuffix(file, ".sql")
	digits, name, found := strings.Cut(base, "_")
	version, err = strconv.Atoi(digits)
	switch {
	case !ok || !found || err != nil || strings.Trim(digits, "0123456789") != "" || !snakeCase(name):
		return 0, "", errors.New("is not called NNNN_snake_case.sql, such as 0012_add_tags.sql")
	case version == 0 || fmt.Sprintf("%04d", version) != digits:
		return 0, "", errors.New("its version is not written as 0001, 0002 … 9999, 10000")
	}
	return version, name, nil
}

func snakeCase(name string) bool {
	return strings.Trim(name, "_") == name && name != "" && !strings.Contains(name, "__") &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

func checksum(content []byte) [sha256.Size]byte {
	if bytes.IndexByte(content, '\r') >= 0 {
		content = bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
	}
	return sha256.Sum256(content)
}

// check cuts the file into statements, reads its directives and returns what is
// wrong with it.
func (m *Migration) check() []Problem {
	var problems []Problem
	reported := map[int]bool{}
	wrong := func(offset int, message string) {
		reported[offset] = true
		line, column := sqltext.Place(m.SQL, offset)
		problems = append(problems, Problem{m.File, line, column, message})
	}
	if offset, message := unreadable(m.SQL); message != "" {
		wrong(offset, message)
		return problems
	}
	m.script = sqltext.Cut(m.SQL, Ledger)
	for _, e := range m.script.Errors {
		wrong(e.Offset, e.Message)
	}
	for _, c := range m.script.Comments {
		if err := m.directive(c); err != nil {
			wrong(c.Offset, err.Error())
		}
	}
	for _, s := range m.script.Statements {
		m.checkStatement(s, wrong)
	}
	for _, p := range settingProblems(m.SQL) {
		if !reported[p.offset] { // as a statement that no file may hold
			wrong(p.offset, p.message)
		}
	}
	switch n := len(m.script.Statements); {
	case n == 0 && len(problems) == 0:
		problems = append(problems, Problem{
			File:    m.File,
			Message: "holds no statement; delete the file or write what it should do",
		})
	case n > 1 && m.NoTransaction:
		wrong(m.script.Statements[1].Start, "a file without a transaction holds exactly one statement: what had "+
			"succeeded before a failure could not be taken back; give this one a file of its own")
	}
	m.plain = plain(m.SQL, m.script.Statements)
	for i := range m.script.Statements { // only the rules need them; the places serve errors later
		m.script.Statements[i].Words = nil
	}
	return problems
}

func (m *Migration) checkStatement(s sqltext.Statement, wrong func(offset int, message string)) {
	switch s.Words[0] {
	case "DO", "CALL", "SELECT", "WITH", "VALUES", "INSERT", "UPDATE", "DELETE", "MERGE", "EXPLAIN":
		m.unseen = true // what they call may do anything
	}
	ofSchema := len(s.Words) > 1 && s.Words[1] == "SCHEMA" && (s.Words[0] == "ALTER" || s.Words[0] == "DROP")
	if s.Watched || ofSchema {
		for _, n := range kept(sqltext.Tokens(m.SQL[s.Start:s.End])[0]) {
			n.offset += s.Start
			if n.schema == "" {
				wrong(n.offset, n.refusal())
			} else {
				m.kept = append(m.kept, n)
			}
		}
	}
	if !m.NoTransaction {
		if message := forbidden(m.SQL, s); message != "" {
			wrong(s.Start, message)
		}
		return
	}
	if _, bad := parseNoTx(sqltext.Tokens(m.SQL[s.Start:s.End])[0]); bad != nil {
		wrong(s.Start+bad.offset, bad.message)
	}
}

// unreadable finds the first place that PostgreSQL could not take as text.
func unreadable(sql string) (offset int, message string) {
	switch nul := strings.IndexByte(sql, 0); {
	case strings.HasPrefix(sql, "\ufeff"):
		return 0, "starts with a byte order mark; save the file as UTF-8 without one"
	case strings.HasPrefix(sql, "\xff\xfe"), strings.HasPrefix(sql, "\xfe\xff"):
		return 0, "is UTF-16; save the file as UTF-8"
	case nul >= 0:
		return nul, "holds a NUL byte; PostgreSQL would stop reading there"
	case !utf8.ValidString(sql):
		for i, r := range sql {
			if _, size := utf8.DecodeRuneInString(sql[i:]); r == utf8.RuneError && size == 1 {
				return i, "is not UTF-8 from here on; save the file as UTF-8"
			}
		}
	}
	return 0, ""
}

// directive obeys a comment such as "-- migrate:min-version 11". One that is
// misspelt or too late to count is an error: ignoring it in silence would apply
// the file in another way than its author meant.
func (m *Migration) directive(c sqltext.Comment) error {
	text, ok := strings.CutPrefix(c.Text, "migrate:")
	last := len(m.script.Statements) - 1
	if c.Block && looksLikeDirective(c.Text) {
		return errors.New("a directive is a comment of its own line: -- migrate:…")
	}
	if mark := othersMark(c.Text, !c.Begun, last >= 0 && m.script.Statements[last].Start > c.Offset); mark != "" &&
		!ok {
		return errors.New(mark)
	}
	if c.Block {
		return nil
	}
	if !ok || strings.HasPrefix(text, " ") {
		if looksLikeDirective(c.Text) {
			return fmt.Errorf("write the directive as -- migrate:…, in small letters and without spaces before or " +
				"behind the colon")
		}
		return nil
	}
	name, argument, _ := strings.Cut(text, " ")
	argument = strings.TrimSpace(argument)
	switch {
	case name == "up", name == "down":
		return errors.New("a file holds only what is applied, without marks; delete this line of another tool's, " +
			"and what it keeps for going back")
	case c.Begun:
		return errors.New("a directive counts only above the first statement; move it to the top of the file")
	case name == "min-version":
		return m.setMinVersion(argument)
	case name == "no-transaction" && argument != "":
		return fmt.Errorf("no-transaction takes no argument; %q is too much", argument)
	case name == "no-transaction":
		m.NoTransaction = true
		return nil
	case name == "allow":
		return m.exempt(c.Offset, argument)
	}
	return fmt.Errorf("there is no directive %q; known are min-version, no-transaction and allow", name)
}

func (m *Migration) setMinVersion(argument string) error {
	n, err := strconv.Atoi(argument)
	switch {
	case m.MinVersion != 0:
		return errors.New("min-version is given twice")
	case err != nil || n < 1:
		return fmt.Errorf("min-version: %q is not a version; write for example -- migrate:min-version %d", argument,
			m.Version)
	case n > m.Version:
		return fmt.Errorf("min-version %d is behind this file; no bundle that ends here could work with it", n)
	}
	m.MinVersion = n
	return nil
}

// Fingerprint condenses the ledger that this file and those before it leave.
func (m Migration) Fingerprint() string { return hex.EncodeToString(m.history[:]) }

// Plain reports whether the file runs nothing but what its text shows.
func (m Migration) Plain() bool { return m.plain }

// Unseen reports whether the file may do what its text does not show.
func (m Migration) Unseen() bool { return m.unseen }

// Spans returns where in the file each statement is.
func (m Migration) Spans() []sqltext.Statement { return m.script.Statements }

// Statements returns the number of SQL statements in the file.
func (m Migration) Statements() int { return len(m.script.Statements) }

// Directives returns what comments such as "-- migrate:min-version 11" say about
// the file, without the prefix.
func (m Migration) Directives() []string {
	var found []string
	for _, c := range m.script.Comments {
		if text, ok := strings.CutPrefix(c.Text, "migrate:"); ok {
			found = append(found, strings.TrimSpace(text))
		}
	}
	return found
}

// Unchecked makes a bundle of SQL texts, versions 1, 2, …, without the checks of Load. It is for tests of what happens
// when a file slips through.
func Unchecked(sql ...string) Bundle {
	var b Bundle
	for i, s := range sql {
		m := Migration{Version: i + 1, Name: "m", File: "m.sql", SQL: s, Checksum: checksum([]byte(s)), MinVersion: 1}
		m.script = sqltext.Cut(s, Ledger)
		b.migrations = append(b.migrations, m)
	}
	b.computeFingerprints()
	return b
}
