package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A bench is one run.
type bench struct {
	form     form
	server   *server
	far      *relay // with a round trip of 20 ms
	programs programs
	report   *report
	log      io.Writer // what is being done
	tools    []tool
	cookie   *http.Cookie // of a session of the web server

	migrated map[int][]*database // by files: a database of each tool that knows a second time
}

const roundTrip = 20 * time.Millisecond

// seed makes the corpus of every run the same.
const seed = 20260101

// A benchCase is one of the things to measure.
type benchCase struct {
	name string
	run  func(context.Context) error
}

func (b *bench) cases() []benchCase {
	return []benchCase{
		{"blank", b.blank},
		{"far", b.blankFarAway},
		{"long", b.blankLong},
		{"nothing", b.nothingToDo},
		{"guarantees", b.guarantees},
		{"claims", b.claims},
		{"file", b.largeFile},
		{"programs", b.manyPrograms},
		{"process", b.wholeProcess},
		{"web", b.webServer},
		{"hot", b.hotPaths},
	}
}

func (b *bench) caseNames() []string {
	return each(b.cases(), func(c benchCase) string { return c.name })
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.log, format+"\n", args...) }

// apply is one turn: load the files and bring a database up to date.
func (b *bench) apply(ctx context.Context, t tool, files corpus, db *database, through *relay) (s sample, err error) {
	laid := files.as(t.layout)
	start := time.Now()
	up, err := t.load(laid)
	if err != nil {
		return s, err
	}
	loaded := time.Now()
	work := func() error { return up(ctx, db, db.conn(through)) }
	if through != nil {
		s.traffic, err = through.measure(work)
	} else {
		err = work()
	}
	s.whole, s.connected = time.Since(start), time.Since(loaded)
	return s, err
}

// ours, peers and the floors among what was measured.
func (b *bench) fastestPeer(all []measured, of func(sample) time.Duration) (name string, fastest time.Duration) {
	for _, t := range b.tools {
		if t.floor || t.module == "" {
			continue
		}
		if d := named(all, t.name).median(of); d > 0 && (fastest == 0 || d < fastest) {
			name, fastest = t.name, d
		}
	}
	return name, fastest
}
