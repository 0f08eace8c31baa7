package migrate_test

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/migrate"
)

// asked connects as m does, and asks.
func asked[T any](ctx context.Context, m *migrate.Migrator, connString string,
	ask func(context.Context, *pgx.Conn) (T, error),
) (answer T, err error) {
	err = m.Connect(ctx, connString, func(ctx context.Context, conn *pgx.Conn) (err error) {
		answer, err = ask(ctx, conn)
		return err
	})
	return answer, err
}

func askStatus(ctx context.Context, m *migrate.Migrator, connString string) (migrate.Status, error) {
	return asked(ctx, m, connString, func(ctx context.Context, conn *pgx.Conn) (migrate.Status, error) {
		return m.Status(ctx, conn)
	})
}

func askHistory(ctx context.Context, m *migrate.Migrator, connString string) (migrate.Status, []migrate.LedgerRow,
	error,
) {
	status, err := asked(ctx, m, connString, func(ctx context.Context, conn *pgx.Conn) (migrate.Status, error) {
		return m.Status(ctx, conn, migrate.Rows)
	})
	return status, status.Rows, err
}

func askVerify(ctx context.Context, m *migrate.Migrator, connString string) (migrate.Verification, error) {
	return asked(ctx, m, connString, func(ctx context.Context, conn *pgx.Conn) (migrate.Verification, error) {
		return m.Verify(ctx, conn)
	})
}

func askAudit(ctx context.Context, m *migrate.Migrator, connString string) (migrate.Verification, error) {
	return asked(ctx, m, connString, func(ctx context.Context, conn *pgx.Conn) (migrate.Verification, error) {
		return m.Verify(ctx, conn, migrate.Privileges)
	})
}

func askPlan(ctx context.Context, m *migrate.Migrator, connString string) (migrate.Plan, error) {
	return asked(ctx, m, connString, m.Plan)
}

func takeSnapshot(ctx context.Context, m *migrate.Migrator, connString string) (string, error) {
	return asked(ctx, m, connString, func(ctx context.Context, conn *pgx.Conn) (string, error) {
		return migrate.Snapshot(ctx, conn, m.Schema)
	})
}
