package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
)

// TestAMigratorThatCanRunProgramsIsNamed, with the SQL after which it cannot; then migrating and verifying still work.
func TestAMigratorThatCanRunProgramsIsNamed(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	p := program{migrations: schema.Files(), privileges: schema.Privileges()}
	migrator, err := p.newMigrator(config.Config{WebRole: db.WebRole, WebPassword: config.Secret(db.WebPassword)},
		slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	up := func() (migrate.Report, string) {
		report, err := migrator.Up(t.Context(), db.MigratorConn)
		if err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		warnOfPrograms(report, slog.New(slog.NewTextHandler(&said, nil)))
		return report, said.String()
	}
	conn, err := pgx.Connect(t.Context(), db.MigratorConn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // it is only asked
	// What the warning says, tried as the migrator itself.
	_, err = conn.Exec(t.Context(), "BEGIN; GRANT pg_execute_server_program TO "+
		pgx.Identifier{db.Migrator()}.Sanitize()+"; ROLLBACK")
	can := err == nil
	if !can {
		_, _ = conn.Exec(t.Context(), "ROLLBACK") // the transaction of what failed
	}
	report, said := up()
	sql := `ALTER ROLE "` + report.RunsPrograms + `" NOCREATEROLE`
	if (report.RunsPrograms != "") != can || strings.Contains(said, strings.ReplaceAll(sql, `"`, `\"`)) != can {
		t.Errorf("it can grant itself the right to run programs: %t; got the role %q and the line %q", can,
			report.RunsPrograms, said)
	}
	pgtest.Exec(t, db.SuperConn, "ALTER ROLE "+pgx.Identifier{db.Migrator()}.Sanitize()+" NOCREATEROLE")
	if report, said := up(); report.RunsPrograms != "" || said != "" {
		t.Errorf("without CREATEROLE: got %q and %q, want nothing", report.RunsPrograms, said)
	}
	if found, err := migrator.Verify(t.Context(), db.Connect(t, db.MigratorConn)); err != nil || found.Audit == nil ||
		found.Audit.Err() != nil {
		t.Errorf("without CREATEROLE: verify found %+v, %v", found.Audit, err)
	}
}
