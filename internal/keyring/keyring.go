// Package keyring holds the master keys and seals with them the keys of vaults,
// which in turn seal what vaults hold.
//
// It promises that everything sealed is AES-256-GCM with a random nonce and opens
// only in the place that it was sealed for (vault, row, version and column are additional
// data); that no two uses share a key (HKDF-SHA-256, RFC 5869, derives one for
// each); and that no error or printed value shows a key.
//
// The program reads its master keys at every start and no one else has them: the
// database alone reveals nothing, and without the master keys what is sealed in it
// is lost.
package keyring

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
)

const keySize = 32 // bytes, of master keys and all others

// A Ring is one or more master keys. The active one seals; all open.
type Ring struct {
	keys []masterKey // the active one first
}

type masterKey struct {
	id     string
	secret []byte
	opens  *sync.Map // what opens with the key for one use, by use
}

// Parse reads master keys: lines of id:base64(32 bytes), the first one active.
// Empty lines and those that start with # are left out. Its error names every bad
// line by its number and repeats nothing of it but the id.
func Parse(text string) (*Ring, error) {
	ring := new(Ring)
	var problems []error
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := parseKey(line)
		if err == nil && ring.find(key.id) != nil {
			err = fmt.Errorf("the id %q is there twice: each key needs an id of its own. Change that of the key "+
				"that has sealed nothing yet; "+
				"the id, before the colon, is free to choose", key.id)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("line %d: %w", number, err))
			continue
		}
		ring.keys = append(ring.keys, key)
	}
	if len(problems) == 0 && len(ring.keys) == 0 {
		problems = append(problems, errors.New("there is no key; make one with: avtotpy key generate"))
	}
	return ring, errors.Join(problems...)
}

func parseKey(line string) (masterKey, error) {
	id, encoded, found := strings.Cut(line, ":")
	if !found || !validID(id) {
		// What stands before the colon may be a piece of the key.
		return masterKey{}, errors.New("expected id:base64, with an id of 1 to 64 letters, digits, - and _; avtotpy " +
			"key generate prints one")
	}
	const longestShown = 32 // bytes; what is longer may be a key that stands where its id belongs
	shown := "the key " + strconv.Quote(id)
	if len(id) > longestShown {
		shown = "the key"
	}
	secret, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return masterKey{}, fmt.Errorf("%s is not base64; it may be cut off or have a character that does not "+
			"belong to it", shown)
	}
	if len(secret) != keySize {
		return masterKey{}, fmt.Errorf("%s has %d bytes, want %d; it may be cut off", shown, len(secret), keySize)
	}
	return masterKey{id, secret, new(sync.Map)}, nil
}

func validID(id string) bool {
	const longest = 64
	return len(id) >= 1 && len(id) <= longest &&
		strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// Generate returns a line with a new random key.
func Generate(id string) string {
	return id + ":" + base64.StdEncoding.EncodeToString(random())
}

func random() []byte {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails: the program crashes instead
	return key
}

// Active returns the id of the key that seals.
func (r *Ring) Active() string { return r.keys[0].id }

// IDs returns the ids of all keys, the active one first.
func (r *Ring) IDs() []string {
	ids := make([]string, len(r.keys))
	for i, key := range r.keys {
		ids[i] = key.id
	}
	return ids
}

// Has reports whether there is a key with the id.
func (r *Ring) Has(id string) bool { return r.find(id) != nil }

func (r *Ring) find(id string) *masterKey {
	for i := range r.keys {
		if r.keys[i].id == id {
			return &r.keys[i]
		}
	}
	return nil
}

// CheckValue returns 32 bytes by which a key can be distinguished from another with the
// same id, and from which nothing else about it can be learnt. It is nil when
// there is no key with the id.
func (r *Ring) CheckValue(id string) []byte {
	key := r.find(id)
	if key == nil {
		return nil
	}
	return key.derive("check value")
}

// SetupToken returns what proves that a visitor can read the log of this program.
// All replicas with the same active key print the same one.
func (r *Ring) SetupToken() string {
	const length = 20 // characters of 5 bits
	text := base32.StdEncoding.EncodeToString(r.keys[0].derive("set-up token"))[:length]
	return text[:5] + "-" + text[5:10] + "-" + text[10:15] + "-" + text[15:]
}

// MAC returns the HMAC-SHA-256 of a text that must not be readable from the
// database, and not be guessed from there. Uses do not share keys.
func (r *Ring) MAC(use, text string) []byte {
	mac := hmac.New(sha256.New, r.keys[0].derive("mac "+use))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// derive returns the key for one use.
func (k masterKey) derive(use string) []byte {
	key, err := hkdf.Key(sha256.New, k.secret, nil, "avtotpy "+use, keySize)
	if err != nil {
		panic(err) // the length is far below HKDF's limit
	}
	return key
}

// aead seals with the key for one use, of which there are few. It is kept: each request opens the key of a vault.
func (k masterKey) aead(use string) cipher.AEAD {
	if known, ok := k.opens.Load(use); ok {
		return known.(cipher.AEAD) //nolint:forcetypeassert // there is nothing else
	}
	aead := newAEAD(k.derive(use))
	k.opens.Store(use, aead)
	return aead
}

// String names the keys without showing them.
func (r *Ring) String() string { return "master keys " + strings.Join(r.IDs(), ", ") }

// GoString is String: %#v shows no key either.
func (r *Ring) GoString() string { return r.String() }

// LogValue keeps the keys out of logs.
func (r *Ring) LogValue() slog.Value { return slog.StringValue(r.String()) }
