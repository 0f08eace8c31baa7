package main

import (
	"context"
	"database/sql/driver"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// A lateConnector is a database/sql database that learns later where it is, so that a tool
// which wants a database before it reads its files can read them first, like the others.
type lateConnector struct{ driver.Connector }

func (c *lateConnector) to(conn string) error {
	config, err := pgx.ParseConfig(conn)
	if err == nil {
		c.Connector = stdlib.GetConnector(*config)
	}
	return err
}

func (c *lateConnector) Connect(ctx context.Context) (driver.Conn, error) {
	return c.Connector.Connect(ctx)
}

// Driver is asked for before there is a connector.
func (c *lateConnector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }
