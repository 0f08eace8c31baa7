package main

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

// A health is what machines ask about: probes and metrics, on an address of its own.
type health struct {
	*metrics

	mu  sync.Mutex
	now readiness
	fit func(context.Context) (warning string, err error) // nil until it serves
}

func newHealth() *health {
	return &health{metrics: newMetrics(), now: readiness{Phase: starting, Since: time.Now()}}
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

// serving makes fit the judge of readiness. The state of the schema may be known already.
func (h *health) serving(fit func(context.Context) (warning string, err error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fit = fit
	h.now = readiness{
		Phase: serving, Since: time.Now(), State: h.now.State, Version: h.now.Version,
		Target: h.now.Target,
	}
	h.busyWith(serving, h.now.Since)
}

// looked is told of each look at the schema while the program serves. A ledger that cannot
// be relied on tells no version.
func (h *health) looked(s migrate.Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now.State, h.now.Version, h.now.Target = s.State.String(), &s.Version, &s.Target
	if s.State == migrate.LedgerLost || s.State == migrate.Diverged {
		h.now.Version = nil
		h.lost()
		return
	}
	h.schema(s.Version, s.Target)
}

// readiness asks, and brings the metrics up to date with the answer.
func (h *health) readiness(ctx context.Context) readiness {
	h.mu.Lock()
	fit := h.fit
	h.mu.Unlock()
	var unfit error
	warning := ""
	if fit != nil {
		warning, unfit = fit(ctx) // which may look
	}
	h.mu.Lock()
	now := h.now
	h.mu.Unlock()
	now.Ready, now.Warning = fit != nil && unfit == nil, warning
	if unfit != nil {
		now.Reason = unfit.Error()
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
		return nil, cannotListen("AVTOTPY_HEALTH_ADDR", err)
	}
	server := &http.Server{
		Handler: h.routes(), ReadHeaderTimeout: 5 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() { _ = server.Serve(listener) }() // it ends by stop
	log.Info("serving probes and metrics", "listen", listener.Addr().String())
	return func() { _ = server.Close() }, nil // nobody waits for an answer that matters
}

func (h *health) routes() http.Handler {
	mux := http.NewServeMux()
	// whoever asked is gone
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "alive") })
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
	_, _ = w.Write([]byte(body)) // whoever asked is gone
}
