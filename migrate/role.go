package migrate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// bootstrap creates the schema, the ledger and the role in one transaction. Of
// two migrators that race, one fails on a unique index and looks again; IF NOT
// EXISTS would not help, it is not safe in a race.
func (r *run) bootstrap(s seen) message {
	var statements []string
	if s.Schema == nil {
		statements = append(statements, "CREATE SCHEMA "+sqltext.QuoteName(r.Schema))
	}
	statements = append(statements, ledger.Create(r.Schema), ledger.WithoutRowSecurity(r.Schema),
		ledger.WriteStamp(r.Schema, 0, r.Bundle.Fingerprint(0)))
	if r.Role.Name != "" && s.Role == nil {
		statements = append(statements, r.Role.Create(r.Program, s.Database)...)
	}
	return r.wrap("bootstrap", s, statements)
}

// rights makes the role's rights equal to the declared ones. It takes a lock on
// the ledger that only one migrator can have, because concurrent GRANTs on one
// table fail in ways that are hard to distinguish from real failures; NOWAIT, because waiting
// is always polling here.
func (r *run) rights(s seen, create bool, missing []privilege.Grant, excess []privilege.Held) message {
	statements := []string{"LOCK TABLE " + ledger.Table(r.Schema) + " IN SHARE ROW EXCLUSIVE MODE NOWAIT"}
	if create {
		statements = append(statements, r.Role.Create(r.Program, s.Database)...)
	}
	statements = append(statements, r.Role.SQL(r.roleFacts(s), privilege.Diff{Missing: missing, Excess: excess},
		s.Me.MayConnect)...)
	return r.wrap("rights", s, statements)
}

// wrap makes one transaction of our own statements.
func (r *run) wrap(what string, s seen, statements []string) message {
	begin, lead := r.begin(s.Server, flushed(s))
	m := message{
		what: what, before: begin + "\n", sql: strings.Join(statements, ";\n"), after: "\n;COMMIT",
		lead: lead, flushes: true,
	}
	if i := slices.IndexFunc(statements,
		func(sql string) bool { return strings.HasPrefix(sql, "CREATE ROLE ") }); i >= 0 {
		m.byHand, m.roleAt = r.Role.ManualSQL(r.roleFacts(s)), lead+i
	}
	return m
}

// mayHaveRole refuses a role that cannot be created, or that must not be the
// service's. An existing role is read and never altered: it may belong to another
// application.
func (m *Migrator) mayHaveRole(s seen) error {
	switch {
	case m.Role.Name == "":
		return nil
	case m.Role.Name == s.Me.Name:
		return &pg.PrivilegeError{Lacks: fmt.Sprintf("the unprivileged role %q is the role that the migrator itself "+
			"connects as; give the service a role of its own, by another name", m.Role.Name)}
	case s.Role != nil:
		return privilege.Error(fmt.Sprintf("the role %q already exists and is not fit to be the service's "+
			"role (choose "+
			"another name, or let a DBA mend it)", m.Role.Name), privilege.AttributeFindings(m.roleFacts(s)))
	case s.Me.Superuser || s.Me.CreatesRole:
		return nil
	}
	return &pg.PrivilegeError{
		Lacks: fmt.Sprintf("the role %q does not exist, and %q may not create roles", m.Role.Name, s.Me.Name),
		SQL:   []string{m.Role.ManualSQL(m.roleFacts(s))},
	}
}
