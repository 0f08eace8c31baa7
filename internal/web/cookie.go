package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/store"
)

// The cookies of a session and of a device. A name with __Host- is only taken from this very host,
// over https.
const (
	secureCookie = "__Host-avtotpy"
	plainCookie  = "avtotpy"
	ofDevice     = "-device"

	devicesOfACookie = 4 // people who use one browser
)

func (s *site) overTLS() bool { return s.PublicURL != nil && s.PublicURL.Scheme == "https" }

// cookie holds the token of a session; without one, it deletes itself.
func (s *site) cookie(token string) http.Cookie {
	c := s.newCookie("", token, store.SessionLifetime) //nolint:gosec // Secure wherever there is TLS
	if token == "" {
		c.MaxAge = -1
	}
	return c
}

// deviceCookie holds the tokens of a device, the newest first.
func (s *site) deviceCookie(tokens []string) http.Cookie {
	if len(tokens) > devicesOfACookie {
		tokens = tokens[:devicesOfACookie]
	}
	return s.newCookie(ofDevice, strings.Join(tokens, "."), store.DeviceLifetime)
}

// newCookie is sent with links from other sites, too: who follows one is logged in here. What changes something is
// held to come from our own pages by the guard.
func (s *site) newCookie(suffix, value string, lifetime time.Duration) http.Cookie {
	c := http.Cookie{ //nolint:gosec // Secure wherever there is TLS
		Name:     plainCookie + suffix,
		Value:    value,
		Path:     "/",
		HttpOnly: true,
		Secure:   s.overTLS(),
		SameSite: http.SameSiteLaxMode,
		MaxAge:   int(lifetime.Seconds()),
	}
	if s.overTLS() {
		c.Name = secureCookie + suffix
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

func (s *site) deviceTokens(r *http.Request) []string {
	c, err := r.Cookie(s.deviceCookie(nil).Name)
	if err != nil || c.Value == "" {
		return nil
	}
	tokens := strings.SplitN(c.Value, ".", devicesOfACookie+1)
	return tokens[:min(len(tokens), devicesOfACookie)]
}

// cookies are what a browser gets after a login.
func (s *site) cookies(v auth.Visit, e auth.Entry) []http.Cookie {
	all := []http.Cookie{s.cookie(e.Token)}
	if e.Device != "" {
		all = append(all, s.deviceCookie(append([]string{e.Device}, v.Devices...)))
	}
	return all
}
