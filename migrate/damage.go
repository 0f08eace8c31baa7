package migrate

import (
	"context"
	_ "embed" // for what the ledger has to be
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/catalogue"
)

// ledgerTable is the table that createLedger makes, as a snapshot tells it. The tests
// of this package write it with -update.
//
//go:embed ledger.txt
var ledgerTable string

// damageOf tells how the ledger's table, of which a snapshot tells, differs from the one
// that createLedger makes. Without its constraints it is no lock any more, and with row
// security or a trigger no memory. What a DBA may do to any table, for replication or for
// speed, is no damage, nor is a column more that refuses no row.
func damageOf(snapshot string) []Drift {
	return slices.DeleteFunc(CompareSnapshots(ledgerTable, snapshot), func(d Drift) bool {
		column := d.Change == Has && strings.HasPrefix(d.Line, "column ") && !strings.Contains(ledgerTable, "  "+subject(d.Line)+" ")
		return column && !strings.Contains(d.Line, " not null") || slices.ContainsFunc([]string{"with (", "replica identity ", "index ", "referenced by "}, func(start string) bool {
			return strings.HasPrefix(d.Line, start)
		})
	})
}

// A comparison is how the database differs from what the program makes.
type comparison struct {
	compared bool    // the schema, with the snapshot of its version
	drift    []Drift // of the schema
	damage   []Drift // of the ledger's table
}

// compareLive compares the schema with the snapshot of the version that it is at, and
// the ledger's table with its own, in one flight. It cannot compare the schema while a file
// without a transaction is half applied, and neither of them when a newer program knows
// better.
func (m *Migrator) compareLive(ctx context.Context, conn *pgconn.PgConn, s seen, status Status) (c comparison, err error) {
	if status.State != Current && status.State != Behind {
		return c, nil
	}
	snapshot, ok := m.Bundle.Snapshot(status.Version)
	if c.compared = ok && s.Ledger.Claimed == 0; !c.compared {
		c.damage, err = m.damage(ctx, conn)
		return c, err
	}
	live, damage, err := m.snapshots(ctx, conn)
	return comparison{err == nil, CompareSnapshots(snapshot, live), damage}, err
}

// damage asks how the ledger's table differs from the one that createLedger makes.
func (m *Migrator) damage(ctx context.Context, conn *pgconn.PgConn) ([]Drift, error) {
	texts, err := m.describe(ctx, conn, catalogue.Ledger)
	if err != nil {
		return nil, err
	}
	return damageOf(texts[0]), nil
}

// damaged is the status of a ledger whose rows are right and whose table is not.
func (s Status) damaged(damage []Drift) Status {
	if len(damage) > 0 {
		s.State, s.Pending, s.Lost, s.Damage = LedgerLost, nil, "the table of applied migrations is not as it was made", damage
	}
	return s
}

// refuseDamage is the error of a database with pending files whose ledger's table is
// damaged. It is asked where nothing else is compared.
func (r *run) refuseDamage(ctx context.Context, conn *pgconn.PgConn, status Status) error {
	if status.State != Behind {
		return nil
	}
	damage, err := r.damage(ctx, conn)
	if err != nil {
		return fmt.Errorf("look at the ledger's table: %w", err)
	}
	if len(damage) == 0 {
		return nil
	}
	return status.damaged(damage).Err()
}
