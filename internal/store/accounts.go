package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/keyring"
)

// An Account is a user's account elsewhere, opened. Kind and Algorithm are those
// of package otp.
type Account struct {
	ID, VaultID     uuid.UUID
	Kind, Algorithm string
	Digits, Period  int // Period in seconds
	Issuer, Name    string
	Note            string
	Secret          []byte
	Counter         int64 // of the next code; 0 unless Kind is hotp
	CreatedAt       time.Time
	UpdatedAt       time.Time

	role string // of the user who asked, in its vault
}

// String names the account without what is sealed.
func (a Account) String() string { return "account " + a.ID.String() }

// GoString is String: %#v shows no secret either.
func (a Account) GoString() string { return a.String() }

const selectAccounts = `
	SELECT a.id, a.vault_id, a.kind, a.algorithm, a.digits, a.period, a.sealed_secret, a.sealed_issuer, a.sealed_name, a.sealed_note,
		coalesce(h.counter, 0), a.created_at, a.updated_at, m.role, k.master_key_id, k.sealed_key
	FROM avtotpy.accounts a
	JOIN avtotpy.vault_members m ON m.vault_id = a.vault_id AND m.user_id = $1
	JOIN avtotpy.vault_keys k ON k.vault_id = a.vault_id
	LEFT JOIN avtotpy.hotp_counters h ON h.account_id = a.id
	WHERE `

// An opener opens accounts; it opens the key of each vault once.
type opener struct {
	ring *keyring.Ring
	keys map[uuid.UUID]keyring.VaultKey
}

func (s *Store) opener() opener {
	return opener{s.ring, map[uuid.UUID]keyring.VaultKey{}}
}

func (o opener) scan(row pgx.CollectableRow) (Account, error) {
	var a Account
	var secret, issuer, name, note []byte
	var sealed keyring.SealedKey
	err := row.Scan(&a.ID, &a.VaultID, &a.Kind, &a.Algorithm, &a.Digits, &a.Period, &secret, &issuer, &name, &note,
		&a.Counter, &a.CreatedAt, &a.UpdatedAt, &a.role, &sealed.MasterKey, &sealed.Bytes)
	if err != nil {
		return Account{}, err
	}
	key, err := o.key(a.VaultID, sealed)
	if err != nil {
		return Account{}, fmt.Errorf("vault %s: %w", a.VaultID, err)
	}
	fields := fieldsOf(key, a.ID)
	a.Secret, a.Issuer, a.Name, a.Note = fields.open("secret", secret), string(fields.open("issuer", issuer)), string(fields.open("name", name)), string(fields.open("note", note))
	return a, fields.err
}

func (o opener) key(vault uuid.UUID, sealed keyring.SealedKey) (keyring.VaultKey, error) {
	if key, ok := o.keys[vault]; ok {
		return key, nil
	}
	key, err := o.ring.Open(sealed, vault.String())
	o.keys[vault] = key
	return key, err
}

// fields seals and opens the columns of one account, and keeps the first error.
type fields struct {
	key     keyring.VaultKey
	account uuid.UUID
	err     error
}

func fieldsOf(key keyring.VaultKey, account uuid.UUID) *fields {
	return &fields{key: key, account: account}
}

func (f *fields) seal(column, text string) []byte {
	return f.key.Seal([]byte(text), f.account.String(), column)
}

func (f *fields) open(column string, sealed []byte) []byte {
	plain, err := f.key.Open(sealed, f.account.String(), column)
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("account %s, %s: %w", f.account, column, err)
	}
	return plain
}

// Accounts returns all accounts that a user sees, by issuer and name.
func (s *Store) Accounts(ctx context.Context, user uuid.UUID) ([]Account, error) {
	var accounts []Account
	err := s.single(ctx, user, func(rows pgx.Rows) (err error) {
		accounts, err = pgx.CollectRows(rows, s.opener().scan)
		return err
	}, selectAccounts+`true`, user)
	if err != nil {
		return nil, err
	}
	// The database sees no names, so it cannot sort by them.
	slices.SortFunc(accounts, func(a, b Account) int {
		return cmp.Or(
			cmp.Compare(strings.ToLower(cmp.Or(a.Issuer, a.Name)), strings.ToLower(cmp.Or(b.Issuer, b.Name))),
			cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)),
			slices.Compare(a.ID[:], b.ID[:]),
		)
	})
	return accounts, nil
}

// Account returns one account; ErrNotFound also for other people's.
func (s *Store) Account(ctx context.Context, user, id uuid.UUID) (Account, error) {
	var account Account
	err := s.single(ctx, user, func(rows pgx.Rows) (err error) {
		account, err = pgx.CollectExactlyOneRow(rows, s.opener().scan)
		return err
	}, selectAccount, user, id)
	return account, notFound(err)
}

const selectAccount = selectAccounts + `a.id = $2`

func (s *Store) account(ctx context.Context, tx pgx.Tx, user, id uuid.UUID) (Account, error) {
	rows, _ := tx.Query(ctx, selectAccount, user, id) // CollectExactlyOneRow returns the error
	account, err := pgx.CollectExactlyOneRow(rows, s.opener().scan)
	return account, notFound(err)
}

// A NewAccount is an account to add. Submission is chosen by who adds it: the same
// one adds one account, however often it comes.
type NewAccount struct {
	Vault           uuid.UUID // the zero UUID: the user's personal vault
	Submission      uuid.UUID
	Kind, Algorithm string
	Digits, Period  int
	Issuer, Name    string
	Note            string
	Secret          []byte
	Counter         int64
}

// CreateAccount adds an account. When its submission came before, it returns the
// account that was added then, and created is false.
func (s *Store) CreateAccount(ctx context.Context, user User, n NewAccount, from Origin) (account Account, created bool, err error) {
	err = s.inTx(ctx, user.ID, func(tx pgx.Tx) error {
		v, err := s.vault(ctx, tx, user.ID, n.Vault)
		if err != nil {
			return err
		}
		if !mayEdit(v.role) {
			return ErrForbidden
		}
		id := newID()
		if created, err = insertAccount(ctx, tx, v, id, n); err != nil {
			return err
		}
		if !created {
			const bySubmission = `SELECT id FROM avtotpy.accounts WHERE vault_id = $1 AND submission = $2`
			if err := tx.QueryRow(ctx, bySubmission, v.id, n.Submission).Scan(&id); err != nil {
				return notFound(err)
			}
		} else if err := record(ctx, tx, event{actor: &user, action: "account.create", subject: id, vault: v.id, from: from}); err != nil {
			return err
		}
		account, err = s.account(ctx, tx, user.ID, id)
		return err
	})
	return account, created, err
}

func insertAccount(ctx context.Context, tx pgx.Tx, v vault, id uuid.UUID, n NewAccount) (inserted bool, err error) {
	f := fieldsOf(v.key, id)
	tag, err := tx.Exec(ctx, `
		INSERT INTO avtotpy.accounts (id, vault_id, submission, kind, algorithm, digits, period, sealed_secret, sealed_issuer, sealed_name, sealed_note)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (vault_id, submission) DO NOTHING`,
		id, v.id, n.Submission, n.Kind, n.Algorithm, n.Digits, n.Period,
		f.seal("secret", string(n.Secret)), f.seal("issuer", n.Issuer), f.seal("name", n.Name), f.seal("note", n.Note))
	if err != nil || tag.RowsAffected() == 0 || n.Kind != hotp {
		return err == nil && tag.RowsAffected() > 0, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO avtotpy.hotp_counters (account_id, counter) VALUES ($1, $2)`, id, n.Counter)
	return true, err
}

const hotp = "hotp"

// An AccountChange holds the fields to change; nil leaves one as it is.
type AccountChange struct{ Issuer, Name, Note *string }

// UpdateAccount changes what an account is called. Its secret never changes.
func (s *Store) UpdateAccount(ctx context.Context, user User, id uuid.UUID, c AccountChange, from Origin) (Account, error) {
	var changed Account
	err := s.inTx(ctx, user.ID, func(tx pgx.Tx) error {
		account, err := s.editable(ctx, tx, user, id)
		if err != nil {
			return err
		}
		v, err := s.vault(ctx, tx, user.ID, account.VaultID)
		if err != nil {
			return err
		}
		f := fieldsOf(v.key, id)
		sealed := func(column string, text *string) []byte {
			if text == nil {
				return nil
			}
			return f.seal(column, *text)
		}
		_, err = tx.Exec(ctx, `
			UPDATE avtotpy.accounts
			SET sealed_issuer = coalesce($2, sealed_issuer), sealed_name = coalesce($3, sealed_name), sealed_note = coalesce($4, sealed_note), updated_at = now()
			WHERE id = $1`, id, sealed("issuer", c.Issuer), sealed("name", c.Name), sealed("note", c.Note))
		if err != nil {
			return err
		}
		if err := record(ctx, tx, event{actor: &user, action: "account.update", subject: id, vault: v.id, from: from}); err != nil {
			return err
		}
		changed, err = s.account(ctx, tx, user.ID, id)
		return err
	})
	return changed, err
}

// editable returns an account that the user may change.
func (s *Store) editable(ctx context.Context, tx pgx.Tx, user User, id uuid.UUID) (Account, error) {
	account, err := s.account(ctx, tx, user.ID, id)
	if err != nil {
		return Account{}, err
	}
	if !mayEdit(account.role) {
		return Account{}, ErrForbidden
	}
	return account, nil
}

// DeleteAccount deletes an account for all who see it.
func (s *Store) DeleteAccount(ctx context.Context, user User, id uuid.UUID, from Origin) error {
	return s.inTx(ctx, user.ID, func(tx pgx.Tx) error {
		account, err := s.editable(ctx, tx, user, id)
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `DELETE FROM avtotpy.accounts WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 { // somebody else was faster
			return ErrNotFound
		}
		return record(ctx, tx, event{actor: &user, action: "account.delete", subject: id, vault: account.VaultID, from: from})
	})
}

// AdvanceCounter uses up the counter of a HOTP account, atomically: nobody else
// gets the same one. The account that it returns has the counter to use now.
func (s *Store) AdvanceCounter(ctx context.Context, user User, id uuid.UUID, from Origin) (Account, error) {
	var account Account
	err := s.inTx(ctx, user.ID, func(tx pgx.Tx) error {
		var err error
		if account, err = s.account(ctx, tx, user.ID, id); err != nil {
			return err
		}
		if account.Kind != hotp {
			return ErrNotHOTP
		}
		err = tx.QueryRow(ctx, `
			UPDATE avtotpy.hotp_counters SET counter = counter + 1
			WHERE account_id = $1 AND counter < 9223372036854775807
			RETURNING counter - 1`, id).Scan(&account.Counter)
		if notFound(err) == ErrNotFound { //nolint:errorlint // it returns the very value
			return ErrCounterSpent
		}
		if err != nil {
			return err
		}
		return record(ctx, tx, event{actor: &user, action: "account.advance", subject: id, vault: account.VaultID, from: from})
	})
	return account, err
}
