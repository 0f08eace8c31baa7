package web

import (
	"net/http"
	"slices"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/problem"
	"github.com/avtotpy/avtotpy/internal/store"
)

// A typedForm is what a form held that could not be taken now. Its sender can send it again.
type typedForm struct {
	Path  string
	Typed []typedField
}

// toSendAgain returns the form of a request that was not taken for a reason that may be over in a moment; nil when
// there is none, or when something may have been changed.
func toSendAgain(r *http.Request, f *failure) *typedForm {
	if f.retryAfter == 0 || r.Method != http.MethodPost || r.PostForm == nil ||
		store.OutcomeOf(r.Context()) != store.NoneCommitted {
		return nil
	}
	typed := slices.DeleteFunc(typedFields(r.PostForm), func(one typedField) bool { return one.Name == resumeCurrent })
	return &typedForm{r.URL.EscapedPath(), typed}
}

// logInBy logs in by a form. One that was sent without a name or a password is no attempt.
func (s *site) logInBy(r *http.Request, name, password string) (auth.Entry, error) {
	var found problem.List
	if name == "" {
		found.Add("name", auth.NameMissing)
	}
	if password == "" {
		found.Add("password", passwordMissing)
	}
	if err := found.Err(); err != nil {
		return auth.Entry{}, err
	}
	return s.gate.LogIn(r.Context(), visitorOf(r.Context()).visit(), name, password)
}

// currentIn returns the current password that a form has to have.
func currentIn(r *http.Request) (string, error) {
	current := r.PostFormValue("current")
	if current == "" {
		return "", problem.Of("current", passwordMissing)
	}
	return current, nil
}
