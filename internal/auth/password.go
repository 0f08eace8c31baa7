package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// passwords hashes and checks passwords with argon2id (RFC 9106), a few at a time.
type passwords struct {
	queue queue
	dummy string // a hash that no password has, to check against when the name is unknown
}

func newPasswords() *passwords {
	p := new(passwords)
	p.dummy = argonHash{params: costs(), salt: randomBytes(saltSize), key: randomBytes(hashSize)}.String()
	return p
}

const (
	saltSize = 16 // bytes
	hashSize = 32
)

// argonParams are what a hash costs.
type argonParams struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
}

// costs are those of new hashes; a login with a hash of another cost makes a new one.
func costs() argonParams { return argonParams{memory: 46 * 1024, time: 2, threads: 1} }

// The most that a stored hash may cost. A row that asks for more is not from this program.
const (
	mostMemory  = 256 * 1024 // KiB
	mostTime    = 8
	mostThreads = 4
	mostSalt    = 64 // bytes
)

// hash returns the PHC string of a password.
func (p *passwords) hash(ctx context.Context, at place, password string) (string, error) {
	h := argonHash{params: costs(), salt: randomBytes(saltSize)}
	if err := p.compute(ctx, at, &h.key, h, password); err != nil {
		return "", err
	}
	return h.String(), nil
}

// check reports whether a password has a hash, and whether the hash should be made
// again. An empty hash stands for a user who does not exist; it takes as long.
func (p *passwords) check(ctx context.Context, at place, password, phc string) (right, outdated bool, err error) {
	exists := phc != ""
	if !exists {
		phc = p.dummy
	}
	h, err := parseHash(phc)
	if err != nil {
		return false, false, err
	}
	var key []byte
	if err := p.compute(ctx, at, &key, h, password); err != nil {
		return false, false, err
	}
	right = subtle.ConstantTimeCompare(key, h.key) == 1 && exists
	return right, h.params != costs(), nil
}

func (p *passwords) compute(ctx context.Context, at place, key *[]byte, h argonHash, password string) error {
	return p.queue.do(ctx, at, func() {
		*key = argon2.IDKey([]byte(password), h.salt, h.params.time, h.params.memory, h.params.threads, hashSize)
	})
}

// An argonHash is a hash with all that it takes to compare with it.
type argonHash struct {
	params    argonParams
	salt, key []byte
}

// String is the PHC form: $argon2id$v=19$m=47104,t=2,p=1$salt$hash
func (h argonHash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.params.memory, h.params.time,
		h.params.threads,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.key))
}

func parseHash(phc string) (argonHash, error) {
	var h argonHash
	var version int
	malformed := fmt.Errorf("a stored password hash is not argon2id version %d, or costs more than this "+
		"program asks for", argon2.Version)
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return h, malformed
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return h, malformed
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.params.memory, &h.params.time,
		&h.params.threads); err != nil {
		return h, malformed
	}
	var saltErr, keyErr error
	h.salt, saltErr = base64.RawStdEncoding.DecodeString(parts[4])
	h.key, keyErr = base64.RawStdEncoding.DecodeString(parts[5])
	if saltErr != nil || keyErr != nil || len(h.key) != hashSize || len(h.salt) > mostSalt || h.params.time == 0 ||
		h.params.threads == 0 ||
		h.params.memory > mostMemory || h.params.time > mostTime || h.params.threads > mostThreads ||
		h.String() != phc {
		return h, malformed
	}
	return h, nil
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: the program crashes instead
	return b
}
