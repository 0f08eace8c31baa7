package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
)

// migrate is the command that works on the schema.
func (p program) migrate(ctx context.Context, args []string) error {
	switch {
	case len(args) == 0:
		return p.start(ctx, config.RunAndExit)
	case args[0] == "verify" && len(args) == 1:
		return p.verify(ctx, writeVerification)
	case args[0] == "verify" && len(args) == 2 && strings.TrimLeft(args[1], "-") == "json":
		return p.verify(ctx, writeJSON)
	}
	return fmt.Errorf("there is no command \"migrate %s\"; migrate takes nothing, or verify [--json]; %w", strings.Join(args, " "), errUsage)
}

// verify prints whether the schema and the role's rights are what this program
// expects, and changes nothing.
func (p program) verify(ctx context.Context, write func(*os.File, migrate.Verification) error) error {
	cfg, log, err := p.settings(config.Look)
	if err != nil {
		return err
	}
	ctx, stop, err := p.withLocal(ctx, &cfg, log)
	if err != nil {
		return err
	}
	defer stop()
	conn := cfg.MigratorConn
	if conn == "" { // the web server's own connection can say as much about its own role
		conn, cfg.WebRole = cfg.WebConn, ""
	}
	migrator, err := p.migrator(cfg, log)
	if err != nil {
		return err
	}
	found, err := migrator.Verify(ctx, conn.Reveal())
	if err != nil {
		return err
	}
	if err := write(p.stdout, found); err != nil {
		return err
	}
	if err := found.Err(); err != nil {
		return &toldError{err}
	}
	return nil
}

// A toldError was printed already, in a better form; only its exit code is left.
type toldError struct{ err error }

func (e *toldError) Error() string { return e.err.Error() }
func (e *toldError) Unwrap() error { return e.err }

func writeVerification(out *os.File, v migrate.Verification) error {
	paint := painter(out)
	var b strings.Builder
	fmt.Fprintf(&b, "schema %s  %s, version %d of %d\n", schema.Name, v.Status.State, v.Status.Version, v.Status.Target)
	if err := v.Status.Err(); err != nil {
		fmt.Fprintf(&b, "\n%s\n", err)
	}
	if v.Audit != nil {
		writeAudit(&b, *v.Audit, paint)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func writeAudit(b *strings.Builder, a migrate.Audit, paint func(migrate.Severity, string) string) {
	fmt.Fprintf(b, "role %s  %d excess, %d missing, %d warnings\n", a.Role, a.Count(migrate.Excess), a.Count(migrate.Missing), a.Count(migrate.Warn))
	for _, f := range a.Findings {
		fmt.Fprintf(b, "\n%s %s\n        %s;\n", paint(f.Severity, fmt.Sprintf("%-7s", f.Severity)), f.What, strings.ReplaceAll(f.SQL, "\n", "\n        "))
	}
	switch {
	case a.Err() != nil:
		b.WriteString("\nA start in mode RUN or RUN_AND_EXIT mends what lies in the schema. The rest, and warnings if you like, is for a DBA to run.\n")
	case len(a.Findings) > 0:
		b.WriteString("\nThe role holds exactly the declared privileges. Warnings are about what others decide; the SQL under each takes it away.\n")
	default:
		b.WriteString("\nThe role holds exactly the declared privileges.\n")
	}
}

// painter colours severities on a terminal, unless NO_COLOR (no-color.org) asks not
// to.
func painter(out *os.File) func(migrate.Severity, string) string {
	if !isTerminal(out) || os.Getenv("NO_COLOR") != "" {
		return func(_ migrate.Severity, text string) string { return text }
	}
	return func(s migrate.Severity, text string) string {
		colour := map[migrate.Severity]string{migrate.Excess: "31", migrate.Missing: "33", migrate.Warn: "36"}[s]
		return "\x1b[1;" + colour + "m" + text + "\x1b[0m"
	}
}

// verification is the form for machines; docs/privileges.md documents it.
type verification struct {
	State    migrate.State     `json:"state"`
	Version  int               `json:"version"`
	Target   int               `json:"target"`
	Role     string            `json:"role,omitempty"`     // absent, with findings, while the schema is not current
	Findings []migrate.Finding `json:"findings,omitempty"` // the worst first
	Error    string            `json:"error,omitempty"`
}

func writeJSON(out *os.File, v migrate.Verification) error {
	document := verification{State: v.Status.State, Version: v.Status.Version, Target: v.Status.Target}
	if v.Audit != nil {
		document.Role, document.Findings = v.Audit.Role, v.Audit.Findings
	}
	if err := v.Err(); err != nil {
		document.Error = err.Error()
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(document)
}
