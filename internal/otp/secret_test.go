package otp

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestParseSecretAcceptsWhatServicesShow(t *testing.T) {
	for _, text := range []string{
		"JBSWY3DPEHPK3PXP",
		"jbswy3dpehpk3pxp",
		"jbsw y3dp ehpk 3pxp",
		"  JBSW-Y3DP-EHPK-3PXP\n",
		"JBSW\u00a0Y3DP\u2009EHPK\t3PXP",
		"JBSW–Y3DP—EHPK‑3PXP",
		"\ufeffJBSWY3DP\u200bEHPK3PXP",
		"JBSWY3DPEHPK3PXP==",
	} {
		got, err := ParseSecret(text)
		if want := "Hello!\xde\xad\xbe\xef"; err != nil || string(got) != want {
			t.Errorf("ParseSecret(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{"MY": "f", "MZXQ====": "fo", "MZXW6": "foo", "MZXW6YQ": "foob", "MZXW6YTBOI======": "foobar"} {
		if got, err := ParseSecret(text); err != nil || string(got) != want { // RFC 4648, section 10
			t.Errorf("ParseSecret(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestParseSecretSaysWhatIsWrongAndWhere(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "The secret is missing; expected letters A to Z and digits 2 to 7, as the service shows them.",
		" - = ":                         "The secret is missing; expected letters A to Z and digits 2 to 7, as the service shows them.",
		"JBSW 0Y3D":                     `The character "0" at position 6 does not belong to a secret; expected letters A to Z and digits 2 to 7. Perhaps it is the letter O.`,
		"1BSWY3DP":                      `The character "1" at position 1 does not belong to a secret; expected letters A to Z and digits 2 to 7. Perhaps it is the letter I or L.`,
		"éBSW8":                         `The character "é" at position 1 (and 1 more) does not belong to a secret; expected letters A to Z and digits 2 to 7.`,
		"JBSW\x00Y3D":                   `The character "\x00" at position 5 does not belong to a secret; expected letters A to Z and digits 2 to 7.`,
		"JBSW=Y3DP":                     `The character "=" at position 5 does not belong to a secret; expected letters A to Z and digits 2 to 7.`,
		"JBSWY3DPE":                     "The secret has 9 characters, which base32 never has; one is missing or one is too many.",
		"OTPAUTH://totp/x?secret=AAAA":  "This is a whole otpauth link; expected only the secret, or paste the link where links go.",
		strings.Repeat("A", 8*205+2000): "The secret has 2275 bytes; expected at most 1024.",
	} {
		secret, err := ParseSecret(text)
		problems, ok := errors.AsType[Problems](err)
		if !ok || len(problems) != 1 || problems[0].Field != "secret" || problems[0].Message != want || secret != nil {
			t.Errorf("ParseSecret(%.40q) = %q, %v\nwant secret: %s", text, secret, err, want)
		}
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add("JBSW Y3DP EHPK 3PXP")
	f.Add("jbsw-0\xff=")
	f.Fuzz(func(t *testing.T, text string) {
		secret, err := ParseSecret(text)
		if err != nil {
			if _, ok := errors.AsType[Problems](err); !ok {
				t.Fatalf("ParseSecret(%q): %T, want Problems", text, err)
			}
			return
		}
		again, err := ParseSecret(encodeSecret(secret))
		if err != nil || !bytes.Equal(again, secret) || len(secret) == 0 || len(secret) > MaxSecret {
			t.Fatalf("ParseSecret(%q) = %x, and of its base32 %x, %v", text, secret, again, err)
		}
	})
}
