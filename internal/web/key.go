package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/problem"
	"github.com/avtotpy/avtotpy/internal/store"
)

// A keyChangeInput is how codes are to be made from now on. What is not given stays.
type keyChangeInput struct {
	ID   string `path:"id"`
	Body struct {
		Current   string  `json:"current" minLength:"1" doc:"your password"`
		Kind      *string `json:"kind,omitempty" doc:"totp, hotp or steam"`
		Secret    *string `json:"secret,omitempty" doc:"base32"`
		Algorithm *string `json:"algorithm,omitempty" doc:"SHA1, SHA256 or SHA512"`
		Digits    *int    `json:"digits,omitempty" minimum:"0" doc:"4 to 10; 0: 6"`
		Period    *int    `json:"period,omitempty" minimum:"0" doc:"1 to 86400 seconds; 0: 30"`
		Counter   *int64  `json:"counter,omitempty" minimum:"0" doc:"of the next code, of kind hotp"`
	}
}

type changedKey struct {
	Account  accountView `json:"account"`
	Warnings []warning   `json:"warnings" doc:"what may be wrong with it"`
}

// changeKey is for who knows the password: with another secret the service takes no code any more.
func (s *site) changeKey(ctx context.Context, p auth.Principal, in *keyChangeInput) (*body[changedKey], error) {
	id, err := idInput{in.ID}.id()
	if err != nil {
		return nil, err
	}
	before, err := p.Account(ctx, id)
	if err != nil {
		return nil, err
	}
	if before.Damaged {
		return nil, store.ErrDamaged
	}
	key, err := in.apply(before.Key)
	if err != nil {
		return nil, err
	}
	change := store.KeyChange{Key: key}
	if in.Body.Counter != nil && key.Kind == otp.HOTP {
		change.Counter = new(uint64(*in.Body.Counter)) //nolint:gosec // its minimum is 0
	}
	if err := s.gate.StepUp(ctx, visitorOf(ctx).visit(), p, in.Body.Current); err != nil {
		return nil, err
	}
	account, err := p.ChangeKey(ctx, id, change)
	warnings := account.Warnings()
	if in.Body.Secret != nil {
		warnings = append(otp.Doubts(*in.Body.Secret), warnings...)
	}
	return answerWith(changedKey{viewOf(account), warningsOf(warnings)}), err
}

// apply returns the key as it would be.
func (in *keyChangeInput) apply(key otp.Key) (otp.Key, error) {
	var problems problem.List
	b := in.Body
	if b.Kind != nil {
		key.Kind = otp.ParseKind(*b.Kind)
	}
	if b.Algorithm != nil {
		key.Algorithm = otp.ParseAlgorithm(*b.Algorithm)
	}
	if b.Digits != nil {
		key.Digits = *b.Digits
	}
	if b.Period != nil {
		key.Period = *b.Period
	}
	if b.Secret != nil {
		secret, err := otp.ParseSecret(*b.Secret)
		if problems, _ = errors.AsType[problem.List](err); err == nil {
			key.Secret = secret
		}
	}
	if more, ok := errors.AsType[problem.List](key.Validate()); ok {
		problems = append(problems, more...)
	}
	return key.Canonical(), problems.Err()
}

// A keyView is the page that changes how the codes of an account are made.
type keyView struct {
	Account                                          accountView
	Message                                          string
	Kind, Secret, Algorithm, Digits, Period, Counter field
	Current                                          field
}

func (s *site) keyPage(r *http.Request, p auth.Principal) (page, error) {
	id, err := idInput{r.PathValue("id")}.id()
	if err != nil {
		return page{}, err
	}
	return showKey(r.Context(), p, id, form{})
}

func showKey(ctx context.Context, p auth.Principal, id uuid.UUID, f form) (page, error) {
	a, err := p.Account(ctx, id)
	if err != nil {
		return page{}, err
	}
	if a.Damaged {
		return page{}, store.ErrDamaged
	}
	kind, algorithm, digits, period, counter := keyFields(a.Key)
	v := keyView{
		Account: viewOf(a), Message: f.message,
		Kind: f.tracked(kind), Algorithm: f.tracked(algorithm), Digits: f.tracked(digits), Period: f.tracked(period),
		Counter: f.tracked(counter),
		Secret: f.field(field{
			Name: "secret", Label: "New secret", Exact: true, Optional: true, Autocomplete: "off",
			Hint: "Leave it empty to keep the one that is stored.",
		}),
		Current: f.field(currentPassword()),
	}
	return page{Name: "key", Title: "Change the key", View: v}, nil
}

// keyFields are the fields for how codes are made.
func keyFields(k otp.Key) (kind, algorithm, digits, period, counter field) {
	kind = field{Name: "kind", Label: "Kind", Value: string(k.Kind), Options: []option{
		{string(otp.TOTP), "Time-based (TOTP)"},
		{string(otp.HOTP), "Counter-based (HOTP)"},
		{string(otp.Steam), "Steam"},
	}}
	algorithm = field{
		Name: "algorithm", Label: "Algorithm", Value: string(k.Algorithm), For: "totp hotp",
		Options: []option{
			{string(otp.SHA1), ""}, {string(otp.SHA256), ""}, {string(otp.SHA512), ""},
		},
	}
	// found in exports of other apps
	if !slices.Contains([]otp.Algorithm{otp.SHA1, otp.SHA256, otp.SHA512}, k.Algorithm) {
		algorithm.Options = append(algorithm.Options, option{string(k.Algorithm), ""})
	}
	digits = field{
		Name: "digits", Label: "Digits", Value: strconv.Itoa(k.Digits), For: "totp hotp",
		InputMode: "numeric", Autocomplete: "off",
	}
	period = field{
		Name: "period", Label: "Period in seconds", Value: strconv.Itoa(k.Period), For: "totp",
		InputMode: "numeric", Autocomplete: "off",
	}
	counter = field{
		Name: "counter", Label: "Counter", Value: strconv.FormatUint(k.Counter, 10), For: "hotp",
		InputMode: "numeric", Autocomplete: "off",
	}
	return kind, algorithm, digits, period, counter
}

func (s *site) keyForm(r *http.Request, p auth.Principal) (posted, error) {
	id, err := idInput{r.PathValue("id")}.id()
	if err != nil {
		return posted{}, err
	}
	again := posted{
		next:  "/accounts/" + id.String() + "?saved",
		again: func(ctx context.Context, f form) (page, error) { return showKey(ctx, p, id, f) },
	}
	in := keyChangeInput{ID: id.String()}
	if err := in.read(r); err != nil {
		return again, err
	}
	_, err = s.changeKey(r.Context(), p, &in)
	return again, err
}

// read reads the form. What belongs to another kind of code is not read, and what was not touched is not set: it may
// have been changed elsewhere, and a counter may have moved on.
func (in *keyChangeInput) read(r *http.Request) error {
	entered := keyInput{Kind: string(cmp.Or(otp.ParseKind(r.PostFormValue("kind")), otp.TOTP))}
	if err := entered.readNumbers(r); err != nil {
		return err
	}
	touched := func(name string) bool { return wasTouched(r.PostForm, name) }
	if touched("kind") {
		in.Body.Kind = &entered.Kind
	}
	if touched("algorithm") && entered.Kind != string(otp.Steam) {
		in.Body.Algorithm = &entered.Algorithm
	}
	if touched("digits") && entered.Kind != string(otp.Steam) {
		in.Body.Digits = &entered.Digits
	}
	if touched("period") && entered.Kind == string(otp.TOTP) {
		in.Body.Period = &entered.Period
	}
	if secret := r.PostFormValue("secret"); strings.TrimSpace(secret) != "" {
		if len(otp.Doubts(secret)) > 0 { // no preview shows what comes out of it
			return problem.Of("secret", secretInParts)
		}
		in.Body.Secret = &secret
	}
	if touched("counter") {
		in.Body.Counter = &entered.Counter
	}
	var err error
	in.Body.Current, err = currentIn(r)
	return err
}
