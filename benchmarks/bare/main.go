// Command bare answers every request with the query of the codes list and nothing else: no
// session, no opening of what is sealed, no codes. It is what the web server is measured against. Its statements are
// prepared, as pgx does by itself and as the web server has it where no pooler is in between.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The query of store.Codes.
const accounts = `
	SELECT a.id, a.vault_id, a.kind, a.algorithm, a.digits, a.period, a.sealed_secret, a.created_at, a.updated_at,
		a.version, m.role, m.created_at, m.mac, k.generation, k.master_key_id, k.sealed_key
	FROM avtotpy.accounts a
	JOIN avtotpy.vault_members m ON m.vault_id = a.vault_id AND m.user_id = current_setting('avtotpy.user_id')::uuid
	JOIN avtotpy.vault_keys k ON k.vault_id = a.vault_id AND k.generation = a.generation
	WHERE a.deleted_at IS NULL`

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: BARE_CONN=postgres://… bare ADDRESS USER")
		os.Exit(64)
	}
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(address, user string) error {
	config, err := pgxpool.ParseConfig(os.Getenv("BARE_CONN"))
	if err != nil {
		return err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return err
	}
	defer pool.Close()
	server := http.Server{
		Addr: address, ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ids, err := list(r.Context(), pool, user)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(ids) // the client is gone
		}),
	}
	return server.ListenAndServe()
}

func list(ctx context.Context, pool *pgxpool.Pool, user string) (ids []uuid.UUID, err error) {
	var batch pgx.Batch
	batch.Queue(`SELECT set_config('avtotpy.user_id', $1, true)`, user)
	batch.Queue(accounts).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			values, err := rows.Values()
			if err != nil {
				return err
			}
			id, _ := values[0].([16]byte)
			ids = append(ids, id)
		}
		return rows.Err()
	})
	return ids, pool.SendBatch(ctx, &batch).Close()
}
