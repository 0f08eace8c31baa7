package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

// manyPrograms starts many processes at once on a blank database: one that only migrates, with
// 30 files, and the real one, with its own.
func (b *bench) manyPrograms(ctx context.Context) error {
	const count = 30
	dir, err := os.MkdirTemp("", "avtotpy-benchmark-files-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := writeCorpus(dir, newCorpus(seed, count)); err != nil {
		return err
	}
	helper := func(ctx context.Context, db *database) *exec.Cmd {
		command := exec.CommandContext(ctx, b.programs.upper, dir, db.web) //nolint:gosec // our own
		command.Env = []string{"UPPER_CONN=" + db.conn(nil)}
		return command
	}
	s := b.report.section(fmt.Sprintf("%d programs at once, blank", b.form.programs),
		"Processes, from the start of the first to the end of the last.", "", "one alone", "the last of all", "rounds",
		"rows in the ledger", "programs that failed")
	for _, c := range []struct {
		name   string
		table  string
		files  int
		start  func(context.Context, *database) *exec.Cmd
		judged bool
	}{
		{"the migrator, 30 files", schemaName, count, helper, true},
		{"avtotpy migrate, its own files", "avtotpy", 0, b.migrateCommand, false},
	} {
		b.say("%d programs at once: %s", b.form.programs, c.name)
		var rows, failed int
		all, err := takeTurns(ctx, b.log, rounds{5, 20 * time.Second}, []contender{
			{"alone", func(ctx context.Context) (s sample, err error) {
				s, _, _, err = b.together(ctx, 1, c.table, c.start)
				return s, err
			}},
			{"together", func(ctx context.Context) (s sample, err error) {
				s, n, fails, err := b.together(ctx, b.form.programs, c.table, c.start)
				rows, failed = n, failed+fails
				return s, err
			}},
		})
		if err != nil {
			return err
		}
		alone, last := all[0].median(whole), all[1].median(whole)
		s.row(c.name, short(alone), short(last), fmt.Sprint(len(all[0].samples)), fmt.Sprint(rows), fmt.Sprint(failed))
		limit := 2*alone + 500*time.Millisecond
		title := fmt.Sprintf("%d programs at once, blank, %s", b.form.programs, c.name)
		b.report.judge(title, "the last one ready within 2 × of a single one plus 500 ms",
			fmt.Sprintf("%s, limit %s", short(last), short(limit)), last <= limit)
		if c.judged {
			b.report.judge(title, "each file applied once, no program failed",
				fmt.Sprintf("%d rows, %d failed", rows, failed), rows == c.files && failed == 0)
		}
	}
	return nil
}

func (b *bench) migrateCommand(ctx context.Context, db *database) *exec.Cmd {
	command := exec.CommandContext(ctx, b.programs.avtotpy, "migrate") //nolint:gosec // our own
	command.Env = db.environ("")
	return command
}

func writeCorpus(dir string, files corpus) error {
	for _, f := range files {
		name, content := plain(f)
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil { //nolint:gosec // made-up data
			return err
		}
	}
	return nil
}

// together starts processes on a fresh database and waits for all of them.
func (b *bench) together(ctx context.Context, n int, ledgerSchema string,
	start func(context.Context, *database) *exec.Cmd,
) (s sample, rows, failed int, err error) {
	db, err := b.server.newDatabase(ctx)
	if err != nil {
		return s, 0, 0, err
	}
	defer db.drop(ctx)
	ended := make(chan error, n)
	began := time.Now()
	for range n {
		command := start(ctx, db)
		command.Stderr = nil
		go func() { ended <- command.Run() }()
	}
	for range n {
		if err := <-ended; err != nil {
			failed++
		}
	}
	s.whole = time.Since(began)
	conn, err := pgx.Connect(ctx, b.server.connString(adminRole, db.name, b.server.address()))
	if err != nil {
		return s, 0, failed, err
	}
	err = conn.QueryRow(ctx, "SELECT count(*) FROM "+ledgerSchema+".migrations").Scan(&rows)
	return s, rows, failed, errors.Join(err, conn.Close(ctx))
}
