package web_test

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// holdScripts keeps back each script, and returns what lets them go. It does so in the browser: six that the
// server kept back would take all connections that a browser has to it.
func (b *tab) holdScripts() (release func()) {
	b.t.Helper()
	var mu sync.Mutex
	var held []fetch.RequestID
	err := chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*fetch.EventRequestPaused); ok {
			mu.Lock()
			defer mu.Unlock()
			held = append(held, e.RequestID)
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := chromedp.Call(b.ctx, fetch.Enable,
		fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: "*.js"}}}); err != nil {
		b.t.Fatal(err)
	}
	return func() {
		b.t.Helper()
		mu.Lock()
		waiting := held
		mu.Unlock()
		for _, id := range waiting {
			// those of pages that were left are gone
			_, _ = chromedp.Call(b.ctx, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: id})
		}
		if _, err := chromedp.Call(b.ctx, fetch.Disable, cdp.Empty{}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// begin opens a page without waiting for its scripts.
func (b *tab) begin(path, visible string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, page.Navigate, page.NavigateParams{URL: b.http.URL + path}); err != nil {
		b.t.Fatal(err)
	}
	b.do(b.until(`document.querySelector("` + visible + `")?.checkVisibility()`))
}

// TestEveryFormWorksBeforeItsScriptsCome sends each form in a browser that has the page and not its
// scripts. With AVTOTPY_LONG=1 it does so with scripts switched off, too, and over a slow network.
func TestEveryFormWorksBeforeItsScriptsCome(t *testing.T) {
	t.Parallel()
	t.Run("late", func(t *testing.T) {
		t.Parallel()
		b := newTab(t, newSite(t))
		release := b.holdScripts()
		b.sendEveryForm()

		// What was typed before the scripts came stays, and is sent by them.
		b.begin("/login", "#login")
		b.do(chromedp.SendKeys("#name", "alice"), chromedp.SendKeys("#password", "wrong password"))
		release()
		b.do(b.until(`document.querySelector("show-password button")`))
		typed := b.value(`document.getElementById("name").value + " " + document.getElementById("password").value`)
		if typed != "alice wrong password" {
			t.Errorf("after the scripts came the form holds %q", typed)
		}
		b.do(b.until(`document.readyState === "complete"`), submit("#login"),
			chromedp.WaitVisible("#login .form-error"))
		if got := b.value(`document.getElementById("password").value`); got != "wrong password" {
			t.Errorf("the page was left: the form holds %q", got)
		}
		b.quiet()
	})
	if os.Getenv("AVTOTPY_LONG") == "" {
		return
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		b := newTab(t, newSite(t))
		if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled,
			emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
			t.Fatal(err)
		}
		b.sendEveryForm()
	})
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.slowDown()
		newTab(t, s).sendEveryForm()
	})
}

// slowDown answers as over a network with a latency of 400 ms and 50 KB a second.
func (s *site) slowDown() {
	next := s.http.Config.Handler
	s.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(400 * time.Millisecond)
		next.ServeHTTP(slowWriter{w}, r)
	})
}

type slowWriter struct{ http.ResponseWriter }

func (w slowWriter) Write(content []byte) (int, error) {
	time.Sleep(time.Duration(len(content)) * time.Second / 50_000)
	return w.ResponseWriter.Write(content)
}

// sendEveryForm uses the forms as a person does who does not wait.
func (b *tab) sendEveryForm() {
	b.t.Helper()
	const chosen = "another good password"
	at := func(path, visible string) chromedp.Action[chromedp.Void] {
		return b.until(`location.pathname === "` + path + `" && document.querySelector("` + visible +
			`")?.checkVisibility()`)
	}

	b.begin("/setup", "#setup")
	b.do(chromedp.SendKeys("#token", "WRONG"), chromedp.SendKeys("#name", "Alice"),
		chromedp.SendKeys("#password", password), submit("#setup"),
		chromedp.WaitVisible("#token-error"))
	if got := b.value(
		`document.getElementById("token").value + " " + document.getElementById("name").value`); got != "WRONG Alice" {
		b.t.Errorf("after a wrong token the form holds %q", got)
	}
	b.do(chromedp.SetValue("#token", b.server.SetupToken), chromedp.SetValue("#password", password), submit("#setup"),
		at("/", ".empty"))

	// RFC 4226, appendix D.
	b.begin("/accounts/new", "#new")
	b.do(chromedp.SendKeys("#box", "otpauth://hotp/Example:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=0"),
		submit("#new"), at("/", ".card"))
	for _, code := range []string{"755224", "287082"} {
		b.do(b.until(`document.querySelector(".card-advance button").ariaDisabled !== "true"`),
			click(".card-advance button"), b.until(shownCode+` === "`+code+`"`))
	}

	id := b.value(`document.querySelector("code-card").dataset.id`)
	b.begin("/accounts/"+id, "#account-form")
	b.do(chromedp.SetValue("#account", "work"), submit("#account-form"),
		b.until(
			`document.querySelector(".saved")?.textContent === "Saved" &&
				document.getElementById("account").value === "work"`))
	b.do(click("#delete"), b.until(`document.querySelector("#delete-form [type=submit]")?.checkVisibility()`),
		click("#delete-form [type=submit]"), at("/", ".empty"))

	other := b.visitor()
	other.must(http.StatusOK, "POST", "/api/v1/session", map[string]any{"name": "Alice", "password": password})
	b.begin("/settings", "#sessions li button")
	b.do(click("#sessions li button"), b.until(`document.querySelectorAll("#sessions li").length === 1`))
	other.must(http.StatusUnauthorized, "GET", "/api/v1/session", nil)
	b.do(chromedp.SendKeys("#current", password), chromedp.SendKeys("#new", chosen), submit("#password-form"),
		b.until(`document.querySelector(".saved")?.textContent === "Password changed"`))

	b.do(click("log-out button"), at("/login", "#login"), chromedp.SendKeys("#name", "alice"),
		chromedp.SendKeys("#password", "wrong password"), submit("#login"),
		chromedp.WaitVisible("#login .form-error"))
	if got := b.value(`document.getElementById("name").value`); got != "alice" {
		b.t.Errorf("after a wrong password the form holds the name %q", got)
	}
	b.do(chromedp.SetValue("#password", chosen), submit("#login"), at("/", ".empty"), click("log-out button"),
		at("/login", "#login"))
	if n := pgtest.Value[int](b.t, b.db.SuperConn, "SELECT count(*)::int FROM avtotpy.sessions"); n != 0 {
		b.t.Errorf("%d sessions are left", n)
	}
}

// TestAListThatIsLookedAt is about what a person sees who does nothing, or only copies.
func TestAListThatIsLookedAt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	key, _, err := otp.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	key.Period = 10 // a window has time before and in its last seconds
	id := alice.add(map[string]any{"link": key.URI()})
	b := newTab(t, s)
	b.logIn()
	b.do(b.open("/"), b.until(`document.querySelector("code-card .ring").style.length`))

	// The next code is copied by its own button, also by keyboard.
	for _, press := range []chromedp.Action[chromedp.Void]{click(".card-next"), chromedp.SendKeys(".card-next", "\r")} {
		b.do(b.until(`!document.querySelector(".card-next").hidden`),
			// Waited for: otherwise it may come after what the press copies.
			chromedp.Evaluate[chromedp.Void](`window.emptied = false;
				navigator.clipboard.writeText("").then(() => { window.emptied = true; })`),
			b.until(`window.emptied`),
			chromedp.Evaluate[chromedp.Void](
				`window.pair = document.querySelector(".card-code").textContent + "," +
					document.querySelector(".card-next otp-code").textContent`),
			press, b.until(`document.querySelector("[data-copied]")`),
			chromedp.Evaluate[chromedp.Void](
				`window.copied = undefined; navigator.clipboard.readText().then((text) => { window.copied = text; })`),
			b.until(`window.copied`))
		// A window may end between the look and the press.
		if copied, pair := b.value("window.copied"),
			strings.ReplaceAll(b.value("window.pair"), " ",
				""); !strings.HasPrefix(b.value(`document.querySelector("[data-copied]")?.dataset.copied ?? "Next"`),
			"Next") ||
			strings.HasPrefix(pair, copied) || !isNear(key, copied) {
			t.Errorf("copied %q of the codes %s", copied, pair)
		}
	}

	// In the last seconds the letter stays.
	b.do(b.until(`document.querySelector(".ring.ending")?.textContent === "E"`))

	// What changes elsewhere is said, and shown when asked.
	alice.must(http.StatusOK, "PATCH", "/api/v1/accounts/"+id, map[string]any{"issuer": "Renamed"})
	b.do(click(".banner button"), b.until(
		`document.querySelector(".card-title").textContent === "Renamed" && !document.querySelector(".banner")`))
	if got := b.value(`document.querySelector(".top .who").innerText`); !strings.Contains(got, "Alice") {
		t.Errorf("the header says %q", got)
	}
	b.quiet()
}
