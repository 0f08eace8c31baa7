package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
)

// ErrSealBroken means that something does not open: it was altered, moved to
// another place, or sealed with another key.
var ErrSealBroken = errors.New("sealed data does not open: it was altered, moved, or sealed with another key")

// A VaultKey seals the fields of one vault.
type VaultKey struct{ aead cipher.AEAD }

// NewVaultKey makes a random key for a vault, and seals it with the active master
// key. The vault's id is part of the seal.
func (r *Ring) NewVaultKey(vault string) (VaultKey, SealedKey) {
	key := random()
	return VaultKey{newAEAD(key)}, r.keys[0].seal(key, vault)
}

// A SealedKey is the key of a vault as it is stored.
type SealedKey struct {
	MasterKey string // id of the master key that sealed it
	Bytes     []byte
}

// Open opens the key of a vault. Its errors are a *MissingKeyError and
// ErrSealBroken.
func (r *Ring) Open(sealed SealedKey, vault string) (VaultKey, error) {
	key, err := r.open(sealed, vault)
	if err != nil {
		return VaultKey{}, err
	}
	return VaultKey{newAEAD(key)}, nil
}

// Reseal seals the key of a vault with the active master key; what it seals stays
// as it is.
func (r *Ring) Reseal(sealed SealedKey, vault string) (SealedKey, error) {
	key, err := r.open(sealed, vault)
	if err != nil {
		return SealedKey{}, err
	}
	return r.keys[0].seal(key, vault), nil
}

func (r *Ring) open(sealed SealedKey, vault string) ([]byte, error) {
	master := r.find(sealed.MasterKey)
	if master == nil {
		return nil, &MissingKeyError{ID: sealed.MasterKey}
	}
	return open(newAEAD(master.derive("vault keys")), sealed.Bytes, vault)
}

func (k masterKey) seal(key []byte, vault string) SealedKey {
	return SealedKey{MasterKey: k.id, Bytes: seal(newAEAD(k.derive("vault keys")), key, vault)}
}

// A MissingKeyError means that data was sealed with a master key that is not
// there.
type MissingKeyError struct{ ID string }

func (e *MissingKeyError) Error() string {
	return fmt.Sprintf("the master key %q is missing, and data is sealed with it; add its line from your copy", e.ID)
}

// Seal seals the field of a row.
func (v VaultKey) Seal(plaintext []byte, row, column string) []byte {
	return seal(v.aead, plaintext, row+"/"+column)
}

// Open returns what Seal sealed for the same row and column; otherwise
// ErrSealBroken.
func (v VaultKey) Open(sealed []byte, row, column string) ([]byte, error) {
	return open(v.aead, sealed, row+"/"+column)
}

// LogValue keeps the key out of logs.
func (v VaultKey) LogValue() slog.Value { return slog.StringValue(v.String()) }

func (v VaultKey) String() string { return "vault key" }

// GoString is String: %#v shows no key either.
func (v VaultKey) GoString() string { return v.String() }

// version begins everything sealed, so that another construction can follow.
const version = 1

func seal(aead cipher.AEAD, plaintext []byte, place string) []byte {
	return aead.Seal([]byte{version}, nil, plaintext, []byte(place)) //nolint:gosec // what looks like a nonce is a prefix; this AEAD draws its own
}

func open(aead cipher.AEAD, sealed []byte, place string) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != version {
		return nil, ErrSealBroken
	}
	plaintext, err := aead.Open(nil, nil, sealed[1:], []byte(place))
	if err != nil {
		return nil, ErrSealBroken
	}
	return plaintext, nil
}

// newAEAD draws a nonce of 96 random bits for each seal. A vault's key would have to seal
// 2^32 fields before two might meet (NIST SP 800-38D, section 8.3).
func newAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // all keys have 32 bytes
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // AES has the block size that GCM needs
	}
	return aead
}
