package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
)

// ErrSealBroken means that something does not open: it was altered, moved to
// another place, or sealed with another key.
var ErrSealBroken = errors.New("sealed data does not open: it was altered, moved, or sealed with another key")

// The first byte of everything sealed says how its place is written into the additional data.
const (
	joined   = 1 // parts joined by a slash, without what the account's codes depend on; only opened
	prefixed = 2 // each part after its length
)

func seal(aead cipher.AEAD, plaintext []byte, place Place) []byte {
	// What looks like a nonce is a prefix; this AEAD draws its own.
	return aead.Seal([]byte{prefixed}, nil, plaintext, place) //nolint:gosec // as above
}

func open(aead cipher.AEAD, sealed []byte, place Place) ([]byte, error) {
	return openAs(prefixed, aead, sealed, place)
}

func openAs(construction byte, aead cipher.AEAD, sealed, additional []byte) ([]byte, error) {
	return appendOpened(nil, construction, aead, sealed, additional)
}

func appendOpened(to []byte, construction byte, aead cipher.AEAD, sealed, additional []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != construction {
		return nil, ErrSealBroken
	}
	plaintext, err := aead.Open(to, nil, sealed[1:], additional)
	if err != nil {
		return nil, ErrSealBroken
	}
	return plaintext, nil
}

// encode writes parts so that no others are written alike.
func encode(parts []string) Place {
	var p Place
	for _, part := range parts {
		p = p.Text(part)
	}
	return p
}

// A Place is what something sealed is bound to, as it is written into the additional data: each part after its length.
type Place []byte

// Text appends a part.
func (p Place) Text(part string) Place {
	return append(binary.BigEndian.AppendUint64(p, uint64(len(part))), part...)
}

// Number appends a part that is written in digits.
func (p Place) Number(n int64) Place {
	const most = 20 // digits and the sign
	var digits [most]byte
	text := strconv.AppendInt(digits[:0], n, 10)
	return append(binary.BigEndian.AppendUint64(p, uint64(len(text))), text...)
}

// ID appends a UUID, which is written in the usual way.
func (p Place) ID(id [16]byte) Place {
	const dashed = 36
	p = binary.BigEndian.AppendUint64(p, dashed)
	for i, end := range []int{4, 6, 8, 10, 16} {
		start := []int{0, 4, 6, 8, 10}[i]
		if start > 0 {
			p = append(p, '-')
		}
		p = hex.AppendEncode(p, id[start:end])
	}
	return p
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
