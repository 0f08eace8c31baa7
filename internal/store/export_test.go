package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/access"
)

// Seen returns a setting as each kind of transaction has it.
func (s *Store) Seen(ctx context.Context, name string) (map[string]string, error) {
	seen := map[string]string{}
	const ask = "SELECT pg_catalog.current_setting($1)"
	for kind, in := range map[string]func(func(pgx.Tx) error) error{
		"inTx":       func(do func(pgx.Tx) error) error { return s.inTx(ctx, uuid.Nil, do) },
		"inOrder":    func(do func(pgx.Tx) error) error { return s.inOrder(ctx, uuid.Nil, do) },
		"asOperator": func(do func(pgx.Tx) error) error { return s.asOperator(ctx, do) },
	} {
		err := in(func(tx pgx.Tx) error {
			var value string
			err := tx.QueryRow(ctx, ask, name).Scan(&value)
			seen[kind] = value
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	var value string
	err := s.single(ctx, uuid.Nil, scan(&value), ask, name)
	seen["single"] = value
	return seen, err
}

// Acting are the settings that row level security asks for.
func Acting() []string { return []string{actingUser, actingOperator} }

// Settings are those that a transaction begins with, and those of a connection.
func Settings() map[string]string {
	all := map[string]string{}
	for _, s := range append(pinned(), atStart()...) {
		all[s.name] = s.value
	}
	return all
}

// MemberMAC is what makes a row of vault_members count.
func (s *Store) MemberMAC(ctx context.Context, vault, user uuid.UUID, role access.Role, since time.Time) ([]byte,
	error,
) {
	p, err := s.proof(ctx)
	m := member{vault, user, role, since}
	return p.MAC(useMember, m.values()), err
}
