package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/otp"
)

// A KeyChange is how the codes of an account are made from now on.
type KeyChange struct {
	Key     otp.Key // its names and counter are not read; without a secret, that stays
	Counter *uint64 // of the next code; nil leaves it where it is, which may be further than who asks has seen
}

// ChangeKey changes how codes are made. Who may do that has to be asked for their password before.
func (a Actor) ChangeKey(ctx context.Context, id uuid.UUID, c KeyChange) (Account, error) {
	return a.change(ctx, id, "account.change-key", func(account *Account) {
		account.Kind, account.Algorithm, account.Digits, account.Period = c.Key.Kind, c.Key.Algorithm, c.Key.Digits,
			c.Key.Period
		if len(c.Key.Secret) > 0 {
			account.Secret = c.Key.Secret
		}
	}, func(tx pgx.Tx, account Account) error {
		if account.Kind != otp.HOTP {
			return nil
		}
		return setCounter(ctx, tx, id, c.Counter)
	})
}

func setCounter(ctx context.Context, tx pgx.Tx, id uuid.UUID, counter *uint64) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO avtotpy.hotp_counters AS h (account_id, counter)
		VALUES ($1, coalesce($2::bigint, 0))
		ON CONFLICT (account_id) DO UPDATE SET counter = coalesce($2::bigint, h.counter)`, id, counter)
	return err
}
