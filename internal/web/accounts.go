package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/store"
)

// An accountView is an account without its secret.
type accountView struct {
	ID        string `json:"id,omitempty" doc:"empty in a preview"`
	Kind      string `json:"kind" enum:"totp,hotp,steam"`
	Issuer    string `json:"issuer" example:"Example"`
	Label     string `json:"label_issuer,omitempty" doc:"what a link's label called the issuer, where that differs"`
	Account   string `json:"account" example:"alice@example.com"`
	Note      string `json:"note"`
	Algorithm string `json:"algorithm" enum:"SHA1,SHA224,SHA256,SHA384,SHA512,MD5"`
	Digits    int    `json:"digits"`
	Period    int    `json:"period" doc:"in seconds"`
	Counter   int64  `json:"counter" doc:"of the next code, of kind hotp"`
	Damaged   bool   `json:"damaged,omitempty" doc:"the sealed parts do not open; kind, names and note may be missing"`
	code      CodeView
}

// For the page's templates, which show the first codes at once.
func (v accountView) Code() string  { return v.code.Code }
func (v accountView) Next() string  { return v.code.Next }
func (v accountView) From() string  { return v.code.From }
func (v accountView) Until() string { return v.code.Until }

// Title is what a card is called.
func (v accountView) Title() string {
	if v.Issuer != "" && v.Label != "" {
		return v.Issuer + " (" + v.Label + ")"
	}
	return cmp.Or(v.Issuer, v.Account, "Unnamed")
}

// Dots stand for a code that was not asked for yet.
func (v accountView) Dots() string { return strings.Repeat("•", v.Digits) }

func viewOf(a store.Account) accountView {
	v := viewOfKey(a.Key)
	v.ID, v.Note, v.Damaged = a.ID.String(), a.Note, a.Damaged
	return v
}

func viewOfKey(k otp.Key) accountView {
	return accountView{
		Kind: string(k.Kind), Issuer: k.Issuer, Label: k.LabelIssuer, Account: k.Account,
		Algorithm: string(k.Algorithm), Digits: k.Digits, Period: k.Period,
		Counter: int64(k.Counter), //nolint:gosec // Validate and the table allow none above
	}
}

type accountList struct {
	Accounts []accountView `json:"accounts"`
}

func (s *site) listAccounts(ctx context.Context, p auth.Principal, _ *struct{}) (*body[accountList], error) {
	accounts, err := s.accounts(ctx, p)
	if err != nil {
		return nil, err
	}
	views := make([]accountView, len(accounts))
	for i, a := range accounts {
		views[i] = viewOf(a)
	}
	return answerWith(accountList{views}), nil
}

type accountBody struct {
	Account accountView `json:"account"`
}

func (s *site) getAccount(ctx context.Context, p auth.Principal, in *idInput) (*body[accountBody], error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	account, err := p.Account(ctx, id)
	return answerWith(accountBody{viewOf(account)}), err
}

type changeInput struct {
	ID   string `path:"id"`
	Body struct {
		Issuer  *string `json:"issuer,omitempty"`
		Label   *string `json:"label_issuer,omitempty"`
		Account *string `json:"account,omitempty"`
		Note    *string `json:"note,omitempty"`
	}
}

// changeAccount changes what is given; the rest stays.
func (s *site) changeAccount(ctx context.Context, p auth.Principal, in *changeInput) (*body[accountBody], error) {
	id, err := idInput{in.ID}.id()
	if err != nil {
		return nil, err
	}
	before, err := p.Account(ctx, id)
	if err == nil && before.Damaged {
		err = store.ErrDamaged
	}
	if err != nil {
		return nil, err
	}
	key := before.Key
	for to, from := range map[*string]*string{
		&key.Issuer: in.Body.Issuer, &key.LabelIssuer: in.Body.Label,
		&key.Account: in.Body.Account,
	} {
		if from != nil {
			*to = strings.TrimSpace(*from)
		}
	}
	if err := key.Validate(); err != nil {
		return nil, err
	}
	key = key.Canonical()
	change := store.AccountChange{
		Issuer: changed(before.Issuer, key.Issuer), LabelIssuer: changed(before.LabelIssuer, key.LabelIssuer),
		Account: changed(before.Account, key.Account), Note: in.Body.Note,
	}
	if change.Note != nil {
		if err := checkNote(*change.Note); err != nil {
			return nil, err
		}
	}
	account, err := p.UpdateAccount(ctx, id, change)
	return answerWith(accountBody{viewOf(account)}), err
}

// changed returns a name when it is another one: another page may have changed the rest.
func changed(before, after string) *string {
	if before == after {
		return nil
	}
	return &after
}

// deleteAccount moves an account to the trash.
func (s *site) deleteAccount(ctx context.Context, p auth.Principal, in *idInput) (*noContent, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	return nil, p.DeleteAccount(ctx, id)
}

// An accountPageView is the page of one account.
type accountPageView struct {
	Account        accountView
	Title          string
	Message, Saved string
	Warnings       []string // what is doubtful about its key
	Issuer, Name   field
	Label, Notes   field
}

func (s *site) accountPage(r *http.Request, p auth.Principal) (page, error) {
	id, err := idInput{r.PathValue("id")}.id()
	if err != nil {
		return page{}, err
	}
	return s.showAccount(r.Context(), p, id, form{values: r.URL.Query()})
}

func (s *site) showAccount(ctx context.Context, p auth.Principal, id uuid.UUID, f form) (page, error) {
	a, err := p.Account(ctx, id)
	if err != nil {
		return page{}, err
	}
	v := accountPageView{
		Account: withCode(a, s.Now()), Title: viewOf(a).Title(), Message: f.message,
		Issuer: f.tracked(field{Name: "issuer", Label: "Issuer", Value: a.Issuer, Autocomplete: "off"}),
		Name:   f.tracked(field{Name: "account", Label: "Account", Value: a.Account, Plain: true, Autocomplete: "off"}),
		Label: f.tracked(field{
			Name: "label_issuer", Label: "Also called", Value: a.LabelIssuer, Autocomplete: "off",
			Optional: true,
		}),
		Notes: f.tracked(field{Name: "note", Label: "Note", Value: a.Note, Rows: 3, Optional: true}),
	}
	if f.values.Has("saved") {
		v.Saved = "Saved"
	}
	if !a.Damaged {
		for _, one := range a.Warnings() {
			v.Warnings = append(v.Warnings, sentenceOf(one))
		}
	}
	return page{Name: "account", Title: "Account", View: v}, nil
}

func (s *site) accountForm(r *http.Request, p auth.Principal) (posted, error) {
	id, err := idInput{r.PathValue("id")}.id()
	if err != nil {
		return posted{}, err
	}
	in := changeInput{ID: r.PathValue("id")}
	for name, to := range map[string]**string{
		"issuer": &in.Body.Issuer, "label_issuer": &in.Body.Label,
		"account": &in.Body.Account, "note": &in.Body.Note,
	} {
		if wasTouched(r.PostForm, name) { // another page may have changed the rest
			text := trimBreaks(r.PostForm.Get(name))
			*to = &text
		}
	}
	_, err = s.changeAccount(r.Context(), p, &in)
	return posted{
		next:  "/accounts/" + id.String() + "?saved",
		again: func(ctx context.Context, f form) (page, error) { return s.showAccount(ctx, p, id, f) },
	}, err
}

// deletePage asks whether to delete an account, where no script can show the dialog.
func (s *site) deletePage(r *http.Request, p auth.Principal) (page, error) {
	shown, err := s.accountPage(r, p)
	shown.Name, shown.Title = "delete", "Delete an account"
	return shown, err
}

func (s *site) deleteForm(r *http.Request, p auth.Principal) (posted, error) {
	id, err := idInput{r.PathValue("id")}.id()
	if err != nil {
		return posted{}, err
	}
	err = p.DeleteAccount(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) { // unless it was clicked twice
		_, err = p.Deleted(r.Context(), id)
	}
	return posted{next: "/?deleted=" + id.String()}, err
}
