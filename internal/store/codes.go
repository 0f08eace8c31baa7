package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/avtotpy/avtotpy/internal/access"
	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/otp"
)

// Codes returns the session of a token, as Session does but without its user's name, and what its user's codes
// are made of, in one round trip: pages ask for codes more often than for all else. The accounts have no names and
// notes, which are not opened for that, and those with a counter no secret. A session that is locked has none. They
// are appended to a slice, so that its memory can be used again.
func (s *Store) Codes(ctx context.Context, token string, to []Account) (Session, []Account, error) {
	p, err := s.proof(ctx)
	if err != nil {
		return Session{}, nil, err
	}
	var found []Session
	accounts := to
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
			accounts, err = s.As(found[0].User, Origin{}).openerWith(p).codes(rows, to)
			return err
		}})
	if err != nil {
		return Session{}, nil, err
	}
	return found[0], accounts, nil
}

// selectSessionAndAct names the session's user to row level security, for the query that follows. Without
// a session no user is named, and that query finds nothing. The user's name would be a join, which takes as
// long to plan as all the rest.
const selectSessionAndAct = `
	SELECT s.id, s.user_id, '', s.created_at, s.created_at, s.last_seen_at, s.expires_at, s.address, s.agent,
		s.token_hash, s.mac, s.version, ` + locksIn + `, set_config('` + actingUser + `', s.user_id::text, true)
	FROM avtotpy.sessions s
	WHERE s.expires_at > now() AND s.token_hash = $1`

const selectCodes = `
	SELECT a.id, a.vault_id, a.kind, a.algorithm, a.digits, a.period, a.sealed_secret, a.created_at, a.updated_at,
		a.version, m.role, m.created_at, m.mac, k.generation, k.master_key_id, k.sealed_key
	FROM avtotpy.accounts a
	JOIN avtotpy.vault_members m ON m.vault_id = a.vault_id AND m.user_id = current_setting('` + actingUser + `')::uuid
	JOIN avtotpy.vault_keys k ON k.vault_id = a.vault_id AND k.generation = a.generation
	WHERE a.deleted_at IS NULL`

// codes is collect for rows of selectCodes. A user may have hundreds, and asks all the time: what the rows repeat is
// looked at once, and what is only compared stays in the memory of the connection.
func (o opener) codes(rows pgx.Rows, accounts []Account) ([]Account, error) {
	var a Account
	var kind, algorithm, secret, role, mac, masterKey, sealedKey pgtype.DriverBytes
	var in vaultGeneration
	var spare spare
	m := member{user: o.user}
	// Arrays, because what is a uuid.UUID goes through a text.
	into := []any{
		(*[16]byte)(&a.ID), (*[16]byte)(&a.VaultID), &kind, &algorithm, &a.Digits, &a.Period, &secret,
		moment{&a.CreatedAt},
		moment{&a.UpdatedAt},
		&a.Version, &role,
		moment{&m.since},
		&mac, &in.generation, &masterKey, &sealedKey,
	}
	_, err := pgx.ForEachRow(rows, into, func() error {
		in.vault, m.vault = a.VaultID, a.VaultID
		if _, asked := o.roles[m.vault]; !asked {
			m.role = access.Role(role)
		}
		if a.Role = o.role(m, mac); a.Role == "" {
			return nil
		}
		var sealed keyring.SealedKey
		if _, opened := o.keys[in]; !opened {
			sealed = keyring.SealedKey{MasterKey: string(masterKey), Bytes: sealedKey}
		}
		a.Kind, a.Algorithm = one(kind, otp.TOTP, otp.HOTP, otp.Steam), one(algorithm, otp.SHA1, otp.SHA256, otp.SHA512)
		a.Secret, a.Damaged = nil, false
		if a.Kind != otp.HOTP {
			if err := o.open(&a, in, sealed, func(s sealing) { s.openSecret(&a, secret, &spare) }); err != nil {
				return err
			}
		}
		accounts = append(accounts, a)
		return nil
	})
	return accounts, err
}

// one returns a text, which most likely is one of a few.
func one[T ~string](text []byte, of ...T) T {
	for _, known := range of {
		if string(text) == string(known) {
			return known
		}
	}
	return T(text)
}
