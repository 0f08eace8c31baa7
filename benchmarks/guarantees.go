package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// guarantees measures what each one costs a start with nothing to do: the questions of a real
// start are recorded, and asked again with one left out.
func (b *bench) guarantees(ctx context.Context) error {
	for _, count := range []int{b.form.some, b.form.many} {
		if err := b.guaranteesOf(ctx, count); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) guaranteesOf(ctx context.Context, count int) error {
	b.say("cost of each guarantee, %d files", count)
	if err := b.migrate(ctx, count); err != nil {
		return err
	}
	db := b.migrated[count][0]
	questions, err := b.record(ctx, db, newCorpus(seed, count), db.web)
	if err != nil {
		return err
	}
	if len(questions) != 5 { // four questions, and the end of their transaction
		return fmt.Errorf("a start with nothing to do sent %d messages, not 5: %q", len(questions), questions)
	}
	variants, err := variantsOf(questions)
	if err != nil {
		return err
	}
	conn, err := pgconn.Connect(ctx, db.conn(nil))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var contenders []contender
	for _, v := range variants {
		contenders = append(contenders, contender{v.name, func(ctx context.Context) (s sample, err error) {
			start := time.Now()
			_, err = askAll(ctx, conn, v.questions)
			s.whole = time.Since(start)
			return s, err
		}})
	}
	all, err := takeTurns(ctx, b.log, b.form.asking, contenders)
	if err != nil {
		return err
	}
	s := b.report.section(fmt.Sprintf("What each guarantee costs a start with nothing to do, %s files",
		thousands(count)),
		"One connection, which has been used before; the questions of a real start, one of them left out or "+
			"without a part.", "", "median", "saved", "rounds")
	full := all[0].median(whole)
	for _, m := range all {
		s.row(m.name, short(m.median(whole)), short(max(full-m.median(whole), 0)), fmt.Sprint(len(m.samples)))
	}
	return nil
}

// A variant is the questions of a start, or a part of them.
type variant struct {
	name      string
	questions []string
}

func variantsOf(questions []string) (all []variant, err error) {
	facts, ledger, privileges, owners, end := questions[0], questions[1], questions[2], questions[3], questions[4]
	cut := func(question string, parts ...string) string {
		for _, part := range parts {
			pattern := regexp.MustCompile(part)
			if !pattern.MatchString(question) {
				err = fmt.Errorf("no start asks %q any more; bring this case up to date", part)
			}
			question = pattern.ReplaceAllString(question, "$1")
		}
		return question
	}
	all = []variant{
		{"the whole look", questions},
		{"without the checksums", []string{
			facts,
			cut(ledger, `'fingerprint', .*\n()`, `'whole', .*\n()`, `coalesce\(string_agg\(.*known,()`,
				`,\s*coalesce\(string_agg\(.*newer()`), privileges, owners, end,
		}},
		{"without the schema's comment", []string{
			facts,
			cut(ledger, `,\s*'comment', \(SELECT description.*(\)\s*FROM)`), privileges, owners, end,
		}},
		{"without looking for claims", []string{
			facts,
			cut(ledger, `'unfinished', unfinished, 'claimed', claimed,()`, `FILTER \(WHERE [^)]*open\)()`,
				`.*AS unfinished,\n()`, `.*AS claimed,\n()`), privileges, owners, end,
		}},
		{"without the owners of objects", []string{facts, ledger, privileges, end}},
		{"without the privileges", []string{facts, ledger, end}},
		{"only the last version", []string{"SELECT max(version) FROM " + schemaName + ".migrations"}},
		{"SELECT 1", []string{"SELECT 1"}},
	}
	return all, err
}

// record returns the simple queries that a run of our migrator sends; role is the service's,
// "" for none.
func (b *bench) record(ctx context.Context, db *database, files corpus, role string) ([]string, error) {
	near, err := startRelay(ctx, b.server.address(), 0)
	if err != nil {
		return nil, err
	}
	defer near.close()
	var stream []byte
	near.hear = func(sent []byte) { stream = append(stream, sent...) } // of the only connection
	bundle, err := bundle.Load(files.as(plain))
	if err != nil {
		return nil, err
	}
	m := migratorOf(bundle, role)
	if role == "" {
		m.Role = privilege.Role{}
	}
	_, err = m.Up(ctx, db.conn(near))
	near.mu.Lock()
	defer near.mu.Unlock()
	return queries(stream), err
}

// queries cuts a client's stream into messages and returns the simple queries.
func queries(stream []byte) []string {
	if len(stream) < 4 {
		return nil
	}
	stream = stream[min(int(binary.BigEndian.Uint32(stream)), len(stream)):] // the start-up message has no type
	var found []string
	for len(stream) >= 5 {
		end := min(1+int(binary.BigEndian.Uint32(stream[1:])), len(stream))
		if stream[0] == 'Q' {
			found = append(found, strings.TrimSuffix(string(stream[5:end]), "\x00"))
		}
		stream = stream[end:]
	}
	return found
}

// askAll asks simple queries in one flight.
func askAll(ctx context.Context, conn *pgconn.PgConn, questions []string) (answers []string, err error) {
	for _, q := range questions {
		conn.Frontend().SendQuery(&pgproto3.Query{String: q})
	}
	if err := conn.Frontend().Flush(); err != nil {
		return nil, err
	}
	for ready := 0; ready < len(questions); {
		message, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return nil, err
		}
		switch message := message.(type) {
		case *pgproto3.DataRow:
			answers = append(answers, string(message.Values[0]))
		case *pgproto3.ErrorResponse:
			return nil, pgconn.ErrorResponseToPgError(message)
		case *pgproto3.ReadyForQuery:
			ready++
		}
	}
	return answers, nil
}
