package otp

import (
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // some keys say so; HMAC does not need a collision-free hash
	"crypto/sha1" //nolint:gosec // RFC 4226 and nearly every service use it; HMAC does not need a collision-free hash
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"strings"
	"time"
)

// Algorithm is the hash inside the HMAC that makes the codes.
type Algorithm string

// The algorithms. Services use the first three; the others are found in links and backups of other apps.
// The empty Algorithm means SHA1.
const (
	SHA1   Algorithm = "SHA1"
	SHA256 Algorithm = "SHA256"
	SHA512 Algorithm = "SHA512"
	SHA224 Algorithm = "SHA224"
	SHA384 Algorithm = "SHA384"
	MD5    Algorithm = "MD5"
)

// hash returns the algorithm's constructor, or nil for an unknown one.
func (a Algorithm) hash() func() hash.Hash {
	switch a {
	case SHA1:
		return sha1.New
	case SHA256:
		return sha256.New
	case SHA512:
		return sha512.New
	case SHA224:
		return sha256.New224
	case SHA384:
		return sha512.New384
	case MD5:
		return md5.New
	}
	return nil
}

// ParseAlgorithm understands the spellings that are found in links: sha-256, HmacSHA256, HMAC_SHA_256; null and no
// text are the default. What it does not know it returns as it was, for Validate to report.
func ParseAlgorithm(s string) Algorithm {
	if Unset(s) {
		return ""
	}
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -_", r) {
			return -1
		}
		return r
	}, strings.ToUpper(s))
	if a := Algorithm(strings.TrimPrefix(name, "HMAC")); a.hash() != nil {
		return a
	}
	return Algorithm(s)
}

// Code is a code and the time in which it is valid: From included, Until not.
type Code struct {
	Value       string
	From, Until time.Time // UTC
}

// At returns the code that is valid at t (RFC 6238, section 4.2); the one after it is k.At(code.Until).
// It returns the zero Code for HOTP, whose codes do not depend on the time, and for a key that is not valid.
func (k Key) At(t time.Time) Code {
	k = k.withDefaults()
	if k.Kind == HOTP || k.Period < MinPeriod {
		return Code{}
	}
	period := int64(k.Period)
	step := t.Unix() / period
	if t.Unix()%period < 0 { // rounded towards zero, but the step began before that
		step--
	}
	value := k.HOTP(uint64(step)) //nolint:gosec // before 1970 the counter wraps, which does no harm
	if value == "" {
		return Code{}
	}
	from := time.Unix(step*period, 0).UTC()
	return Code{Value: value, From: from, Until: from.Add(time.Duration(period) * time.Second)}
}

// HOTP returns the code of a counter (RFC 4226, section 5.3), in Steam's alphabet for a Steam key.
// It returns "" for a key that is not valid.
func (k Key) HOTP(counter uint64) string {
	k = k.withDefaults()
	if k.Algorithm.hash() == nil || len(k.Secret) == 0 || k.Digits < MinDigits || k.Digits > MaxDigits {
		return ""
	}
	value := truncate(k.Algorithm, k.Secret, counter)

	var text [MaxDigits]byte
	if k.Kind == Steam {
		const alphabet = "23456789BCDFGHJKMNPQRTVWXY"
		for i := range k.Digits {
			text[i] = alphabet[value%uint32(len(alphabet))]
			value /= uint32(len(alphabet))
		}
	} else {
		for i := k.Digits - 1; i >= 0; i-- {
			text[i] = '0' + byte(value%10)
			value /= 10
		}
	}
	return string(text[:k.Digits])
}

// truncate returns the 31 bits that RFC 4226, section 5.3, takes from the HMAC of the counter. It takes
// the offset from the last byte of the HMAC, as RFC 6238 does for hashes longer than SHA1. MD5 is too short:
// where the bits reach beyond its end they are zero.
func truncate(algorithm Algorithm, secret []byte, counter uint64) uint32 {
	var space [sha512.Size]byte
	var size int
	if algorithm == SHA1 {
		sum := hmacSHA1(secret, counter)
		size = copy(space[:], sum[:])
	} else {
		mac := hmac.New(algorithm.hash(), secret)
		mac.Write(binary.BigEndian.AppendUint64(nil, counter))
		size = copy(space[:], mac.Sum(nil))
	}
	offset := space[size-1] & 0xf
	return binary.BigEndian.Uint32(space[offset:]) & 0x7fffffff
}

// hmacSHA1 is the HMAC (RFC 2104) of nearly every key, without the memory that crypto/hmac takes for each: a list has
// hundreds of codes.
func hmacSHA1(secret []byte, counter uint64) [sha1.Size]byte {
	if len(secret) > sha1.BlockSize {
		sum := sha1.Sum(secret) //nolint:gosec // as above
		secret = sum[:]
	}
	var inner [sha1.BlockSize + 8]byte
	var outer [sha1.BlockSize + sha1.Size]byte
	copy(inner[:], secret)
	copy(outer[:], secret)
	for i := range sha1.BlockSize {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	binary.BigEndian.PutUint64(inner[sha1.BlockSize:], counter)
	sum := sha1.Sum(inner[:]) //nolint:gosec // as above
	copy(outer[sha1.BlockSize:], sum[:])
	return sha1.Sum(outer[:]) //nolint:gosec // as above
}
