package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/redact"
)

// migrateCommands are those that work on the schema.
func (p program) migrateCommands() []command {
	return []command{
		{
			name: "migrate", summary: "migrate and exit, as in mode RUN_AND_EXIT",
			about: `Brings the database to the version that this program was built for and exits:
for an init container or a job. The commands below tell what it would do or has
done, and change nothing; "repair --yes" alone writes.`,
			examples: `avtotpy migrate
    migrate and exit
avtotpy migrate plan && avtotpy migrate
    look first`,
			exits: ` 0  the database is current, or ahead and compatible
65  a migration failed and was rolled back
69  the database was not reachable in time
74  the ledger is diverged or lost
75  another migrator or a table lock kept it waiting too long
76  the schema is ahead and incompatible
77  a right is missing, or there is one too many; the message holds the SQL
78  a setting is wrong`,
			bind: func(*flag.FlagSet) action {
				return func(ctx context.Context, _ []string) error { return p.start(ctx, config.RunAndExit) }
			},
		},
		{
			name: "migrate status", summary: "how the database stands; its history",
			about: `Prints the schema's state and version, what is pending, what is wrong and what
to do about it, and the last 20 migrations that were applied, the latest last.
It changes nothing and needs no right beyond reading: the web server's
connection is enough.

With --wait it asks until the database is current: for whatever has to start
after a migration that something else runs. It waits for the database and for
the web server's role, too. It ends at once when waiting is no use, because the
ledger is diverged or lost, or the schema is ahead and incompatible.`,
			examples: `avtotpy migrate status
    what is the matter with this database?
avtotpy migrate status --wait=5m && avtotpy
    in an init container, or before a server in mode SKIP
avtotpy migrate status --json | jq .state
    for scripts; docs/cli.md lists the names`,
			exits: ` 0  current, or ahead and compatible
69  the database was not reachable in time
74  the ledger is diverged or lost
75  blank or behind: the migrations have yet to run; also after --wait
76  ahead and incompatible: a newer program is needed
77  the role may not read the ledger; the message holds the SQL
78  a setting is wrong`,
			bind: p.bindStatus,
		},
		{
			name: "migrate plan", summary: "what the next start would do, without doing it",
			about: `Prints what a start in mode RUN or RUN_AND_EXIT would do: the schema and the
role that it would create, each pending file, and the rights that it would grant
and revoke. It changes nothing and needs no right beyond reading. Over the web
server's connection alone it cannot tell what the migrator may do, nor anything
about rights.

Its exit code is that of such a start, as far as it can be known before: 0 when
files are pending, too. For a check whether any are, "avtotpy migrate status"
exits with 75.`,
			examples: `avtotpy migrate plan
    before an upgrade, with the new program
avtotpy migrate plan --sql
    with the SQL of the pending files, to review it
avtotpy migrate plan --json | jq '.pending | length'
    for scripts; docs/cli.md lists the names`,
			exits: ` 0  a start would find nothing to do, or do what is listed
69  the database was not reachable in time, or is a standby
74  a start would refuse: the ledger is diverged or lost
76  a start would refuse: the schema is ahead and incompatible
77  a start would refuse for rights; the message holds the SQL
78  a setting is wrong`,
			bind: p.bindPlan,
		},
		{
			name: "migrate verify", summary: "prove ledger, schema and privileges",
			about: `Compares the ledger with this program and with the schema's comment, the schema
with what its migrations make, and what the web server's role can do with what
is declared, both ways, as the catalogue tells it. It changes nothing.
Differences of privileges come with the SQL that mends them; docs/privileges.md
explains the lines.`,
			examples: `avtotpy migrate verify
    does the web server's role hold exactly its privileges?
avtotpy migrate verify --json | jq '.findings[].sql'
    the SQL that mends what differs`,
			exits: ` 0  all is as it should be, warnings aside; on a schema that is ahead, what
    this release can judge of it
69  the database was not reachable in time
74  the ledger is diverged or lost, or the schema was changed by hand
75  blank or behind: the migrations have yet to run
76  ahead and incompatible: a newer program is needed
77  the role has rights too many or too few
78  a setting is wrong`,
			bind: func(flags *flag.FlagSet) action {
				asJSON := jsonFlag(flags)
				return func(ctx context.Context, _ []string) error { return p.verify(ctx, *asJSON) }
			},
		},
		{
			name: "migrate repair", summary: "rebuild a ledger that was lost or edited",
			about: `Rebuilds avtotpy.migrations and the schema's comment when it can be proved which
version the schema is at: the schema has to be exactly what the migrations up to
that version make, and neither the comment nor what is left of the ledger may
say otherwise. It never guesses, and touches nothing else. Without --yes it only
prints what it would write.

Files that change only rows leave several versions with the same schema. When
comment and ledger are both gone, nothing tells them apart: --at says which one
it is, if you know, and is believed only as far as the schema agrees.`,
			examples: `avtotpy migrate repair
    what is wrong, and what would be written?
avtotpy migrate repair --yes
    write it
avtotpy migrate repair --at=11 --yes
    both witnesses are gone, and the last start was that of version 11`,
			exits: ` 0  nothing is wrong, or it is repaired, or without --yes can be
69  the database was not reachable in time
74  it cannot be told which version the schema is at; the message says why
75  a table lock kept it waiting too long, or the schema is blank
76  a newer program migrated, which can tell
77  the privileged role does not own the schema; the message holds the SQL
78  a setting is wrong`,
			bind: p.bindRepair,
		},
		{
			name: "migrate rehearse", summary: "apply the pending files where it does no harm",
			about: `Makes a scratch database on the same server, replays the history there, compares
what that makes with the live schema, applies the pending files one by one and
proves the web server's privileges. Then it drops the scratch database. For each
file it tells how long it took, what it locked and what it rewrote. It changes
nothing. It needs POSTGRES_MIGRATOR_CONNECTION_STR, of a role with CREATEDB.

A scratch database holds no data. With --with-data the files are applied to the
database itself, in one transaction that is rolled back: on a restored copy, for
its locks are held until the end, and sequences that were used stay advanced.
docs/rehearse.md explains the lines, step by step.`,
			examples: `avtotpy migrate rehearse
    before an upgrade, with the new program
avtotpy migrate rehearse --with-data
    on a restored copy: how long will it take?
avtotpy migrate rehearse --json | jq '.files[] | select(.rewritten != [])'
    for scripts; docs/cli.md lists the names`,
			exits: ` 0  all pending files can be applied, and schema and rights are as declared
65  a file failed, or the history cannot be replayed
69  the database was not reachable in time, or is a standby
74  somebody changed the schema by hand; or the ledger is diverged or lost
75  with data: other clients are connected, or a table lock was not to be had
76  the schema is ahead and incompatible
77  a right is missing, or a start would refuse for one; with the SQL
78  a setting is wrong, or a pooler does not know the scratch database`,
			bind: p.bindRehearse,
		},
	}
}

func jsonFlag(flags *flag.FlagSet) *bool {
	return flags.Bool("json", false, "one JSON object, for machines")
}

// An inspection is what the commands work with that inspect the database.
type inspection struct {
	*migrate.Migrator
	conn       string
	privileged bool   // whether conn is the migrator's
	web        string // the web server's, when conn is not
}

// inspect opens the database for a command that inspects it. With JSON the output is an
// object in any case, with the error alone when there is nothing else.
func (p program) inspect(ctx context.Context, asJSON bool, do func(context.Context, inspection) error) error {
	err := p.openInspection(ctx, do)
	if err == nil || !asJSON || is[*alreadyPrintedError](err) {
		return err
	}
	failed := struct {
		Schema string `json:"schema"`
		Error  string `json:"error"`
	}{schema.Name, redact.Text(err)}
	if err := encode(p.stdout, failed); err != nil {
		return err
	}
	return printed(err)
}

// openInspection prefers the privileged connection. The web server's own shows as much about
// its own role.
func (p program) openInspection(ctx context.Context, do func(context.Context, inspection) error) error {
	o, ctx, err := p.open(ctx, opening{settings: config.Inspect})
	if err != nil {
		return err
	}
	defer o.Close()
	i := inspection{o.migrator, o.cfg.MigratorConn.Reveal(), o.cfg.MigratorConn != "", o.cfg.WebConn.Reveal()}
	if !i.privileged {
		i.conn, i.web = i.web, ""
		i.Role.Name = "" // the audits are about the role of that connection
	}
	err = do(ctx, i)
	if !i.privileged && !is[*migrate.BusyError](err) { // one that waited has reported so
		return orNotMigratedYet(err)
	}
	return err
}

// orNotMigratedYet adds a possible reason to the error of a refused login of the web server's role.
func orNotMigratedYet(err error) error {
	if connect, ok := errors.AsType[*migrate.ConnectError](err); ok && connect.DeniesRole() {
		return fmt.Errorf("%w, unless the migrations that create this user have yet to run", err)
	}
	return err
}

// A pendingFile is a file that is to be applied; docs/cli.md documents the names.
type pendingFile struct {
	Version    int      `json:"version"`
	Name       string   `json:"name"`
	File       string   `json:"file"`
	Statements int      `json:"statements"`
	Bytes      int      `json:"bytes"`
	Directives []string `json:"directives"`
	SQL        string   `json:"sql,omitempty"` // when it was asked for
}

func pendingFiles(migrations []migrate.Migration, withSQL bool) []pendingFile {
	files := make([]pendingFile, len(migrations))
	for i, m := range migrations {
		files[i] = pendingFile{
			m.Version, m.Name, m.File, m.Statements(), len(m.SQL),
			append([]string{}, m.Directives()...), "",
		}
		if withSQL {
			files[i].SQL = m.SQL
		}
	}
	return files
}

// stateColour is how a state looks on a terminal.
func stateColour(s migrate.State) colour {
	switch s {
	case migrate.Current:
		return green
	case migrate.Blank, migrate.Behind, migrate.AheadCompatible:
		return yellow
	default:
		return red
	}
}

// encode writes a document for machines.
func encode(out *os.File, document any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(document)
}

// printed wraps an error that the output shows already; nil stays nil.
func printed(err error) error {
	if err == nil {
		return nil
	}
	return &alreadyPrintedError{err}
}

// text is what an error says, nothing for nil.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
