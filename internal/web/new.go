package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/problem"
	"github.com/avtotpy/avtotpy/internal/store"
)

// A keyInput is an account as it is entered: as a link, or by hand. Null is as good as nothing.
type keyInput struct {
	Link      string `json:"link,omitempty" doc:"otpauth://, steam:// or a bare secret; then secret, algorithm, digits, period and counter are not read" example:"otpauth://totp/Example:alice?secret=JBSWY3DPEHPK3PXP"`
	Kind      string `json:"kind,omitempty" nullable:"true" doc:"totp (default), hotp or steam; besides a link it stands for the link's"`
	Issuer    string `json:"issuer,omitempty"`
	Account   string `json:"account,omitempty"`
	Note      string `json:"note,omitempty"`
	Secret    string `json:"secret,omitempty" doc:"base32"`
	Algorithm string `json:"algorithm,omitempty" nullable:"true" doc:"SHA1 (default), SHA256 or SHA512"`
	Digits    int    `json:"digits,omitempty" nullable:"true" minimum:"0" doc:"4 to 10; 0: 6"`
	Period    int    `json:"period,omitempty" nullable:"true" minimum:"0" doc:"1 to 86400 seconds; 0: 30"`
	Counter   int64  `json:"counter,omitempty" nullable:"true" minimum:"0" doc:"of the next code, of kind hotp"`
}

// read returns the key that was entered, and what may be wrong with it. Names and a kind
// given besides a link stand for the link's.
func (in keyInput) read() (key otp.Key, warnings problem.List, err error) {
	kind := otp.ParseKind(in.Kind)
	if in.Link != "" {
		if key, warnings, err = otp.Parse(in.Link); err != nil {
			return otp.Key{}, nil, err
		}
		key = in.rename(key)
		if kind != "" {
			key.Kind = kind
			warnings = slices.DeleteFunc(warnings, func(one problem.Problem) bool { return one.Code == otp.WarnSteam })
		}
		return key.Canonical(), warnings, errors.Join(key.Validate(), checkNote(in.Note))
	}
	key = otp.Key{
		Kind: kind, Issuer: in.Issuer, Account: in.Account, Algorithm: otp.ParseAlgorithm(in.Algorithm),
		Digits: in.Digits, Period: in.Period, Counter: uint64(in.Counter), //nolint:gosec // its minimum is 0
	}
	var problems problem.List
	if key.Secret, err = otp.ParseSecret(in.Secret); err != nil {
		problems, _ = errors.AsType[problem.List](err)
		key.Secret = []byte("x") // its problem is known; the others are looked for
	}
	if more, ok := errors.AsType[problem.List](key.Validate()); ok {
		problems = append(problems, more...)
	}
	if len(problems) > 0 {
		return otp.Key{}, nil, problems
	}
	key = key.Canonical()
	return key, key.Warnings(), checkNote(in.Note)
}

func (in keyInput) rename(key otp.Key) otp.Key {
	if in.Issuer != "" {
		key.Issuer = in.Issuer
	}
	if in.Account != "" {
		key.Account = in.Account
	}
	return key
}

const longestNote = 2000 // characters

func checkNote(note string) error {
	if n := utf8.RuneCountInString(note); n > longestNote {
		return problem.Of("note", noteLong, n, longestNote)
	}
	return nil
}

type addInput struct {
	Submission string `header:"Idempotency-Key" doc:"a UUID of your choice: sent again, it adds nothing and answers with the account that it added"`
	Body       keyInput
}

// An addedAccount answers 201, and 200 to a submission that came before.
type addedAccount struct {
	Status int
	Body   struct {
		Account  accountView `json:"account"`
		Warnings []warning   `json:"warnings" doc:"what may be wrong with it"`
	}
}

func (s *site) addAccount(ctx context.Context, p auth.Principal, in *addInput) (*addedAccount, error) {
	submission := uuid.New()
	if in.Submission != "" {
		var err error
		if submission, err = uuid.Parse(in.Submission); err != nil {
			return nil, &failure{status: http.StatusUnprocessableEntity, text: "The header Idempotency-Key is not a UUID."}
		}
	}
	key, warnings, err := in.Body.read()
	if err != nil {
		return nil, err
	}
	account, created, err := p.CreateAccount(ctx, store.NewAccount{Key: key, Submission: submission, Note: in.Body.Note})
	if err != nil {
		return nil, err
	}
	out := &addedAccount{Status: http.StatusOK}
	if created {
		out.Status = http.StatusCreated
	}
	out.Body.Account, out.Body.Warnings = viewOf(account), warningsOf(warnings)
	return out, nil
}

type previewInput struct{ Body keyInput }

type preview struct {
	Account  accountView `json:"account"`
	Now      string      `json:"now" format:"date-time"`
	Warnings []warning   `json:"warnings"`
	CodeView
}

// previewAccount computes a code and stores nothing.
func (s *site) previewAccount(_ context.Context, _ auth.Principal, in *previewInput) (*body[preview], error) {
	key, warnings, err := in.Body.read()
	if err != nil {
		return nil, err
	}
	now := s.Now()
	shown := preview{Now: stamp(now), Warnings: warningsOf(warnings), CodeView: codeAt(key, now)}
	if key.Kind == otp.HOTP {
		shown.Code = key.HOTP(key.Counter)
	}
	shown.Account = viewOfKey(key)
	shown.Account.Note = in.Body.Note
	return answerWith(shown), nil
}

// A newView is the page that adds an account.
type newView struct {
	Message    string
	Submission string // makes a form that is sent twice one
	Preview    accountView
	Advanced   bool // whether something in the part that is closed at first needs a look

	Box, Issuer, Account, Note               field
	Kind, Algorithm, Digits, Period, Counter field
}

func newPage(f form) page {
	v := newView{
		Message: f.message, Submission: f.values.Get("submission"),
		Preview: accountView{Kind: string(otp.TOTP), Digits: otp.DefaultDigits},
		Box: f.field(field{
			Name: "box", Label: "Link or secret", Rows: 3, Exact: true, Required: true, Autofocus: true, Autocomplete: "off", Placeholder: "otpauth://totp/…",
			Hint: "Paste what the site shows next to its QR code: an otpauth:// or steam:// link, or the secret alone.",
		}),
		Issuer:  f.field(field{Name: "issuer", Label: "Issuer", Autocomplete: "off", Placeholder: "Example Bank"}),
		Account: f.field(field{Name: "account", Label: "Account", Plain: true, Autocomplete: "off", Placeholder: "alice@example.com"}),
		Note:    f.field(field{Name: "note", Label: "Note", Autocomplete: "off", Optional: true}),
		Kind: f.field(field{Name: "kind", Label: "Kind", Value: string(otp.TOTP), Options: []option{
			{string(otp.TOTP), "Time-based (TOTP)"}, {string(otp.HOTP), "Counter-based (HOTP)"}, {string(otp.Steam), "Steam"},
		}}),
		Algorithm: f.field(field{Name: "algorithm", Label: "Algorithm", Value: string(otp.SHA1), For: "totp hotp", Options: []option{
			{string(otp.SHA1), ""}, {string(otp.SHA256), ""}, {string(otp.SHA512), ""},
		}}),
		Digits:  f.field(field{Name: "digits", Label: "Digits", Value: strconv.Itoa(otp.DefaultDigits), For: "totp hotp", InputMode: "numeric", Autocomplete: "off"}),
		Period:  f.field(field{Name: "period", Label: "Period in seconds", Value: strconv.Itoa(otp.DefaultPeriod), For: "totp", InputMode: "numeric", Autocomplete: "off"}),
		Counter: f.field(field{Name: "counter", Label: "Counter", Value: "0", For: "hotp", InputMode: "numeric", Autocomplete: "off"}),
	}
	if v.Submission == "" {
		v.Submission = uuid.NewString()
	}
	for _, one := range []field{v.Kind, v.Algorithm, v.Digits, v.Period, v.Counter} {
		v.Advanced = v.Advanced || one.Error != ""
	}
	return page{Name: "new", Title: "Add an account", View: v}
}

func (s *site) newPage(*http.Request, auth.Principal) (page, error) { return newPage(form{}), nil }

// newForm reads what was typed as the page's script does. A field for numbers that holds something
// else is wrong; what belongs to another kind of code is not read.
func (s *site) newForm(r *http.Request, p auth.Principal) (posted, error) {
	again := posted{again: newPage}
	in := addInput{Submission: r.PostFormValue("submission")}
	box := r.PostFormValue("box")
	in.Body.Issuer, in.Body.Account, in.Body.Note = trim(r, "issuer"), trim(r, "account"), trim(r, "note")
	if isLink(box) {
		in.Body.Link = box
	} else {
		in.Body.Secret, in.Body.Kind = box, string(cmp.Or(otp.ParseKind(r.PostFormValue("kind")), otp.TOTP))
		if in.Body.Kind != string(otp.Steam) {
			in.Body.Algorithm = r.PostFormValue("algorithm")
		}
		var found problem.List
		number := func(name string, kinds ...otp.Kind) (n int64) {
			text := trim(r, name)
			if !slices.Contains(kinds, otp.Kind(in.Body.Kind)) || text == "" || strings.EqualFold(text, "null") {
				return 0
			}
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < 0 {
				found.Add(name, notANumber)
			}
			return n
		}
		in.Body.Digits = int(number("digits", otp.TOTP, otp.HOTP))
		in.Body.Period = int(number("period", otp.TOTP))
		in.Body.Counter = number("counter", otp.HOTP)
		if err := found.Err(); err != nil {
			return again, err
		}
	}
	out, err := s.addAccount(r.Context(), p, &in)
	if err != nil {
		return again, inBox(err)
	}
	again.next = "/#account-" + out.Body.Account.ID
	return again, nil
}

func trim(r *http.Request, name string) string { return strings.TrimSpace(r.PostFormValue(name)) }

// isLink reports whether the box holds one: no base32 secret has a colon.
func isLink(box string) bool { return strings.Contains(box, ":") }

// inBox moves what is wrong with a link or a secret to the field where both are typed.
func inBox(err error) error {
	problems, ok := errors.AsType[problem.List](err)
	if !ok {
		return err
	}
	moved := slices.Clone(problems)
	for i := range moved {
		if moved[i].Field == "link" || moved[i].Field == "secret" {
			moved[i].Field = "box"
		}
	}
	return moved
}
