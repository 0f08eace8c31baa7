package keyring

import (
	"crypto/cipher"
	"fmt"
	"log/slog"
	"strconv"
)

// A VaultKey seals the fields of one vault. A vault gets another one when its data keys are
// rotated: the generations of its key count from 1.
type VaultKey struct{ aead cipher.AEAD }

// NewVaultKey makes a random key for a vault, and seals it with the active master
// key. The vault's id and the generation are part of the seal.
func (r *Ring) NewVaultKey(vault string, generation int) (VaultKey, SealedKey) {
	key := random()
	return VaultKey{newAEAD(key)}, r.keys[0].seal(vaultKeys, key, vaultPlace(vault, generation))
}

const vaultKeys = "vault keys" // a use of master keys

// A SealedKey is a key as it is stored.
type SealedKey struct {
	MasterKey string // id of the master key that sealed it
	Bytes     []byte
}

// Open opens the key of a vault. Its errors are a *MissingKeyError and
// ErrSealBroken.
func (r *Ring) Open(sealed SealedKey, vault string, generation int) (VaultKey, error) {
	key, err := r.openVaultKey(sealed, vault, generation)
	if err != nil {
		return VaultKey{}, err
	}
	return VaultKey{newAEAD(key)}, nil
}

// Reseal seals the key of a vault with the active master key; what it seals stays
// as it is.
func (r *Ring) Reseal(sealed SealedKey, vault string, generation int) (SealedKey, error) {
	key, err := r.openVaultKey(sealed, vault, generation)
	if err != nil {
		return SealedKey{}, err
	}
	return r.keys[0].seal(vaultKeys, key, vaultPlace(vault, generation)), nil
}

func (r *Ring) openVaultKey(sealed SealedKey, vault string, generation int) ([]byte, error) {
	// Keys from before there were generations are all of the first.
	if generation == 1 && len(sealed.Bytes) > 0 && sealed.Bytes[0] == joined {
		master := r.find(sealed.MasterKey)
		if master == nil {
			return nil, &MissingKeyError{ID: sealed.MasterKey}
		}
		return openAs(joined, master.aead(vaultKeys), sealed.Bytes, []byte(vault))
	}
	return r.open(vaultKeys, sealed, vaultPlace(vault, generation))
}

func vaultPlace(vault string, generation int) []string {
	return []string{vault, strconv.Itoa(generation)}
}

func (r *Ring) open(use string, sealed SealedKey, place []string) ([]byte, error) {
	master := r.find(sealed.MasterKey)
	if master == nil {
		return nil, &MissingKeyError{ID: sealed.MasterKey}
	}
	return open(master.aead(use), sealed.Bytes, encode(place))
}

func (k masterKey) seal(use string, key []byte, place []string) SealedKey {
	return SealedKey{MasterKey: k.id, Bytes: seal(k.aead(use), key, encode(place))}
}

// A MissingKeyError means that data was sealed with a master key that is not
// there.
type MissingKeyError struct{ ID string }

func (e *MissingKeyError) Error() string {
	return fmt.Sprintf("the master key %q is missing, and data is sealed with it; add its line from your copy", e.ID)
}

// Seal seals a field for a place: the ids, versions and values that have to be the same
// when it is opened.
func (v VaultKey) Seal(plaintext []byte, place Place) []byte {
	return seal(v.aead, plaintext, place)
}

// Open returns what Seal sealed for the same place; otherwise ErrSealBroken.
func (v VaultKey) Open(sealed []byte, place Place) ([]byte, error) {
	return open(v.aead, sealed, place)
}

// AppendOpened appends to a slice what Open returns.
func (v VaultKey) AppendOpened(to, sealed []byte, place Place) ([]byte, error) {
	return appendOpened(to, prefixed, v.aead, sealed, place)
}

// OpenFirst opens what programs sealed whose fields were bound to their row and column alone.
// Only a row that is proved to be from then may be opened by it.
func (v VaultKey) OpenFirst(sealed []byte, row, column string) ([]byte, error) {
	return openAs(joined, v.aead, sealed, []byte(row+"/"+column))
}

// LogValue keeps the key out of logs.
func (v VaultKey) LogValue() slog.Value { return slog.StringValue(v.String()) }

func (v VaultKey) String() string { return "vault key" }

// GoString is String: %#v shows no key either.
func (v VaultKey) GoString() string { return v.String() }
