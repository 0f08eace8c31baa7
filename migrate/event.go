package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/redact"
)

// An eventTrigger runs with each change of the schema of the database, inside the
// transaction that makes it. Only a superuser makes one.
type eventTrigger struct {
	Name     string `json:"name"`
	Event    string `json:"event"`    // such as ddl_command_end
	Function string `json:"function"` // its bare name
	Schema   string `json:"schema"`   // of the function
	Source   string `json:"source"`   // of the function, whose words an error of it may show
	Enabled  string `json:"enabled"`  // how it is switched on
}

type eventTriggers []eventTrigger

// eventTriggers asks for those that are on; nil where they cannot be read, for they are asked
// for only to explain something.
func (r *run) eventTriggers(ctx context.Context, conn *pgconn.PgConn) (found eventTriggers) {
	if conn.TxStatus() != 'I' {
		return nil
	}
	err := pg.Ask(ctx, conn, pg.Untimed+`SELECT coalesce(json_agg(json_build_object(
			'name', evtname, 'event', evtevent, 'function', proname, 'schema', nspname, 'source', prosrc,
			'enabled', CASE evtenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE' END)
		ORDER BY evtname), '[]')
		FROM pg_event_trigger JOIN pg_proc p ON p.oid = evtfoid JOIN pg_namespace n ON n.oid = pronamespace
		WHERE evtenabled <> 'D'`, &found)
	if err != nil {
		return nil
	}
	return found
}

// names lists them for people.
func (e eventTriggers) names() string {
	var names []string
	for _, t := range e {
		names = append(names, fmt.Sprintf("%q on %s, which calls %s", t.Name, t.Event,
			sqltext.QuoteName(t.Schema, t.Function)))
	}
	return strings.Join(names, "; ")
}

// switchedOff is how a DBA switches them off.
func (e eventTriggers) switchedOff() (sql []string) {
	for _, t := range e {
		sql = append(sql, "ALTER EVENT TRIGGER "+sqltext.QuoteName(t.Name)+" DISABLE",
			"-- start again, and then ALTER EVENT TRIGGER "+sqltext.QuoteName(t.Name)+" "+t.Enabled)
	}
	return sql
}

// in are those whose function an error's context names.
func (e eventTriggers) in(err *pgconn.PgError) eventTriggers {
	return slices.DeleteFunc(slices.Clone(e), func(t eventTrigger) bool {
		return !strings.Contains(err.Where, t.Function+"(") &&
			!strings.Contains(err.Where, sqltext.QuoteName(t.Function)+"(")
	})
}

// blame finds out whether something else than the migrator or the file made a message fail:
// an event trigger, or a tablespace that a DBA made the default. Then the error names it, with
// what to do.
func (r *run) blame(ctx context.Context, conn *pgconn.PgConn, m message, err *pgconn.PgError, failed error) error {
	if _, again := errors.AsType[*retryError](failed); again || conn.TxStatus() != 'I' {
		return failed
	}
	if _, away := errors.AsType[*pg.ConnLostError](failed); away {
		return failed
	}
	all := r.eventTriggers(ctx, conn)
	guilty := all.in(err)
	sources := []string{m.sql}
	for _, t := range guilty {
		sources = append(sources, t.Source)
	}
	err = redact.Server(err, strings.Join(sources, "\n"))
	if len(guilty) > 0 {
		return stopped(m, failed, r.guilt(guilty, err), guilty.switchedOff())
	}
	if lacks := r.withheldFrom(ctx, conn, err); lacks != nil {
		if file, ok := errors.AsType[*MigrationError](failed); ok {
			file.What = "" // which names the ledger's damage from the code alone
		}
		return stopped(m, failed, lacks.Lacks, lacks.SQL)
	}
	if err.Routine == "ExecWithCheckOptions" && len(all) > 0 {
		return stopped(m, failed, "row level security refused a row of a migration. Where no migration turns it on "+
			"with FORCE, an event trigger of this database does: "+all.names(), all.switchedOff())
	}
	if space := r.closedTablespace(ctx, conn); err.Code == pg.InsufficientPrivilege && space != "" {
		return stopped(m, failed, fmt.Sprintf("the role %q may not create anything in the tablespace %q, which "+
			"default_tablespace names (%s). Grant it that, or reset the setting", r.me, space, err.Message),
			[]string{"GRANT CREATE ON TABLESPACE " + sqltext.QuoteName(space) + " TO " + sqltext.QuoteName(r.me)})
	}
	return r.suspect(m, err, failed, all)
}

// guilt explains that an event trigger stopped a message.
func (r *run) guilt(guilty eventTriggers, err *pgconn.PgError) string {
	why := fmt.Sprintf("the event trigger %s of this database stopped it: %s", guilty.names(), words(err))
	if err.Code == pg.InsufficientPrivilege {
		return why + fmt.Sprintf(". What it does lacks a right of %q: grant that, make its function SECURITY DEFINER, "+
			"or switch it off for the time of the start", r.me)
	}
	return why + ". Do what it asks for, or switch it off for the time of the start"
}

// suspect adds the event triggers to a failure that one of them may have caused.
func (r *run) suspect(m message, err *pgconn.PgError, failed error, all eventTriggers) error {
	lacks, refused := errors.AsType[*pg.PrivilegeError](failed)
	// there is no schema yet that another role could own
	if refused && m.what == "bootstrap" && strings.HasPrefix(lacks.Lacks, "bootstrap: ") {
		lacks = &pg.PrivilegeError{Lacks: "bootstrap: " + words(err), Beyond: true}
		if len(all) > 0 {
			lacks.Lacks += ". One of the event triggers of this database may be why, such as one that changes the " +
				"owners of new tables: " + all.names()
			lacks.SQL = all.switchedOff()
		}
		return lacks
	}
	if file, ok := errors.AsType[*MigrationError](failed); ok && err.Code == pg.InsufficientPrivilege && len(all) > 0 {
		file.Advice = strings.TrimPrefix(file.Advice+
			". Where an event trigger of this database gives what files make to another role ("+all.names()+"), "+
			"a DBA can switch it off: "+strings.Join(all.switchedOff(), "; "), ". ")
	}
	return failed
}

// stopped is the error of a message that something else stopped. Of a file it keeps the place.
func stopped(m message, failed error, why string, sql []string) error {
	lacks := &pg.PrivilegeError{Lacks: m.what + ": " + why, SQL: sql, Beyond: true}
	file, ok := errors.AsType[*MigrationError](failed)
	if !ok {
		return lacks
	}
	file.Refused, file.Next = true, (&pg.PrivilegeError{Lacks: why, SQL: sql}).Error()
	return failed
}

// closedTablespace is the default tablespace, when the role may not use it.
func (r *run) closedTablespace(ctx context.Context, conn *pgconn.PgConn) (name string) {
	err := pg.Ask(ctx, conn, pg.Untimed+`SELECT to_json(coalesce((SELECT spcname FROM pg_tablespace
		WHERE spcname = current_setting('default_tablespace')
			AND NOT has_tablespace_privilege(oid, 'CREATE')), ''))`, &name)
	if err != nil {
		return ""
	}
	return name
}

// words are all that the server said of an error, but for the values of rows.
func words(err *pgconn.PgError) string {
	said := err.Message + " (" + err.Code + ")"
	if class := err.Code[:min(2, len(err.Code))]; err.Detail != "" && class != "22" && class != "23" {
		said += ". " + strings.TrimSuffix(err.Detail, ".")
	}
	if err.Hint != "" {
		said += ". Hint: " + strings.TrimSuffix(err.Hint, ".")
	}
	if err.Where != "" {
		said += ". Where: " + strings.ReplaceAll(err.Where, "\n", "; ")
	}
	return said
}
