package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/keyring"
)

// A DataKeyRotation is how far a rotation of data keys has come.
type DataKeyRotation struct {
	Resumed bool `json:"resumed"` // an earlier one was interrupted, and this one ends it
	Vaults  int  `json:"vaults"`  // that have to get a new key
	Done    int  `json:"done"`    // of these, so far
	Sealed  int  `json:"sealed"`  // accounts, with the new keys
	Damaged int  `json:"damaged"` // accounts that do not open, and keep their key
}

// RotateDataKeys gives each vault a new data key, seals its accounts with it, and removes the old one. Servers may
// go on during that: an account is read with the key that its row names. It commits in small steps, and calls progress
// after each. After an interruption it ends the interrupted rotation, and begins no other.
func (s *Store) RotateDataKeys(ctx context.Context, progress func(DataKeyRotation)) (DataKeyRotation, error) {
	r := DataKeyRotation{Resumed: true}
	removed, err := s.useNewest(ctx, &r, progress)
	if err != nil || removed > 0 || r.Sealed > 0 {
		return r, err
	}
	r = DataKeyRotation{}
	if err := s.addGenerations(ctx); err != nil {
		return r, err
	}
	_, err = s.useNewest(ctx, &r, progress)
	return r, err
}

// addGenerations adds a key to each vault. It is all or nothing: so what is left of a rotation is not taken for a whole
// one.
func (s *Store) addGenerations(ctx context.Context) error {
	err := s.asOperator(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			SELECT vault_id, max(generation) FROM avtotpy.vault_keys
			GROUP BY vault_id
			ORDER BY vault_id`) // CollectRows returns the error
		newest, err := pgx.CollectRows(rows, scanGeneration)
		if err != nil {
			return err
		}
		var batch pgx.Batch
		for _, key := range newest {
			_, sealed := s.ring.NewVaultKey(key.vault.String(), key.generation+1)
			batch.Queue(
				`INSERT INTO avtotpy.vault_keys (vault_id, generation, master_key_id, sealed_key)
				VALUES ($1, $2, $3, $4)`,
				key.vault, key.generation+1, sealed.MasterKey, sealed.Bytes)
		}
		return tx.SendBatch(ctx, &batch).Close()
	})
	if lostRace(err) { // another one has begun, which this one helps to end
		return nil
	}
	return err
}

func scanGeneration(row pgx.CollectableRow) (key vaultGeneration, err error) {
	err = row.Scan(&key.vault, &key.generation)
	return key, err
}

// useNewest goes through the vaults that have more than one key, and returns how many keys it removed.
func (s *Store) useNewest(ctx context.Context, r *DataKeyRotation, progress func(DataKeyRotation)) (removed int,
	err error,
) {
	var vaults []uuid.UUID
	err = s.asOperator(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			SELECT vault_id FROM avtotpy.vault_keys
			GROUP BY vault_id
			HAVING count(*) > 1
			ORDER BY vault_id`) // CollectRows returns the error
		vaults, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		return err
	})
	if err != nil {
		return 0, err
	}
	r.Vaults = len(vaults)
	for _, vault := range vaults {
		n, err := s.useNewestIn(ctx, vault, r, progress)
		removed += n
		if err != nil {
			return removed, fmt.Errorf("vault %s: %w", vault, err)
		}
		r.Done++
		progress(*r)
	}
	return removed, nil
}

// useNewestIn seals the accounts of a vault with its newest key, until no other seals any that opens.
func (s *Store) useNewestIn(ctx context.Context, vault uuid.UUID, r *DataKeyRotation,
	progress func(DataKeyRotation),
) (removed int, err error) {
	const mostFailures = 100 // rounds in a row without success
	for failures := 0; ; {
		round, err := s.resealRound(ctx, vault)
		if err != nil && !inEachOthersWay(err) && !keyIsGone(err) || failures == mostFailures {
			return removed, cmp.Or(err, errOvertaken)
		}
		if err == nil {
			r.Sealed, removed = r.Sealed+round.sealed, removed+round.removed
			progress(*r)
		}
		switch {
		case err == nil && round.sealed > 0:
			failures = 0
			continue
		case err == nil && round.left == 0:
			r.Damaged += round.damaged
			return removed, nil
		}
		failures++ // another transaction changes an account, or adds one with the old key
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return removed, ctx.Err()
		}
	}
}

// resealRound is resealSome in a transaction of its own, for a vault that has a member who may change it.
func (s *Store) resealRound(ctx context.Context, vault uuid.UUID) (round resealed, err error) {
	err = s.asOperator(ctx, func(tx pgx.Tx) error {
		reachable, err := actFor(ctx, tx, vault)
		if err != nil || !reachable {
			return err
		}
		round, err = s.resealSome(ctx, tx, vault)
		return err
	})
	return round, err
}

// resealed is what became of some of the accounts that an older key seals.
type resealed struct {
	sealed, damaged int
	left            int // that open, or that other transactions hold, and keys of which all were deleted just now
	removed         int // keys
}

// resealSome seals some accounts again. When none is left that opens, it removes the keys that seal nothing.
func (s *Store) resealSome(ctx context.Context, tx pgx.Tx, vault uuid.UUID) (done resealed, err error) {
	newest, err := s.newestKey(ctx, tx, vault)
	if err != nil {
		return done, err
	}
	const few = 100 // accounts; changes of them wait for this transaction
	var updates pgx.Batch
	last := uuid.Nil
	for done.sealed == 0 { // a batch of damaged ones is no end
		n, err := s.resealAfter(ctx, tx, newest, &last, few, &done, &updates)
		if err != nil {
			return done, err
		}
		if n < few {
			break
		}
	}
	if updates.Len() > 0 {
		return done, tx.SendBatch(ctx, &updates).Close()
	}
	tag, err := tx.Exec(ctx, `
		DELETE FROM avtotpy.vault_keys k
		WHERE vault_id = $1 AND generation < $2
			AND NOT EXISTS (
				SELECT FROM avtotpy.accounts a WHERE a.vault_id = k.vault_id AND a.generation = k.generation)`,
		vault, newest.generation)
	if err != nil {
		return done, err
	}
	done.removed = int(tag.RowsAffected())
	// Counted afterwards: an account that another server adds before the keys are removed keeps one, and is left. When
	// it is deleted again until now, only its key is left.
	var old, unused int
	err = tx.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM avtotpy.accounts WHERE vault_id = $1 AND generation < $2), (
			SELECT count(*) FROM avtotpy.vault_keys k
			WHERE vault_id = $1 AND generation < $2
				AND NOT EXISTS (
					SELECT FROM avtotpy.accounts a WHERE a.vault_id = k.vault_id AND a.generation = k.generation))`,
		vault, newest.generation).Scan(&old, &unused)
	done.left = old - done.damaged + unused
	return done, err
}

func (s *Store) newestKey(ctx context.Context, tx pgx.Tx, id uuid.UUID) (vault, error) {
	v := vault{id: id}
	var sealed keyring.SealedKey
	err := tx.QueryRow(ctx, `
		SELECT generation, master_key_id, sealed_key FROM avtotpy.vault_keys
		WHERE vault_id = $1
		ORDER BY generation DESC
		LIMIT 1`, id).Scan(&v.generation, &sealed.MasterKey, &sealed.Bytes)
	if err != nil {
		return v, err
	}
	v.key, err = s.ring.Open(sealed, id.String(), v.generation)
	return v, err
}

// resealAfter queues the updates of up to a number of accounts, by id after the last one, and returns how many it saw.
func (s *Store) resealAfter(ctx context.Context, tx pgx.Tx, newest vault, last *uuid.UUID, most int, done *resealed,
	updates *pgx.Batch,
) (seen int, err error) {
	rows, _ := tx.Query(ctx, `
		SELECT a.id, a.kind, a.algorithm, a.digits, a.period,
			a.sealed_secret, a.sealed_issuer, a.sealed_name, a.sealed_note,
			a.created_at, a.version, k.generation, k.master_key_id, k.sealed_key
		FROM avtotpy.accounts a
		JOIN avtotpy.vault_keys k ON k.vault_id = a.vault_id AND k.generation = a.generation
		WHERE a.vault_id = $1 AND a.generation < $2 AND a.id > $3
		ORDER BY a.id
		LIMIT $4
		FOR UPDATE OF a SKIP LOCKED`, newest.id, newest.generation, *last, most) // Close and Err below
	defer rows.Close()
	keys := map[vaultGeneration]openedKey{}
	for ; rows.Next(); seen++ {
		var a Account
		var f sealedFields
		old := vaultGeneration{vault: newest.id}
		var sealed keyring.SealedKey
		err := rows.Scan(&a.ID, &a.Kind, &a.Algorithm, &a.Digits, &a.Period, &f.secret, &f.issuer, &f.name, &f.note,
			moment{&a.CreatedAt}, &a.Version, &old.generation, &sealed.MasterKey, &sealed.Bytes)
		if err != nil {
			return seen, err
		}
		*last = a.ID
		key, err := opener{store: s, keys: keys}.key(old, sealed)
		if err != nil && !errors.Is(err, keyring.ErrSealBroken) {
			return seen, err
		}
		before := sealing{key: key, account: a.ID, createdAt: a.CreatedAt, version: a.Version}
		if a.spoil(err); !a.Damaged {
			before.open(&a, f)
		}
		if a.Damaged {
			s.distrust(DistrustedAccount, a.ID)
			done.damaged++
			continue
		}
		after := before.next(newest)
		f = after.seal(a.Key, a.Note)
		updates.Queue(`
			UPDATE avtotpy.accounts
			SET sealed_secret = $2, sealed_issuer = $3, sealed_name = $4, sealed_note = $5,
				version = $6, generation = $7
			WHERE id = $1`, a.ID, f.secret, f.issuer, f.name, f.note, after.version, after.generation)
		done.sealed++
	}
	rows.Close()
	return seen, rows.Err()
}
