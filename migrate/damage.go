package migrate

import (
	"context"
	_ "embed" // for what the ledger has to be
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// ledgerTable is the table that createLedger makes, as a snapshot tells it. The tests
// of this package write it with -update.
//
//go:embed ledger.txt
var ledgerTable string

// A table is how the ledger's table differs from the one that createLedger makes.
type table struct {
	damage []snapshot.Difference // without constraints it is no lock any more, with row security or a trigger no memory
	beside []snapshot.Difference // what a DBA may do to any table, and a column more that refuses no row
	label  []snapshot.Difference // the comment by which it is told from another tool's
}

// tableOf reads a snapshot of the ledger's table.
func tableOf(found string) (t table) {
	for _, d := range snapshot.Compare(ledgerTable, found) {
		switch {
		case strings.HasPrefix(d.Line, "comment '"):
			t.label = append(t.label, d)
		case harmless(d):
			t.beside = append(t.beside, d)
		default:
			t.damage = append(t.damage, d)
		}
	}
	return t
}

// harmless reports whether a difference of the ledger's table leaves it what it is.
func harmless(d snapshot.Difference) bool {
	column := strings.HasPrefix(d.Line, "column ") &&
		!strings.Contains(ledgerTable, "  "+snapshot.Subject(d.Line)+" ") &&
		!strings.Contains(d.Line, " not null")
	return d.Change == snapshot.LineExtra && (column ||
		slices.ContainsFunc([]string{
			"with (", "replica identity ", "index ", "referenced by ", "comment on ",
			"statistics ", "published by ",
		}, func(start string) bool {
			return strings.HasPrefix(d.Line, start)
		}))
}

// gone are the differences that go with the table when it is made anew: what is there of
// it, and not restored.
func (t table) gone() (gone []snapshot.Difference) {
	for _, d := range t.beside {
		if !strings.HasPrefix(d.Line, "referenced by ") { // that one stops it
			gone = append(gone, d)
		}
	}
	return gone
}

// A comparison is how the database differs from what the program makes.
type comparison struct {
	compared bool                  // the schema, with the snapshot of its version
	drift    []snapshot.Difference // of the schema, and of the ledger's comment
	damage   []snapshot.Difference // of the ledger's table
	unread   error                 // why the schema could not be compared: a table is locked, for instance
}

// compareLive compares the ledger's table with the one that createLedger makes, and the
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
	t := tableOf(told[0].text)
	c.damage, c.drift = t.damage, t.label
	if !c.compared {
		return c, nil
	}
	c.unread = told[1].err
	if c.compared = c.unread == nil; c.compared {
		c.drift = append(c.drift, m.withUndo(versionProof{m.Bundle}.beyondClaim(status.Claimed, wanted, told[1].text),
			status.Version)...)
		c.drift = append(c.drift, m.strays(strays, status.Version)...)
	}
	return c, nil
}

// damage asks how the ledger's table differs from the one that createLedger makes.
func (m *Migrator) damage(ctx context.Context, conn *pgconn.PgConn) ([]snapshot.Difference, error) {
	text, err := m.tell(ctx, conn, snapshot.Ledger)
	return tableOf(text).damage, err
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
