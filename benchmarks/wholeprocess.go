package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

// wholeProcess starts the real program on a database that is current, until it answers.
func (b *bench) wholeProcess(ctx context.Context) error {
	b.say("the whole program, nothing to do")
	db, err := b.server.newDatabase(ctx)
	if err != nil {
		return err
	}
	defer db.drop(ctx)
	first, err := b.avtotpyServer(ctx, db)
	if err != nil {
		return err
	}
	onBlank := first.took
	if err := setUp(ctx, first.url, db); err != nil { // or each later start would announce the token
		first.stop()
		return err
	}
	first.stop()
	all, err := takeTurns(ctx, b.log, rounds{b.form.starts, 20 * time.Second}, b.processes(db))
	if err != nil {
		return err
	}
	connect, err := b.connectTime(ctx)
	if err != nil {
		return err
	}
	logins, err := b.logins(ctx, db)
	if err != nil {
		return err
	}
	s := b.report.section("The whole program, nothing to do",
		"The real binary in mode RUN, from the start of the process to its first answered request: it looks, logs "+
			"in with the web server's password, replaces itself, looks again as the web server's role, and serves.",
		"", "median", "rounds")
	for _, m := range all {
		s.row(m.name, short(m.median(whole)), fmt.Sprint(len(m.samples)))
	}
	s.row("on a blank database, to first answer", short(onBlank), "1")
	s.row("one connection with its login, over TCP", short(connect), fmt.Sprint(2*b.form.starts))
	s.row("connections until it answers", fmt.Sprint(logins), "1")
	start := all[0].median(whole)
	limit := 25*time.Millisecond + time.Duration(logins)*connect
	b.report.judge("Whole process, nothing to do, to first answered request", "at most 25 ms plus connecting",
		fmt.Sprintf("%s; 25 ms + %d logins of %s = %s; with a single login's time %s", short(start), logins,
			short(connect), short(limit), short(25*time.Millisecond+connect)), start <= limit)
	return nil
}

// processes are what is started on a database that is current.
func (b *bench) processes(db *database) []contender {
	return []contender{
		{"start to first answer", func(ctx context.Context) (s sample, err error) {
			p, err := b.avtotpyServer(ctx, db)
			if err != nil {
				return s, err
			}
			defer p.stop()
			s.whole = p.took
			return s, nil
		}},
		{"avtotpy migrate", func(ctx context.Context) (s sample, err error) {
			command := b.migrateCommand(ctx, db)
			start := time.Now()
			_, err = command.Output()
			s.whole = time.Since(start)
			return s, withStderr(err)
		}},
		{"avtotpy version", func(ctx context.Context) (s sample, err error) {
			start := time.Now()
			_, err = exec.CommandContext(ctx, b.programs.avtotpy, "version").Output() //nolint:gosec // our own
			s.whole = time.Since(start)
			return s, withStderr(err)
		}},
	}
}

// logins counts the connections of a start until its first answer.
func (b *bench) logins(ctx context.Context, db *database) (int, error) {
	near, err := startRelay(ctx, b.server.address(), 0)
	if err != nil {
		return 0, err
	}
	defer near.close()
	p, err := serve(ctx, "/login", func(listen string) *exec.Cmd {
		command := exec.CommandContext(ctx, b.programs.avtotpy) //nolint:gosec // our own
		command.Env = append(db.environ(listen), "POSTGRES_MIGRATOR_CONNECTION_STR="+db.conn(near),
			"POSTGRES_CONNECTION_STR="+db.webConn(near))
		return command
	})
	if err != nil {
		return 0, err
	}
	defer p.stop()
	near.mu.Lock()
	defer near.mu.Unlock()
	return near.connections, nil
}
