package migrate

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/pg"
)

func (r *run) connectError(err error, tried time.Duration) error {
	c := r.config
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok && refusal.Code == pg.InsufficientPrivilege {
		return pg.ConnectDenied(c, refusal)
	}
	address := net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
	if pg.SeveralHosts(c) {
		address += " (and the other hosts listed)"
	}
	cause := pg.Diagnose(err)
	next := cause.Next
	switch {
	case pg.SQLState(err) == pg.InvalidPassword && c.Password == "":
		next = "No password is given: put it into the connection string, PGPASSWORD or a password file"
	case c.SSLNegotiation == "direct" && pg.Closed(err):
		next = "Servers before PostgreSQL 17, and most poolers, close the connection at sslnegotiation=direct: " +
			"leave it out"
	}
	return &ConnectError{
		Target: fmt.Sprintf("%s as %q, database %q", address, c.User, c.Database),
		Tried:  tried, Next: next, Err: pg.Reason(err), settings: cause.Settings,
	}
}
