package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/store"
)

type sessionView struct {
	ID         string `json:"id" format:"uuid"`
	Address    string `json:"address" doc:"of the login; empty when it is not known"`
	Agent      string `json:"agent" doc:"the browser, as it calls itself"`
	CreatedAt  string `json:"created_at" format:"date-time"`
	LastSeenAt string `json:"last_seen_at" format:"date-time" doc:"to the minute"`
	Locked     bool   `json:"locked" doc:"whether it was idle, and waits for the password"`
	Current    bool   `json:"current" doc:"whether it is the one that asks"`
}

type sessionList struct {
	Sessions []sessionView `json:"sessions"`
}

func (s *site) listSessions(ctx context.Context, p auth.Principal, _ *struct{}) (*body[sessionList], error) {
	views, err := sessionViews(ctx, p)
	return answerWith(sessionList{views}), err
}

func sessionViews(ctx context.Context, p auth.Principal) ([]sessionView, error) {
	sessions, err := p.Sessions(ctx)
	views := make([]sessionView, 0, len(sessions))
	for _, session := range sessions {
		v := sessionView{
			ID: session.ID.String(), Agent: session.Agent, Locked: session.Locked, Current: session.ID == p.Session.ID,
			CreatedAt:  session.CreatedAt.UTC().Format(time.RFC3339),
			LastSeenAt: session.LastSeenAt.UTC().Format(time.RFC3339),
		}
		if session.Address.IsValid() {
			v.Address = session.Address.String()
		}
		views = append(views, v)
	}
	return views, err
}

// An idInput names one thing. What is no id names nothing.
type idInput struct {
	ID string `path:"id"`
}

func (in idInput) id() (uuid.UUID, error) {
	id, err := uuid.Parse(in.ID)
	if err != nil {
		return uuid.Nil, store.ErrNotFound
	}
	return id, nil
}

func (s *site) endSession(ctx context.Context, p auth.Principal, in *idInput) (*noContent, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	return nil, p.EndSession(ctx, id)
}

func (s *site) endOthers(ctx context.Context, p auth.Principal, _ *struct{}) (*noContent, error) {
	return nil, s.gate.EndOthers(ctx, visitorOf(ctx).visit(), p)
}

func (s *site) endOthersForm(r *http.Request, p auth.Principal) (posted, error) {
	return posted{next: "/settings"}, s.gate.EndOthers(r.Context(), visitorOf(r.Context()).visit(), p)
}

type passwordInput struct {
	Body struct {
		Current string `json:"current" minLength:"1"`
		New     string `json:"new" minLength:"1" doc:"at least 12 characters"`
	}
}

// A renewed answer brings the cookie with which the session goes on.
type renewed struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

func (s *site) changePassword(ctx context.Context, p auth.Principal, in *passwordInput) (*renewed, error) {
	entry, err := s.gate.ChangePassword(ctx, visitorOf(ctx).visit(), p, in.Body.Current, in.Body.New)
	if err != nil {
		return nil, err
	}
	return &renewed{s.cookie(entry.Token)}, nil
}

// A settingsView is the page of one's own settings.
type settingsView struct {
	User         string
	Sessions     []sessionView
	Ended        string // why a session could not be ended
	Message      string
	Saved        string
	Current, New field
}

func (s *site) settings(ctx context.Context, p auth.Principal, f form) (page, error) {
	sessions, err := sessionViews(ctx, p)
	v := settingsView{
		User: p.User().Name, Sessions: sessions, Message: f.message,
		Current: f.field(field{
			Name: "current", Label: "Current password", Type: "password", Required: true,
			Autocomplete: "current-password",
		}),
		New: f.field(field{
			Name: "new", Label: "New password", Type: "password", Required: true, Autocomplete: "new-password",
			Hint: "At least 12 characters.",
		}),
	}
	if f.values.Has("saved") {
		v.Saved = "Password changed"
	}
	return page{Name: "settings", Title: "Settings", View: v}, err
}

func (s *site) settingsPage(r *http.Request, p auth.Principal) (page, error) {
	return s.settings(r.Context(), p, form{values: r.URL.Query()})
}

func (s *site) passwordForm(r *http.Request, p auth.Principal) (posted, error) {
	changed := posted{
		next:  "/settings?saved",
		again: func(ctx context.Context, f form) (page, error) { return s.settings(ctx, p, f) },
	}
	current, err := currentIn(r)
	if err == nil {
		changed.entry, err = s.gate.ChangePassword(r.Context(), visitorOf(r.Context()).visit(), p, current,
			r.PostFormValue("new"))
	}
	return changed, err
}

func (s *site) endSessionForm(r *http.Request, p auth.Principal) (posted, error) {
	_, err := s.endSession(r.Context(), p, &idInput{r.PathValue("id")})
	if errors.Is(err, store.ErrNotFound) {
		err = errNoSession
	}
	return posted{next: "/settings", again: func(ctx context.Context, f form) (page, error) {
		shown, err := s.settings(ctx, p, form{})
		if v, ok := shown.View.(settingsView); ok {
			v.Ended = f.message
			shown.View = v
		}
		return shown, err
	}}, err
}
