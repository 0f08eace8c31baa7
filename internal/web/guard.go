package web

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/store"
)

// A visitor is who sent a request, as far as the request says.
type visitor struct {
	from      store.Origin
	token     string   // of the session; empty without one
	devices   []string // tokens of the device
	passive   bool     // no person asked for it just now: a prefetch, or something that another site opened
	languages string   // that the browser asks for
}

func (v visitor) visit() auth.Visit {
	return auth.Visit{From: v.from, Session: v.token, Devices: v.devices}
}

type visitorKey struct{}

// principal returns who has the session of a request, when it is their turn. With auth.ErrLocked it is returned, too.
func (s *site) principal(ctx context.Context) (auth.Principal, error) {
	p, err := s.gate.Principal(ctx, visitorOf(ctx).visit())
	if err == nil || errors.Is(err, auth.ErrLocked) {
		err = cmp.Or(s.takeTurn(ctx, p.User()), err)
	}
	return p, err
}

// ownerOf is principal for what may be done with a session that is locked: to end it.
func (s *site) ownerOf(ctx context.Context) (auth.Principal, error) {
	p, err := s.principal(ctx)
	if errors.Is(err, auth.ErrLocked) {
		err = nil
	}
	return p, err
}

// used notes that a person did something just now.
func (s *site) used(ctx context.Context, p auth.Principal) error {
	if visitorOf(ctx).passive {
		return nil
	}
	return p.UseSession(ctx, p.Session.ID)
}

func visitorOf(ctx context.Context) visitor {
	v, _ := ctx.Value(visitorKey{}).(visitor) // the guard put it there
	return v
}

// guard lets through what comes from our own pages to a server that can answer.
func (s *site) guard(next http.Handler) http.Handler {
	elsewhere := http.NewCrossOriginProtection()
	if s.PublicURL != nil {
		if err := elsewhere.AddTrustedOrigin(s.PublicURL.String()); err != nil {
			s.Log.Warn("the public URL is no origin", "error", err) // then the Host header alone decides
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		ctx, cancel := context.WithTimeout(r.Context(), s.RequestTime)
		defer cancel()
		ctx = store.WithOutcome(ctx)
		v := visitor{
			from: s.origin(r), token: s.sessionToken(r), devices: s.deviceTokens(r), passive: isPassive(r),
			languages: r.Header.Get("Accept-Language"),
		}
		r, turn := withTurn(r.WithContext(context.WithValue(ctx, visitorKey{}, v)))
		defer func() { turn.end() }()

		if err := s.check(r, v, elsewhere); err != nil {
			s.refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
		if recorder, ok := w.(*statusRecorder); ok {
			recorder.route = r.Pattern // that of the request with the visitor in it, which watch does not see
		}
	})
}

// check returns why a request is refused before anything is done for it.
func (s *site) check(r *http.Request, v visitor, elsewhere *http.CrossOriginProtection) error {
	ofAPI := strings.HasPrefix(r.URL.Path, "/api/")
	switch {
	case len(r.RequestURI) > longestAddress:
		return errTooLong
	case !s.isOurHost(r.Host):
		return s.wrongHost()
	case elsewhere.Check(r) != nil:
		return errCrossOrigin
	case (v.token != "" || len(v.devices) > 0) && lacksOrigin(r):
		return errNoOrigin
	case ofAPI && r.ContentLength != 0 && !isJSON(r):
		return errNotJSON
	case !ofAPI && r.ContentLength != 0 && !isForm(r):
		return errNotForm
	}
	if why := s.Fit(r.Context()); why != nil {
		return notReady(why)
	}
	return nil
}

// refuse answers a request that did not pass check. When it may be sent again, what was typed is not lost.
func (s *site) refuse(w http.ResponseWriter, r *http.Request, err error) {
	f, ok := errors.AsType[*failure](err)
	if !ok || f.retryAfter == 0 || r.Method != http.MethodPost || !isForm(r) {
		s.writeError(w, r, err)
		return
	}
	s.within(limitOf(mostTyped), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // then there is nothing to keep
		s.writeError(w, r, err)
	})).ServeHTTP(w, r)
}

// isOurHost protects against a name of an attacker's that resolves to this
// server (DNS rebinding). Without a public URL only addresses and localhost are ours.
func (s *site) isOurHost(host string) bool {
	if s.PublicURL != nil {
		// which some clients write, and no browser
		standard := map[string]string{"http": ":80", "https": ":443"}[s.PublicURL.Scheme]
		return strings.EqualFold(host, s.PublicURL.Host) || strings.EqualFold(host, s.PublicURL.Host+standard)
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	_, err = netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil || strings.EqualFold(name, "localhost")
}

func (s *site) wrongHost() error {
	text := "This server does not know itself by that name. Its operator can set AVTOTPY_PUBLIC_URL to the address " +
		"in your browser."
	if s.PublicURL != nil {
		text = "This server is at " + s.PublicURL.String() + "."
	}
	return &failure{status: http.StatusMisdirectedRequest, text: text, event: auth.EventWrongHost}
}

// lacksOrigin reports a request that changes something and comes from no browser
// of these years: with a cookie, it may come from a page of another site's.
func lacksOrigin(r *http.Request) bool {
	return !isSafe(r) && r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == ""
}

// isPassive reports a page that was not asked for by who looks at it. A site on a neighbouring name is another one,
// too: browsers send it the cookie, and a picture in one of its pages would keep a session open.
func isPassive(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site" || r.Header.Get("Sec-Purpose") != "" ||
		r.Header.Get("Purpose") != ""
}

// isSafe reports a request that changes nothing.
func isSafe(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
}

func isJSON(r *http.Request) bool { return isOf(r, "application/json") }

func isForm(r *http.Request) bool { return isOf(r, "application/x-www-form-urlencoded") }

func isOf(r *http.Request, want string) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), want)
}

// origin is where a request comes from.
func (s *site) origin(r *http.Request) store.Origin {
	address, ignored := s.route.address(r.RemoteAddr, r.Header)
	from := store.Origin{Address: address, Agent: r.UserAgent()}
	if ignored {
		if s.Event != nil {
			s.Event(r.Context(), auth.Event{Kind: auth.EventForwarded, From: from})
		}
		s.warnOfProxy(r.Context(), address)
	}
	if s.route.misses(r.RemoteAddr, r.Header) {
		s.warnOfHeader(r.Context(), address)
	}
	if !isSafe(r) && !address.IsLoopback() && s.route.saysPlain(r.RemoteAddr, r.Header) &&
		s.notLately(&s.warnedOfPlain) {
		s.Log.WarnContext(r.Context(), "a form came to the proxy over http:// (X-Forwarded-Proto), so what people "+
			"type, passwords too, crosses the network "+
			"without TLS: let the proxy redirect http:// to https:// (docs/reverse-proxies.md)", "proxy", r.RemoteAddr)
	}
	return from
}

// warnOfProxy says what to set when a proxy is not trusted.
func (s *site) warnOfProxy(ctx context.Context, address netip.Addr) {
	if s.notLately(&s.warnedOfProxy) {
		s.Log.WarnContext(ctx, "a request says that a proxy forwarded it, and is taken as the sender's own; if the "+
			"sender is your proxy, "+
			"add it to AVTOTPY_TRUSTED_PROXIES, otherwise all people behind it count as one visitor", "sender",
			senderName(address))
	}
}

// warnOfHeader says what to set when a proxy writes the other header.
func (s *site) warnOfHeader(ctx context.Context, address netip.Addr) {
	read, sent := xForwardedFor, forwardedFor
	if s.Proxies.Header == forwardedFor {
		read, sent = sent, read
	}
	if s.notLately(&s.warnedOfHeader) {
		s.Log.WarnContext(ctx, "a proxy's request has "+sent+" and not "+read+
			", which is the one that is read; if your proxies write "+sent+", "+
			"add the word "+strings.ToLower(sent)+" to AVTOTPY_TRUSTED_PROXIES, otherwise all people behind them "+
			"counts as one visitor",
			"sender", senderName(address))
	}
}

// notLately reports that something was not said in the last hour, and notes that it is said now: any visitor can send a
// header.
func (s *site) notLately(said *atomic.Int64) bool {
	now, last := s.Now().Unix(), said.Load()
	const pause = int64(time.Hour / time.Second)
	return now-last >= pause && said.CompareAndSwap(last, now)
}

func senderName(address netip.Addr) string {
	if !address.IsValid() {
		return "unix"
	}
	return address.String()
}

// watch is around everything: the headers that all answers have, one line in the
// log, and an answer also to what panics.
func (s *site) watch(next http.Handler) http.Handler {
	headers := securityHeaders(s.PublicURL)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		maps.Copy(w.Header(), headers)
		recorder := &statusRecorder{ResponseWriter: w}
		defer func() { //nolint:contextcheck // it has the request's
			if fault := recover(); fault != nil {
				if fault == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
					panic(fault)
				}
				s.Log.ErrorContext(r.Context(), "a request panicked", "fault", fault, "stack", string(debug.Stack()))
				if recorder.status == 0 {
					answer(recorder, http.StatusInternalServerError, "Something went wrong here.")
				}
			}
			if !s.Log.Enabled(r.Context(), slog.LevelDebug) {
				return
			}
			// Only the route is logged: addresses hold ids, and queries what people look for.
			s.Log.DebugContext(r.Context(), "request", "method", r.Method, "route", cmp.Or(recorder.route, r.Pattern),
				"status", recorder.status, "duration", time.Since(started))
		}()
		next.ServeHTTP(recorder, r)
	})
}

// securityHeaders are those of all answers, which share their values.
func securityHeaders(public *url.URL) http.Header {
	values := map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
			"connect-src 'self'; " +
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
		// With no-referrer a browser would send "Origin: null" with a form that is not sent by a script.
		"Referrer-Policy":        "same-origin",
		"X-Content-Type-Options": "nosniff",
		"X-Frame-Options":        "DENY",
	}
	if public != nil && public.Scheme == "https" {
		values["Strict-Transport-Security"] = "max-age=31536000"
	}
	headers := http.Header{}
	for name, value := range values {
		headers.Set(name, value)
	}
	return headers
}

type statusRecorder struct {
	http.ResponseWriter
	status int
	route  string
}

func (w *statusRecorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusRecorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
