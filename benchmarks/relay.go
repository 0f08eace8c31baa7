package main

import (
	"context"
	"net"
	"sync"
	"time"
)

// A relay passes connections on to the server as a network would that takes its time: each
// direction by half of the round trip. It counts round trips as flights: how often the client
// spoke after it had heard something.
type relay struct {
	listener  net.Listener
	server    string // address
	roundTrip time.Duration

	mu    sync.Mutex
	trips int
	heard bool
	bytes int64 // in both directions
	hear  func(sent []byte)

	connections int
}

func startRelay(ctx context.Context, server string, roundTrip time.Duration) (*relay, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{listener: listener, server: server, roundTrip: roundTrip, heard: true}
	go r.accept(ctx)
	return r, nil
}

func (r *relay) address() string { return r.listener.Addr().String() }

func (r *relay) close() { _ = r.listener.Close() }

// traffic is what went through a relay.
type traffic struct {
	trips int
	bytes int64
}

// measure returns what f sends and hears.
func (r *relay) measure(f func() error) (traffic, error) {
	r.mu.Lock()
	before := traffic{r.trips, r.bytes}
	r.mu.Unlock()
	err := f()
	r.mu.Lock()
	defer r.mu.Unlock()
	return traffic{r.trips - before.trips, r.bytes - before.bytes}, err
}

func (r *relay) accept(ctx context.Context) {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		r.mu.Lock()
		r.connections++
		r.mu.Unlock()
		go r.pass(client, server, r.spoke, func([]byte) {})
		go r.pass(server, client, func([]byte) {}, r.answered)
	}
}

func (r *relay) spoke(sent []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes += int64(len(sent))
	goodbye := len(sent) == 5 && sent[0] == 'X' // Terminate has no answer
	if r.heard && !goodbye {
		r.trips++
		r.heard = false
	}
	if r.hear != nil {
		r.hear(sent)
	}
}

func (r *relay) answered(received []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes += int64(len(received))
	r.heard = true
}

// A parcel is a piece of a stream on its way.
type parcel struct {
	content []byte
	due     time.Time
}

// pass carries one direction: what is read leaves half a round trip later, however much
// follows it, so the relay delays and does not slow down.
func (r *relay) pass(from, to net.Conn, sent, arrived func([]byte)) {
	onTheWay := make(chan parcel, 4096)
	go func() {
		defer func() { _ = to.Close() }()
		for p := range onTheWay {
			time.Sleep(time.Until(p.due))
			arrived(p.content) // first: the receiver may answer at once
			if _, err := to.Write(p.content); err != nil {
				break
			}
		}
		for range onTheWay { // so that the reader does not block
		}
	}()
	defer close(onTheWay)
	defer func() { _ = from.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			content := append([]byte(nil), buffer[:n]...)
			sent(content)
			onTheWay <- parcel{content, time.Now().Add(r.roundTrip / 2)}
		}
		if err != nil {
			return
		}
	}
}
