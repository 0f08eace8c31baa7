package web

import (
	"bytes"
	"errors"
	"html/template"
	"net/http"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/store"
)

// A view is what a page's template is filled with.
type view struct {
	Page       string // the name of its template and of its script
	Title      string
	User       *store.User // nil while nobody is logged in
	Accounts   []accountView
	Account    *accountView
	Submission string // makes a form that is sent twice one
	Sessions   []sessionView
	Now        string
	Message    string
	Status     int
	Static     func(name string) string // the address of a file
}

func parseTemplates() map[string]*template.Template {
	layout := template.Must(template.ParseFS(templateFiles, "templates/layout.html"))
	all := map[string]*template.Template{}
	for _, page := range []string{"setup", "login", "list", "new", "account", "settings", "error"} {
		all[page] = template.Must(template.Must(layout.Clone()).ParseFS(templateFiles, "templates/"+page+".html"))
	}
	return all
}

// page serves what a function shows.
func (s *site) page(show func(*http.Request) (view, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := show(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.render(w, r, http.StatusOK, v)
	})
}

// memberPage is a page for somebody who is logged in; others are sent to log in.
func (s *site) memberPage(show func(*http.Request, store.Session) (view, error)) http.Handler {
	return s.page(func(r *http.Request) (view, error) {
		session, err := s.Store.Session(r.Context(), visitorOf(r.Context()).token)
		if errors.Is(err, store.ErrNotFound) {
			return view{}, redirect("/login")
		}
		if err != nil {
			return view{}, err
		}
		v, err := show(r, session)
		v.User = &session.User
		return v, err
	})
}

// render fills the template before anything is sent: half a page helps nobody.
func (s *site) render(w http.ResponseWriter, r *http.Request, status int, v view) {
	v.Static, v.Now, v.Status = s.assets.url, stamp(s.Now()), status
	var page bytes.Buffer
	if err := s.templates[v.Page].ExecuteTemplate(&page, "layout.html", v); err != nil {
		s.Log.ErrorContext(r.Context(), "a page cannot be shown", "page", v.Page, "error", err)
		answer(w, http.StatusInternalServerError, "Something went wrong here.")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // whoever asked is gone
}

func (s *site) setupPage(r *http.Request) (view, error) {
	done, err := s.isSetUp(r.Context())
	if err != nil {
		return view{}, err
	}
	if done {
		return view{}, redirect("/login")
	}
	return view{Page: "setup", Title: "Set up"}, nil
}

func (s *site) loginPage(r *http.Request) (view, error) {
	done, err := s.isSetUp(r.Context())
	if err != nil {
		return view{}, err
	}
	if !done {
		return view{}, redirect("/setup")
	}
	_, err = s.Store.Session(r.Context(), visitorOf(r.Context()).token)
	if err == nil {
		return view{}, redirect("/")
	}
	if !errors.Is(err, store.ErrNotFound) {
		return view{}, err
	}
	return view{Page: "login", Title: "Log in"}, nil
}

func (s *site) listPage(r *http.Request, session store.Session) (view, error) {
	accounts, err := s.Store.Accounts(r.Context(), session.User.ID)
	v := view{Page: "list", Title: "Codes"}
	for _, a := range accounts {
		v.Accounts = append(v.Accounts, s.withCode(a))
	}
	return v, err
}

func (s *site) withCode(a store.Account) accountView {
	shown := viewOf(a)
	shown.code = codeAt(keyOf(a), s.Now())
	return shown
}

func (s *site) newPage(*http.Request, store.Session) (view, error) {
	return view{Page: "new", Title: "Add an account", Submission: uuid.NewString()}, nil
}

func (s *site) accountPage(r *http.Request, session store.Session) (view, error) {
	id, err := idInput{r.PathValue("id")}.id()
	if err != nil {
		return view{}, err
	}
	account, err := s.Store.Account(r.Context(), session.User.ID, id)
	if err != nil {
		return view{}, err
	}
	shown := s.withCode(account)
	return view{Page: "account", Title: "Account", Account: &shown}, nil
}

func (s *site) settingsPage(r *http.Request, session store.Session) (view, error) {
	views, err := s.sessionViews(r.Context(), session)
	return view{Page: "settings", Title: "Settings", Sessions: views}, err
}
