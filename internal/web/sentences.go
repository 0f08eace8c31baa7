package web

import (
	"fmt"
	"maps"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/problem"
	"github.com/avtotpy/avtotpy/internal/transfer"
)

// What can be wrong with a form of a page, besides what the packages find that it uses.
const (
	noteLong   problem.Code = "note.long" // its characters, the most
	notANumber problem.Code = "number"

	passwordMissing problem.Code = "password.missing"
	secretInParts   problem.Code = "secret.parts"
)

// sentences are what people read about problems, in the form of fmt.Sprintf for their arguments.
func sentences() map[problem.Code]string {
	all := formSentences()
	for _, more := range []map[problem.Code]string{
		linkSentences(), keySentences(), transferSentences(), warningSentences(),
	} {
		maps.Copy(all, more)
	}
	return all
}

const ofBase32 = "expected letters A to Z and digits 2 to 7."

// formSentences are about passwords, names and other fields of forms.
func formSentences() map[problem.Code]string {
	return map[problem.Code]string{
		auth.PasswordShort: "The password has %d characters; expected at least %d.",
		auth.PasswordLong:  "The password is too long; expected at most %d bytes.",
		auth.PasswordWrong: "This is not your current password.",
		auth.PasswordBlank: "The password consists of spaces only.",
		auth.PasswordSame:  "The password repeats the same characters. Four or five random words are better.",
		auth.PasswordSequence: "The password is made of sequences of letters, numbers or keys, which are guessed " +
			"first. Four or five random words are better.",
		auth.PasswordCommon: "The password is made of one of the most common passwords, which are guessed first. " +
			"Four or five random words are better.",
		auth.PasswordName: "The password is made of your name. Four or five random words are better.",
		auth.PasswordProduct: "The password is made of the name of this program. Four or five random words " +
			"are better.",
		auth.PasswordUnchanged: "This is your current password.",
		auth.NameMissing:       "The name is missing.",
		auth.NameLong:          "The name has %d characters; expected at most %d.",
		auth.NameUnseen:        "The name has a character in it that cannot be seen.",
		auth.TokenWrong: "This is not the token. The server prints it at its start, in the line that names " +
			"this page.",
		notANumber:      "This is not a whole number.",
		noteLong:        "The note has %d characters; expected at most %d.",
		passwordMissing: "The password is missing.",
		secretInParts: "There is a whole secret between spaces; expected one secret, without a name and " +
			"without spaces between its parts.",
		notAnswered: "Choose one of the two.",
	}
}

// linkSentences are about what was entered as a link.
func linkSentences() map[problem.Code]string {
	const instead = "; expected an otpauth:// link or a base32 secret."
	return map[problem.Code]string{
		otp.LinkMissing: "There is nothing here" + instead,
		otp.LinkLong:    "The link has %d bytes; expected at most %d.",
		otp.LinkSeveral: "This holds several links; expected one.",
		otp.LinkCharacter: "This is neither an otpauth:// link nor a base32 secret, which has no character %q " +
			"(position %d).",
		otp.LinkLetters: "This is neither an otpauth:// link nor a base32 secret: it has no letters.",
		otp.LinkPage:    "This is the address of a web page" + instead,
		otp.LinkExport: "This is an export of Google Authenticator, which holds several accounts; expected the " +
			"otpauth:// link of one account.",
		otp.LinkMicrosoft: "This works only in Microsoft Authenticator. Choose “I want to use a different " +
			"authenticator app” at Microsoft, and paste the link or the secret that it shows then.",
		otp.LinkPicture:   "This is a picture in text form" + instead,
		otp.LinkScheme:    "This does not start with otpauth://" + instead,
		otp.LinkWithout:   "The link has no secret; expected secret= and base32 text in it.",
		otp.LinkNotBase32: "The link's secret is not base32 text; " + ofBase32,
		otp.LinkOfNoKind: "The link does not say a known kind of code; expected totp, hotp or steam after " +
			"otpauth://.",
	}
}

// keySentences are about a secret and how its codes are made.
func keySentences() map[problem.Code]string {
	return map[problem.Code]string{
		otp.KindUnknown:    "%q is not a kind of code; expected totp, hotp or steam.",
		otp.SecretMissing:  "The secret is missing; " + ofBase32,
		otp.SecretLong:     "The secret has %d bytes; expected at most %d.",
		otp.SecretLength:   "The secret has %d characters, which base32 never has; one is missing or one is too many.",
		otp.SecretIsLink:   "This is a whole otpauth link; expected only the secret, or paste the link where links go.",
		otp.SecretSeveral:  "Each line is a secret; expected one.",
		otp.SecretChar:     "The character %q at position %d does not belong to a secret; " + ofBase32,
		otp.SecretZero:     "The digit 0 at position %d does not belong to a secret. Perhaps it is the letter O.",
		otp.SecretOne:      "The digit 1 at position %d does not belong to a secret. Perhaps it is the letter I or L.",
		otp.SecretEight:    "The digit 8 at position %d does not belong to a secret. Perhaps it is the letter B.",
		otp.AlgorithmOther: "%q is not an algorithm that makes codes; expected SHA1, SHA256 or SHA512.",
		otp.DigitsRange:    "A code of %s digits is not possible; expected a whole number from %d to %d.",
		otp.PeriodRange:    "A period of %s seconds is not possible; expected a whole number from %d to %d.",
		otp.CounterRange:   "A counter of %s is not possible; expected a whole number from %d to %d.",
		otp.IssuerLong:     "The issuer has %d characters; expected at most %d.",
		otp.AccountLong:    "The account has %d characters; expected at most %d.",
	}
}

// transferSentences are about what was pasted at once.
func transferSentences() map[problem.Code]string {
	return map[problem.Code]string{
		transfer.LineUnread: "This line is neither a link nor a secret.",
		transfer.TooMany:    "There are more than %d; add the rest afterwards.",
		transfer.WarnJoined: "This was in several lines, which were joined. Check that the service accepts the code.",
		transfer.WarnLines: "This line was taken as a secret of its own. If it is a part of one, write that " +
			"in one line.",
		transfer.WarnHave: "You have this secret already, as %s.",
		transfer.WarnSame: "This is the same secret as in number %d.",
	}
}

// warningSentences are about what is doubtful and does not stand in the way.
func warningSentences() map[problem.Code]string {
	return map[problem.Code]string{
		otp.WarnKindAssumed: "The link does not say what kind of codes it makes; time-based codes (totp) were assumed.",
		otp.WarnNoCounter:   "The link has no counter; counting starts at 0.",
		otp.WarnEncoder: "The link asks for codes of the kind %q, which is not known; the codes are written " +
			"in digits.",
		otp.WarnTwoSecrets: "The link has two secrets; the first one was taken.",
		otp.WarnLeftOut: "Characters that no base32 secret has were left out of the secret (%d of them). Check " +
			"that the service accepts the code.",
		otp.WarnRemainder: "The secret's last character means nothing. Check that the secret is complete.",
		otp.WarnParts: "There is a whole secret between spaces, and all was taken as one. If there are " +
			"several, write each in a line of its own; leave a name out.",
		otp.WarnShort: "The secret is very short: %d bytes, where services use %d or more. Check that it " +
			"is complete.",
		otp.WarnGuessable: "The secret looks like a word or a pattern. Check that it is the secret, and not a " +
			"name or a password.",
		otp.WarnMD5: "MD5 is too short a hash for these codes; some may differ from what the service expects.",
		otp.WarnSteam: "Steam's codes have 5 letters and digits. If this is for Steam itself, choose the " +
			"kind Steam.",
	}
}

// Sentence words a problem for people.
func Sentence(p problem.Problem) string { return sentenceOf(p) }

func sentenceOf(p problem.Problem) string {
	format, ok := sentences()[p.Code]
	if !ok {
		return string(p.Code)
	}
	return fmt.Sprintf(format, p.Args...)
}

// A warning is something doubtful about what was entered, that does not stand in its way.
type warning struct {
	Code    string `json:"code" example:"warning.short" doc:"for programs"`
	Field   string `json:"field" example:"secret"`
	Message string `json:"message" doc:"for people"`
}

func warningsOf(found problem.List) []warning {
	all := make([]warning, 0, len(found))
	for _, one := range found {
		all = append(all, warning{string(one.Code), one.Field, sentenceOf(one)})
	}
	return all
}
