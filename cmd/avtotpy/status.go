package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
)

// A statusCommand is one call of "avtotpy migrate status", with its flags.
type statusCommand struct {
	program
	json *bool
	all  *bool
	wait waitFlag
}

func (p program) bindStatus(flags *flag.FlagSet) action {
	c := &statusCommand{program: p, json: jsonFlag(flags)}
	c.all = flags.Bool("all", false, "the whole history, not only its last 20 rows")
	flags.Var(&c.wait, "wait", "ask until current, for `DURATION` or POSTGRES_MIGRATOR_WAIT")
	return func(ctx context.Context, _ []string) error { return p.inspect(ctx, *c.json, c.show) }
}

// show prints the state of the database as this program sees it, and changes nothing.
func (c *statusCommand) show(ctx context.Context, l inspection) error {
	if c.wait.asked {
		l.Wait = cmp.Or(c.wait.limit, l.Wait)
		if _, err := l.Await(ctx, l.conn); err != nil {
			return err
		}
	}
	status, err := asked(ctx, l.Migrator, l.conn, func(ctx context.Context, conn *pgx.Conn) (migrate.Status, error) {
		return l.Status(ctx, conn, migrate.Rows)
	})
	if err != nil {
		return err
	}
	rows := status.Rows
	earlier := 0
	if few := 20; !*c.all && len(rows) > few {
		earlier = len(rows) - few
	}
	write := c.writeText
	if *c.json {
		write = c.writeJSON
	}
	if err := write(status, rows[earlier:], earlier); err != nil {
		return err
	}
	return printed(status.Err())
}

// statusDocument is the form for machines; docs/cli.md documents the names.
type statusDocument struct {
	Schema      string              `json:"schema"`
	State       migrate.State       `json:"state"`
	Version     int                 `json:"version"`
	Target      int                 `json:"target"`
	MinVersion  int                 `json:"min_version"`
	Claimed     int                 `json:"claimed,omitempty"`
	Role        string              `json:"role"`
	Pending     []pendingFile       `json:"pending"`
	Differences []difference        `json:"differences"`
	History     []migrate.LedgerRow `json:"history"`
	Earlier     int                 `json:"earlier"`
	Error       string              `json:"error,omitempty"`
}

type difference struct {
	Version int    `json:"version"`
	What    string `json:"what"`
}

func (c *statusCommand) writeJSON(status migrate.Status, rows []migrate.LedgerRow, earlier int) error {
	document := statusDocument{
		Schema: schema.Name, State: status.State, Version: status.Version, Target: status.Target,
		MinVersion: status.MinVersion, Claimed: status.Claimed, Role: status.Role,
		Pending: pendingFiles(status.Pending, false), Differences: []difference{},
		History: append([]migrate.LedgerRow{}, rows...),
		Earlier: earlier, Error: text(status.Err()),
	}
	for _, d := range status.Differences {
		document.Differences = append(document.Differences, difference(d))
	}
	for i := range document.History {
		document.History[i].AppliedAt = document.History[i].AppliedAt.UTC()
	}
	return encode(c.stdout, document)
}

func (c *statusCommand) writeText(status migrate.Status, rows []migrate.LedgerRow, earlier int) error {
	paint := painter(c.stdout, c.environ)
	var b strings.Builder
	writeState(&b, status, paint)
	writeAdvice(&b, status)
	if len(rows) > 0 {
		b.WriteString("\n")
		if earlier > 0 {
			fmt.Fprintf(&b, "%d earlier migrations; --all lists them\n", earlier)
		}
		b.WriteString(history(rows, paint))
	}
	_, err := io.WriteString(c.stdout, b.String())
	return err
}

// writeState begins what status and plan say.
func writeState(b *strings.Builder, status migrate.Status, paint func(colour, string) string) {
	fmt.Fprintf(b, "schema %s  %s, version %d of %d\n", schema.Name,
		paint(stateColour(status.State), status.State.String()), status.Version, status.Target)
	if status.Claimed != 0 {
		b.WriteString(fold(fmt.Sprintf("Migration %04d (no transaction) is running, or its migrator crashed. "+
			"If it crashed, the next start resumes it.", status.Claimed)))
	}
}

// writeAdvice says what is pending or wrong, and what to do about it.
func writeAdvice(b *strings.Builder, status migrate.Status) {
	switch renamed := is[*migrate.RenamedError](status.Err()); status.State {
	case migrate.Current:
		b.WriteString("\nNothing is pending.\n")
	case migrate.AheadCompatible:
		b.WriteString("\n" + fold(fmt.Sprintf("A newer program migrated this database. This one can still work with "+
			"it: the schema is compatible with programs whose migrations reach %04d.", status.MinVersion)))
	case migrate.Blank, migrate.Behind:
		if renamed {
			b.WriteString("\n" + fold(sentence(status.Err())))
			return
		}
		b.WriteString("\nPending:\n" + fileList(pendingFiles(status.Pending, false)) +
			"\nA start in mode RUN or RUN_AND_EXIT applies them, and so does \"avtotpy migrate\".\n\"avtotpy " +
			"migrate plan\" says more about them.\n")
	default:
		b.WriteString("\n" + fold(sentence(status.Err())))
	}
}

// fileList is a table, short enough for a screen.
func fileList(files []pendingFile) string {
	var rows [][]string
	const few = 20
	for _, f := range files[:min(few, len(files))] {
		rows = append(rows, fileRow(f))
	}
	list := columns(rows, 1, 2)
	if more := len(files) - few; more > 0 {
		list += fmt.Sprintf("  and %d more, the last %s\n", more, files[len(files)-1].File)
	}
	return list
}

func fileRow(f pendingFile) []string {
	return []string{
		"  " + f.File, count(f.Statements, "statement"), count(f.Bytes, "byte"),
		strings.Join(f.Directives, ", "),
	}
}

// count is a number with its unit, so that right-aligned columns stay aligned.
func count(n int, unit string) string {
	if n == 1 {
		return "1 " + unit + " "
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// history is a table of applied migrations, the latest last.
func history(rows []migrate.LedgerRow, paint func(colour, string) string) string {
	table := [][]string{{"VERSION", "NAME", "APPLIED AT", "TOOK", "BY", "PROGRAM"}}
	for _, row := range rows {
		took, mark := "unfinished", ""
		switch {
		case row.Rebuilt:
			took, mark = "", "rebuilt" // how long it took is not known
		case row.Seconds != nil:
			took = brief(seconds(*row.Seconds))
		}
		table = append(table, []string{
			fmt.Sprintf("%04d", row.Version), row.Name,
			row.AppliedAt.UTC().Format(time.RFC3339), took, row.AppliedBy, row.AppVersion, mark,
		})
	}
	const tookColumn = 3
	heading, lines, _ := strings.Cut(columns(table, tookColumn), "\n")
	return paint(bold, heading) + "\n" + lines
}

// sentence is an error as a paragraph of its own.
func sentence(err error) string {
	message := err.Error()
	return strings.ToUpper(message[:1]) + message[1:] + "."
}

// A waitFlag is a flag with an optional value: --wait, or --wait=DURATION.
type waitFlag struct {
	asked bool
	limit time.Duration // 0 when it is not given
}

func (w *waitFlag) IsBoolFlag() bool { return true }

func (w *waitFlag) String() string { return w.limit.String() }

// Set gets "true" for the flag alone.
func (w *waitFlag) Set(value string) error {
	w.asked = value != "false"
	if value == "true" || value == "false" {
		return nil
	}
	limit, err := time.ParseDuration(value)
	if err != nil || limit <= 0 {
		return errors.New("write a duration such as 90s, 5m or 1h")
	}
	w.limit = limit
	return nil
}
