package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/migrate"
)

// onlookers are who sees what a start does beside its log: probes and metrics, the
// service manager, and a person at a terminal.
type onlookers struct {
	health  *health
	systemd *systemd
	bar     *bar         // nil when nobody would see it
	log     *slog.Logger // writes above the bar
	leave   func()       // when the program ends
}

// onlookers lets them in before anything else happens: a port that is taken is a
// setting to mend, and a start that takes long is one to look at.
func (p program) onlookers(ctx context.Context, cfg config.Config, log *slog.Logger) (*onlookers, error) {
	o := &onlookers{health: newHealth(), log: log}
	if migrated, ok := p.migrated(); ok {
		o.health.migrated(migrated)
	}
	stop, err := o.health.listen(ctx, cfg.HealthAddr, log)
	if err != nil {
		return nil, err
	}
	if p.wantsBar(cfg) {
		o.bar = startBar(p.stderr)
		o.log = newLogger(o.bar, true, cfg.LogLevel)
	}
	o.systemd = startSystemd(p.environ)
	told := make(chan struct{})
	stay := context.AfterFunc(ctx, func() { o.systemd.stopping(); close(told) })
	o.leave = func() {
		if !stay() {
			<-told
		}
		o.systemd.stop()
		o.bar.stop()
		stop()
	}
	return o, nil
}

// progress is called by the migrator.
func (o *onlookers) progress(now migrate.Progress) {
	o.health.migrating(now)
	o.systemd.say(inOneLine(now, time.Now()))
	o.bar.show(now)
}

// serving says that the main port is open, and who judges from now on whether it is ready.
func (o *onlookers) serving(address string, ready func(context.Context) (string, error)) {
	o.health.serving(ready)
	o.systemd.ready("serving " + address)
}

// stopping says that the main port is closed, while the last requests are answered.
func (o *onlookers) stopping() {
	o.health.serving(func(context.Context) (string, error) { return "", errStopping })
}

var errStopping = errors.New("the server is stopping")

// inOneLine is a progress for people.
func inOneLine(p migrate.Progress, now time.Time) string {
	words := string(p.Phase)
	if p.File != "" {
		words += fmt.Sprintf(" %s (%d of %d)", p.File, p.Number, p.Of)
	}
	words += " for " + now.Sub(p.Since).Truncate(time.Second).String()
	if waits := keptBy(p); waits != "" {
		words += ", " + waits
	}
	return words
}

// keptBy says what keeps the migrator, "" when nothing does.
func keptBy(p migrate.Progress) string {
	var parts []string
	if p.Index != nil {
		parts = append(parts, p.Index.String())
	}
	if p.WaitsFor != "" {
		parts = append(parts, "waits: "+p.WaitsFor)
	}
	if p.Holder != nil {
		parts = append(parts, "held up by "+p.Holder.String())
	}
	return strings.Join(parts, ", ")
}

// A migrated is what the metrics keep of a migration. It outlives the hand-over, for
// a process that only migrates seldom lives long enough to be scraped.
type migrated struct {
	Applied int     `json:"applied"`
	Seconds float64 `json:"seconds"`
	Waited  float64 `json:"waited"`
}

func migratedBy(r migrate.Report) migrated {
	return migrated{Applied: len(r.Applied), Seconds: r.Elapsed.Seconds(), Waited: r.Waited.Seconds()}
}

// migratedVariable carries it. It is no setting and begins as none does; whoever sets
// it by hand deceives nobody but their own dashboard.
const migratedVariable = "MIGRATED_BY_AVTOTPY"

func (m migrated) environ(environ []string) []string {
	document, _ := json.Marshal(m) // numbers
	return append(environ, migratedVariable+"="+string(document))
}

func (p program) migrated() (m migrated, ok bool) {
	for _, v := range p.environ {
		if document, found := strings.CutPrefix(v, migratedVariable+"="); found {
			return m, json.Unmarshal([]byte(document), &m) == nil && m.Applied >= 0
		}
	}
	return m, false
}
