package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// facts say on what the numbers were measured.
func (b *bench) facts(ctx context.Context) [][2]string {
	versions := []string{}
	for _, t := range b.tools {
		if t.module != "" {
			versions = append(versions, t.name+" "+versionOf(t.module))
		}
	}
	return [][2]string{
		{"date", time.Now().UTC().Format("2 January 2006, 15:04 UTC")},
		{"AVTotpy", commit(ctx)},
		{"peers", strings.Join(versions, ", ") + ", all with pgx " + versionOf("github.com/jackc/pgx/v5")},
		{"server", b.server.version(ctx) + ", its own settings (fsync and synchronous_commit on), over TCP on the " +
			"loopback, logins by SCRAM"},
		{"machine", fmt.Sprintf("%d cores%s, %s/%s, %s", runtime.NumCPU(), model(), runtime.GOOS, runtime.GOARCH,
			runtime.Version())},
		{"load before", firstWords("/proc/loadavg", 3)},
	}
}

func commit(ctx context.Context) string {
	output, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=10").Output()
	if err != nil {
		return "not a git checkout"
	}
	return strings.TrimSpace(string(output))
}

func model() string {
	info, _ := os.ReadFile("/proc/cpuinfo") // not on every system
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return " (" + strings.TrimSpace(value) + ")"
		}
	}
	return ""
}

func firstWords(file string, n int) string {
	content, _ := os.ReadFile(file) //nolint:gosec // not on every system
	words := strings.Fields(string(content))
	return strings.Join(words[:min(n, len(words))], " ")
}
