package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// seen is all that a start needs to know about a database, gathered in one
// flight: planning is a pure function of it and the bundle.
type seen struct {
	Server struct {
		Version           int    `json:"version"` // such as 150018
		Standby           bool   `json:"standby"`
		SynchronousCommit string `json:"synchronous_commit"`
	} `json:"server"`
	Database string `json:"database"`
	Me       struct {
		Name        string `json:"name"`
		Superuser   bool   `json:"superuser"`
		CreatesRole bool   `json:"creates_role"`
		MayCreate   bool   `json:"may_create"`        // schemas in this database
		MayConnect  bool   `json:"may_grant_connect"` // may hand on CONNECT
		CreatesDB   bool   `json:"creates_db"`
		Replicates  bool   `json:"replicates"`
		BypassesRLS bool   `json:"bypasses_rls"`
		Member      bool   `json:"member"`        // of any role; not asked by a migrator, like the rest
		Owns        bool   `json:"owns"`          // anything, in any database
		WritesOurs  bool   `json:"writes_ledger"` // may write the ledger
	} `json:"me"`
	Schema *schemaSeen `json:"schema"` // nil when it does not exist
	Role   *roleSeen   `json:"role"`   // nil when it does not exist
	Ledger *ledgerSeen `json:"-"`      // nil when it does not exist
	Held   *heldSeen   `json:"-"`      // nil unless it was asked for

	History []LedgerRow `json:"-"` // nil unless it was asked for
}

type schemaSeen struct {
	Owner   string `json:"owner"`
	Mine    bool   `json:"mine"`    // whether we have the rights of its owner
	Creates bool   `json:"creates"` // whether we may create objects in it
	Ledger  bool   `json:"ledger"`  // whether it holds a relation with the ledger's name
	Objects int    `json:"objects"` // what it holds beside the ledger; 0 unless the ledger is missing or empty
	Comment string `json:"comment"` // the second witness, when the ledger has not brought it along
}

type roleSeen struct {
	Name        string `json:"name"`
	Login       bool   `json:"login"`
	Superuser   bool   `json:"superuser"`
	CreatesDB   bool   `json:"creates_db"`
	CreatesRole bool   `json:"creates_role"`
	Replicates  bool   `json:"replicates"`
	BypassesRLS bool   `json:"bypasses_rls"`
	MemberOf    []struct {
		Role    string `json:"role"`
		Grantor string `json:"grantor"`
	} `json:"member_of"`
	Connects bool   `json:"connects"`
	Comment  string `json:"comment"`
}

type ledgerSeen struct {
	Version     int    `json:"version"`
	MinVersion  int    `json:"min_version"`
	Rows        int    `json:"rows"`
	Unfinished  int    `json:"unfinished"`  // the first version that was begun and never finished, 0 when there is none
	Claimed     int    `json:"claimed"`     // the version of a file without a transaction that is under way, or was when its migrator died
	Fingerprint string `json:"fingerprint"` // of the rows up to the bundle's version
	Whole       string `json:"whole"`       // of all rows; read as null when that is the same
	Comment     string `json:"comment"`     // the second witness, as it was when the ledger was read
	Foreign     bool   `json:"-"`           // a table of this name which is no ledger of ours
}

// An audience is who looks, and so what is asked.
type audience int

const (
	migrator  audience = iota // the privileged role; asks what the service's role holds
	service                   // the service's role, which asks whether the schema is fit
	auditor                   // any role; asks what the service's role holds
	historian                 // any role; asks for the ledger's rows
)

// look gathers what is seen in one flight and takes no lock beyond reading. Where the
// ledger does not tell what the schema is, it looks again, and then at everything: what
// only such a schema needs would cost each start on a whole one a third of its look.
func (m *Migrator) look(ctx context.Context, conn *pgconn.PgConn, who audience) (seen, error) {
	s, err := m.see(ctx, conn, who, false)
	if told := s.Schema == nil || s.Ledger != nil && s.Ledger.Rows > 0; err != nil || told {
		return s, err
	}
	return m.see(ctx, conn, who, true)
}

func (m *Migrator) see(ctx context.Context, conn *pgconn.PgConn, who audience, everything bool) (seen, error) {
	var s seen
	role, rights := quoteText(m.Role.Name), m.Role.Name != "" && who != service && who != historian
	if who == auditor && m.Role.Name == "" {
		role, rights = "current_user", true // the service asks about itself
	}
	questions := []string{m.askFacts(role, who, everything), ledgerHead(m.Schema, m.Bundle.Version())}
	switch {
	case rights && who == migrator:
		questions = append(questions, m.askRights(role))
	case rights:
		questions = append(questions, m.askHeld(role))
	case who == historian:
		questions = append(questions, ledgerRows(m.Schema))
	}
	for i := range questions {
		questions[i] = untimed + questions[i]
	}
	answers, err := flight(ctx, conn, questions...)
	if err != nil {
		return s, err
	}
	if err := answers[0].into(&s); err != nil {
		return s, err
	}
	s.Ledger, err = readLedger(answers[1])
	switch {
	case sqlState(err) == "42501" && s.Schema != nil:
		return s, m.mayNotRead(s, who)
	case err != nil:
		return s, err
	}
	switch {
	case rights && who == migrator:
		s.Held, err = m.readRights(ctx, conn, answers[2], role)
	case rights:
		s.Held = new(heldSeen)
		err = answers[2].into(s.Held)
	case who == historian && s.Ledger != nil && !s.Ledger.Foreign:
		err = answers[2].into(&s.History)
	}
	return s, err
}

// untimed goes before a question, in one message and so in one transaction with it: a
// timeout that a DBA set for the application's queries is not meant for ours.
const untimed = "SET LOCAL statement_timeout = 0; "

// readRights asks for the rest when the role holds something odd.
func (m *Migrator) readRights(ctx context.Context, conn *pgconn.PgConn, a answer, role string) (*heldSeen, error) {
	var rights rightsSeen
	if err := a.into(&rights); err != nil || !rights.Odd {
		return &heldSeen{Grants: rights.grants()}, err
	}
	answers, err := flight(ctx, conn, untimed+m.askHeld(role))
	if err != nil {
		return nil, err
	}
	held := new(heldSeen)
	return held, answers[0].into(held)
}

// mayNotRead is the error of a role that lacks the right to read the ledger: a
// migrator needs the schema to be its own, a service only to be granted it.
func (m *Migrator) mayNotRead(s seen, who audience) error {
	me, schema := quoteName(s.Me.Name), quoteName(m.Schema)
	err := &PrivilegeError{Lacks: fmt.Sprintf("the role %q may not read the ledger of applied migrations in the schema %q, which belongs to %q", s.Me.Name, m.Schema, s.Schema.Owner)}
	if who == migrator {
		err.SQL = takeOver(m.Schema, s.Me.Name)
		return err
	}
	err.SQL = []string{"GRANT USAGE ON SCHEMA " + schema + " TO " + me, "GRANT SELECT ON " + quoteName(m.Schema, ledgerName) + " TO " + me}
	return err
}

func readLedger(a answer) (*ledgerSeen, error) {
	var l ledgerSeen
	err := a.into(&l)
	switch sqlState(err) {
	case "": // no error of the server's
		l.Whole = cmp.Or(l.Whole, l.Fingerprint) // there is no more
		return &l, err
	case "42P01", "3F000": // undefined_table, invalid_schema_name
		return nil, nil
	case "42703", "42883", "42804", "42809": // another tool's table or view of that name: undefined column, function, type mismatch, wrong object type
		return &ledgerSeen{Foreign: true}, nil
	}
	return nil, err
}

// askFacts reads only catalogues, by oid and name: to_regclass or a cast would
// fail where the web role lacks USAGE on the schema. Most of its time goes into
// looking up what it names, in a server process that has just begun: comments are read
// from their tables, because obj_description is a query of its own.
func (m *Migrator) askFacts(role string, who audience, everything bool) string {
	powers, holds := "", ""
	if who != migrator {
		powers = askPowers
	}
	if everything {
		holds = askHolds
	}
	return strings.NewReplacer("$schema", quoteText(m.Schema), "$role", role, "$ledger", quoteText(ledgerName), "$owns", owns).Replace(`
	SELECT json_build_object(
		'server', json_build_object(
			'version', current_setting('server_version_num')::int,
			'standby', pg_is_in_recovery(),
			'synchronous_commit', current_setting('synchronous_commit')),
		'database', current_database(),
		'me', (SELECT json_build_object('name', rolname, 'superuser', rolsuper, 'creates_role', rolcreaterole,
				'creates_db', rolcreatedb, 'replicates', rolreplication, 'bypasses_rls', rolbypassrls,
				'may_create', has_database_privilege(current_database(), 'CREATE'),
				'may_grant_connect', has_database_privilege(current_database(), 'CONNECT WITH GRANT OPTION')` + powers + `)
			FROM pg_roles r WHERE rolname = current_user),
		'schema', (SELECT json_build_object('owner', pg_get_userbyid(n.nspowner),
				'mine', pg_has_role(n.nspowner, 'USAGE'), 'creates', has_schema_privilege(n.oid, 'CREATE'),
				'ledger', EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid AND relname = $ledger)` + holds + `)
			FROM pg_namespace n WHERE n.nspname = $schema),
		'role', (SELECT json_build_object('name', rolname, 'login', rolcanlogin, 'superuser', rolsuper, 'creates_db', rolcreatedb, 'creates_role', rolcreaterole,
				'replicates', rolreplication, 'bypasses_rls', rolbypassrls,
				'member_of', (SELECT coalesce(json_agg(json_build_object('role', pg_get_userbyid(roleid), 'grantor', pg_get_userbyid(grantor))), '[]') FROM pg_auth_members WHERE member = r.oid),
				'connects', has_database_privilege(r.oid, current_database(), 'CONNECT'),
				'comment', coalesce((SELECT description FROM pg_shdescription WHERE classoid = 'pg_authid'::regclass AND objoid = r.oid), ''))
			FROM pg_roles r WHERE rolname = $role))`)
}

// askPowers is what a service's own role must not have, beside its attributes.
const askPowers = `,
				'member', EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid),
				'owns', EXISTS (SELECT FROM pg_shdepend WHERE refclassid = 'pg_catalog.pg_authid'::regclass AND refobjid = r.oid AND $owns),
				'writes_ledger', coalesce((SELECT has_table_privilege(c.oid, 'DELETE, TRUNCATE') OR has_any_column_privilege(c.oid, 'INSERT, UPDATE') FROM pg_class c
					JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = $schema AND relname = $ledger AND relkind IN ('r', 'p')), false)`

// askHolds is what tells an empty schema from one that has lost its ledger.
const askHolds = `,
				'comment', coalesce((SELECT description FROM pg_description WHERE classoid = 'pg_namespace'::regclass AND objoid = n.oid AND objsubid = 0), ''),
				'objects', (SELECT count(*) FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind NOT IN ('i', 'I', 't') AND c.relname <> $ledger)
					+ (SELECT count(*) FROM pg_proc WHERE pronamespace = n.oid)
					+ (SELECT count(*) FROM pg_type WHERE typnamespace = n.oid AND typtype IN ('d', 'e', 'r'))`

// sqlState returns the server's error code, "" when the error is not the server's.
func sqlState(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}

// differences compares the ledger with the bundle, row by row. It is asked only
// when their fingerprints have shown that they disagree.
func (m *Migrator) differences(ctx context.Context, conn *pgconn.PgConn) ([]Difference, error) {
	answers, err := flight(ctx, conn, ledgerRows(m.Schema))
	if err != nil {
		return nil, err
	}
	var rows []LedgerRow
	if err := answers[0].into(&rows); err != nil {
		return nil, err
	}
	return compare(m.Bundle, rows), nil
}
