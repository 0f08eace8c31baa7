package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// A busyQueue is a queue all of whose turns are taken until they are ended by hand.
type busyQueue struct {
	queue
	t     *testing.T
	mu    sync.Mutex
	order []string // of turns
	wg    sync.WaitGroup
}

func newBusyQueue(t *testing.T) *busyQueue {
	t.Helper()
	q := &busyQueue{t: t}
	for range hashesAtOnce {
		if err := q.enter(t.Context(), place{}); err != nil {
			t.Fatal(err)
		}
	}
	return q
}

// come waits for a turn, which is over at once.
func (q *busyQueue) come(ctx context.Context, name, network string, known bool) <-chan error {
	result := make(chan error, 1)
	q.wg.Go(func() {
		result <- q.do(ctx, place{netip.MustParsePrefix(network), known}, func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.order = append(q.order, name)
		})
	})
	return result
}

// wait waits until so many are in both lines.
func (q *busyQueue) wait(n int) {
	q.t.Helper()
	pgtest.Eventually(q.t, fmt.Sprintf("%d wait", n), func() error {
		q.queue.mu.Lock()
		defer q.queue.mu.Unlock()
		if got := q.known.length + q.others.length; got != n {
			return fmt.Errorf("%d wait", got)
		}
		return nil
	})
}

// TestAKnownDeviceIsNextHoweverManyWait is 200 wrong logins at once, from 200 addresses.
func TestAKnownDeviceIsNextHoweverManyWait(t *testing.T) {
	t.Parallel()
	q := newBusyQueue(t)
	var results []<-chan error
	most := q.capacity()
	for i := range 200 {
		results = append(results, q.come(t.Context(), "stranger", fmt.Sprintf("192.0.2.%d/32", i), false))
	}
	refused := 0
	for refused < 200-most { // at once: none has had a turn
		for i, result := range results {
			select {
			case err := <-result:
				if busy, ok := errors.AsType[*BusyError](err); !ok || busy.Wait <= 0 {
					t.Fatalf("refused with %v", err)
				}
				refused++
				results[i] = nil
			default:
			}
		}
	}
	q.wait(most)
	if _, err := q.approach(place{netip.MustParsePrefix("198.51.100.1/32"), false}); err == nil {
		t.Error("it says that there is room for another stranger")
	}
	leave, err := q.approach(place{netip.MustParsePrefix("198.51.100.1/32"), true})
	if err != nil {
		t.Fatal("it says that there is no room for a known device")
	}
	leave()
	right := q.come(t.Context(), "known", "198.51.100.1/32", true)
	q.wait(most + 1)
	q.leave(100 * time.Millisecond)
	if err := <-right; err != nil {
		t.Errorf("the known device got %v", err)
	}
	q.wg.Wait()
	if q.order[0] != "known" || len(q.order) != most+1 {
		t.Errorf("%d turns, the first one for %s", len(q.order), q.order[0])
	}
}

// TestWhoComesAtOnceDoesNotAskTheDatabaseFirst is about the moment before any request waits.
func TestWhoComesAtOnceDoesNotAskTheDatabaseFirst(t *testing.T) {
	t.Parallel()
	var q queue
	let := 0
	var leave []func()
	for i := range 200 {
		if one, err := q.approach(place{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32),
			false,
		}); err == nil {
			let++
			leave = append(leave, one)
		}
	}
	if want := q.capacity() + hashesAtOnce; let != want {
		t.Errorf("%d of 200 may ask, want %d", let, want)
	}
	for _, one := range leave {
		one()
		one() // twice is once
	}
	if q.others.coming != 0 {
		t.Errorf("%d are still coming", q.others.coming)
	}
}

func TestNetworksTakeTurns(t *testing.T) {
	t.Parallel()
	q := newBusyQueue(t)
	waiting := 0
	for _, c := range []struct {
		name, network string
		n             int
	}{{"many", "192.0.2.1/32", 6}, {"two", "192.0.2.2/32", 2}, {"one", "192.0.2.3/32", 1}} {
		for range c.n {
			q.come(t.Context(), c.name, c.network, false)
			waiting++
			q.wait(waiting)
		}
	}
	q.leave(100 * time.Millisecond)
	q.wg.Wait()
	if got, want := fmt.Sprint(q.order), "[many two one many two many many many many]"; got != want {
		t.Errorf("turns %s, want %s", got, want)
	}
}

func TestALineIsNotFilledByOneNetwork(t *testing.T) {
	t.Parallel()
	q := newBusyQueue(t)
	many, evicted := "192.0.2.1/32", 0
	most := q.capacity()
	var flood []<-chan error
	for i := range most {
		flood = append(flood, q.come(t.Context(), "flood", many, false))
		q.wait(i + 1)
	}
	if err := <-q.come(t.Context(), "flood", many, false); err == nil {
		t.Error("one more of the same network was let in")
	}
	other := q.come(t.Context(), "other", "192.0.2.2/32", false)
	if err := <-flood[most-1]; err == nil {
		t.Error("the last one of the many kept its place")
	}
	q.wait(most)
	q.leave(100 * time.Millisecond)
	if err := <-other; err != nil {
		t.Errorf("the other network: %v", err)
	}
	q.wg.Wait()
	for _, result := range flood[:most-1] {
		if <-result != nil {
			evicted++
		}
	}
	if evicted != 0 || q.order[1] != "other" {
		t.Errorf("%d more of the many were refused; turns %v", evicted, q.order)
	}
}

func TestWhoLeavesTheLineTakesNoTurn(t *testing.T) {
	t.Parallel()
	q := newBusyQueue(t)
	ctx, cancel := context.WithCancel(t.Context())
	gone := q.come(ctx, "gone", "192.0.2.1/32", false)
	q.wait(1)
	stays := q.come(t.Context(), "stays", "192.0.2.1/32", false)
	q.wait(2)
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	q.wait(1)
	q.leave(100 * time.Millisecond)
	if err := <-stays; err != nil {
		t.Error(err)
	}
	q.leave(100 * time.Millisecond)
	if q.running != 0 || len(q.others.turns) != 0 || len(q.others.waiting) != 0 {
		t.Errorf("left are %d turns, %v", q.running, q.others)
	}
}

// TestTurnsAreNotLost lets many come and go at once.
func TestTurnsAreNotLost(t *testing.T) {
	t.Parallel()
	var q queue
	var wg sync.WaitGroup
	var mu sync.Mutex
	running, most := 0, 0
	for i := range 2000 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%7)*time.Millisecond)
			defer cancel()
			// some are refused, and some give up
			_ = q.do(ctx, place{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 5)}), 32), i%3 == 0},
				func() {
					mu.Lock()
					running++
					most = max(most, running)
					mu.Unlock()
					time.Sleep(50 * time.Microsecond)
					mu.Lock()
					running--
					mu.Unlock()
				})
		})
	}
	wg.Wait()
	if most > hashesAtOnce || q.running != 0 || q.known.length != 0 || q.others.length != 0 ||
		len(q.others.waiting) != 0 {
		t.Errorf("%d at once; left are %d turns, %d and %d who wait", most, q.running, q.known.length, q.others.length)
	}
}

func TestTheLineIsAsLongAsIsServedInTwoSeconds(t *testing.T) {
	t.Parallel()
	for hash, want := range map[time.Duration]int{
		0: 40, 50 * time.Millisecond: 80, 200 * time.Millisecond: 20,
		time.Millisecond: waitersAtMost, time.Minute: hashesAtOnce,
	} {
		if got := (&queue{average: hash}).capacity(); got != want {
			t.Errorf("hashes of %v: %d may wait, want %d", hash, got, want)
		}
	}
}
