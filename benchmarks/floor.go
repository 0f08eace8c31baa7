package main

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// singleMessages is the least that a careful person could do by hand: each file as one
// message, the next when the answer is there. No ledger, no lock, no way to go on after a crash.
func singleMessages() tool {
	return floorTool(floorOne, "", "")
}

// oneTransaction is the least that PostgreSQL can do with the files: one flush for all of them. A
// history of thousands of files cannot be applied so in earnest: each lock is held until the end.
func oneTransaction() tool {
	return floorTool(floorAll, "BEGIN", "COMMIT")
}

func floorTool(name, first, last string) tool {
	return tool{
		name: name, floor: true, layout: plain,
		load: func(files fs.FS) (func(context.Context, *database, string) error, error) {
			messages, err := texts(files)
			return func(ctx context.Context, _ *database, conn string) error {
				c, err := pgconn.Connect(ctx, conn)
				if err != nil {
					return err
				}
				send := func(sql string) error {
					if sql == "" {
						return nil
					}
					_, err := c.Exec(ctx, sql).ReadAll()
					return err
				}
				err = send(first)
				for _, sql := range messages {
					if err == nil {
						err = send(sql)
					}
				}
				if err == nil {
					err = send(last)
				}
				return errors.Join(err, c.Close(ctx))
			}, err
		},
	}
}

// texts returns the files in order: the 10,000th does not come behind the 1,000th.
func texts(files fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int { return len(number(a)) - len(number(b)) })
	sql := make([]string, len(entries))
	for i, entry := range entries {
		content, err := fs.ReadFile(files, entry.Name())
		if err != nil {
			return nil, err
		}
		sql[i] = string(content)
	}
	return sql, nil
}

func number(entry fs.DirEntry) string {
	digits, _, _ := strings.Cut(entry.Name(), "_")
	return digits
}
