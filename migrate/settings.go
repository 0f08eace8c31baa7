package migrate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/setting"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// pinned are the settings of each of our transactions that give statements their meaning,
// besides those which begin computes.
func pinned(version int) []pg.Assignment {
	var all []pg.Assignment
	for _, p := range setting.Meaning(version) {
		if p.Name != "TimeZone" { // begin has it, for all
			all = append(all, pg.Assignment{Name: p.Name, Value: p.SetTo()})
		}
	}
	return all
}

// guard is a query that fails, and names the setting, when the file before it left one
// behind that the files after it would be read by, or that it may not have changed. It
// asks for those alone that this file's text does not set for itself.
func guard(mig *bundle.Migration, server serverSeen) string {
	text := strings.ToLower(mig.SQL)
	kept := []pg.Assignment{{Name: "role", Value: server.me}, {Name: "lock_timeout"}} // any but 0
	for _, p := range setting.Meaning(server.Version) {
		if p.Name == "exit_on_error" { // it would end the session that is to say so, and each transaction has it off
			continue
		}
		if p.Local == "no" || !strings.Contains(text, strings.ToLower(p.Name)) && !strings.Contains(text, p.Alias()) {
			kept = append(kept, pg.Assignment{Name: p.Name, Value: p.SetTo()})
		}
	}
	return "SELECT pg_catalog.format('" + guardMark + "%s = %s', n, v)::pg_catalog.int4 FROM (SELECT n, want, " +
		"CASE WHEN n OPERATOR(pg_catalog.=) 'role' THEN current_user::pg_catalog.text ELSE " +
		"pg_catalog.current_setting(n) END AS v FROM " + pg.Listed(kept) + ") s " +
		"WHERE CASE WHEN n OPERATOR(pg_catalog.=) 'lock_timeout' THEN v OPERATOR(pg_catalog.=) '0' ELSE v " +
		"OPERATOR(pg_catalog.<>) want END LIMIT 1"
}

// guardMark begins what guard makes the server say.
const guardMark = "changed "

// different returns those of some settings that have another value.
func (m *Migrator) different(ctx context.Context, conn *pgconn.PgConn,
	wanted []pg.Assignment) (found []pg.DifferentSetting,
	err error,
) {
	err = pg.Ask(ctx, conn, pg.Untimed+snapshot.Qualified+pg.Differing(wanted), &found)
	return found, err
}

// restricted keeps what only a superuser or a grant can set, and we may pin, for begin. It is
// an error for what we may not.
func (m *Migrator) restricted(ctx context.Context, conn *pgconn.PgConn, s *seen) error {
	var wanted []pg.Assignment
	for _, p := range setting.Pins() {
		if p.Restricted() {
			wanted = append(wanted, pg.Assignment{Name: p.Name, Value: p.SetTo()})
		}
	}
	var found []pg.DifferentSetting
	b := pg.NewBatch(conn)
	differing := b.Ask(pg.Untimed+snapshot.Qualified+pg.Differing(wanted), &found)
	// where a DBA keeps event triggers from being read, there may be some
	b.Ask(pg.Untimed+snapshot.Qualified+"SELECT to_json(NOT EXISTS (SELECT FROM pg_event_trigger WHERE "+
		"evtenabled <> 'D'))", &s.Server.quiet)
	if err := cmp.Or(b.Run(ctx), differing.Err); err != nil {
		return err
	}
	lacks := &pg.PrivilegeError{}
	for _, f := range found {
		if f.May {
			s.Server.settable = append(s.Server.settable,
				pg.Assignment{Name: f.Name, Value: pg.ValueOf(wanted, f.Name)})
			continue
		}
		lacks.Lacks = fmt.Sprintf("%s is %s for the role %q, which must be %s and which the role may not set", f.Name,
			f.Value, s.Me.Name, pg.ValueOf(wanted, f.Name))
		lacks.SQL = append(lacks.SQL, cmp.Or(f.By, "ALTER SYSTEM RESET "+f.Name))
	}
	if len(lacks.SQL) > 0 {
		return lacks
	}
	return nil
}

// unpinned refuses a file without a transaction that comes through a pooler, where nothing can
// be set for it, while a setting that differs would change what its literals and conditions mean.
// Another client's SET may be met later all the same; what a DBA sets is the same in each session.
func (r *run) unpinned(ctx context.Context, conn *pgconn.PgConn, s seen, mig *bundle.Migration) error {
	wanted := readBy(mig, s.Server.Version)
	if !r.pooled || len(wanted) == 0 {
		return nil
	}
	found, err := r.different(ctx, conn, wanted)
	if err != nil || len(found) == 0 {
		return err
	}
	lacks := &pg.PrivilegeError{}
	for _, f := range found {
		lacks.Lacks = fmt.Sprintf("%s runs without a transaction and holds a value or a condition that depends on "+
			"%s, which is %q for the role %q, must be %q, "+
			"and cannot be set through a pooler; let the migrator connect without the pooler, or take the setting "+
			"away, and run RECONNECT on the console of PgBouncer",
			mig.File, f.Name, f.Value, s.Me.Name, pg.ValueOf(wanted, f.Name))
		lacks.SQL = append(lacks.SQL, cmp.Or(f.By, "ALTER SYSTEM RESET "+f.Name))
	}
	return lacks
}

// readBy are the settings by which the server reads the values and conditions of a file without
// a transaction. Only an index has any.
func readBy(mig *bundle.Migration, version int) []pg.Assignment {
	literal, null, money, equals := false, false, false, false
	for _, t := range sqltext.Tokens(mig.SQL)[0] {
		literal = literal || strings.HasSuffix(t.Text, "'") || strings.HasPrefix(t.Text, "$")
		null, money, equals = null || t.Word == "NULL", money || t.Word == "MONEY", equals || t.Word == "="
	}
	var names []string
	if literal {
		names = append(names, "client_encoding", "standard_conforming_strings", "DateStyle", "IntervalStyle",
			"TimeZone",
			"timezone_abbreviations", "array_nulls", "xmloption")
	}
	if literal && money { // its default comes from initdb, and seldom is C
		names = append(names, "lc_monetary")
	}
	if null && equals {
		names = append(names, "transform_null_equals")
	}
	var all []pg.Assignment
	for _, p := range setting.Meaning(version) {
		if slices.Contains(names, p.Name) {
			all = append(all, pg.Assignment{Name: p.Name, Value: p.SetTo()})
		}
	}
	return all
}

// session sets for the whole session what each transaction would set otherwise, also what it
// has by default, which a reload of the server's configuration might change. The session of a
// pooler is shared: there nothing is set. What the server reads a message by cannot come with
// the message.
func (r *run) session(ctx context.Context, conn *pgconn.PgConn, server *serverSeen) error {
	if r.pooled || conn.TxStatus() != 'I' {
		return nil
	}
	server.set = true
	return r.soon(ctx, conn, pg.AssignAll(usual(*server)))
}

// orphanTimeout is how soon a server process ends the work of a program that is gone: until
// then it keeps all others out. Not every system can tell it.
const orphanTimeout = "2s" // as the server writes it, so that it is seen to be set

// idleTimeout is how soon the server ends a transaction of ours in which nothing happens. It
// keeps all others out, and its program has vanished or is frozen: one that is alive sends its
// statements together, and a sign of life every 20 seconds while it makes a backup.
const idleTimeout = "90s"

// orphanSettings let the server notice that a program is gone: one whose connection is closed,
// within seconds, and one whose machine has vanished without a word, within a minute. They do
// nothing on a socket in the file system.
func orphanSettings() []pg.Assignment {
	return []pg.Assignment{
		{Name: "client_connection_check_interval", Value: orphanTimeout},
		{Name: "tcp_keepalives_idle", Value: "20"},
		{Name: "tcp_keepalives_interval", Value: "10"},
		{Name: "tcp_keepalives_count", Value: "4"}, // seconds
		{Name: "tcp_user_timeout", Value: "60000"}, // ms
	}
}

// usual are the settings of each of our transactions which are the same in all of them.
func usual(server serverSeen) []pg.Assignment {
	settings := append(pinned(server.Version),
		pg.Assignment{Name: "statement_timeout", Value: "0"},
		pg.Assignment{Name: "idle_in_transaction_session_timeout", Value: idleTimeout},
		pg.Assignment{Name: "TimeZone", Value: "UTC"})
	settings = append(settings, server.settable...)
	if server.Version >= 17_00_00 {
		settings = append(settings, pg.Assignment{Name: "transaction_timeout", Value: "0"})
	}
	if server.checksClients() {
		settings = append(settings, orphanSettings()...)
	}
	return settings
}
