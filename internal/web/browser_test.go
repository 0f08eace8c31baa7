package web_test

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// With -pictures FOLDER, the pages are painted there: light, dark and as on a phone.
var pictures = flag.String("pictures", "", "folder for pictures of the pages")

// A tab is one in a real browser. What its console says fails the test.
type tab struct {
	*site
	ctx context.Context
	axe string // the source of axe-core; empty without it

	mu         sync.Mutex
	complaints []string
}

func newTab(t *testing.T, s *site) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)),
		chromedp.WindowSize(1280, 800))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses root otherwise; it sees only our own pages
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{site: s, ctx: ctx, axe: axe(t)}
	go b.listen(chromedp.Console(ctx)) // until the browser ends
	for _, name := range []string{"clipboard-write", "clipboard-read"} {
		_, err := chromedp.CallBrowser(ctx, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: name}, Setting: browser.PermissionSettingGranted,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// chromium finds a browser; without one the test is skipped, and fails with CI set.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{
		"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
		"/Applications/Chromium.app/Contents/MacOS/Chromium",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("there is no Chromium; make test installs one")
	}
	t.Skip("there is no Chromium; make test installs one")
	return ""
}

const patience = pgtest.Patience // for one step

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for i, action := range actions {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		_, err := chromedp.Run(ctx, action)
		cancel()
		if err != nil {
			ctx, cancel := context.WithTimeout(b.ctx, time.Second)
			defer cancel()
			page, _ := chromedp.Run(ctx, chromedp.OuterHTML("html")) // for the message only
			b.t.Fatalf("step %d: %v on the page\n%s\nlog: %s", i+1, err, page, b.log.String())
		}
	}
}

func (b *tab) open(path string) chromedp.Action[chromedp.Void] {
	return chromedp.Navigate(b.http.URL + path)
}

// until waits for a JavaScript expression to become true, also on another page.
func (b *tab) until(expression string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		for {
			is, err := chromedp.Evaluate[bool]("Boolean("+expression+")")(ctx, t)
			if err == nil && is {
				return chromedp.Void{}, nil
			}
			select {
			case <-ctx.Done():
				return chromedp.Void{}, fmt.Errorf("never true: %s (%w)", expression, err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

func (b *tab) value(expression string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return text
}

func (b *tab) listen(console iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range console {
		if err != nil {
			return
		}
		// The browser notes each answer of 4xx; the pages show these to people. And it notes an autofocus that is not
		// needed any more, because the page was slower than its visitor.
		if m.Source != "network" && !strings.Contains(m.String(), "Autofocus processing was blocked") {
			b.mu.Lock()
			b.complaints = append(b.complaints, m.String())
			b.mu.Unlock()
		}
	}
}

// quiet fails when the console has said something.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.t.Errorf("the console says: %s", c)
	}
}

// click presses what a selector finds, again when the page was just being replaced, or when a card moved between the
// look at its place and the press, so that this hit something else.
func click(selector string) chromedp.Action[chromedp.Void] {
	quoted := strconv.Quote(selector)
	watch := chromedp.Evaluate[chromedp.Void](`window.wasPressed = false; addEventListener("click", (event) => {
		window.wasPressed ||= event.target.closest(` + quoted + `) !== null; }, { capture: true })`)
	pressed := chromedp.Evaluate[bool](`window.wasPressed !== false`) // nothing is known of it on the page that follows
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		for {
			_, err := watch(ctx, t)
			if err == nil {
				_, err = chromedp.Click(selector)(ctx, t)
			}
			if err != nil && strings.Contains(err.Error(), "node") && ctx.Err() == nil {
				continue
			}
			if err != nil {
				return chromedp.Void{}, err
			}
			if hit, err := pressed(ctx, t); hit || err != nil && ctx.Err() == nil { // err: the page is being replaced
				return chromedp.Void{}, nil
			} else if err != nil {
				return chromedp.Void{}, err
			}
		}
	}
}

// submit presses the button of a form. It waits for the answer to what was sent before, as until then the form is not
// sent again, and presses it by script: a preview that comes at that moment moves it away from under the mouse.
func submit(form string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		button := form + `:not([aria-busy="true"]) [type=submit]`
		if _, err := chromedp.WaitVisible(button)(ctx, t); err != nil {
			return chromedp.Void{}, err
		}
		_, err := chromedp.Evaluate[bool](`(document.querySelector('`+button+`').click(), true)`)(ctx, t)
		return chromedp.Void{}, err
	}
}

const shownCode = `document.querySelector(".card-code").textContent.replace(/\s/g, "")`

// TestAPersonUsesTheProgram is the whole of it, as a person sees it.
func TestAPersonUsesTheProgram(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := newTab(t, s)

	// Set up: a wrong token first, said at its field, and nothing typed is lost.
	b.do(b.open("/"), chromedp.WaitVisible("#setup"),
		chromedp.SendKeys("#token", "WRONG"), chromedp.SendKeys("#name", "Alice"),
		chromedp.SendKeys("#password", password), submit("#setup"),
		chromedp.WaitVisible("#token-error"))
	if got := b.value(
		`document.activeElement.id + " " + document.getElementById("password").value.length`); got != "token 21" {
		t.Errorf("after a wrong token: focus and password are %q", got)
	}
	b.do(chromedp.SetValue("#token", s.server.SetupToken), submit("#setup"), chromedp.WaitVisible(".empty"))

	// Add by link, with a live code before it is added.
	key, _, err := otp.Parse(strings.Replace(link, "issuer=", "period=3&issuer=", 1))
	if err != nil {
		t.Fatal(err)
	}
	b.do(click(".empty .button"), chromedp.WaitVisible("#box"), chromedp.SendKeys("#box", key.URI()),
		chromedp.WaitVisible("#preview"))
	b.isCodeOf(key)
	b.do(submit("#new"), chromedp.WaitVisible("#cards .card"))

	// The list: the code is right, changes by itself, and is copied by a click or by Enter.
	b.isCodeOf(key)
	for range 2 {
		before := b.value(shownCode)
		b.do(b.until(shownCode + ` !== "` + before + `"`))
		b.isCodeOf(key)
	}
	b.do(click(".card-copy"), b.until(`document.querySelector("[data-copied]")`))
	b.do(chromedp.Evaluate[chromedp.Void](`navigator.clipboard.readText().then((text) => { window.copied = text; })`),
		b.until(`window.copied`))
	if copied := b.value(`window.copied`); !isNear(key, copied) {
		t.Errorf("copied %q, which is no code of now", copied)
	}

	// Add by hand: what is wrong is said at the field.
	b.do(b.open("/accounts/new"), chromedp.WaitVisible("#box"), chromedp.SendKeys("#box", "JBSWY3DP1"),
		chromedp.SendKeys("#issuer", "Bank"),
		submit("#new"), chromedp.WaitVisible("#box-error"))
	if message := b.value(`document.getElementById("box-error").textContent`); !strings.Contains(message, "1") {
		t.Errorf("a wrong secret: %q", message)
	}
	b.do(click("#advanced summary"), chromedp.WaitVisible("#kind"), chromedp.SetValue("#kind", "hotp"),
		chromedp.SetValue("#box", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), chromedp.WaitVisible("#preview"),
		submit("#new"), chromedp.WaitVisible(".card-advance"))

	// A counter shows its code when asked, once each (RFC 4226, appendix D).
	b.do(click(".card-advance"), b.until(
		`document.querySelector("[data-kind=hotp] .card-code").textContent.replace(/\s/g, "") === "755224"`))

	// Search by keyboard. The protocol types the / although the page has taken it, which no keyboard does.
	b.do(chromedp.KeyEvent("/"), b.until(`document.activeElement.id === "search"`),
		chromedp.Evaluate[chromedp.Void](`document.activeElement.value = ""`),
		chromedp.SendKeys("#search", "exam"),
		b.until(`document.querySelectorAll("#cards > li:not([hidden])").length === 1`))

	// Edit and delete.
	b.do(click("#cards > li:not([hidden]) .card-edit"), chromedp.WaitVisible("#account-form"),
		chromedp.SetValue("#account", "work"), submit("#account-form"),
		b.until(`document.querySelector(".saved").textContent === "Saved"`),
		click("#delete"), chromedp.WaitVisible("#delete-form"), click("#delete-form button"),
		b.until(`location.pathname === "/" && document.querySelectorAll("#cards > li").length === 1`))

	// Log out, and in again with a wrong password first.
	b.do(click("log-out button"), chromedp.WaitVisible("#login"),
		chromedp.SendKeys("#name", "alice"), chromedp.SendKeys("#password", "wrong password"), submit("#login"),
		chromedp.WaitVisible("#login .form-error"))
	b.do(chromedp.SetValue("#password", password), submit("#login"), chromedp.WaitVisible("#cards .card"))

	// Another session is ended from the settings.
	other := s.visitor()
	other.must(200, "POST", "/api/v1/session", map[string]any{"name": "Alice", "password": password})
	b.do(b.open("/settings"), chromedp.WaitVisible("#sessions li button"), click("#sessions li button"),
		b.until(`document.querySelectorAll("#sessions li").length === 1`))
	other.must(401, "GET", "/api/v1/session", nil)
	b.quiet()
}

// isCodeOf fails unless the page shows the code of a moment that has just been.
func (b *tab) isCodeOf(key otp.Key) {
	b.t.Helper()
	// A preview of what is half typed may have come first.
	pgtest.Eventually(b.t, "the page shows a code of now", func() error {
		if shown := b.value(shownCode); !isNear(key, shown) {
			return fmt.Errorf("it shows %q", shown)
		}
		return nil
	})
}

func isNear(key otp.Key, code string) bool {
	now := time.Now()
	// a busy page is late
	for at := now.Add(time.Duration(key.Period) * time.Second); now.Sub(at) < time.Minute; at = at.Add(-time.Second) {
		if key.At(at).Value == code {
			return true
		}
	}
	return false
}

// TestPagesFitAPhone looks for what a person would notice at once: a page that
// scrolls sideways, and a control that is too small for a thumb.
func TestPagesFitAPhone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := newTab(t, s)
	b.look("setup", "/setup")
	b.look("setup-wrong", "/setup", submit("#setup"), chromedp.WaitVisible(".field-error"))
	alice := s.alice()
	b.look("login", "/login")
	b.look("login-wrong", "/login", chromedp.SendKeys("#name", "bob"), chromedp.SendKeys("#password", "wrong"),
		submit("#login"), chromedp.WaitVisible(".form-error"))
	b.look("resume", "/login", chromedp.Evaluate[chromedp.Void](
		`const form = document.getElementById("login"); form.action = "/accounts/new"; form.submit();`),
		chromedp.WaitVisible("#resume"))
	b.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`fetch("/api/v1/session", {
		method: "POST", headers: {"Content-Type": "application/json"},
		body: JSON.stringify({name: "Alice", password: %q}),
	}).then((response) => { window.status = response.status; })`, password)), b.until(`window.status == 200`))
	b.look("list-empty", "/")
	ids := map[string]string{}
	for i, a := range []map[string]any{
		{"issuer": "GitHub", "account": "alice"},
		{
			"issuer":  "Example Bank of the Northern and Western Isles",
			"account": "alice.with.a.very.long.address@subdomain.example.com", "digits": 8,
		},
		{"issuer": "Hetzner", "account": "K0123456789", "period": 60},
		{"issuer": "Mastodon", "account": "@alice@social.example"},
		{"issuer": "", "account": "vpn.example.com"},
		{"issuer": "Steam", "account": "alice_plays", "kind": "steam"},
		{"issuer": "Payroll", "account": "staff 4711", "kind": "hotp"},
		{"issuer": "Proton", "account": "alice@example.com", "algorithm": "SHA256"},
		{"issuer": "Registrar", "account": "alice@example.com"},
	} {
		a["secret"] = strings.Repeat(string("ABCDEFGHIJ"[i]), 32)
		ids[fmt.Sprint(a["issuer"])] = alice.add(a)
	}
	b.look("list", "/")
	b.look("locked", "/", chromedp.Evaluate[chromedp.Void](
		`document.dispatchEvent(new CustomEvent("signed-out", {detail: {type: "urn:avtotpy:session-locked"}}))`),
		chromedp.WaitVisible("#lock"))
	b.look("new", "/accounts/new")
	b.look("new-wrong", "/accounts/new", chromedp.SendKeys("#box", "JBSWY3DP1"), submit("#new"),
		chromedp.WaitVisible("#box-error"))
	b.look("new-preview", "/accounts/new", chromedp.SendKeys("#box", "JBSW"), chromedp.WaitVisible("#preview"))
	b.look("account", "/accounts/"+ids["GitHub"])
	b.look("delete", "/accounts/"+ids["GitHub"]+"/delete")
	b.look("delete-dialog", "/accounts/"+ids["GitHub"], click("#delete"), chromedp.WaitVisible("#confirm"))
	b.look("key", "/accounts/"+ids["GitHub"]+"/key")
	gone := alice.add(map[string]any{
		"issuer":  "Example Bank of the Northern and Western Isles",
		"account": "alice.with.a.very.long.address@subdomain.example.com", "secret": "GEZDGNBVGY3TQOJQ",
	})
	alice.must(204, "DELETE", "/api/v1/accounts/"+gone, nil)
	b.look("list-undo", "/?deleted="+gone)
	b.look("trash", "/trash")
	b.look("purge", "/trash/"+gone+"/delete")
	alice.must(204, "POST", "/api/v1/trash/"+gone+"/delete", map[string]any{"current": password})
	b.look("settings", "/settings")
	b.look("error", "/nothing")
	for i, a := range []map[string]any{
		{
			"issuer": strings.Repeat("Donaudampfschifffahrtsgesellschaft", 7), "account": strings.Repeat("x", 255),
			"note": strings.Repeat("n", 2000),
		},
		{"issuer": "בנק הפועלים בע״מ", "account": "אליס@example.com"},
		{"issuer": "البنك الأهلي (١٢٣)", "account": "\u202eelpmaxe"},
		{"issuer": "👩‍👩‍👧 Family", "account": "日本語のとても長いアカウント名日本語のとても長いアカウント名"},
		{"issuer": "<b>&amp;", "account": "\" onmouseover=\"alert(1)", "digits": 10, "period": 86400},
	} {
		a["secret"] = strings.Repeat(string("KLMNO"[i]), 32)
		ids[fmt.Sprint(a["issuer"])] = alice.add(a)
	}
	b.look("odd-list", "/")
	for issuer, name := range map[string]string{
		strings.Repeat("Donaudampfschifffahrtsgesellschaft", 7): "long",
		"בנק הפועלים בע״מ":                                      "right-to-left",
	} {
		b.look("odd-account-"+name, "/accounts/"+ids[issuer])
	}
	if n := pgtest.Value[int](t, s.db.SuperConn, "SELECT count(*) FROM avtotpy.accounts"); n != len(ids) {
		t.Errorf("%d accounts after looking, want %d", n, len(ids))
	}
}

// TestSeveralLinksAreReviewed pastes several links, as a person does, and adds what is chosen.
func TestSeveralLinksAreReviewed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.alice()
	b := newTab(t, s)
	b.do(b.open("/login"), chromedp.WaitVisible("#login"), chromedp.SendKeys("#name", "alice"),
		chromedp.SendKeys("#password", password),
		submit("#login"), chromedp.WaitVisible(".empty"))
	const steam = "otpauth://totp/Steam:gabe?secret=MFRGGZDFMZTWQ2LK&digits=5&issuer=Steam"
	pasted := strings.Join([]string{
		link, "otpauth://totp/Contoso:bob?issuer=Microsoft&secret=GEZDGNBVGY3TQOJQ",
		"hello, world", steam,
	}, "\n")
	for _, screen := range []int64{320, 390, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			b.device(screen, 844, scheme)
			b.do(b.open("/accounts/new"), chromedp.WaitVisible("#box"), chromedp.SetValue("#box", pasted),
				chromedp.Evaluate[chromedp.Void](
					`document.getElementById("box").dispatchEvent(new Event("input", {bubbles: true}))`),
				b.until(`document.querySelector("#new [type=submit]").textContent.startsWith("Check")`),
				submit("#new"), chromedp.WaitVisible("#review"))
			b.fits("the review", screen)
			b.accessible(fmt.Sprintf("the review on a screen of %d px, %s", screen, scheme))
			if *pictures != "" {
				b.paint(filepath.Join(*pictures, fmt.Sprintf("review-%d-%s.png", screen, scheme)))
			}
		}
	}
	b.do(click("#review [type=submit]"), b.until(`document.body.textContent.includes("Choose one of the two.")`))
	b.do(chromedp.SetValue("#kind-4", "steam"), click("#review [type=submit]"),
		b.until(`location.pathname === "/" && document.readyState === "complete"`))
	if got := b.value(
		`[...document.querySelectorAll(".card-title")].map((e) => e.textContent)
			.filter((t) => /Contoso|^Example$/u.test(t)).sort().join(", ")`); got != "Example, Microsoft (Contoso)" {
		t.Errorf("added: %s", got)
	}
	b.quiet()
}

// look opens a page as on a phone and as on a desk, checks that it fits, and paints
// it when that is asked for. With AXE set, axe-core looks at it, too (make test-long).
func (b *tab) look(name, path string, then ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for _, screen := range []struct {
		name          string
		width, height int64
	}{{"phone", 390, 844}, {"desk", 1280, 800}, {"small", 320, 568}} {
		for _, scheme := range []string{"light", "dark"} {
			if scheme == "dark" && b.axe == "" && *pictures == "" { // it fits as well
				continue
			}
			b.device(screen.width, screen.height, scheme)
			// or it asks whether to leave
			b.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("form").forEach((form) => form.reset())`),
				b.open(path), chromedp.WaitReady("#main"), b.until(`document.readyState === "complete"`))
			b.do(then...)
			b.fits(name, screen.width)
			b.accessible(fmt.Sprintf("%s on a screen of %d px, %s", name, screen.width, scheme))
			if *pictures != "" {
				b.paint(filepath.Join(*pictures, name+"-"+screen.name+"-"+scheme+".png"))
			}
		}
	}
}

// device makes the page one on a phone, when it is narrow, or on a desk.
func (b *tab) device(width, height int64, scheme string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// fits fails when the page scrolls sideways, or has a control that is too small.
func (b *tab) fits(what string, width int64) {
	b.t.Helper()
	if wide := b.value(`document.documentElement.scrollWidth`); wide != strconv.FormatInt(width, 10) {
		b.t.Errorf("%s on a screen of %d px is %s px wide", what, width, wide)
	}
	small := b.value(`[...document.querySelectorAll("button, a.button, select, .card-edit, label.check, " +
			"input:not(.visually-hidden, [type=hidden])")]
		.filter((e) => e.checkVisibility() && !e.matches(".link, .show") &&
			(e.getBoundingClientRect().height < 40 || e.getBoundingClientRect().width < 40))
		.map((e) => e.outerHTML).join("\n")`)
	if small != "" {
		b.t.Errorf("%s on a screen of %d px: too small for a thumb: %s", what, width, small)
	}
	covered := b.value(`[...document.querySelectorAll("code-card")].filter((card) => {
		const text = document.createRange();
		text.selectNodeContents(card.querySelector(".card-code"));
		return [...card.querySelectorAll(".card-next, .card-advance")].some((button) => button.checkVisibility() &&
			text.getBoundingClientRect().right > button.getBoundingClientRect().left + 8);
	}).map((card) => card.outerHTML).join("\n")`)
	if covered != "" {
		b.t.Errorf("%s on a screen of %d px: a button covers the code: %s", what, width, covered)
	}
}

func (b *tab) paint(file string) {
	b.t.Helper()
	// codes as they mostly look; transitions come to rest
	b.do(b.until(`!document.querySelector(".ending")`), chromedp.Sleep(300*time.Millisecond))
	picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
}
