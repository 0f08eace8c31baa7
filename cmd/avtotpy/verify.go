package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

func (p program) bindVerify(flags *flag.FlagSet) action {
	asJSON := jsonFlag(flags)
	return func(ctx context.Context, _ []string) error { return p.verify(ctx, *asJSON) }
}

// verify prints whether the schema and the role's privileges are what this program
// expects, and changes nothing.
func (p program) verify(ctx context.Context, asJSON bool) error {
	write := writeVerification
	if asJSON {
		write = writeJSON
	}
	return p.inspect(ctx, asJSON, func(ctx context.Context, l inspection) error {
		found, err := verified(ctx, l.Migrator, l.conn)
		if err != nil {
			return err
		}
		if found.Audit != nil && l.web != "" {
			l.auditWebConnection(ctx, found.Audit)
		}
		if err := write(p.stdout, found); err != nil {
			return err
		}
		return printed(found.Err())
	})
}

// auditWebConnection adds a finding when the web server connects as another role than
// the one that was audited, whose privileges are not managed.
func (l inspection) auditWebConnection(ctx context.Context, a *privilege.Audit) {
	own := selfAudit(l.Migrator)
	own.ConnectWait = min(own.ConnectWait, 5*time.Second) // the answer that matters is there already
	web, err := verified(ctx, own, l.web, migrate.Privileges)
	add := func(f privilege.Finding) { // the gravest stay the first
		a.Findings = append(a.Findings, f)
		slices.SortStableFunc(a.Findings,
			func(a, b privilege.Finding) int { return cmp.Compare(a.Severity, b.Severity) })
	}
	switch role := web.Status.Role; {
	case role == "" && refused(err):
		add(privilege.Finding{
			Severity: privilege.Missing, What: "POSTGRES_CONNECTION_STR is not let in: " + err.Error(),
			SQL: "-- correct POSTGRES_CONNECTION_STR, or in psql: \\password \"" + a.Role + "\"",
		})
	case role == "" && is[*migrate.PrivilegeError](err): // of a catalogue or a function of the server's
		lacks, _ := errors.AsType[*migrate.PrivilegeError](err)
		add(privilege.Finding{
			Severity: privilege.Missing, What: lacks.Lacks,
			SQL: strings.Join(lacks.SQL, "; "),
		})
	case role == "":
		l.Log.Warn("POSTGRES_CONNECTION_STR cannot be asked as which role it connects", "error", err)
	case role != a.Role:
		finding := privilege.Finding{
			Severity: privilege.Warn, What: fmt.Sprintf("POSTGRES_CONNECTION_STR connects as %q, another role, which "+
				"holds the same privileges by chance", role),
			SQL: fmt.Sprintf("-- put the user %q and its password into POSTGRES_CONNECTION_STR", a.Role),
		}
		if web.Audit == nil || web.Audit.Err() != nil {
			finding.Severity, finding.What = privilege.Excess,
				fmt.Sprintf("POSTGRES_CONNECTION_STR connects as %q, another role, and does not hold exactly "+
					"these privileges%s", role, differences(web.Audit))
		}
		add(finding)
	}
}

// An alreadyPrintedError was printed already, in a better form; only its exit code is left.
type alreadyPrintedError struct{ err error }

func (e *alreadyPrintedError) Error() string { return e.err.Error() }
func (e *alreadyPrintedError) Unwrap() error { return e.err }

func writeVerification(out *os.File, v migrate.Verification) error {
	paint := painter(out, os.Environ())
	var b strings.Builder
	writeState(&b, v.Status, paint)
	if err := v.Status.Err(); err != nil {
		b.WriteString("\n" + fold(sentence(err)))
	}
	switch {
	case !v.Compared || len(v.Drift) > 0:
	case v.Status.Claimed != 0:
		b.WriteString("The schema is as its migrations make it, but for what that file may have done already.\n")
	default:
		b.WriteString("The schema is as its migrations make it.\n")
	}
	writeDrift(&b, v, paint)
	if v.Audit != nil {
		b.WriteString("\n")
		writeAudit(&b, *v.Audit, v, paint)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// writeDrift prints each difference with the SQL that undoes it, or why there is none.
func writeDrift(b *strings.Builder, v migrate.Verification, paint func(colour, string) string) {
	if len(v.Drift) == 0 {
		return
	}
	proposed := 0
	for _, d := range v.Drift {
		fmt.Fprintf(b, "\n%s %s\n", paint(red, "DRIFT  "), printable(d.String()))
		sql := printableSQL(d.SQL)
		switch {
		case d.Note != "":
			fmt.Fprintf(b, "        -- no SQL: %s\n", d.Note)
		case sql == "": // it is with another line
			continue
		case strings.Contains(sql, "\n"): // a function or a view, whose lines have to stay as they are
			fmt.Fprintf(b, "%s;\n", sql)
		default:
			fmt.Fprintf(b, "        %s;\n", sql)
		}
		if sql != "" {
			proposed++
		}
	}
	b.WriteString("\n" + fold("The schema was changed by hand. Undo that, or put it into a migration."))
	if len(v.Proposal) > 0 {
		b.WriteString(fold("The SQL is a proposal for the schema's owner. It drops no table, no column and no " +
			"sequence."))
	}
	if proposed > 1 {
		b.WriteString("All of it, in an order in which it runs:\n" +
			"        avtotpy migrate verify --json | jq -r .proposal\n")
	}
}

func writeAudit(b *strings.Builder, a privilege.Audit, v migrate.Verification, paint func(colour, string) string) {
	ahead := v.Status.State == migrate.AheadCompatible
	fmt.Fprintf(b, "role %s  %d excess, %d missing, %d warnings\n", a.Role, a.Count(privilege.Excess),
		a.Count(privilege.Missing), a.Count(privilege.Warn))
	for _, f := range a.Findings {
		fmt.Fprintf(b, "\n%s %s\n        %s;\n", paint(severityColour(f.Severity), fmt.Sprintf("%-7s", f.Severity)),
			f.What, strings.ReplaceAll(f.SQL, "\n", "\n        "))
	}
	switch {
	case ahead && a.Err() == nil:
		b.WriteString("\n" + fold("Only the ledger up to this release, and privileges that no release may have, were "+
			"judged. Whether the schema is as it should be, and the role's other privileges, the release that "+
			"migrated it can judge."))
	case a.Err() != nil:
		b.WriteString("\nA start in mode RUN or RUN_AND_EXIT fixes what lies in the schema. The rest, and warnings " +
			"if you like, is for a DBA to run.\n")
	// a policy, a trigger or another body of a function decides what a privilege lets the role do
	case len(v.Drift) > 0:
		b.WriteString("\nThe privileges are the declared ones. What they let the role do is not proved while the " +
			"schema is not as its migrations make it.\n")
	case a.Detours > 0:
		b.WriteString("\n" + fold("On the schema itself the role holds the declared privileges and no more. Through "+
			"objects outside of it, which the warnings name, it may do more: they run with the privileges of their "+
			"owner. The SQL under each takes that away."))
	case len(a.Findings) > 0:
		b.WriteString("\nThe role holds exactly the declared privileges. Warnings are about what others decide; the " +
			"SQL under each takes it away.\n")
	default:
		b.WriteString("\nThe role holds exactly the declared privileges.\n")
	}
}

func severityColour(s privilege.Severity) colour {
	return map[privilege.Severity]colour{privilege.Excess: red, privilege.Missing: yellow, privilege.Warn: cyan}[s]
}

// unjudged is what a release cannot judge of a schema that is ahead of it.
func unjudged() []string { return []string{"schema", "privileges"} }

// verification is the form for machines; docs/privileges.md documents it.
type verification struct {
	State   migrate.State `json:"state"`
	Version int           `json:"version"`
	Target  int           `json:"target"`
	// the version of a file without a transaction that a migrator works on, or worked on
	Claimed int `json:"claimed,omitempty"`
	// whether the schema was compared with the snapshot of its version
	Compared bool                  `json:"compared"`
	Drift    []snapshot.Difference `json:"drift,omitempty"`    // how it differs
	Proposal string                `json:"proposal,omitempty"` // the SQL that undoes what is safe to undo, in order
	Damage   []snapshot.Difference `json:"damage,omitempty"`   // how the ledger's table is not as it was made
	// what only the release that migrated can judge: "schema", "privileges"
	Unjudged []string            `json:"unjudged,omitempty"`
	Role     string              `json:"role,omitempty"`     // absent, with findings, while the schema is not current
	Findings []privilege.Finding `json:"findings,omitempty"` // the worst first
	Error    string              `json:"error,omitempty"`
}

func writeJSON(out *os.File, v migrate.Verification) error {
	document := verification{
		State: v.Status.State, Version: v.Status.Version, Target: v.Status.Target,
		Claimed: v.Status.Claimed, Compared: v.Compared, Drift: v.Drift, Damage: v.Status.Damage,
	}
	if v.Status.State == migrate.AheadCompatible {
		document.Unjudged = unjudged()
	}
	if len(v.Proposal) > 0 {
		document.Proposal = strings.Join(v.Proposal, ";\n") + ";\n"
	}
	if v.Audit != nil {
		document.Role, document.Findings = v.Audit.Role, v.Audit.Findings
	}
	if err := v.Err(); err != nil {
		document.Error = err.Error()
	}
	return encode(out, document)
}
