package otp

import (
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
		b.WriteString("&issuer=" + escape(k.Issuer))
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
// the parameter. Only the parameter can tell that an issuer holds a colon itself ("http://host:8000:alice").
func splitLabel(label, issuer string) (labelIssuer, account string) {
	labelIssuer, account, found := strings.Cut(label, ":")
	if !found {
		return "", cleanName(label)
	}
	if labelIssuer = cleanName(labelIssuer); labelIssuer == "" {
		return "", cleanName(account)
	}
	if rest, ok := strings.CutPrefix(label, issuer+":"); ok && issuer != "" {
		return "", cleanName(rest)
	}
	if labelIssuer == issuer {
		labelIssuer = ""
	}
	return labelIssuer, cleanName(account)
}

// cleanName returns an issuer or account as it can be stored and shown: valid UTF-8 without control
// characters and outer spaces. Bytes that are not UTF-8 are taken for Latin-1, which old services send.
func cleanName(s string) string {
	if !utf8.ValidString(s) {
		runes := make([]rune, len(s))
		for i := range len(s) {
			runes[i] = rune(s[i])
		}
		s = string(runes)
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
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
