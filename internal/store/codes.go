package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/otp"
)

// Codes returns the session of a token, as Session does but without its user's name, and what its user's codes
// are made of, in one round trip: pages ask for codes more often than for all else. The accounts have no names and
// notes, which are not opened for that, and those with a counter no secret. A session that is locked has none.
func (s *Store) Codes(ctx context.Context, token string) (Session, []Account, error) {
	p, err := s.proof(ctx)
	if err != nil {
		return Session{}, nil, err
	}
	var found []Session
	var accounts []Account
	err = s.together(ctx, uuid.Nil,
		query{selectSessionAndAct, []any{p.tokenHash(hashToken(token)), SessionIdle}, func(rows pgx.Rows) (err error) {
			found, err = s.collectSessions(p, rows, nil)
			return err
		}},
		query{selectCodes, nil, func(rows pgx.Rows) (err error) {
			defer rows.Close()
			if len(found) == 0 { // also for a session that is not proved: what was read for it is not opened
				return ErrNotFound
			}
			if found[0].Locked {
				return nil
			}
			accounts, err = s.As(found[0].User, Origin{}).openerWith(p).collectWith(rows, opener.scanCode)
			return err
		}})
	if err != nil {
		return Session{}, nil, err
	}
	return found[0], accounts, nil
}

// selectSessionAndAct names the session's user to row level security, for the query that follows. Without
// a session nobody is named, and that query finds nothing. The user's name would be a join, which takes as
// long to plan as all the rest.
const selectSessionAndAct = `
	SELECT s.id, s.user_id, '', s.created_at, s.created_at, s.last_seen_at, s.expires_at, s.address, s.agent, s.token_hash, s.mac, s.version,
		extract(epoch FROM s.last_seen_at + $2::interval - now())::float8, set_config('` + actingUser + `', s.user_id::text, true)
	FROM avtotpy.sessions s
	WHERE s.expires_at > now() AND s.token_hash = $1`

const selectCodes = `
	SELECT a.id, a.vault_id, a.kind, a.algorithm, a.digits, a.period, a.sealed_secret, a.created_at, a.updated_at, a.version,
		m.role, m.created_at, m.mac, k.generation, k.master_key_id, k.sealed_key
	FROM avtotpy.accounts a
	JOIN avtotpy.vault_members m ON m.vault_id = a.vault_id AND m.user_id = current_setting('` + actingUser + `')::uuid
	JOIN avtotpy.vault_keys k ON k.vault_id = a.vault_id AND k.generation = a.generation
	WHERE a.deleted_at IS NULL`

func (o opener) scanCode(row pgx.Rows) (Account, error) {
	var a Account
	var secret, mac []byte
	var sealed keyring.SealedKey
	m := member{user: o.user}
	var generation int
	// Arrays, because what is a uuid.UUID goes through a text.
	err := row.Scan((*[16]byte)(&a.ID), (*[16]byte)(&a.VaultID), &a.Kind, &a.Algorithm, &a.Digits, &a.Period, &secret, &a.CreatedAt, &a.UpdatedAt, &a.Version,
		&m.role, &m.since, &mac, &generation, &sealed.MasterKey, &sealed.Bytes)
	if err != nil {
		return Account{}, err
	}
	m.vault = a.VaultID
	if a.Role = o.role(m, mac); a.Role == "" || a.Kind == otp.HOTP {
		return a, nil
	}
	err = o.open(&a, vaultGeneration{a.VaultID, generation}, sealed, func(s sealing) { s.openSecret(&a, secret) })
	return a, err
}
