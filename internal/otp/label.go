package otp

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// URI returns the otpauth:// link of the key, from which Parse makes k.Canonical(). Everything that
// some app is known to misread is escaped, and every parameter is written out.
func (k Key) URI() string {
	k = k.Canonical()
	var b strings.Builder
	b.WriteString("otpauth://" + string(k.Kind) + "/")
	issuer, account, found := strings.Cut(k.label(), ":")
	b.WriteString(escape(issuer))
	if found {
		b.WriteString(":" + escape(account))
	}
	b.WriteString("?secret=" + encodeSecret(k.Secret))
	if k.Issuer != "" {
		issuer := escape(k.Issuer)
		if Unset(issuer) {
			issuer = fmt.Sprintf("%%%02X", issuer[0]) + issuer[1:] // the name, not what programs write for none
		}
		b.WriteString("&issuer=" + issuer)
	}
	b.WriteString("&algorithm=" + escape(string(k.Algorithm)) + "&digits=" + strconv.Itoa(k.Digits))
	if k.Kind == HOTP {
		b.WriteString("&counter=" + strconv.FormatUint(k.Counter, 10))
	} else {
		b.WriteString("&period=" + strconv.Itoa(k.Period))
	}
	return b.String()
}

// label returns the label of the key's link, unescaped: ISSUER:ACCOUNT. An issuer that holds a colon is left to
// the issuer parameter, as readers take the first colon for the end of the issuer; so an account that holds one
// needs a colon before it.
func (k Key) label() string {
	issuer := k.LabelIssuer
	if issuer == "" {
		issuer = k.Issuer
	}
	if strings.Contains(issuer, ":") {
		issuer = ""
	}
	if issuer == "" && !strings.Contains(k.Account, ":") {
		return k.Account
	}
	return issuer + ":" + k.Account
}

// splitLabel splits an unescaped label at its first colon. It returns an empty issuer where that is the one of
// the parameter, and takes off repetitions of either. Only the parameter can show that an issuer holds a colon
// itself ("http://host:8000:alice").
func splitLabel(label, issuer string) (labelIssuer, account string) {
	account, repeated := cutIssuer(label, issuer)
	if first, rest, found := strings.Cut(label, ":"); found && !repeated {
		labelIssuer, account = cleanName(first), rest
	}
	for again := true; again; {
		var first, second bool
		account, first = cutIssuer(account, issuer)
		account, second = cutIssuer(account, labelIssuer)
		again = first || second
	}
	return labelIssuer, cleanName(account)
}

// cutIssuer takes an issuer and a colon off the start of a label. Capitals don't matter, and neither does a + that
// is a space in a parameter and itself in a label.
func cutIssuer(label, issuer string) (rest string, found bool) {
	if issuer == "" {
		return label, false
	}
	end := 0
	for range strings.Count(issuer, ":") + 1 {
		next := strings.IndexByte(label[end:], ':')
		if next < 0 {
			return label, false
		}
		end += next + 1
	}
	spaced := func(name string) string { return strings.ReplaceAll(cleanName(name), "+", " ") }
	if !strings.EqualFold(spaced(label[:end-1]), spaced(issuer)) {
		return label, false
	}
	return label[end:], true
}

// cleanName returns an issuer or account as it can be stored and shown: valid UTF-8 without control
// characters, those that turn the direction of the text around them, and outer spaces. Bytes that are not UTF-8 are
// taken for Latin-1, which old services send.
func cleanName(s string) string {
	if !utf8.ValidString(s) {
		runes := make([]rune, len(s))
		for i := range len(s) {
			runes[i] = rune(s[i])
		}
		s = string(runes)
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069' {
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// escape percent-encodes everything but what RFC 3986 calls unreserved, and @. Spaces become %20 in parameters
// too: some apps show a plus sign as such.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~@", c) >= 0 {
			b.WriteByte(c)
		} else {
			const digits = "0123456789ABCDEF"
			b.Write([]byte{'%', digits[c>>4], digits[c&0xf]})
		}
	}
	return b.String()
}

// unescape decodes percent-encoding once. A % that starts none stays as it is, as people write "100%".
func unescape(s string, plusIsSpace bool) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		if s[i] == '+' && plusIsSpace {
			b.WriteByte(' ')
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
