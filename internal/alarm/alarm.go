// Package alarm writes down what there was of security events.
//
// It promises that each event is counted; that the log has at most one line for an address in a minute, which
// fail2ban can read; that the audit log has at most one row for an address, a kind of event and a user in a
// minute; and that the memory, the lines and the rows that attackers cause are bounded, however many
// addresses they have. Nothing that a visitor typed is written.
package alarm

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/store"
)

// A Recorder takes events.
type Recorder struct {
	Log     *slog.Logger
	Save    func(context.Context, []store.Incident) error // into the audit log; nil drops them
	Counted func(action string)                           // is called for each event; nil drops it
	Now     func() time.Time

	mu    sync.Mutex
	lines map[netip.Prefix]*line
	rows  map[key]*row
	lined minute // lines of all addresses
	saved minute // rows of all addresses
}

// The bounds.
const (
	period        = time.Minute
	linesAtMost   = 10_000 // addresses that are remembered
	linesAMinute  = 600
	rowsAtMost    = 1000 // that wait to be saved
	rowsAMinute   = 200
	flushInterval = 5 * time.Second
	lastFlush     = 2 * time.Second
)

// A line is what is to be logged of one network.
type line struct {
	address netip.Addr // the one that was seen last
	due     time.Time
	counts  map[string]int
}

// A key is what has a row of its own in the audit log.
type key struct {
	network netip.Prefix
	action  string
	subject uuid.UUID // the user, or the row
}

type row struct {
	due   time.Time
	from  store.Origin
	count int
}

// A minute counts what was done in it.
type minute struct {
	until time.Time
	n     int
}

func (m *minute) left(now time.Time, most int) bool {
	if !now.Before(m.until) {
		*m = minute{until: now.Add(period)}
	}
	return m.n < most
}

// Action names an event in the log and in the audit log.
func Action(kind auth.EventKind, use auth.Use) string {
	if kind == auth.EventWrong && use == auth.UseLogin {
		return "login.fail" // as it was called before there were others
	}
	if slices.Contains(auth.Rows(), kind) {
		return "row." + string(kind)
	}
	return cmp.Or(string(use), "request") + "." + string(kind)
}

// Actions returns the names of all events.
func Actions() []string {
	var all []string
	for _, use := range auth.Uses() {
		for _, kind := range auth.Checks() {
			all = append(all, Action(kind, use))
		}
	}
	for _, kind := range auth.Requests() {
		all = append(all, Action(kind, auth.UseNone))
	}
	for _, kind := range auth.Rows() {
		all = append(all, Action(kind, auth.UseNone))
	}
	return all
}

// Blamed returns the actions for which their sender is to blame. People meet the others, too: they follow an old link,
// or find a server that is busy.
func Blamed() []string {
	all := []string{
		Action(auth.EventCrossOrigin, auth.UseNone), Action(auth.EventWrongHost, auth.UseNone),
		Action(auth.EventTooLarge, auth.UseNone),
	}
	for _, use := range auth.Uses() {
		all = append(all, Action(auth.EventWrong, use), Action(auth.EventThrottled, use))
	}
	return all
}

// Record takes an event. It never waits.
func (r *Recorder) Record(_ context.Context, event auth.Event) {
	action := Action(event.Kind, event.Use)
	if r.Counted != nil {
		r.Counted(action)
	}
	if event.Kind == auth.EventOK { // what it led to is in the audit log
		return
	}
	subject := event.User.ID
	if event.Row != uuid.Nil {
		subject = event.Row
	}
	now := r.Now()
	address := event.From.Address.Unmap().WithZone("")
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.line(auth.Household(address))
	l.address = address
	l.counts[action]++
	if !now.Before(l.due) {
		r.write(l, now)
	}
	one := r.row(key{auth.Household(address), action, subject})
	one.count++
	one.from = event.From
}

// line returns that of a network, or one for all the networks for which there is no room.
func (r *Recorder) line(network netip.Prefix) *line {
	if r.lines == nil {
		r.lines = map[netip.Prefix]*line{}
	}
	if r.lines[network] == nil && len(r.lines) >= linesAtMost {
		network = netip.Prefix{}
	}
	if r.lines[network] == nil {
		r.lines[network] = &line{counts: map[string]int{}}
	}
	return r.lines[network]
}

func (r *Recorder) row(k key) *row {
	if r.rows == nil {
		r.rows = map[key]*row{}
	}
	if r.rows[k] == nil && len(r.rows) >= rowsAtMost {
		k = key{action: k.action}
	}
	if r.rows[k] == nil {
		r.rows[k] = &row{}
	}
	return r.rows[k]
}

// write logs a line, or leaves it for the next minute. docs/security-events.md promises its form.
func (r *Recorder) write(l *line, now time.Time) {
	if !r.lined.left(now, linesAMinute) {
		return
	}
	r.lined.n++
	blamed := Blamed()
	harmless := func(action string) int {
		if slices.Contains(blamed, action) {
			return 0
		}
		return 1
	}
	// What is not held against any user must not stand in front of what is: an attacker could send more of it.
	actions := slices.SortedFunc(maps.Keys(l.counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(harmless(a), harmless(b)), cmp.Compare(l.counts[b], l.counts[a]), cmp.Compare(a, b))
	})
	address, total := "unknown", 0
	if l.address.IsValid() {
		address = l.address.String()
	}
	others := make([]string, 0, len(actions))
	for _, action := range actions {
		total += l.counts[action]
		others = append(others, action+":"+strconv.Itoa(l.counts[action]))
	}
	attributes := []any{"address", address, "event", actions[0], "count", total}
	if len(actions) > 1 {
		attributes = append(attributes, "of", strings.Join(others, ","))
	}
	r.Log.Warn("security event", attributes...)
	l.counts, l.due = map[string]int{}, now.Add(period)
}

// Run writes what is due until ctx ends, and then the rest.
func (r *Recorder) Run(ctx context.Context) {
	ticker := time.NewTicker(flushInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.Flush(ctx, false)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
			defer cancel()
			r.Flush(last, true)
			return
		}
	}
}

// Flush writes what is due, or all of it.
func (r *Recorder) Flush(ctx context.Context, all bool) {
	due := r.takeDue(all)
	if len(due) == 0 || r.Save == nil {
		return
	}
	incidents := make([]store.Incident, 0, len(due))
	for k, one := range due {
		incidents = append(incidents, store.Incident{
			Action: k.action, Subject: k.subject, From: one.from,
			Count: one.count,
		})
	}
	if err := r.Save(ctx, incidents); err != nil {
		r.keep(due)
		r.Log.Debug("security events could not be written to the audit log yet", "error", err) // the database logs why
	}
}

// takeDue logs the lines that are due, and returns and forgets the rows that are.
func (r *Recorder) takeDue(all bool) map[key]row {
	now := r.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for network, l := range r.lines {
		if !all && now.Before(l.due) {
			continue
		}
		if len(l.counts) > 0 {
			r.write(l, now)
			continue
		}
		delete(r.lines, network)
	}
	due := map[key]row{}
	for k, one := range r.rows {
		switch {
		case !all && now.Before(one.due):
		case one.count == 0:
			delete(r.rows, k)
		case all || r.saved.left(now, rowsAMinute):
			r.saved.n++
			if k.network == (netip.Prefix{}) {
				one.from = store.Origin{} // of many
			}
			due[k] = *one
			one.count, one.due = 0, now.Add(period)
		}
	}
	return due
}

// keep takes back rows that were not saved.
func (r *Recorder) keep(rows map[key]row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, one := range rows {
		kept := r.row(k)
		kept.count += one.count
		kept.from, kept.due = one.from, time.Time{}
	}
}
