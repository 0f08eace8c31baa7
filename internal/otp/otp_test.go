package otp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/problem"
)

func TestValidateNamesEachWrongField(t *testing.T) {
	secret := []byte("12345678901234567890")
	for _, tt := range []struct {
		key  Key
		want string // fields
	}{
		{Key{Secret: secret}, ""}, // zero fields are the defaults
		{Key{Secret: []byte{0}}, ""},
		{Key{Kind: HOTP, Secret: secret, Counter: MaxCounter, Digits: 10, Algorithm: SHA512}, ""},
		{Key{Kind: Steam, Secret: secret, Digits: 6, Period: 99}, ""}, // which Steam ignores
		{Key{Secret: secret, Digits: 4, Period: 1, Account: strings.Repeat("日", 255)}, ""},
		{Key{Secret: secret, Period: 86_400}, ""},
		{Key{}, "secret"},
		{Key{Secret: make([]byte, 1025)}, "secret"},
		{Key{Secret: secret, Kind: "TOTP"}, "kind"},
		{Key{Secret: secret, Algorithm: "sha1"}, "algorithm"},
		{Key{Secret: secret, Digits: 3}, "digits"},
		{Key{Secret: secret, Digits: 11}, "digits"},
		{Key{Secret: secret, Digits: -6}, "digits"},
		{Key{Secret: secret, Period: -1}, "period"},
		{Key{Secret: secret, Period: 86_401}, "period"},
		{Key{Secret: secret, Kind: HOTP, Counter: MaxCounter + 1}, "counter"},
		{Key{Secret: secret, Issuer: strings.Repeat("i", 256), LabelIssuer: strings.Repeat("l", 256)}, "issuer"},
		{Key{Secret: secret, Account: strings.Repeat("a", 256)}, "account"},
		{
			Key{Kind: "x", Algorithm: "y", Digits: 99, Period: -9, Counter: MaxCounter + 1},
			"kind secret algorithm digits period counter",
		},
	} {
		err := tt.key.Validate()
		problems, _ := errors.AsType[problem.List](err)
		var got []string
		for _, one := range problems {
			got = append(got, one.Field)
		}
		if strings.Join(got, " ") != tt.want || (err == nil) != (tt.want == "") {
			t.Errorf("%+v: %v, want problems of %q", fields(tt.key), err, tt.want)
		}
	}
}

func TestAProblemRepeatsLittleOfWhatWasTyped(t *testing.T) {
	err := Key{Algorithm: Algorithm(strings.Repeat("A", 100_000)), Secret: []byte("x")}.Validate()
	problems, _ := errors.AsType[problem.List](err)
	if len(problems) != 1 || len(problems[0].Args) != 1 || len(fmt.Sprint(problems[0].Args...)) > 100 {
		t.Errorf("a long value gives %.300v", problems)
	}
}

func TestPrintedKeysHoldNoSecret(t *testing.T) {
	k := Key{Issuer: "Example", Account: "alice", Secret: []byte("topsecret-planted")}
	var text, json bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("key", "key", k)
	slog.New(slog.NewJSONHandler(&json, nil)).Info("key", "key", k)
	printed := []string{text.String(), json.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		printed = append(printed, fmt.Sprintf(verb, k), fmt.Sprintf(verb, []Key{k}))
	}
	for _, got := range printed {
		for _, form := range []string{
			"planted", encodeSecret(k.Secret), "116 111 112 115",
			hex.EncodeToString(k.Secret),
		} {
			if strings.Contains(got, form) {
				t.Errorf("the secret is in %s", got)
			}
		}
	}
	if got := k.String(); got != "totp Example:alice" {
		t.Errorf("String() = %q", got)
	}
}
