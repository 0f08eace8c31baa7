package auth

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/problem"
)

func TestPasswordsThatAreGuessedFirstAreRefused(t *testing.T) {
	t.Parallel()
	for password, want := range map[string]problem.Code{
		"password1234": PasswordCommon, "Password1234": PasswordCommon, "P@ssw0rd1234": PasswordCommon,
		"pa55w0rd!!!!": PasswordCommon,
		"1234password": PasswordCommon, "passwordpassword": PasswordCommon, "Summer2026!!": PasswordCommon,
		"Sommer2026!!":  PasswordCommon,
		"letmein123456": PasswordCommon, "welcome123456": PasswordCommon, "iloveyou12345": PasswordCommon,
		"ｐａｓｓｗｏｒｄ１２３４": PasswordCommon,
		"пароль123456": PasswordCommon, "Passwort12345!": PasswordCommon, "dragon!dragon": PasswordCommon,
		"   password   ": PasswordCommon,
		"changeme-2026":  PasswordCommon, "adminadminadmin": PasswordCommon, "trustno1trustno1": PasswordCommon,
		"password\tpassword": PasswordCommon,

		"aaaaaaaaaaaa": PasswordSame, "aaaaaaaaaaab": PasswordSame, "abababababab": PasswordSame,
		"x7qx7qx7qx7q":    PasswordSame,
		"aaaaabbbbbccccc": PasswordSame, "............": PasswordSame, "éééééééééééé": PasswordSame,
		"xk7qxk7qxk7qx": PasswordSame,
		"aAaAaAaAaAaA":  PasswordSame,

		"qwertyuiop12": PasswordSequence, "123456789012": PasswordSequence, "abcdefghijkl": PasswordSequence,
		"210987654321": PasswordSequence,
		"1qaz2wsx3edc": PasswordSequence, "zyxwvutsrqpo": PasswordSequence, "qwertzuiop123": PasswordSequence,
		"asdfghjkl123": PasswordSequence,
		"acegikmoqsuw": PasswordSequence, "1q2w3e4r5t6y": PasswordSequence, "qweasdzxc123": PasswordSequence,
		"йцукенгшщзхъ": PasswordSequence,
		"201020202030": PasswordSequence, "QwErTyUiOp12": PasswordSequence,

		"alicealicealice": PasswordName, "Alice1234567": PasswordName, "alice-alice-1": PasswordName,
		"ecilaecilaecila": PasswordName,
		"4lice4lice4lice": PasswordName, "smithalice2026": PasswordName, "alice.smith1": PasswordName,

		"avtotpy12345": PasswordProduct, "AVTotpyAVTotpy": PasswordProduct, "4vt0tpy-2026!": PasswordProduct,

		"            ": PasswordBlank, "\t\t\t\t\t\t\t\t\t\t\t\t": PasswordBlank,
		"\u00a0\u2003\u00a0\u2003\u00a0\u2003\u00a0\u2003\u00a0\u2003\u00a0\u2003": PasswordBlank,
		"elevenchars": PasswordShort, "": PasswordShort, strings.Repeat("x", 1025): PasswordLong,

		"correct horse battery": "", "correct horse battery staple": "", "another good password": "",
		"Xk7#qT9!mZ2w": "", "tr0ub4dor&3xyz": "",
		"dragon monkey shadow summer": "", "ich mag gern Käse": "", "vogelsang um halb vier": "", "739105826473": "",
		"alice in wonderland, 1865": "", "the quick brown fox jumps": "", "日本語のとても長い合言葉です": "",
	} {
		var found problem.List
		CheckPassword(&found, "new", "Alice Smith", password)
		var got problem.Code
		if len(found) > 0 {
			got = found[0].Code
		}
		if got != want {
			pieces, _ := newFolded(password).pieces(wordsOf("Alice Smith"))
			t.Errorf("%q: %q with %d pieces, want %q", password, got, pieces, want)
		}
	}
}

// TestVariantsOfCommonWordsAreRefused generates what people, and tools that guess, make of them.
func TestVariantsOfCommonWordsAreRefused(t *testing.T) {
	t.Parallel()
	leet := strings.NewReplacer("a", "@", "o", "0", "e", "3", "i", "1", "s", "$")
	for word := range strings.FieldsSeq(commonList) {
		shapes := []string{word, strings.ToUpper(word), strings.ToUpper(word[:1]) + word[1:], leet.Replace(word)}
		for _, shape := range shapes {
			for _, variant := range []string{shape + "123456789012", shape + "1234567890!", "12345678" + shape +
				"!!!!", shape + shape + shape + shape, shape + "2026" + strings.Repeat("!", 12)} {
				if len([]rune(variant)) >= MinPassword && weakness(variant, "x") == "" {
					t.Errorf("%q is taken", variant)
				}
			}
		}
	}
}

// TestRandomPasswordsAreTaken is about those that password managers make.
func TestRandomPasswordsAreTaken(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 1))
	for _, alphabet := range []string{
		"abcdefghijklmnopqrstuvwxyz",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&*+-./", "0123456789abcdef",
	} {
		refused := 0
		const tries = 500
		for range tries {
			password := make([]byte, 16)
			for i := range password {
				password[i] = alphabet[random.IntN(len(alphabet))]
			}
			if weakness(string(password), "alice") != "" {
				refused++
			}
		}
		if refused > tries/100 {
			t.Errorf("%d of %d random passwords of %s are refused", refused, tries, fmt.Sprintf("%.10s…", alphabet))
		}
	}
}

// TestNamesThatCannotBeToldApartAreRefused: a name looks like what it is.
func TestNamesThatCannotBeToldApartAreRefused(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]problem.Code{
		"alice": "", "Ärzte 3": "", "نامه\u200cای": "", "李雷": "", "o'neil@example.com": "", "🦊": "",
		"": NameMissing, "  ": NameMissing,
		"alice\u200b": NameUnseen, "\ufeffalice": NameUnseen, "ali\u00adce": NameUnseen, "\u202eecila": NameUnseen,
		"\u2066alice": NameUnseen, "al\u2028ice": NameUnseen, "al\u0085ice": NameUnseen, "al\tice": NameUnseen,
		"\u200d": NameUnseen, "\u0301": NameUnseen, "a\x00": NameUnseen,
	} {
		var found problem.List
		checkName(&found, name)
		var got problem.Code
		if len(found) > 0 {
			got = found[0].Code
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
	const odd, good = "alice\u200b", "correct horse battery staple"
	if _, err := NewUser(t.Context(), odd, good); err == nil {
		t.Error("an operator adds a user with an odd name")
	}
	if _, err := NewPassword(t.Context(), odd, good); err != nil {
		t.Errorf("a user who has an odd name gets no other password: %v", err)
	}
}
