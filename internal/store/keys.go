package store

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/keyring"
)

// A WrongKeyError means that a master key is not the one that sealed the data
// under its id.
type WrongKeyError struct{ ID string }

func (e *WrongKeyError) Error() string {
	return fmt.Sprintf("the master key %q is another one than the key with which this database was sealed; use the "+
		"one from your copy. If this is a new key, give it another id, before the colon, and keep the old key in a "+
		"line after it", e.ID)
}

// CheckMasterKeys makes sure that everything sealed can be opened: its error is a
// *WrongKeyError or a *keyring.MissingKeyError otherwise, for each id that is
// affected. A key that is seen for the first time leaves its check value.
func (s *Store) CheckMasterKeys(ctx context.Context) error {
	var problems []error
	known := map[string]bool{}
	err := s.asOperator(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			SELECT m.id, m.check_value, EXISTS (SELECT FROM avtotpy.vault_keys k WHERE k.master_key_id = m.id)
				OR EXISTS (SELECT FROM avtotpy.authentication_key a WHERE a.master_key_id = m.id)
			FROM avtotpy.master_keys m
			ORDER BY m.id`) // ForEachRow returns the error
		var id string
		var check []byte
		var used bool
		_, err := pgx.ForEachRow(rows, []any{&id, &check, &used}, func() error {
			known[id] = true
			switch have := s.ring.CheckValue(id); {
			case have == nil && used:
				problems = append(problems, &keyring.MissingKeyError{ID: id})
			case have != nil && !hmac.Equal(have, check):
				problems = append(problems, &WrongKeyError{ID: id})
			}
			return nil
		})
		return err
	})
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return &KeyError{errors.Join(problems...)}
	}
	for _, id := range s.ring.IDs() {
		if known[id] {
			continue
		}
		if err := s.addMasterKey(ctx, id); err != nil {
			return err
		}
	}
	return s.makeProof(ctx)
}

// addMasterKey may meet a replica that does the same, perhaps with another key.
func (s *Store) addMasterKey(ctx context.Context, id string) error {
	check := s.ring.CheckValue(id)
	const insert = `INSERT INTO avtotpy.master_keys (id, check_value) VALUES ($1, $2) ON CONFLICT DO NOTHING`
	err := s.single(ctx, uuid.Nil, nil, insert, id, check)
	if err != nil {
		return err
	}
	var stored []byte
	const read = `SELECT check_value FROM avtotpy.master_keys WHERE id = $1`
	if err := s.single(ctx, uuid.Nil, scan(&stored), read, id); err != nil {
		return err
	}
	if !hmac.Equal(stored, check) {
		return &KeyError{&WrongKeyError{ID: id}}
	}
	return nil
}

// A KeyError means that the master keys do not fit the database.
type KeyError struct{ err error }

func (e *KeyError) Error() string { return e.err.Error() }

// Unwrap returns all that is wrong.
func (e *KeyError) Unwrap() error { return e.err }

// RotateKeys seals the authentication key and the key of every vault with the active master key, and
// returns how many of vaults were sealed with another one. No account is touched. What was done
// before an error stays done.
func (s *Store) RotateKeys(ctx context.Context) (resealed int, err error) {
	if err := s.resealProof(ctx); err != nil {
		return 0, err
	}
	var keys []vaultGeneration
	err = s.asOperator(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			SELECT vault_id, generation FROM avtotpy.vault_keys
			WHERE master_key_id <> $1
			ORDER BY vault_id, generation`, s.ring.Active()) // CollectRows returns the error
		keys, err = pgx.CollectRows(rows, scanGeneration)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, key := range keys {
		if err := s.reseal(ctx, key); err != nil {
			return resealed, fmt.Errorf("vault %s: %w", key.vault, err)
		}
		resealed++
	}
	return resealed, nil
}

func (s *Store) resealProof(ctx context.Context) error {
	return s.asOperator(ctx, func(tx pgx.Tx) error {
		var sealed keyring.SealedKey
		const read = `SELECT master_key_id, sealed_key FROM avtotpy.authentication_key FOR UPDATE`
		err := tx.QueryRow(ctx, read).Scan(&sealed.MasterKey, &sealed.Bytes)
		if err != nil || sealed.MasterKey == s.ring.Active() {
			return err
		}
		if sealed, err = s.ring.ResealAuthenticationKey(sealed); err != nil {
			return fmt.Errorf("the authentication key: %w", err)
		}
		_, err = tx.Exec(ctx, `
			UPDATE avtotpy.authentication_key SET master_key_id = $1, sealed_key = $2, sealed_at = now()`,
			sealed.MasterKey, sealed.Bytes)
		return err
	})
}

func (s *Store) reseal(ctx context.Context, key vaultGeneration) error {
	return s.asOperator(ctx, func(tx pgx.Tx) error {
		var sealed keyring.SealedKey
		err := tx.QueryRow(ctx, `
			SELECT master_key_id, sealed_key FROM avtotpy.vault_keys
			WHERE vault_id = $1 AND generation = $2
			FOR UPDATE`, key.vault, key.generation).Scan(&sealed.MasterKey, &sealed.Bytes)
		if errors.Is(err, pgx.ErrNoRows) { // it has been replaced, or its vault deleted
			return nil
		}
		if err != nil {
			return err
		}
		if sealed, err = s.ring.Reseal(sealed, key.vault.String(), key.generation); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			UPDATE avtotpy.vault_keys SET master_key_id = $3, sealed_key = $4, sealed_at = now()
			WHERE vault_id = $1 AND generation = $2`, key.vault, key.generation, sealed.MasterKey, sealed.Bytes)
		return err
	})
}
