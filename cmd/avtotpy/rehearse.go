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
	"github.com/avtotpy/avtotpy/migrate/rehearse"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// A rehearseCommand is one call of "avtotpy migrate rehearse", with its flags.
type rehearseCommand struct {
	program
	json *bool
}

func (p program) bindRehearse(flags *flag.FlagSet) action {
	c := &rehearseCommand{program: p, json: jsonFlag(flags)}
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
	report, err := rehearse.Run(ctx, l.Migrator, l.conn)
	inspected := report.Status.Target > 0
	reached := len(report.Files) > 0 || is[*migrate.MigrationError](err)
	if err != nil && (!inspected || !reached && !*c.json) { // there is nothing to report
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
	Files    []measuredFile        `json:"files"`
	Drift    []snapshot.Difference `json:"drift"`
	Role     string                `json:"role,omitempty"`
	Findings []privilege.Finding   `json:"findings"`
	Unproved string                `json:"unproved,omitempty"`
	Seconds  float64               `json:"seconds"`
	Error    string                `json:"error,omitempty"`
}

func (c *rehearseCommand) writeJSON(r rehearse.Report, failed error) error {
	document := rehearsalDocument{
		Schema: schema.Name, State: r.Status.State, Version: r.Status.Version, Target: r.Status.Target,
		Files: measuredFiles(r.Files), Drift: append([]snapshot.Difference{}, r.Drift...), Findings: []privilege.Finding{},
		Unproved: r.AuditSkipped,
		Seconds:  r.Elapsed.Round(time.Microsecond).Seconds(), Error: text(errors.Join(failed, r.Err())),
	}
	if r.Audit != nil {
		document.Role, document.Findings = r.Audit.Role, append(document.Findings, r.Audit.Findings...)
	}
	return encode(c.stdout, document)
}

func (c *rehearseCommand) writeText(r rehearse.Report, failed error) error {
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
		writeProofs(&b, r, paint)
	}
	b.WriteString("\n" + fold(verdict(r, failed)))
	_, err := io.WriteString(c.stdout, b.String())
	return err
}

// writeProofs says what else was compared.
func writeProofs(b *strings.Builder, r rehearse.Report, paint func(colour, string) string) {
	if r.Status.State == migrate.AheadCompatible {
		return
	}
	b.WriteString("\n")
	switch {
	case len(r.Drift) > 0:
		for _, d := range r.Drift {
			fmt.Fprintf(b, "%s %s\n", paint(red, "DRIFT  "), printable(d.String()))
		}
	case r.Status.Version > 0:
		b.WriteString("The schema is as its migrations make it.\n")
	}
	switch {
	case r.AuditSkipped != "":
		b.WriteString(fold("The web server's privileges were not proved: " + r.AuditSkipped + "."))
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
func verdict(r rehearse.Report, failed error) string {
	where := fmt.Sprintf("Rehearsed on a scratch database, which is gone again, in %s. ", brief(r.Elapsed))
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
		return where + "The files can be applied, but the schema was changed by hand: undo that, or write a migration " +
			"that does the same."
	case len(r.Files) == 0:
		return where + "No file is pending."
	}
	return where + strings.TrimSpace(count(len(r.Files), "pending file")) + " can be applied."
}
