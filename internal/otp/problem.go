package otp

import (
	"slices"
	"strings"

	"github.com/avtotpy/avtotpy/internal/problem"
)

// What is wrong with a key. The fields are link, kind, secret, algorithm, digits, period, counter, issuer and account;
// no argument is a secret.
const (
	LinkMissing    problem.Code = "link.missing"
	LinkLong       problem.Code = "link.long" // its bytes, the most
	LinkSeveral    problem.Code = "link.several"
	LinkCharacter  problem.Code = "link.character" // the first character that no secret has, its position
	LinkLetters    problem.Code = "link.letters"
	LinkPage       problem.Code = "link.page"
	LinkExport     problem.Code = "link.export"
	LinkMicrosoft  problem.Code = "link.microsoft"
	LinkPicture    problem.Code = "link.picture"
	LinkScheme     problem.Code = "link.scheme"
	LinkWithout    problem.Code = "link.without-secret"
	LinkNotBase32  problem.Code = "link.not-base32"
	LinkOfNoKind   problem.Code = "link.unknown-kind"
	KindUnknown    problem.Code = "kind.unknown" // what was given
	SecretMissing  problem.Code = "secret.missing"
	SecretLong     problem.Code = "secret.long"   // its bytes, the most
	SecretLength   problem.Code = "secret.length" // its characters
	SecretIsLink   problem.Code = "secret.is-link"
	SecretSeveral  problem.Code = "secret.several"
	SecretChar     problem.Code = "secret.character" // the first character that no secret has, its position
	SecretZero     problem.Code = "secret.zero"      // the position of the digit
	SecretOne      problem.Code = "secret.one"       // the position of the digit
	SecretEight    problem.Code = "secret.eight"     // the position of the digit
	AlgorithmOther problem.Code = "algorithm.unknown"
	DigitsRange    problem.Code = "digits.range"  // what was given, the least, the most
	PeriodRange    problem.Code = "period.range"  // what was given, the least, the most
	CounterRange   problem.Code = "counter.range" // what was given, the least, the most
	IssuerLong     problem.Code = "issuer.long"   // its characters, the most
	AccountLong    problem.Code = "account.long"  // its characters, the most
)

// Warnings: the key is valid, and its codes could still come out wrong.
const (
	WarnKindAssumed problem.Code = "warning.kind-assumed"
	WarnNoCounter   problem.Code = "warning.no-counter"
	WarnEncoder     problem.Code = "warning.encoder" // what was given
	WarnTwoSecrets  problem.Code = "warning.two-secrets"
	WarnLeftOut     problem.Code = "warning.left-out" // how many characters
	WarnRemainder   problem.Code = "warning.remainder"
	WarnParts       problem.Code = "warning.parts"
	WarnShort       problem.Code = "warning.short" // bytes, the fewest that are usual
	WarnGuessable   problem.Code = "warning.guessable"
	WarnMD5         problem.Code = "warning.md5"
	WarnSteam       problem.Code = "warning.steam" // a question: codes of Steam, or 5 digits?
)

const usualSecret = 10 // bytes; the shortest that services are known to give (16 characters)

// Warnings returns what is doubtful about a valid key, wherever it comes from.
func (k Key) Warnings() problem.List {
	var found problem.List
	switch text := encodeSecret(k.Secret); {
	case len(k.Secret) < usualSecret:
		found.Add("secret", WarnShort, len(k.Secret), usualSecret)
	case guessable(text):
		found.Add("secret", WarnGuessable)
	}
	if k.Algorithm == MD5 {
		found.Add("algorithm", WarnMD5)
	}
	if k.asksForSteam() {
		found.Add("kind", WarnSteam)
	}
	return found
}

// asksForSteam reports a key that some apps export for Steam: as one of five digits, where only the name says
// what its codes look like.
func (k Key) asksForSteam() bool {
	isSteam := func(name string) bool { return strings.Contains(strings.ToLower(name), "steam") }
	return k.Kind == TOTP && k.Digits == steamDigits &&
		slices.ContainsFunc([]string{k.Issuer, k.LabelIssuer, k.Account}, isSteam)
}

// guessable reports base32 text that a person made up: few different characters, the same again and again, a sequence
// of letters or keys, or a word. A random secret of 16 characters has no digit in 1 of 28 cases, and hardly ever as
// many vowels and as few consonants in a row, too.
func guessable(text string) bool {
	if repeats(text) || isSequence(text) {
		return true
	}
	different := map[rune]bool{}
	vowels, consonants, longest := 0, 0, 0
	for _, r := range text {
		different[r] = true
		switch {
		case strings.ContainsRune("AEIOUY", r):
			vowels++
			consonants = 0
		case r >= 'A':
			consonants++
			longest = max(longest, consonants)
		default:
			return len(different) <= 3 && strings.Trim(text, text[:1]) == ""
		}
	}
	return len(different) <= 3 || vowels*10 >= len(text)*3 && longest <= 3
}

// repeats reports text that is the same three times or more. The last character is left out: it may hold a remainder.
func repeats(text string) bool {
	text = text[:len(text)-1]
	for n := 1; n <= len(text)/3+1; n++ {
		if strings.HasPrefix(text, text[n:]) {
			return true
		}
	}
	return false
}

// isSequence reports text that runs along the alphabet or the keys of a keyboard, also backwards.
func isSequence(text string) bool {
	text = text[:len(text)-1]
	back := []byte(text)
	slices.Reverse(back)
	for _, row := range []string{
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGHIJKLMNOPQRSTUVWXYZ", "QWERTYUIOPASDFGHJKLZXCVBNM",
		"QWERTZUIOPASDFGHJKLYXCVBNM", "AZERTYUIOPQSDFGHJKLMWXCVBN",
	} {
		if strings.Contains(row, text) || strings.Contains(row, string(back)) {
			return true
		}
	}
	return false
}

// quote returns what was typed, shortened, for use in a message.
func quote(s string) string {
	const most = 40
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "…"
	}
	return s
}
