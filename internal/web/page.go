package web

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/store"
)

// A page is what a template is filled with: what all pages have, and a view of its own.
type page struct {
	Name  string // of its template and of its script
	Title string
	View  any

	// Whether it may be compressed; compress.go says what that takes.
	Compressed bool

	User    string // who is logged in; empty while no user is
	LocksIn int    // seconds until the session is locked when it is not used; 0: it was just used
	Unlock  field  // what goes on with it then
	Now     string
}

func parseTemplates(assets *assets) map[string]*template.Template {
	functions := template.FuncMap{
		"static": assets.url, "scripts": assets.scripts, "imports": assets.imports,
		"hue": hue, "spoken": spoken, "grouped": grouped, "beforeName": beforeName,
	}
	layout := template.Must(template.New("layout.html").Funcs(functions).ParseFS(templateFiles,
		"templates/layout.html", "templates/parts.html"))
	all := map[string]*template.Template{}
	for _, name := range []string{
		"setup", "login", "list", "new", "review", "key", "trash", "purge", "account",
		"delete", "settings", "resume", "error",
	} {
		all[name] = template.Must(template.Must(layout.Clone()).ParseFS(templateFiles, "templates/"+name+".html"))
	}
	return all
}

// page serves what a function shows.
func (s *site) page(show func(*http.Request) (page, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := show(r)
		if err != nil {
			s.writeError(w, r, err)
			return
		}
		s.render(w, r, http.StatusOK, p)
	})
}

// authenticatedPage is a page for a user who is logged in; others are sent to log in.
func (s *site) authenticatedPage(show func(*http.Request, auth.Principal) (page, error)) http.Handler {
	return s.page(func(r *http.Request) (page, error) {
		who, err := s.principal(r.Context())
		if errors.Is(err, auth.ErrNoSession) || errors.Is(err, auth.ErrLocked) {
			return page{}, loginFirst(r)
		}
		if err == nil {
			err = s.used(r.Context(), who)
		}
		if err != nil {
			return page{}, err
		}
		if visitorOf(r.Context()).passive { // a link of another site must not say that a password was changed
			r.URL.RawQuery = ""
		}
		p, err := show(r, who)
		p.User = who.User().Name
		if visitorOf(r.Context()).passive {
			p.LocksIn = int(who.Session.LocksIn.Seconds())
		}
		return p, err
	})
}

// render fills the template before anything is sent: half a page is of no use.
func (s *site) render(w http.ResponseWriter, r *http.Request, status int, p page) {
	p.Now, p.LocksIn = stamp(s.Now()), cmp.Or(p.LocksIn, int(store.SessionIdle.Seconds()))
	p.Unlock = field{
		Name: "password", Label: "Password", Type: "password", Required: true,
		Autocomplete: "current-password",
	}
	var content bytes.Buffer
	if err := s.templates[p.Name].ExecuteTemplate(&content, "layout.html", p); err != nil {
		s.Log.ErrorContext(r.Context(), "a page cannot be shown", "page", p.Name, "error", err)
		answer(w, http.StatusInternalServerError, "Something went wrong here.")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if p.Compressed && takesGzip(w, r) {
		sendCompressed(w, status, compressAt(gzip.DefaultCompression, content.Bytes()))
		return
	}
	w.WriteHeader(status)
	_, _ = content.WriteTo(w) // an error means that the client is gone
}

// A form is what was typed into a page's form, and what is wrong with it; the zero form is empty.
type form struct {
	values  url.Values
	errors  map[string]string // by the names of fields
	message string            // about the form as a whole
}

// A field is what the template of one is filled with.
type field struct {
	Name, Label, Hint, Value, Error string

	Type         string // of the input; empty for text
	Placeholder  string
	Autocomplete string
	InputMode    string
	Rows         int      // of a text area; 0 for an input
	Options      []option // of a choice
	For          string   // the kinds of codes for which it means something
	Required     bool
	Autofocus    bool
	Optional     bool // is said next to the label
	Plain        bool // not a word of a language: no capitals, no spelling
	Exact        bool // Plain, and shown in a font that distinguishes 0 from O

	Tracked bool   // Before is sent, too, so that only what was changed here is saved
	Before  string // what was stored when the form was shown first
}

// An option is one of a choice; without a label its value is shown.
type option struct{ Value, Label string }

// field fills in what was typed, except for passwords, and what is wrong with it.
func (f form) field(d field) field {
	if d.Type != "password" && f.values.Has(d.Name) {
		d.Value = f.values.Get(d.Name)
	}
	d.Error = f.errors[d.Name]
	return d
}

// tracked is field for what is stored already, and may be changed elsewhere while the form is open.
func (f form) tracked(d field) field {
	d.Tracked, d.Before = true, d.Value
	if f.values.Has(beforeName(d.Name)) {
		d.Before = f.values.Get(beforeName(d.Name))
	}
	return f.field(d)
}

func beforeName(name string) string { return name + "-before" }

// wasTouched reports whether a form holds another value than when it was shown first. Browsers send breaks of lines as
// CR and LF, wherever they are.
func wasTouched(values url.Values, name string) bool {
	return values.Has(name) && (!values.Has(beforeName(name)) ||
		trimBreaks(values.Get(name)) != trimBreaks(values.Get(beforeName(name))))
}

func trimBreaks(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }

// A posted form leads to another page, or is shown again with what is wrong with it.
type posted struct {
	next      string     // where its sender goes
	shown     *page      // is shown instead: there is more to ask
	entry     auth.Entry // of a login; without a token there was none
	loggedOut bool
	again     func(context.Context, form) (page, error) // without it, what is wrong is a page of its own
}

// asIs is for a form of a page that needs nothing from the database.
func asIs(show func(form) page) func(context.Context, form) (page, error) {
	return func(_ context.Context, f form) (page, error) { return show(f), nil }
}

// post takes a form that was sent without a script. Scripts send theirs to the API.
func (s *site) post(take func(*http.Request) (posted, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			s.writeError(w, r, errNoForm)
			return
		}
		p, err := take(r)
		switch {
		case err != nil:
			s.showAgain(w, r, p, err)
			return
		case p.entry.Token != "":
			for _, cookie := range s.cookies(visitorOf(r.Context()).visit(), p.entry) {
				http.SetCookie(w, &cookie)
			}
		case p.loggedOut:
			cookie := s.cookie("")
			http.SetCookie(w, &cookie)
		case p.shown != nil:
			s.render(w, r, http.StatusOK, *p.shown)
			return
		}
		http.Redirect(w, r, p.next, http.StatusSeeOther)
	})
}

// authenticatedPost is post for a user who is logged in, or logs in with what was typed.
func (s *site) authenticatedPost(take func(*http.Request, auth.Principal) (posted, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil { // first, so that what was typed is kept, whatever fails
			s.writeError(w, r, errNoForm)
			return
		}
		who, err := s.principal(r.Context())
		if errors.Is(err, auth.ErrNoSession) || errors.Is(err, auth.ErrLocked) {
			var ok bool
			if r, who, ok = s.resume(w, r, errors.Is(err, auth.ErrLocked)); !ok {
				return
			}
			err = nil
		} else if err == nil {
			err = s.used(r.Context(), who)
		}
		if err != nil {
			s.writeError(w, r, err)
			return
		}
		s.postAs(who, take).ServeHTTP(w, r)
	})
}

// ownerPost is authenticatedPost for what may be done with a session that is locked, too.
func (s *site) ownerPost(take func(*http.Request, auth.Principal) (posted, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.ownerOf(r.Context())
		if errors.Is(err, auth.ErrNoSession) { // it has ended, perhaps by the first of two clicks
			cookie := s.cookie("")
			http.SetCookie(w, &cookie)
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		if err != nil {
			s.writeError(w, r, err)
			return
		}
		s.postAs(who, take).ServeHTTP(w, r)
	})
}

// postAs is post for who is known.
func (s *site) postAs(who auth.Principal, take func(*http.Request, auth.Principal) (posted, error)) http.Handler {
	return s.post(func(r *http.Request) (posted, error) {
		p, err := take(r, who)
		if p.shown != nil {
			p.shown.User = who.User().Name
		}
		if again := p.again; again != nil {
			p.again = func(ctx context.Context, f form) (page, error) {
				shown, err := again(ctx, f)
				shown.User = who.User().Name
				return shown, err
			}
		}
		return p, err
	})
}

// showAgain shows a form with what was typed into it, and what is wrong.
func (s *site) showAgain(w http.ResponseWriter, r *http.Request, p posted, err error) {
	if p.again == nil {
		s.writeError(w, r, err)
		return
	}
	f, problems := s.toFailure(r.Context(), err)
	typed := form{values: r.PostForm, errors: map[string]string{}}
	for _, one := range problems {
		typed.errors[one.Field] = one.Message
	}
	if len(problems) == 0 {
		typed.message = f.sentence()
	}
	shown, err := p.again(r.Context(), typed)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", retryAfter(f.retryAfter))
	}
	s.render(w, r, f.status, shown)
}
