package web

import (
	"net/http"

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
