package web_test

import (
	"os"
	"testing"

	"github.com/chromedp/chromedp"
)

// axe is the source of axe-core, from the file that AXE names; empty without it. make test-long names one.
func axe(t *testing.T) string {
	t.Helper()
	path := os.Getenv("AXE")
	if path == "" {
		return ""
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// accessible fails when axe-core finds a fault in the page.
func (b *tab) accessible(what string) {
	b.t.Helper()
	if b.axe == "" {
		return
	}
	b.do(b.until(`document.getAnimations().length === 0`), chromedp.Evaluate[chromedp.Void](b.axe+`;
		window.faults = undefined;
		axe.run(document, {resultTypes: ["violations"]}).then(
		({violations}) => { window.faults = violations.flatMap(
			({id, help, nodes}) => nodes.map(({html, failureSummary}) =>
			id + " (" + help + "): " + html.slice(0, 300) + "\n" + failureSummary)).join("\n"); },
		(err) => { window.faults = "axe-core failed: " + err; })`), b.until(`window.faults !== undefined`))
	if faults := b.value("window.faults"); faults != "" {
		b.t.Errorf("%s: %s", what, faults)
	}
}
