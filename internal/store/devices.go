package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// DeviceLifetime is how long a device is known after its user logged in with it.
const DeviceLifetime = 180 * 24 * time.Hour

const devicesAtMost = 20 // of one user; the one that was used longest ago is forgotten

// OwnDevices returns those tokens that this program gave to browsers, without asking the database: a stranger who makes
// some up must not make it work before the line for passwords has a place.
func (s *Store) OwnDevices(ctx context.Context, tokens []string) (own []string, err error) {
	if len(tokens) == 0 {
		return nil, nil
	}
	p, err := s.proof(ctx)
	if err != nil {
		return nil, err
	}
	for _, token := range tokens {
		if given := p.deviceToken(token[:min(len(token), lengthOfToken)]); hmac.Equal([]byte(given), []byte(token)) {
			own = append(own, token)
		}
	}
	return own, nil
}

// deviceToken ends with a proof that what is before it was given out.
func (p proof) deviceToken(random string) string {
	return random + base64.RawURLEncoding.EncodeToString(p.MAC(useDeviceToken, texts(random))[:lengthOfProof])
}

const (
	lengthOfToken = 43 // characters, of 32 bytes
	lengthOfProof = 12 // bytes
)

// KnownDevice returns which of the tokens that a browser has are of a device that the user has logged
// in with; ErrNotFound when none is.
func (s *Store) KnownDevice(ctx context.Context, user uuid.UUID, tokens []string) (device uuid.UUID, err error) {
	p, err := s.proof(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	macs := make([][]byte, len(tokens))
	for i, token := range tokens {
		macs[i] = p.deviceMAC(user, token)
	}
	err = s.single(ctx, user, scan(&device), `
		SELECT id
		FROM avtotpy.devices
		WHERE user_id = $1 AND token_mac = ANY ($2) AND last_used_at > now() - $3::interval
		LIMIT 1`, user, macs, DeviceLifetime)
	return device, notFound(err)
}

// deviceMAC names the user, too: a row that is moved to another user says nothing.
func (p proof) deviceMAC(user uuid.UUID, token string) []byte {
	return p.MAC(useDevice, texts(user.String(), token))
}

// useDevice keeps a device known. The zero UUID becomes a new one, with a token that is shown only here.
func (s *Store) useDevice(ctx context.Context, tx pgx.Tx, user, device uuid.UUID) (token string, err error) {
	if device != uuid.Nil {
		_, err := tx.Exec(ctx, `UPDATE avtotpy.devices SET last_used_at = now() WHERE id = $1 AND user_id = $2`,
			device, user)
		return "", err
	}
	p, err := s.proof(ctx)
	if err != nil {
		return "", err
	}
	token = p.deviceToken(newToken())
	const insert = `INSERT INTO avtotpy.devices (id, user_id, token_mac) VALUES ($1, $2, $3)`
	if _, err := tx.Exec(ctx, insert, newID(), user, p.deviceMAC(user, token)); err != nil {
		return "", err
	}
	_, err = tx.Exec(ctx, `
		DELETE FROM avtotpy.devices
		WHERE user_id = $1 AND id NOT IN (
			SELECT id FROM avtotpy.devices
			WHERE user_id = $1 AND last_used_at > now() - $2::interval
			ORDER BY last_used_at DESC, id DESC
			LIMIT $3
		)`, user, DeviceLifetime, devicesAtMost)
	return token, err
}

// newToken returns what only its holder knows.
func newToken() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails: the program crashes instead
	return base64.RawURLEncoding.EncodeToString(raw)
}
