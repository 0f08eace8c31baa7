package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/avtotpy/avtotpy/internal/alarm"
	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/store"
	"github.com/avtotpy/avtotpy/migrate"
)

// The phases of a start that the migrator knows nothing of.
const (
	starting = "starting" // before it migrates, and between that and serving
	serving  = "serving"
)

func phases() []string {
	all := []string{starting}
	for _, p := range migrate.Phases() {
		all = append(all, string(p))
	}
	return append(all, serving)
}

// metrics are what Prometheus sees; docs/monitoring.md lists them with these words.
// Those of which nothing is known yet are absent: hence vectors without a label.
type metrics struct {
	registry *prometheus.Registry

	ready      prometheus.Gauge
	phase      *prometheus.GaugeVec
	phaseSince *prometheus.GaugeVec
	version    *prometheus.GaugeVec
	target     *prometheus.GaugeVec
	pending    *prometheus.GaugeVec
	duration   *prometheus.GaugeVec
	waited     *prometheus.GaugeVec
	applied    prometheus.Counter
	counted    int // of applied
	findings   *prometheus.GaugeVec
	auditedAt  prometheus.Gauge
	drift      *prometheus.GaugeVec
	clockAhead *prometheus.GaugeVec
	distrust   *prometheus.CounterVec
	security   *prometheus.CounterVec
	swept      *prometheus.CounterVec
}

func newMetrics() *metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		registry.MustRegister(vec)
		return vec
	}
	gauge("avtotpy_build_info", "Always 1; the label is the program's version.",
		"version").WithLabelValues(version()).Set(1)
	m := &metrics{
		registry: registry,
		ready: gauge("avtotpy_ready", "1 when people can be served, as /readyz says, "+
			"otherwise 0.").WithLabelValues(),
		phase: gauge("avtotpy_phase", "1 for what the program is busy with, 0 for all else: starting, "+
			"connecting, looking, waiting, backing up, applying, reconciling, done, serving.", "phase"),
		phaseSince: gauge("avtotpy_phase_since_timestamp_seconds",
			"When that began, in Unix time; while applying, when the file that runs was first tried."),
		version: gauge("avtotpy_schema_version",
			"The version of the schema, when it was last looked at. Absent before the first look, and while the "+
				"ledger is diverged or lost."),
		target: gauge("avtotpy_schema_target_version", "The version that this program was built for."),
		pending: gauge("avtotpy_migrations_pending",
			"How many files are still to be applied; 0 also when the schema is ahead of the program. Absent while "+
				"nobody knows."),
		duration: gauge("avtotpy_migration_duration_seconds",
			"How long the migration of this start took in all, waiting included. Absent in mode SKIP and until "+
				"it is over."),
		waited: gauge("avtotpy_migration_waited_seconds",
			"How much of that it waited, for locks, other migrators and lost connections."),
		findings: gauge("avtotpy_role_findings",
			"What the last audit found of the web server's role, by severity: excess (held and not declared), "+
				"missing (declared and not held), warn. Absent before the first audit.", "severity"),
		auditedAt: gauge("avtotpy_role_audit_timestamp_seconds",
			"When the web server's role was audited last, in Unix time; 0 before the first audit.").WithLabelValues(),
		drift: gauge("avtotpy_schema_differences",
			"In how many ways the last audit found the schema not to be as its migrations make it. Absent before it "+
				"was compared."),
		clockAhead: gauge("avtotpy_database_clock_ahead_seconds",
			"By how much the database's clock is ahead of this server's, negative when it is behind. Absent before "+
				"the first look."),
		applied: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "avtotpy_migrations_applied_total",
			Help: "How many files this start has applied.",
		}),
	}
	m.distrust = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "avtotpy_distrusted_rows_total",
		Help: "How often a row was met that the keys do not prove, by kind: session, member, password, account. " +
			"Above 0, rows were damaged or forged.",
	}, []string{"kind"})
	for _, kind := range store.AllDistrusted() {
		m.distrust.WithLabelValues(string(kind))
	}
	registry.MustRegister(m.applied, m.distrust)
	counter := func(name, help, label string, values []string) *prometheus.CounterVec {
		vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		registry.MustRegister(vec)
		for _, value := range values { // from 0, so that the first one is seen as an increase
			vec.WithLabelValues(value)
		}
		return vec
	}
	m.security = counter("avtotpy_security_events_total",
		"How many security events there were, by event; docs/security-events.md lists them.", "event", alarm.Actions())
	m.swept = counter("avtotpy_rows_swept_total",
		"How many rows this server has deleted because they had ended, by table.", "table", store.SweptTables())
	m.busyWith(starting, time.Now())
	return m
}

func (m *metrics) busyWith(phase string, since time.Time) {
	for _, p := range phases() {
		m.phase.WithLabelValues(p).Set(0)
	}
	m.phase.WithLabelValues(phase).Set(1)
	m.phaseSince.WithLabelValues().Set(float64(since.UnixMilli()) / 1000)
}

func (m *metrics) schema(version, target int) {
	m.version.WithLabelValues().Set(float64(version))
	m.target.WithLabelValues().Set(float64(target))
	m.pending.WithLabelValues().Set(float64(max(target-version, 0)))
}

// lost forgets the version, which nobody knows any more.
func (m *metrics) lost() {
	m.version.Reset()
	m.pending.Reset()
}

// appliedSoFar counts files while they are applied. A counter takes none back that the server has lost.
func (m *metrics) appliedSoFar(files int) {
	if files > m.counted {
		m.applied.Add(float64(files - m.counted))
		m.counted = files
	}
}

func (m *metrics) migrated(report migrated) {
	m.appliedSoFar(report.Applied)
	m.duration.WithLabelValues().Set(report.Seconds)
	m.waited.WithLabelValues().Set(report.Waited)
}

// securityEvent counts an event; alarm.Actions bounds the names.
func (m *metrics) securityEvent(action string) { m.security.WithLabelValues(action).Inc() }

func (m *metrics) sweptRows(deleted map[string]int64) {
	for table, n := range deleted {
		m.swept.WithLabelValues(table).Add(float64(n))
	}
}

func (m *metrics) clock(ahead float64) { m.clockAhead.WithLabelValues().Set(ahead) }

// distrusted counts rows that the keys do not prove, and reports each one once.
func (m *metrics) distrusted(log *slog.Logger, report auth.Events) func(store.Distrusted, uuid.UUID) {
	const most = 1000 // rows that are remembered
	var mu sync.Mutex
	logged := map[uuid.UUID]bool{}
	return func(kind store.Distrusted, id uuid.UUID) {
		m.distrust.WithLabelValues(string(kind)).Inc()
		mu.Lock()
		defer mu.Unlock()
		if logged[id] || len(logged) >= most {
			return
		}
		logged[id] = true
		log.Error("a row of the database is not what this program wrote, and is left out: it was damaged, or "+
			"somebody writes as the web server's role",
			"kind", string(kind), "id", id)
		report(context.Background(), auth.Event{Kind: auth.EventDistrusted, Row: id})
	}
}

func (m *metrics) compared(differences int) { m.drift.WithLabelValues().Set(float64(differences)) }

func (m *metrics) audited(a migrate.Audit) {
	for severity, label := range map[migrate.Severity]string{
		migrate.Excess: "excess", migrate.Missing: "missing",
		migrate.Warn: "warn",
	} {
		m.findings.WithLabelValues(label).Set(float64(a.Count(severity)))
	}
	m.auditedAt.SetToCurrentTime()
}
