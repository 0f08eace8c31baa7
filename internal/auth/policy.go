package auth

import (
	"strings"
	"unicode/utf8"

	"github.com/avtotpy/avtotpy/internal/problem"
)

// The limits of what people choose.
const (
	MinPassword = 12   // characters
	MaxPassword = 1024 // bytes
	MaxName     = 100  // characters
)

// What can be wrong with a name or a password.
const (
	PasswordShort problem.Code = "password.short" // its characters, the least
	PasswordLong  problem.Code = "password.long"  // the most bytes
	PasswordWrong problem.Code = "password.wrong"
	NameMissing   problem.Code = "name.missing"
	NameLong      problem.Code = "name.long" // its characters, the most
	NameUnseen    problem.Code = "name.unseen"
	TokenWrong    problem.Code = "token.wrong"
)

// checkPassword finds what is wrong with a password that somebody chose.
func checkPassword(found *problem.List, field, password string) {
	switch n := utf8.RuneCountInString(password); {
	case n < MinPassword:
		found.Add(field, PasswordShort, n, MinPassword)
	case len(password) > MaxPassword:
		found.Add(field, PasswordLong, MaxPassword)
	}
}

func checkName(found *problem.List, name string) {
	switch n := utf8.RuneCountInString(strings.TrimSpace(name)); {
	case n == 0:
		found.Add("name", NameMissing)
	case n > MaxName:
		found.Add("name", NameLong, n, MaxName)
	case strings.ContainsFunc(name, isControl):
		found.Add("name", NameUnseen)
	}
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
