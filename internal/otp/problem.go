package otp

import (
	"fmt"
	"strconv"
	"strings"
)

// Problem says what is wrong with one field of a key, in a sentence for the person who typed it.
type Problem struct {
	Field   string // link, kind, secret, algorithm, digits, period, counter, issuer or account
	Message string // what was wrong and what is expected; never the secret
}

// Problems is the error of Parse, ParseSecret and Validate; it holds at least one Problem.
type Problems []Problem

// Error returns all problems in one line, each with its field.
func (p Problems) Error() string {
	texts := make([]string, len(p))
	for i, problem := range p {
		texts[i] = problem.Field + ": " + problem.Message
	}
	return strings.Join(texts, " ")
}

// add appends a problem unless its field has one already: the first one is the cause.
func (p *Problems) add(field, format string, args ...any) {
	for _, problem := range *p {
		if problem.Field == field {
			return
		}
	}
	*p = append(*p, Problem{field, fmt.Sprintf(format, args...)})
}

// err returns p as an error, or nil when there is none.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// quote returns what somebody typed, shortened, for use in a message.
func quote(s string) string {
	const most = 40
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "…"
	}
	return strconv.Quote(s)
}
