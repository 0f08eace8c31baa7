package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"127.0.0.1":                             "[127.0.0.1/32] false ",
		"10.0.0.0/8,::1, fd00::/8":              "[10.0.0.0/8 ::1/128 fd00::/8] false ",
		"10.0.0.0/8 unix":                       "[10.0.0.0/8] true ",
		"unix":                                  "[] true ",
		"Unix, X-Forwarded-For":                 "[] true X-Forwarded-For",
		"10.1.2.3;forwarded":                    "[10.1.2.3/32] false Forwarded",
		"::ffff:10.0.0.1, ::ffff:10.0.0.0/104,": "[10.0.0.1/32 10.0.0.0/8] false ",

		"10.0.0.1/8":                         "expected the network 10.0.0.0/8 or the address 10.0.0.1",
		"0.0.0.0/0":                          "is every address",
		"10.0.0.1,::/0":                      "is every address",
		"proxy.example.com":                  "host names are not looked up",
		"10.0.0":                             "is not an address or a network",
		"10.0.0.0/33":                        "is not an address or a network",
		"fe80::1%eth0":                       "is not an address or a network",
		"*":                                  "is not an address or a network",
		"forwarded":                          "there is no address or network in it",
		" , ":                                "there is no address or network in it",
		"10.0.0.1 forwarded x-forwarded-for": "both headers are named",
	} {
		c, _, err := LoadFor("", []string{"HOME=/home/a", "AVTOTPY_TRUSTED_PROXIES=" + value})
		got := fmt.Sprintf("%v %t %s", c.Proxies.Networks, c.Proxies.Unix, c.Proxies.Header)
		if err != nil {
			got = err.Error()
			if !strings.HasPrefix(got, "AVTOTPY_TRUSTED_PROXIES: ") ||
				!strings.Contains(got, "; for example AVTOTPY_TRUSTED_PROXIES=") {
				t.Errorf("%q: the error is %s", value, got)
			}
		}
		if (err == nil) != strings.HasPrefix(want, "[") || !strings.Contains(got, want) {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
}
