package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/problem"
	"github.com/avtotpy/avtotpy/internal/store"
	"github.com/avtotpy/avtotpy/internal/transfer"
)

// A keyInput is an account as it is entered: as a link, or by hand. Null is as good as nothing.
type keyInput struct {
	Link      string `json:"link,omitempty"`
	Kind      string `json:"kind,omitempty" nullable:"true" doc:"totp (default), hotp or steam; overrides the link's"`
	Issuer    string `json:"issuer,omitempty"`
	Account   string `json:"account,omitempty"`
	Note      string `json:"note,omitempty"`
	Secret    string `json:"secret,omitempty" doc:"base32"`
	Algorithm string `json:"algorithm,omitempty" nullable:"true" doc:"SHA1 (default), SHA256 or SHA512"`
	Digits    int    `json:"digits,omitempty" nullable:"true" minimum:"0" doc:"4 to 10; 0: 6"`
	Period    int    `json:"period,omitempty" nullable:"true" minimum:"0" doc:"1 to 86400 seconds; 0: 30"`
	Counter   int64  `json:"counter,omitempty" nullable:"true" minimum:"0" doc:"of the next code, of kind hotp"`
}

// TransformSchema describes in the document of the API what does not fit into a tag.
func (keyInput) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	link := s.Properties["link"]
	link.Description = "otpauth://, steam:// or a bare secret; then secret, algorithm, digits, period and counter " +
		"are not read"
	link.Examples = []any{"otpauth://totp/Example:alice?secret=JBSWY3DPEHPK3PXP"}
	return s
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
	return key, append(otp.Doubts(in.Secret), key.Warnings()...), checkNote(in.Note)
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
	Submission string `header:"Idempotency-Key" doc:"a UUID; sent again, it adds nothing and returns the same account"`
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
	submission, err := submissionOf(in.Submission)
	if err != nil {
		return nil, err
	}
	key, warnings, err := in.Body.read()
	if err != nil {
		return nil, err
	}
	account, created, err := p.CreateAccount(ctx,
		store.NewAccount{Key: key, Submission: submission, Note: in.Body.Note})
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
func (s *site) previewAccount(ctx context.Context, p auth.Principal, in *previewInput) (*body[preview], error) {
	key, warnings, err := in.Body.read()
	if err != nil {
		return nil, err
	}
	accounts, err := p.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	row := transfer.Review([]transfer.Entry{{Key: key, Warnings: warnings}}, existing(accounts))[0]
	now := s.Now()
	shown := preview{Now: stamp(now), Warnings: warningsOf(row.Warnings), CodeView: previewOf(key, now)}
	shown.Account = viewOfKey(key)
	shown.Account.Note = in.Body.Note
	return answerWith(shown), nil
}

// previewOf is codeAt for a key that is not stored yet: also with the code of its counter, which is not used up by
// that.
func previewOf(key otp.Key, now time.Time) CodeView {
	code := codeAt(key, now)
	if key.Kind == otp.HOTP {
		code.Code = key.HOTP(key.Counter)
	}
	return code
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
	kind, algorithm, digits, period, counter := keyFields(otp.Key{}.Canonical())
	v := newView{
		Message: f.message, Submission: f.values.Get("submission"),
		Preview: accountView{Kind: string(otp.TOTP), Digits: otp.DefaultDigits},
		Box: f.field(field{
			Name: "box", Label: "Links or secret", Rows: 3, Exact: true, Required: true, Autofocus: true,
			Autocomplete: "off", Placeholder: "otpauth://totp/…",
			Hint: "Paste what the site shows next to its QR code: an otpauth:// or steam:// link, or the secret " +
				"alone. Several links can come together, each in a line.",
		}),
		Issuer: f.field(field{Name: "issuer", Label: "Issuer", Autocomplete: "off", Placeholder: "Example Bank"}),
		Account: f.field(field{
			Name: "account", Label: "Account", Plain: true, Autocomplete: "off",
			Placeholder: "alice@example.com",
		}),
		Note: f.field(field{Name: "note", Label: "Note", Autocomplete: "off", Optional: true}),
		Kind: f.field(kind), Algorithm: f.field(algorithm), Digits: f.field(digits), Period: f.field(period),
		Counter: f.field(counter),
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

func trim(r *http.Request, name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
