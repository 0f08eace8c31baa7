package store

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/sqlstate"
)

// atOnce is how many rows one transaction authenticates: a server that is killed loses no more work than
// this, and none of them waits long for another.
const atOnce = 500

// Authenticate writes what proves the rows that older programs wrote, and returns how many it found. It reads
// them from copies that a migration made, and the web role cannot add to. What was done before
// an error stays done. Several may do it at once.
func (s *Store) Authenticate(ctx context.Context) (done int, err error) {
	p, err := s.proof(ctx)
	if err != nil {
		return 0, err
	}
	const patience = 20 // failures in a row
	for failures := 0; ; {
		n, left, err := s.authenticateSome(ctx, p)
		done += n
		switch {
		case inEachOthersWay(err) && failures < patience:
			failures++
		case err != nil || !left:
			return done, err
		default:
			failures = 0
		}
	}
}

// authenticateSome takes a batch of each kind of which there are any.
func (s *Store) authenticateSome(ctx context.Context, p proof) (done int, left bool, err error) {
	takes := []func(context.Context, pgx.Tx, proof) (int, error){
		takeNames, takePasswords, takeSessions, takeMembers,
		s.takeAccounts,
	}
	has := make([]bool, len(takes))
	err = s.asOperator(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM avtotpy.users WHERE name_mac IS NULL),
				EXISTS (SELECT FROM avtotpy.unauthenticated_passwords),
				EXISTS (SELECT FROM avtotpy.unauthenticated_sessions),
				EXISTS (SELECT FROM avtotpy.unauthenticated_members),
				EXISTS (SELECT FROM avtotpy.unauthenticated_accounts)`).
			Scan(&has[0], &has[1], &has[2], &has[3], &has[4])
	})
	for i, take := range takes {
		if err != nil || !has[i] {
			continue
		}
		left = true
		err = s.asOperator(ctx, func(tx pgx.Tx) error {
			n, err := take(ctx, tx, p)
			done += n
			return err
		})
	}
	return done, left, err
}

// inEachOthersWay reports that two did the same at once, and that it goes on when it is tried again.
func inEachOthersWay(err error) bool {
	code := sqlstate.Of(err)
	return lostRace(err) || code == sqlstate.DeadlockDetected || code == sqlstate.LockNotAvailable
}

func takeNames(ctx context.Context, tx pgx.Tx, p proof) (int, error) {
	rows, _ := tx.Query(ctx, `
		SELECT id, name FROM avtotpy.users
		WHERE name_mac IS NULL
		ORDER BY id
		LIMIT $1
		FOR UPDATE`, atOnce) // CollectRows returns the error
	users, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (u User, err error) {
		err = row.Scan(&u.ID, &u.Name)
		return u, err
	})
	if err != nil {
		return 0, err
	}
	for _, u := range users {
		const update = `
			UPDATE avtotpy.users
			SET name_mac = CASE WHEN EXISTS (SELECT FROM avtotpy.users WHERE name_mac = $2) THEN $3::bytea ELSE $2 END
			WHERE id = $1`
		if _, err := tx.Exec(ctx, update, u.ID, p.nameMAC(u.Name), p.spellingMAC(u.Name)); err != nil {
			return 0, err
		}
	}
	return len(users), nil
}

// Each of the following deletes rows of a copy and reads them with it: who does the same at
// the same time waits, and finds them gone.

func takePasswords(ctx context.Context, tx pgx.Tx, p proof) (int, error) {
	type row struct {
		user uuid.UUID
		hash string
	}
	rows, _ := tx.Query(ctx, `
		DELETE FROM avtotpy.unauthenticated_passwords
		WHERE user_id IN (SELECT user_id FROM avtotpy.unauthenticated_passwords ORDER BY user_id LIMIT $1)
		RETURNING user_id, password_hash`, atOnce) // CollectRows returns the error
	taken, err := pgx.CollectRows(rows, func(from pgx.CollectableRow) (r row, err error) {
		err = from.Scan(&r.user, &r.hash)
		return r, err
	})
	if err != nil {
		return 0, err
	}
	var batch pgx.Batch
	for _, r := range taken {
		batch.Queue(
			`INSERT INTO avtotpy.passwords (user_id, version, sealed) VALUES ($1, 1, $2) ON CONFLICT DO NOTHING`,
			r.user, p.sealPassword(r.hash, r.user, 1))
	}
	return len(taken), tx.SendBatch(ctx, &batch).Close()
}

// takeSessions takes them as they were when they were copied.
func takeSessions(ctx context.Context, tx pgx.Tx, p proof) (int, error) {
	rows, _ := tx.Query(ctx, `
		DELETE FROM avtotpy.unauthenticated_sessions
		WHERE session_id IN (SELECT session_id FROM avtotpy.unauthenticated_sessions ORDER BY session_id LIMIT $1)
		RETURNING session_id, user_id, token_hash, created_at, expires_at`, atOnce) // CollectRows returns the error
	taken, err := pgx.CollectRows(rows, func(from pgx.CollectableRow) (r sessionRow, err error) {
		err = from.Scan(&r.id, &r.user, &r.tokenHash, moment{&r.createdAt}, moment{&r.expires})
		return r, err
	})
	if err != nil {
		return 0, err
	}
	var batch pgx.Batch
	for _, r := range taken {
		before := r.tokenHash
		r.tokenHash, r.version = p.tokenHash(before), 2
		batch.Queue(`
			UPDATE avtotpy.sessions SET token_hash = $6, mac = $7, version = 2
			WHERE id = $1 AND user_id = $2 AND token_hash = $3 AND created_at = $4 AND expires_at = $5 AND version = 1`,
			r.id, r.user, before, r.createdAt, r.expires, r.tokenHash, p.MAC(useSession, r.values()))
	}
	return len(taken), tx.SendBatch(ctx, &batch).Close()
}

func takeMembers(ctx context.Context, tx pgx.Tx, p proof) (int, error) {
	rows, _ := tx.Query(ctx, `
		DELETE FROM avtotpy.unauthenticated_members
		WHERE (vault_id, user_id) IN (
			SELECT vault_id, user_id FROM avtotpy.unauthenticated_members ORDER BY vault_id, user_id LIMIT $1)
		RETURNING vault_id, user_id, role, created_at`, atOnce) // CollectRows returns the error
	taken, err := pgx.CollectRows(rows, func(from pgx.CollectableRow) (m member, err error) {
		err = from.Scan(&m.vault, &m.user, &m.role, moment{&m.since})
		return m, err
	})
	if err != nil {
		return 0, err
	}
	var batch pgx.Batch
	for _, m := range taken {
		batch.Queue(`
			UPDATE avtotpy.vault_members SET mac = $5
			WHERE vault_id = $1 AND user_id = $2 AND role = $3 AND created_at = $4`,
			m.vault, m.user, m.role, m.since, p.MAC(useMember, m.values()))
	}
	return len(taken), tx.SendBatch(ctx, &batch).Close()
}

// takeAccounts seals accounts again that were sealed without a version, with what their codes depended on when they
// were copied. One that does not open stays as it is, and is a damaged one.
func (s *Store) takeAccounts(ctx context.Context, tx pgx.Tx, _ proof) (taken int, err error) {
	for taken < atOnce {
		var vault uuid.UUID
		const next = `SELECT vault_id FROM avtotpy.unauthenticated_accounts ORDER BY vault_id LIMIT 1`
		err := tx.QueryRow(ctx, next).Scan(&vault)
		if errors.Is(err, pgx.ErrNoRows) {
			return taken, nil
		}
		if err != nil {
			return taken, err
		}
		if _, err := actFor(ctx, tx, vault); err != nil {
			return taken, err
		}
		n, err := s.takeAccountsOf(ctx, tx, vault)
		taken += n
		if err != nil || n == 0 { // others have taken them
			return taken, err
		}
	}
	return taken, nil
}

// actFor makes the transaction one of a user who may change what a vault holds, and reports whether there is one:
// row level security opens no vault without.
func actFor(ctx context.Context, tx pgx.Tx, vault uuid.UUID) (bool, error) {
	tag, err := tx.Exec(ctx, `
		SELECT set_config('avtotpy.user_id', user_id::text, true)
		FROM avtotpy.vault_members
		WHERE vault_id = $1 AND role IN ('owner', 'editor')
		LIMIT 1`, vault)
	return tag.RowsAffected() > 0, err
}

//go:embed take_unversioned.sql
var takeUnversioned string

func (s *Store) takeAccountsOf(ctx context.Context, tx pgx.Tx, vault uuid.UUID) (taken int, err error) {
	rows, _ := tx.Query(ctx, takeUnversioned, vault, atOnce) // Close and Err below
	defer rows.Close()
	keys := map[vaultGeneration]openedKey{}
	var updates pgx.Batch
	for rows.Next() {
		var a Account
		var f sealedFields
		var unchanged bool
		var generation int
		var sealed keyring.SealedKey
		err := rows.Scan(&a.ID, &a.Kind, &a.Algorithm, &a.Digits, &a.Period, moment{&a.CreatedAt},
			&unchanged, &f.secret, &f.issuer, &f.name, &f.note, &generation, &sealed.MasterKey, &sealed.Bytes)
		if err != nil {
			return 0, err
		}
		taken++
		if !unchanged {
			s.distrust(DistrustedAccount, a.ID)
			continue
		}
		key, err := opener{store: s, keys: keys}.key(vaultGeneration{vault, generation}, sealed)
		if err != nil && !errors.Is(err, keyring.ErrSealBroken) {
			return 0, fmt.Errorf("vault %s: %w", vault, err)
		}
		row := sealing{key: key, generation: generation, account: a.ID, createdAt: a.CreatedAt}
		if err != nil || row.openFirst(&a, f) != nil {
			s.distrust(DistrustedAccount, a.ID)
			continue
		}
		row.version++
		f = row.seal(a.Key, a.Note)
		updates.Queue(`
			UPDATE avtotpy.accounts
			SET sealed_secret = $2, sealed_issuer = $3, sealed_name = $4, sealed_note = $5, version = $6
			WHERE id = $1 AND version = 0`, a.ID, f.secret, f.issuer, f.name, f.note, row.version)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return 0, err
	}
	return taken, tx.SendBatch(ctx, &updates).Close()
}
