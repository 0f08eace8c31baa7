package main

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// A probe asks a program again and again, as a load balancer and its users would, and
// remembers each answer that shows that it did not serve.
type probe struct {
	stop    chan struct{}
	joined  sync.WaitGroup
	answers atomic.Int64
	faults  []string
}

// cmdProbe begins to ask the program at AVTOTPY_LISTEN_ADDR whether it is ready and for a
// page that reads the database; probed ends that. Each answer has to be the good one.
func cmdProbe(ts *testscript.TestScript, _ bool, _ []string) {
	p := &probe{stop: make(chan struct{})}
	address := ts.Getenv("AVTOTPY_LISTEN_ADDR")
	p.joined.Go(func() {
		for {
			p.ask(ts, address+"/readyz", http.StatusOK)
			p.ask(ts, address+"/login", http.StatusSeeOther) // to the set-up: it looks whether there are users
			select {
			case <-p.stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	ts.Defer(p.end)
	storyOf(ts).probe = p
}

func (p *probe) ask(ts *testscript.TestScript, url string, want int) {
	status, body := fetch(ts, url)
	p.answers.Add(1)
	if status != want {
		p.faults = append(p.faults, fmt.Sprintf("%s answered %d %s", url, status, body))
	}
}

func (p *probe) end() {
	if p.stop != nil {
		close(p.stop)
		p.joined.Wait()
		p.stop = nil
	}
}

// cmdProbing waits until so many more answers have come: probing 20
func cmdProbing(ts *testscript.TestScript, _ bool, args []string) {
	p := storyOf(ts).probe
	more, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	want := p.answers.Load() + more
	ts.Check(pgtest.Poll("the program answers the probe", func() error {
		return pgtest.Unless(p.answers.Load() >= want, "%d answers, want %d", p.answers.Load(), want)
	}))
}

// cmdProbed ends a probe.
func cmdProbed(ts *testscript.TestScript, _ bool, _ []string) {
	p := storyOf(ts).probe
	p.end()
	if len(p.faults) > 0 {
		ts.Fatalf("%d of %d answers were wrong, the first: %s", len(p.faults), p.answers.Load(), p.faults[0])
	}
}
