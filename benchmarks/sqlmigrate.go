package main

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/http"

	migrate "github.com/rubenv/sql-migrate"
)

// sqlMigrate is sql-migrate over database/sql with pgx, reading through the source that takes
// any file system. It has no lock. It reads its files when it is connected.
func sqlMigrate() tool {
	return tool{
		name: "sql-migrate", module: "github.com/rubenv/sql-migrate",
		layout: func(f sqlFile) (name, content string) { return f.file(".sql"), "-- +migrate Up\n" + f.sql },
		load: func(files fs.FS) (func(context.Context, *database, string) error, error) {
			source := migrate.HttpFileSystemMigrationSource{FileSystem: http.FS(files)}
			return func(ctx context.Context, _ *database, conn string) error {
				db, err := sql.Open("pgx", conn)
				if err != nil {
					return err
				}
				_, err = migrate.ExecContext(ctx, db, "postgres", source, migrate.Up)
				return errors.Join(err, db.Close())
			}, nil
		},
	}
}
