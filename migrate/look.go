package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// seen is all that a start needs to know about a database, gathered in one
// flight: planning is a pure function of it and the bundle.
type seen struct {
	Server   serverSeen `json:"server"`
	Database string     `json:"database"`
	Me       struct {
		Name        string `json:"name"`
		Superuser   bool   `json:"superuser"`
		CreatesRole bool   `json:"creates_role"`
		MayCreate   bool   `json:"may_create"`        // schemas in this database
		MayConnect  bool   `json:"may_grant_connect"` // may hand on CONNECT
		CreatesDB   bool   `json:"creates_db"`
		Replicates  bool   `json:"replicates"`
		BypassesRLS bool   `json:"bypasses_rls"`
		powers
	} `json:"me"`
	Schema *schemaSeen          `json:"schema"` // nil when it does not exist
	Role   *privilege.RoleFacts `json:"role"`   // nil when it does not exist
	Ledger *ledger.Head         `json:"-"`      // nil when it does not exist
	Held   *privilege.Catalog   `json:"-"`      // nil unless it was asked for

	Strays []snapshot.Difference `json:"-"` // objects whose owner somebody changed; nil unless it was asked for

	History []ledger.Row     `json:"-"` // nil unless it was asked for
	Table   ledger.TableDiff `json:"-"` // the same

	Renamed *RenamedError `json:"-"` // where the schema is missing or empty: one that looks like it
}

// The powers are what a service's role must not have beside its attributes.
type powers struct {
	Member     bool `json:"member"` // of any role
	Owns       bool `json:"owns"`   // anything, in any database
	WritesOurs bool `json:"writes_ledger"`
}

type serverSeen struct {
	Version           int    `json:"version,string"` // such as 150018
	Build             string `json:"build"`          // what version() says, with the system that it was built for
	Standby           bool   `json:"standby"`
	SynchronousCommit string `json:"synchronous_commit"`
	// what makes sessions read-only by default, as pg_settings calls it; "" when nothing does
	ReadOnly string `json:"read_only"`
	PID      int    `json:"pid"` // of the process that answered

	settable []pg.Assignment // settings that only some may pin; see restricted
	me       string          // as whom the migrator works
	set      bool            // this session has the usual settings, for each transaction
	quiet    bool            // no event trigger does something beside each statement
}

// release is the version as people write it, such as 15.18.
func (s serverSeen) release() string {
	const major = 10_000
	return fmt.Sprintf("%d.%d", s.Version/major, s.Version%major)
}

// checksClients reports whether it can notice in the middle of a statement that its client
// is gone.
func (s serverSeen) checksClients() bool { return strings.Contains(s.Build, "linux") }

type schemaSeen struct {
	Owner   string `json:"owner"`
	Mine    bool   `json:"mine"`    // whether we have the rights of its owner
	Creates bool   `json:"creates"` // whether we may create objects in it
	Ledger  bool   `json:"ledger"`  // whether it holds a relation with the ledger's name
	Comment string `json:"comment"` // the stamp

	// These are asked only when the ledger does not tell a history.
	Objects int  `json:"objects"` // what it holds beside the ledger
	Ours    bool `json:"ours"`    // whether the relation with the ledger's name bears the ledger's comment
}

// An audience is who looks, and so what is asked.
type audience int

const (
	migrator  audience = iota // the privileged role; asks what the service's role holds
	service                   // the service's role, which asks whether the schema is fit
	prover                    // the service's role; asks what it holds itself
	auditor                   // any role; asks for all that the service's role holds
	historian                 // any role; asks for the ledger's rows, and what its table is like
)

// look gathers what is seen in one flight and takes no lock beyond reading. Only where the
// ledger does not tell a history it asks, in a second one, what the schema holds.
func (m *Migrator) look(ctx context.Context, conn *pgconn.PgConn, who audience) (seen, error) {
	var s seen
	name, rights := m.Role.Name, m.Role.Name != "" && (who == migrator || who == auditor)
	if who == prover || who == auditor && m.Role.Name == "" {
		name, rights = "", true // the service asks about itself
	}
	role := "current_user"
	if name != "" || !rights {
		role = sqltext.QuoteText(name)
	}
	questions := []string{m.askFacts(role, who), ledger.HeadQuery(m.Schema, m.Bundle.Version())}
	switch {
	case rights && who == auditor:
		questions = append(questions, privilege.AuditQuery(m.Schema, name), privilege.DetoursQuery(m.Schema, name))
	case rights:
		questions = append(questions, privilege.StartQuery(m.Schema, name), snapshot.Qualified+m.askOwners())
	case who == historian:
		questions = append(questions, ledger.RowsQuery(m.Schema), snapshot.Settings+
			snapshot.Ledger(sqltext.QuoteText(m.Schema), sqltext.QuoteText(ledger.Name)))
	}
	answers, err := m.askPatiently(ctx, conn, questions...)
	if err != nil {
		return s, err
	}
	if err := answers[0].Decode(&s); err != nil {
		return s, err
	}
	s.Server.me = s.Me.Name
	s.Ledger, err = ledger.ReadHead(answers[1])
	if s.Schema != nil && err == nil && !s.Ledger.HasHistory() {
		if err = m.lookInside(ctx, conn, &s); err == nil && s.Ledger.HasHistory() {
			return m.look(ctx, conn, who) // somebody has just migrated
		}
	}
	if err == nil && !s.Ledger.HasHistory() && blank(s.Schema) {
		asked := role
		if m.Role.Name == "" {
			asked = "current_user" // the service asks about itself
		}
		err = m.lookForRenamed(ctx, conn, asked, &s)
	}
	unreadable := pg.SQLState(err) == pg.InsufficientPrivilege && s.Schema != nil
	if unreadable {
		err = m.mayNotRead(s, who)
	}
	switch {
	case unreadable && rights && who == auditor: // whose answer is about rights
		held, errHeld := privilege.ReadAudit(answers[2])
		s.Held = held
		return s, cmp.Or(errHeld, err)
	case err != nil:
		return s, err
	case s.Schema != nil && s.Ledger.HasHistory():
		s.Schema.Ledger, s.Schema.Comment = true, s.Ledger.Comment
	}
	switch {
	case rights && who == auditor:
		if s.Held, err = privilege.ReadAudit(answers[2]); err == nil {
			err = s.Held.ReadDetours(answers[3])
		}
	case rights:
		_ = answers[3].Decode(&s.Strays) // only a warning is about them
		err = m.readRights(ctx, conn, answers[2], name, &s)
	case who == historian && s.Ledger != nil && !s.Ledger.Foreign:
		err = m.readHistory(answers[2], answers[3], &s)
	}
	return s, err
}

// lookInside asks what a schema holds whose ledger is missing, empty or another tool's, and
// then for the ledger again: whoever has migrated meanwhile made both in one transaction.
func (m *Migrator) lookInside(ctx context.Context, conn *pgconn.PgConn, s *seen) error {
	answers, err := m.askPatiently(ctx, conn, m.askInside(), ledger.HeadQuery(m.Schema, m.Bundle.Version()))
	if err != nil {
		return err
	}
	if err := answers[0].Decode(s.Schema); err != nil {
		return err
	}
	if s.Ledger, err = ledger.ReadHead(answers[1]); err == nil && s.Ledger != nil && s.Ledger.Foreign {
		s.Ledger.Damaged = s.Schema.Ours
	}
	return err
}

// readHistory reads what only a historian asks. Rows that cannot be read are those of a
// damaged table.
func (m *Migrator) readHistory(rows, told pg.Result, s *seen) error {
	err := rows.Decode(&s.History)
	if ledger.IsForeign(pg.SQLState(err)) {
		s.Ledger, err = &ledger.Head{Foreign: true, Damaged: true}, nil
	}
	if err == nil && told.Err != nil {
		err = told.Failure()
	}
	s.Table = ledger.DiffTable(snapshot.Tell(told.Values, m.Schema))
	return err
}

// glance is look for those who do not ask again: a ledger that somebody has locked is
// an error that says so.
func (m *Migrator) glance(ctx context.Context, conn *pgconn.PgConn, who audience) (seen, error) {
	began := time.Now()
	s, err := m.look(ctx, conn, who)
	if pg.IsDisturbed(err) {
		busy := &BusyError{
			Waited: time.Since(began),
			Err: errors.New("another session has locked the ledger, and pg_stat_activity shows whose " +
				"transactions are open"),
		}
		if h, err := m.askLocker(ctx, conn); err == nil && h != nil {
			busy.Blocker = h.String()
		}
		err = busy
	}
	return s, err
}

// askLocker asks who holds the ledger so that it cannot be read, or queues to.
func (m *Migrator) askLocker(ctx context.Context, conn *pgconn.PgConn) (h *pg.Blocker, err error) {
	err = pg.Ask(ctx, conn, pg.Untimed+strings.NewReplacer("$schema", sqltext.QuoteText(m.Schema),
		"$ledger", sqltext.QuoteText(ledger.Name), "$blocker", pg.BlockerOf).Replace(`
		SELECT coalesce((SELECT $blocker
			FROM (SELECT coalesce(pid, 0) AS pid, granted, relation, database, mode FROM pg_locks) l
				LEFT JOIN pg_stat_activity a USING (pid)
			WHERE l.relation = (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname = $schema AND c.relname = $ledger)
				AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
				AND l.mode = 'AccessExclusiveLock'
			ORDER BY l.granted DESC LIMIT 1), 'null')`), &h)
	return h, err
}

// askPatiently asks as one does who may meet a lock on the ledger.
func (m *Migrator) askPatiently(ctx context.Context, conn *pgconn.PgConn, questions ...string) ([]pg.Result, error) {
	table, locking := ledger.Table(m.Schema), 0
	for _, question := range questions {
		if strings.Contains(question, table) {
			locking++
		}
	}
	for i := range questions {
		questions[i] = m.patiently(ctx, locking) + questions[i]
	}
	return pg.Batch(ctx, conn, questions...)
}

// mostPatience is how long a flight waits for locks at most; its answers have to come within
// answerLimit.
const mostPatience = 7 * time.Second

// patiently is untimed for questions to the ledger, of which there are some in one flight: together they do
// not hang where another session has locked that. Of the time to wait they take half, so that the server gets to
// say that there is a lock.
func (m *Migrator) patiently(ctx context.Context, questions int) string {
	left := min(pg.Left(ctx), orElse(m.ConnectWait, time.Minute))
	limit := min(orElse(m.LockTimeout, defaultLockTimeout), mostPatience,
		max(left/2, leastLock)) / time.Duration(max(questions, 1))
	return pg.Untimed + fmt.Sprintf("SET LOCAL lock_timeout = %d; ", max(limit.Milliseconds(), 1))
}

// readRights reads what a role holds, and asks for the rest when it holds something odd.
func (m *Migrator) readRights(ctx context.Context, conn *pgconn.PgConn, a pg.Result, role string, s *seen) error {
	owner := ""
	if s.Schema != nil {
		owner = s.Schema.Owner
	}
	held, odd, err := privilege.ReadStart(a, s.Role, owner)
	if err != nil {
		return err
	}
	if s.Held = held; !odd {
		return nil
	}
	answers, err := pg.Batch(ctx, conn, pg.Untimed+privilege.AuditQuery(m.Schema, role))
	if err != nil {
		return err
	}
	s.Held, err = privilege.ReadAudit(answers[0])
	return err
}

// roleFacts are what was found about the service's role.
func (m *Migrator) roleFacts(s seen) privilege.Facts {
	f := privilege.Facts{
		Database: s.Database, Schema: m.Schema, Me: s.Me.Name, ServerVersion: s.Server.Version,
		Role: s.Role, Catalog: s.Held,
	}
	if s.Schema != nil {
		f.Owner = s.Schema.Owner
	}
	if f.Ledger = s.Ledger != nil; f.Ledger {
		f.Snapshot, f.Compared = m.Bundle.Snapshot(s.Ledger.Version)
	}
	return f
}

// mayNotRead is the error of a role that lacks the right to read the ledger: a
// migrator needs the schema to be its own, a service only to be granted it.
func (m *Migrator) mayNotRead(s seen, who audience) error {
	me, schema := sqltext.QuoteName(s.Me.Name), sqltext.QuoteName(m.Schema)
	err := &pg.PrivilegeError{Lacks: fmt.Sprintf("the role %q may not read the ledger of applied migrations in the "+
		"schema %q, which belongs to %q", s.Me.Name, m.Schema, s.Schema.Owner)}
	if s.Schema.Mine {
		err.Lacks = fmt.Sprintf("the role %q may not read the ledger of applied migrations: it owns the schema %q, "+
			"and the table %s belongs to another role", s.Me.Name, m.Schema, ledger.Table(m.Schema))
	}
	if who == migrator || m.Role.Name != "" { // the service itself names no role
		err.SQL = takeOver(m.Schema, s.Me.Name)
		return err
	}
	err.SQL = []string{"GRANT USAGE ON SCHEMA " + schema + " TO " + me, "GRANT SELECT ON " +
		ledger.Table(m.Schema) + " TO " + me}
	return err
}

// askFacts reads only catalogues, by oid and name: to_regclass or a cast would
// fail where the web role lacks USAGE on the schema. It is asked by a server process that
// has just begun, to which each function and catalogue is new and costs more than its rows.
func (m *Migrator) askFacts(role string, who audience) string {
	powers := askPowers
	if who == migrator || who == prover {
		powers = ""
	}
	return strings.NewReplacer("$schema", sqltext.QuoteText(m.Schema), "$role", role,
		"$ledger", sqltext.QuoteText(ledger.Name), "$owns", privilege.OwnsSQL).Replace(`
	SELECT json_build_object(
		'server', json_build_object(
			'version', current_setting('server_version_num'), 'build', version(),
			'standby', pg_is_in_recovery(),
			'read_only', CASE WHEN current_setting('default_transaction_read_only') = 'on'
				THEN (SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only') ELSE '' END,
			'synchronous_commit', current_setting('synchronous_commit'),
			'pid', pg_backend_pid()),
		'database', current_database(),
		'me', (SELECT json_build_object('name', rolname, 'superuser', rolsuper, 'creates_role', rolcreaterole,
				'creates_db', rolcreatedb, 'replicates', rolreplication, 'bypasses_rls', rolbypassrls,` + powers + `
				'may_create', has_database_privilege(current_database(), 'CREATE'),
				'may_grant_connect', has_database_privilege(current_database(), 'CONNECT WITH GRANT OPTION'))
			FROM pg_roles r WHERE rolname = current_user),
		'schema', (SELECT json_build_object('owner', pg_get_userbyid(n.nspowner),
				'mine', pg_has_role(n.nspowner, 'USAGE'), 'creates', has_schema_privilege(n.oid, 'CREATE'))
			FROM pg_namespace n WHERE n.nspname = $schema),
		'role', (SELECT json_build_object('name', rolname, 'login', rolcanlogin,
				'expired', CASE WHEN rolvaliduntil <= now() THEN rolvaliduntil::text ELSE '' END, 'limit', rolconnlimit, 'superuser', rolsuper, 'creates_db', rolcreatedb, 'creates_role', rolcreaterole,
				'replicates', rolreplication, 'bypasses_rls', rolbypassrls,
				'member_of', (SELECT json_agg(json_build_object('role', pg_get_userbyid(roleid), 'grantor', pg_get_userbyid(grantor))
					ORDER BY pg_get_userbyid(roleid), pg_get_userbyid(grantor)) FROM pg_auth_members WHERE member = r.oid),
				'connects', has_database_privilege(r.oid, current_database(), 'CONNECT'),
				'comment', (SELECT description FROM pg_shdescription WHERE objoid = r.oid AND classoid = 'pg_catalog.pg_authid'::regclass))
			FROM pg_roles r WHERE rolname = $role))`)
}

const askPowers = `
				'member', EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid),
				'owns', EXISTS (SELECT FROM pg_shdepend WHERE refclassid = 'pg_catalog.pg_authid'::regclass AND refobjid = r.oid AND $owns),
				'writes_ledger', (SELECT has_table_privilege(c.oid, 'DELETE, TRUNCATE') OR has_any_column_privilege(c.oid, 'INSERT, UPDATE') FROM pg_class c
					JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = $schema AND relname = $ledger AND relkind IN ('r', 'p')),`

// askInside asks what a schema holds whose ledger does not tell it.
func (m *Migrator) askInside() string {
	return strings.NewReplacer("$schema", sqltext.QuoteText(m.Schema), "$ledger", sqltext.QuoteText(ledger.Name),
		"$comment", sqltext.QuoteText(ledger.Comment)).Replace(`
	SELECT coalesce((SELECT json_build_object(
		'comment', obj_description(n.oid, 'pg_namespace'),
		'ledger', EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid AND relname = $ledger),
		'ours', EXISTS (SELECT FROM pg_class c WHERE relnamespace = n.oid AND relname = $ledger AND relkind = 'r' AND obj_description(c.oid, 'pg_class') = $comment),
		'objects', (SELECT count(*) FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind NOT IN ('i', 'I', 't') AND c.relname <> $ledger)
			+ (SELECT count(*) FROM pg_proc WHERE pronamespace = n.oid)
			+ (SELECT count(*) FROM pg_type WHERE typnamespace = n.oid AND typtype IN ('d', 'e', 'r')))
		FROM pg_namespace n WHERE n.nspname = $schema), 'null')`) // it may be gone by now
}

// differences compares the ledger with the bundle, row by row. It is asked only
// when their fingerprints have shown that they disagree.
func (m *Migrator) differences(ctx context.Context, conn *pgconn.PgConn) ([]Difference, error) {
	answers, err := m.askPatiently(ctx, conn, ledger.RowsQuery(m.Schema))
	if err != nil {
		return nil, err
	}
	var rows []ledger.Row
	if err := answers[0].Decode(&rows); err != nil {
		return nil, err
	}
	return compare(m.Bundle, rows), nil
}

// tooMuch lists what the role that looks could do beyond a service's own.
func (s seen) tooMuch() []string {
	var found []string
	for _, power := range []struct {
		has  bool
		what string
	}{
		{s.Me.Superuser, "is a superuser"},
		{s.Me.CreatesRole, "may create roles"},
		{s.Me.CreatesDB, "may create databases"},
		{s.Me.Replicates, "may replicate"},
		{s.Me.BypassesRLS, "bypasses row level security"},
		{s.Me.Member, "is a member of another role"},
		{s.Me.Owns, "owns objects"},
		{s.Me.MayCreate, "may create schemas"},
		{s.Schema != nil && s.Schema.Creates, "may create objects in the schema"},
		{s.Me.WritesOurs, "may write the ledger of migrations"},
	} {
		if power.has {
			found = append(found, power.what)
		}
	}
	return found
}
