package keyring

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func ring(t *testing.T, lines ...string) *Ring {
	t.Helper()
	r, err := Parse(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestParseNamesEveryBadLineAndNoKey(t *testing.T) {
	t.Parallel()
	good := Generate("good")
	secret := good[len("good:"):]
	for name, c := range map[string]struct{ text, want string }{
		"nothing":       {"", "there is no key"},
		"comments only": {"# keys\n\n", "there is no key"},
		"no id":         {secret, "line 1: expected id:base64"},
		"bad id":        {"my key:" + secret, "line 1: expected id:base64"},
		"truncated":     {"a:" + secret[:20], `line 1: the key "a" has 15 bytes, want 32`},
		"not base64":    {"a:" + secret[:10] + "!" + secret[11:], `line 1: the key "a" is not base64`},
		"twice":         {good + "\n" + good, `line 2: the id "good" is there twice`},
		"two problems":  {"x\n" + good + "\ny:zz", "line 1: expected id:base64"},
		"second":        {"x\n" + good + "\ny:zz", `line 3: the key "y"`},
		"too long":      {"a:" + base64.StdEncoding.EncodeToString(make([]byte, 33)), "has 33 bytes"},
	} {
		_, err := Parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), secret[:10]) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

func TestParseTakesWhatEditorsLeave(t *testing.T) {
	t.Parallel()
	r := ring(t, "# 2026", "", "  "+Generate("new")+" \r", Generate("old"), "")
	if got := strings.Join(r.IDs(), " "); got != "new old" || r.Active() != "new" || !r.Has("old") || r.Has("other") {
		t.Errorf("ids %q, active %q", got, r.Active())
	}
}

// TestAMACIsTheHMAC holds what is written by hand to crypto/hmac, for texts shorter and longer than a block.
func TestAMACIsTheHMAC(t *testing.T) {
	t.Parallel()
	for length := range 700 {
		key, text := random(), bytes.Repeat([]byte{byte(length)}, length)
		mac := hmac.New(sha256.New, key)
		mac.Write(text)
		if got, want := hmacSHA256(key, text), mac.Sum(nil); !bytes.Equal(got[:], want) {
			t.Fatalf("%d bytes: got %x, want %x", length, got, want)
		}
	}
}

// What is derived must stay what it is: data sealed today is opened in years.
// The values follow from RFC 5869 with the key 00…1f and are checked against it with another program.
func TestDerivedValuesStayTheSame(t *testing.T) {
	t.Parallel()
	key := make([]byte, keySize)
	for i := range key {
		key[i] = byte(i)
	}
	r := ring(t, "k:"+base64.StdEncoding.EncodeToString(key))
	for _, c := range []struct{ name, got, want string }{
		{
			"check value", hex.EncodeToString(r.CheckValue("k")),
			"23ec89bf9bfa9ae3247c5df091f992e62a288fa703e832940d286e89f621ae97",
		},
		{"set-up token", r.SetupToken(), "SW674-M6KZ2-BCWOJ-BHBGS"},
		{
			"mac", hex.EncodeToString(r.MAC("login", "alice")),
			"f422d147fc8ce9f14012d343255150e892e5fd13ebbbb827948657d316fea3ef",
		},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, c.got, c.want)
		}
	}
	if got := r.CheckValue("other"); got != nil {
		t.Errorf("check value of an unknown key: %x", got)
	}
}

func TestSealOpensOnlyInItsPlace(t *testing.T) {
	t.Parallel()
	r := ring(t, Generate("a"))
	vault, sealedKey := r.NewVaultKey("v1", 1)
	sealed := vault.Seal([]byte("seed"), encode([]string{"row", "secret"}))

	reopened, err := r.Open(sealedKey, "v1", 1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := reopened.Open(sealed, encode([]string{"row", "secret"}))
	if err != nil || string(got) != "seed" {
		t.Fatalf("got %q, %v", got, err)
	}
	if bytes.Equal(sealed, vault.Seal([]byte("seed"), encode([]string{"row", "secret"}))) {
		t.Error("sealing twice gives the same: the nonce repeats")
	}

	other, _ := r.NewVaultKey("v1", 1)
	altered := bytes.Clone(sealed)
	altered[len(altered)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another row":    func() ([]byte, error) { return vault.Open(sealed, encode([]string{"row2", "secret"})) },
		"another column": func() ([]byte, error) { return vault.Open(sealed, encode([]string{"row", "note"})) },
		"another vault":  func() ([]byte, error) { return other.Open(sealed, encode([]string{"row", "secret"})) },
		"altered":        func() ([]byte, error) { return vault.Open(altered, encode([]string{"row", "secret"})) },
		"truncated":      func() ([]byte, error) { return vault.Open(sealed[:5], encode([]string{"row", "secret"})) },
		"empty":          func() ([]byte, error) { return vault.Open(nil, encode([]string{"row", "secret"})) },
		"the first way": func() ([]byte, error) {
			return vault.Open(append([]byte{joined}, sealed[1:]...), encode([]string{"row", "secret"}))
		},
		"opened that way": func() ([]byte, error) { return vault.OpenFirst(sealed, "row", "secret") },
		"parts that join": func() ([]byte, error) { return vault.Open(sealed, encode([]string{"ro", "wsecret"})) },
		"fewer parts":     func() ([]byte, error) { return vault.Open(sealed, encode([]string{"row"})) },
		"more parts":      func() ([]byte, error) { return vault.Open(sealed, encode([]string{"row", "secret", ""})) },
	} {
		if got, err := open(); !errors.Is(err, ErrSealBroken) {
			t.Errorf("%s: got %q, %v; want ErrSealBroken", name, got, err)
		}
	}
	if _, err := r.Open(sealedKey, "v2", 1); !errors.Is(err, ErrSealBroken) {
		t.Errorf("a vault key in another vault: %v", err)
	}
	if _, err := r.Open(sealedKey, "v1", 2); !errors.Is(err, ErrSealBroken) {
		t.Errorf("a vault key of another generation: %v", err)
	}
}

func TestRotationKeepsWhatIsSealed(t *testing.T) {
	t.Parallel()
	oldLine, newLine := Generate("old"), Generate("new")
	vault, sealedKey := ring(t, oldLine).NewVaultKey("v", 3)
	field := vault.Seal([]byte("seed"), encode([]string{"row", "secret"}))

	resealed, err := ring(t, newLine, oldLine).Reseal(sealedKey, "v", 3)
	if err != nil || resealed.MasterKey != "new" {
		t.Fatalf("got %q, %v", resealed.MasterKey, err)
	}
	onlyNew := ring(t, newLine)
	reopened, err := onlyNew.Open(resealed, "v", 3)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := reopened.Open(field, encode([]string{"row", "secret"})); err != nil || string(got) != "seed" {
		t.Errorf("after rotating: got %q, %v", got, err)
	}
	_, err = onlyNew.Open(sealedKey, "v", 3)
	if missing, ok := errors.AsType[*MissingKeyError](err); !ok || missing.ID != "old" {
		t.Errorf("without the old key: %v", err)
	}
	wrong := ring(t, Generate("old"))
	if _, err := wrong.Open(sealedKey, "v", 3); !errors.Is(err, ErrSealBroken) {
		t.Errorf("with another key of the same id: %v", err)
	}
}

// What the first programs sealed opens in its place alone, and is nothing that is sealed now.
func TestWhatWasSealedTheFirstWayOpens(t *testing.T) {
	t.Parallel()
	r := ring(t, Generate("a"))
	key := random()
	first := func(key, plaintext []byte, place string) []byte {
		return newAEAD(key).Seal([]byte{joined}, nil, plaintext, []byte(place))
	}
	sealed := SealedKey{MasterKey: "a", Bytes: first(r.keys[0].derive("vault keys"), key, "v")}
	vault, err := r.Open(sealed, "v", 1)
	if err != nil {
		t.Fatal(err)
	}
	field := first(key, []byte("seed"), "row/secret")
	if got, err := vault.OpenFirst(field, "row", "secret"); err != nil || string(got) != "seed" {
		t.Errorf("got %q, %v", got, err)
	}
	for name, err := range map[string]error{
		"as what is sealed now":              second(vault.Open(field, encode([]string{"row", "secret"}))),
		"in another row":                     second(vault.OpenFirst(field, "row2", "secret")),
		"a key of another vault":             second(r.Open(sealed, "w", 1)),
		"a key as one that is not the first": second(r.Open(sealed, "v", 2)),
	} {
		if !errors.Is(err, ErrSealBroken) {
			t.Errorf("%s: %v, want ErrSealBroken", name, err)
		}
	}
	resealed, err := r.Reseal(sealed, "v", 1)
	if err != nil || resealed.Bytes[0] != prefixed {
		t.Errorf("sealed again: %x, %v", resealed.Bytes[:1], err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestTheAuthenticationKeyOutlivesTheMasterKey(t *testing.T) {
	t.Parallel()
	oldLine, newLine := Generate("old"), Generate("new")
	sealed := ring(t, oldLine).NewAuthenticationKey()
	key, err := ring(t, oldLine).OpenAuthenticationKey(sealed)
	if err != nil {
		t.Fatal(err)
	}
	mac := key.MAC("member", encode([]string{"vault", "user"}))
	password := key.Seal([]byte("hash"), "password", "user", "1")
	resealed, err := ring(t, newLine, oldLine).ResealAuthenticationKey(sealed)
	if err != nil || resealed.MasterKey != "new" {
		t.Fatalf("got %q, %v", resealed.MasterKey, err)
	}
	again, err := ring(t, newLine).OpenAuthenticationKey(resealed)
	if err != nil || !again.Proves(mac, "member", encode([]string{"vault", "user"})) {
		t.Errorf("after a rotation nothing is proved any more: %v", err)
	}
	if got, err := again.Open(password, "password", "user", "1"); err != nil || string(got) != "hash" {
		t.Errorf("got %q, %v", got, err)
	}
	for name, proved := range map[string]bool{
		"other values":    again.Proves(mac, "member", encode([]string{"vault", "bob"})),
		"another use":     again.Proves(mac, "session", encode([]string{"vault", "user"})),
		"joined values":   again.Proves(mac, "member", encode([]string{"vaultuser"})),
		"shifted values":  again.Proves(mac, "member", encode([]string{"vaul", "tuser"})),
		"nothing":         again.Proves(nil, "member", encode([]string{"vault", "user"})),
		"a part of a MAC": again.Proves(mac[:16], "member", encode([]string{"vault", "user"})),
	} {
		if proved {
			t.Errorf("%s are proved", name)
		}
	}
	for name, err := range map[string]error{
		"another version": second(again.Open(password, "password", "user", "2")),
		"another use":     second(again.Open(password, "session", "user", "1")),
		"a vault's key in its place": second(ring(t,
			oldLine).OpenAuthenticationKey(second2(ring(t, oldLine).NewVaultKey(authentication, 1)))),
	} {
		if !errors.Is(err, ErrSealBroken) {
			t.Errorf("%s: %v, want ErrSealBroken", name, err)
		}
	}
	if _, err := ring(t, newLine).OpenAuthenticationKey(sealed); !isMissing(err, "old") {
		t.Errorf("without the old key: %v", err)
	}
}

func second2[T, U any](_ T, u U) U { return u }

func isMissing(err error, id string) bool {
	missing, ok := errors.AsType[*MissingKeyError](err)
	return ok && missing.ID == id
}

func TestNothingPrintsAKey(t *testing.T) {
	t.Parallel()
	line := Generate("k")
	r := ring(t, line)
	vault, _ := r.NewVaultKey("v", 1)
	proof, err := r.OpenAuthenticationKey(r.NewAuthenticationKey())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "ring", r, "vault", vault, "proof", proof)
	text := log.String() + fmt.Sprintf("%v %+v %#v %d", proof, proof, proof, proof) +
		fmt.Sprintf("%v %+v %#v %s %v %+v %#v", r, r, r, r, vault, vault, vault)
	raw, err := base64.StdEncoding.DecodeString(line[len("k:"):])
	if err != nil {
		t.Fatal(err)
	}
	for _, shape := range []string{
		hex.EncodeToString(proof.secret),
		strings.Trim(fmt.Sprintf("%d", proof.secret), "[]"), line[2:], hex.EncodeToString(raw), fmt.Sprintf("%d", raw),
		strings.Trim(fmt.Sprintf("%#v", raw), "[]byte{}"),
	} {
		if strings.Contains(text, shape) {
			t.Errorf("shows the key: %s", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("k:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n# c\nx")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := Parse(text); err == nil && (len(r.Active()) == 0 || len(r.SetupToken()) != 23) {
			t.Errorf("Parse(%q) gives a ring without a key", text)
		}
	})
}

// TestAPlaceIsWrittenInOneWay holds the parts that are written without a text of their own to those that have one.
func TestAPlaceIsWrittenInOneWay(t *testing.T) {
	t.Parallel()
	for range 200 {
		id, n := uuid.New(), rand.Int64()-rand.Int64()
		for _, n := range []int64{n, 0, math.MinInt64, math.MaxInt64} {
			got := Place("kept")[:0].ID(id).Number(n).Text("secret").Text("")
			if want := encode([]string{id.String(), strconv.FormatInt(n, 10), "secret", ""}); !bytes.Equal(got, want) {
				t.Fatalf("%v, %d: got %q, want %q", id, n, got, want)
			}
		}
	}
}

func TestWhatIsOpenedIsAppended(t *testing.T) {
	t.Parallel()
	vault, _ := ring(t, Generate("k1")).NewVaultKey("v", 1)
	place := Place(nil).Text("row")
	sealed := vault.Seal([]byte("seed"), place)
	if got, err := vault.AppendOpened([]byte("kept "), sealed, place); err != nil || string(got) != "kept seed" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := vault.AppendOpened([]byte("kept "), sealed, Place(nil).Text("other")); !errors.Is(err, ErrSealBroken) {
		t.Errorf("in another place: %v", err)
	}
}
