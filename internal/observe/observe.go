// Package observe shows what a running program does: to probes, Prometheus, the service
// manager and a person at a terminal.
//
// None of them can hold the program up: a service manager that is slow to read, a scrape
// that is never fetched and a terminal that is gone change nothing.
package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/avtotpy/avtotpy/migrate"
)

// Options are what Start needs to know.
type Options struct {
	Addr    string   // host:port of the probes and metrics; "" for none
	Version string   // of the program
	Environ []string // of the process: the socket of the service manager, and the migration before a hand-over
	Log     *slog.Logger

	// Terminal gets a last line that shows how far a migration is, and above it the log that LogTo makes; nil for none.
	Terminal *os.File
	LogTo    func(io.Writer) *slog.Logger
}

// Observers are all to whom a program shows what it does.
type Observers struct {
	*health
	systemd *systemd
	bar     *bar // nil without a terminal
	log     *slog.Logger
	close   func()
}

// Start begins to show what the program does, until Close. An error is that of listening on Options.Addr. The end of
// ctx is reported as that of the program.
func Start(ctx context.Context, o Options) (*Observers, error) {
	obs := &Observers{health: newHealth(o.Version), log: o.Log}
	if m, ok := HandedOver(o.Environ); ok {
		obs.Migrated(m)
	}
	closeHealth, err := obs.listen(ctx, o.Addr, o.Log)
	if err != nil {
		return nil, err
	}
	if o.Terminal != nil {
		obs.bar = startBar(o.Terminal)
		obs.log = o.LogTo(obs.bar)
	}
	obs.systemd = startSystemd(o.Environ)
	reported := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() { obs.systemd.stopping(); close(reported) })
	obs.close = func() {
		if !cancel() {
			<-reported
		}
		obs.systemd.stop()
		obs.bar.stop()
		closeHealth()
	}
	return obs, nil
}

// Log is the log to use while they observe: it does not disturb what a terminal shows.
func (o *Observers) Log() *slog.Logger { return o.log }

// Close is for the end of the program.
func (o *Observers) Close() { o.close() }

// Handler answers GET /livez, /readyz and /metrics, as Options.Addr does.
func (o *Observers) Handler() http.Handler { return o.routes() }

// Progress shows how far a migration is; it is for [migrate.Migrator.Progress].
func (o *Observers) Progress(now migrate.Progress) {
	o.migrating(now)
	o.systemd.setStatus(inOneLine(now, time.Now()))
	o.bar.show(now)
}

// Serving shows that the main port is open. From now on ready decides whether the program is ready: its error is the
// reason why not, and its warning stands next to a good answer.
func (o *Observers) Serving(address string, ready func(context.Context) (warning string, err error)) {
	o.serving(ready)
	o.systemd.ready("serving " + address)
}

// Stopping shows that the main port is closed, while the last requests are answered.
func (o *Observers) Stopping() {
	o.serving(func(context.Context) (string, error) { return "", errStopping })
}

var errStopping = errors.New("the server is stopping")

// inOneLine is a progress for people.
func inOneLine(p migrate.Progress, now time.Time) string {
	words := string(p.Phase)
	if p.File != "" {
		words += fmt.Sprintf(" %s (%d of %d)", p.File, p.Number, p.Of)
	}
	words += " for " + now.Sub(p.Since).Truncate(time.Second).String()
	if reason := waitReason(p); reason != "" {
		words += ", " + reason
	}
	return words
}

// waitReason is what keeps the migrator, "" when nothing does.
func waitReason(p migrate.Progress) string {
	var parts []string
	if p.Index != nil {
		parts = append(parts, p.Index.String())
	}
	if p.WaitsFor != "" {
		parts = append(parts, "waits: "+p.WaitsFor)
	}
	if p.Blocker != nil {
		parts = append(parts, "blocked by "+p.Blocker.String())
	}
	return strings.Join(parts, ", ")
}

// A Migration is what the metrics keep of a migration. It outlives the hand-over to
// another process, because one that only migrates seldom lives long enough to be scraped.
type Migration struct {
	Applied int     `json:"applied"`
	Seconds float64 `json:"seconds"`
	Waited  float64 `json:"waited"`
}

// MigrationOf takes it from the report of a migration.
func MigrationOf(r migrate.Report) Migration {
	return Migration{Applied: len(r.Applied), Seconds: r.Elapsed.Seconds(), Waited: r.Waited.Seconds()}
}

// handedOverVariable carries a Migration. It is not a setting and does not begin like one; an operator who sets it
// deceives only their own dashboard.
const handedOverVariable = "MIGRATED_BY_AVTOTPY"

// HandOver adds m to the environment of the process that goes on.
func (m Migration) HandOver(environ []string) []string {
	document, _ := json.Marshal(m) // numbers
	return append(environ, handedOverVariable+"="+string(document))
}

// HandedOver finds the migration of the process before this one in an environment.
func HandedOver(environ []string) (m Migration, ok bool) {
	for _, v := range environ {
		if document, found := strings.CutPrefix(v, handedOverVariable+"="); found {
			return m, json.Unmarshal([]byte(document), &m) == nil && m.Applied >= 0
		}
	}
	return m, false
}
