package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// A repairCommand is one call of "avtotpy migrate repair", with its flags.
type repairCommand struct {
	program
	json, yes *bool
	at        *int
}

func (p program) bindRepair(flags *flag.FlagSet) action {
	c := &repairCommand{program: p, json: jsonFlag(flags)}
	c.yes = flags.Bool("yes", false, "write what it otherwise only prints")
	c.at = flags.Int("at", 0, "the `VERSION` that the schema is at, where nothing else tells")
	return func(ctx context.Context, _ []string) error { return p.inspect(ctx, *c.json, c.repair) }
}

func (c *repairCommand) repair(ctx context.Context, l inspection) error {
	if !l.privileged {
		return &settingsError{errors.New("POSTGRES_MIGRATOR_CONNECTION_STR: is not set, and the web server's role " +
			"can neither see nor write all that a repair needs")}
	}
	repair, err := l.Repair(ctx, l.conn, migrate.RepairOptions{Write: *c.yes, Version: *c.at})
	if refusal, ok := errors.AsType[*migrate.UnrepairableError](err); ok && len(refusal.Candidates) > 0 {
		version := "VERSION"
		if len(refusal.Candidates) == 1 {
			version = strconv.Itoa(refusal.Candidates[0])
		}
		err = fmt.Errorf("%w: %q", err, "avtotpy migrate repair --at="+version)
	}
	if *c.json && (err == nil || is[*migrate.UnrepairableError](err)) {
		if err := c.writeJSON(repair, err); err != nil {
			return err
		}
		return printed(err)
	}
	if err != nil {
		return err
	}
	return c.writeText(repair)
}

// repairDocument is the form for machines; docs/cli.md documents the names.
type repairDocument struct {
	Schema  string `json:"schema"`
	Version int    `json:"version"`
	Proof   string `json:"proof,omitempty"`
	Needed  bool   `json:"needed"`
	Written bool   `json:"written"`
	Table   bool   `json:"table"`

	Damage  []snapshot.Difference `json:"damage,omitempty"`
	Gone    []snapshot.Difference `json:"gone,omitempty"`
	Rows    []repairRow           `json:"rows"`
	Label   bool                  `json:"label"`
	Comment string                `json:"comment,omitempty"`
	Error   string                `json:"error,omitempty"`
}

type repairRow struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
	What    string `json:"what"`
	Removed bool   `json:"removed"`
}

func (c *repairCommand) writeJSON(r migrate.Repair, why error) error {
	document := repairDocument{
		Schema: schema.Name, Version: r.Version, Proof: r.Proof, Needed: r.Needed(), Written: r.Written,
		Table: r.Table, Damage: r.Damage, Gone: r.Gone, Rows: []repairRow{}, Label: r.Label && !r.Table,
		Comment: r.Comment, Error: text(why),
	}
	for _, row := range r.Rows {
		document.Rows = append(document.Rows, repairRow(row))
	}
	return encode(c.stdout, document)
}

func (c *repairCommand) writeText(r migrate.Repair) error {
	paint := painter(c.stdout, c.environ)
	var b strings.Builder
	fmt.Fprintf(&b, "schema %s  version %d\n%s", schema.Name, r.Version, fold("Proof: "+r.Proof+"."))
	if r.Needed() {
		first, rest, _ := strings.Cut(columns(repairLines(r)), "\n")
		b.WriteString("\n" + first + "\n")
		for _, d := range r.Damage { // of the table, which comes first
			fmt.Fprintf(&b, "         %s\n", printable(strings.TrimPrefix(d.String(), "table migrations: ")))
		}
		for _, d := range r.Gone {
			fmt.Fprintf(&b, "         what goes with it: %s\n", printable(d.Line))
		}
		b.WriteString(rest)
	}
	switch {
	case !r.Needed():
		b.WriteString("\nLedger and comment are as they should be: nothing to repair.\n")
	case r.Written:
		b.WriteString("\n" + paint(green, "Repaired.") + " \"avtotpy migrate verify\" proves it.\n")
	default:
		b.WriteString("\n" + paint(bold, "Nothing was written yet.") + " \"avtotpy migrate repair --yes\" does it.\n")
	}
	_, err := io.WriteString(c.stdout, b.String())
	return err
}

// repairLines is one line for each thing that is written.
func repairLines(r migrate.Repair) [][]string {
	var lines [][]string
	switch table := "the table " + schema.Name + ".migrations"; {
	case r.Table && len(r.Damage) == 0:
		lines = append(lines, []string{"create", table, "it is missing"})
	case r.Table:
		lines = append(lines, []string{
			"replace", table,
			"it is damaged; rows that are right and others' privileges are kept",
		})
	}
	for _, row := range r.Rows {
		verb := "write"
		if row.Removed {
			verb = "remove"
		}
		lines = append(lines, []string{verb, fmt.Sprintf("%04d %s", row.Version, row.Name), row.What})
	}
	if r.Label && !r.Table {
		lines = append(lines, []string{"write", "the ledger's own comment", "it is missing or says something else"})
	}
	if r.Comment != "" {
		lines = append(lines, []string{"write", "the schema's comment", "it is missing or says something else"})
	}
	return lines
}
