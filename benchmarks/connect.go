package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// connecting returns the round trips of opening and closing a connection through a relay.
func (b *bench) connecting(ctx context.Context, through *relay) (trips int, err error) {
	t, err := through.measure(func() error {
		conn, err := pgconn.Connect(ctx, b.server.connString(adminRole, "postgres", through.address()))
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
	return t.trips, err
}

// connectTime is the median of what opening a connection takes, the login included.
func (b *bench) connectTime(ctx context.Context) (time.Duration, error) {
	var all []time.Duration
	for range 2 * b.form.starts {
		start := time.Now()
		conn, err := pgconn.Connect(ctx, b.server.connString(ownerRole, "postgres", b.server.address()))
		if err != nil {
			return 0, err
		}
		all = append(all, time.Since(start))
		if err := conn.Close(ctx); err != nil {
			return 0, err
		}
	}
	return median(all), nil
}
