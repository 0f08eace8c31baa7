package main

import (
	"context"
	"fmt"
	"time"
)

// onBlank measures each tool on fresh databases. The databases of the last round stay for the
// cases with nothing to do.
func (b *bench) onBlank(ctx context.Context, count int, limit rounds, through *relay, tools []tool) ([]measured,
	error,
) {
	files := newCorpus(seed, count)
	kept := make([]*database, len(tools))
	var contenders []contender
	for i, t := range tools {
		contenders = append(contenders, contender{t.name, func(ctx context.Context) (sample, error) {
			if kept[i] != nil {
				kept[i].drop(ctx)
			}
			db, err := b.server.newDatabase(ctx)
			if err != nil {
				return sample{}, err
			}
			kept[i] = db
			// What the last turn left to be written must not disturb this one.
			if err := b.server.exec(ctx, "CHECKPOINT"); err != nil {
				return sample{}, err
			}
			return b.apply(ctx, t, files, db, through)
		}})
	}
	all, err := takeTurns(ctx, b.log, limit, contenders)
	if err != nil {
		return all, err
	}
	b.keep(ctx, count, through, tools, kept)
	return all, nil
}

// keep drops the databases of the last round that no other case needs.
func (b *bench) keep(ctx context.Context, count int, through *relay, tools []tool, databases []*database) {
	var kept []*database
	for i, t := range tools {
		if t.floor || through != nil {
			databases[i].drop(ctx)
			continue
		}
		kept = append(kept, databases[i])
	}
	if through == nil {
		b.migrated[count] = kept
	}
}

// table shows what was measured on blank databases.
func (b *bench) table(title, about string, all []measured, files int) {
	header := []string{"", "median", "fastest", "slowest", "rounds", "a file", "× ours"}
	far := len(all[0].samples) > 0 && all[0].samples[0].trips > 0
	if far {
		header = append(header, "round trips", "kB on the wire")
	}
	s := b.report.section(title, about, header...)
	ours := all[0].median(whole)
	for _, m := range all {
		d := m.median(whole)
		fastest, slowest := d, d
		for _, s := range m.samples {
			fastest, slowest = min(fastest, s.whole), max(slowest, s.whole)
		}
		cells := []string{
			m.name, short(d), short(fastest), short(slowest), fmt.Sprint(len(m.samples)),
			short(d / time.Duration(files)), ratio(d, ours),
		}
		if far {
			last := m.samples[len(m.samples)-1]
			cells = append(cells, fmt.Sprint(last.trips), fmt.Sprint(last.bytes/1000))
		}
		s.row(cells...)
	}
}

const (
	floorOne = "floor: a message a file"
	floorAll = "floor: one transaction"
)

func (b *bench) blank(ctx context.Context) error {
	const warmUp = 10 // files: the first to come must not pay for a server that has just begun
	if _, err := b.onBlank(ctx, warmUp, rounds{1, 0}, nil, b.tools); err != nil {
		return err
	}
	b.say("blank, %d files", b.form.some)
	all, err := b.onBlank(ctx, b.form.some, b.form.blank, nil, b.tools)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("Blank, %s files, 0 ms", thousands(b.form.some))
	b.table(title, fmt.Sprintf("Mixed CREATE TABLE, ALTER, CREATE INDEX, INSERT and UPDATE, %s kB in all.",
		thousands(newCorpus(seed, b.form.some).size()/1000)), all, b.form.some)
	ours := all[0].median(whole)
	peer, fastest := b.fastestPeer(all, whole)
	b.report.judge(title, "at most 0.5 × the fastest peer", fmt.Sprintf("%s × %s", ratio(ours, fastest), peer),
		quotient(ours, fastest) <= 0.5)
	for _, floor := range []string{floorOne, floorAll} {
		d := named(all, floor).median(whole)
		b.report.judge(title, "at most 1.3 × the floor", fmt.Sprintf("%s × %s", ratio(ours, d), floor),
			quotient(ours, d) <= 1.3)
	}
	b.report.plot(title, all, whole)
	b.report.perFile = ours / time.Duration(b.form.some)
	return nil
}

func (b *bench) blankFarAway(ctx context.Context) error {
	b.say("blank, %d files, %s round trip", b.form.slow, roundTrip)
	all, err := b.onBlank(ctx, b.form.slow, b.form.blankSlow, b.far, b.tools)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("Blank, %d files, 20 ms round trip", b.form.slow)
	b.table(title, "Round trips with those of connecting.", all, b.form.slow)
	ours := all[0].median(whole)
	peer, fastest := b.fastestPeer(all, whole)
	b.report.judge(title, "at most 0.04 × the fastest peer", fmt.Sprintf("%.3f × %s", quotient(ours, fastest), peer),
		quotient(ours, fastest) <= 0.04)
	b.report.plot(title, all, whole)
	return nil
}

func (b *bench) blankLong(ctx context.Context) error {
	b.say("blank, %d files", b.form.many)
	all, err := b.onBlank(ctx, b.form.many, b.form.blankMany, nil, b.tools)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("Blank, %s files, 0 ms", thousands(b.form.many))
	b.table(title, "", all, b.form.many)
	ours := all[0].median(whole)
	growth := quotient(ours/time.Duration(b.form.many), b.report.perFile)
	b.report.judge(title, fmt.Sprintf("cost per file at most 1.5 × that of %s files", thousands(b.form.some)),
		fmt.Sprintf("%.2f ×", growth), growth <= 1.5)
	peer, fastest := b.fastestPeer(all, whole)
	b.report.judge(title, "at most 0.7 × the fastest peer", fmt.Sprintf("%s × %s", ratio(ours, fastest), peer),
		quotient(ours, fastest) <= 0.7)
	b.report.plot(title, all, whole)
	return nil
}

// thousands writes 10000 as 10,000.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
