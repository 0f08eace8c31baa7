package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/internal/access"
	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/sqlstate"
)

// An Account is a user's account elsewhere, opened.
type Account struct {
	otp.Key
	ID, VaultID uuid.UUID
	Note        string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	DeletedAt   time.Time   // zero for one that is in use
	Version     int64       // of what is stored, one more with each change
	Role        access.Role // of the user who asked, in its vault
	Damaged     bool        // something of it does not open; then it has no secret, and only what opens of the rest
}

// String names the account without what is sealed.
func (a Account) String() string { return "account " + a.ID.String() }

// GoString is String: %#v shows no secret either.
func (a Account) GoString() string { return a.String() }

// Format writes String for every verb, and LogValue for a log, not what the key would.
func (a Account) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, a.String()) } // fmt reports its writer's errors

// LogValue keeps names out of logs, as they are sealed in the database.
func (a Account) LogValue() slog.Value { return slog.StringValue(a.String()) }

// accountRows finds accounts wherever they are; a condition follows.
const accountRows = `
	SELECT a.id, a.vault_id, a.kind, a.algorithm, a.digits, a.period,
		a.sealed_secret, a.sealed_issuer, a.sealed_name, a.sealed_note, coalesce(h.counter, 0),
		a.created_at, a.updated_at, a.deleted_at, m.role, m.created_at, m.mac, a.version, a.generation,
		k.master_key_id, k.sealed_key
	FROM avtotpy.accounts a
	JOIN avtotpy.vault_members m ON m.vault_id = a.vault_id AND m.user_id = $1
	JOIN avtotpy.vault_keys k ON k.vault_id = a.vault_id AND k.generation = a.generation
	LEFT JOIN avtotpy.hotp_counters h ON h.account_id = a.id AND a.kind = 'hotp'
	WHERE `

const (
	selectAccounts = accountRows + `a.deleted_at IS NULL`
	selectAccount  = selectAccounts + ` AND a.id = $2`
)

type vaultGeneration struct {
	vault      uuid.UUID
	generation int
}

type openedKey struct {
	keyring.VaultKey
	err error
}

// An opener opens the accounts of a user; it opens the key of each vault once, and asks once whether the
// user is its member.
type opener struct {
	store *Store
	user  uuid.UUID
	proof proof
	keys  map[vaultGeneration]openedKey
	roles map[uuid.UUID]access.Role // none where the user is no member
}

func (a Actor) opener(ctx context.Context) (opener, error) {
	p, err := a.store.proof(ctx)
	return a.openerWith(p), err
}

func (a Actor) openerWith(p proof) opener {
	return opener{a.store, a.user.ID, p, map[vaultGeneration]openedKey{}, map[uuid.UUID]access.Role{}}
}

// collect opens the accounts of rows. Those of vaults of which the user is no member are left out.
func (o opener) collect(rows pgx.Rows) ([]Account, error) {
	defer rows.Close()
	var accounts []Account
	for rows.Next() {
		account, err := o.scan(rows)
		if err != nil {
			return nil, err
		}
		if account.Role != "" {
			accounts = append(accounts, account)
		}
	}
	return accounts, rows.Err()
}

// one is collect for an account; ErrNotFound when there is none.
func (o opener) one(rows pgx.Rows) (Account, error) { return first(o.collect(rows)) }

// role returns what a user is in the vault of a member, which is looked at once.
func (o opener) role(m member, mac []byte) access.Role {
	role, known := o.roles[m.vault]
	if !known {
		if o.proof.Proves(mac, useMember, m.values()) {
			role = m.role
		} else {
			o.store.distrust(DistrustedMember, m.vault)
		}
		o.roles[m.vault] = role
	}
	return role
}

func (o opener) scan(row pgx.Rows) (Account, error) {
	var a Account
	var f sealedFields
	var mac []byte
	var sealed keyring.SealedKey
	var in vaultGeneration
	m := member{user: o.user}
	err := row.Scan(&a.ID, &a.VaultID, &a.Kind, &a.Algorithm, &a.Digits, &a.Period, &f.secret, &f.issuer, &f.name,
		&f.note,
		&a.Counter, moment{&a.CreatedAt}, moment{&a.UpdatedAt}, moment{&a.DeletedAt}, &m.role, moment{&m.since}, &mac,
		&a.Version, &in.generation, &sealed.MasterKey, &sealed.Bytes)
	if err != nil {
		return Account{}, err
	}
	m.vault, in.vault = a.VaultID, a.VaultID
	if a.Role = o.role(m, mac); a.Role == "" {
		return Account{}, nil
	}
	err = o.open(&a, in, sealed, func(s sealing) { s.open(&a, f) })
	return a, err
}

// open opens an account with the key of its vault, or marks it as damaged. Its error is that of a master key that is
// missing.
func (o opener) open(a *Account, in vaultGeneration, sealed keyring.SealedKey, with func(sealing)) error {
	key, err := o.key(in, sealed)
	switch {
	case errors.Is(err, keyring.ErrSealBroken):
		a.spoil(err)
	case err != nil:
		return fmt.Errorf("vault %s: %w", a.VaultID, err)
	default:
		with(sealing{key: key, account: a.ID, createdAt: a.CreatedAt, version: a.Version})
	}
	if a.Damaged {
		o.store.distrust(DistrustedAccount, a.ID)
	}
	return nil
}

// key opens the key of a vault. Its errors are those of the ring.
func (o opener) key(in vaultGeneration, sealed keyring.SealedKey) (keyring.VaultKey, error) {
	if opened, ok := o.keys[in]; ok {
		return opened.VaultKey, opened.err
	}
	key, err := o.store.ring.Open(sealed, in.vault.String(), in.generation)
	o.keys[in] = openedKey{key, err}
	return key, err
}

// Accounts returns all accounts that a user sees, in no order: the database sees no names to sort by.
func (a Actor) Accounts(ctx context.Context) ([]Account, error) {
	return a.accounts(ctx, selectAccounts, a.user.ID)
}

func (a Actor) accounts(ctx context.Context, sql string, args ...any) ([]Account, error) {
	o, err := a.opener(ctx)
	if err != nil {
		return nil, err
	}
	var accounts []Account
	err = a.single(ctx, func(rows pgx.Rows) (err error) {
		accounts, err = o.collect(rows)
		return err
	}, sql, args...)
	return accounts, err
}

// Account returns one account; ErrNotFound also for other people's, and for one in the trash.
func (a Actor) Account(ctx context.Context, id uuid.UUID) (Account, error) {
	return first(a.accounts(ctx, selectAccount, a.user.ID, id))
}

func (a Actor) account(ctx context.Context, tx pgx.Tx, id uuid.UUID) (Account, error) {
	return a.find(ctx, tx, selectAccount, id)
}

func (a Actor) find(ctx context.Context, tx pgx.Tx, sql string, id uuid.UUID) (Account, error) {
	o, err := a.opener(ctx)
	if err != nil {
		return Account{}, err
	}
	rows, _ := tx.Query(ctx, sql, a.user.ID, id) // one returns the error
	return o.one(rows)
}

// A NewAccount is an account to add. Submission is chosen by who adds it: the same
// one adds one account, however often it comes.
type NewAccount struct {
	otp.Key
	Vault      uuid.UUID // the zero UUID: the user's personal vault
	Submission uuid.UUID
	Note       string
}

// CreateAccount adds an account. When its submission came before, it returns the
// account that was added then, and created is false.
func (a Actor) CreateAccount(ctx context.Context, n NewAccount) (account Account, created bool, err error) {
	err = a.sealing(ctx, func(tx pgx.Tx) error {
		v, err := a.vault(ctx, tx, n.Vault)
		if err != nil {
			return err
		}
		if !v.role.May(access.AddAccounts) {
			return ErrForbidden
		}
		var id uuid.UUID
		if id, created, err = a.addOnce(ctx, tx, v, n); err != nil {
			return err
		}
		account, err = a.find(ctx, tx, selectAnywhere, id) // one that came before may be in the trash
		return err
	})
	return account, created, err
}

// addOnce adds an account, or finds the one that its submission has added, which needs no room.
func (a Actor) addOnce(ctx context.Context, tx pgx.Tx, v vault, n NewAccount) (id uuid.UUID, created bool, err error) {
	if err := inTurn(ctx, tx, "accounts of", v.id); err != nil {
		return id, false, err
	}
	id = newID()
	if created, err = insertAccount(ctx, tx, v, id, n); err != nil {
		return id, false, err
	}
	if !created {
		const bySubmission = `SELECT id FROM avtotpy.accounts WHERE vault_id = $1 AND submission = $2`
		return id, false, notFound(tx.QueryRow(ctx, bySubmission, v.id, n.Submission).Scan(&id))
	}
	if err := checkRoom(ctx, tx, v.id); err != nil {
		return id, false, err
	}
	return id, true, a.record(ctx, tx, "account.create", id, v.id)
}

// Submitted reports whether a submission has added an account.
func (a Actor) Submitted(ctx context.Context, submission uuid.UUID) (found bool, err error) {
	const bySubmission = `SELECT EXISTS (SELECT FROM avtotpy.accounts WHERE submission = $1)`
	return found, a.single(ctx, scan(&found), bySubmission, submission)
}

func insertAccount(ctx context.Context, tx pgx.Tx, v vault, id uuid.UUID, n NewAccount) (inserted bool, err error) {
	s := sealing{key: v.key, account: id, version: 1}
	if s.createdAt, err = now(ctx, tx); err != nil {
		return false, err
	}
	f := s.seal(n.Key, n.Note)
	tag, err := tx.Exec(ctx, `
		INSERT INTO avtotpy.accounts (id, vault_id, submission, kind, algorithm, digits, period,
			sealed_secret, sealed_issuer, sealed_name, sealed_note, version, generation)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (vault_id, submission) DO NOTHING`,
		id, v.id, n.Submission, n.Kind, n.Algorithm, n.Digits, n.Period, f.secret, f.issuer, f.name, f.note, s.version,
		v.generation)
	if err != nil || tag.RowsAffected() == 0 || n.Kind != otp.HOTP {
		return err == nil && tag.RowsAffected() > 0, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO avtotpy.hotp_counters (account_id, counter) VALUES ($1, $2)`, id, n.Counter)
	return true, err
}

// An AccountChange holds the fields to change; nil leaves one as it is.
type AccountChange struct{ Issuer, LabelIssuer, Account, Note *string }

// UpdateAccount changes what an account is called. Its secret stays.
func (a Actor) UpdateAccount(ctx context.Context, id uuid.UUID, c AccountChange) (Account, error) {
	return a.change(ctx, id, "account.update", func(account *Account) {
		for to, from := range map[*string]*string{
			&account.Issuer: c.Issuer, &account.LabelIssuer: c.LabelIssuer, &account.Account: c.Account,
			&account.Note: c.Note,
		} {
			if from != nil {
				*to = *from
			}
		}
	}, nil)
}

// change seals an account again after a function has changed it, and records what was done. What is to be changed
// besides comes afterwards, with the account as it is now: its row is locked then.
func (a Actor) change(
	ctx context.Context, id uuid.UUID, action string, apply func(*Account), besides func(pgx.Tx, Account) error,
) (Account, error) {
	var changed Account
	err := a.sealing(ctx, func(tx pgx.Tx) error {
		account, err := a.permitted(ctx, tx, id, access.ChangeAccounts)
		if err != nil {
			return err
		}
		if err := account.damage(); err != nil {
			return err
		}
		v, err := a.vault(ctx, tx, account.VaultID)
		if err != nil {
			return err
		}
		apply(&account)
		if err := a.store.update(ctx, tx, account, v); err != nil {
			return err
		}
		if besides != nil {
			if err := besides(tx, account); err != nil {
				return err
			}
		}
		if err := a.record(ctx, tx, action, id, v.id); err != nil {
			return err
		}
		changed, err = a.account(ctx, tx, id)
		return err
	})
	return changed, err
}

// sealing is inTx for what seals an account. It tries again when another transaction changed the account since it was
// read, or removed the data key with which it was sealed.
func (a Actor) sealing(ctx context.Context, do func(pgx.Tx) error) error {
	const patience = 10
	for tried := 1; ; tried++ {
		err := a.inTx(ctx, do)
		if tried == patience || !errors.Is(err, errOvertaken) && !keyIsGone(err) {
			return err
		}
	}
}

// errOvertaken means that a row was changed since it was read.
var errOvertaken = errors.New("other transactions keep changing it")

// keyIsGone reports that a data key was removed while it sealed something.
func keyIsGone(err error) bool {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	return ok && failure.Code == sqlstate.ForeignKeyViolation && failure.ConstraintName == "accounts_generation_fkey"
}

// update seals an account again, as it is now, with the newest key of its vault; errOvertaken when its row is
// not the one any more that was read.
func (s *Store) update(ctx context.Context, tx pgx.Tx, a Account, v vault) error {
	before := sealing{account: a.ID, createdAt: a.CreatedAt, version: a.Version}
	after := before.next(v)
	f := after.seal(a.Key, a.Note)
	tag, err := tx.Exec(ctx, `
		UPDATE avtotpy.accounts
		SET sealed_secret = $3, sealed_issuer = $4, sealed_name = $5, sealed_note = $6, version = $7, generation = $8,
			kind = $9, algorithm = $10, digits = $11, period = $12, updated_at = now()
		WHERE id = $1 AND version = $2`,
		a.ID, before.version, f.secret, f.issuer, f.name, f.note, after.version, after.generation, a.Kind, a.Algorithm,
		a.Digits, a.Period)
	if err == nil && tag.RowsAffected() == 0 {
		err = errOvertaken
	}
	return err
}

// permitted returns an account with which the user may do something.
func (a Actor) permitted(ctx context.Context, tx pgx.Tx, id uuid.UUID, do access.Action) (Account, error) {
	account, err := a.account(ctx, tx, id)
	if err != nil {
		return Account{}, err
	}
	if !account.Role.May(do) {
		return Account{}, ErrForbidden
	}
	return account, nil
}

// AdvanceCounter uses up the counter of a HOTP account, atomically: no other caller
// gets the same one. The account that it returns has the counter to use now.
func (a Actor) AdvanceCounter(ctx context.Context, id uuid.UUID) (Account, error) {
	return a.advance(ctx, id, nil)
}

// AdvanceCounterFrom is AdvanceCounter while the counter is at a number; ErrMoved when it is at another one.
func (a Actor) AdvanceCounterFrom(ctx context.Context, id uuid.UUID, at uint64) (Account, error) {
	return a.advance(ctx, id, &at)
}

func (a Actor) advance(ctx context.Context, id uuid.UUID, at *uint64) (Account, error) {
	var account Account
	err := a.inTx(ctx, func(tx pgx.Tx) error {
		var err error
		if account, err = a.permitted(ctx, tx, id, access.UseCounters); err != nil {
			return err
		}
		if account.Kind != otp.HOTP {
			return ErrNotHOTP
		}
		if err := account.damage(); err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `
			UPDATE avtotpy.hotp_counters SET counter = counter + 1
			WHERE account_id = $1 AND counter < 9223372036854775807 AND counter = coalesce($2, counter)
			RETURNING counter - 1`, id, at).Scan(&account.Counter)
		if notFound(err) == ErrNotFound { //nolint:errorlint // it returns the very value
			if at != nil && *at < otp.MaxCounter {
				return ErrMoved
			}
			return ErrCounterSpent
		}
		if err != nil {
			return err
		}
		return a.record(ctx, tx, "account.advance", id, account.VaultID)
	})
	return account, err
}
