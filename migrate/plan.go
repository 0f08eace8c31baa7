package migrate

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// A Plan is what Up would do with a database, as far as it can be known before.
type Plan struct {
	Status       Status   // its Pending files would be applied
	CreateSchema bool     // whether there is no schema yet
	CreateRole   bool     // whether the service's role would be created
	Grant        []string // rights that the service's role lacks
	Revoke       []string // rights that it has beyond the declared ones, and that Up may take away
	Refusal      error    // why Up would stop without migrating anything; nil when it would not
}

// Nothing reports whether Up would change nothing.
func (p Plan) Nothing() bool {
	return p.Refusal == nil && len(p.Status.Pending) == 0 && !p.CreateRole && len(p.Grant) == 0 && len(p.Revoke) == 0
}

// Plan inspects the database as Up does and returns what Up would do, without doing it. It reads only.
// Over another connection than the one that Up will use, the Refusal may be due to
// that role's rights. Without a Role.Name nothing is said about rights. Whether the
// password would be set again is not looked at.
func (m *Migrator) Plan(ctx context.Context, connection *pgx.Conn) (p Plan, err error) {
	conn := connection.PgConn()
	who := migrator
	if m.Role.Name == "" {
		who = service
	}
	s, err := m.glance(ctx, conn, who)
	if err != nil {
		return p, err
	}
	status, err := m.statusOf(ctx, conn, s)
	if err != nil {
		return Plan{Status: status}, err
	}
	// what takes row level security off the ledger cannot be foreseen to the end
	if p = m.planOf(s, m.next(s, status, memory{opened: true})); p.Refusal == nil {
		if p.Status, err = m.askDamage(ctx, conn, p.Status); p.Status.State == LedgerLost {
			p.Refusal = p.Status.Err()
		}
	}
	return p, err
}

// planOf is a step, and those which follow it without another look, for people.
func (m *Migrator) planOf(s seen, next step) Plan {
	p := Plan{
		Status: next.status, Refusal: next.refusal, CreateRole: next.createRole,
		CreateSchema: next.action == migrate && s.Schema == nil,
	}
	p.Grant, p.Revoke = m.describeChanges(s, next)
	slices.Sort(p.Grant)
	return p
}

// An action is what a step does.
type action int

const (
	refuse      action = iota // there is nothing that a start may do
	openLedger                // take row level security off the ledger, so that its rows are seen
	migrate                   // create what is missing, and apply the files that are pending
	grantRights               // make the role's privileges equal to the declared ones
	finish                    // see to the role's password; nothing else is left
)

// A step is what a start does next.
type step struct {
	action
	status  Status
	refusal error // why it stops: before the step, or with grantRights after it

	createRole bool
	missing    []privilege.Grant // the differences of the role's privileges that the step removes
	excess     []privilege.Held

	unchanged string // with finish: why the differences stay
}

// next decides what a start does with what it has found: Up does it, and Plan prints it. It is a pure function.
func (m *Migrator) next(s seen, status Status, did memory) step {
	next := step{status: status}
	switch {
	case !did.opened && m.hidden(s):
		next.action = openLedger
	case status.State == Blank || status.State == Behind:
		m.nextFiles(&next, s)
	case status.State == Current:
		m.nextRights(&next, s, did.granted)
	case status.State == AheadCompatible:
		if next.refusal = m.fitAhead(s); next.refusal == nil {
			next.action = finish
		}
	default:
		next.refusal = status.Err()
	}
	return next
}

// nextFiles is the step of files that are pending.
func (m *Migrator) nextFiles(next *step, s seen) {
	if next.refusal = m.mayMigrate(s); next.refusal != nil {
		return
	}
	next.action = migrate
	if m.Role.Name != "" {
		next.createRole = s.Role == nil
		next.missing, next.excess = m.fixable(s)
		next.missing = privilege.WithoutRowSecurity(next.missing)
	}
}

// nextRights is the step of a schema that is current: what lies outside of the schema and the database is not the
// migrator's to change, and a refusal.
func (m *Migrator) nextRights(next *step, s seen, granted bool) {
	next.action = finish
	if m.Role.Name == "" {
		return
	}
	if next.refusal = m.mayHaveRole(s); next.refusal != nil {
		next.action = refuse
		return
	}
	missing, excess := m.fixable(s)
	nothing := s.Role != nil && len(missing) == 0 && len(excess) == 0
	switch {
	case !nothing && s.Server.ReadOnly != "":
		next.unchanged = "default_transaction_read_only is on (" + s.Server.ReadOnly + ")"
	case !nothing && s.Server.Standby:
		next.unchanged = "the server is a standby"
	case nothing || granted && s.Role != nil:
		audit, err := m.Role.Audit(m.roleFacts(s))
		if next.refusal = m.unmended(s, cmp.Or(err, audit.Err())); next.refusal != nil {
			next.action = refuse
		}
	default:
		next.action, next.createRole, next.refusal = grantRights, s.Role == nil, m.holdsOutside(s)
		next.missing, next.excess = missing, excess
	}
}

// describeChanges are the differences that a step removes, for people.
func (m *Migrator) describeChanges(s seen, next step) (granted, revoked []string) {
	for _, g := range next.missing {
		granted = append(granted, m.Role.Writer(m.roleFacts(s)).Describe(g, true))
	}
	for _, f := range m.Role.ExcessFindings(m.roleFacts(s), next.excess) {
		revoked = append(revoked, f.What)
	}
	return granted, revoked
}

// plan decides what the state is. It is a pure function.
func plan(b bundle.Bundle, s seen) Status {
	status := Status{State: Blank, Target: b.Version()}
	if blank(s.Schema) {
		status.Pending, status.renamed = b.After(0), s.Renamed
		return status
	}
	head := s.Ledger
	if status.Lost = whyLost(s); status.Lost != "" {
		status.State, status.Foreign = LedgerLost, head != nil && head.Foreign && !head.Damaged
		if head != nil {
			status.Version = head.Version
		}
		return status
	}
	status.Version, status.MinVersion, status.Claimed = head.Version, head.MinVersion, head.Claimed
	switch {
	case head.Rows != head.Version, head.Unfinished != 0, head.Fingerprint != b.Fingerprint(head.Version),
		head.Claimed != 0 && head.Claimed != head.Version+1:
		status.State = Diverged
	case head.Version < b.Version():
		status.State, status.Pending = Behind, b.After(head.Version)
	case head.Version == b.Version():
		status.State = Current
	case head.MinVersion <= b.Version():
		status.State = AheadCompatible
	default:
		status.State = AheadIncompatible
	}
	return status
}

// blank reports whether there is nothing: no schema, or an empty one, as managed
// databases hand out. A stamp on an empty schema means that there was something.
func blank(s *schemaSeen) bool {
	if s == nil {
		return true
	}
	stamp, _ := ledger.ParseStamp(s.Comment)
	return s.Objects == 0 && !s.Ledger && stamp.Version == 0
}

// whyLost says why the ledger cannot be relied on; "" when it can.
func whyLost(s seen) string {
	switch {
	case s.Ledger != nil && s.Ledger.Damaged:
		return "the table of applied migrations is not as it was made: a column is missing, or has another type"
	case s.Ledger != nil && s.Ledger.Foreign:
		return "the table of applied migrations belongs to another tool"
	case s.Ledger == nil && s.Schema.Objects > 0, s.Ledger != nil && s.Ledger.Rows == 0 && s.Schema.Objects > 0:
		return "the schema holds objects, but the table of applied migrations is missing or empty"
	}
	if s.Ledger == nil {
		return ledger.StampMismatch(s.Schema.Comment, nil)
	}
	return ledger.StampMismatch(s.Ledger.Comment, s.Ledger)
}

// compare names each row of the ledger that contradicts the bundle.
func compare(b bundle.Bundle, rows []ledger.Row) []Difference {
	var found []Difference
	differs := func(version int, format string, args ...any) {
		found = append(found, Difference{version, fmt.Sprintf(format, args...)})
	}
	next := 1
	for _, row := range rows {
		for ; next < row.Version; next++ {
			differs(next, "is missing from the ledger, which goes on to %04d", rows[len(rows)-1].Version)
		}
		next = row.Version + 1
		if row.Seconds == nil && !row.Claimed {
			differs(row.Version, "was begun and never finished: the file %s ended its own transaction", row.Name)
		}
		if row.Version < 1 {
			differs(row.Version, "is no version of this program")
		}
		if row.Version < 1 || row.Version > b.Version() {
			continue // applied by a newer program; it knows
		}
		switch m := b.Migration(row.Version); {
		case row.Name != m.Name:
			differs(row.Version, "the ledger calls it %q, the program %q", row.Name, m.Name)
		case row.Checksum != hex.EncodeToString(m.Checksum[:]):
			differs(row.Version, "%s was changed after it was applied: sha256 %s… then, %x… now", m.File,
				row.Checksum[:min(12, len(row.Checksum))], m.Checksum[:6])
		case row.MinVersion != m.MinVersion:
			differs(row.Version, "the ledger says that bundles from %04d on can work with it, the program says %04d",
				row.MinVersion, m.MinVersion)
		}
	}
	return found
}

// mayMigrate refuses, before anything is changed, what could only fail half-way.
func (m *Migrator) mayMigrate(s seen) error {
	switch {
	case s.Renamed != nil:
		return s.Renamed
	case s.Server.Standby:
		return &StandbyError{}
	case s.Server.ReadOnly != "":
		return &ReadOnlyError{Database: s.Database, Role: s.Me.Name, Source: s.Server.ReadOnly}
	case s.Schema == nil && !s.Me.MayCreate:
		return &pg.PrivilegeError{
			Lacks: fmt.Sprintf("the role %q may not create a schema in the database %q", s.Me.Name, s.Database),
			SQL: []string{"GRANT CREATE ON DATABASE " + sqltext.QuoteName(s.Database) + " TO " +
				sqltext.QuoteName(s.Me.Name)},
		}
	case s.Schema != nil && (!s.Schema.Mine || !s.Schema.Creates): // only an owner may write the stamp
		return &pg.PrivilegeError{
			Lacks: fmt.Sprintf("the role %q does not own the schema %q, which belongs to %q", s.Me.Name, m.Schema,
				s.Schema.Owner),
			SQL: takeOver(m.Schema, s.Me.Name),
		}
	}
	if err := m.mayHaveRole(s); err != nil {
		return err
	}
	return m.holdsOutside(s)
}
