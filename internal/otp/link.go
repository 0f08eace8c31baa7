package otp

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/avtotpy/avtotpy/internal/problem"
)

// maxLink bounds the work for one link, in bytes; the largest QR code holds less than half of it.
const maxLink = 8192

// Parse reads what a person pasted or a QR code held: an otpauth:// link, steam://SECRET, or a bare base32
// secret. Links are foreign data: where what is meant is clear, a damaged one is repaired, with a warning
// when the codes could come out wrong. An error is a problem.List, at the field that is wrong; it says "link"
// when the text as a whole is something else. The key is canonical and valid.
func Parse(link string) (Key, problem.List, error) {
	p := parser{}
	if len(link) > maxLink {
		p.problems.Add("link", LinkLong, len(link), maxLink)
		return Key{}, nil, p.problems
	}
	p.lines = several(link)
	link = tidy(link)
	scheme, rest, isLink := strings.Cut(link, ":")
	switch scheme = strings.ToLower(scheme); {
	case link == "":
		p.problems.Add("link", LinkMissing)
	case len(Starts(link)) > 1:
		p.problems.Add("link", LinkSeveral)
	case !isLink:
		p.bare(link)
	case scheme == "otpauth", scheme == "apple-otpauth":
		p.otpauth(strings.TrimLeft(rest, "/")) // some programs that pass links on lose slashes
	case scheme == "steam":
		p.steam(strings.Trim(rest, "/"))
	default:
		p.problems.Add("link", otherScheme(scheme))
	}
	if err := p.problems.Err(); err != nil {
		return Key{}, nil, err
	}
	key := p.key.Canonical()
	for _, warning := range key.Warnings() {
		if !p.doubted || warning.Field != "secret" { // one doubt about the secret is enough
			p.warnings = append(p.warnings, warning)
		}
	}
	return key, p.warnings, nil
}

// tidy removes what surrounds a link in mails, documents and source code, and breaks in long lines.
func tidy(link string) string {
	link = trimInvisible(link)
	for _, pair := range [][2]string{
		{`"`, `"`},
		{"'", "'"},
		{"`", "`"},
		{"<", ">"},
		{"(", ")"},
		{"“", "”"},
		{"„", "“"},
		{"‘", "’"},
		{"«", "»"},
	} {
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
	warnings problem.List
	doubted  bool // whether one is about the secret
	lines    bool // whether each line was a secret
	problems problem.List
}

func (p *parser) warn(field string, code problem.Code, args ...any) {
	p.warnings = append(p.warnings, problem.Problem{Field: field, Code: code, Args: args})
	p.doubted = p.doubted || field == "secret"
}

// bare takes the whole text as a secret. Nothing else says that it is one, so unknown characters are a problem here.
func (p *parser) bare(text string) {
	switch clean, unknown := cleanSecret(text); {
	case p.lines:
		p.problems.Add("link", SecretSeveral)
		return
	case len(unknown) > 0:
		p.problems.Add("link", LinkCharacter, string(unknown[0].char), unknown[0].place)
		return
	case len(clean) == 0:
		p.problems.Add("link", LinkLetters)
		return
	}
	p.secret(text)
	p.complete()
}

func (p *parser) steam(text string) {
	p.key.Kind, p.key.Issuer = Steam, "Steam"
	if _, unknown := cleanSecret(text); len(unknown) > 0 { // steam:// also starts games
		unknown[0].addTo(&p.problems)
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
	p.key.Algorithm = ParseAlgorithm(values["algorithm"])
	switch encoder := values["encoder"]; {
	case encoder == "":
	case p.key.Kind != HOTP && strings.EqualFold(encoder, "steam"):
		p.key.Kind = Steam
	default:
		p.warn("kind", WarnEncoder, quote(encoder))
	}
	if p.key.Kind != Steam {
		digits := p.number(values, "digits", DigitsRange, MinDigits, MaxDigits)
		p.key.Digits = int(digits) //nolint:gosec // at most MaxDigits
	}
	if p.key.Kind == TOTP || p.key.Kind == "" {
		period := p.number(values, "period", PeriodRange, MinPeriod, MaxPeriod)
		p.key.Period = int(period) //nolint:gosec // at most MaxPeriod
	}
	if p.key.Kind == HOTP {
		if values["counter"] == "" {
			p.warn("counter", WarnNoCounter)
		}
		p.key.Counter = p.number(values, "counter", CounterRange, 0, MaxCounter)
	}
	p.complete()
}

// kind does not repeat what it does not know: a secret in the wrong place looks like that.
func (p *parser) kind(text string) {
	switch p.key.Kind = Kind(text); p.key.Kind {
	case TOTP, HOTP, Steam:
	case "":
		p.warn("kind", WarnKindAssumed)
	default:
		p.problems.Add("kind", LinkOfNoKind)
	}
}

// secret reads the secret of a link: what base32 does not have is left out, with a warning.
func (p *parser) secret(text string) {
	// A fragment that was appended is not a part of it, though its letters look like base32.
	text, fragment, _ := strings.Cut(text, "#")
	clean, unknown := cleanSecret(text)
	secret, whole := decodeSecret(clean)
	p.key.Secret = secret
	switch {
	case text == "":
		p.problems.Add("secret", LinkWithout)
	case len(secret) == 0:
		p.problems.Add("secret", LinkNotBase32)
	case len(unknown) > 0 || fragment != "":
		p.warn("secret", WarnLeftOut, len(unknown)+utf8.RuneCountInString(fragment))
	case inParts(text):
		p.warn("secret", WarnParts)
	case !whole:
		p.warn("secret", WarnRemainder)
	}
}

// number returns the whole number of a parameter, 0 when it is absent or 0, which means the default.
func (p *parser) number(values map[string]string, name string, wrong problem.Code, least, most uint64) uint64 {
	text := strings.TrimSpace(values[name])
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n != 0 && n < least || n > most {
		p.problems.Add(name, wrong, quote(text), least, most)
		return 0
	}
	return n
}

// complete adds the problems of the key as a whole to those that were found while reading it.
func (p *parser) complete() {
	found, _ := p.key.Validate().(problem.List) //nolint:errorlint // Validate returns nothing else
	for _, one := range found {
		p.problems.Add(one.Field, one.Code, one.Args...)
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
		for end < len(query) && query[end] != '&' &&
			(query[end] != ';' && query[end] != '?' || !startsParameter(query[end+1:])) {
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
		case !found, Unset(text), strings.TrimSpace(value) == "":
		case values[name] == "":
			values[name] = value
		case values[name] != value && name == "secret":
			p.warn("secret", WarnTwoSecrets)
		}
		last = name
	}
	return values
}

// Unset reports a value that stands for none: programs write null, undefined, None and nil for what they do not know.
func Unset(value string) bool {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "", "null", "undefined", "none", "nil":
		return true
	}
	return false
}

// Starts returns where links start in a text, also where nothing stands between them. One link holds no other.
// A link that is encoded as a whole starts a line or follows a space: elsewhere it is a name in another.
func Starts(text string) []int {
	var starts []int
	for i := 0; i < len(text); i++ {
		for _, scheme := range []string{
			"apple-otpauth:/", "otpauth:/", `otpauth:\/`, "otpauth-migration:/",
			"steam://", "otpauth%3a%2f",
		} {
			fits := len(text)-i >= len(scheme) && strings.EqualFold(text[i:i+len(scheme)], scheme)
			if fits && (!strings.Contains(scheme, "%") || i == 0 ||
				strings.IndexByte(" \t\r\n\"'<(,;", text[i-1]) >= 0) {
				starts = append(starts, i)
				i += len(scheme) - 1
				break
			}
		}
	}
	return starts
}

// otherScheme says what was pasted instead of a link that Parse reads.
func otherScheme(scheme string) problem.Code {
	switch scheme {
	case "http", "https":
		return LinkPage
	case "otpauth-migration":
		return LinkExport
	case "phonefactor", "ms-msa", "microsoft-authenticator":
		return LinkMicrosoft
	case "data":
		return LinkPicture
	}
	return LinkScheme
}
