package store

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// What one user may keep. docs/decisions/0028 says why these.
const (
	AccountsAtMost = 1000 // in a vault, and as many more in its trash
	SessionsAtMost = 50   // of a user; the one that was used longest ago ends
)

// ErrFull means that a vault holds as many accounts as it may.
var ErrFull = errors.New("the vault is full")

// ErrTrashFull means the same of its trash.
var ErrTrashFull = errors.New("the trash of the vault is full")

// inTurn makes transactions that count the same thing wait for each other until they end: what one counted holds until
// its rows are committed. The web role may lock neither vaults nor rows that do not exist yet, hence a lock by name.
func inTurn(ctx context.Context, tx pgx.Tx, what string, of uuid.UUID) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "avtotpy "+what+" "+of.String())
	return err
}

// checkRoom fails with ErrFull when the vault holds more accounts than it may; it comes after one was added.
func checkRoom(ctx context.Context, tx pgx.Tx, vault uuid.UUID) error {
	const count = `SELECT count(*) FROM avtotpy.accounts WHERE vault_id = $1 AND deleted_at IS NULL`
	return atMost(ctx, tx, ErrFull, count, vault)
}

// checkTrash is checkRoom for the trash, after one was moved there.
func checkTrash(ctx context.Context, tx pgx.Tx, vault uuid.UUID) error {
	const count = `SELECT count(*) FROM avtotpy.accounts WHERE vault_id = $1 AND deleted_at IS NOT NULL`
	return atMost(ctx, tx, ErrTrashFull, count, vault)
}

func atMost(ctx context.Context, tx pgx.Tx, full error, count string, vault uuid.UUID) error {
	var n int
	if err := tx.QueryRow(ctx, count, vault).Scan(&n); err != nil {
		return err
	}
	if n > AccountsAtMost {
		return full
	}
	return nil
}

// makeRoom ends sessions of a user until there is room for one more.
func makeRoom(ctx context.Context, tx pgx.Tx, user uuid.UUID) error {
	if err := inTurn(ctx, tx, "sessions of", user); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		DELETE FROM avtotpy.sessions
		WHERE id IN (
			SELECT id FROM avtotpy.sessions WHERE user_id = $1 ORDER BY last_seen_at DESC, id DESC OFFSET $2
		)`, user, SessionsAtMost-1)
	return err
}
