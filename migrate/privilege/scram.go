package privilege

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// NewVerifier is a verifier with a salt of its own.
func NewVerifier(password string) string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	v, err := Verifier(password, salt)
	if err != nil {
		panic("privilege: PBKDF2 refuses the parameters of SCRAM-SHA-256: " + err.Error())
	}
	return v
}

// Verifier computes what PostgreSQL stores for a password (RFC 5803), so that the
// password itself is in no statement: the server's log and pg_stat_statements
// keep statements.
func Verifier(password string, salt []byte) (string, error) {
	const iterations = 4096 // PostgreSQL's own number
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", err
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		_, _ = h.Write([]byte(text)) // a hash never fails
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt), encode(stored[:]),
		encode(mac("Server Key"))), nil
}
