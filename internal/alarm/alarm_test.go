package alarm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/alarm"
	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/store"
)

// A recorder is one whose clock the test has.
type recorder struct {
	alarm.Recorder
	log   bytes.Buffer
	now   time.Time
	saved []store.Incident
	fails bool
}

func newRecorder() *recorder {
	r := &recorder{now: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)}
	r.Now = func() time.Time { return r.now }
	r.Log = slog.New(slog.NewTextHandler(&r.log,
		&slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
	r.Save = func(_ context.Context, incidents []store.Incident) error {
		if r.fails {
			return errors.New("no database")
		}
		r.saved = append(r.saved, incidents...)
		return nil
	}
	return r
}

func (r *recorder) lines() []string {
	lines := strings.Split(strings.TrimSpace(r.log.String()), "\n")
	r.log.Reset()
	if lines[0] == "" {
		return nil
	}
	return lines
}

func (r *recorder) after(d time.Duration) {
	r.now = r.now.Add(d)
	r.Flush(context.Background(), false)
}

func event(kind auth.EventKind, use auth.Use, address string) auth.Event {
	return auth.Event{Kind: kind, Use: use, From: store.Origin{Address: netip.MustParseAddr(address), Agent: "Test"}}
}

// TestAnAttackLeavesALineAndARowAMinute makes 900 wrong logins in ten minutes.
func TestAnAttackLeavesALineAndARowAMinute(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	counted := 0
	r.Counted = func(string) { counted++ }
	user := store.User{ID: uuid.New(), Name: "SECRET"}
	for range 900 {
		e := event(auth.EventWrong, auth.UseLogin, "192.0.2.7")
		e.User = user
		r.Record(t.Context(), e)
		r.after(10 * time.Minute / 900)
	}
	r.after(time.Minute)
	lines := r.lines()
	if len(lines) < 10 || len(lines) > 11 ||
		lines[0] != `level=WARN msg="security event" address=192.0.2.7 event=login.fail count=1` {
		t.Errorf("%d lines, the first %q", len(lines), lines[0])
	}
	total := 0
	for _, one := range r.saved {
		total += one.Count
		if one.Action != "login.fail" || one.Subject != user.ID || one.From.Agent != "Test" {
			t.Errorf("saved %+v", one)
		}
	}
	if len(r.saved) < 10 || len(r.saved) > 11 || total != 900 || counted != 900 {
		t.Errorf("%d rows of %d events, %d counted", len(r.saved), total, counted)
	}
	if strings.Contains(strings.Join(lines, ""), "SECRET") {
		t.Error("a name is logged")
	}
}

// TestManyAddressesAreBounded attacks from more addresses than are remembered, in one minute.
func TestManyAddressesAreBounded(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	for i := range 20_000 {
		r.Record(t.Context(), event(auth.EventWrongHost, auth.UseNone,
			fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)))
	}
	r.after(5 * time.Second)
	if n := len(r.lines()); n != 600 {
		t.Errorf("%d lines", n)
	}
	if n := len(r.saved); n != 200 {
		t.Errorf("%d rows", n)
	}
	for range 12 { // in which all gets its turn
		r.after(time.Minute)
	}
	total := 0
	for _, one := range r.saved {
		total += one.Count
	}
	if total != 20_000 || len(r.saved) > 1001 {
		t.Errorf("%d events in %d rows", total, len(r.saved))
	}
}

func TestANetworkIsOneAttacker(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	for i := range 100 {
		r.Record(t.Context(), event(auth.EventCrossOrigin, auth.UseNone, fmt.Sprintf("2001:db8::%x%%eth0", i+1)))
	}
	r.Record(t.Context(), auth.Event{Kind: auth.EventThrottled, Use: auth.UseSetup}) // over a Unix socket
	r.Record(t.Context(), event(auth.EventWrong, auth.UseLogin, "::ffff:192.0.2.1"))
	r.Record(t.Context(), event(auth.EventOK, auth.UseLogin, "192.0.2.9"))
	r.after(time.Minute)
	want := []string{
		`level=WARN msg="security event" address=2001:db8::1 event=request.cross-origin count=1`,
		`level=WARN msg="security event" address=unknown event=setup.throttled count=1`,
		`level=WARN msg="security event" address=192.0.2.1 event=login.fail count=1`,
		`level=WARN msg="security event" address=2001:db8::64 event=request.cross-origin count=99`,
	}
	if got := r.lines(); !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	r.Record(t.Context(), event(auth.EventWrong, auth.UseLogin, "192.0.2.1"))
	r.Record(t.Context(), event(auth.EventThrottled, auth.UseLogin, "192.0.2.1"))
	r.Record(t.Context(), event(auth.EventThrottled, auth.UseLogin, "192.0.2.1"))
	r.after(time.Minute)
	if got := r.lines(); len(got) != 2 ||
		got[1] != `level=WARN msg="security event" address=192.0.2.1 event=login.throttled count=2` {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

// TestAnAttackDoesNotHideAmongHarmlessEvents sends one guess and many requests that people send, too, of each kind.
func TestAnAttackDoesNotHideAmongHarmlessEvents(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	kinds, uses := append(auth.Checks(), auth.Requests()...), append(auth.Uses(), auth.UseNone)
	for _, kind := range kinds {
		for _, use := range uses {
			name := alarm.Action(kind, use)
			if !slices.Contains(alarm.Actions(), name) || slices.Contains(alarm.Blamed(), name) ||
				kind == auth.EventOK {
				continue
			}
			r.after(3 * time.Minute)
			r.lines()
			for range 9 {
				r.Record(t.Context(), event(kind, use, "192.0.2.7"))
			}
			r.Record(t.Context(), event(auth.EventWrong, auth.UseLogin, "192.0.2.7"))
			r.after(time.Minute)
			want := "event=login.fail count=9 of=login.fail:1," + name + ":8"
			if got := r.lines(); len(got) != 2 || !strings.HasSuffix(got[1], want) {
				t.Errorf("among %s: got %q, want the second to end with %s", name, got, want)
			}
		}
	}
}

// TestNothingIsLostWhileTheDatabaseIsAway keeps the rows, and writes the last ones when it ends.
func TestNothingIsLostWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	r.fails = true
	for range 3 {
		r.Record(t.Context(), event(auth.EventWrong, auth.UseLogin, "192.0.2.7"))
		r.after(5 * time.Second)
	}
	r.fails = false
	ctx, end := context.WithCancel(t.Context())
	end()
	r.Run(ctx)
	if len(r.saved) != 1 || r.saved[0].Count != 3 {
		t.Errorf("saved %+v", r.saved)
	}
}

// TestEveryEventHasAName is for who adds one: metrics and docs go by these names.
func TestEveryEventHasAName(t *testing.T) {
	t.Parallel()
	names := alarm.Actions()
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] || !regexp.MustCompile(`^[a-z-]+\.[a-z-]+$`).MatchString(name) {
			t.Errorf("%q", name)
		}
		seen[name] = true
	}
}

// TestARowThatIsDistrustedHasARow is about an event that no visitor caused.
func TestARowThatIsDistrustedHasARow(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	first, second := uuid.New(), uuid.New()
	for _, id := range []uuid.UUID{first, second} {
		r.Record(t.Context(), auth.Event{Kind: auth.EventDistrusted, Row: id})
	}
	if got := r.lines(); len(got) != 1 || !strings.Contains(got[0], "address=unknown event=row.distrusted") {
		t.Errorf("the log has %q", got)
	}
	r.Flush(t.Context(), true)
	for _, id := range []uuid.UUID{first, second} {
		if !slices.ContainsFunc(r.saved, func(i store.Incident) bool {
			return i.Action == "row.distrusted" &&
				i.Subject == id && i.Count == 1
		}) {
			t.Errorf("%s is not in %v", id, r.saved)
		}
	}
}
