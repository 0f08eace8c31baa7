package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// programs are what is measured as processes of their own.
type programs struct {
	avtotpy, upper, bare string // files
	psql                 string
}

// buildPrograms builds them into a folder, as releases are built.
func buildPrograms(ctx context.Context, dir, bin string) (programs, error) {
	p := programs{
		filepath.Join(dir, "avtotpy"), filepath.Join(dir, "upper"), filepath.Join(dir, "bare"),
		filepath.Join(bin, "psql"),
	}
	if _, err := os.Stat(p.psql); err != nil { // a server without its client
		if p.psql, err = exec.LookPath("psql"); err != nil {
			return p, fmt.Errorf("the large file is compared with psql, which is not there: %w", err)
		}
	}
	for _, build := range [][]string{
		{"..", p.avtotpy, "./cmd/avtotpy"},
		{".", p.upper, "./upper"},
		{".", p.bare, "./bare"},
	} {
		arguments := []string{"build", "-trimpath", "-o", build[1], build[2]}
		command := exec.CommandContext(ctx, "go", arguments...) //nolint:gosec // our own
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

// childrenOf lists the processes that a process has started.
func childrenOf(pid int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	var children []int
	for field := range strings.FieldsSeq(string(text)) {
		child, parseErr := strconv.Atoi(field)
		err = errors.Join(err, parseErr)
		children = append(children, child)
	}
	return children, err
}

// processorTimes are what processes have used of the processors so far. Those that have ended are left out.
func processorTimes(pids []int) (map[int]time.Duration, error) {
	const tick = 10 * time.Millisecond // that of Linux's /proc, on every machine
	times := map[int]time.Duration{}
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		const user, system = 11, 12 // after the name, which may hold spaces
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		for _, field := range []int{user, system} {
			ticks, err := strconv.Atoi(fields[field])
			if err != nil {
				return nil, err
			}
			times[pid] += time.Duration(ticks) * tick
		}
	}
	return times, nil
}
