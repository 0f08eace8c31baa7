package store

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/otp"
)

// A sealing is what the sealed fields of an account are bound to: its row, when that was made, its version, and
// the key of its vault. Changing one field seals all of them again, with the next version.
type sealing struct {
	key        keyring.VaultKey
	generation int // of the key
	account    uuid.UUID
	createdAt  time.Time
	version    int64
}

// sealedFields are the columns of accounts that are sealed.
type sealedFields struct{ secret, issuer, name, note []byte }

// next is the sealing of the row after a change.
func (s sealing) next(v vault) sealing {
	s.key, s.generation, s.version = v.key, v.generation, s.version+1
	return s
}

// placeOf appends to a slice where a column is.
func (s sealing) placeOf(to keyring.Place, column string) keyring.Place {
	return to.ID(s.account).Number(s.createdAt.UnixMicro()).Number(s.version).Text(column)
}

func (s sealing) place(column string) keyring.Place { return s.placeOf(nil, column) }

// secretPlace has what the codes depend on, too: who changes it makes the secret useless, not the codes wrong.
func (s sealing) secretPlace(to keyring.Place, k otp.Key) keyring.Place {
	return s.placeOf(to, "secret").Text(string(k.Kind)).Text(string(k.Algorithm)).Number(int64(k.Digits)).Number(
		int64(k.Period))
}

func (s sealing) seal(k otp.Key, note string) sealedFields {
	field := func(column, text string) []byte { return s.key.Seal([]byte(text), s.place(column)) }
	return sealedFields{
		s.key.Seal(k.Secret, s.secretPlace(nil, k)), field("issuer", issuers(k)),
		field("name", k.Account), field("note", note),
	}
}

// open fills in what is sealed, as far as it opens; otherwise the account is Damaged, and has no secret.
func (s sealing) open(a *Account, f sealedFields) {
	var problems []error
	field := func(sealed []byte, place keyring.Place) []byte {
		plain, err := s.key.Open(sealed, place)
		problems = append(problems, err)
		return plain
	}
	a.Secret = field(f.secret, s.secretPlace(nil, a.Key))
	a.Issuer, a.LabelIssuer, _ = strings.Cut(string(field(f.issuer, s.place("issuer"))), issuerEnd)
	a.Account = string(field(f.name, s.place("name")))
	a.Note = string(field(f.note, s.place("note")))
	a.spoil(errors.Join(problems...))
}

// issuerEnd is between the issuer and what a link's label called it, which are sealed together. No name holds it.
const issuerEnd = "\x00"

func issuers(k otp.Key) string {
	if k.LabelIssuer == "" {
		return k.Issuer
	}
	return k.Issuer + issuerEnd + k.LabelIssuer
}

// A spare is memory for the secrets of many accounts, and for their places.
type spare struct {
	place   keyring.Place
	secrets []byte
}

// openSecret opens the secret alone.
func (s sealing) openSecret(a *Account, secret []byte, in *spare) {
	in.place = s.secretPlace(in.place[:0], a.Key)
	if cap(in.secrets)-len(in.secrets) < len(secret) { // or each one would copy all before it
		in.secrets = make([]byte, 0, max(len(secret), 1<<10))
	}
	before := len(in.secrets)
	opened, err := s.key.AppendOpened(in.secrets, secret, in.place)
	if err == nil {
		in.secrets = opened
		a.Secret = opened[before:len(opened):len(opened)]
	}
	a.spoil(err)
}

// openFirst is open for what was sealed before there were versions.
func (s sealing) openFirst(a *Account, f sealedFields) error {
	var problems []error
	field := func(sealed []byte, column string) []byte {
		plain, err := s.key.OpenFirst(sealed, s.account.String(), column)
		problems = append(problems, err)
		return plain
	}
	a.Secret = field(f.secret, "secret")
	a.Issuer, a.Account, a.Note = string(field(f.issuer, "issuer")), string(field(f.name, "name")),
		string(field(f.note, "note"))
	return errors.Join(problems...)
}

// spoil marks an account that does not open.
func (a *Account) spoil(err error) {
	if err != nil {
		a.Damaged, a.Secret = true, nil
	}
}

// damage is why an account cannot be changed.
func (a Account) damage() error {
	if !a.Damaged {
		return nil
	}
	return fmt.Errorf("account %s: %w", a.ID, ErrDamaged)
}
