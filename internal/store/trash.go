package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/access"
)

// TrashDays is how long a deleted account can be restored. The function empty_trash deletes it then.
const TrashDays = 30

const (
	selectTrash    = accountRows + `a.deleted_at IS NOT NULL`
	selectInTrash  = selectTrash + ` AND a.id = $2`
	selectAnywhere = accountRows + `a.id = $2`
)

// Trash returns the deleted accounts that a user sees, in no order.
func (a Actor) Trash(ctx context.Context) ([]Account, error) {
	return a.accounts(ctx, selectTrash, a.user.ID)
}

// Deleted returns one account of the trash.
func (a Actor) Deleted(ctx context.Context, id uuid.UUID) (Account, error) {
	return first(a.accounts(ctx, selectInTrash, a.user.ID, id))
}

func first(accounts []Account, err error) (Account, error) {
	switch {
	case err != nil:
		return Account{}, err
	case len(accounts) == 0:
		return Account{}, ErrNotFound
	}
	return accounts[0], nil
}

// DeleteAccount moves an account to the trash, for all who see it. Also a damaged one: nothing is sealed again.
func (a Actor) DeleteAccount(ctx context.Context, id uuid.UUID) error {
	return a.move(ctx, id, selectAccount, "account.delete", `
		UPDATE avtotpy.accounts SET deleted_at = now() WHERE id = $1 AND deleted_at IS NULL`, checkTrash)
}

// RestoreAccount takes an account out of the trash.
func (a Actor) RestoreAccount(ctx context.Context, id uuid.UUID) error {
	return a.move(ctx, id, selectInTrash, "account.restore", `
		UPDATE avtotpy.accounts SET deleted_at = NULL WHERE id = $1 AND deleted_at IS NOT NULL`, checkRoom)
}

// PurgeAccount deletes an account that is in the trash for good.
func (a Actor) PurgeAccount(ctx context.Context, id uuid.UUID) error {
	return a.move(ctx, id, selectInTrash, "account.purge", `
		DELETE FROM avtotpy.accounts WHERE id = $1 AND deleted_at IS NOT NULL`, nil)
}

// move changes where an account is that a question finds, if there is room. It is ErrNotFound when another transaction
// was faster.
func (a Actor) move(
	ctx context.Context, id uuid.UUID, find, action, change string, room func(context.Context, pgx.Tx, uuid.UUID) error,
) error {
	return a.inTx(ctx, func(tx pgx.Tx) error {
		account, err := a.find(ctx, tx, find, id)
		if err != nil {
			return err
		}
		if !account.Role.May(access.DeleteAccounts) {
			return ErrForbidden
		}
		if err := inTurn(ctx, tx, "accounts of", account.VaultID); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, change, id)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return ErrNotFound
		}
		if room != nil {
			if err := room(ctx, tx, account.VaultID); err != nil {
				return err
			}
		}
		return a.record(ctx, tx, action, id, account.VaultID)
	})
}
