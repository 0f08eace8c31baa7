package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// hotPaths runs the Go benchmarks of what every start and every request goes through.
func (b *bench) hotPaths(ctx context.Context) error {
	b.say("allocations")
	command := exec.CommandContext(ctx, "go", "test", "-run=^$", //nolint:gosec // our own
		"-bench=^BenchmarkHot", "-benchmem", "-benchtime="+b.form.hotTime.String(), "./migrate", "./internal/otp")
	command.Dir = ".."
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	s := b.report.section("Allocations of the hot paths",
		"Go benchmarks; `go test -bench=Hot -benchmem ./migrate ./internal/otp` runs them alone.", "", "time", "bytes",
		"allocations")
	for line := range strings.Lines(string(output)) {
		// BenchmarkHotLoad10000-2   20   53 ns/op   10 MB/s   99 B/op   3 allocs/op
		fields := strings.Fields(line)
		if len(fields) < 8 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		value := map[string]string{}
		for i := 3; i < len(fields); i += 2 {
			value[fields[i]] = fields[i-1]
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(fields[0], "BenchmarkHot"), "-")
		s.row(name, value["ns/op"]+" ns", value["B/op"], value["allocs/op"])
	}
	return nil
}
