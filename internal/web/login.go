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
}

// A loggedIn answer brings the cookie of the new session.
type loggedIn struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      sessionBody
}

func (s *site) loggedIn(token string, p auth.Principal, err error) (*loggedIn, error) {
	if err != nil {
		return nil, err
	}
	return &loggedIn{SetCookie: s.cookie(token), Body: bodyOf(p)}, nil
}

func bodyOf(p auth.Principal) sessionBody {
	return sessionBody{User: userBody{p.User().Name}, ExpiresAt: p.Session.ExpiresAt}
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
	return s.loggedIn(s.gate.SetUp(ctx, in.Body.Token, in.Body.Name, in.Body.Password, visitorOf(ctx).from))
}

type logInInput struct {
	Body struct {
		Name     string `json:"name" minLength:"1"`
		Password string `json:"password" minLength:"1"`
	}
}

func (s *site) logIn(ctx context.Context, in *logInInput) (*loggedIn, error) {
	return s.loggedIn(s.gate.LogIn(ctx, in.Body.Name, in.Body.Password, visitorOf(ctx).from))
}

func (s *site) whoAmI(_ context.Context, p auth.Principal, _ *struct{}) (*body[sessionBody], error) {
	return answerWith(bodyOf(p)), nil
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
	token, _, err := s.gate.SetUp(r.Context(), r.PostFormValue("token"), r.PostFormValue("name"), r.PostFormValue("password"), visitorOf(r.Context()).from)
	return posted{next: "/", token: token, again: setupPage}, err
}

// A loginView is the page to log in.
type loginView struct {
	Message        string
	Next           string // the page that was asked for
	Name, Password field
}

func loginPage(f form) page {
	return page{Name: "login", Title: "Log in", View: loginView{
		Message:  f.message,
		Next:     f.values.Get("next"),
		Name:     f.field(field{Name: "name", Label: "Name", Plain: true, Required: true, Autofocus: true, Autocomplete: "username"}),
		Password: f.field(field{Name: "password", Label: "Password", Type: "password", Required: true, Autocomplete: "current-password"}),
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
	case !errors.Is(err, auth.ErrNoSession):
		return page{}, err
	}
	return loginPage(form{values: url.Values{"next": {next}}}), nil
}

func (s *site) loginForm(r *http.Request) (posted, error) {
	token, _, err := s.gate.LogIn(r.Context(), r.PostFormValue("name"), r.PostFormValue("password"), visitorOf(r.Context()).from)
	return posted{next: ownPath(r.PostFormValue("next")), token: token, again: loginPage}, err
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
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}
