// Package otp computes one-time codes and reads and writes the links that carry their keys.
//
// It knows TOTP (RFC 6238), HOTP (RFC 4226) and Steam Guard, and the otpauth:// links of
// https://github.com/google/google-authenticator/wiki/Key-Uri-Format as they are found in the wild.
//
// It promises that no input makes it panic or takes it longer than its length warrants; that
// Parse(k.URI()) is k.Canonical() for every valid key; that no message, warning or printed Key holds a
// secret; and that it does no I/O and has no clock of its own.
package otp

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/avtotpy/avtotpy/internal/problem"
)

// Kind says how a key makes its codes.
type Kind string

// The kinds of keys. The empty Kind means TOTP.
const (
	TOTP  Kind = "totp"  // from the time (RFC 6238)
	HOTP  Kind = "hotp"  // from a counter (RFC 4226)
	Steam Kind = "steam" // from the time, written in Steam's alphabet
)

// ParseKind understands a kind in any letters; null and no text are the default. What it does not know it returns
// as it was, for Validate to report.
func ParseKind(s string) Kind {
	if Unset(s) {
		return ""
	}
	if kind := Kind(strings.ToLower(strings.TrimSpace(s))); kind == TOTP || kind == HOTP || kind == Steam {
		return kind
	}
	return Kind(s)
}

// Limits of what Validate accepts, and the values that zero fields stand for.
const (
	MinDigits     = 4
	MaxDigits     = 10
	DefaultDigits = 6

	MinPeriod     = 1 // seconds
	MaxPeriod     = 86_400
	DefaultPeriod = 30

	MaxCounter = math.MaxInt64 // databases and most languages have no larger integer
	MaxSecret  = 1024          // bytes
	MaxName    = 255           // characters of an issuer or an account

	steamDigits = 5
)

// Key is what a service and its user share, and how codes are made from it.
// Zero fields stand for the defaults: TOTP, SHA1, 6 digits, 30 seconds, counter 0.
// Steam always uses SHA1, 5 characters and 30 seconds, whatever the fields say.
type Key struct {
	Kind        Kind
	Issuer      string // who gave the key: "Example"
	Account     string // whose it is: "alice@example.com"
	LabelIssuer string // what the link's label calls the issuer, where that differs from Issuer
	Secret      []byte
	Algorithm   Algorithm
	Digits      int
	Period      int    // seconds; TOTP
	Counter     uint64 // the counter of the next code; HOTP
}

// Validate returns nil or a problem.List with what is wrong.
func (k Key) Validate() error {
	var found problem.List
	k = k.withDefaults()
	if k.Kind != TOTP && k.Kind != HOTP && k.Kind != Steam {
		found.Add("kind", KindUnknown, quote(string(k.Kind)))
	}
	switch n := len(k.Secret); {
	case n == 0:
		found.Add("secret", SecretMissing)
	case n > MaxSecret:
		found.Add("secret", SecretLong, n, MaxSecret)
	}
	if k.Algorithm.hash() == nil {
		found.Add("algorithm", AlgorithmOther, quote(string(k.Algorithm)))
	}
	if k.Digits < MinDigits || k.Digits > MaxDigits {
		found.Add("digits", DigitsRange, strconv.Itoa(k.Digits), MinDigits, MaxDigits)
	}
	if k.Period < MinPeriod || k.Period > MaxPeriod {
		found.Add("period", PeriodRange, strconv.Itoa(k.Period), MinPeriod, MaxPeriod)
	}
	if k.Counter > MaxCounter {
		found.Add("counter", CounterRange, strconv.FormatUint(k.Counter, 10), 0, MaxCounter)
	}
	for _, name := range []string{k.Issuer, k.LabelIssuer} {
		if n := utf8.RuneCountInString(name); n > MaxName {
			found.Add("issuer", IssuerLong, n, MaxName)
		}
	}
	if n := utf8.RuneCountInString(k.Account); n > MaxName {
		found.Add("account", AccountLong, n, MaxName)
	}
	return found.Err()
}

// Canonical returns the key as Parse returns it: defaults filled in, a counter only for HOTP, a period
// only for TOTP, names in valid UTF-8 without control characters and outer spaces, LabelIssuer only where it differs.
func (k Key) Canonical() Key {
	k = k.withDefaults()
	if k.Kind == HOTP {
		k.Period = DefaultPeriod // it means nothing there
	} else {
		k.Counter = 0
	}
	k.Issuer, k.LabelIssuer, k.Account = cleanName(k.Issuer), cleanName(k.LabelIssuer), cleanName(k.Account)
	if k.Issuer == "" {
		k.Issuer = k.LabelIssuer
	}
	k.LabelIssuer, k.Account = splitLabel(k.label(), k.Issuer)
	return k
}

// withDefaults returns the key with its zero parameters filled in and Steam's set.
func (k Key) withDefaults() Key {
	if k.Kind == "" {
		k.Kind = TOTP
	}
	if k.Algorithm == "" {
		k.Algorithm = SHA1
	}
	if k.Digits == 0 {
		k.Digits = DefaultDigits
	}
	if k.Period == 0 {
		k.Period = DefaultPeriod
	}
	if k.Kind == Steam {
		k.Algorithm, k.Digits, k.Period = SHA1, steamDigits, DefaultPeriod
	}
	return k
}

// String describes the key without its secret.
func (k Key) String() string {
	return strings.TrimSpace(string(k.withDefaults().Kind) + " " + k.label())
}

// Format writes String for every verb, %#v and %d too, so that none shows the secret.
func (k Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, k.String()) } // fmt reports its writer's errors

// LogValue keeps the secret out of logs.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
