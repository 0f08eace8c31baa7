// Package problem is what is wrong with what a user entered, in a form that can be translated.
//
// It promises that a problem holds no sentence: a code says what is wrong, arguments say with what,
// and the edge of the program, which knows the reader's language, makes a sentence of them.
package problem

import "strings"

// A Code says what is wrong, as in "password.short".
type Code string

// A Problem is something wrong with one field.
type Problem struct {
	Field string // of the form or of the body of a request
	Code  Code
	Args  []any // numbers and short texts for the sentence; never a secret
}

// A List is an error that holds at least one problem.
type List []Problem

// Error names fields and codes, for a log; the sentences are for people.
func (l List) Error() string {
	texts := make([]string, len(l))
	for i, p := range l {
		texts[i] = p.Field + ": " + string(p.Code)
	}
	return strings.Join(texts, ", ")
}

// Add appends a problem unless its field has one already: the first one is the cause.
func (l *List) Add(field string, code Code, args ...any) {
	for _, p := range *l {
		if p.Field == field {
			return
		}
	}
	*l = append(*l, Problem{field, code, args})
}

// Err returns the list as an error, or nil when there is no problem.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	return l
}

// Of returns a list of one problem.
func Of(field string, code Code, args ...any) List { return List{{field, code, args}} }
