package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/store"
)

// An accountView is an account without its secret.
type accountView struct {
	ID        string `json:"id,omitempty" doc:"empty in a preview"`
	Kind      string `json:"kind" enum:"totp,hotp,steam"`
	Issuer    string `json:"issuer" example:"Example"`
	Account   string `json:"account" example:"alice@example.com"`
	Note      string `json:"note"`
	Algorithm string `json:"algorithm" enum:"SHA1,SHA224,SHA256,SHA384,SHA512,MD5"`
	Digits    int    `json:"digits"`
	Period    int    `json:"period" doc:"in seconds"`
	Counter   int64  `json:"counter" doc:"of the next code, of kind hotp"`
	code      CodeView
}

// For the page's templates, which show the first codes at once.
func (v accountView) Code() string  { return v.code.Code }
func (v accountView) Next() string  { return v.code.Next }
func (v accountView) From() string  { return v.code.From }
func (v accountView) Until() string { return v.code.Until }

func viewOf(a store.Account) accountView {
	return accountView{
		ID: a.ID.String(), Kind: a.Kind, Issuer: a.Issuer, Account: a.Name, Note: a.Note,
		Algorithm: a.Algorithm, Digits: a.Digits, Period: a.Period, Counter: a.Counter,
	}
}

// keyOf is what makes an account's codes.
func keyOf(a store.Account) otp.Key {
	return otp.Key{
		Kind: otp.Kind(a.Kind), Issuer: a.Issuer, Account: a.Name, Secret: a.Secret,
		Algorithm: otp.Algorithm(a.Algorithm), Digits: a.Digits, Period: a.Period, Counter: uint64(a.Counter), //nolint:gosec // the table holds none below zero
	}
}

// A keyInput is an account as it is entered: as a link, or by hand.
type keyInput struct {
	Link      string `json:"link,omitempty" doc:"otpauth://, steam:// or a bare secret; then kind, secret, algorithm, digits, period and counter are not read" example:"otpauth://totp/Example:alice?secret=JBSWY3DPEHPK3PXP"`
	Kind      string `json:"kind,omitempty" doc:"totp (default), hotp or steam"`
	Issuer    string `json:"issuer,omitempty"`
	Account   string `json:"account,omitempty"`
	Note      string `json:"note,omitempty"`
	Secret    string `json:"secret,omitempty" doc:"base32"`
	Algorithm string `json:"algorithm,omitempty" doc:"SHA1 (default), SHA256 or SHA512"`
	Digits    int    `json:"digits,omitempty" minimum:"1" doc:"4 to 10, 6 by default"`
	Period    int    `json:"period,omitempty" minimum:"1" doc:"1 to 86400 seconds, 30 by default"`
	Counter   int64  `json:"counter,omitempty" minimum:"0" doc:"of the next code, of kind hotp"`
}

// read returns the key that was entered, and what may be wrong with it. Names given
// besides a link stand for the link's.
func (in keyInput) read() (key otp.Key, warnings []string, err error) {
	if in.Link != "" {
		if key, warnings, err = otp.Parse(in.Link); err != nil {
			return otp.Key{}, nil, err
		}
		key = in.rename(key)
		return key, warnings, errors.Join(key.Validate(), checkNote(in.Note))
	}
	key = otp.Key{
		Kind: otp.Kind(strings.ToLower(in.Kind)), Issuer: in.Issuer, Account: in.Account,
		Algorithm: otp.Algorithm(strings.ToUpper(in.Algorithm)), Digits: in.Digits, Period: in.Period, Counter: uint64(in.Counter), //nolint:gosec // its minimum is 0
	}
	var problems otp.Problems
	if key.Secret, err = otp.ParseSecret(in.Secret); err != nil {
		problems, _ = errors.AsType[otp.Problems](err)
		key.Secret = []byte("x") // its problem is known; the others are looked for
	}
	if more, ok := errors.AsType[otp.Problems](key.Validate()); ok {
		problems = append(problems, more...)
	}
	if len(problems) > 0 {
		return otp.Key{}, nil, problems
	}
	return key.Canonical(), nil, checkNote(in.Note)
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
		return &fieldError{"note", fmt.Sprintf("The note has %d characters; expected at most %d.", n, longestNote)}
	}
	return nil
}

type accountList struct {
	Accounts []accountView `json:"accounts"`
}

func (s *site) listAccounts(ctx context.Context, session store.Session, _ *struct{}) (*body[accountList], error) {
	accounts, err := s.Store.Accounts(ctx, session.User.ID)
	if err != nil {
		return nil, err
	}
	views := make([]accountView, len(accounts))
	for i, a := range accounts {
		views[i] = viewOf(a)
	}
	return answerWith(accountList{views}), nil
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
		Warnings []string    `json:"warnings" doc:"what may be wrong with the link"`
	}
}

func (s *site) addAccount(ctx context.Context, session store.Session, in *addInput) (*addedAccount, error) {
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
	account, created, err := s.Store.CreateAccount(ctx, session.User, store.NewAccount{
		Submission: submission, Kind: string(key.Kind), Algorithm: string(key.Algorithm), Digits: key.Digits, Period: key.Period,
		Issuer: key.Issuer, Name: key.Account, Note: in.Body.Note, Secret: key.Secret, Counter: int64(key.Counter), //nolint:gosec // Validate allows none above
	}, visitorOf(ctx).from)
	if err != nil {
		return nil, err
	}
	out := &addedAccount{Status: http.StatusOK}
	if created {
		out.Status = http.StatusCreated
	}
	out.Body.Account, out.Body.Warnings = viewOf(account), append([]string{}, warnings...)
	return out, nil
}

type accountBody struct {
	Account accountView `json:"account"`
}

func (s *site) getAccount(ctx context.Context, session store.Session, in *idInput) (*body[accountBody], error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	account, err := s.Store.Account(ctx, session.User.ID, id)
	return answerWith(accountBody{viewOf(account)}), err
}

type changeInput struct {
	ID   string `path:"id"`
	Body struct {
		Issuer  *string `json:"issuer,omitempty"`
		Account *string `json:"account,omitempty"`
		Note    *string `json:"note,omitempty"`
	}
}

// changeAccount changes what is given; the rest stays.
func (s *site) changeAccount(ctx context.Context, session store.Session, in *changeInput) (*body[accountBody], error) {
	id, err := idInput{in.ID}.id()
	if err != nil {
		return nil, err
	}
	before, err := s.Store.Account(ctx, session.User.ID, id)
	if err != nil {
		return nil, err
	}
	key := keyOf(before)
	change := store.AccountChange{Issuer: trimmed(in.Body.Issuer), Name: trimmed(in.Body.Account), Note: in.Body.Note}
	if change.Issuer != nil {
		key.Issuer = *change.Issuer
	}
	if change.Name != nil {
		key.Account = *change.Name
	}
	if err := key.Validate(); err != nil {
		return nil, err
	}
	if change.Note != nil {
		if err := checkNote(*change.Note); err != nil {
			return nil, err
		}
	}
	account, err := s.Store.UpdateAccount(ctx, session.User, id, change, visitorOf(ctx).from)
	return answerWith(accountBody{viewOf(account)}), err
}

func trimmed(text *string) *string {
	if text == nil {
		return nil
	}
	t := strings.TrimSpace(*text)
	return &t
}

func (s *site) deleteAccount(ctx context.Context, session store.Session, in *idInput) (*nothing, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	return nil, s.Store.DeleteAccount(ctx, session.User, id, visitorOf(ctx).from)
}
