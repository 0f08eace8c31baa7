package store

import (
	"context"
	"math"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// An Incident is a security event, or several that are the same but for their time.
type Incident struct {
	Action  string
	Subject uuid.UUID // the user, or the row, that it is about; the zero UUID when that is not known
	From    Origin    // of the last one
	Count   int
}

// RecordIncidents appends to the audit log.
func (s *Store) RecordIncidents(ctx context.Context, incidents []Incident) error {
	return s.inTx(ctx, uuid.Nil, func(tx pgx.Tx) error {
		var batch pgx.Batch
		for _, one := range incidents {
			batch.Queue(`
				INSERT INTO avtotpy.audit_log (actor_name, action, subject_id, address, agent, count)
				VALUES ('', $1, $2, $3, $4, $5)`,
				one.Action, orNull(one.Subject), one.From.address(), one.From.agent(), min(one.Count, math.MaxInt32))
		}
		return tx.SendBatch(ctx, &batch).Close()
	})
}
