package observe

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/avtotpy/avtotpy/internal/alarm"
	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/store"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/privilege"
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

// metrics are those of Prometheus; docs/monitoring.md lists them with these words.
// One of which nothing is known yet is absent: hence vectors without a label.
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

func newMetrics(version string) *metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := &metrics{registry: registry}
	m.gauge("avtotpy_build_info", "Always 1; the label is the program's version.",
		"version").WithLabelValues(version).Set(1)
	m.addMigration()
	m.addServing()
	m.busyWith(starting, time.Now())
	return m
}

// addMigration adds what is known while the program migrates, and afterwards.
func (m *metrics) addMigration() {
	m.phase = m.gauge("avtotpy_phase", "1 for the current phase, 0 for the others: starting, "+
		"connecting, looking, waiting, backing up, applying, reconciling, done, serving.", "phase")
	m.phaseSince = m.gauge("avtotpy_phase_since_timestamp_seconds",
		"When that began, in Unix time; while applying, when the file that runs was first tried.")
	m.version = m.gauge("avtotpy_schema_version",
		"The version of the schema, when it was last looked at. Absent before the first look, and while the "+
			"ledger is diverged or lost.")
	m.target = m.gauge("avtotpy_schema_target_version", "The version that this program was built for.")
	m.pending = m.gauge("avtotpy_migrations_pending",
		"How many files are still to be applied; 0 also when the schema is ahead of the program. Absent until known.")
	m.duration = m.gauge("avtotpy_migration_duration_seconds",
		"How long the migration of this start took in all, waiting included. Absent in mode SKIP and until "+
			"it is over.")
	m.waited = m.gauge("avtotpy_migration_waited_seconds",
		"How much of that it waited, for locks, other migrators and lost connections.")
	m.applied = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "avtotpy_migrations_applied_total",
		Help: "How many files this start has applied.",
	})
	m.registry.MustRegister(m.applied)
}

// addServing adds what is known while the program serves.
func (m *metrics) addServing() {
	m.ready = m.gauge("avtotpy_ready", "1 when people can be served, as /readyz says, "+
		"otherwise 0.").WithLabelValues()
	m.findings = m.gauge("avtotpy_role_findings",
		"What the last audit found of the web server's role, by severity: excess (held and not declared), "+
			"missing (declared and not held), warn. Absent before the first audit.", "severity")
	m.auditedAt = m.gauge("avtotpy_role_audit_timestamp_seconds",
		"When the web server's role was audited last, in Unix time; 0 before the first audit.").WithLabelValues()
	m.drift = m.gauge("avtotpy_schema_differences",
		"In how many ways the last audit found the schema not to be as its migrations make it. Absent before it "+
			"was compared.")
	m.clockAhead = m.gauge("avtotpy_database_clock_ahead_seconds",
		"By how much the database's clock is ahead of this server's, negative when it is behind. Absent before "+
			"the first look.")
	kinds := store.AllDistrusted()
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = string(kind)
	}
	m.distrust = m.counter("avtotpy_distrusted_rows_total",
		"How often a row was met that the keys do not prove, by kind: session, member, password, account. "+
			"Above 0, rows were damaged or forged.", "kind", names)
	m.security = m.counter("avtotpy_security_events_total",
		"How many security events there were, by event; docs/security-events.md lists them.", "event", alarm.Actions())
	m.swept = m.counter("avtotpy_rows_swept_total",
		"How many rows this server has deleted because they had ended, by table.", "table", store.SweptTables())
}

func (m *metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(vec)
	return vec
}

// counter begins with 0 for each value of the label, so that the first event is seen as an increase.
func (m *metrics) counter(name, help, label string, values []string) *prometheus.CounterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	m.registry.MustRegister(vec)
	for _, value := range values {
		vec.WithLabelValues(value)
	}
	return vec
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

// forgetVersion is for a version that is not known any more.
func (m *metrics) forgetVersion() {
	m.version.Reset()
	m.pending.Reset()
}

// appliedSoFar counts files while they are applied. A counter never goes back for files that the server has lost.
func (m *metrics) appliedSoFar(files int) {
	if files > m.counted {
		m.applied.Add(float64(files - m.counted))
		m.counted = files
	}
}

// Migrated shows what a migration took, when it is over.
func (m *metrics) Migrated(report Migration) {
	m.appliedSoFar(report.Applied)
	m.duration.WithLabelValues().Set(report.Seconds)
	m.waited.WithLabelValues().Set(report.Waited)
}

// SecurityEvent counts an event; alarm.Actions bounds the names.
func (m *metrics) SecurityEvent(action string) { m.security.WithLabelValues(action).Inc() }

// RowsSwept counts deleted rows by table.
func (m *metrics) RowsSwept(deleted map[string]int64) {
	for table, n := range deleted {
		m.swept.WithLabelValues(table).Add(float64(n))
	}
}

// ClockAhead shows by how many seconds the database's clock is ahead of this server's.
func (m *metrics) ClockAhead(ahead float64) { m.clockAhead.WithLabelValues().Set(ahead) }

// Distrusted returns a function that counts rows that the keys do not prove, and logs and reports each one once.
func (o *Observers) Distrusted(report auth.Events) func(store.Distrusted, uuid.UUID) {
	const most = 1000 // rows that are remembered
	var mu sync.Mutex
	logged := map[uuid.UUID]bool{}
	return func(kind store.Distrusted, id uuid.UUID) {
		o.distrust.WithLabelValues(string(kind)).Inc()
		mu.Lock()
		defer mu.Unlock()
		if logged[id] || len(logged) >= most {
			return
		}
		logged[id] = true
		o.log.Error("a row of the database is not what this program wrote, and is left out: it was damaged, or "+
			"somebody writes as the web server's role",
			"kind", string(kind), "id", id)
		report(context.Background(), auth.Event{Kind: auth.EventDistrusted, Row: id})
	}
}

func (m *metrics) compared(differences int) { m.drift.WithLabelValues().Set(float64(differences)) }

func (m *metrics) audited(a privilege.Audit) {
	for severity, label := range map[privilege.Severity]string{
		privilege.Excess: "excess", privilege.Missing: "missing",
		privilege.Warn: "warn",
	} {
		m.findings.WithLabelValues(label).Set(float64(a.Count(severity)))
	}
	m.auditedAt.SetToCurrentTime()
}
