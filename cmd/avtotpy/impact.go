package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/rehearse"
)

func (p program) bindMigrate(flags *flag.FlagSet) action {
	impact := flags.Bool("impact", false, "report what each file locked, rewrote and cost: on a restored copy")
	asJSON := flags.Bool("json", false, "with --impact: one JSON object, for machines")
	return func(ctx context.Context, _ []string) error {
		switch {
		case *impact:
			return p.asObject(*asJSON, p.migrateWithImpact(ctx, *asJSON))
		case *asJSON:
			c, _ := p.find(p.args)
			return p.usageError(c, "--json is the form of the report of --impact")
		}
		return p.start(ctx, config.RunAndExit)
	}
}

// migrateWithImpact migrates, and prints what each file did.
func (p program) migrateWithImpact(ctx context.Context, asJSON bool) error {
	o, ctx, err := p.open(ctx, opening{settings: config.RunAndExit, observed: true})
	if err != nil {
		return err
	}
	defer o.Close()
	o.migrator.Probe = rehearse.Probe(schema.Name)
	report, err := o.migrate(ctx)
	files := rehearse.Files(o.migrator.Bundle, report.Applied)
	if err != nil && len(files) == 0 && !is[*migrate.MigrationError](err) { // there is nothing to report
		return err
	}
	write := p.writeImpact
	if asJSON {
		write = p.writeImpactJSON
	}
	if err := write(report, files, err); err != nil {
		return err
	}
	return printed(err)
}

// impactDocument is the form for machines; docs/cli.md documents the names.
type impactDocument struct {
	Schema  string         `json:"schema"`
	State   migrate.State  `json:"state"`
	From    int            `json:"from"`
	To      int            `json:"to"`
	Files   []measuredFile `json:"files"`
	Seconds float64        `json:"seconds"`
	Error   string         `json:"error,omitempty"`
}

type measuredFile struct {
	Version    int            `json:"version"`
	Name       string         `json:"name"`
	File       string         `json:"file"`
	Seconds    float64        `json:"seconds"`
	WAL        int64          `json:"wal_bytes"`
	Locks      []measuredLock `json:"locks"`
	Rewritten  []string       `json:"rewritten"`
	Unmeasured bool           `json:"unmeasured,omitempty"`
}

type measuredLock struct {
	Kind         string `json:"kind"`
	Relation     string `json:"relation"`
	Mode         string `json:"mode"`
	BlocksReads  bool   `json:"blocks_reads"`
	BlocksWrites bool   `json:"blocks_writes"`
}

func measuredFiles(files []rehearse.File) []measuredFile {
	measured := make([]measuredFile, len(files))
	for i, f := range files {
		measured[i] = measuredFile{
			Version: f.Version, Name: f.Name, File: f.File, Seconds: f.Elapsed.Round(time.Microsecond).Seconds(),
			WAL: f.WAL, Locks: []measuredLock{}, Rewritten: append([]string{}, f.Rewritten...), Unmeasured: f.Unmeasured,
		}
		for _, lock := range f.Locks {
			measured[i].Locks = append(measured[i].Locks, measuredLock{
				lock.Kind, lock.Relation, lock.Mode, lock.BlocksReads(), lock.BlocksWrites(),
			})
		}
	}
	return measured
}

func (p program) writeImpactJSON(r migrate.Report, files []rehearse.File, failed error) error {
	return encode(p.stdout, impactDocument{
		Schema: schema.Name, State: r.State, From: r.From, To: r.To, Files: measuredFiles(files),
		Seconds: r.Elapsed.Round(time.Microsecond).Seconds(), Error: text(failed),
	})
}

func (p program) writeImpact(r migrate.Report, files []rehearse.File, failed error) error {
	paint := painter(p.stdout, p.environ)
	var b strings.Builder
	fmt.Fprintf(&b, "schema %s  was %s, version %d; is at version %d\n", schema.Name,
		paint(stateColour(r.State), r.State.String()), r.From, r.To)
	if len(files) > 0 {
		b.WriteString("\n")
		writeFiles(&b, files, paint)
	}
	verdict := "Nothing was pending."
	switch {
	case failed != nil:
		fmt.Fprintf(&b, "\n%s %s\n", paint(red, "FAILED"), failed)
		verdict = fmt.Sprintf("Migrated in %s. It ended at the failure.", brief(r.Elapsed))
	case len(files) > 0:
		verdict = fmt.Sprintf("Migrated in %s. %s applied.", brief(r.Elapsed),
			strings.TrimSpace(count(len(files), "pending file")))
	}
	b.WriteString("\n" + fold(verdict))
	_, err := io.WriteString(p.stdout, b.String())
	return err
}

// writeFiles lists each file as one row, and below it what it locks and rewrites.
func writeFiles(b *strings.Builder, files []rehearse.File, paint func(colour, string) string) {
	table := [][]string{{"VERSION", "NAME", "TOOK", "WAL"}}
	for _, f := range files {
		table = append(table, []string{fmt.Sprintf("%04d", f.Version), f.Name, brief(f.Elapsed), size(f.WAL)})
	}
	const tookColumn, walColumn = 2, 3
	rows := strings.SplitAfter(columns(table, tookColumn, walColumn), "\n")
	b.WriteString(paint(bold, strings.TrimSuffix(rows[0], "\n")) + "\n")
	for i, f := range files {
		b.WriteString(rows[i+1])
		writeFile(b, f, paint)
	}
}

func writeFile(b *strings.Builder, f rehearse.File, paint func(colour, string) string) {
	line := func(c colour, key, rest string) { fmt.Fprintf(b, "         %s %s\n", paint(c, key), printable(rest)) }
	for _, table := range f.Rewritten {
		line(red, "rewrites", table+": the larger it is, the longer its locks last")
	}
	for _, lock := range f.Locks {
		c := green
		switch {
		case lock.BlocksReads():
			c = red
		case lock.BlocksWrites():
			c = yellow
		}
		line(c, "locks", fmt.Sprintf("%s %s: %s (%s)", lock.Kind, lock.Relation, lock.Blocks(), lock.Mode))
	}
	switch {
	case f.Unmeasured:
		b.WriteString("         could not be measured; the log says why\n")
	case f.NoTransaction:
		b.WriteString("         runs without a transaction; its locks are those that PostgreSQL documents\n")
	}
}

// size is a number of bytes for people.
func size(bytes int64) string {
	const unit = 1024
	switch {
	case bytes >= unit*unit*unit:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(unit*unit*unit))
	case bytes >= unit*unit:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(unit*unit))
	case bytes >= unit:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/unit)
	}
	return fmt.Sprintf("%d B", bytes)
}
