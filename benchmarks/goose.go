package main

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// gooseTool is goose's Provider, which its documentation recommends over the functions with
// global state, with the session locker, which it recommends for replicas.
func gooseTool() tool {
	return tool{
		name: "goose", module: "github.com/pressly/goose/v3",
		layout: func(f sqlFile) (name, content string) { return f.file(".sql"), "-- +goose Up\n" + f.sql },
		load: func(files fs.FS) (func(context.Context, *database, string) error, error) {
			locker, err := lock.NewPostgresSessionLocker()
			if err != nil {
				return nil, err
			}
			// A provider wants its database first; sql.Open does not connect.
			connect := new(lateConnector)
			db := sql.OpenDB(connect)
			provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
			return func(ctx context.Context, _ *database, conn string) error {
				if err := connect.to(conn); err != nil {
					return err
				}
				_, err := provider.Up(ctx)
				return errors.Join(err, provider.Close())
			}, err
		},
	}
}
