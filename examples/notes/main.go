// Command notes is a service of its own on package migrate: it brings its schema to its version with a privileged
// connection, and then works with one that can do what is declared and nothing else.
//
//	NOTES_MIGRATOR=postgres://migrator:…@localhost/db NOTES=postgres://notes_web:…@localhost/db go run . "buy milk"
//
// It stores its arguments as notes, and prints all.
package main

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

//go:embed migrations/*.sql
var embedded embed.FS

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, notes []string) error {
	service, err := pgx.ParseConfig(os.Getenv("NOTES"))
	if err != nil {
		return fmt.Errorf("NOTES: %w", err)
	}
	report, err := upgrade(ctx, os.Getenv("NOTES_MIGRATOR"), service)
	if err != nil {
		return err // points to file, line and column; the files before it stay applied
	}
	fmt.Printf("version %d, applied now: %d\n", report.To, len(report.Applied))
	conn, err := pgx.ConnectConfig(ctx, service)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, note := range notes {
		if _, err := conn.Exec(ctx, "INSERT INTO notes.notes (text) VALUES ($1)", note); err != nil {
			return err
		}
	}
	rows, _ := conn.Query(ctx, "SELECT text FROM notes.notes ORDER BY id") // CollectRows returns the error
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, note := range all {
		fmt.Println(note)
	}
	return err
}

// upgrade is all that a service needs: its files, its schema, and what its role may do.
func upgrade(ctx context.Context, migrator string, service *pgx.ConnConfig) (migrate.Report, error) {
	files, _ := fs.Sub(embedded, "migrations") // fails for a malformed path only
	history, err := bundle.Load(files)
	if err != nil {
		return migrate.Report{}, err
	}
	m := migrate.Migrator{Bundle: history, Schema: "notes", Role: privilege.Role{
		Name: service.User, Password: service.Password,
		Privileges: []privilege.Privilege{
			{On: "TABLE notes", Allow: "SELECT, INSERT (text), DELETE"},
			{On: "TABLE tags", Allow: "SELECT, INSERT, DELETE"},
		},
	}}
	return m.Up(ctx, migrator)
}
