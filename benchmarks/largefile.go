package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// A style is how the large file's rows are put into statements.
type style struct {
	name string
	rows int // a statement
}

// largeFile compares the migrator with psql -1 -f: both apply the file as a whole or not at
// all. psql without -1 would flush to disk for each statement.
func (b *bench) largeFile(ctx context.Context) error {
	for _, style := range []style{{"100 rows a statement", 100}, {"a row a statement", 1}} {
		if err := b.oneLargeFile(ctx, style); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) oneLargeFile(ctx context.Context, style style) error {
	dir, err := os.MkdirTemp("", "avtotpy-benchmark-files-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	before, behind := filepath.Join(dir, "before"), filepath.Join(dir, "behind")
	size, err := writeLargeFile(before, behind, style, b.form.bytes)
	if err != nil {
		return err
	}
	b.say("one file of %d MB, %s", size/1e6, style.name)
	var ours, theirs []int64
	all, err := takeTurns(ctx, b.log, b.form.file, []contender{
		{"AVTotpy", func(ctx context.Context) (sample, error) {
			return b.onReady(ctx, before, func(db *database) (s sample, err error) {
				start := time.Now()
				done, err := b.upper(ctx, db, behind)
				s.whole = time.Since(start)
				ours = append(ours, done.peak)
				return s, err
			})
		}},
		{"psql -1 -f", func(ctx context.Context) (sample, error) {
			return b.onReady(ctx, before, func(db *database) (s sample, err error) {
				start := time.Now()
				peak, err := b.psqlFile(ctx, db, filepath.Join(behind, largeName))
				s.whole = time.Since(start)
				theirs = append(theirs, peak)
				return s, err
			})
		}},
	})
	if err != nil {
		return err
	}
	title := fmt.Sprintf("One file of %d MB of INSERTs, %s", size/1e6, style.name)
	s := b.report.section(title, "Whole processes, from start to exit. psql with -1, because both then apply the "+
		"file as a whole or not at all.", "", "median", "rounds", "peak memory", "× the file")
	for i, m := range all {
		peak := median([][]int64{ours, theirs}[i])
		s.row(m.name, short(m.median(whole)), fmt.Sprint(len(m.samples)), mebibytes(peak),
			fmt.Sprintf("%.2f", float64(peak)/float64(size)))
	}
	mine, psql := all[0].median(whole), all[1].median(whole)
	b.report.judge(title, "at most 1.05 × psql", ratio(mine, psql)+" ×", quotient(mine, psql) <= 1.05)
	times := float64(median(ours)) / float64(size)
	b.report.judge(title, "memory at most 2.5 × the file", fmt.Sprintf("%.2f ×", times), times <= 2.5)
	return nil
}

const largeName = "0002_fill.sql"

// writeLargeFile writes a history of one file and the same with a second, large one.
func writeLargeFile(before, behind string, style style, least int64) (size int64, err error) {
	const table = "CREATE TABLE readings (id bigint PRIMARY KEY, taken_at timestamptz NOT NULL, place text NOT " +
		"NULL, value numeric NOT NULL, note text);\n"
	for _, dir := range []string{before, behind} {
		if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // made-up data
			return 0, err
		}
		file := filepath.Join(dir, "0001_readings.sql")
		if err := os.WriteFile(file, []byte(table), 0o644); err != nil { //nolint:gosec // made-up data
			return 0, err
		}
	}
	file, err := os.Create(filepath.Join(behind, largeName)) //nolint:gosec // in a folder of ours
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }() // Flush has reported it
	out := bufio.NewWriter(file)
	for row := 0; size < least; row += style.rows {
		size += int64(writeInsert(out, row, style.rows))
	}
	return size, out.Flush()
}

// writeInsert writes one statement and returns its length; Flush returns errors.
func writeInsert(out *bufio.Writer, first, rows int) int {
	n, _ := out.WriteString("INSERT INTO readings (id, taken_at, place, value, note) VALUES ")
	for i := first; i < first+rows; i++ {
		mixed := uint64(i) * 0x9e3779b97f4a7c15 //nolint:gosec // a made-up number
		end := ",\n"
		if i == first+rows-1 {
			end = ";\n"
		}
		more, _ := fmt.Fprintf(out, "(%d, '2026-01-01 %02d:%02d:%02d+00', 'station %d', %d.%03d, 'measured by hand, "+
			"it''s fine; %x')%s",
			i, i/3600%24, i/60%60, i%60, i%977, i%40, i%1000, mixed, end)
		n += more
	}
	return n
}

// onReady gives a database with the first file applied.
func (b *bench) onReady(ctx context.Context, before string, use func(*database) (sample, error)) (sample, error) {
	db, err := b.server.newDatabase(ctx)
	if err != nil {
		return sample{}, err
	}
	defer db.drop(ctx)
	if _, err := b.upper(ctx, db, before); err != nil {
		return sample{}, err
	}
	if err := b.server.exec(ctx, "CHECKPOINT"); err != nil {
		return sample{}, err
	}
	return use(db)
}

// done is what the helper says of itself.
type done struct {
	Applied int           `json:"applied"`
	Load    time.Duration `json:"load"`
	Up      time.Duration `json:"up"`
	Status  string        `json:"status"`

	peak int64
}

// upper runs our migrator as a process that does nothing else.
func (b *bench) upper(ctx context.Context, db *database, folder string) (d done, err error) {
	command := exec.CommandContext(ctx, b.programs.upper, folder, db.web) //nolint:gosec // our own
	command.Env = []string{"UPPER_CONN=" + db.conn(nil)}
	output, err := command.Output()
	if err != nil {
		return d, withStderr(err)
	}
	if err := json.Unmarshal(output, &d); err != nil {
		return d, err
	}
	d.peak, err = peakMemory(d.Status)
	return d, err
}

func withStderr(err error) error {
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it bare
		return fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return err
}

// psqlFile runs psql and looks at its memory while it works.
func (b *bench) psqlFile(ctx context.Context, db *database, file string) (peak int64, err error) {
	command := exec.CommandContext(ctx, b.programs.psql, "-X", "-q", "-1", "-v", //nolint:gosec // the server's client
		"ON_ERROR_STOP=1", "-f", file, db.conn(nil))
	command.Env = append(os.Environ(), "PGOPTIONS=-c search_path="+schemaName)
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		return 0, err
	}
	exited := make(chan error, 1)
	go func() { exited <- command.Wait() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-exited:
			return peak, err
		case <-tick.C:
			if seen, err := peakOf(command.Process.Pid); err == nil { // it may just have ended
				peak = max(peak, seen)
			}
		}
	}
}
