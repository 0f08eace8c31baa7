package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/access"
	"github.com/avtotpy/avtotpy/internal/keyring"
)

// What authorises is believed only when it is authenticated: rows of sessions, members and passwords that
// were written with SQL, without the authentication key, are ignored
// (docs/decisions/0025).

// The uses of the authentication key. Each has a key of its own.
const (
	useToken       = "session token"
	useSession     = "session"
	useDevice      = "device"
	useDeviceToken = "device token"
	useMember      = "vault member"
	usePassword    = "password"
	useName        = "user name"       // in lower case
	useSpelling    = "user name as is" // of a user who shares the name in lower case with another
)

// A proof is the authentication key with the values that it proves.
type proof struct{ keyring.AuthenticationKey }

// cachedProof is what an authentication key was opened from.
type cachedProof struct {
	sealed keyring.SealedKey
	proof
}

// proof returns the authentication key of the database. In a transaction it has been read already.
func (s *Store) proof(ctx context.Context) (proof, error) {
	if cached := s.proved.Load(); cached != nil {
		return cached.proof, nil
	}
	return s.readProof(ctx)
}

// makeProof makes the authentication key where there is none. Of several that make one at once, the
// first one's is that of all.
func (s *Store) makeProof(ctx context.Context) error {
	_, err := s.readProof(ctx)
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	made := s.ring.NewAuthenticationKey()
	const insert = `
		INSERT INTO avtotpy.authentication_key (master_key_id, sealed_key) VALUES ($1, $2) ON CONFLICT DO NOTHING`
	if err := s.single(ctx, uuid.Nil, nil, insert, made.MasterKey, made.Bytes); err != nil {
		return err
	}
	_, err = s.readProof(ctx)
	return err
}

func (s *Store) readProof(ctx context.Context) (proof, error) {
	sealed, err := s.sealedProof(ctx)
	if err != nil {
		return proof{}, fmt.Errorf("read the authentication key: %w", err)
	}
	if cached := s.proved.Load(); cached != nil && cached.sealed.MasterKey == sealed.MasterKey &&
		bytes.Equal(cached.sealed.Bytes, sealed.Bytes) {
		return cached.proof, nil
	}
	key, err := s.ring.OpenAuthenticationKey(sealed)
	if errors.Is(err, keyring.ErrSealBroken) {
		return proof{}, &KeyError{fmt.Errorf("the row of avtotpy.authentication_key: %w. Restore it from a backup "+
			"of the database", err)}
	}
	if err != nil {
		return proof{}, err
	}
	s.proved.Store(&cachedProof{sealed, proof{key}})
	return proof{key}, nil
}

func (s *Store) sealedProof(ctx context.Context) (sealed keyring.SealedKey, err error) {
	const read = `SELECT master_key_id, sealed_key FROM avtotpy.authentication_key`
	err = s.single(ctx, uuid.Nil, scan(&sealed.MasterKey, &sealed.Bytes), read)
	return sealed, err
}

// now is when the transaction began, which is what rows that it adds have as created_at.
func now(ctx context.Context, tx pgx.Tx) (t time.Time, err error) {
	err = tx.QueryRow(ctx, `SELECT now()`).Scan(&t)
	return t, err
}

// tokenHash is what the database has of a session's token. It is made of the SHA-256 because
// sessions from before 0012 have that.
func (p proof) tokenHash(sha256 []byte) []byte { return p.MAC(useToken, texts(string(sha256))) }

// texts are what a MAC proves when it is a few texts.
func texts(all ...string) (p keyring.Place) {
	for _, text := range all {
		p = p.Text(text)
	}
	return p
}

// A sessionRow is what makes a session valid.
type sessionRow struct {
	id, user           uuid.UUID
	tokenHash          []byte
	createdAt, expires time.Time
	version            int64 // of the token
}

func (r sessionRow) values() keyring.Place {
	return make(keyring.Place, 0, usualPlace).ID(r.id).ID(r.user).Text(string(r.tokenHash)).
		Number(r.createdAt.UnixMicro()).Number(r.expires.UnixMicro()).Number(r.version)
}

const usualPlace = 256 // bytes of what is proved, and more than most of it

// A member is a user of a vault.
type member struct {
	vault, user uuid.UUID
	role        access.Role
	since       time.Time
}

func (m member) values() keyring.Place {
	return make(keyring.Place, 0, usualPlace).ID(m.vault).ID(m.user).Text(string(m.role)).Number(m.since.UnixMicro())
}

func (p proof) sealPassword(hash string, user uuid.UUID, version int64) []byte {
	return p.Seal([]byte(hash), usePassword, user.String(), strconv.FormatInt(version, 10))
}

func (p proof) openPassword(sealed []byte, user uuid.UUID, version int64) (string, error) {
	hash, err := p.Open(sealed, usePassword, user.String(), strconv.FormatInt(version, 10))
	return string(hash), err
}

// fold is what two names have in common that are one person's.
func fold(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

func (p proof) nameMAC(name string) []byte { return p.MAC(useName, texts(fold(name))) }

// spellingMAC is for the second one of two names that databases with the locale C kept
// apart, such as Ärzte and ärzte.
func (p proof) spellingMAC(name string) []byte {
	return p.MAC(useSpelling, texts(strings.TrimSpace(name)))
}

// A Distrusted is a kind of rows that are not what this program wrote.
type Distrusted string

// The kinds.
const (
	DistrustedSession  Distrusted = "session"
	DistrustedMember   Distrusted = "member"
	DistrustedPassword Distrusted = "password"
	DistrustedAccount  Distrusted = "account"
)

// AllDistrusted returns all kinds.
func AllDistrusted() []Distrusted {
	return []Distrusted{DistrustedSession, DistrustedMember, DistrustedPassword, DistrustedAccount}
}

func (s *Store) distrust(kind Distrusted, id uuid.UUID) {
	if s.Distrust != nil {
		s.Distrust(kind, id)
	}
}
