package otp

import (
	"encoding/base32"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/avtotpy/avtotpy/internal/problem"
)

// ParseSecret returns the bytes of a base32 secret that a person typed. Upper and lower case, spaces,
// dashes and padding do not matter; anything else is reported with its place, because a secret with a
// character left out makes codes that look right and are wrong.
func ParseSecret(s string) ([]byte, error) {
	var found problem.List
	if before, _, ok := strings.Cut(strings.ToLower(strings.TrimSpace(s)), ":"); ok &&
		strings.HasSuffix(before, "otpauth") {
		return nil, problem.Of("secret", SecretIsLink)
	}
	clean, unknown := cleanSecret(s)
	secret, whole := decodeSecret(clean)
	switch {
	case several(s):
		found.Add("secret", SecretSeveral)
	case len(unknown) > 0:
		unknown[0].addTo(&found)
	case len(clean) == 0:
		found.Add("secret", SecretMissing)
	case !whole:
		found.Add("secret", SecretLength, len(clean))
	case len(secret) > MaxSecret:
		found.Add("secret", SecretLong, len(secret), MaxSecret)
	}
	if len(found) > 0 {
		return nil, found
	}
	return secret, nil
}

// IsSecret reports whether a text alone can be a secret: base32 of a length that services use.
func IsSecret(s string) bool {
	clean, unknown := cleanSecret(s)
	secret, whole := decodeSecret(clean)
	return len(unknown) == 0 && whole && len(secret) >= usualSecret
}

// several reports a text with a whole secret in each of its lines. Without the break between them they would look
// like one, whose codes no service accepts.
func several(s string) bool {
	lines, all := 0, true
	for _, line := range strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) && r != ' ' }) {
		lines++
		all = all && IsSecret(line)
	}
	return lines > 1 && all
}

// inParts reports a text with spaces in it and a whole secret between them: two secrets, or one with its name. Services
// put spaces between a few characters.
func inParts(s string) bool {
	parts, whole := 0, false
	for part := range strings.FieldsSeq(s) {
		if clean, _ := cleanSecret(part); len(clean) > 0 {
			parts++
		}
		whole = whole || IsSecret(part)
	}
	return parts > 1 && whole
}

// Doubts returns what is doubtful about how a valid secret was typed.
func Doubts(s string) problem.List {
	var found problem.List
	if inParts(s) {
		found.Add("secret", WarnParts)
	}
	return found
}

// misfit is a character that base32 does not have, and its place in what was typed, counted from 1.
type misfit struct {
	char  rune
	place int
}

// cleanSecret returns the base32 characters of s in upper case, without the spaces, dashes and padding that
// apps put between and after them, and separately the characters that are none.
func cleanSecret(s string) (clean []byte, unknown []misfit) {
	s = strings.TrimRightFunc(strings.Map(narrow, s), func(r rune) bool { return r == '=' || isFiller(r) })
	place := 0
	for _, r := range s {
		place++
		switch {
		case 'a' <= r && r <= 'z':
			clean = utf8.AppendRune(clean, r-'a'+'A')
		case 'A' <= r && r <= 'Z', '2' <= r && r <= '7':
			clean = utf8.AppendRune(clean, r)
		case !isFiller(r):
			unknown = append(unknown, misfit{r, place})
		}
	}
	return clean, unknown
}

// narrow returns the ASCII character of one of the wide forms that an input method for Chinese or Japanese types.
func narrow(r rune) rune {
	if '！' <= r && r <= '～' {
		return r - '！' + '!'
	}
	return r
}

// isFiller reports whether r only separates groups: a space, a dash of any length, or one of the invisible
// characters that copying from a page or a PDF brings along.
func isFiller(r rune) bool {
	return unicode.IsSpace(r) || unicode.In(r, unicode.Pd, unicode.Cf) || r == '−'
}

// decodeSecret returns the bytes of upper-case base32 without padding. It reports false when the last character
// belongs to no byte: lengths that leave a remainder of 1, 3 or 6 come from no encoder. Such secrets exist
// all the same, made of random characters; like other apps it then ignores that character.
func decodeSecret(clean []byte) (secret []byte, whole bool) {
	whole = true
	switch len(clean) % 8 {
	case 1, 3, 6:
		clean, whole = clean[:len(clean)-1], false
	}
	secret = make([]byte, base32.StdEncoding.WithPadding(base32.NoPadding).DecodedLen(len(clean)))
	// only the alphabet and possible lengths get here
	n, _ := base32.StdEncoding.WithPadding(base32.NoPadding).Decode(secret, clean)
	return secret[:n], whole
}

// encodeSecret is the inverse of decodeSecret.
func encodeSecret(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}

// addTo says which character it is, its place, and what it was probably meant to be.
func (m misfit) addTo(found *problem.List) {
	switch m.char {
	case '0':
		found.Add("secret", SecretZero, m.place)
	case '1':
		found.Add("secret", SecretOne, m.place)
	case '8':
		found.Add("secret", SecretEight, m.place)
	default:
		found.Add("secret", SecretChar, string(m.char), m.place)
	}
}
