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
	return floorTool(floorOne, nil, nil)
}

// oneTransaction is the least that PostgreSQL can do with the files: one flush for all of them. A
// history of thousands of files cannot be applied so in earnest: each lock is held until the end.
func oneTransaction() tool {
	return floorTool(floorAll, []string{"BEGIN"}, []string{"COMMIT"})
}

func floorTool(name string, first, last []string) tool {
	return tool{
		name: name, floor: true, layout: plain,
		load: func(files fs.FS) (func(context.Context, *database, string) error, error) {
			messages, err := texts(files)
			return func(ctx context.Context, _ *database, conn string) error {
				c, err := pgconn.Connect(ctx, conn)
				if err != nil {
					return err
				}
				return errors.Join(sendAll(ctx, c, slices.Concat(first, messages, last)), c.Close(ctx))
			}, err
		},
	}
}

func sendAll(ctx context.Context, conn *pgconn.PgConn, messages []string) error {
	for _, sql := range messages {
		if _, err := conn.Exec(ctx, sql).ReadAll(); err != nil {
			return err
		}
	}
	return nil
}

// texts returns the files in order: the 10,000th comes after the 9,999th, not after the 1,000th.
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
