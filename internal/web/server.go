// Package web is what people and programs see: pages, and the JSON API under
// /api/v1 that the pages use.
//
// It promises that no page loads anything from elsewhere or runs anything inline;
// that nothing changes by GET, or by a request that another site caused; that what
// is another user's looks as if it did not exist; and that errors say what to do
// and hold no internals, no secret and no code.
package web

import (
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/store"
)

// A Server is what the handler needs from outside.
type Server struct {
	Store *store.Store
	Fit   func(context.Context) error // nil while requests can be served, otherwise why not; asked for each request
	// Ready is Fit for probes, which keep requests away. Without it they get Fit.
	Ready      func(context.Context) (warning string, err error)
	Failed     func(error) // gets why a request was not served after all, unless it was the visitor's fault
	Event      auth.Events // is called with what is about security, and must not block; nil drops it
	SetupToken string      // proves who may create the first user
	PublicURL  *url.URL    // where people open the page; nil: http, by address or as localhost
	Proxies    Proxies     // whose word is taken for where a request comes from
	Log        *slog.Logger
	Now        func() time.Time
	Version    string

	BodyTime    time.Duration // how long the body of a request may take to arrive; 0 stands for 10 seconds
	RequestTime time.Duration // how long a request may take in all; 0 stands for 20 seconds
}

// Handler serves everything.
func (s *Server) Handler() http.Handler {
	assets := newAssets()
	h := &site{
		Server:    s.complete(),
		assets:    assets,
		templates: parseTemplates(assets),
		route:     &route{s.Proxies},
		orders:    sync.OnceValue(newOrders), // not at the start, which is measured in milliseconds
	}
	h.bodies, h.shares = newBudget(), newShares()
	h.memory.New = func() any { return new([]store.Account) }
	h.gate = auth.NewGate(h.Store, h.SetupToken, h.Now, h.Log, h.Event)
	return h.routes()
}

// complete fills in what may be left out.
func (s *Server) complete() Server {
	full := *s
	if full.Ready == nil {
		full.Ready = func(ctx context.Context) (string, error) { return "", full.Fit(ctx) }
	}
	if full.Failed == nil {
		full.Failed = func(error) {}
	}
	if full.BodyTime == 0 {
		full.BodyTime = 10 * time.Second
	}
	if full.RequestTime == 0 {
		full.RequestTime = 20 * time.Second
	}
	return full
}

// A site is a server at work.
type site struct {
	Server
	assets    *assets
	templates map[string]*template.Template
	gate      *auth.Gate
	route     *route
	bodies    *budget
	shares    *shares

	orders func() *orders
	memory sync.Pool // of slices for the accounts of an answer

	warnedOfProxy, warnedOfHeader, warnedOfPlain atomic.Int64 // when, in seconds
}

// routes is the table of everything that can be asked for.
func (s *site) routes() http.Handler {
	guarded := limitedMux{http.NewServeMux(), s} // after the guard, and only while the schema is compatible
	s.addPages(guarded)
	s.addAPI(guarded)

	open := http.NewServeMux()
	open.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "alive") })
	open.HandleFunc("GET /readyz", s.readyz)
	open.Handle("GET /static/", s.assets)
	open.Handle("/", s.guard(guarded))
	return s.watch(open)
}

func (s *site) addPages(mux limitedMux) {
	mux.Handle("GET /setup", s.page(s.setupPage))
	mux.Handle("GET /login", s.page(s.loginPage))
	mux.Handle("GET /{$}", s.authenticatedPage(s.listPage))
	mux.Handle("GET /accounts/new", s.authenticatedPage(s.newPage))
	mux.Handle("GET /accounts/{id}", s.authenticatedPage(s.accountPage))
	mux.Handle("GET /settings", s.authenticatedPage(s.settingsPage))
	mux.Handle("POST /setup", s.post(s.setupForm))
	mux.Handle("POST /login", s.post(s.loginForm))
	mux.Handle("POST /logout", s.ownerPost(s.logoutForm))
	mux.Handle("POST /accounts/new", s.authenticatedPost(s.newForm))
	mux.Handle("GET /accounts/{id}/delete", s.authenticatedPage(s.deletePage))
	mux.Handle("POST /accounts/{id}", s.authenticatedPost(s.accountForm))
	mux.Handle("POST /accounts/{id}/next", s.authenticatedPost(s.advanceForm))
	mux.Handle("POST /accounts/{id}/delete", s.authenticatedPost(s.deleteForm))
	mux.Handle("GET /accounts/{id}/key", s.authenticatedPage(s.keyPage))
	mux.Handle("POST /accounts/{id}/key", s.authenticatedPost(s.keyForm))
	mux.Handle("GET /trash", s.authenticatedPage(s.trashPage))
	mux.Handle("POST /accounts/{id}/restore", s.authenticatedPost(s.restoreForm))
	mux.Handle("GET /trash/{id}/delete", s.authenticatedPage(s.purgePage))
	mux.Handle("POST /trash/{id}/delete", s.authenticatedPost(s.purgeForm))
	mux.Handle("POST /settings/password", s.authenticatedPost(s.passwordForm))
	mux.Handle("POST /settings/sessions/end", s.authenticatedPost(s.endOthersForm))
	mux.Handle("POST /settings/sessions/{id}/end", s.authenticatedPost(s.endSessionForm))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.writeError(w, r, errNoPage) })
}

func (s *site) addAPI(mux limitedMux) {
	api := humago.New(mux, apiConfig(s.Version))
	public(s, api, http.MethodPost, "/setup", http.StatusCreated, "Create the first user", s.setUp)
	public(s, api, http.MethodPost, "/session", http.StatusOK, "Log in", s.logIn)
	authenticated(s, api, http.MethodGet, "/session", http.StatusOK, "Who is logged in", s.whoAmI)
	authenticated(s, api, http.MethodPost, "/session/activity", http.StatusOK,
		"Say that the page is in use, so that the session is not locked", s.active)
	owner(s, api, http.MethodPost, "/session/unlock", http.StatusOK, "Go on with a session that is locked", s.unlock)
	owner(s, api, http.MethodDelete, "/session", http.StatusNoContent, "Log out", s.logOut)
	authenticated(s, api, http.MethodGet, "/sessions", http.StatusOK, "Where you are logged in", s.listSessions)
	authenticated(s, api, http.MethodDelete, "/sessions", http.StatusNoContent, "Log out everywhere else", s.endOthers)
	authenticated(s, api, http.MethodDelete, "/sessions/{id}", http.StatusNoContent, "Log out elsewhere", s.endSession)
	authenticated(s, api, http.MethodPut, "/password", http.StatusNoContent, "Change your password", s.changePassword)
	own(s, api, http.MethodGet, "/codes", http.StatusOK, "The codes of this moment", s.listCodes)
	authenticated(s, api, http.MethodPost, "/preview", http.StatusOK, "The code of an account before it is added",
		s.previewAccount)
	authenticated(s, api, http.MethodGet, "/accounts", http.StatusOK, "List accounts", s.listAccounts)
	authenticated(s, api, http.MethodPost, "/accounts", http.StatusCreated, "Add an account", s.addAccount)
	authenticated(s, api, http.MethodGet, "/accounts/{id}", http.StatusOK, "One account", s.getAccount)
	authenticated(s, api, http.MethodPatch, "/accounts/{id}", http.StatusOK, "Rename an account", s.changeAccount)
	authenticated(s, api, http.MethodDelete, "/accounts/{id}", http.StatusNoContent, "Move an account to the trash",
		s.deleteAccount)
	authenticated(s, api, http.MethodPatch, "/accounts/{id}/key", http.StatusOK,
		"Change how the codes of an account are made", s.changeKey)
	authenticated(s, api, http.MethodGet, "/trash", http.StatusOK, "List deleted accounts", s.listTrash)
	authenticated(s, api, http.MethodPost, "/accounts/{id}/restore", http.StatusOK, "Take an account out of the trash",
		s.restoreAccount)
	authenticated(s, api, http.MethodPost, "/trash/{id}/delete", http.StatusNoContent,
		"Delete an account of the trash for good", s.purgeAccount)
	authenticated(s, api, http.MethodPost, "/accounts/{id}/hotp", http.StatusOK, "Use up the next code of a counter",
		s.advanceCounter)
}

// readyz reports to a load balancer whether to send people here, and to an operator why
// not.
func (s *site) readyz(w http.ResponseWriter, r *http.Request) {
	warning, err := s.Ready(r.Context())
	switch {
	case err != nil:
		w.Header().Set("Retry-After", retryAfter(soon))
		answer(w, http.StatusServiceUnavailable, err.Error())
	case warning != "":
		answer(w, http.StatusOK, "ready\nwarning: "+warning)
	default:
		answer(w, http.StatusOK, "ready")
	}
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // an error means that the client is gone
}

// apiConfig describes the API; its OpenAPI document is at /api/v1/openapi.json.
func apiConfig(version string) huma.Config {
	config := huma.DefaultConfig("AVTotpy", version)
	config.OpenAPIPath = apiPrefix + "openapi"
	config.DocsPath = ""     // it would load scripts from elsewhere
	config.SchemasPath = ""  // the document has them
	config.CreateHooks = nil // no $schema in every answer
	config.Info.Description = "People's one-time codes. Sessions are cookies; errors are RFC 9457 problems."
	config.Formats = map[string]huma.Format{"application/json": jsonFormat(), "json": jsonFormat()}
	config.Transformers = []huma.Transformer{plainProblem}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"session": {Type: "apiKey", In: "cookie", Name: secureCookie},
	}
	return config
}

const apiPrefix = "/api/v1/"
