package main

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/golang-migrate/migrate/v4"
	_ "github.com/golang-migrate/migrate/v4/database/pgx/v5" // the driver that its README points to for pgx 5
	"github.com/golang-migrate/migrate/v4/source/iofs"
)

// golangMigrate is golang-migrate with its source for embedded files and its advisory lock,
// which is always on. A file is one message, and so one transaction.
func golangMigrate() tool {
	return tool{
		name: "golang-migrate", module: "github.com/golang-migrate/migrate/v4",
		layout: func(f sqlFile) (name, content string) { return f.file(".up.sql"), f.sql },
		load: func(files fs.FS) (func(context.Context, *database, string) error, error) {
			source, err := iofs.New(files, ".")
			return func(_ context.Context, _ *database, conn string) error {
				m, err := migrate.NewWithSourceInstance("iofs", source,
					strings.Replace(conn, "postgres://", "pgx5://", 1))
				if err != nil {
					return err
				}
				err = m.Up()
				if errors.Is(err, migrate.ErrNoChange) {
					err = nil
				}
				sourceErr, databaseErr := m.Close()
				return errors.Join(err, sourceErr, databaseErr)
			}, err
		},
	}
}
