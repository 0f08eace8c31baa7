package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// A stage is where files are rehearsed: a scratch database, or the real one from inside a
// transaction.
type stage struct {
	*run
	conn   *pgconn.PgConn
	seen   seen // of the real database, before
	inside bool // all in one transaction, which is rolled back
}

// play applies the pending files one at a time, and proves the rights that come with them.
func (st *stage) play(ctx context.Context, report *Rehearsal) error {
	for i := range report.Status.Pending {
		file, err := st.rehearse(ctx, &report.Status.Pending[i])
		if err != nil {
			return st.explain(err, report)
		}
		report.Files = append(report.Files, file)
	}
	for {
		err := st.prove(ctx, report)
		again, ok := errors.AsType[*retryError](err)
		if !ok || st.inside {
			return err
		}
		st.rollBack(ctx) // another rehearsal is making the same role
		if err := st.retry(ctx, again); err != nil {
			return err
		}
	}
}

// rehearse applies one file between two looks at the catalogue.
func (st *stage) rehearse(ctx context.Context, m *bundle.Migration) (file Rehearsed, err error) {
	file = Rehearsed{Version: m.Version, Name: m.Name, File: m.File, Alone: m.NoTransaction}
	if m.NoTransaction && st.inside {
		file.Left = "it runs without a transaction, so it could not be rolled back"
		return file, st.send(ctx, st.wrap("the row of "+m.File, st.seen,
			[]string{ledger.Insert(st.Schema, m, st.Version) + " ON CONFLICT DO NOTHING"}))
	}
	before, err := st.sight(ctx, st.conn)
	if err != nil {
		return file, err
	}
	began, locks := time.Now(), []lockSeen(nil)
	if m.NoTransaction {
		began, locks, err = st.alone(ctx, m)
	} else {
		err = st.send(ctx, st.file(m, st.seen.Server, "off"))
	}
	if err != nil {
		return file, err
	}
	file.Elapsed = time.Since(began)
	after, err := st.sight(ctx, st.conn)
	if err != nil {
		return file, err
	}
	after.Locks = append(after.Locks, locks...)
	file.Footprint = footprint(before, after)
	if m.NoTransaction { // it has counted itself
		return file, nil
	}
	st.count(Applied{Version: m.Version, Name: m.Name, Duration: file.Elapsed})
	if st.inside {
		return file, nil
	}
	return file, st.soon(ctx, st.conn, "COMMIT")
}

// alone applies a file without a transaction for real, and tells its locks and when
// nothing was in its way any more. Without a second connection it does without the locks.
func (st *stage) alone(ctx context.Context, m *bundle.Migration) (began time.Time, locks []lockSeen, err error) {
	s, err := st.look(ctx, st.conn, service)
	if err != nil {
		return began, nil, err
	}
	l, err := st.standInTheWay(ctx)
	if err != nil {
		st.Log.Warn("no second connection to see the locks of a file without a transaction", "file", m.File, "error",
			err)
		return time.Now(), nil, st.applyNoTx(ctx, st.conn, s, m)
	}
	began = time.Now()
	watching, over := context.WithCancel(ctx)
	applied := make(chan error, 1)
	go func() {
		applied <- st.applyNoTx(ctx, st.conn, s, m)
		over()
	}()
	if locks = l.see(watching, st.conn.PID()); len(locks) > 0 {
		began = time.Now()
	}
	l.letGo(ctx)
	return began, locks, <-applied
}

// send sends a transaction without its COMMIT and, inside another, without its BEGIN. The
// constraints that wait for the commit are checked all the same; those of the next file
// wait again. (A deferrable constraint that is not deferred at first then waits, too.)
func (st *stage) send(ctx context.Context, m message) error {
	if st.conn.TxStatus() != 'I' {
		m.before = strings.TrimPrefix(m.before, opening)
		m.lead--
		touched := ledgerTouched(sqltext.QuoteName(st.Schema, ledger.Name), m.migration != nil && m.migration.Unseen())
		m.after = strings.Replace(m.after, touched, " AND false", 1) // of the transaction that made the ledger
	}
	m.after = strings.TrimSuffix(m.after, "COMMIT") + "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED"
	m.open = true
	failed, out, err := st.exchange(ctx, st.conn, []message{m})
	if err == nil && failed >= 0 {
		err = st.failure(m, out)
		// to find out why takes a transaction of its own; this one has failed
		if out.Err.Code == pg.InsufficientPrivilege {
			st.rollBack(ctx)
			err = st.blame(ctx, st.conn, m, out.Raw, err)
		}
	}
	return err
}

// bootstrap creates schema and ledger. The service's role comes with the proof.
func (st *stage) bootstrap(ctx context.Context) error {
	role := st.Role
	st.Role = privilege.Role{}
	m := st.run.bootstrap(st.seen)
	st.Role = role
	return st.send(ctx, m)
}

// prove gives the service's role its declared rights, and audits it, in a transaction that
// is never committed: a role belongs to all databases of a server, and one that a
// rehearsal creates must not stay, whatever becomes of the rehearsal.
func (st *stage) prove(ctx context.Context, report *Rehearsal) error {
	if st.Role.Name == "" {
		return nil
	}
	s, err := st.look(ctx, st.conn, migrator)
	if err != nil {
		return err
	}
	if err := st.mayHaveRole(s); err != nil {
		report.Unproved = err.Error()
		return nil //nolint:nilerr // the report holds it, and why a start would refuse
	}
	missing, excess := st.fixable(s)
	if err := st.send(ctx, st.rights(s, s.Role == nil, missing, excess)); err != nil {
		return err
	}
	if s, err = st.look(ctx, st.conn, auditor); err != nil {
		return err
	}
	audit, err := st.Role.Audit(st.roleFacts(s))
	if err != nil {
		return err
	}
	// Verify tells them: what everybody may do in a scratch database says nothing of the real one.
	audit.Findings = slices.DeleteFunc(audit.Findings,
		func(f privilege.Finding) bool { return f.Severity == privilege.Warn })
	report.Audit = &audit
	return nil
}

// explain adds what is different in a rehearsal with data from a start.
func (st *stage) explain(err error, report *Rehearsal) error {
	failed, ok := errors.AsType[*MigrationError](err)
	leftOut := slices.ContainsFunc(report.Files, func(f Rehearsed) bool { return f.Left != "" })
	switch {
	case !ok || !st.inside:
		return err
	case failed.Err.Code == pg.UnsafeNewEnumValue:
		return fmt.Errorf("%w\nA start gives each file a transaction of its own, and does not fail like this. "+
			"Rehearse without the data, too", err)
	case leftOut:
		return fmt.Errorf("%w\nA file before it was left out, because it runs without a transaction; this may be "+
			"due to that. Rehearse without the data, too", err)
	}
	return err
}

// rollBack ends what is open. A connection that does not do so is closed, which does.
func (st *stage) rollBack(ctx context.Context) {
	if st.conn.IsClosed() || st.conn.TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := st.order(ctx, st.conn, "ROLLBACK"); err != nil {
		pg.Discard(ctx, st.conn)
	}
}
