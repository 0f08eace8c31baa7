package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/avtotpy/avtotpy/migrate"
)

// A health is what machines ask about: probes and metrics, on an address of its own.
type health struct {
	registry  *prometheus.Registry
	findings  *prometheus.GaugeVec
	auditedAt prometheus.Gauge
}

// newHealth declares the metrics; docs/privileges.md explains them.
func newHealth() *health {
	h := &health{
		registry: prometheus.NewRegistry(),
		findings: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "avtotpy_role_findings",
			Help: "What the last audit found of the web server's role, by severity: excess (held and not declared), missing (declared and not held), warn. Absent before the first audit.",
		}, []string{"severity"}),
		auditedAt: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "avtotpy_role_audit_timestamp_seconds",
			Help: "When the web server's role was audited last, in Unix time; 0 before the first audit.",
		}),
	}
	h.registry.MustRegister(h.findings, h.auditedAt, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return h
}

func (h *health) audited(a migrate.Audit) {
	for severity, label := range map[migrate.Severity]string{migrate.Excess: "excess", migrate.Missing: "missing", migrate.Warn: "warn"} {
		h.findings.WithLabelValues(label).Set(float64(a.Count(severity)))
	}
	h.auditedAt.SetToCurrentTime()
}

// listen serves on the address for machines, if there is one, until stop is called.
func (h *health) listen(ctx context.Context, addr string, fit func(context.Context) error, log *slog.Logger) (stop func(), err error) {
	if addr == "" {
		return func() {}, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, &settingsError{fmt.Errorf("AVTOTPY_HEALTH_ADDR: %w; choose another address, or stop the program that uses this one", err)}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "alive") }) // whoever asked is gone
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := fit(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ready") // as above
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	go func() { _ = server.Serve(listener) }() // it ends by stop
	log.Info("serving probes and metrics", "listen", listener.Addr().String())
	return func() { _ = server.Close() }, nil // nobody waits for an answer that matters
}
