package migrate

import (
	"context"
	_ "embed" // for what the ledger has to be
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// A comparison is how the database differs from what the program makes.
type comparison struct {
	compared bool                  // the schema, with the snapshot of its version
	drift    []snapshot.Difference // of the schema, and of the ledger's comment
	script   []string              // the SQL of all of it, in an order in which it runs
	damage   []snapshot.Difference // of the ledger's table
	unread   error                 // why the schema could not be compared: a table is locked, for instance
}

// compareLive compares the ledger's table with the one that ledger.Create makes, and the
// schema with the snapshot of the version that it is at, in one flight. It cannot compare
// the schema where the rows do not tell its version, and neither of them when a newer
// program knows better. A *retryError means that the ledger is not as it was when s was read:
// another migrator is at work, and the schema may already be at its version.
func (m *Migrator) compareLive(ctx context.Context, conn *pgconn.PgConn, s seen, status Status) (c comparison,
	err error,
) {
	known := status.State == Current || status.State == Behind
	if !known && (status.State != LedgerLost && status.State != Diverged || s.Ledger == nil || status.Foreign) {
		return c, nil
	}
	wanted, ok := m.Bundle.Snapshot(status.Version)
	questions := []question{snapshot.Ledger}
	if c.compared = known && ok; c.compared {
		questions = append(questions, snapshot.Question)
	}
	told, strays, err := m.describeAt(ctx, conn, s, questions...)
	if err == nil {
		err = told[0].err
	}
	if err != nil {
		return comparison{}, err
	}
	t := ledger.DiffTable(told[0].text)
	c.damage, c.drift = t.Fatal, t.Comment
	if !c.compared {
		return c, nil
	}
	c.unread = told[1].err
	if c.compared = c.unread == nil; c.compared {
		c.drift = append(c.drift, versionProof{m.Bundle}.beyondClaim(status.Claimed, wanted, told[1].text)...)
		c.drift = append(c.drift, m.strays(strays, status.Version)...)
		c.script = snapshot.Propose(c.drift, wanted, told[1].text, m.Schema)
	}
	return c, nil
}

// damage asks how the ledger's table differs from the one that ledger.Create makes.
func (m *Migrator) damage(ctx context.Context, conn *pgconn.PgConn) ([]snapshot.Difference, error) {
	text, err := m.tell(ctx, conn, snapshot.Ledger)
	return ledger.DiffTable(text).Fatal, err
}

// damaged is the status of a ledger whose table is not right, whatever its rows are.
func (s Status) damaged(damage []snapshot.Difference) Status {
	if len(damage) == 0 {
		return s
	}
	if s.State != LedgerLost {
		s.Lost = "the table of applied migrations is not as it was made"
	}
	s.State, s.Pending, s.Damage = LedgerLost, nil, damage
	return s
}

// askDamage is the status of a database with pending files, with the damage of the
// ledger's table. It is asked where nothing else is compared.
func (m *Migrator) askDamage(ctx context.Context, conn *pgconn.PgConn, status Status) (Status, error) {
	if status.State != Behind {
		return status, nil
	}
	damage, err := m.damage(ctx, conn)
	if err != nil {
		return status, fmt.Errorf("look at the ledger's table: %w", err)
	}
	return status.damaged(damage), nil
}
