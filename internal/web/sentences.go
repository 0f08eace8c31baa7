package web

import (
	"fmt"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/problem"
)

// What can be wrong with a form of a page, besides what the rooms behind it find.
const (
	noteLong   problem.Code = "note.long" // its characters, the most
	notANumber problem.Code = "number"
)

// sentences are what people read about problems, in the form of fmt.Sprintf for their arguments.
func sentences() map[problem.Code]string {
	return map[problem.Code]string{
		auth.PasswordShort: "The password has %d characters; expected at least %d.",
		auth.PasswordLong:  "The password is too long; expected at most %d bytes.",
		auth.PasswordWrong: "This is not your current password.",
		auth.NameMissing:   "The name is missing.",
		auth.NameLong:      "The name has %d characters; expected at most %d.",
		auth.NameUnseen:    "The name has a character in it that cannot be seen.",
		auth.TokenWrong:    "This is not the token. The server prints it at its start, in the line that names this page.",
		notANumber:         "This is not a whole number.",
		noteLong:           "The note has %d characters; expected at most %d.",
	}
}

func sentenceOf(p problem.Problem) string {
	format, ok := sentences()[p.Code]
	if !ok {
		return string(p.Code)
	}
	return fmt.Sprintf(format, p.Args...)
}
