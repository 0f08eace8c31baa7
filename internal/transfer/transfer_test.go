package transfer

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/otp"
)

const (
	first  = "otpauth://totp/Example:alice?secret=JBSWY3DPEHPK3PXP&issuer=Example"
	second = "otpauth://totp/Other:bob?issuer=Other&secret=GEZDGNBVGY3TQOJQ"
)

// describe writes entries as their secrets and what is said about them.
func describe(entries []Entry) string {
	var all []string
	for _, e := range entries {
		var parts []string
		for _, p := range e.Problems {
			parts = append(parts, "!"+string(p.Code))
		}
		if len(e.Problems) == 0 {
			_, rest, _ := strings.Cut(e.Key.URI(), "secret=")
			secret, _, _ := strings.Cut(rest, "&")
			parts = append(parts, secret)
		}
		for _, p := range e.Warnings {
			parts = append(parts, "?"+string(p.Code))
		}
		all = append(all, strings.Join(parts, " "))
	}
	return strings.Join(all, ", ")
}

func TestSeveralLinksAreNeverOne(t *testing.T) {
	t.Parallel()
	const a, b = "JBSWY3DPEHPK3PXP", "GEZDGNBVGY3TQOJQ"
	both := a + ", " + b
	for _, separator := range []string{
		"\n", "\r\n", "\r", "\n\n", "\n \t\n", " ", "  ", "\t", ",", ", ", ";", " | ", "", "\u2028", "\u2029",
		"\u0085", `\n`, `\r\n`, "<br>", "<br/>\n",
		"\n- ", "\n2. ", "\n> ", "\nOther: ", "%0A", "\n\u200b",
	} {
		if got := describe(Links(first + separator + second)); got != both {
			t.Errorf("between %q: %s", separator, got)
		}
		if got := describe(Links("1) " + first + separator + strings.ToUpper(second[:14]) + second[14:])); got != both {
			t.Errorf("around %q: %s", separator, got)
		}
	}
	long := "otpauth://totp/A%20Company%20With%20A%20Long%20Name:alice.with.a.long.name@subdomain.example.com" +
		"?secret=JBSWY3DP"
	for _, c := range []struct{ text, want string }{
		{`["` + first + `","` + second + `"]`, both},
		{"<" + first + "> <" + second + ">", both},
		{`[{"uri":"` + strings.ReplaceAll(first, "/", `\/`) + `"},{"uri":"` + strings.ReplaceAll(second, "/", `\/`) +
			`"}]`, both},
		{"(" + first + ") (" + second + ")", both},
		{"“" + first + "”, “" + second + "”", both},
		{first + "\nsteam://" + b, both},
		{"steam://" + a + "steam://" + b, both},
		{"apple-otpauth://totp/x?secret=" + a + "\nOTPAUTH:/totp/y?secret=" + b, both},
		{first + "\notpauth%3A%2F%2Ftotp%2Fx%3Fsecret%3D" + b, both},
		{first + "\n" + b, both},
		{a + "\n" + second, both},
		{a + " " + second, both},
		{first + "\nGitHub\n" + second, a + ", !line.unread, " + b},
		{first + "\nFacebook\n\n" + second, a + ", !line.unread, " + b},
		{"My accounts\n" + first, "!line.unread, " + a},
		{first + "\nhttps://example.com\n" + second, a + ", !line.unread, " + b},
		{"https://example.com/?x=" + first, a},
		{first + "\notpauth-migration://offline?data=CjEK", a + ", !link.export"},
		{first + "\notpauth://totp/x?issuer=y", a + ", !link.without-secret"},
		{long + "\nEHPK3PXP&issuer=x", a + " ?warning.joined"},
		{long + "\n  EHPK3PXP\n" + second, a + " ?warning.joined, " + b},
		{"otpauth://totp/x?secret=" + a + "\n&issuer=y", a + " ?warning.joined"},
		{`otpauth://totp/CORP\nick?secret=` + a, a},
		{"otpauth://totp/A%20\nlong%20name?secret=" + a, a + " ?warning.joined"},
		{"otpauth://totp/x?secret=JBSWY3DP\nEHPK3PXP\nGitHub", a + " ?warning.joined, !line.unread"},
		{first, a},
		{a, a},
		{a + "\n" + b, a + " ?warning.lines, " + b + " ?warning.lines"},
		{a + "\t" + b, a + " ?warning.lines, " + b + " ?warning.lines"},
		{a + "\r" + b + "\r\n\r\n", a + " ?warning.lines, " + b + " ?warning.lines"},
		{a + "\nhello", a + " ?warning.lines, !line.unread"},
		{"JBSW\nY3DP\nEHPK\n3PXP", a + " ?warning.joined"},
		{"JBSW Y3DP EHPK 3PXP", a},
		{"hello, world", "!link.character"},
		{"hello, world\nand more", "!line.unread, !line.unread"},
		{"", "!link.missing"},
	} {
		if got := describe(Links(c.text)); got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestATextHasAnEnd(t *testing.T) {
	t.Parallel()
	for _, one := range []string{first + "\n", "hello, world\n", "JBSWY3DPEHPK3PXP\n", "steam://x"} {
		entries := Links(strings.Repeat(one, 3*Most))
		if last := entries[len(entries)-1]; len(entries) != Most+1 || describe([]Entry{last}) != "!line.too-many" {
			t.Errorf("%q: %d entries, the last one %s", one, len(entries), describe([]Entry{last}))
		}
	}
}

func TestDuplicatesAreFlagged(t *testing.T) {
	t.Parallel()
	have, _, err := otp.Parse("otpauth://totp/Mine?secret=GEZDGNBVGY3TQOJQ")
	if err != nil {
		t.Fatal(err)
	}
	rows := Review(Links(first+"\n"+first+"\n"+second+"\nsteam://jbswy3dpehpk3pxp\nwhat\n"),
		[]Existing{{have, "Mine"}, {otp.Key{}, "damaged"}})
	var got []string
	for _, row := range rows {
		parts := []string{strconv.FormatBool(row.Duplicate)}
		for _, w := range row.Warnings {
			parts = append(parts, fmt.Sprint(w.Code, w.Args))
		}
		got = append(got, strings.Join(parts, " "))
	}
	want := "false; true warning.same[1]; true warning.have[Mine]; true warning.same[1]; false"
	if strings.Join(got, "; ") != want {
		t.Errorf(" got %s\nwant %s", strings.Join(got, "; "), want)
	}
}

func FuzzLinks(f *testing.F) {
	f.Add(first + "\n" + second)
	f.Add(`["` + first + `",` + "\n\"" + second + `"]`)
	f.Add("JBSWY3DPEHPK3PXP\nGEZDGNBVGY3TQOJQ\r\nGitHub")
	f.Fuzz(func(t *testing.T, text string) {
		entries := Links(text)
		if len(entries) > Most+1 {
			t.Fatalf("%d entries", len(entries))
		}
		found := 0
		for _, row := range Review(entries, nil) {
			if len(row.Problems) == 0 {
				if err := row.Key.Validate(); err != nil {
					t.Fatal(err)
				}
				row.Key.At(time.Unix(0, 0))
			}
			found++
		}
		if links := len(otp.Starts(text)); found < min(links, Most) {
			t.Fatalf("%d entries for %d links in %q", found, links, text)
		}
	})
}
