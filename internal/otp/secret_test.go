package otp

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/problem"
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
		"ＪＢＳＷ　Ｙ３ＤＰ－ｅｈｐｋ３ｐｘｐ＝＝", // as an input method types it
	} {
		got, err := ParseSecret(text)
		if want := "Hello!\xde\xad\xbe\xef"; err != nil || string(got) != want {
			t.Errorf("ParseSecret(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"MY": "f", "MZXQ====": "fo", "MZXW6": "foo", "MZXW6YQ": "foob",
		"MZXW6YTBOI======": "foobar",
	} {
		if got, err := ParseSecret(text); err != nil || string(got) != want { // RFC 4648, section 10
			t.Errorf("ParseSecret(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestParseSecretSaysWhatIsWrongAndWhere(t *testing.T) {
	for text, want := range map[string]problem.Problem{
		"":                              {Code: SecretMissing},
		" - = ":                         {Code: SecretMissing},
		"JBSW 0Y3D":                     {Code: SecretZero, Args: []any{6}},
		"1BSWY3DP":                      {Code: SecretOne, Args: []any{1}},
		"JBSWY3D8":                      {Code: SecretEight, Args: []any{8}},
		"éBSW8":                         {Code: SecretChar, Args: []any{"é", 1}},
		"JBSW\x00Y3D":                   {Code: SecretChar, Args: []any{"\x00", 5}},
		"JBSW=Y3DP":                     {Code: SecretChar, Args: []any{"=", 5}},
		"JBSWY3DPE":                     {Code: SecretLength, Args: []any{9}},
		"OTPAUTH://totp/x?secret=AAAA":  {Code: SecretIsLink},
		strings.Repeat("A", 8*205+2000): {Code: SecretLong, Args: []any{2275, MaxSecret}},
	} {
		want.Field = "secret"
		secret, err := ParseSecret(text)
		problems, _ := errors.AsType[problem.List](err)
		if !reflect.DeepEqual(problems, problem.List{want}) || secret != nil {
			t.Errorf("ParseSecret(%.40q) = %q, %v\nwant %v", text, secret, problems, want)
		}
	}
}

func TestASecretThatIsMadeUpGivesAWarning(t *testing.T) {
	for text, want := range map[string]problem.Code{
		"JBSWY3DPEHPK3PXP": "", "GEZDGNBVGY3TQOJQ": "", "HXDMVJECJJWSRB3HWIZR4IFUGFTMXBOZ": "", "QWLKJXZVBNMDFGHT": "",
		"JBSW": WarnShort, "password": WarnShort, "AAAAAAAAAAAAAAAA": WarnGuessable, "2222222222222222": WarnGuessable,
		"administratorpass":    "", // no length of base32: it is refused
		"letmeinletmeinplease": WarnGuessable, "iloveyouiloveyou": WarnGuessable, "ABABABABABABABAB": WarnGuessable,
		"hunter2hunter2hunter2": WarnGuessable, "ABCDEFGHIJKLMNOP": WarnGuessable,
		"765432ZYXWVUTSRQPONM": WarnGuessable, "qwertyuiopasdfgh": WarnGuessable,
		"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ": "", // of RFC 4226, which people try
	} {
		secret, err := ParseSecret(text)
		if err != nil {
			continue
		}
		found := Key{Secret: secret}.Warnings()
		if want == "" && found != nil || want != "" && (len(found) != 1 || found[0].Code != want) {
			t.Errorf("%s: %v, want %q", text, found, want)
		}
	}
}

// TestAWholeSecretBetweenSpacesIsDoubted: services put spaces between a few characters only.
func TestAWholeSecretBetweenSpacesIsDoubted(t *testing.T) {
	for text, want := range map[string]bool{
		"JBSWY3DPEHPK3PXP GEZDGNBVGY3TQOJQ": true, "JBSWY3DPEHPK3PXP JBSWY3DPEHPK3PXP": true,
		"alice JBSWY3DPEHPK3PXP": true, "JBSWY3DPEHPK3PXP\u00a0bob": true,
		"JBSW Y3DP EHPK 3PXP": false, " JBSWY3DPEHPK3PXP ": false, "JBSWY3DPEHPK3PXP ====": false,
		"JBSWY3DP EHPK3PXP": false, "JBSWY3DPEHPK3PXP - ": false,
	} {
		if got := len(Doubts(text)) > 0; got != want {
			t.Errorf("Doubts(%q): %t", text, got)
		}
		_, warnings, err := Parse(text)
		if got := slices.ContainsFunc(warnings,
			func(p problem.Problem) bool { return p.Code == WarnParts }); got != want || err != nil {
			t.Errorf("Parse(%q) doubts it: %t, %v", text, got, err)
		}
	}
}

func TestARandomSecretGivesNoWarning(t *testing.T) {
	source := rand.NewChaCha8([32]byte{3})
	for _, size := range []int{10, 16, 20, 32} {
		secret, warned := make([]byte, size), 0
		const tried = 5_000
		for range tried {
			_, _ = source.Read(secret) // never fails
			warned += len(Key{Secret: secret}.Warnings())
		}
		if warned*200 > tried {
			t.Errorf("%d of %d secrets of %d bytes", warned, tried, size)
		}
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add("JBSW Y3DP EHPK 3PXP")
	f.Add("jbsw-0\xff=")
	f.Fuzz(func(t *testing.T, text string) {
		secret, err := ParseSecret(text)
		if err != nil {
			if _, ok := errors.AsType[problem.List](err); !ok {
				t.Fatalf("ParseSecret(%q): %T, want problems", text, err)
			}
			return
		}
		again, err := ParseSecret(encodeSecret(secret))
		if err != nil || !bytes.Equal(again, secret) || len(secret) == 0 || len(secret) > MaxSecret {
			t.Fatalf("ParseSecret(%q) = %x, and of its base32 %x, %v", text, secret, again, err)
		}
	})
}
