package main

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A probe asks a program again and again, as a load balancer and its users would, and
// remembers each answer that shows that it did not serve.
type probe struct {
	stop    chan struct{}
	joined  sync.WaitGroup
	answers int
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
	p.answers++
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

// cmdProbed ends a probe, which has to have had at least so many answers: probed 20
func cmdProbed(ts *testscript.TestScript, _ bool, args []string) {
	p := storyOf(ts).probe
	p.end()
	if len(p.faults) > 0 {
		ts.Fatalf("%d of %d answers were wrong, the first: %s", len(p.faults), p.answers, p.faults[0])
	}
	if least, _ := strconv.Atoi(args[0]); p.answers < least {
		ts.Fatalf("there were only %d answers, want %s", p.answers, args[0])
	}
}
