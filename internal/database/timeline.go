package database

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// A timeline is the part of a cluster's history that a server writes. Each promotion begins one with a higher number,
// so of two primaries of a cluster the one with the lower number was followed by the other, and was never stopped.
type timeline struct {
	cluster string // its system identifier, which a standby has in common with its primary
	number  uint64
}

// timelines keeps the highest timeline of each cluster that was seen. It is forgotten when the process ends.
type timelines struct {
	log *slog.Logger

	mu      sync.Mutex
	highest map[string]uint64
}

// A PastError means that a primary was reached whose successor this process has worked with. What is written there is
// lost.
type PastError struct{ Timeline, Successor uint64 }

func (e *PastError) Error() string {
	return fmt.Sprintf("the server is a primary of the past, which was never stopped: it writes timeline %d, and this "+
		"process has worked with "+
		"timeline %d of the same cluster; stop that server, or restart AVTotpy if the database was set back "+
		"on purpose", e.Timeline, e.Successor)
}

// note refuses a primary whose timeline was left. It reports whether the timeline is newer than all that were seen of
// its cluster before. Where the server does not reveal its timeline, nothing is known.
func (t *timelines) note(ctx context.Context, conn *pgconn.PgConn) (newer bool, err error) {
	at, err := timelineOf(ctx, conn)
	if err != nil {
		if KindOf(err) != Away && KindOf(err) != Cancelled {
			t.log.Debug("the server does not reveal its timeline", "error", err)
			return false, nil
		}
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	highest, known := t.highest[at.cluster]
	if known && at.number < highest {
		return false, &PastError{at.number, highest}
	}
	t.highest[at.cluster] = at.number
	return known && at.number > highest, nil
}

// timelineOf asks a primary. What pg_control_checkpoint returns is older than a promotion until the next checkpoint;
// the name of a WAL file begins with the timeline, in hexadecimal.
func timelineOf(ctx context.Context, conn *pgconn.PgConn) (timeline, error) {
	result := conn.ExecParams(ctx, `
		SELECT (pg_catalog.pg_control_system()).system_identifier::pg_catalog.text,
			pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8)`,
		nil, nil, nil, nil).Read()
	if result.Err != nil {
		return timeline{}, result.Err
	}
	number, err := strconv.ParseUint(string(result.Rows[0][1]), 16, 32)
	return timeline{string(result.Rows[0][0]), number}, err
}
