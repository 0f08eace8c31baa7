package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// nothingToDo measures starts that find everything applied, near and far.
func (b *bench) nothingToDo(ctx context.Context) error {
	few, err := b.current(ctx, b.form.few, nil)
	if err != nil {
		return err
	}
	some, err := b.current(ctx, b.form.some, nil)
	if err != nil {
		return err
	}
	far, err := b.current(ctx, b.form.some, b.far)
	if err != nil {
		return err
	}
	many, err := b.current(ctx, b.form.many, nil)
	if err != nil {
		return err
	}
	judge := func(all []measured, where string, limit float64) {
		title := fmt.Sprintf("Nothing to do, %s files, %s", thousands(b.form.some), where)
		ours := all[0].median(connected)
		peer, fastest := b.fastestPeer(all, connected)
		b.report.judge(title, fmt.Sprintf("at most %.1f × the fastest peer, from connect to done", limit),
			fmt.Sprintf("%s × %s (with reading the files %s ×)", ratio(ours, fastest), peer,
				ratio(all[0].median(whole), named(all, peer).median(whole))), quotient(ours, fastest) <= limit)
	}
	judge(some, "0 ms", 0.5)
	judge(far, "20 ms", 0.6)
	connecting, err := b.connecting(ctx, b.far)
	if err != nil {
		return err
	}
	beyond := far[0].samples[0].trips - connecting
	b.report.judge("Nothing to do", "connection set-up plus one round trip",
		fmt.Sprintf("%d + %d", connecting, beyond), beyond == 1)
	long, brief := many[0].median(connected), few[0].median(connected)
	b.report.judge(fmt.Sprintf("Nothing to do, %s files", thousands(b.form.many)),
		fmt.Sprintf("at most 2 × the time for %d", b.form.few),
		fmt.Sprintf("%s × (with reading the files %s ×)", ratio(long, brief),
			ratio(many[0].median(whole), few[0].median(whole))), quotient(long, brief) <= 2)
	b.report.plot(fmt.Sprintf("Nothing to do, %s files, 0 ms", thousands(b.form.some)), some, whole)
	b.report.plot(fmt.Sprintf("Nothing to do, %s files, 20 ms", thousands(b.form.some)), far, whole)
	return nil
}

// lasting are the tools that know what they have applied.
func (b *bench) lasting() []tool {
	var lasting []tool
	for _, t := range b.tools {
		if !t.floor {
			lasting = append(lasting, t)
		}
	}
	return lasting
}

func (b *bench) current(ctx context.Context, count int, through *relay) ([]measured, error) {
	where, limit := "0 ms", b.form.current
	if through != nil {
		where, limit = "20 ms", b.form.currentSlow
	}
	b.say("nothing to do, %d files, %s", count, where)
	if err := b.migrate(ctx, count); err != nil {
		return nil, err
	}
	files := newCorpus(seed, count)
	var contenders []contender
	for i, t := range b.lasting() {
		db := b.migrated[count][i]
		contenders = append(contenders, contender{
			t.name,
			func(ctx context.Context) (sample, error) { return b.apply(ctx, t, files, db, through) },
		})
	}
	contenders = append(contenders, contender{"floor: connect, SELECT 1", func(ctx context.Context) (sample, error) {
		return b.connectAndAsk(ctx, b.migrated[count][0], through)
	}})
	// As autovacuum leaves them, a minute after a migration.
	for _, db := range b.migrated[count] {
		if err := b.server.on(ctx, db, "VACUUM ANALYZE"); err != nil {
			return nil, err
		}
	}
	if _, err := takeTurns(ctx, b.log, rounds{1, 0}, contenders); err != nil { // warm up
		return nil, err
	}
	all, err := takeTurns(ctx, b.log, limit, contenders)
	if err != nil {
		return nil, err
	}
	header := []string{"", "median", "from connect to done", "slowest", "rounds", "× ours"}
	if through != nil {
		header = append(header, "round trips", "bytes on the wire")
	}
	s := b.report.section(fmt.Sprintf("Nothing to do, %s files, %s", thousands(count), where), "", header...)
	ours := all[0].median(connected)
	for _, m := range all {
		var slowest time.Duration
		for _, s := range m.samples {
			slowest = max(slowest, s.whole)
		}
		cells := []string{
			m.name, short(m.median(whole)), short(m.median(connected)), short(slowest),
			fmt.Sprint(len(m.samples)), ratio(m.median(connected), ours),
		}
		if through != nil {
			last := m.samples[len(m.samples)-1]
			cells = append(cells, fmt.Sprint(last.trips), fmt.Sprint(last.bytes))
		}
		s.row(cells...)
	}
	return all, nil
}

// migrate sees to it that there are databases that each tool has brought up to date.
func (b *bench) migrate(ctx context.Context, count int) error {
	if b.migrated[count] != nil {
		return nil
	}
	_, err := b.onBlank(ctx, count, rounds{1, 0}, nil, b.lasting())
	return err
}

// connectAndAsk is the least that any start can do.
func (b *bench) connectAndAsk(ctx context.Context, db *database, through *relay) (s sample, err error) {
	start := time.Now()
	work := func() error {
		conn, err := pgconn.Connect(ctx, db.conn(through))
		if err != nil {
			return err
		}
		_, err = askAll(ctx, conn, []string{"SELECT 1"})
		return errors.Join(err, conn.Close(ctx))
	}
	if through != nil {
		s.traffic, err = through.measure(work)
	} else {
		err = work()
	}
	s.whole = time.Since(start)
	s.connected = s.whole
	return s, err
}
