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
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/redact"
	"github.com/jackc/pgx/v5"
)

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
	return p.asObject(asJSON, p.openInspection(ctx, do))
}

// asObject prints an error that was not printed yet as an object, where that is asked for.
func (p program) asObject(asJSON bool, err error) error {
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

func pendingFiles(migrations []bundle.Migration, withSQL bool) []pendingFile {
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

// asked connects as the Migrator does and asks it something that only reads.
func asked[T any](ctx context.Context, m *migrate.Migrator, connString string,
	ask func(context.Context, *pgx.Conn) (T, error),
) (answer T, err error) {
	err = m.Connect(ctx, connString, func(ctx context.Context, conn *pgx.Conn) (err error) {
		answer, err = ask(ctx, conn)
		return err
	})
	return answer, err
}

// verified connects and verifies.
func verified(ctx context.Context, m *migrate.Migrator, connString string, wants ...migrate.Want) (
	migrate.Verification, error,
) {
	return asked(ctx, m, connString, func(ctx context.Context, conn *pgx.Conn) (migrate.Verification, error) {
		return m.Verify(ctx, conn, wants...)
	})
}
