package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"
)

// ternTool is tern as a library, with its advisory lock, which is always on. It reads its files
// when it is connected.
func ternTool() tool {
	return tool{
		name: "tern", module: "github.com/jackc/tern/v2",
		layout: plain,
		load: func(files fs.FS) (func(context.Context, *database, string) error, error) {
			return func(ctx context.Context, _ *database, conn string) error {
				c, err := pgx.Connect(ctx, conn)
				if err != nil {
					return err
				}
				return errors.Join(ternUp(ctx, c, files), c.Close(ctx))
			}, nil
		},
	}
}

func ternUp(ctx context.Context, conn *pgx.Conn, files fs.FS) error {
	m, err := migrate.NewMigrator(ctx, conn, "public.schema_version")
	if err != nil {
		return err
	}
	if err := m.LoadMigrations(files); err != nil {
		return err
	}
	return m.Migrate(ctx)
}
