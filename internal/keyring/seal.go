package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
)

// ErrSealBroken means that something does not open: it was altered, moved to
// another place, or sealed with another key.
var ErrSealBroken = errors.New("sealed data does not open: it was altered, moved, or sealed with another key")

// The first byte of everything sealed says how its place is written into the additional data.
const (
	joined   = 1 // parts joined by a slash, without what the account's codes depend on; only opened
	prefixed = 2 // each part after its length
)

func seal(aead cipher.AEAD, plaintext []byte, place []string) []byte {
	return aead.Seal([]byte{prefixed}, nil, plaintext, encode(place)) //nolint:gosec // what looks like a nonce is a prefix; this AEAD draws its own
}

func open(aead cipher.AEAD, sealed []byte, place []string) ([]byte, error) {
	return openAs(prefixed, aead, sealed, encode(place))
}

func openAs(construction byte, aead cipher.AEAD, sealed, additional []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != construction {
		return nil, ErrSealBroken
	}
	plaintext, err := aead.Open(nil, nil, sealed[1:], additional)
	if err != nil {
		return nil, ErrSealBroken
	}
	return plaintext, nil
}

// encode writes parts so that no others are written alike.
func encode(parts []string) []byte {
	var b []byte
	for _, part := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

// newAEAD draws a nonce of 96 random bits for each seal. A key would have to seal
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
