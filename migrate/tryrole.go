package migrate

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// TryRole gives the service's role its declared privileges, and creates it where it does not exist, in a transaction
// that is rolled back, and audits what it holds there. A role belongs to all databases of a server: on a scratch
// database this is how it leaves no trace. The error is a *PrivilegeError where Up may not do the same.
func TryRole(ctx context.Context, m *Migrator, connString string) (audit privilege.Audit, err error) {
	trial := *m
	if trial.Role.Password == "" {
		trial.Role.Password = rand.Text() // of a role that is never committed
	}
	err = trial.withConnection(ctx, connString, true, func(ctx context.Context, r *run, conn *pgconn.PgConn) error {
		for {
			audit, err = r.tryRole(ctx, conn)
			r.rollBack(ctx, conn)
			again, ok := errors.AsType[*retryError](err)
			if !ok {
				return err
			}
			if err := r.retry(ctx, again); err != nil { // another one is making the same role
				return err
			}
		}
	})
	return audit, err
}

// tryRole leaves its transaction open.
func (r *run) tryRole(ctx context.Context, conn *pgconn.PgConn) (audit privilege.Audit, err error) {
	s, err := r.look(ctx, conn, migrator)
	if err != nil {
		return audit, err
	}
	r.me, r.pooled = s.Me.Name, pg.IsPooled(conn, s.Server.PID)
	if err := r.mayHaveRole(s); err != nil {
		return audit, err
	}
	missing, excess := r.fixable(s)
	m := r.rights(s, s.Role == nil, missing, excess)
	m.after, m.open = strings.TrimSuffix(m.after, "COMMIT"), true
	failed, out, err := r.exchange(ctx, conn, []message{m})
	if err == nil && failed >= 0 {
		err = r.failure(m, out)
		if out.Err.Code == pg.InsufficientPrivilege { // to find out why takes a transaction of its own
			r.rollBack(ctx, conn)
			err = r.blame(ctx, conn, m, out.Raw, err)
		}
	}
	if err != nil {
		return audit, err
	}
	if s, err = r.look(ctx, conn, auditor); err != nil {
		return audit, err
	}
	return r.Role.Audit(r.roleFacts(s))
}

// rollBack ends a transaction that is open. A connection that does not do so is closed, which does.
func (r *run) rollBack(ctx context.Context, conn *pgconn.PgConn) {
	if conn.IsClosed() || conn.TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := r.order(ctx, conn, "ROLLBACK"); err != nil {
		pg.Discard(ctx, conn)
	}
}
