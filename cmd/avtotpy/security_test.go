package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/alarm"
	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/store"
)

// securityLines are real lines of a log: some that fail2ban should count, of one address, and some that it should not.
func securityLines(asText bool) (counted int, lines string) {
	var out bytes.Buffer
	now := time.Now()
	r := alarm.Recorder{Log: newLogger(&out, asText, slog.LevelInfo), Now: func() time.Time { return now }}
	record := func(kind auth.EventKind, use auth.Use, address string) {
		r.Record(context.Background(), auth.Event{
			Kind: kind, Use: use,
			From: store.Origin{Address: netip.MustParseAddr(address), Agent: `" address=9.9.9.9`},
		})
		now = now.Add(time.Minute)
	}
	record(auth.EventWrong, auth.UseLogin, "192.0.2.7")
	record(auth.EventThrottled, auth.UseSetup, "192.0.2.7")
	record(auth.EventWrongHost, auth.UseNone, "2001:db8::7")
	record(auth.EventWrong, auth.UseLogin, "2001:db8::7")
	r.Record(context.Background(), auth.Event{
		Kind: auth.EventWrong, Use: auth.UseStepUp,
		From: store.Origin{Address: netip.MustParseAddr("2001:db8::7")},
	})
	r.Record(context.Background(), auth.Event{
		Kind: auth.EventThrottled, Use: auth.UseStepUp,
		From: store.Origin{Address: netip.MustParseAddr("2001:db8::7")},
	})
	now = now.Add(time.Minute)
	r.Flush(context.Background(), false)
	counted = strings.Count(out.String(), "\n")
	record(auth.EventUnknownID, auth.UseNone, "192.0.2.8")
	record(auth.EventRate, auth.UseNone, "192.0.2.8")
	record(auth.EventOverload, auth.UseNone, "192.0.2.8")
	r.Log.Info("starting AVTotpy", "mode", "address=192.0.2.8 event=login.fail count=1")
	return counted, out.String()
}

// TestTheFilterForFail2banFindsAttackers reads the filter in the docs as fail2ban does, and runs fail2ban's own program
// where it is installed.
func TestTheFilterForFail2banFindsAttackers(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/security-events.md")
	if err != nil {
		t.Fatal(err)
	}
	filter := regexp.MustCompile("(?s)```ini\n(\\[Definition\\]\nfailregex = " +
		"(.*?)\nignoreregex.*?)```").FindStringSubmatch(string(page))
	if filter == nil {
		t.Fatal("no filter in the docs")
	}
	var expressions []*regexp.Regexp
	for line := range strings.Lines(filter[2]) {
		text := strings.ReplaceAll(strings.TrimSpace(line), "<ADDR>", `([0-9a-f.:]+)`)
		expressions = append(expressions, regexp.MustCompile(text))
	}
	for _, asText := range []bool{false, true} {
		want, lines := securityLines(asText)
		blamed := 0
		for _, name := range alarm.Actions() {
			var out bytes.Buffer
			newLogger(&out, asText, slog.LevelInfo).Warn("security event", "address", "192.0.2.7", "event", name,
				"count", 1)
			found := slices.ContainsFunc(expressions,
				func(e *regexp.Regexp) bool { return e.MatchString(out.String()) })
			if found != slices.Contains(alarm.Blamed(), name) {
				t.Errorf("as text %t: %s is found: %t", asText, name, found)
			}
			if found {
				blamed++
			}
		}
		if blamed == 0 {
			t.Error("nothing is found")
		}
		got := 0
		for line := range strings.Lines(lines) {
			for _, e := range expressions {
				found := e.FindStringSubmatch(line)
				if found == nil {
					continue
				}
				got++
				if found[1] != "192.0.2.7" && found[1] != "2001:db8::7" {
					t.Errorf("%s is found in %s", found[1], line)
				}
			}
		}
		if got != want || want < 4 {
			t.Errorf("as text %t: %d lines are found of %d in\n%s", asText, got, want, lines)
		}
		program, err := exec.LookPath("fail2ban-regex")
		if err != nil {
			continue
		}
		folder := t.TempDir()
		log, conf := filepath.Join(folder, "avtotpy.log"), filepath.Join(folder, "avtotpy.conf")
		for path, content := range map[string]string{log: lines, conf: filter[1]} {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		said, err := exec.CommandContext(t.Context(), program, log, conf).CombinedOutput()
		if match := fmt.Sprintf(", %d matched,", want); err != nil || !strings.Contains(string(said), match) {
			t.Errorf("as text %t: fail2ban-regex does not say %q: %v\n%s", asText, match, err, said)
		}
	}
}

// TestTheSecurityEventsAreDocumented names each one.
func TestTheSecurityEventsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/security-events.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../../internal/auth/event.go")
	if err != nil {
		t.Fatal(err)
	}
	known := strings.Join(alarm.Actions(), " ") + " "
	for _, name := range alarm.Actions() {
		if !strings.HasSuffix(name, ".ok") && !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/security-events.md lacks %s", name)
		}
	}
	for _, kind := range regexp.MustCompile(`EventKind = "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1) {
		if !strings.Contains(known, "."+kind[1]+" ") {
			t.Errorf("the event %s is in none of the lists of internal/auth", kind[1])
		}
	}
}
