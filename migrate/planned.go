package migrate

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
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
	missing    []grant // the differences of the role's privileges that the step removes
	excess     []heldGrant

	unchanged string // with finish: why the differences stay
}

// A memory is what a start has done already, of what another look does not show.
type memory struct {
	opened  bool // row level security was taken off the ledger once
	granted bool // the role's privileges were made equal once; a difference that is left cannot be removed by a migrator
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
		next.missing, next.excess = m.mendable(s)
		next.missing = rightsIn(next.missing)
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
	missing, excess := m.mendable(s)
	nothing := s.Role != nil && len(missing) == 0 && len(excess) == 0
	switch {
	case !nothing && s.Server.ReadOnly != "":
		next.unchanged = "default_transaction_read_only is on (" + s.Server.ReadOnly + ")"
	case !nothing && s.Server.Standby:
		next.unchanged = "the server is a standby"
	case nothing || granted && s.Role != nil:
		audit, err := m.audit(s)
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
		granted = append(granted, m.rightsSQL(s).describe(g, true))
	}
	for _, f := range m.excessive(s, next.excess) {
		revoked = append(revoked, f.What)
	}
	return granted, revoked
}
