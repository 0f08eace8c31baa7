package otp

import (
	"encoding/base32"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	peer "github.com/pquerna/otp"
	peerhotp "github.com/pquerna/otp/hotp"
	peertotp "github.com/pquerna/otp/totp"
)

func TestHOTPGivesTheCodesOfRFC4226(t *testing.T) { // appendix D
	k := Key{Kind: HOTP, Secret: []byte("12345678901234567890")}
	want := []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"}
	for counter, want := range want {
		if got := k.HOTP(uint64(counter)); got != want {
			t.Errorf("HOTP(%d) = %q, want %q", counter, got, want)
		}
	}
}

func TestAtGivesTheCodesOfRFC6238(t *testing.T) { // appendix B, with the seeds of its errata
	seed := func(n int) []byte { return []byte(strings.Repeat("1234567890", 7)[:n]) }
	keys := map[Algorithm]Key{
		SHA1:   {Secret: seed(20), Digits: 8, Algorithm: SHA1},
		SHA256: {Secret: seed(32), Digits: 8, Algorithm: SHA256},
		SHA512: {Secret: seed(64), Digits: 8, Algorithm: SHA512},
	}
	for _, row := range []struct {
		unix                 int64
		sha1, sha256, sha512 string
	}{
		{59, "94287082", "46119246", "90693936"},
		{1111111109, "07081804", "68084774", "25091201"},
		{1111111111, "14050471", "67062674", "99943326"},
		{1234567890, "89005924", "91819424", "93441116"},
		{2000000000, "69279037", "90698825", "38618901"},
		{20000000000, "65353130", "77737706", "47863826"},
	} {
		for algorithm, want := range map[Algorithm]string{SHA1: row.sha1, SHA256: row.sha256, SHA512: row.sha512} {
			if got := keys[algorithm].At(time.Unix(row.unix, 0)).Value; got != want {
				t.Errorf("%s at %d: %q, want %q", algorithm, row.unix, got, want)
			}
		}
	}
}

func TestCodesAgreeWithPquerna(t *testing.T) {
	source := rand.NewChaCha8([32]byte{1})
	random := rand.New(source)
	algorithms := map[Algorithm]peer.Algorithm{
		SHA1: peer.AlgorithmSHA1, SHA256: peer.AlgorithmSHA256,
		SHA512: peer.AlgorithmSHA512,
	}
	for range 2000 {
		secret := make([]byte, 1+random.IntN(80))
		_, _ = source.Read(secret) // never fails
		text := base32.StdEncoding.EncodeToString(secret)
		when := time.Unix(random.Int64N(1<<40), random.Int64N(1e9))
		for ours, theirs := range algorithms {
			k := Key{Secret: secret, Algorithm: ours, Digits: MinDigits + random.IntN(7), Period: 1 +
				random.IntN(MaxPeriod)}
			want, err := peertotp.GenerateCodeCustom(text, when, peertotp.ValidateOpts{
				Period: uint(k.Period), Digits: peer.Digits(k.Digits), Algorithm: theirs,
			})
			if got := k.At(when).Value; err != nil || got != want {
				t.Fatalf("%+v, secret %s, at %d: %q, want %q (%v)", k, text, when.Unix(), got, want, err)
			}
			counter := random.Uint64()
			want, err = peerhotp.GenerateCodeCustom(text, counter,
				peerhotp.ValidateOpts{Digits: peer.Digits(k.Digits), Algorithm: theirs})
			if got := k.HOTP(counter); err != nil || got != want {
				t.Fatalf("%+v, secret %s, counter %d: %q, want %q (%v)", k, text, counter, got, want, err)
			}
		}
		want, err := peertotp.GenerateCodeCustom(text, when, peertotp.ValidateOpts{
			Period: 30, Digits: 5, Algorithm: peer.AlgorithmSHA1, Encoder: peer.EncoderSteam,
		})
		steam := Key{Kind: Steam, Secret: secret, Digits: 8, Algorithm: SHA512, Period: 60} // Steam's own values win
		if got := steam.At(when).Value; err != nil || got != want {
			t.Fatalf("steam, secret %s, at %d: %q, want %q (%v)", text, when.Unix(), got, want, err)
		}
	}
}

func TestRareAlgorithmsGiveCodes(t *testing.T) {
	for _, algorithm := range []Algorithm{SHA224, SHA384, MD5} {
		k := Key{Secret: []byte("12345678901234567890"), Algorithm: algorithm, Digits: 10}
		for counter := range uint64(200) { // often enough for every offset, those beyond the end of MD5 too
			if got := k.HOTP(counter); len(got) != 10 {
				t.Errorf("%s, counter %d: %q, want 10 digits", algorithm, counter, got)
			}
		}
	}
}

func TestACodeIsValidFromTheStartOfItsPeriodUntilTheNext(t *testing.T) {
	for _, tt := range []struct {
		period            int
		unix, from, until int64
	}{
		{30, 0, 0, 30},
		{30, 29, 0, 30},
		{30, 30, 30, 60},
		{0, 61, 60, 90},
		{1, 1234567890, 1234567890, 1234567891},
		{86_400, 1234567890, 1234483200, 1234569600},
		{7, 1234567890, 1234567887, 1234567894},
		{30, -1, -30, 0},
		{30, -30, -30, 0},
		{30, -31, -60, -30},
	} {
		t.Run(fmt.Sprintf("%d s at %d", tt.period, tt.unix), func(t *testing.T) {
			k := Key{Secret: []byte("12345678901234567890"), Period: tt.period}
			code := k.At(time.Unix(tt.unix, 999_999_999).In(time.FixedZone("", 3600)))
			if code.From.Unix() != tt.from || code.Until.Unix() != tt.until || code.From.Location() != time.UTC {
				t.Errorf("valid %v to %v, want %d to %d", code.From, code.Until, tt.from, tt.until)
			}
			if last := k.At(code.Until.Add(-1)); last != code {
				t.Errorf("just before its end: %v, want %v", last, code)
			}
			if next := k.At(code.Until); next.From != code.Until {
				t.Errorf("the next code is valid from %v, want %v", next.From, code.Until)
			}
		})
	}
}

func TestInvalidKeysGiveNoCodeAndDoNotPanic(t *testing.T) {
	secret := []byte("12345678901234567890")
	for _, k := range []Key{
		{},
		{Secret: secret, Digits: -1},
		{Secret: secret, Digits: 11},
		{Secret: secret, Algorithm: "SHA3"},
		{Secret: secret, Period: -30},
	} {
		if got := k.At(time.Unix(59, 0)); got != (Code{}) {
			t.Errorf("%#v: %v, want no code", k, got)
		}
	}
	if got := (Key{Kind: HOTP, Secret: secret}).At(time.Unix(59, 0)); got != (Code{}) {
		t.Errorf("HOTP at a time: %v, want no code", got)
	}
	for _, unix := range []int64{math.MinInt64, math.MaxInt64} {
		if got := (Key{Secret: secret}).At(time.Unix(unix, 0)); len(got.Value) != 6 {
			t.Errorf("at %d: %v, want some code", unix, got)
		}
	}
}

func BenchmarkAt(b *testing.B) {
	for _, k := range []Key{{}, {Algorithm: SHA256}, {Algorithm: SHA512}, {Kind: Steam}} {
		k.Secret = []byte("12345678901234567890")
		k = k.withDefaults()
		b.Run(string(k.Kind)+string(k.Algorithm), func(b *testing.B) {
			now := time.Unix(1234567890, 0)
			b.ReportAllocs()
			for b.Loop() {
				k.At(now)
			}
		})
	}
}
