package auth

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// A queue lets a few hash at a time: each hash takes 46 MiB while it lasts. Others wait in a line that is no
// longer than what is served in two seconds; whom it has no place for is refused at once.
//
// It is fair between networks: they take turns, and when the line is full, a network that has fewer waiting takes
// the place of the last one of the network that has the most. Known visitors have a line of their own, which
// comes first.
type queue struct {
	mu      sync.Mutex
	running int
	known   line
	others  line
	average time.Duration // of a hash
}

const (
	hashesAtOnce   = 2
	longestWait    = 2 * time.Second
	waitersAtMost  = 100
	firstEstimate  = 100 * time.Millisecond // of a hash, until some were made
	weightOfTheNew = 8                      // one part in so many
)

// A place is what the queue knows of a visitor.
type place struct {
	network netip.Prefix
	known   bool // from a known device, or with a session
}

func placeOf(address netip.Addr, known bool) place {
	all := networks(address)
	return place{all[len(all)-1], known}
}

// A BusyError means that too many passwords wait to be checked. This one was not checked, and does not count.
type BusyError struct{ Wait time.Duration }

func (e *BusyError) Error() string {
	return "too many passwords are being checked; wait " + e.Wait.String()
}

// A waiter waits for a turn.
type waiter struct {
	network netip.Prefix
	turn    chan error // gets nil when it is its turn, or why there is none
}

// do calls work when it is its turn.
func (q *queue) do(ctx context.Context, at place, work func()) error {
	if err := q.enter(ctx, at); err != nil {
		return err
	}
	started := time.Now()
	defer func() { q.leave(time.Since(started)) }()
	work()
	return nil
}

// approach keeps a place for a visitor who has to ask the database before entering, and refuses who would find none:
// many who come at once must not all ask it first. The place is given up by calling leave.
func (q *queue) approach(at place) (leave func(), err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.line(at)
	full := q.running+l.length+l.coming >= hashesAtOnce+q.capacity()
	if full && l.longest() <= len(l.waiting[at.network])+1 {
		return nil, &BusyError{longestWait}
	}
	l.coming++
	return sync.OnceFunc(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		l.coming--
	}), nil
}

func (q *queue) enter(ctx context.Context, at place) error {
	q.mu.Lock()
	if q.running < hashesAtOnce {
		q.running++
		q.mu.Unlock()
		return nil
	}
	l := q.line(at)
	if l.length >= q.capacity() && !l.evict(at.network) {
		q.mu.Unlock()
		return &BusyError{longestWait}
	}
	w := &waiter{network: at.network, turn: make(chan error, 1)}
	l.add(w)
	q.mu.Unlock()
	select {
	case err := <-w.turn:
		return err
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.remove(w) {
		return ctx.Err()
	}
	if err := <-w.turn; err != nil {
		return err
	}
	q.next() // it got its turn at the same moment, and passes it on
	return ctx.Err()
}

// leave ends a turn; the next waiter has one.
func (q *queue) leave(took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.average = q.estimate() + (took-q.estimate())/weightOfTheNew
	q.next()
}

func (q *queue) next() {
	for _, l := range []*line{&q.known, &q.others} {
		if w := l.next(); w != nil {
			w.turn <- nil
			return
		}
	}
	q.running--
}

func (q *queue) line(at place) *line {
	if at.known {
		return &q.known
	}
	return &q.others
}

// capacity is how many are served in the longest wait.
func (q *queue) capacity() int {
	return min(max(int(hashesAtOnce*longestWait/q.estimate()), hashesAtOnce), waitersAtMost)
}

func (q *queue) estimate() time.Duration {
	if q.average <= 0 {
		return firstEstimate
	}
	return q.average
}

// A line is who waits, by network. The zero line is empty.
type line struct {
	waiting map[netip.Prefix][]*waiter
	turns   []netip.Prefix // networks with requests that wait, the next one first
	length  int
	coming  int // who will wait soon
}

func (l *line) add(w *waiter) {
	if l.waiting == nil {
		l.waiting = map[netip.Prefix][]*waiter{}
	}
	if len(l.waiting[w.network]) == 0 {
		l.turns = append(l.turns, w.network)
	}
	l.waiting[w.network] = append(l.waiting[w.network], w)
	l.length++
}

// next takes the first one of the network whose turn it is.
func (l *line) next() *waiter {
	if len(l.turns) == 0 {
		return nil
	}
	network := l.turns[0]
	w := l.waiting[network][0]
	l.turns = l.turns[1:]
	if l.take(network, 0); len(l.waiting[network]) > 0 {
		l.turns = append(l.turns, network)
	}
	return w
}

// evict refuses the last one of the network that has the most waiting, unless that is no more than the
// newcomer's network would have. It reports whether there is a place now.
func (l *line) evict(newcomer netip.Prefix) bool {
	most := l.longest()
	if most <= len(l.waiting[newcomer])+1 {
		return false
	}
	for _, network := range l.turns {
		if n := len(l.waiting[network]); n == most {
			w := l.waiting[network][n-1]
			l.remove(w)
			w.turn <- &BusyError{longestWait}
			return true
		}
	}
	return false
}

func (l *line) longest() (most int) {
	for _, waiting := range l.waiting {
		most = max(most, len(waiting))
	}
	return most
}

// remove reports whether the request was still waiting.
func (l *line) remove(w *waiter) bool {
	for i, other := range l.waiting[w.network] {
		if other != w {
			continue
		}
		l.take(w.network, i)
		if len(l.waiting[w.network]) == 0 {
			for j, network := range l.turns {
				if network == w.network {
					l.turns = append(l.turns[:j:j], l.turns[j+1:]...)
					break
				}
			}
		}
		return true
	}
	return false
}

func (l *line) take(network netip.Prefix, i int) {
	waiting := l.waiting[network]
	l.waiting[network] = append(waiting[:i:i], waiting[i+1:]...)
	if len(l.waiting[network]) == 0 {
		delete(l.waiting, network)
	}
	l.length--
}
