package main

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/avtotpy/avtotpy/internal/pgtest"
)

// echo answers each byte with the same byte.
func echo(conn net.Conn) { _, _ = io.Copy(conn, conn) }

func TestTheRelayDelaysAndCountsFlights(t *testing.T) {
	t.Parallel()
	const roundTrip = 10 * time.Millisecond
	r, err := startRelay(t.Context(), pgtest.Serve(t, echo), roundTrip)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", r.address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	start := time.Now()
	got, err := r.measure(func() error {
		for range 3 { // three flights of two messages each
			for range 2 {
				if _, err := conn.Write([]byte("x")); err != nil {
					return err
				}
			}
			if _, err := io.ReadFull(conn, make([]byte, 2)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := (traffic{trips: 3, bytes: 12}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if took := time.Since(start); took < 3*roundTrip {
		t.Errorf("three round trips of %s took %s", roundTrip, took)
	}
}

func TestQueriesOfAStreamAreFound(t *testing.T) {
	t.Parallel()
	stream := "\x00\x00\x00\x09user\x00" + "p\x00\x00\x00\x05x" + "Q\x00\x00\x00\x0dSELECT 1\x00" + "X\x00\x00\x00\x04"
	if got := queries([]byte(stream)); len(got) != 1 || got[0] != "SELECT 1" {
		t.Errorf("got %q, want one SELECT 1", got)
	}
}
