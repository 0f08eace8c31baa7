package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/store"
)

type trashAccount struct {
	Account   accountView `json:"account"`
	DeletedAt string      `json:"deleted_at" format:"date-time"`
	GoneAt    string      `json:"gone_at" format:"date-time" doc:"when it is deleted for good"`
}

type trashList struct {
	Accounts []trashAccount `json:"accounts" doc:"the newest first"`
}

func (s *site) listTrash(ctx context.Context, p auth.Principal, _ *struct{}) (*body[trashList], error) {
	accounts, err := trashOf(ctx, p)
	return answerWith(trashList{accounts}), err
}

func trashOf(ctx context.Context, p auth.Principal) ([]trashAccount, error) {
	accounts, err := p.Trash(ctx)
	slices.SortFunc(accounts, func(a, b store.Account) int { return b.DeletedAt.Compare(a.DeletedAt) })
	all := make([]trashAccount, 0, len(accounts))
	for _, a := range accounts {
		gone := a.DeletedAt.AddDate(0, 0, store.TrashDays)
		all = append(all, trashAccount{
			viewOf(a), a.DeletedAt.UTC().Format(time.RFC3339),
			gone.UTC().Format(time.RFC3339),
		})
	}
	return all, err
}

func (s *site) restoreAccount(ctx context.Context, p auth.Principal, in *idInput) (*body[accountBody], error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	if err := p.RestoreAccount(ctx, id); err != nil {
		return nil, err
	}
	account, err := p.Account(ctx, id)
	return answerWith(accountBody{viewOf(account)}), err
}

type purgeInput struct {
	ID   string `path:"id"`
	Body struct {
		Current string `json:"current" minLength:"1" doc:"your password"`
	}
}

// purgeAccount deletes for good, for who knows the password.
func (s *site) purgeAccount(ctx context.Context, p auth.Principal, in *purgeInput) (*noContent, error) {
	id, err := idInput{in.ID}.id()
	if err != nil {
		return nil, err
	}
	if _, err := p.Deleted(ctx, id); err != nil { // before the password, which takes a while
		return nil, err
	}
	if err := s.gate.StepUp(ctx, visitorOf(ctx).visit(), p, in.Body.Current); err != nil {
		return nil, err
	}
	return nil, p.PurgeAccount(ctx, id)
}

// A trashView is the page of the trash.
type trashView struct {
	Accounts []trashAccount
	Days     int
	Message  string
	Saved    string
}

func (s *site) trashPage(r *http.Request, p auth.Principal) (page, error) {
	return showTrash(r.Context(), p, form{values: r.URL.Query()})
}

func showTrash(ctx context.Context, p auth.Principal, f form) (page, error) {
	accounts, err := trashOf(ctx, p)
	v := trashView{Accounts: accounts, Days: store.TrashDays, Message: f.message}
	if f.values.Has("purged") {
		v.Saved = "Deleted for good."
	}
	return page{Name: "trash", Title: "Trash", View: v}, err
}

func (s *site) restoreForm(r *http.Request, p auth.Principal) (posted, error) {
	id, err := idInput{r.PathValue("id")}.id()
	if err != nil {
		return posted{}, err
	}
	err = p.RestoreAccount(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) { // unless it was clicked twice
		_, err = p.Account(r.Context(), id)
	}
	return posted{next: "/#account-" + id.String()}, err
}

// A purgeView is the page that asks before an account is deleted for good.
type purgeView struct {
	Account accountView
	Message string
	Current field
}

func (s *site) purgePage(r *http.Request, p auth.Principal) (page, error) {
	id, err := idInput{r.PathValue("id")}.id()
	if err != nil {
		return page{}, err
	}
	return showPurge(r.Context(), p, id, form{})
}

func showPurge(ctx context.Context, p auth.Principal, id uuid.UUID, f form) (page, error) {
	a, err := p.Deleted(ctx, id)
	return page{
		Name: "purge", Title: "Delete for good",
		View: purgeView{viewOf(a), f.message, f.field(currentPassword())},
	}, err
}

// currentPassword is the field of a form that needs its user's password again.
func currentPassword() field {
	return field{
		Name: "current", Label: "Your password", Type: "password", Required: true,
		Autocomplete: "current-password",
	}
}

func (s *site) purgeForm(r *http.Request, p auth.Principal) (posted, error) {
	id, err := idInput{r.PathValue("id")}.id()
	if err != nil {
		return posted{}, err
	}
	in := purgeInput{ID: r.PathValue("id")}
	if in.Body.Current, err = currentIn(r); err == nil {
		_, err = s.purgeAccount(r.Context(), p, &in)
	}
	show := func(ctx context.Context, f form) (page, error) { return showPurge(ctx, p, id, f) }
	if errors.Is(err, store.ErrNotFound) {
		err = errNotInTrash
		show = func(ctx context.Context, f form) (page, error) { return showTrash(ctx, p, f) }
	}
	return posted{next: "/trash?purged", again: show}, err
}
