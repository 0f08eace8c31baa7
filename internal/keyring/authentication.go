package keyring

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// An AuthenticationKey proves that this program wrote what a database holds: whose a session is, who is a
// member of a vault, which password is a user's. There is one for a database, sealed by the master
// key: so the master key can change, and what was proved stays so.
type AuthenticationKey struct {
	secret  []byte
	derived *sync.Map // by use
}

const authentication = "authentication key" // a use of master keys, and the place of what it seals

// NewAuthenticationKey makes a random key and seals it with the active master key.
func (r *Ring) NewAuthenticationKey() SealedKey {
	return r.keys[0].seal(authentication, random(), []string{authentication})
}

// OpenAuthenticationKey opens it. Its errors are a *MissingKeyError and ErrSealBroken.
func (r *Ring) OpenAuthenticationKey(sealed SealedKey) (AuthenticationKey, error) {
	secret, err := r.open(authentication, sealed, []string{authentication})
	return AuthenticationKey{secret, new(sync.Map)}, err
}

// ResealAuthenticationKey seals it with the active master key.
func (r *Ring) ResealAuthenticationKey(sealed SealedKey) (SealedKey, error) {
	secret, err := r.open(authentication, sealed, []string{authentication})
	if err != nil {
		return SealedKey{}, err
	}
	return r.keys[0].seal(authentication, secret, []string{authentication}), nil
}

// MAC returns the HMAC-SHA-256 of values, which proves them for one use.
func (k AuthenticationKey) MAC(use string, values Place) []byte {
	sum := hmacSHA256(k.derive("mac "+use), values)
	return sum[:]
}

// Proves reports whether MAC made it, of the same values for the same use.
func (k AuthenticationKey) Proves(mac []byte, use string, values Place) bool {
	sum := hmacSHA256(k.derive("mac "+use), values)
	return hmac.Equal(mac, sum[:])
}

// hmacSHA256 is the HMAC (RFC 2104) with a key of keySize bytes, without the memory that crypto/hmac takes for each:
// every request proves a session and its members.
func hmacSHA256(key, text []byte) [sha256.Size]byte {
	const usual = 256 // bytes of what is proved, and more than most of it
	var pad [sha256.BlockSize]byte
	var space [sha256.BlockSize + usual]byte
	copy(pad[:], key)
	for i := range pad {
		pad[i] ^= 0x36
	}
	inner := sha256.Sum256(append(append(space[:0], pad[:]...), text...))
	for i := range pad {
		pad[i] ^= 0x36 ^ 0x5c
	}
	return sha256.Sum256(append(append(space[:0], pad[:]...), inner[:]...))
}

// Seal seals a text for a place.
func (k AuthenticationKey) Seal(plaintext []byte, use string, place ...string) []byte {
	return seal(newAEAD(k.derive("seal "+use)), plaintext, encode(place))
}

// Open returns what Seal sealed for the same use and place; otherwise ErrSealBroken.
func (k AuthenticationKey) Open(sealed []byte, use string, place ...string) ([]byte, error) {
	return open(newAEAD(k.derive("seal "+use)), sealed, encode(place))
}

// derive returns the key for one use, of which there are few.
func (k AuthenticationKey) derive(use string) []byte {
	if known, ok := k.derived.Load(use); ok {
		return known.([]byte) //nolint:forcetypeassert // there is nothing else
	}
	key, err := hkdf.Key(sha256.New, k.secret, nil, "avtotpy authentication "+use, keySize)
	if err != nil {
		panic(err) // the length is far below HKDF's limit
	}
	k.derived.Store(use, key)
	return key
}

// LogValue keeps the key out of logs.
func (k AuthenticationKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

func (k AuthenticationKey) String() string { return authentication }

// Format writes String for every verb: %#v and %d show no key either.
// fmt reports its writer's errors
func (k AuthenticationKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, k.String()) }
