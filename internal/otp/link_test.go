package otp

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/problem"
)

const example = "JBSWY3DPEHPK3PXP"

// hello returns the secret of example and the defaults, changed by change.
func hello(change func(*Key)) Key {
	k := Key{Kind: TOTP, Secret: []byte("Hello!\xde\xad\xbe\xef"), Algorithm: SHA1, Digits: 6, Period: 30}
	if change != nil {
		change(&k)
	}
	return k
}

func named(issuer, account string) Key {
	return hello(func(k *Key) { k.Issuer, k.Account = issuer, account })
}

func TestParseReadsLinksAsTheyAreFound(t *testing.T) {
	for _, tt := range []struct {
		name, link string
		want       Key
	}{
		{
			"example of the format's page",
			"otpauth://totp/Example:alice@google.com?secret=JBSWY3DPEHPK3PXP&issuer=Example",
			named("Example", "alice@google.com"),
		},
		{
			"everything given",
			"otpauth://totp/ACME%20Co:john.doe@email.com?secret=JBSWY3DPEHPK3PXP&issuer=ACME%20Co" +
				"&algorithm=SHA256&digits=8&period=60",
			hello(func(k *Key) {
				k.Issuer, k.Account, k.Algorithm, k.Digits, k.Period = "ACME Co", "john.doe@email.com", SHA256, 8, 60
			}),
		},
		{
			"scheme, host and names in capitals", "OTPAUTH://TOTP/Example:alice?SECRET=JBSWY3DPEHPK3PXP&ISSUER=Example",
			named("Example", "alice"),
		},
		{"Apple's scheme", "apple-otpauth://totp/Example:alice?secret=JBSWY3DPEHPK3PXP", named("Example", "alice")},
		{"lost slashes", "otpauth:/totp/Example:alice?secret=JBSWY3DPEHPK3PXP", named("Example", "alice")},
		{"no label", "otpauth://totp/?secret=JBSWY3DPEHPK3PXP", hello(nil)},
		{"no label and no slash", "otpauth://totp?secret=JBSWY3DPEHPK3PXP&issuer=Example", named("Example", "")},
		{"no issuer", "otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP", named("", "alice")},
		{
			"issuer only as parameter", "otpauth://totp/alice?issuer=Example&secret=JBSWY3DPEHPK3PXP",
			named("Example", "alice"),
		},
		{
			"issuer only in the label", "otpauth://totp/Example:alice?secret=JBSWY3DPEHPK3PXP&issuer=",
			named("Example", "alice"),
		},
		{
			"encoded colon and spaces",
			"otpauth://totp/Big%20Corporation%3A%20alice%40bigco.com?secret=JBSWY3DPEHPK3PXP",
			named("Big Corporation", "alice@bigco.com"),
		},
		{
			"encoded colon, lower case", "otpauth://totp/foo%3abar?issuer=foo&secret=JBSWY3DPEHPK3PXP",
			named("foo", "bar"),
		},
		{
			"only the first colon splits",
			"otpauth://totp/Microsoft:contoso:alice%3Abob?secret=JBSWY3DPEHPK3PXP&issuer=Microsoft",
			named("Microsoft", "contoso:alice:bob"),
		},
		{
			"an issuer repeated",
			"otpauth://totp/Other%20Company:Other%20Company%3Amichal?secret=JBSWY3DPEHPK3PXP&issuer=Other%20Company",
			named("Other Company", "michal"),
		},
		{
			"an issuer in other letters",
			"otpauth://totp/OTHER+company%20:%20michal?secret=JBSWY3DPEHPK3PXP&issuer=Other+Company",
			named("Other Company", "michal"),
		},
		{"a plus at the end", "otpauth://totp/C:bjarne?secret=JBSWY3DPEHPK3PXP&issuer=C%2B%2B", hello(func(k *Key) {
			k.Issuer, k.LabelIssuer, k.Account = "C++", "C", "bjarne"
		})},
		{
			"names that turn the text around",
			"otpauth://totp/%E2%80%AEExample:%E2%81%A7alice%E2%81%A9?secret=JBSWY3DPEHPK3PXP",
			named("Example", "alice"),
		},
		{
			"null stands for nothing",
			"otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP&algorithm=null&digits=NULL&period=undefined" +
				"&issuer=null&counter=null",
			named("", "alice"),
		},
		{
			"None and nil stand for nothing",
			"otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP&algorithm=None&digits=nil&period=None&issuer=None",
			named("", "alice"),
		},
		{
			"label and issuer differ", "otpauth://totp/Contoso:alice?secret=JBSWY3DPEHPK3PXP&issuer=Microsoft",
			hello(func(k *Key) {
				k.Issuer, k.LabelIssuer, k.Account = "Microsoft", "Contoso", "alice"
			}),
		},
		{
			"an issuer with a colon",
			"otpauth://totp/NotABug.org:%20Free%20code:no@mail.com?issuer=NotABug.org%3A+Free+code" +
				"&secret=JBSWY3DPEHPK3PXP",
			named("NotABug.org: Free code", "no@mail.com"),
		},
		{
			"an issuer with a port",
			"otpauth://totp/localhost%3A8000%3A%20alice?secret=JBSWY3DPEHPK3PXP&issuer=localhost%3A8000",
			named("localhost:8000", "alice"),
		},
		{"empty issuer in the label", "otpauth://totp/:alice:bob?secret=JBSWY3DPEHPK3PXP", named("", "alice:bob")},
		{"empty account", "otpauth://totp/Example:?secret=JBSWY3DPEHPK3PXP", named("Example", "")},
		{
			"raw # and spaces", "otpauth://totp/Team #1: alice smith?secret=JBSW Y3DP EHPK 3PXP&issuer=Team #1",
			named("Team #1", "alice smith"),
		},
		{
			"plus is a space in values only", "otpauth://totp/a+b:alice+otp@x.org?secret=JBSWY3DPEHPK3PXP&issuer=a%2Bb",
			named("a+b", "alice+otp@x.org"),
		},
		{
			"plus in an issuer", "otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP&issuer=Big+Corp",
			named("Big Corp", "alice"),
		},
		{
			"decoded once only", "otpauth://totp/100%2525:a%253Ab?secret=JBSWY3DPEHPK3PXP&issuer=100%2525",
			named("100%25", "a%3Ab"),
		},
		{
			"a percent sign that encodes nothing", "otpauth://totp/100%:50%zz%?secret=JBSWY3DPEHPK3PXP",
			named("100%", "50%zz%"),
		},
		{
			"a slash in the label", "otpauth://totp/Org/Team:alice/1?secret=JBSWY3DPEHPK3PXP",
			named("Org/Team", "alice/1"),
		},
		{
			"a question mark in the label", "otpauth://totp/Who?:alice?secret=JBSWY3DPEHPK3PXP&issuer=Who?",
			named("Who?", "alice"),
		},
		{
			"an ampersand in the names", "otpauth://totp/AT&T:alice?issuer=AT&T&secret=JBSWY3DPEHPK3PXP",
			named("AT&T", "alice"),
		},
		{
			"an ampersand between spaces", "otpauth://totp/alice?issuer=Barnes & Noble&secret=JBSWY3DPEHPK3PXP",
			named("Barnes & Noble", "alice"),
		},
		{
			"& where ? belongs", "otpauth://totp/Example:alice&secret=JBSWY3DPEHPK3PXP&issuer=Example",
			named("Example", "alice"),
		},
		{
			"? where & belongs", "otpauth://totp/Example:alice?secret=JBSWY3DPEHPK3PXP?issuer=Example?digits=6",
			named("Example", "alice"),
		},
		{
			"copied out of HTML",
			"otpauth://totp/Example:alice?issuer=Example&amp;secret=JBSWY3DPEHPK3PXP&amp;digits=6",
			named("Example", "alice"),
		},
		{
			"copied out of JSON", `"otpauth:\/\/totp\/Example:alice?issuer=Example\u0026secret=JBSWY3DPEHPK3PXP"`,
			named("Example", "alice"),
		},
		{"in quotes", " “otpauth://totp/Example:alice?secret=JBSWY3DPEHPK3PXP”\n", named("Example", "alice")},
		{
			"in angle brackets", "<otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP&issuer=Example>",
			named("Example", "alice"),
		},
		{
			"a bracket of its own at the end", "otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP&issuer=Example (test)",
			named("Example (test)", "alice"),
		},
		{
			"broken into lines", "otpauth://totp/Example:alice?secret=JBSWY3DP\r\n\tEHPK3PXP&iss\nuer=Example",
			named("Example", "alice"),
		},
		{
			"encoded as a whole",
			"otpauth%3A%2F%2Ftotp%2FExample%3Aalice%2520smith%3Fsecret%3DJBSWY3DPEHPK3PXP%26issuer%3DExample",
			named("Example", "alice smith"),
		},
		{"Latin-1", "otpauth://totp/M%FCller:J%F6rg?secret=JBSWY3DPEHPK3PXP", named("Müller", "Jörg")},
		{"raw Latin-1", "otpauth://totp/M\xfcller:J\xf6rg?secret=JBSWY3DPEHPK3PXP", named("Müller", "Jörg")},
		{"other scripts", "otpauth://totp/日本:花子?secret=JBSWY3DPEHPK3PXP&issuer=%E6%97%A5%E6%9C%AC", named("日本", "花子")},
		{
			"control characters", "otpauth://totp/Exa%00mple:al%0Aice%1B?secret=JBSWY3DPEHPK3PXP",
			named("Example", "alice"),
		},
		{
			"unknown parameters",
			"otpauth://totp/alice?image=https://x.org/?a=b&color=fff&secret=JBSWY3DPEHPK3PXP&lock",
			named("", "alice"),
		},
		{
			"zero and empty mean the default",
			"otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP&digits=0&period=0&algorithm=",
			named("", "alice"),
		},
		{"empty first, value later", "otpauth://totp/alice?secret=&secret=JBSWY3DPEHPK3PXP", named("", "alice")},
		{"padding and dashes", "otpauth://totp/alice?secret=jbsw-y3dp-ehpk-3pxp====", named("", "alice")},
		{"encoded padding", "otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP%3D%3D", named("", "alice")},
		{
			"counter of a time-based key", "otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP&counter=nonsense",
			named("", "alice"),
		},
		{"hotp", "otpauth://hotp/Example:alice?secret=JBSWY3DPEHPK3PXP&counter=42&period=nonsense", hello(func(k *Key) {
			k.Kind, k.Issuer, k.Account, k.Counter = HOTP, "Example", "alice", 42
		})},
		{"hotp, counter 0", "otpauth://hotp/?secret=JBSWY3DPEHPK3PXP&counter=0", hello(func(k *Key) { k.Kind = HOTP })},
		{
			"largest counter", "otpauth://hotp/?secret=JBSWY3DPEHPK3PXP&counter=9223372036854775807",
			hello(func(k *Key) { k.Kind, k.Counter = HOTP, MaxCounter }),
		},
		{
			"steam host", "otpauth://steam/Steam:gabe?secret=JBSWY3DPEHPK3PXP&issuer=Steam&digits=6&period=99",
			hello(func(k *Key) {
				k.Kind, k.Issuer, k.Account, k.Digits = Steam, "Steam", "gabe", 5
			}),
		},
		{
			"steam encoder",
			"otpauth://totp/Steam:gabe?secret=JBSWY3DPEHPK3PXP&period=30&digits=5&issuer=Steam&encoder=steam",
			hello(func(k *Key) {
				k.Kind, k.Issuer, k.Account, k.Digits = Steam, "Steam", "gabe", 5
			}),
		},
		{
			"steam scheme", "steam://JBSWY3DPEHPK3PXP",
			hello(func(k *Key) { k.Kind, k.Issuer, k.Digits = Steam, "Steam", 5 }),
		},
		{
			"five digits of somebody else", "otpauth://totp/Other:gabe?secret=JBSWY3DPEHPK3PXP&digits=5&issuer=Other",
			hello(func(k *Key) {
				k.Issuer, k.Account, k.Digits = "Other", "gabe", 5
			}),
		},
		{"bare", "JBSWY3DPEHPK3PXP", hello(nil)},
		{"bare in groups", " jbsw y3dp-ehpk 3pxp\n", hello(nil)},
		{"bare in two lines", "JBSWY3DP\nEHPK3PXP==", hello(nil)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, warnings, err := Parse(tt.link)
			if err != nil || len(warnings) > 0 || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Parse(%q)\n got %+v %+v, warnings %v, error %v\nwant %+v", tt.link, got, fields(got),
					warnings, err, fields(tt.want))
			}
		})
	}
}

// fields shows what String hides.
func fields(k Key) any {
	type plain Key
	return plain(k)
}

func TestParseUnderstandsSpellingsOfAlgorithms(t *testing.T) {
	for text, want := range map[string]Algorithm{
		"SHA1": SHA1, "sha1": SHA1, "sha-1": SHA1, "HmacSHA1": SHA1,
		"SHA256": SHA256, "sha-256": SHA256, "HmacSHA256": SHA256, "HMAC-SHA-256": SHA256, "hmac_sha256": SHA256,
		"SHA+256": SHA256,
		"SHA512":  SHA512, "HMACSHA512": SHA512, "SHA224": SHA224, "sha384": SHA384,
	} {
		got, warnings, err := Parse("otpauth://totp/?secret=" + example + "&algorithm=" + text)
		if err != nil || len(warnings) > 0 || got.Algorithm != want {
			t.Errorf("algorithm=%s: %q, warnings %v, error %v, want %s", text, got.Algorithm, warnings, err, want)
		}
	}
}

func TestParseRepairsWithAWarning(t *testing.T) {
	for _, tt := range []struct {
		name, link string
		want       Key
		warning    problem.Code
	}{
		{
			"hotp without counter", "otpauth://hotp/?secret=JBSWY3DPEHPK3PXP", hello(func(k *Key) { k.Kind = HOTP }),
			WarnNoCounter,
		},
		{
			"a fragment", "otpauth://totp/?issuer=a&secret=JBSWY3DPEHPK3PXP#setup",
			hello(func(k *Key) { k.Issuer = "a" }), WarnLeftOut,
		},
		{"unknown characters", "otpauth://totp/?secret=JBSW.Y3DP%00EHPK3PXP!", hello(nil), WarnLeftOut},
		{"a character too many", "otpauth://totp/?secret=JBSWY3DPEHPK3PXPA", hello(nil), WarnRemainder},
		{"a character too many, bare", "JBSWY3DPEHPK3PXPA", hello(nil), WarnRemainder},
		{
			"a short secret", "otpauth://totp/?secret=JBSWY3A", hello(func(k *Key) { k.Secret = []byte("Hell") }),
			WarnShort,
		},
		{"two secrets in one", "otpauth://totp/?secret=JBSWY3DPEHPK3PXP+JBSWY3DPEHPK3PXP", hello(func(k *Key) {
			k.Secret = append(k.Secret, k.Secret...)
		}), WarnParts},
		{"two secrets", "otpauth://totp/?secret=JBSWY3DPEHPK3PXP&secret=AAAA", hello(nil), WarnTwoSecrets},
		{"unknown encoder", "otpauth://totp/?secret=JBSWY3DPEHPK3PXP&encoder=morse", hello(nil), WarnEncoder},
		{"no kind", "otpauth:///?secret=JBSWY3DPEHPK3PXP&digits=6", hello(nil), WarnKindAssumed},
		{
			"short and with other characters", "otpauth://totp/?secret=JBSW!",
			hello(func(k *Key) { k.Secret = []byte("He") }), WarnLeftOut,
		},
		{"a word", "otpauth://totp/?secret=correcthorsebatterystapl", hello(func(k *Key) {
			k.Secret = []byte{19, 163, 18, 10, 103, 116, 100, 64, 130, 115, 36, 113, 41, 129, 235}
		}), WarnGuessable},
		{
			"Steam, perhaps", "otpauth://totp/Steam:gabe?secret=JBSWY3DPEHPK3PXP&digits=5&issuer=Steam",
			hello(func(k *Key) {
				k.Issuer, k.Account, k.Digits = "Steam", "gabe", 5
			}), WarnSteam,
		},
		{
			"MD5", "otpauth://totp/?secret=JBSWY3DPEHPK3PXP&algorithm=md5", hello(func(k *Key) { k.Algorithm = MD5 }),
			WarnMD5,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, warnings, err := Parse(tt.link)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Parse(%q)\n got %+v, error %v\nwant %+v", tt.link, fields(got), err, fields(tt.want))
			}
			if len(warnings) != 1 || warnings[0].Code != tt.warning {
				t.Errorf("Parse(%q) warns %v, want %q", tt.link, warnings, tt.warning)
			}
		})
	}
}

func TestParseSaysWhichFieldIsWrong(t *testing.T) {
	for _, tt := range []struct {
		link string
		want string // fields and codes
	}{
		{"", "link: link.missing"},
		{" \n\u200b", "link: link.missing"},
		{strings.Repeat("A", maxLink+1), "link: link.long"},
		{"hello, world", "link: link.character"},
		{"JBSWY3DP0", "link: link.character"},
		{"---", "link: link.letters"},
		{"A", "secret: link.not-base32"},
		{"https://example.com/2fa", "link: link.page"},
		{"otpauth-migration://offline?data=CjEKCkhlbGxvId6tvu8", "link: link.export"},
		{"phonefactor://activate_account?code=1", "link: link.microsoft"},
		{"data:image/png;base64,iVBORw0KGgo=", "link: link.picture"},
		{"Secret: JBSWY3DPEHPK3PXP", "link: link.scheme"},
		{"steam://run/440", "secret: secret.character"},
		{"steam://", "secret: link.without-secret"},
		{"otpauth://", "secret: link.without-secret"},
		{"otpauth://totp/Example:alice", "secret: link.without-secret"},
		{"otpauth://totp/Example:alice?secret=", "secret: link.without-secret"},
		{"otpauth://totp/Example:alice?secret=null", "secret: link.without-secret"},
		{"otpauth://totp/Example:alice?secret=%21%21", "secret: link.not-base32"},
		{"otpauth://totp/?secret=" + strings.Repeat("A", 2000), "secret: secret.long"},
		{"otpauth://yaotp/alice?secret=JBSWY3DPEHPK3PXP", "kind: link.unknown-kind"},
		{"otpauth://totp/?secret=JBSWY3DPEHPK3PXP&digits=3", "digits: digits.range"},
		{"otpauth://totp/?secret=JBSWY3DPEHPK3PXP&digits=11", "digits: digits.range"},
		{"otpauth://totp/?secret=JBSWY3DPEHPK3PXP&digits=six", "digits: digits.range"},
		{"otpauth://totp/?secret=JBSWY3DPEHPK3PXP&period=-30", "period: period.range"},
		{"otpauth://totp/?secret=JBSWY3DPEHPK3PXP&period=99999999999999999999", "period: period.range"},
		{"otpauth://hotp/?secret=JBSWY3DPEHPK3PXP&counter=9223372036854775808", "counter: counter.range"},
		{"otpauth://totp/?secret=JBSWY3DPEHPK3PXP&algorithm=SHA3-256", "algorithm: algorithm.unknown"},
		{"otpauth://totp/" + strings.Repeat("ä", 256) + "?secret=JBSWY3DPEHPK3PXP", "account: account.long"},
		{"otpauth://totp/a?secret=JBSWY3DPEHPK3PXP\notpauth://totp/b?secret=GEZDGNBVGY3TQOJQ", "link: link.several"},
		{"otpauth://totp/a?secret=JBSWY3DPEHPK3PXPotpauth://totp/b?secret=GEZDGNBVGY3TQOJQ", "link: link.several"},
		{"steam://JBSWY3DPEHPK3PXP, STEAM://GEZDGNBVGY3TQOJQ", "link: link.several"},
		{
			"otpauth://totp/a?secret=JBSWY3DPEHPK3PXP otpauth%3A%2F%2Ftotp%2Fb%3Fsecret%3DGEZDGNBVGY3TQOJQ",
			"link: link.several",
		},
		{
			"otpauth://x/?digits=99&period=x&algorithm=ROT13&issuer=" + strings.Repeat("i", 300),
			"kind: link.unknown-kind, secret: link.without-secret, digits: digits.range, algorithm: " +
				"algorithm.unknown, issuer: issuer.long",
		},
	} {
		key, warnings, err := Parse(tt.link)
		if err == nil || err.Error() != tt.want || warnings != nil || !reflect.DeepEqual(key, Key{}) {
			t.Errorf("Parse(%.80q) = %v, %v, %v, want %q", tt.link, key, warnings, err, tt.want)
		}
	}
}

func TestURIIsReadByOtherApps(t *testing.T) {
	for _, tt := range []struct {
		key  Key
		want string
	}{
		{
			Key{Secret: []byte("Hello!\xde\xad\xbe\xef")},
			"otpauth://totp/?secret=JBSWY3DPEHPK3PXP&algorithm=SHA1&digits=6&period=30",
		},
		{
			named("ACME Co", "john+1@x.org"),
			"otpauth://totp/ACME%20Co:john%2B1@x.org?secret=JBSWY3DPEHPK3PXP&issuer=ACME%20Co&algorithm=SHA1" +
				"&digits=6&period=30",
		},
		{named("", "a:b"), "otpauth://totp/:a%3Ab?secret=JBSWY3DPEHPK3PXP&algorithm=SHA1&digits=6&period=30"},
		{
			named("http://x:8000", "a"),
			"otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&issuer=http%3A%2F%2Fx%3A8000&algorithm=SHA1&digits=6&period=30",
		},
		{
			hello(func(k *Key) { k.Issuer, k.LabelIssuer, k.Account = "Ä", "#?&", "/" }),
			"otpauth://totp/%23%3F%26:%2F?secret=JBSWY3DPEHPK3PXP&issuer=%C3%84&algorithm=SHA1&digits=6&period=30",
		},
		{
			hello(func(k *Key) { k.Kind, k.Counter, k.Digits = HOTP, 7, 8 }),
			"otpauth://hotp/?secret=JBSWY3DPEHPK3PXP&algorithm=SHA1&digits=8&counter=7",
		},
		{
			hello(func(k *Key) { k.Kind = Steam }),
			"otpauth://steam/?secret=JBSWY3DPEHPK3PXP&algorithm=SHA1&digits=5&period=30",
		},
	} {
		if got := tt.key.URI(); got != tt.want {
			t.Errorf("%#v\n got %s\nwant %s", tt.key, got, tt.want)
		}
	}
}

func TestParsingALinkGivesTheKeyThatMadeIt(t *testing.T) {
	source := rand.NewChaCha8([32]byte{2})
	random := rand.New(source)
	pieces := []string{
		"", "a", "B", ":", ":", "%3A", "%", " ", "+", "#", "?", "&", "/", "=", ";", "secret=",
		"issuer=X", "ü", "日本", "\x00", "\xff", "\n", "amp;", `\/`, "otpauth://", "<", "\"", "null", "Steam", "A:",
		"a+b:",
	}
	word := func() string {
		var b strings.Builder
		for range random.IntN(6) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		return b.String()
	}
	for range 50_000 {
		k := Key{
			Kind:      []Kind{"", TOTP, HOTP, Steam}[random.IntN(4)],
			Issuer:    word(),
			Account:   word(),
			Secret:    make([]byte, 10+random.IntN(60)),
			Algorithm: []Algorithm{"", SHA1, SHA256, SHA512, SHA224, SHA384}[random.IntN(6)],
			Digits:    []int{0, 4, 5, 6, 7, 8, 9, 10}[random.IntN(8)],
			Period:    random.IntN(MaxPeriod + 1),
			Counter:   random.Uint64() >> 1,
		}
		if random.IntN(2) == 0 {
			k.LabelIssuer = word()
			if random.IntN(4) == 0 { // the ambiguous neighbours
				k.Issuer = k.LabelIssuer + ":" + word()
			}
		}
		_, _ = source.Read(k.Secret) // never fails
		checkRoundTrip(t, k)
	}
}

// checkRoundTrip checks that Parse reads back what URI wrote for a valid key.
func checkRoundTrip(t *testing.T, k Key) {
	t.Helper()
	want := k.Canonical()
	if again := want.Canonical(); !reflect.DeepEqual(again, want) {
		t.Fatalf("Canonical of %+v\nis %+v, and of that %+v", fields(k), fields(want), fields(again))
	}
	got, warnings, err := Parse(k.URI())
	if err != nil || !reflect.DeepEqual(warnings, want.Warnings()) || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v\nlink %s\n got %+v, warnings %v, error %v\nwant %+v", fields(k), k.URI(), fields(got), warnings,
			err, fields(want))
	}
}

func FuzzParse(f *testing.F) {
	f.Add("otpauth://totp/Example:alice@google.com?secret=JBSWY3DPEHPK3PXP&issuer=Example")
	f.Add("otpauth://hotp/a%3Ab:c?secret=jbsw y3dp&counter=1&algorithm=HmacSHA256&digits=8")
	f.Add("otpauth%3A%2F%2Ftotp%2Fx%3Fsecret%3DAAAAAAAA")
	f.Add("otpauth://totp/Contoso:Microsoft:bob?secret=AAAAAAAA&issuer=Microsoft&digits=null&period=0")
	f.Add("steam://JBSWY3DPEHPK3PXP")
	f.Add("JBSW Y3DP EHPK 3PXP")
	f.Add("otpauth://totp/AT&T?:x#?issuer=A&T;secret=%00%zz+0189&amp;encoder=steam")
	f.Fuzz(func(t *testing.T, link string) {
		key, _, err := Parse(link)
		if err != nil {
			if problems, ok := errors.AsType[problem.List](err); !ok || len(problems) == 0 {
				t.Fatalf("Parse(%q): %#v, want problems", link, err)
			}
			return
		}
		if err := key.Validate(); err != nil {
			t.Fatalf("Parse(%q) = %+v, which is not valid: %v", link, fields(key), err)
		}
		if code := key.At(time.Unix(1234567890, 0)); key.Kind != HOTP && len(code.Value) != key.Digits {
			t.Fatalf("Parse(%q) = %+v with the code %q", link, fields(key), code.Value)
		}
		again, _, err := Parse(key.URI())
		if len(key.URI()) <= maxLink && (err != nil || !reflect.DeepEqual(again, key)) {
			t.Fatalf("Parse(%q) = %+v\nand of its link %q %+v, %v", link, fields(key), key.URI(), fields(again), err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	const link = "otpauth://totp/ACME%20Co:john.doe@email.com?secret=JBSWY3DPEHPK3PXP&issuer=ACME%20Co" +
		"&algorithm=SHA256&digits=8&period=60"
	for b.Loop() {
		if _, _, err := Parse(link); err != nil {
			b.Fatal(err)
		}
	}
}
