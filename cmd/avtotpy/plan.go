package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
)

// A planCommand is one call of "avtotpy migrate plan", with its flags.
type planCommand struct {
	program
	json, sql *bool
}

func (p program) bindPlan(flags *flag.FlagSet) action {
	c := &planCommand{program: p, json: jsonFlag(flags)}
	c.sql = flags.Bool("sql", false, "with the SQL of each pending file")
	return func(ctx context.Context, _ []string) error { return p.inspect(ctx, *c.json, c.show) }
}

// show prints what a start would do, and does nothing of it.
func (c *planCommand) show(ctx context.Context, l inspection) error {
	plan, err := asked(ctx, l.Migrator, l.conn, l.Plan)
	if err != nil {
		return err
	}
	if pending := plan.Status.State == migrate.Blank || plan.Status.State == migrate.Behind; pending && !l.privileged {
		plan.Refusal = nil // it is about the web server's role, which will not migrate
	}
	if plan.Refusal == nil && l.privileged {
		plan.Refusal = c.settingsProblem()
	}
	write := c.writeText
	if *c.json {
		write = c.writeJSON
	}
	if err := write(plan, l); err != nil {
		return err
	}
	return printed(plan.Refusal)
}

// settingsProblem is why a start would refuse before it even connects: it needs more settings
// than a look, such as the password of the role that it creates.
func (c *planCommand) settingsProblem() error {
	if _, _, err := config.LoadFor(config.RunAndExit, c.environ); err != nil {
		return &settingsError{fmt.Errorf("the settings are not right:\n%w", err)}
	}
	return nil
}

// planDocument is the form for machines; docs/cli.md documents the names.
type planDocument struct {
	Schema       string        `json:"schema"`
	State        migrate.State `json:"state"`
	Version      int           `json:"version"`
	Target       int           `json:"target"`
	Privileged   bool          `json:"privileged"`
	CreateSchema bool          `json:"create_schema"`
	CreateRole   bool          `json:"create_role"`
	Role         string        `json:"role,omitempty"`
	Pending      []pendingFile `json:"pending"`
	Grant        []string      `json:"grant"`
	Revoke       []string      `json:"revoke"`
	Unjudged     []string      `json:"unjudged,omitempty"` // on a schema that is ahead
	Error        string        `json:"error,omitempty"`
}

func (c *planCommand) writeJSON(plan migrate.Plan, l inspection) error {
	document := planDocument{
		Schema: schema.Name, State: plan.Status.State, Version: plan.Status.Version, Target: plan.Status.Target,
		Privileged: l.privileged, CreateSchema: plan.CreateSchema, CreateRole: plan.CreateRole, Role: l.Role.Name,
		Pending: pendingFiles(plan.Status.Pending, *c.sql), Grant: append([]string{}, plan.Grant...),
		Revoke: append([]string{}, plan.Revoke...),
		Error:  text(plan.Refusal),
	}
	if plan.Status.State == migrate.AheadCompatible {
		document.Unjudged = unjudged()
	}
	return encode(c.stdout, document)
}

func (c *planCommand) writeText(plan migrate.Plan, l inspection) error {
	paint := painter(c.stdout, c.environ)
	var b strings.Builder
	writeState(&b, plan.Status, paint)
	writeSteps(&b, plan, l, paint)
	switch {
	case plan.Refusal != nil:
		b.WriteString("\n" + fold("A start would refuse: "+plan.Refusal.Error()))
	case plan.Nothing() && plan.Status.State == migrate.AheadCompatible:
		b.WriteString("\n" + fold("A start changes nothing on a schema that is ahead. Whether the schema and the web "+
			"server's privileges are as they should be was not judged: the release that migrated it can do that."))
	case plan.Nothing() && !l.privileged:
		b.WriteString("\nNo file is pending.\n")
	case plan.Nothing():
		b.WriteString("\nNothing to do.\n")
	default:
		b.WriteString("\nA start in mode RUN or RUN_AND_EXIT does this, and so does \"avtotpy migrate\".\n")
	}
	if !l.privileged {
		b.WriteString("\n" + fold("Asked over POSTGRES_CONNECTION_STR: privileges are compared, and what the migrator "+
			"may do is known, only over POSTGRES_MIGRATOR_CONNECTION_STR."))
	}
	if *c.sql {
		writeSQL(&b, plan.Status.Pending, paint)
	}
	_, err := io.WriteString(c.stdout, b.String())
	return err
}

// writeSteps lists what would be done, in that order.
func writeSteps(b *strings.Builder, plan migrate.Plan, l inspection, paint func(colour, string) string) {
	step := func(what string) { fmt.Fprintf(b, "\n%s", paint(bold, what)) }
	if plan.CreateSchema {
		step("Create schema ")
		b.WriteString(schema.Name + ", with the ledger of applied migrations\n")
	}
	if plan.CreateRole {
		step("Create role ")
		fmt.Fprintf(b, "%s, with its %d declared privileges\n", printable(l.Role.Name), len(plan.Grant))
		plan.Grant = nil
	}
	var files [][]string
	for _, f := range pendingFiles(plan.Status.Pending, false) {
		files = append(files, fileRow(f))
	}
	for _, list := range []struct{ what, lines string }{
		{"Apply", columns(files, 1, 2)},
		{"Grant", indent(strings.Join(plan.Grant, "\n"))},
		{"Revoke", indent(strings.Join(plan.Revoke, "\n"))},
	} {
		if list.lines != "" {
			step(list.what)
			b.WriteString("\n" + list.lines)
		}
	}
}

// writeSQL shows each file under a line with its name, byte for byte.
func writeSQL(b *strings.Builder, pending []bundle.Migration, paint func(colour, string) string) {
	for _, m := range pending {
		fmt.Fprintf(b, "\n%s\n%s", paint(bold, "==== "+m.File+" ===="), m.SQL)
		if !strings.HasSuffix(m.SQL, "\n") {
			b.WriteString("\n")
		}
	}
}
