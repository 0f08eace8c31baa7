package otp

import (
	"testing"
	"time"
)

func BenchmarkHotCode(b *testing.B) {
	key := Key{Kind: TOTP, Secret: []byte("12345678901234567890"), Algorithm: SHA1, Digits: 6, Period: 30}
	now := time.Unix(1_800_000_000, 0)
	for b.Loop() {
		if c := key.At(now); len(c.Value) != 6 {
			b.Fatal(c.Value)
		}
	}
}
