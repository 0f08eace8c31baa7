package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/store"
)

// The cookie of a session. A name with __Host- is only taken from this very host,
// over https.
const (
	secureCookie = "__Host-avtotpy"
	plainCookie  = "avtotpy"
)

func (s *site) overTLS() bool { return s.PublicURL != nil && s.PublicURL.Scheme == "https" }

// cookie holds the token of a session; without one, it deletes itself.
func (s *site) cookie(token string) http.Cookie {
	c := http.Cookie{ //nolint:gosec // Secure wherever there is TLS
		Name:     plainCookie,
		Value:    token,
		Path:     "/",
		HttpOnly: true,
		Secure:   s.overTLS(),
		SameSite: http.SameSiteStrictMode,
		MaxAge:   int(store.SessionLifetime.Seconds()),
	}
	if s.overTLS() {
		c.Name = secureCookie
	}
	if token == "" {
		c.MaxAge = -1
	}
	return c
}

func (s *site) sessionToken(r *http.Request) string {
	c, err := r.Cookie(s.cookie("").Name)
	if err != nil {
		return ""
	}
	return c.Value
}

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

func (s *site) begin(ctx context.Context, user store.User) (*loggedIn, error) {
	token, session, err := s.Store.LogIn(ctx, user, visitorOf(ctx).from)
	if err != nil {
		return nil, err
	}
	return &loggedIn{SetCookie: s.cookie(token), Body: bodyOf(session)}, nil
}

func bodyOf(session store.Session) sessionBody {
	return sessionBody{User: userBody{session.User.Name}, ExpiresAt: session.ExpiresAt}
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
	if wait := s.attempts.attempt(visitorOf(ctx).from.Address, s.Now()); wait > 0 {
		return nil, tooMany(wait)
	}
	done, err := s.isSetUp(ctx)
	if err != nil {
		return nil, err
	}
	if done {
		return nil, store.ErrSetupDone
	}
	if !sameToken(in.Body.Token, s.SetupToken) {
		return nil, &fieldError{"token", "This is not the token. The server prints it at its start, in the line that names this page."}
	}
	if err := errors.Join(checkName(in.Body.Name), checkNewPassword("password", in.Body.Password)); err != nil {
		return nil, err
	}
	hash, err := s.passwords.hash(ctx, in.Body.Password)
	if err != nil {
		return nil, err
	}
	user, err := s.Store.CreateFirstUser(ctx, in.Body.Name, hash, visitorOf(ctx).from)
	if err != nil {
		return nil, err
	}
	return s.begin(ctx, user)
}

// isSetUp reports whether there is a user; once there is one, there always is.
func (s *site) isSetUp(ctx context.Context) (bool, error) {
	if s.setupDone.Load() {
		return true, nil
	}
	has, err := s.Store.HasUsers(ctx)
	if has {
		s.setupDone.Store(true)
	}
	return has, err
}

// sameToken compares hashes, so that how long it takes tells nothing. What people
// leave out or add when they copy does not matter.
func sameToken(given, want string) bool {
	normal := func(token string) []byte {
		sum := sha256.Sum256([]byte(strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(strings.TrimSpace(token)))))
		return sum[:]
	}
	return want != "" && subtle.ConstantTimeCompare(normal(given), normal(want)) == 1
}

func checkName(name string) error {
	const longest = 100 // characters
	switch n := utf8.RuneCountInString(strings.TrimSpace(name)); {
	case n == 0:
		return &fieldError{"name", "The name is missing."}
	case n > longest:
		return &fieldError{"name", fmt.Sprintf("The name has %d characters; expected at most %d.", n, longest)}
	case strings.ContainsFunc(name, isControl):
		return &fieldError{"name", "The name has a character in it that cannot be seen."}
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

type logInInput struct {
	Body struct {
		Name     string `json:"name" minLength:"1"`
		Password string `json:"password" minLength:"1"`
	}
}

// logIn takes as long for a name that nobody has, and says the same.
func (s *site) logIn(ctx context.Context, in *logInInput) (*loggedIn, error) {
	from := visitorOf(ctx).from
	if wait := s.attempts.attempt(from.Address, s.Now()); wait > 0 {
		return nil, tooMany(wait)
	}
	if len(in.Body.Password) > maxPassword || strings.ContainsRune(in.Body.Name, 0) {
		return nil, errWrongLogin()
	}
	wait, err := s.Store.AttemptLogin(ctx, in.Body.Name)
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		return nil, tooMany(wait)
	}
	user, hash, err := s.Store.UserByName(ctx, in.Body.Name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	right, outdated, err := s.passwords.check(ctx, in.Body.Password, hash)
	if err != nil {
		return nil, err
	}
	if !right {
		var known *store.User
		if hash != "" {
			known = &user
		}
		if err := s.Store.LoginFailed(ctx, known, from); err != nil {
			return nil, err
		}
		return nil, errWrongLogin()
	}
	if outdated {
		s.rehash(ctx, user, in.Body.Password)
	}
	return s.begin(ctx, user)
}

func errWrongLogin() error {
	return &failure{status: http.StatusUnauthorized, text: "Name or password is wrong."}
}

// rehash is worth trying, and not worth refusing a login for.
func (s *site) rehash(ctx context.Context, user store.User, password string) {
	hash, err := s.passwords.hash(ctx, password)
	if err == nil {
		err = s.Store.Rehash(ctx, user.ID, hash)
	}
	if err != nil {
		s.Log.WarnContext(ctx, "a password could not be hashed anew", "error", err)
	}
}

func (s *site) whoAmI(_ context.Context, session store.Session, _ *struct{}) (*body[sessionBody], error) {
	return answerWith(bodyOf(session)), nil
}

// A loggedOut answer takes the cookie away.
type loggedOut struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

func (s *site) logOut(ctx context.Context, session store.Session, _ *struct{}) (*loggedOut, error) {
	err := s.Store.EndSession(ctx, session.User, session.ID, visitorOf(ctx).from)
	if err != nil && !errors.Is(err, store.ErrNotFound) { // it ended meanwhile, which is what was asked for
		return nil, err
	}
	return &loggedOut{s.cookie("")}, nil
}

type sessionView struct {
	ID         string `json:"id" format:"uuid"`
	Address    string `json:"address" doc:"of the login; empty when it is not known"`
	Agent      string `json:"agent" doc:"the browser, as it calls itself"`
	CreatedAt  string `json:"created_at" format:"date-time"`
	LastSeenAt string `json:"last_seen_at" format:"date-time" doc:"to the minute"`
	Current    bool   `json:"current" doc:"whether it is the one that asks"`
}

type sessionList struct {
	Sessions []sessionView `json:"sessions"`
}

func (s *site) listSessions(ctx context.Context, session store.Session, _ *struct{}) (*body[sessionList], error) {
	views, err := s.sessionViews(ctx, session)
	return answerWith(sessionList{views}), err
}

func (s *site) sessionViews(ctx context.Context, current store.Session) ([]sessionView, error) {
	sessions, err := s.Store.Sessions(ctx, current.User.ID)
	views := make([]sessionView, 0, len(sessions))
	for _, session := range sessions {
		v := sessionView{
			ID: session.ID.String(), Agent: session.Agent, Current: session.ID == current.ID,
			CreatedAt: session.CreatedAt.UTC().Format(time.RFC3339), LastSeenAt: session.LastSeenAt.UTC().Format(time.RFC3339),
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

func (s *site) endSession(ctx context.Context, session store.Session, in *idInput) (*nothing, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	return nil, s.Store.EndSession(ctx, session.User, id, visitorOf(ctx).from)
}

type passwordInput struct {
	Body struct {
		Current string `json:"current" minLength:"1"`
		New     string `json:"new" minLength:"1" doc:"at least 12 characters"`
	}
}

func (s *site) changePassword(ctx context.Context, session store.Session, in *passwordInput) (*nothing, error) {
	from := visitorOf(ctx).from
	if wait := s.attempts.attempt(from.Address, s.Now()); wait > 0 {
		return nil, tooMany(wait)
	}
	if err := checkNewPassword("new", in.Body.New); err != nil {
		return nil, err
	}
	_, hash, err := s.Store.UserByName(ctx, session.User.Name)
	if err != nil {
		return nil, err
	}
	if len(in.Body.Current) > maxPassword {
		return nil, errWrongCurrent()
	}
	right, _, err := s.passwords.check(ctx, in.Body.Current, hash)
	if err != nil {
		return nil, err
	}
	if !right {
		return nil, errWrongCurrent()
	}
	if hash, err = s.passwords.hash(ctx, in.Body.New); err != nil {
		return nil, err
	}
	return nil, s.Store.ChangePassword(ctx, session, hash, from)
}

func errWrongCurrent() error { return &fieldError{"current", "This is not your current password."} }
