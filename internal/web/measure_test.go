package web_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
)

// logIn logs the browser in as Alice.
func (b *tab) logIn() {
	b.t.Helper()
	b.do(b.open("/login"), chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`fetch("/api/v1/session", {
		method: "POST", headers: {"Content-Type": "application/json"},
		body: JSON.stringify({name: "Alice", password: %q}),
	}).then((response) => { window.status = response.status; })`, password)), b.until(`window.status == 200`))
}

// traffic is what a browser asks for.
type traffic struct {
	mu     sync.Mutex
	ids    map[string]bool
	bytes  float64
	addrs  []string
	depths map[string]int // by address: how many requests come after each other until it is asked for
}

func (b *tab) traffic() *traffic {
	b.t.Helper()
	seen := &traffic{ids: map[string]bool{}, depths: map[string]int{}}
	if _, err := chromedp.Call(b.ctx, network.Enable, network.EnableParams{}); err != nil {
		b.t.Fatal(err)
	}
	err := chromedp.Listen(b.ctx, func(event any) {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			seen.addrs = append(seen.addrs, strings.TrimPrefix(e.Request.URL, b.http.URL))
			seen.depths[e.Request.URL] = 1 + seen.depths[initiator(e.Initiator)]
		case *network.EventLoadingFinished:
			seen.ids[string(e.RequestID)] = true
			seen.bytes += e.EncodedDataLength
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return seen
}

func initiator(i *network.Initiator) string {
	if i == nil {
		return ""
	}
	if i.URL == "" && i.Stack != nil && len(i.Stack.CallFrames) > 0 {
		return i.Stack.CallFrames[0].URL
	}
	return i.URL
}

// TestAListOfHundredsIsLight counts what a first visit to 200 accounts loads: at most 60 KB, headers
// included, and no request that waits for more than two others. With AVTOTPY_LONG=1 it also prints when
// the page was ready on a processor that is four times slower, and how busy a page is that is not touched.
func TestAListOfHundredsIsLight(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.alice()
	services := strings.Fields("GitHub Google Amazon Microsoft Dropbox Mastodon Hetzner GitLab Proton Registrar")
	for i := range 200 {
		alice.add(map[string]any{
			"issuer":  fmt.Sprintf("%s %d", services[i%len(services)], i),
			"account": fmt.Sprintf("person%d.%d@example.com", i*7919%1000, i),
			"secret": strings.Repeat(string("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i%26])+
				string("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i/26]), 16),
		})
	}
	b := newTab(t, s)
	b.logIn()
	if _, err := chromedp.Call(b.ctx, network.ClearBrowserCache, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	b.do(b.open("/nothing"))
	if _, err := chromedp.Call(b.ctx, network.ClearBrowserCache, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	long := os.Getenv("AVTOTPY_LONG") != ""
	if long {
		if _, err := chromedp.Call(b.ctx, emulation.SetCPUThrottlingRate,
			emulation.SetCPUThrottlingRateParams{Rate: 4}); err != nil {
			t.Fatal(err)
		}
		if _, err := chromedp.Call(b.ctx, performance.Enable,
			performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks}); err != nil {
			t.Fatal(err)
		}
	}
	seen := b.traffic()
	b.do(b.open("/"), b.until(`document.readyState === "complete" && customElements.get("code-card") &&
		document.querySelector("code-card .ring").style.length`))
	seen.mu.Lock()
	const most = 60_000 // bytes
	if len(seen.ids) < 5 || seen.bytes > most {
		t.Errorf("%d answers with %.0f bytes, want at most %d: %q", len(seen.ids), seen.bytes, most, seen.addrs)
	}
	t.Logf("%d answers, %.0f bytes on the wire", len(seen.ids), seen.bytes)
	for address, depth := range seen.depths {
		if depth > 3 {
			t.Errorf("%s is asked for only after %d others", address, depth-1)
		}
	}
	seen.mu.Unlock()
	if got := b.value(`document.querySelectorAll("code-card").length`); got != "200" {
		t.Errorf("%s cards", got)
	}
	if !long {
		return
	}
	t.Logf("with a processor four times slower, in ms: %s", b.value(`((n) => [
		"responseStart", "responseEnd", "domInteractive", "domContentLoadedEventEnd", "loadEventEnd"]
		.map((name) => name + " " + Math.round(n[name])).join(", "))(performance.getEntriesByType("navigation")[0])`))
	if _, err := chromedp.Call(b.ctx, emulation.SetCPUThrottlingRate,
		emulation.SetCPUThrottlingRateParams{Rate: 1}); err != nil {
		t.Fatal(err)
	}
	before := b.metrics()
	const watched = 35 * time.Second // longer than a code lives
	b.do(chromedp.Sleep(watched))
	after := b.metrics()
	for _, name := range []string{"TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration"} {
		t.Logf("%s of the main thread: %s %% of %s", name,
			strconv.FormatFloat(100*(after[name]-before[name])/(after["Timestamp"]-before["Timestamp"]), 'f', 2, 64),
			watched)
	}
}

func (b *tab) metrics() map[string]float64 {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, performance.GetMetrics, cdp.Empty{})
	if err != nil {
		b.t.Fatal(err)
	}
	values := map[string]float64{}
	for _, m := range result.Metrics {
		values[m.Name] = m.Value
	}
	return values
}
