// Command benchmarks measures a start with our migrator against other migration tools and
// against what PostgreSQL itself can do, on the same SQL and the same server, which it starts
// itself. It needs a PostgreSQL's programs, psql, Go, and Linux for /proc.
//
// The numbers go to standard output, and with -o to a folder as RESULTS.md and plot.svg.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	full := flag.Bool("full", false, "the sizes of the targets, in up to 20 minutes; otherwise smaller ones, in 2")
	folder := flag.String("o", "", "folder for RESULTS.md and plot.svg")
	only := flag.String("only", "", "comma-separated cases, for work on one of them: "+
		strings.Join((&bench{}).caseNames(), ", "))
	settings := flag.String("set", "", "comma-separated settings of the server, for work on one of them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{form: shortForm(), log: os.Stderr, tools: tools(), migrated: map[int][]*database{}}
	if *full {
		b.form = fullForm()
	}
	if err := b.run(ctx, list(*only), list(*settings), *folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
	}
}

func list(s string) []string {
	return slices.DeleteFunc(strings.Split(s, ","), func(s string) bool { return s == "" })
}

func (b *bench) run(ctx context.Context, only, settings []string, folder string) (err error) {
	start := time.Now()
	b.report = &report{form: b.form}
	dir, err := os.MkdirTemp("", "avtotpy-benchmark-programs-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if b.server, err = startServer(ctx, settings); err != nil {
		return err
	}
	defer b.server.stop()
	if b.programs, err = buildPrograms(ctx, dir, b.server.bin); err != nil {
		return err
	}
	if b.far, err = startRelay(ctx, b.server.address(), roundTrip); err != nil {
		return err
	}
	defer b.far.close()
	b.report.facts = b.facts(ctx)
	for _, c := range b.cases() {
		if len(only) > 0 && !slices.Contains(only, c.name) {
			continue
		}
		if time.Since(start) > b.form.limit {
			b.report.section("Not run: "+c.name, "The time was over; the machine is busy or slow.", "")
			continue
		}
		if err := c.run(ctx); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", c.name, err), context.Cause(ctx))
		}
	}
	fmt.Print(b.report.markdown())
	if folder == "" {
		return nil
	}
	text, plot := filepath.Join(folder, "RESULTS.md"), filepath.Join(folder, "plot.svg")
	return errors.Join(os.MkdirAll(folder, 0o755), //nolint:gosec // to be read by all
		os.WriteFile(text, []byte(b.report.markdown()), 0o644), //nolint:gosec // to be read by all
		os.WriteFile(plot, []byte(b.report.svg()), 0o644))      //nolint:gosec // to be read by all
}
