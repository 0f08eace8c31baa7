package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// claims measures what each guarantee costs a file that is applied: what our migrator sent on a
// blank database is recorded, and sent again, as far ahead of its answers, with something left out.
func (b *bench) claims(ctx context.Context) error {
	b.say("cost of each guarantee for a file, %d files", b.form.some)
	sent, err := b.recordBlank(ctx)
	if err != nil {
		return err
	}
	const (
		comment  = `; COMMENT ON SCHEMA "?app"? IS '[^']*'(; COMMIT)$`
		duration = `MERGE INTO "app"\."migrations" [^;]*;()`
		row      = `INSERT INTO "app"\."migrations" [^;]*;()`
		settings = ` (?:SET LOCAL lock_timeout = |SELECT FROM \(SELECT pg_catalog\.unnest)[^;]*;()`
	)
	var contenders []contender
	for _, v := range []struct {
		name     string
		patterns []string
	}{
		{"as it is sent", nil},
		{"without the second witness", []string{comment}},
		{"without canary and duration", []string{duration}},
		{"without the ledger's row at all", []string{row, duration}},
		{"without timeouts and other settings", []string{settings}},
		{"without all of these", []string{comment, row, duration, settings}},
	} {
		messages, err := without(sent, v.patterns)
		if err != nil {
			return err
		}
		contenders = append(contenders, contender{
			v.name,
			func(ctx context.Context) (sample, error) { return b.replay(ctx, messages) },
		})
	}
	all, err := takeTurns(ctx, b.log, b.form.blank, contenders)
	if err != nil {
		return err
	}
	s := b.report.section(fmt.Sprintf("What each guarantee costs a file, %s files", thousands(b.form.some)),
		"What the migrator sends to a blank database, sent again with something left out, by a sender that does "+
			"nothing else.", "", "median", "a file", "saved a file", "rounds")
	full := all[0].median(whole)
	for _, m := range all {
		d := m.median(whole)
		s.row(m.name, short(d), short(d/time.Duration(b.form.some)), short(max(full-d, 0)/time.Duration(b.form.some)),
			fmt.Sprint(len(m.samples)))
	}
	return nil
}

// without returns the messages with what matches left out of those that hold a file.
func without(sent, patterns []string) ([]string, error) {
	cut := slices.Clone(sent)
	for _, pattern := range patterns {
		found, what := 0, regexp.MustCompile(pattern)
		for i, message := range cut {
			if isFile(sent[i]) {
				cut[i] = what.ReplaceAllString(message, "$1")
				found += len(message) - len(cut[i])
			}
		}
		if found == 0 {
			return nil, fmt.Errorf("nothing that is sent matches %q any more; bring this case up to date", pattern)
		}
	}
	return cut, nil
}

func isFile(message string) bool { return strings.Contains(message, `INSERT INTO "app"."migrations"`) }

// recordBlank returns the messages of a start on a blank database, without its questions.
func (b *bench) recordBlank(ctx context.Context) ([]string, error) {
	db, err := b.server.newDatabase(ctx)
	if err != nil {
		return nil, err
	}
	defer db.drop(ctx)
	sent, err := b.record(ctx, db, newCorpus(seed, b.form.some), "") // the service's role is not what is measured
	if err != nil {
		return nil, err
	}
	var messages []string
	for _, message := range sent {
		if strings.HasPrefix(message, "BEGIN") {
			messages = append(messages, message)
		}
	}
	return messages, nil
}

// replay sends messages to a fresh database ahead of their answers.
func (b *bench) replay(ctx context.Context, messages []string) (s sample, err error) {
	db, err := b.server.newDatabase(ctx)
	if err != nil {
		return s, err
	}
	defer db.drop(ctx)
	if err := b.server.exec(ctx, "CHECKPOINT"); err != nil {
		return s, err
	}
	conn, err := pgconn.Connect(ctx, db.conn(nil))
	if err != nil {
		return s, err
	}
	defer func() { _ = conn.Close(ctx) }()
	start := time.Now()
	written := make(chan error, 1)
	go func() {
		out := pgproto3.NewFrontend(nil, conn.Conn())
		var err error
		for _, message := range messages {
			out.SendQuery(&pgproto3.Query{String: message})
			if err = out.Flush(); err != nil {
				break
			}
		}
		written <- err
	}()
	for ready := 0; ready < len(messages); {
		message, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return s, errors.Join(err, conn.Conn().Close(), <-written)
		}
		switch message := message.(type) {
		case *pgproto3.ErrorResponse:
			return s, errors.Join(pgconn.ErrorResponseToPgError(message), conn.Conn().Close(), <-written)
		case *pgproto3.ReadyForQuery:
			ready++
		}
	}
	s.whole = time.Since(start)
	return s, <-written
}
