package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
)

// A repairCommand is one call of "avtotpy migrate repair", with its flags.
type repairCommand struct {
	program
	json, yes *bool
}

func (p program) bindRepair(flags *flag.FlagSet) action {
	c := &repairCommand{program: p, json: jsonFlag(flags)}
	c.yes = flags.Bool("yes", false, "write what it otherwise only prints")
	return func(ctx context.Context, _ []string) error { return p.looking(ctx, c.repair) }
}

func (c *repairCommand) repair(ctx context.Context, l looker) error {
	if !l.privileged {
		return &settingsError{errors.New("POSTGRES_MIGRATOR_CONNECTION_STR: is not set, and the web server's role can neither see nor write all that a repair needs")}
	}
	repair, err := l.Repair(ctx, l.conn, *c.yes)
	if *c.json && (err == nil || is[*migrate.UnrepairableError](err)) {
		if err := c.writeJSON(repair, err); err != nil {
			return err
		}
		return told(err)
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

	Damage  []migrate.Drift `json:"damage,omitempty"`
	Rows    []repairRow     `json:"rows"`
	Comment string          `json:"comment,omitempty"`
	Error   string          `json:"error,omitempty"`
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
		Table: r.Table, Damage: r.Damage, Rows: []repairRow{}, Comment: r.Comment, Error: text(why),
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
		lines = append(lines, []string{"replace", table, "it is damaged; its rows and others' rights on it are kept"})
	}
	for _, row := range r.Rows {
		verb := "write"
		if row.Removed {
			verb = "remove"
		}
		lines = append(lines, []string{verb, fmt.Sprintf("%04d %s", row.Version, row.Name), row.What})
	}
	if r.Comment != "" {
		lines = append(lines, []string{"write", "the schema's comment", "it is missing or says something else"})
	}
	return lines
}
