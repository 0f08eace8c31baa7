package otp

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// maxLink bounds the work for one link, in bytes; the largest QR code holds less than half of it.
const maxLink = 8192

// Parse reads what a person pasted or a QR code held: an otpauth:// link, steam://SECRET, or a bare base32
// secret. Links are foreign data: where what is meant is clear, a damaged one is repaired, with a warning
// when the codes could come out wrong. An error is Problems, at the field that is wrong; it says "link"
// when the text as a whole is something else. The key is canonical and valid.
func Parse(link string) (Key, []string, error) {
	p := parser{}
	if len(link) > maxLink {
		p.problems.add("link", "The link has %d bytes; expected at most %d.", len(link), maxLink)
		return Key{}, nil, p.problems
	}
	link = tidy(link)
	scheme, rest, isLink := strings.Cut(link, ":")
	switch scheme = strings.ToLower(scheme); {
	case link == "":
		p.problems.add("link", "There is nothing here; expected an otpauth:// link or a base32 secret.")
	case !isLink:
		p.bare(link)
	case scheme == "otpauth", scheme == "apple-otpauth":
		p.otpauth(strings.TrimLeft(rest, "/")) // some programs that pass links on lose slashes
	case scheme == "steam":
		p.steam(strings.Trim(rest, "/"))
	default:
		p.problems.add("link", "%s", otherScheme(scheme))
	}
	if err := p.problems.err(); err != nil {
		return Key{}, nil, err
	}
	return p.key.Canonical(), p.warnings, nil
}

// tidy removes what surrounds a link in mails, documents and source code, and breaks in long lines.
func tidy(link string) string {
	link = trimInvisible(link)
	for _, pair := range [][2]string{{`"`, `"`}, {"'", "'"}, {"`", "`"}, {"<", ">"}, {"(", ")"}, {"“", "”"}, {"„", "“"}, {"‘", "’"}, {"«", "»"}} {
		if inner, ok := strings.CutPrefix(link, pair[0]); ok {
			link = trimInvisible(strings.TrimSuffix(inner, pair[1]))
		}
	}
	if prefix := "otpauth%3a"; len(link) > len(prefix) && strings.EqualFold(link[:len(prefix)], prefix) {
		link = unescape(link, false) // it was the value of a parameter of another link
	}
	// The last two are copied out of JSON.
	return strings.NewReplacer("\n", "", "\r", "", "\t", "", `\/`, "/", `\u0026`, "&").Replace(link)
}

func trimInvisible(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
}

// parser collects a key and what is to be said about it.
type parser struct {
	key      Key
	warnings []string
	problems Problems
}

func (p *parser) warn(format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf(format, args...))
}

// bare takes the whole text as a secret. Nothing else says that it is one, so unknown characters are a problem here.
func (p *parser) bare(text string) {
	clean, unknown := cleanSecret(text)
	if len(unknown) > 0 || len(clean) == 0 {
		why := "It has no letters."
		if len(unknown) > 0 {
			why = unknownCharacters(unknown)
		}
		p.problems.add("link", "This is neither an otpauth:// link nor a base32 secret. %s", why)
		return
	}
	p.secret(text)
	p.complete()
}

func (p *parser) steam(text string) {
	p.key.Kind, p.key.Issuer = Steam, "Steam"
	if _, unknown := cleanSecret(text); len(unknown) > 0 { // steam:// also starts games
		p.problems.add("secret", "%s", unknownCharacters(unknown))
	}
	p.secret(text)
	p.complete()
}

// otpauth reads KIND/LABEL?PARAMETERS.
func (p *parser) otpauth(rest string) {
	place, query := cutParameters(rest)
	kind, label, _ := strings.Cut(place, "/")
	p.kind(strings.ToLower(strings.TrimSpace(unescape(kind, false))))
	values := p.parameters(query)

	p.key.Issuer = cleanName(values["issuer"])
	p.key.LabelIssuer, p.key.Account = splitLabel(cleanName(unescape(label, false)), p.key.Issuer)
	p.secret(values["secret"])
	p.key.Algorithm = parseAlgorithm(values["algorithm"])
	if p.key.Algorithm == MD5 {
		p.warn("MD5 is too short a hash for these codes; some may differ from what the service expects.")
	}
	switch encoder := values["encoder"]; {
	case encoder == "":
	case p.key.Kind != HOTP && strings.EqualFold(encoder, "steam"):
		p.key.Kind = Steam
	default:
		p.warn("The encoder %s is not known; the codes are written in digits.", quote(encoder))
	}
	if p.key.Kind != Steam {
		p.key.Digits = int(p.number(values, "digits", MinDigits, MaxDigits)) //nolint:gosec // at most MaxDigits
	}
	if p.key.Kind == TOTP || p.key.Kind == "" {
		p.key.Period = int(p.number(values, "period", MinPeriod, MaxPeriod)) //nolint:gosec // at most MaxPeriod
	}
	if p.key.Kind == HOTP {
		if values["counter"] == "" {
			p.warn("The link has no counter; counting starts at 0.")
		}
		p.key.Counter = p.number(values, "counter", 0, MaxCounter)
	}
	p.complete()
}

// kind does not repeat what it does not know: a secret in the wrong place looks like that.
func (p *parser) kind(text string) {
	switch p.key.Kind = Kind(text); p.key.Kind {
	case TOTP, HOTP, Steam:
	case "":
		p.warn("The link does not say what kind of codes it makes; time-based codes (totp) were assumed.")
	default:
		p.problems.add("kind", "The link does not say a known kind of code; expected totp, hotp or steam after otpauth://.")
	}
}

// secret reads the secret of a link: what base32 does not have is left out, with a warning.
func (p *parser) secret(text string) {
	const short = 10 // bytes; the shortest that services are known to give (16 characters)
	clean, unknown := cleanSecret(text)
	secret, whole := decodeSecret(clean)
	p.key.Secret = secret
	switch {
	case text == "":
		p.problems.add("secret", "The link has no secret; expected secret= and base32 text in it.")
	case len(secret) == 0:
		p.problems.add("secret", "The link's secret is no base32 text; expected letters A to Z and digits 2 to 7.")
	case len(unknown) > 0:
		p.warn("Characters that no base32 secret has were left out of the secret (%d of them); check that the service accepts the code.", len(unknown))
	case !whole:
		p.warn("The secret's last character means nothing; check that the secret is complete.")
	case len(secret) < short:
		p.warn("The secret is very short (%d characters); check that it is complete.", len(clean))
	}
}

// number returns the whole number of a parameter, 0 when it is absent or 0, which means the default.
func (p *parser) number(values map[string]string, name string, least, most uint64) uint64 {
	text := strings.TrimSpace(values[name])
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n != 0 && n < least || n > most {
		p.problems.add(name, "The %s of the link is %s; expected a whole number from %d to %d.", name, quote(text), least, most)
		return 0
	}
	return n
}

// complete adds the problems of the key as a whole to those that were found while reading it.
func (p *parser) complete() {
	found, _ := p.key.Validate().(Problems) //nolint:errorlint // Validate returns nothing else
	for _, problem := range found {
		p.problems.add(problem.Field, "%s", problem.Message)
	}
}

// parameterNames returns the parameters that Parse reads.
func parameterNames() []string {
	return []string{"secret", "issuer", "algorithm", "digits", "period", "counter", "encoder"}
}

// startsParameter reports whether s starts with "name=" for a parameter that Parse reads.
func startsParameter(s string) bool {
	for _, name := range parameterNames() {
		if len(s) > len(name) && s[len(name)] == '=' && strings.EqualFold(s[:len(name)], name) {
			return true
		}
	}
	return false
}

// cutParameters cuts a link where its parameters begin. Labels hold a raw ? or & too, so that is the first ? with
// any parameter after it, or the first & or ; with one that Parse reads.
func cutParameters(s string) (place, query string) {
	for i := range len(s) {
		switch {
		case s[i] == '?' && startsName(s[i+1:]), (s[i] == '&' || s[i] == ';') && startsParameter(s[i+1:]):
			return s[:i], s[i+1:]
		}
	}
	place, query, _ = strings.Cut(s, "?")
	return place, query
}

// startsName reports whether s starts with the name of some parameter and "=".
func startsName(s string) bool {
	end := strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
	return end > 0 && s[end] == '='
}

// parameters returns the values of a query by lower-case name, each decoded once. The first value that is not
// empty wins. Neither ; nor ? separates values unless a known parameter follows (&amp; and a second ? do
// happen), and an issuer may hold a raw &. A # is a character like any other: no such link has a fragment.
func (p *parser) parameters(query string) map[string]string {
	values := map[string]string{}
	last := "" // the name of the parameter before
	for query != "" {
		end := 0
		for end < len(query) && query[end] != '&' && (query[end] != ';' && query[end] != '?' || !startsParameter(query[end+1:])) {
			end++
		}
		pair := query[:end]
		query = query[min(end+1, len(query)):]

		name, text, found := strings.Cut(pair, "=")
		name, value := strings.ToLower(unescape(name, true)), unescape(text, true)
		switch {
		case !found && last == "issuer" && pair != "" && pair != "amp":
			values[last] += "&" + unescape(pair, true)
			continue
		case !found, strings.TrimSpace(value) == "":
		case values[name] == "":
			values[name] = value
		case values[name] != value && name == "secret":
			p.warn("The link has two secrets; the first one was taken.")
		}
		last = name
	}
	return values
}

// otherScheme says what somebody pasted instead of a link that Parse reads.
func otherScheme(scheme string) string {
	const expected = "; expected an otpauth:// link or a base32 secret."
	switch scheme {
	case "http", "https":
		return "This is the address of a web page" + expected
	case "otpauth-migration":
		return "This is an export of Google Authenticator, which holds several accounts; expected the otpauth:// link of one account."
	case "phonefactor", "ms-msa", "microsoft-authenticator":
		return "This works only in Microsoft Authenticator; choose “I want to use a different authenticator app” at Microsoft, and paste the otpauth:// link or the secret that it shows then."
	case "data":
		return "This is a picture in text form" + expected
	}
	return "This does not start with otpauth://" + expected
}
