package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// TestTheMetricsAreDocumented: each one in a line of the page with the words that
// /metrics says, and no line about one that is not there.
func TestTheMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	h := newHealth("test") // of which everything is known
	h.schema(1, 2)
	h.Migrated(Migration{})
	h.audited(privilege.Audit{})
	h.compared(0)
	h.ClockAhead(0)
	families, err := h.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "avtotpy_") {
			continue // of the runtime and the process
		}
		names = append(names, f.GetName())
		labels := ""
		for _, pair := range f.GetMetric()[0].GetLabel() {
			labels = "{" + pair.GetName() + "}"
		}
		if line := fmt.Sprintf("| `%s%s` | %s | %s |\n", f.GetName(), labels, strings.ToLower(f.GetType().String()),
			f.GetHelp()); !strings.Contains(string(page), line) {
			t.Errorf("docs/monitoring.md lacks the line\n%s", line)
		}
	}
	for _, match := range regexp.MustCompile("(?m)^\\| `(avtotpy_\\w+)").FindAllStringSubmatch(string(page), -1) {
		if !slices.Contains(names, match[1]) {
			t.Errorf("docs/monitoring.md explains %s, which is not exported", match[1])
		}
	}
}

// ask gets /readyz, for a person or for a program.
func ask(t *testing.T, h *health, accept string) (status int, body string) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil)
	request.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	h.routes().ServeHTTP(w, request)
	return w.Code, w.Body.String()
}

func TestReadinessIsForPeopleAndForPrograms(t *testing.T) {
	t.Parallel()
	h := newHealth("test")
	if status, body := ask(t, h, ""); status != http.StatusServiceUnavailable ||
		!strings.HasPrefix(body, "not ready\nphase:      starting\nsince:      20") {
		t.Errorf("before anything else: %d %s", status, body)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	h.migrating(migrate.Progress{
		Phase: migrate.Applying, Since: at, Looked: true, Version: 11, Target: 14, File: "0012_add_tags.sql",
		Number: 2, Of: 4, WaitsFor: "Lock relation of avtotpy.users",
		Blocker: &migrate.Blocker{PID: 7, Application: "psql", State: "idle in transaction", Since: at},
		Index:   &migrate.IndexBuild{Phase: "building index", BlocksDone: 1, BlocksTotal: 3},
	})
	_, body := ask(t, h, "*/*")
	if want := "schema:     version 11 of 14\nfile:       0012_add_tags.sql, 2 of 4\nwaits for:  Lock relation of " +
		"avtotpy.users\n" +
		"blocked by: psql (pid 7), idle in transaction since 2026-01-02T03:04:05Z\nindex:      building index, 1 of " +
		"3 blocks\n"; !strings.HasSuffix(body, want) {
		t.Errorf("got\n%s\nwant at the end\n%s", body, want)
	}
	status, body := ask(t, h, "application/json")
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusServiceUnavailable {
		t.Fatalf("%d, %v: %s", status, err, body)
	}
	blocker, _ := got["blocker"].(map[string]any)
	if got["ready"] != false || got["phase"] != "applying" || got["file"] != "0012_add_tags.sql" ||
		got["schema_version"] != 11.0 || blocker["application"] != "psql" {
		t.Errorf("got %s", body)
	}
	var unfit error
	warning := ""
	h.serving(func(context.Context) (string, error) { return warning, unfit })
	if status, body := ask(t, h, ""); status != http.StatusOK || body != "ready\n" {
		t.Errorf("serving and fit: %d %s", status, body)
	}
	warning = "the clocks differ"
	if status, body := ask(t, h, ""); status != http.StatusOK || body != "ready\nwarning: the clocks differ\n" {
		t.Errorf("serving with a warning: %d %s", status, body)
	}
	unfit = errors.New("the database does not answer")
	if status, body := ask(t, h, "application/json"); status != http.StatusServiceUnavailable ||
		!strings.Contains(body, `"reason": "the database does not answer"`) {
		t.Errorf("serving and unfit: %d %s", status, body)
	}
}

// TestFilesAreCountedWhileTheyAreApplied, and each once; a server that crashed may have lost some that are applied
// again.
func TestFilesAreCountedWhileTheyAreApplied(t *testing.T) {
	t.Parallel()
	h := newHealth("test")
	for _, step := range []struct{ reported, want int }{{0, 0}, {1, 1}, {1, 1}, {3, 3}, {2, 3}, {4, 4}} {
		h.migrating(migrate.Progress{
			Phase: migrate.Applying, Looked: true, Version: step.reported, Target: 5,
			Applied: step.reported,
		})
		h.checkApplied(t, step.want)
	}
	h.Migrated(Migration{Applied: 5})
	h.checkApplied(t, 5)
}

func (h *health) checkApplied(t *testing.T, want int) {
	t.Helper()
	w := httptest.NewRecorder()
	h.routes().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if line := fmt.Sprintf("\navtotpy_migrations_applied_total %d\n", want); !strings.Contains(w.Body.String(), line) {
		t.Errorf("/metrics lacks %q", line)
	}
}

func TestWhatAMigrationTookOutlivesTheHandOver(t *testing.T) {
	t.Parallel()
	report := migrate.Report{Applied: make([]migrate.Applied, 3), Elapsed: 1500 * time.Millisecond, Waited: time.Second}
	environ := MigrationOf(report).HandOver([]string{"PATH=/bin"})
	if got, ok := HandedOver(environ); !ok || got != (Migration{Applied: 3, Seconds: 1.5, Waited: 1}) {
		t.Errorf("got %+v, %v from %q", got, ok, environ)
	}
	for _, nonsense := range []string{"", "3", "{", `{"applied":-1}`, `{"applied":"x"}`} {
		if got, ok := HandedOver([]string{handedOverVariable + "=" + nonsense}); ok {
			t.Errorf("%q: got %+v, want that it is left aside", nonsense, got)
		}
	}
}

// TestALostLedgerTellsNoVersion: 0 would be that of a blank database, and all files would
// be pending.
func TestALostLedgerTellsNoVersion(t *testing.T) {
	t.Parallel()
	h := newHealth("test")
	h.serving(func(context.Context) (string, error) { return "", nil })
	versions := func() (names []string) {
		families, err := h.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if name := f.GetName(); name == "avtotpy_schema_version" || name == "avtotpy_migrations_pending" {
				names = append(names, name)
			}
		}
		return names
	}
	h.Inspected(migrate.Status{State: migrate.Current, Version: 11, Target: 11})
	if _, body := ask(t, h, "application/json"); len(versions()) != 2 ||
		!strings.Contains(body, `"state": "current"`) || !strings.Contains(body, `"schema_version": 11`) {
		t.Errorf("got %v and %s, want version 11", versions(), body)
	}
	h.Inspected(migrate.Status{State: migrate.LedgerLost, Target: 11})
	if _, body := ask(t, h, "application/json"); len(versions()) != 0 ||
		!strings.Contains(body, `"state": "ledger lost"`) || strings.Contains(body, "schema_version") {
		t.Errorf("got %v and %s, want no version", versions(), body)
	}
}
