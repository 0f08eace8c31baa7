package migrate

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
)

// A BackupError means that Migrator.Backup failed. Nothing was changed.
type BackupError struct{ Err error }

func (e *BackupError) Error() string {
	return "the backup before the migration failed, so nothing was migrated: " + e.Err.Error()
}

func (e *BackupError) Unwrap() error { return e.Err }

// backUp has a backup made before this run touches a database that holds something.
// It returns with a transaction open in which the ledger is locked: the first file
// goes on in it, so that no other migrator comes between the backup and what it is
// for, and so that the others, who see the lock or a ledger that has moved on, make
// no second one. held is false when there was no backup to be made.
func (r *run) backUp(ctx context.Context, conn *pgconn.PgConn, s seen, status Status) (held bool, err error) {
	empty := status.Version == 0
	begun := status.Version != r.report.From || s.Ledger.Claimed != 0 // by another migrator: the backup was its turn
	if r.Backup == nil || r.backedUp || empty || begun {
		return false, nil
	}
	if err := r.lockLedger(ctx, conn, s, status.Version); err != nil {
		return false, err
	}
	r.phase(BackingUp)
	err = r.whileHeld(ctx, conn, func(ctx context.Context) error { return r.Backup(ctx, status) })
	switch _, broken := err.(*pg.ConnLostError); { //nolint:errorlint // only our own connection's, not what Backup may wrap
	case err == nil:
		r.backedUp = true
		return true, nil
	case broken:
		return false, err
	case ctx.Err() != nil:
		err = r.interrupted(ctx)
	default:
		err = &BackupError{err}
	}
	return false, r.settle(ctx, conn, err)
}

// lockLedger opens a transaction and locks the ledger against everybody who writes to
// it, which pg_dump does not. The server refuses at once when another migrator is at
// work. The transaction is READ COMMITTED, so it holds no snapshot while it is idle,
// however long the backup takes.
func (r *run) lockLedger(ctx context.Context, conn *pgconn.PgConn, s seen, version int) error {
	begin, lead := r.begin(s.Server, flushed(s))
	table := ledger.Table(r.Schema)
	limited, cancel := r.limited(ctx)
	defer cancel()
	locked, err := pg.Exec(limited, conn,
		fmt.Sprintf("%s LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE NOWAIT; SELECT coalesce(max(version), 0) FROM %[2]s",
			begin, table))
	if err != nil {
		return err
	}
	var head int
	err = locked.Decode(&head)
	switch {
	case err == nil && head == version:
		return nil
	case err == nil, pg.SQLState(err) == pg.LockNotAvailable:
		err = &retryError{err: errRaceLost, soon: true}
	case locked.Err != nil:
		err = r.failure(message{what: "lock the ledger for a backup", lead: lead},
			pg.Outcome{Err: locked.Err, Completed: lead})
	}
	return r.settle(ctx, conn, err)
}

// whileHeld runs do and shows that the connection is in use: a firewall or a
// pooler may drop one that is silent for minutes. When the connection is lost, so is
// the lock, and do is cancelled.
func (r *run) whileHeld(ctx context.Context, conn *pgconn.PgConn, do func(context.Context) error) error {
	const quiet = 20 * time.Second
	inside, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(inside) }()
	sign := time.NewTicker(quiet)
	defer sign.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-sign.C:
		}
		err := r.soon(context.WithoutCancel(ctx), conn, "SELECT 1")
		if err != nil {
			cancel()
			<-done //nolint:errcheck // it was cancelled, and the loss says why
			return &pg.ConnLostError{Err: err}
		}
	}
}
