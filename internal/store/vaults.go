package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/access"
	"github.com/avtotpy/avtotpy/internal/keyring"
)

// createPersonalVault makes the vault that comes with a user.
func (s *Store) createPersonalVault(ctx context.Context, tx pgx.Tx, user uuid.UUID) error {
	vault := newID()
	_, sealed := s.ring.NewVaultKey(vault.String(), 1)
	if _, err := tx.Exec(ctx, `INSERT INTO avtotpy.vaults (id, personal_of, name) VALUES ($1, $2, '')`, vault,
		user); err != nil {
		return err
	}
	// Before the key: only an owner may add one.
	if err := s.addMember(ctx, tx, vault, user, access.Owner); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO avtotpy.vault_keys (vault_id, generation, master_key_id, sealed_key)
		VALUES ($1, 1, $2, $3)`, vault, sealed.MasterKey, sealed.Bytes)
	return err
}

// addMember makes a user a member of a vault, which row level security has to allow.
func (s *Store) addMember(ctx context.Context, tx pgx.Tx, vault, user uuid.UUID, role access.Role) error {
	p, err := s.proof(ctx)
	if err != nil {
		return err
	}
	m := member{vault: vault, user: user, role: role}
	if m.since, err = now(ctx, tx); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO avtotpy.vault_members (vault_id, user_id, role, mac) VALUES ($1, $2, $3, $4)`,
		vault, user, role, p.MAC(useMember, m.values()))
	return err
}

// A vault is what one of its members needs to work in it.
type vault struct {
	id         uuid.UUID
	role       access.Role
	key        keyring.VaultKey // the newest
	generation int              // of the key
}

// vault returns a vault of the user; the zero id stands for their personal one.
func (a Actor) vault(ctx context.Context, tx pgx.Tx, id uuid.UUID) (vault, error) {
	p, err := a.store.proof(ctx)
	if err != nil {
		return vault{}, err
	}
	var v vault
	var since time.Time
	var mac []byte
	var sealed keyring.SealedKey
	err = tx.QueryRow(ctx, `
		SELECT v.id, m.role, m.created_at, m.mac, k.generation, k.master_key_id, k.sealed_key
		FROM avtotpy.vaults v
		JOIN avtotpy.vault_members m ON m.vault_id = v.id AND m.user_id = $1
		JOIN avtotpy.vault_keys k ON k.vault_id = v.id
		WHERE CASE WHEN $2::uuid IS NULL THEN v.personal_of = $1 ELSE v.id = $2 END
		ORDER BY k.generation DESC
		LIMIT 1`,
		a.user.ID, orNull(id)).Scan(&v.id, &v.role, moment{&since}, &mac, &v.generation, &sealed.MasterKey,
		&sealed.Bytes)
	if err != nil {
		return vault{}, notFound(err)
	}
	if m := (member{v.id, a.user.ID, v.role, since}); !p.Proves(mac, useMember, m.values()) {
		a.store.distrust(DistrustedMember, v.id)
		return vault{}, ErrNotFound
	}
	v.key, err = a.store.ring.Open(sealed, v.id.String(), v.generation)
	return v, err
}
