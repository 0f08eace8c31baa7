package migrate

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/catalogue"
)

// settingsText holds a decision about each of PostgreSQL's settings.
//
//go:embed settings.txt
var settingsText string

// A pin is a setting that has the same value in the transaction of each file, whatever the
// server, the database, the role, the connection or an earlier file say.
type pin struct {
	name  string
	since []int  // the versions that have it, each from this on, such as 150008
	file  string // its value; "-" is none, and in angle brackets is what the code computes
	local string // whether a file may have another: yes, no, or a limit
	web   string // its value for the web server, by package store
	why   string
}

var pins = sync.OnceValue(func() []pin { //nolint:gochecknoglobals // settings.txt, read once
	var all []pin
	for line := range strings.Lines(settingsText) {
		columns := strings.Split(line, "|")
		const count = 6
		if len(columns) != count || strings.HasPrefix(line, "#") {
			continue
		}
		for i := range columns {
			columns[i] = strings.TrimSpace(columns[i])
		}
		p := pin{name: columns[0], file: columns[2], local: columns[3], web: columns[4], why: columns[5]}
		for version := range strings.FieldsSeq(columns[1]) {
			major, minor, _ := strings.Cut(version, ".")
			n, _ := strconv.Atoi(major) // the test of settings.txt has read it
			m, _ := strconv.Atoi(minor) // the same; 0 when there is none
			p.since = append(p.since, n*10_000+m)
		}
		all = append(all, p)
	}
	return all
})

// knownTo reports whether a server has the setting: one that was added to an old major
// version, too, is missing in its first minor ones.
func (p pin) knownTo(version int) bool {
	known := false
	for _, since := range p.since {
		known = known || version >= since && (version/10_000 == since/10_000 || since == p.since[len(p.since)-1])
	}
	return known
}

// computed is what the code sets, and not the table.
func (p pin) computed() bool { return strings.HasPrefix(p.file, "<") && p.file != nothing }

const nothing = "<nothing>"

// value is an SQL literal, or a list of them.
func (p pin) value() string {
	if p.file == nothing {
		return "''"
	}
	return quoteText(p.file)
}

// alias is the word by which SET knows it, too: SET TIME ZONE, SET XML OPTION, SET SCHEMA.
func (p pin) alias() string {
	switch p.name {
	case "TimeZone":
		return "time zone"
	case "xmloption":
		return "xml option"
	case "search_path":
		return "set local schema"
	}
	return p.name
}

// byBegin reports whether BEGIN sets it.
func (p pin) byBegin() bool {
	return strings.HasPrefix(p.name, "transaction_") && p.name != "transaction_timeout"
}

// onSockets reports whether it is about the connection, which begin pins where the server
// can tell that its client is gone.
func (p pin) onSockets() bool {
	return strings.HasPrefix(p.name, "tcp_") || p.name == "client_connection_check_interval"
}

// restricted reports whether it takes a superuser, or a privilege of its own, to set it.
func (p pin) restricted() bool {
	return p.name == "session_replication_role" || p.name == "plpgsql.variable_conflict"
}

// late reports whether the server reads a message by it before that can set it.
func (p pin) late() bool { return p.name == "backslash_quote" }

// meaning are the pins that the table gives a value, on a server of a version.
func meaning(version int) []pin {
	var all []pin
	for _, p := range pins() {
		if p.knownTo(version) && !p.computed() && !p.byBegin() && !p.onSockets() && !p.restricted() &&
			!strings.HasSuffix(p.name, "_timeout") {
			all = append(all, p)
		}
	}
	return all
}

// pinned are the settings of each of our transactions that give statements their meaning,
// beside those which begin computes.
func pinned(version int) []string {
	var all []string
	for _, p := range meaning(version) {
		if p.name != "TimeZone" { // begin has it, for all
			all = append(all, p.name+" = "+p.setTo())
		}
	}
	return all
}

// setTo is the value as SET takes it, where a list is one.
func (p pin) setTo() string {
	if p.name == "DateStyle" {
		return p.file
	}
	return p.value()
}

// guard is a query that fails, and names the setting, when the file before it left one
// behind that the files after it would be read by, or that it may not have changed. It
// asks for those alone that this file's text does not set for itself.
func (m *Migrator) guard(mig *Migration, version int) string {
	text := strings.ToLower(mig.SQL)
	values := []string{
		"('role', current_user::text, (SELECT applied_by FROM " + quoteName(m.Schema, ledgerName) +
			" WHERE version OPERATOR(pg_catalog.=) " + strconv.Itoa(mig.Version) + "))",
		"('lock_timeout', pg_catalog.current_setting('lock_timeout'), NULL)", // any but 0
	}
	for _, p := range meaning(version) {
		if p.name == "exit_on_error" { // it would end the session that is to say so, and each transaction has it off
			continue
		}
		if p.local == "no" || !strings.Contains(text, strings.ToLower(p.name)) && !strings.Contains(text, p.alias()) {
			values = append(values, fmt.Sprintf("('%[1]s', pg_catalog.current_setting('%[1]s'), %[2]s)", p.name, p.value()))
		}
	}
	return "SELECT pg_catalog.format('" + guardMark + "%s = %s', n, v)::pg_catalog.int4 FROM (VALUES " +
		strings.Join(values, ", ") + ") s (n, v, want) WHERE v OPERATOR(pg_catalog.<>) want " +
		"OR want IS NULL AND v OPERATOR(pg_catalog.=) '0' LIMIT 1"
}

// guardMark begins what guard makes the server say.
const guardMark = "changed "

// changed returns the setting, with its value, that the guard after a file found.
func (m message) changed(out outcome) string {
	if m.migration == nil || m.after == "" || out.raw == nil || out.raw.Code != invalidText ||
		out.completed != m.lead+len(m.migration.script.Statements)+1 {
		return ""
	}
	_, found, _ := strings.Cut(out.raw.Message, guardMark)
	return strings.TrimRight(found, `"»“”'`)
}

const invalidText = "22P02" // invalid_text_representation

// restrictedSettings asks for those that only a superuser or a grant can set, and that are
// not what is pinned: where they come from, and whether we may pin them.
func restrictedSettings() string {
	var values []string
	for _, p := range pins() {
		if p.restricted() {
			values = append(values, fmt.Sprintf("('%[1]s', current_setting('%[1]s', true), %[2]s)", p.name, p.value()))
		}
	}
	return strings.Replace(askRestricted, "$values", strings.Join(values, ", "), 1)
}

// askRestricted looks for the defaults that are the last word: those of the role in the
// database go first, then the role's, the database's, and those of all roles.
const askRestricted = `
	SELECT coalesce(json_agg(json_build_object('name', n, 'value', v, 'may', has_parameter_privilege(n, 'SET'),
		'by', coalesce((SELECT format('ALTER %s RESET %s', CASE
				WHEN setrole = 0 THEN format('DATABASE %I', current_database())
				WHEN setdatabase = 0 THEN format('ROLE %I', session_user)
				ELSE format('ROLE %I IN DATABASE %I', session_user, current_database()) END, n)
			FROM pg_db_role_setting
			WHERE setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
				AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
				AND EXISTS (SELECT FROM unnest(setconfig) c WHERE c LIKE replace(n, '_', '\_') || '=%')
			ORDER BY setrole = 0, setdatabase = 0 LIMIT 1), '')))::text, '[]')
	FROM (VALUES $values) s (n, v, pinned) WHERE v <> pinned`

// A restrictedSetting is one that is not what it has to be.
type restrictedSetting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	May   bool   `json:"may"` // whether we may set it
	By    string `json:"by"`  // the statement that takes it away; "" when it is the server's own
}

// restricted keeps what we may pin for begin, and is an error for what we may not.
func (m *Migrator) restricted(ctx context.Context, conn *pgconn.PgConn, s *seen) error {
	answers, err := flight(ctx, conn, untimed+catalogue.Qualified+restrictedSettings())
	if err != nil {
		return err
	}
	var found []restrictedSetting
	if err := answers[0].into(&found); err != nil {
		return err
	}
	lacks := &PrivilegeError{}
	for _, f := range found {
		want := ""
		for _, p := range pins() {
			if p.name == f.Name {
				want = p.file
			}
		}
		if f.May {
			s.Server.settable = append(s.Server.settable, f.Name+" = "+quoteText(want))
			continue
		}
		lacks.Lacks = fmt.Sprintf("%s is %s for the role %q, which must be %s and which the role may not set", f.Name, f.Value, s.Me.Name, want)
		lacks.SQL = append(lacks.SQL, cmp.Or(f.By, "ALTER SYSTEM RESET "+f.Name))
	}
	if len(lacks.SQL) > 0 {
		return lacks
	}
	return nil
}

// session sets what the server reads a message by, and what SET LOCAL cannot set for a
// statement without a transaction. The session of a pooler is shared: there nothing is set.
func (r *run) session(ctx context.Context, conn *pgconn.PgConn) error {
	if r.pooled || conn.TxStatus() != 'I' {
		return nil
	}
	var settings []string
	for _, p := range pins() {
		if p.late() {
			settings = append(settings, "SET "+p.name+" = "+p.setTo())
		}
	}
	return r.order(ctx, conn, strings.Join(settings, "; "))
}
