package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// An Actor is the store as one user sees it. Each of its queries names the user to row level
// security, and each of its changes the user and where the request came from to the audit log.
type Actor struct {
	store *Store
	user  User
	from  Origin
}

// As returns the store as a user sees it, for a request that came from somewhere.
func (s *Store) As(user User, from Origin) Actor { return Actor{s, user, from} }

// User returns who acts.
func (a Actor) User() User { return a.user }

func (a Actor) inTx(ctx context.Context, do func(pgx.Tx) error) error {
	return a.store.inTx(ctx, a.user.ID, do)
}

func (a Actor) single(ctx context.Context, collect func(pgx.Rows) error, sql string, args ...any) error {
	return a.store.single(ctx, a.user.ID, collect, sql, args...)
}

// record appends to the audit log what the user does; the zero vault is that of what belongs to none.
func (a Actor) record(ctx context.Context, tx pgx.Tx, action string, subject, vault uuid.UUID) error {
	return record(ctx, tx, event{actor: &a.user, action: action, subject: subject, vault: vault, from: a.from})
}
