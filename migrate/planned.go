package migrate

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
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

// Plan looks as Up does and tells what Up would do, without doing it. It reads only.
// Over another connection than the one that Up will use, the Refusal may be due to
// that role's rights. Without a Role.Name nothing is said about rights. Whether the
// password would be set anew is not looked at.
func (m *Migrator) Plan(ctx context.Context, connString string) (p Plan, err error) {
	err = m.connected(ctx, connString, func(ctx context.Context, r *run, conn *pgconn.PgConn) error {
		p, err = r.plan(ctx, conn)
		return err
	})
	return p, err
}

func (r *run) plan(ctx context.Context, conn *pgconn.PgConn) (p Plan, err error) {
	who := migrator
	if r.Role.Name == "" {
		who = service
	}
	s, err := r.glance(ctx, conn, who)
	if err != nil {
		return p, err
	}
	if p.Status, err = r.statusOf(ctx, conn, s); err != nil {
		return p, err
	}
	if r.foresee(&p, s); p.Refusal == nil {
		if p.Status, err = r.askDamage(ctx, conn, p.Status); p.Status.State == LedgerLost {
			p.Refusal = p.Status.Err()
		}
	}
	return p, err
}

// foresee follows the steps of a run.
func (r *run) foresee(p *Plan, s seen) {
	switch p.Status.State {
	case Blank, Behind:
		p.Refusal = r.mayMigrate(s)
		p.CreateSchema = s.Schema == nil
	case Current:
		if p.Refusal = r.mayHaveRole(s); p.Refusal == nil {
			r.foreseeRights(p, s)
			p.Refusal = r.holdsOutside(s)
		}
		return
	case AheadCompatible:
		p.Refusal = r.fitAhead(s)
		return
	default:
		p.Refusal = p.Status.Err()
	}
	if p.Refusal == nil {
		r.foreseeRights(p, s)
	}
}

func (r *run) foreseeRights(p *Plan, s seen) {
	if r.Role.Name == "" || s.Server.Standby {
		return
	}
	missing, excess := r.mendable(s)
	if p.Status.State != Current {
		missing = rightsIn(missing)
	}
	p.CreateRole = s.Role == nil
	for _, g := range missing {
		p.Grant = append(p.Grant, r.rightsSQL(s).describe(g, true))
	}
	for _, f := range r.excessive(s, excess) {
		p.Revoke = append(p.Revoke, f.What)
	}
	slices.Sort(p.Grant)
}
