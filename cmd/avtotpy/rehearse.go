package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// A rehearseCommand is one call of "avtotpy migrate rehearse", with its flags.
type rehearseCommand struct {
	program
	json, withData, yes *bool
}

func (p program) bindRehearse(flags *flag.FlagSet) action {
	c := &rehearseCommand{program: p, json: jsonFlag(flags)}
	c.withData = flags.Bool("with-data", false, "on this database itself, rolled back: for a restored copy")
	c.yes = flags.Bool("yes", false, "with data although other clients are connected")
	return func(ctx context.Context, _ []string) error { return p.inspect(ctx, *c.json, c.rehearse) }
}

// rehearse prints what the pending files do where it does no harm.
func (c *rehearseCommand) rehearse(ctx context.Context, l inspection) error {
	if !l.privileged {
		return &settingsError{errors.New("POSTGRES_MIGRATOR_CONNECTION_STR is not set, but a rehearsal does what a " +
			"migration does, over the same connection; " +
			"for example POSTGRES_MIGRATOR_CONNECTION_STR=" +
			"postgres://avtotpy_migrator:password@db.example.com:5432/avtotpy")}
	}
	report, err := l.Rehearse(ctx, l.conn, migrate.RehearseOptions{WithData: *c.withData, Yes: *c.yes})
	if is[*migrate.OthersConnectedError](err) {
		err = fmt.Errorf("%w: --yes", err)
	}
	looked := report.Status.Target > 0
	reached := len(report.Files) > 0 || is[*migrate.MigrationError](err)
	if err != nil && (!looked || !reached && !*c.json) { // there is nothing to report
		return err
	}
	write := c.writeText
	if *c.json {
		write = c.writeJSON
	}
	if err := write(report, err); err != nil {
		return err
	}
	if err != nil {
		return printed(err)
	}
	return printed(report.Err())
}

// rehearsalDocument is the form for machines; docs/cli.md documents the names.
type rehearsalDocument struct {
	Schema   string                `json:"schema"`
	State    migrate.State         `json:"state"`
	Version  int                   `json:"version"`
	Target   int                   `json:"target"`
	WithData bool                  `json:"with_data"`
	Clients  int                   `json:"clients"`
	Files    []rehearsedFile       `json:"files"`
	Drift    []snapshot.Difference `json:"drift"`
	Role     string                `json:"role,omitempty"`
	Findings []privilege.Finding   `json:"findings"`
	Unproved string                `json:"unproved,omitempty"`
	Seconds  float64               `json:"seconds"`
	Error    string                `json:"error,omitempty"`
}

type rehearsedFile struct {
	Version   int             `json:"version"`
	Name      string          `json:"name"`
	File      string          `json:"file"`
	Left      string          `json:"left_out,omitempty"`
	Seconds   float64         `json:"seconds"`
	WAL       int64           `json:"wal_bytes"`
	Locks     []rehearsedLock `json:"locks"`
	Rewritten []string        `json:"rewritten"`
}

type rehearsedLock struct {
	Kind         string `json:"kind"`
	Relation     string `json:"relation"`
	Mode         string `json:"mode"`
	BlocksReads  bool   `json:"blocks_reads"`
	BlocksWrites bool   `json:"blocks_writes"`
	Earlier      bool   `json:"earlier_file"`
}

func (c *rehearseCommand) writeJSON(r migrate.Rehearsal, failed error) error {
	document := rehearsalDocument{
		Schema: schema.Name, State: r.Status.State, Version: r.Status.Version, Target: r.Status.Target,
		WithData: *c.withData, Clients: r.Clients,
		Files: []rehearsedFile{}, Drift: append([]snapshot.Difference{}, r.Drift...), Findings: []privilege.Finding{},
		Unproved: r.Unproved,
		Seconds:  r.Elapsed.Round(time.Microsecond).Seconds(), Error: text(errors.Join(failed, r.Err())),
	}
	if r.Audit != nil {
		document.Role, document.Findings = r.Audit.Role, append(document.Findings, r.Audit.Findings...)
	}
	for _, f := range r.Files {
		file := rehearsedFile{
			f.Version, f.Name, f.File, f.Left, f.Elapsed.Round(time.Microsecond).Seconds(), f.WAL,
			[]rehearsedLock{},
			append([]string{}, f.Rewritten...),
		}
		for _, lock := range f.Locks {
			file.Locks = append(file.Locks, rehearsedLock{
				lock.Kind, lock.Relation, lock.Mode, lock.BlocksReads(),
				lock.BlocksWrites(), lock.Earlier,
			})
		}
		document.Files = append(document.Files, file)
	}
	return encode(c.stdout, document)
}

func (c *rehearseCommand) writeText(r migrate.Rehearsal, failed error) error {
	paint := painter(c.stdout, c.environ)
	var b strings.Builder
	writeState(&b, r.Status, paint)
	if len(r.Files) > 0 {
		b.WriteString("\n")
		writeFiles(&b, r.Files, paint)
	}
	if failed != nil {
		fmt.Fprintf(&b, "\n%s %s\n", paint(red, "FAILED"), failed)
	} else {
		writeProofs(&b, r, *c.withData, paint)
	}
	b.WriteString("\n" + fold(verdict(r, failed, *c.withData)))
	_, err := io.WriteString(c.stdout, b.String())
	return err
}

// writeFiles lists each file as one row, and below it what it locks and rewrites.
func writeFiles(b *strings.Builder, files []migrate.Rehearsed, paint func(colour, string) string) {
	table := [][]string{{"VERSION", "NAME", "TOOK", "WAL"}}
	for _, f := range files {
		row := []string{fmt.Sprintf("%04d", f.Version), f.Name, brief(f.Elapsed), size(f.WAL)}
		if f.Left != "" {
			row = []string{row[0], f.Name, "left out", ""}
		}
		table = append(table, row)
	}
	const tookColumn, walColumn = 2, 3
	rows := strings.SplitAfter(columns(table, tookColumn, walColumn), "\n")
	b.WriteString(paint(bold, strings.TrimSuffix(rows[0], "\n")) + "\n")
	for i, f := range files {
		b.WriteString(rows[i+1])
		writeFootprint(b, f, paint)
	}
}

func writeFootprint(b *strings.Builder, f migrate.Rehearsed, paint func(colour, string) string) {
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
		mode := lock.Mode
		if lock.Earlier {
			mode += ", since a file before"
		}
		line(c, "locks", fmt.Sprintf("%s %s: %s (%s)", lock.Kind, lock.Relation, lock.Blocks(), mode))
	}
	switch {
	case f.Left != "":
		fmt.Fprintf(b, "         %s\n", f.Left)
	case f.Alone && len(f.Locks) > 0:
		b.WriteString("         runs without a transaction; what it locks later could not be seen\n")
	case f.Alone:
		b.WriteString("         runs without a transaction, so its locks were gone before they could be seen\n")
	}
}

// writeProofs says what else was compared.
func writeProofs(b *strings.Builder, r migrate.Rehearsal, withData bool, paint func(colour, string) string) {
	if r.Status.State == migrate.AheadCompatible {
		return
	}
	b.WriteString("\n")
	switch {
	case withData:
	case len(r.Drift) > 0:
		for _, d := range r.Drift {
			fmt.Fprintf(b, "%s %s\n", paint(red, "DRIFT  "), printable(d.String()))
		}
	case r.Status.Version > 0:
		b.WriteString("The schema is as its migrations make it.\n")
	}
	switch {
	case r.Unproved != "":
		b.WriteString(fold("The web server's privileges were not proved: " + r.Unproved + "."))
	case r.Audit != nil && len(r.Audit.Findings) == 0:
		fmt.Fprintf(b, "The role %s would hold exactly the declared privileges.\n", printable(r.Audit.Role))
	case r.Audit != nil:
		fmt.Fprintf(b, "The role %s would not hold exactly the declared privileges:\n", printable(r.Audit.Role))
		for _, f := range r.Audit.Findings {
			fmt.Fprintf(b, "  %s %s\n          %s;\n",
				paint(severityColour(f.Severity), fmt.Sprintf("%-7s", f.Severity)), f.What,
				strings.ReplaceAll(f.SQL, "\n", "\n          "))
		}
	}
}

// verdict is the last sentence.
func verdict(r migrate.Rehearsal, failed error, withData bool) string {
	where := "Rehearsed on a scratch database, which is gone again"
	if withData {
		where = "Rehearsed with the data in one transaction, which was rolled back"
	}
	where += fmt.Sprintf(", in %s. ", brief(r.Elapsed))
	switch {
	case r.Status.State == migrate.AheadCompatible:
		return "Nothing to rehearse: a newer program migrated this database, and its files are not in this one."
	case failed != nil:
		return where + "It ended at the failure."
	case r.Refusal != nil:
		return where + "A start would refuse: " + r.Refusal.Error()
	case r.Audit != nil && r.Audit.Err() != nil:
		return where + "A start would stop, because privileges differ from the declared ones and it may not fix them."
	case len(r.Drift) > 0:
		return where + "The files can be applied, but somebody changed the schema by hand: undo that, or write a " +
			"migration that does the same."
	case len(r.Files) == 0:
		return where + "No file is pending."
	}
	left := 0
	for _, f := range r.Files {
		if f.Left != "" {
			left++
		}
	}
	switch {
	case left == len(r.Files):
		return where + "No pending file could be rehearsed like this; rehearse without the data, too."
	case left > 0:
		where += strings.TrimSpace(count(left, "file")) + " left out. "
	}
	return where + strings.TrimSpace(count(len(r.Files)-left, "pending file")) + " can be applied."
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
