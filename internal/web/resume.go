package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/problem"
)

// A form that is sent without a script, when its session is locked or has ended, is not lost: its sender gets a page
// that holds what was typed and asks for the password, and that sends both. Then the form is taken as if nothing had
// been.

// The fields that this page adds to those of a form.
const (
	resumeName     = "resume-name"
	resumePassword = "resume-password"
	resumeCurrent  = "resume-current" // the form asks for the current password, too
)

// passwordFields are those of forms that no page repeats.
func passwordFields() []string { return []string{"current", "new", "password", resumePassword} }

// A resumeView is the page that holds a form until its sender is let in again.
type resumeView struct {
	Path     string
	Locked   bool // the session; otherwise it has ended
	Typed    []typedField
	Message  string
	Name     field // where it has ended
	Password field
}

// A typedField is one value of a form.
type typedField struct{ Name, Value string }

// resume lets the sender of a form in, who gave a password with it, and returns the request with the new session.
// Without one, or with a wrong one, it has answered with the page that asks for it, and ok is false.
func (s *site) resume(w http.ResponseWriter, r *http.Request, locked bool) (resumed *http.Request, who auth.Principal,
	ok bool,
) {
	if !r.PostForm.Has(resumePassword) {
		s.render(w, r, http.StatusUnauthorized, resumePage(r, locked, form{values: r.PostForm}))
		return nil, who, false
	}
	ctx, v, password := r.Context(), visitorOf(r.Context()), r.PostForm.Get(resumePassword)
	var entry auth.Entry
	var err error
	if locked && password == "" { // which is no guess
		err = problem.Of("password", passwordMissing)
	} else if locked {
		entry, err = s.gate.Unlock(ctx, v.visit(), password)
	} else if entry, err = s.logInBy(r, r.PostForm.Get(resumeName), password); err == nil {
		err = s.takeTurn(ctx, entry.User())
	}
	if errors.Is(err, auth.ErrNoSession) { // it ended in between
		locked = false
	}
	if err != nil {
		s.refuseToResume(w, r, locked, err)
		return nil, who, false
	}
	for _, cookie := range s.cookies(v.visit(), entry) {
		http.SetCookie(w, &cookie)
	}
	v.token = entry.Token
	if entry.Device != "" {
		v.devices = append([]string{entry.Device}, v.devices...)
	}
	if r.PostForm.Has(resumeCurrent) { // it was entered just now
		r.PostForm.Set("current", password)
	}
	for _, name := range []string{resumeName, resumePassword, resumeCurrent} {
		r.PostForm.Del(name)
	}
	return r.WithContext(context.WithValue(ctx, visitorKey{}, v)), entry.Principal, true
}

func (s *site) refuseToResume(w http.ResponseWriter, r *http.Request, locked bool, err error) {
	f, problems := s.toFailure(r.Context(), err)
	typed := form{values: r.PostForm, errors: map[string]string{}, message: f.sentence()}
	for _, one := range problems {
		typed.errors["resume-"+one.Field], typed.message = one.Message, ""
	}
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", retryAfter(f.retryAfter))
	}
	s.render(w, r, f.status, resumePage(r, locked, typed))
}

func resumePage(r *http.Request, locked bool, f form) page {
	v := resumeView{
		Path: r.URL.EscapedPath(), Locked: locked, Typed: typedFields(f.values), Message: f.message,
		Name: f.field(field{Name: resumeName, Label: "Name", Plain: true, Required: true, Autocomplete: "username"}),
		Password: f.field(field{
			Name: resumePassword, Label: "Password", Type: "password", Required: true, Autofocus: locked,
			Autocomplete: "current-password",
		}),
	}
	return page{Name: "resume", Title: map[bool]string{true: "Locked", false: "Log in"}[locked], View: v}
}

// typedFields are the values of a form but for passwords and the name.
func typedFields(values url.Values) []typedField {
	var typed []typedField
	for name, all := range values {
		switch {
		case name == "current":
			typed = append(typed, typedField{resumeCurrent, "1"})
		case name == resumeName || slices.Contains(passwordFields(), name):
		default:
			for _, value := range all {
				typed = append(typed, typedField{name, value})
			}
		}
	}
	slices.SortStableFunc(typed, func(a, b typedField) int { return cmp.Compare(a.Name, b.Name) })
	return typed
}
