package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/store"
)

type userBody struct {
	Name string `json:"name" example:"alice"`
}

type sessionBody struct {
	User      userBody  `json:"user"`
	ExpiresAt time.Time `json:"expires_at" doc:"when it ends, however much it is used"`
	LocksIn   int       `json:"locks_in" doc:"seconds until it is locked, unless it is used before"`
}

// A loggedIn answer brings the cookies of the session and of the device.
type loggedIn struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      sessionBody
}

func (s *site) loggedIn(ctx context.Context, e auth.Entry, err error) (*loggedIn, error) {
	if err != nil {
		return nil, err
	}
	return &loggedIn{SetCookie: s.cookies(visitorOf(ctx).visit(), e), Body: bodyOf(e.Principal)}, nil
}

func bodyOf(p auth.Principal) sessionBody {
	return sessionBody{
		User: userBody{p.User().Name}, ExpiresAt: p.Session.ExpiresAt,
		LocksIn: int(p.Session.LocksIn.Seconds()),
	}
}

type setUpInput struct {
	Body struct {
		Token    string `json:"token" minLength:"1" doc:"from the server's log"`
		Name     string `json:"name" minLength:"1"`
		Password string `json:"password" minLength:"1" doc:"at least 12 characters"`
	}
}

// setUp creates the first user, who is then logged in.
func (s *site) setUp(ctx context.Context, in *setUpInput) (*loggedIn, error) {
	entry, err := s.gate.SetUp(ctx, visitorOf(ctx).visit(), in.Body.Token, in.Body.Name, in.Body.Password)
	return s.loggedIn(ctx, entry, err)
}

type logInInput struct {
	Body struct {
		Name     string `json:"name" minLength:"1"`
		Password string `json:"password" minLength:"1"`
	}
}

func (s *site) logIn(ctx context.Context, in *logInInput) (*loggedIn, error) {
	entry, err := s.gate.LogIn(ctx, visitorOf(ctx).visit(), in.Body.Name, in.Body.Password)
	return s.loggedIn(ctx, entry, err)
}

type unlockInput struct {
	Body struct {
		Password string `json:"password" minLength:"1"`
	}
}

// unlock goes on with a session that was idle.
func (s *site) unlock(ctx context.Context, _ auth.Principal, in *unlockInput) (*loggedIn, error) {
	entry, err := s.gate.Unlock(ctx, visitorOf(ctx).visit(), in.Body.Password)
	return s.loggedIn(ctx, entry, err)
}

func (s *site) whoAmI(_ context.Context, p auth.Principal, _ *struct{}) (*body[sessionBody], error) {
	return answerWith(bodyOf(p)), nil
}

// active answers a page that says that it is in use.
func (s *site) active(ctx context.Context, _ auth.Principal, _ *struct{}) (*body[sessionBody], error) {
	p, err := s.principal(ctx) // as it is now
	return answerWith(bodyOf(p)), err
}

// A loggedOut answer takes the cookie away.
type loggedOut struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

func (s *site) logOut(ctx context.Context, p auth.Principal, _ *struct{}) (*loggedOut, error) {
	if err := s.endOwn(ctx, p); err != nil {
		return nil, err
	}
	return &loggedOut{s.cookie("")}, nil
}

// endOwn ends the session that asks; that it has ended by then is what was asked for.
func (s *site) endOwn(ctx context.Context, p auth.Principal) error {
	if err := p.EndSession(ctx, p.Session.ID); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return nil
}

// A setupView is the page that creates the first user.
type setupView struct {
	Message               string
	Token, Name, Password field
}

func newSetupView(f form) setupView {
	return setupView{
		Message: f.message,
		Token: f.field(field{
			Name: "token", Label: "Set-up token", Exact: true, Required: true, Autofocus: true, Autocomplete: "off",
			Hint: "The server prints it at its start, in the line that names this page.",
		}),
		Name: f.field(field{Name: "name", Label: "Name", Plain: true, Required: true, Autocomplete: "username"}),
		Password: f.field(field{
			Name: "password", Label: "Password", Type: "password", Required: true, Autocomplete: "new-password",
			Hint: "At least 12 characters. Four or five random words are easy to remember and hard to guess.",
		}),
	}
}

func (s *site) setupPage(r *http.Request) (page, error) {
	done, err := s.gate.IsSetUp(r.Context())
	if err == nil && done {
		err = redirect("/login")
	}
	return setupPage(form{}), err
}

func setupPage(f form) page { return page{Name: "setup", Title: "Set up", View: newSetupView(f)} }

func (s *site) setupForm(r *http.Request) (posted, error) {
	entry, err := s.gate.SetUp(r.Context(), visitorOf(r.Context()).visit(), r.PostFormValue("token"),
		r.PostFormValue("name"), r.PostFormValue("password"))
	return posted{next: "/", entry: entry, again: asIs(setupPage)}, err
}

// A loginView is the page to log in.
type loginView struct {
	Message        string
	Next           string // the page that was asked for
	Name, Password field
}

func loginPage(f form) page {
	return page{Name: "login", Title: "Log in", View: loginView{
		Message: f.message,
		Next:    f.values.Get("next"),
		Name: f.field(field{
			Name: "name", Label: "Name", Plain: true, Required: true, Autofocus: true,
			Autocomplete: "username",
		}),
		Password: f.field(field{
			Name: "password", Label: "Password", Type: "password", Required: true,
			Autocomplete: "current-password",
		}),
	}}
}

func (s *site) loginPage(r *http.Request) (page, error) {
	next := ownPath(r.URL.Query().Get("next"))
	done, err := s.gate.IsSetUp(r.Context())
	if err != nil {
		return page{}, err
	}
	if !done {
		return page{}, redirect("/setup")
	}
	switch _, err = s.principal(r.Context()); {
	case err == nil:
		return page{}, redirect(next)
	case !errors.Is(err, auth.ErrNoSession) && !errors.Is(err, auth.ErrLocked):
		return page{}, err
	}
	return loginPage(form{values: url.Values{"next": {next}}}), nil
}

func (s *site) loginForm(r *http.Request) (posted, error) {
	entry, err := s.logInBy(r, r.PostFormValue("name"), r.PostFormValue("password"))
	return posted{next: ownPath(r.PostFormValue("next")), entry: entry, again: asIs(loginPage)}, err
}

func (s *site) logoutForm(r *http.Request, p auth.Principal) (posted, error) {
	return posted{next: "/login", loggedOut: true}, s.endOwn(r.Context(), p)
}

// loginFirst sends a visitor to log in, and then to the page that was asked for.
func loginFirst(r *http.Request) redirect {
	if r.Method != http.MethodGet || r.URL.Path == "/" {
		return "/login"
	}
	return redirect("/login?next=" + url.QueryEscape(r.URL.RequestURI()))
}

// ownPath returns a path of this server, or the list for what leads elsewhere.
func ownPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") ||
		strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}
