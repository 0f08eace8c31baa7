package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestArrowsPointOneWay holds each package to what it may depend on, however
// indirectly; the sketch is in docs/architecture.md.
func TestArrowsPointOneWay(t *testing.T) {
	t.Parallel()
	const module = "github.com/avtotpy/avtotpy/"
	for pkg, allowed := range map[string][]string{
		"migrate": {
			"migrate/bundle", "migrate/connstring", "migrate/privilege", "migrate/redact", "migrate/snapshot",
			"migrate/internal/", "github.com/jackc/",
		},
		"migrate/rehearse": {
			"migrate", "github.com/jackc/",
		},
		"migrate/connstring": {"github.com/jackc/"},
		"migrate/redact":     {"github.com/jackc/"},
		"migrate/bundle":     {"migrate/internal/setting", "migrate/internal/sqltext"},
		"migrate/review": {
			"migrate/bundle", "migrate/internal/setting", "migrate/internal/sqltext",
		},
		"migrate/internal/pg": {"migrate/internal/sqltext", "migrate/redact", "github.com/jackc/"},
		"migrate/privilege": {
			"migrate/bundle", "migrate/snapshot", "migrate/internal/ledger", "migrate/internal/pg",
			"migrate/internal/setting", "migrate/internal/sqltext", "migrate/redact", "github.com/jackc/",
		},
		"migrate/internal/ledger": {
			"migrate/bundle", "migrate/snapshot", "migrate/internal/pg", "migrate/internal/setting",
			"migrate/internal/sqltext", "migrate/redact", "github.com/jackc/",
		},
		"migrate/internal/setting": {},
		"migrate/internal/sqltext": {},
		"migrate/snapshot":         {"migrate/internal/sqltext"},
		"internal/otp":             {"internal/problem"},
		"internal/transfer":        {"internal/otp", "internal/problem"},
		"internal/osuser":          {"golang.org/x/sys/"},
		"internal/sqlstate":        {"github.com/jackc/"},
		"internal/owned":           {"internal/osuser", "golang.org/x/sys/"},
		"internal/config": {
			"internal/osuser", "internal/owned", "migrate/connstring", "github.com/jackc/",
			"golang.org/x/sys/",
		},
		"internal/keyring": {},
		"internal/schema":  {"migrate", "github.com/jackc/"},
		"internal/localpg": {
			"internal/osuser", "internal/owned", "internal/sqlstate", "github.com/jackc/", "golang.org/x/sys/",
		},
		"internal/backup": {
			"internal/localpg", "internal/osuser", "internal/owned", "internal/sqlstate", "migrate/connstring",
			"github.com/jackc/", "golang.org/x/sys/",
		},
		"internal/access":   {},
		"internal/database": {"internal/sqlstate", "migrate/connstring", "github.com/jackc/"},
		"internal/problem":  {},
		"internal/store": {
			"internal/access", "internal/database", "internal/keyring", "internal/otp", "internal/problem",
			"internal/sqlstate", "migrate/connstring",
			"github.com/jackc/", "github.com/google/uuid",
		},
		"internal/auth": {
			"internal/access", "internal/database", "internal/keyring", "internal/otp", "internal/problem",
			"internal/sqlstate", "internal/store",
			"migrate/connstring", "github.com/jackc/", "github.com/google/uuid", "golang.org/x/",
		},
	} {
		for _, dep := range dependencies(t, module+pkg) {
			dep = strings.TrimPrefix(dep, module)
			fine := dep == pkg || slices.ContainsFunc(allowed,
				func(prefix string) bool { return strings.HasPrefix(dep, prefix) }) ||
				slices.Contains(allowed, "github.com/jackc/") && ofPgx(dep)
			if !fine {
				t.Errorf("%s depends on %s; it may depend on the standard library and %v", pkg, dep, allowed)
			}
		}
	}
	for _, dep := range dependencies(t, module+"internal/observe") {
		for _, forbidden := range []string{
			"cmd/", "internal/config", "internal/schema", "internal/web", "internal/localpg",
			"internal/pgtest",
		} {
			if strings.HasPrefix(strings.TrimPrefix(dep, module), forbidden) {
				t.Errorf("internal/observe depends on %s", dep)
			}
		}
	}
	for _, dep := range dependencies(t, module+"cmd/avtotpy") {
		for _, forTests := range []string{"migrate/review", "internal/pgtest"} {
			if strings.TrimPrefix(dep, module) == forTests {
				t.Errorf("the program depends on %s, which is for tests", forTests)
			}
		}
	}
	for _, dep := range dependencies(t, module+"internal/web") {
		for _, forbidden := range []string{
			"migrate", "internal/schema", "internal/config", "internal/localpg", "internal/observe",
			"internal/pgtest",
		} {
			if strings.TrimPrefix(dep, module) == forbidden {
				t.Errorf("internal/web depends on %s", forbidden)
			}
		}
	}
}

// ofPgx reports what pgx itself needs.
func ofPgx(dep string) bool {
	return strings.HasPrefix(dep, "golang.org/x/text/") || strings.HasPrefix(dep, "golang.org/x/sync/")
}

// dependencies lists what a package depends on outside the standard library.
func dependencies(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f",
		"{{if not .Standard}}{{.ImportPath}}{{end}}", pkg).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	deps := strings.Fields(string(out))
	if len(deps) == 0 {
		t.Fatalf("go list -deps %s lists nothing", pkg)
	}
	return deps
}
