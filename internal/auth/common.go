package auth

import "strings"

const longestWord = 24 // characters; of a name, longer words are not typed

// commonWords are what most passwords are made of, in small letters. Digits and signs before, after and
// instead of letters need no words of their own.
//
//nolint:gochecknoglobals // read only
var commonWords = func() map[string]bool {
	words := map[string]bool{}
	for word := range strings.FieldsSeq(commonList) {
		words[word] = true
	}
	return words
}()

const commonList = `
password passwort passwd pass passphrase passcode pwd contraseña contrasena motdepasse senha parola haslo hasło
heslo wachtwoord lozinka jelszo salasana lösenord losenord adgangskode пароль пароли secret geheim
topsecret login logon welcome willkommen bienvenue admin administrator root user guest test testing tester temp
default changeme change letmein letme opensesame access master server system public private security secure protect
account website website internet network wifi router computer laptop iloveyou loveyou love lovely lover ilove
ichliebedich tequiero jetaime hello hallo hola bonjour whatever nothing something monkey dragon tiger lion eagle
falcon panther bear wolf horse dog cat kitty puppy bunny chicken dolphin shark snake spider buster football baseball
basketball soccer hockey tennis golf rugby sports champion winner player playboy gamer gaming game liverpool arsenal
chelsea barcelona realmadrid juventus manchester united bayern dortmund schalke yankees cowboys steelers lakers
princess princesa prince queen king angel devil heaven hell jesus christ god faith blessed church superman batman
spiderman ironman pokemon pikachu naruto starwars matrix minecraft fortnite pirate ninja samurai warrior hunter
michael jennifer jessica ashley daniel david thomas andrew joshua matthew robert william richard charles george
james john nicole samantha amanda anthony alexander alexandra andrea christian stefan martin peter paul max anna
maria laura lisa julia michelle michal jordan taylor charlie charlotte sophie emma oliver harry jack sam alex ben
tom tim maggie ginger pepper sunshine shadow summer winter spring autumn sommer herbst flower rose garden forest
ocean river mountain moon star stars sky january february march april june july august september october november
december monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch donnerstag freitag
samstag sonntag januar februar märz mai juni juli oktober dezember red blue green yellow orange purple black white
silver gold golden diamond pink brown ferrari porsche mercedes bmw audi volkswagen toyota honda ford mustang
corvette harley yamaha suzuki ducati camaro apple google microsoft windows linux android samsung iphone nokia sony
facebook twitter instagram youtube amazon netflix chocolate cookie cheese banana cherry coffee vodka whiskey tequila
beer pizza burger sugar candy honey butter trustno one two three four five six seven eight nine ten zero first last
number qwerty qwertz azerty asdf asdfgh zxcvbn qazwsx hannover berlin hamburg london paris madrid america england
germany deutschland france espana italia russia china india texas boston chicago dallas newyork york freedom liberty
peace happy lucky money cash rich power strong soldier police killer death dead blood metal rock rocks rocknroll
music guitar piano hiphop disco dance dancer metallica nirvana beatles slipknot mother father mommy daddy mama papa
family baby babygirl girl boy friend friends forever sister brother son sexy hottie fuck fucker fuckyou shit bitch
asshole dick pussy cock please thankyou thanks good great best super cool nice fun new old big little my mein meine
the and you me is abc abcd xyz foo bar foobar foobarbaz example sample demo totp otp authenticator twofactor
security vault keys key token code codes pin dell lenovo logitech oracle postgres mysql cisco ubuntu debian docker
kubernetes pass word
`

// keyboardRows are rows of keys, and the columns that people type, each in both directions; by three keys that are in
// them.
//
//nolint:gochecknoglobals // read only
var keyboardRows = func() map[string][]string {
	rows := []string{
		"abcdefghijklmnopqrstuvwxyz", "01234567890", "1234567890ß", "!@#$%^&*()_+", "!\"§$%&/()=",
		"qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./", "qwertzuiopü", "asdfghjklöä", "yxcvbnm,.-", "azertyuiop",
		"qsdfghjklm", "wxcvbn",
		"qazwsxedcrfvtgbyhnujmikolp", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "qayxswedcvfrtgbnhzujm",
		"1qay2wsx3edc4rfv5tgb6zhn7ujm",
		"1q2w3e4r5t6y7u8i9o0p", "1q2w3e4r5t6z7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "147258369", "159357", "741852963",
		"a1b2c3d4e5f6g7h8", "1a2b3c4d5e6f",
		"йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю", "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
	}
	for _, row := range rows {
		runes := []rune(row)
		backward := make([]rune, len(runes))
		for i, r := range runes {
			backward[len(runes)-1-i] = r
		}
		rows = append(rows, string(backward))
	}
	byThree := map[string][]string{}
	for _, row := range rows {
		runes := []rune(row)
		for i := range len(runes) - 2 {
			three := string(runes[i : i+3])
			byThree[three] = append(byThree[three], row)
		}
	}
	return byThree
}()
