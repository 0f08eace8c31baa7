package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// programs are what is measured as processes of their own.
type programs struct {
	avtotpy, upper, bare string // files
	psql                 string
}

// buildPrograms builds them into a folder, as releases are built.
func buildPrograms(ctx context.Context, dir, bin string) (programs, error) {
	p := programs{filepath.Join(dir, "avtotpy"), filepath.Join(dir, "upper"), filepath.Join(dir, "bare"), filepath.Join(bin, "psql")}
	if _, err := os.Stat(p.psql); err != nil { // a server without its client
		if p.psql, err = exec.LookPath("psql"); err != nil {
			return p, fmt.Errorf("the large file is compared with psql, which is not there: %w", err)
		}
	}
	for _, build := range [][]string{{"..", p.avtotpy, "./cmd/avtotpy"}, {".", p.upper, "./upper"}, {".", p.bare, "./bare"}} {
		command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", build[1], build[2]) //nolint:gosec // our own
		command.Dir, command.Env = build[0], append(os.Environ(), "CGO_ENABLED=0")
		if output, err := command.CombinedOutput(); err != nil {
			return p, fmt.Errorf("build %s: %w\n%s", build[2], err, output)
		}
	}
	return p, nil
}

// peakMemory reads VmHWM, in bytes, from what /proc says of a process. The system's own account
// of a child (ru_maxrss) would count what this process held when it started the child.
func peakMemory(status string) (int64, error) {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kB int64
			_, err := fmt.Sscanf(rest, "%d kB", &kB)
			return kB << 10, err
		}
	}
	return 0, fmt.Errorf("no VmHWM in %q", status)
}

func peakOf(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return peakMemory(string(status))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
