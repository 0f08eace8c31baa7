package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/avtotpy/avtotpy/migrate"
)

// A health answers probes and scrapes, on an address of its own.
type health struct {
	*metrics

	mu    sync.Mutex
	now   readiness
	check func(context.Context) (warning string, err error) // nil until it serves
}

func newHealth(version string) *health {
	return &health{metrics: newMetrics(version), now: readiness{Phase: starting, Since: time.Now()}}
}

// migrating is called by the migrator, for each file; it only takes notes.
func (h *health) migrating(p migrate.Progress) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now.Phase != string(p.Phase) || !h.now.Since.Equal(p.Since) {
		h.busyWith(string(p.Phase), p.Since)
	}
	if p.Looked {
		h.schema(p.Version, p.Target)
	}
	h.appliedSoFar(p.Applied)
	h.now = migrationReadiness(p)
}

// serving lets check decide about readiness. The state of the schema may be known already.
func (h *health) serving(check func(context.Context) (warning string, err error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.check = check
	h.now = readiness{
		Phase: serving, Since: time.Now(), State: h.now.State, Version: h.now.Version,
		Target: h.now.Target,
	}
	h.busyWith(serving, h.now.Since)
}

// Inspected shows what was found of the schema while the program serves. A ledger that cannot
// be relied on shows no version.
func (h *health) Inspected(s migrate.Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now.State, h.now.Version, h.now.Target = s.State.String(), &s.Version, &s.Target
	if s.State == migrate.LedgerLost || s.State == migrate.Diverged {
		h.now.Version = nil
		h.forgetVersion()
		return
	}
	h.schema(s.Version, s.Target)
}

// readiness checks, and brings the metrics up to date with the answer.
func (h *health) readiness(ctx context.Context) readiness {
	h.mu.Lock()
	check := h.check
	h.mu.Unlock()
	var notReady error
	warning := ""
	if check != nil {
		warning, notReady = check(ctx) // which may inspect the database
	}
	h.mu.Lock()
	now := h.now
	h.mu.Unlock()
	now.Ready, now.Warning = check != nil && notReady == nil, warning
	if notReady != nil {
		now.Reason = notReady.Error()
	}
	h.ready.Set(map[bool]float64{true: 1}[now.Ready])
	return now
}

// listen serves on the address for machines, if there is one, until stop is called
// or the hand-over replaces the process: then the successor listens again a few
// milliseconds later, before it does anything else. To hand the open port over would
// save those, and cost a descriptor from outside that has to be distrusted.
func (h *health) listen(ctx context.Context, addr string, log *slog.Logger) (stop func(), err error) {
	if addr == "" {
		return func() {}, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler: h.routes(), ReadHeaderTimeout: 5 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() { _ = server.Serve(listener) }() // it ends by stop
	log.Info("serving probes and metrics", "listen", listener.Addr().String())
	return func() { _ = server.Close() }, nil // no answer that is cut off matters
}

func (h *health) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "alive") // the client may be gone
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		writeReadiness(w, h.readiness(r.Context()), strings.Contains(r.Header.Get("Accept"), "application/json"))
	})
	scrape := promhttp.HandlerFor(h.registry, promhttp.HandlerOpts{})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		h.readiness(r.Context())
		scrape.ServeHTTP(w, r)
	})
	return mux
}

func writeReadiness(w http.ResponseWriter, now readiness, asJSON bool) {
	kind, body := "text/plain; charset=utf-8", now.String()
	if asJSON {
		document, _ := json.MarshalIndent(now, "", "  ") // texts, numbers and times
		kind, body = "application/json", string(document)+"\n"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	if !now.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write([]byte(body)) // the client may be gone
}
