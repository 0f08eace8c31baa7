package migrate_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// TestReplicasBehindATransactionPooler proves that nothing depends on a session:
// each transaction may run on another server connection, and there are fewer of
// these than migrators.
func TestReplicasBehindATransactionPooler(t *testing.T) {
	t.Parallel()
	const replicas, count, serverConnections = 16, 50, 5
	db := pgtest.Blank(t)
	pooled := pgtest.PgBouncer(t, serverConnections, map[string]string{"migrator": db.MigratorConn, "web": db.WebConn})
	sql := tables(count)

	reports, errs := make([]migrate.Report, replicas), make([]error, replicas)
	var wg sync.WaitGroup
	for i := range replicas {
		wg.Go(func() { reports[i], errs[i] = migrator(t, db, sql...).Up(context.Background(), pooled["migrator"]) })
	}
	wg.Wait()
	applied := 0
	for i := range replicas {
		if errs[i] != nil {
			t.Errorf("replica %d: %v", i, errs[i])
		}
		applied += len(reports[i].Applied)
	}
	if applied != count {
		t.Errorf("%d files were applied in all, want %d", applied, count)
	}
	for i := range count {
		if n := pgtest.Value[int](t, db.SuperConn, fmt.Sprintf("SELECT count(*) FROM app.t%d", i+1)); n != 1 {
			t.Errorf("file %d was applied %d times", i+1, n)
		}
	}
	status, err := migrator(t, db, sql...).Status(t.Context(), pooled["web"])
	if err != nil || status.State != migrate.Current {
		t.Errorf("the service's role through the pooler: %v, %v", status.State, err)
	}
	if n := pgtest.Value[int](t, db.SuperConn, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"); n != 0 {
		t.Errorf("%d advisory locks are held", n)
	}
}
