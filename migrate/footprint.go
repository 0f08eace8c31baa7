package migrate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A Footprint is what a file did to a database beside its work.
type Footprint struct {
	Locks     []Lock   // the strongest on each relation that existed before, the hardest first
	Rewritten []string // tables and materialised views that got new files on disk, as TRUNCATE gives them, too
	WAL       int64    // bytes that the server wrote to its log meanwhile, other sessions' included
}

// A Lock is the strongest lock that a file took on one relation.
type Lock struct {
	Kind     string // "table", "view", "index" …
	Relation string // with its schema, when that is not the one that is migrated; an index with its table
	Mode     string // as pg_locks names it
	Earlier  bool   // it is that of a file before, which shares its transaction in a rehearsal with data
}

// lockModes are those of relations, the weakest first (PostgreSQL documentation,
// "Table-Level Locks").
func lockModes() []string {
	return []string{
		"AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock",
		"ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
	}
}

func strength(mode string) int { return slices.Index(lockModes(), mode) }

// BlocksReads reports whether a plain SELECT waits for it.
func (l Lock) BlocksReads() bool { return l.Mode == "AccessExclusiveLock" }

// BlocksWrites reports whether INSERT, UPDATE and DELETE wait for it, whatever rows
// they are about.
func (l Lock) BlocksWrites() bool {
	return strength(l.Mode) >= strength("ShareLock")
}

// Blocks says which statements of an application wait for it.
func (l Lock) Blocks() string {
	switch {
	case l.Kind == "index" && l.BlocksReads():
		return "blocks SELECT, INSERT, UPDATE and DELETE on its table"
	case l.BlocksReads():
		return "blocks SELECT, INSERT, UPDATE and DELETE"
	case l.Mode == "ExclusiveLock":
		return "blocks INSERT, UPDATE, DELETE and SELECT FOR UPDATE"
	case l.BlocksWrites():
		return "blocks INSERT, UPDATE and DELETE"
	case l.Mode == "RowExclusiveLock", l.Mode == "RowShareLock":
		return "blocks only writes to the same rows"
	}
	return "blocks neither reads nor writes"
}

// A sight is what the server shows of a database at a moment.
type sight struct {
	WAL       int64          `json:"wal"`
	Relations []relationSeen `json:"relations"` // but for the catalogue's and the ledger
	Locks     []lockSeen     `json:"locks"`     // of our own transaction
}

type relationSeen struct {
	OID     uint32 `json:"oid"`
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Storage uint32 `json:"storage"` // of its file on disk
	Table   uint32 `json:"table"`   // of an index; its own oid otherwise
}

type lockSeen struct {
	OID  uint32 `json:"oid"`
	Mode string `json:"mode"`
}

// footprint compares two sights, before a file and at the end of its transaction. It is
// a pure function. What the file itself created was not there before and so does not
// count. Of a relation that was locked already, by a file before it in the same
// transaction, it can only be told that it was touched when another mode came to it.
func footprint(before, after sight) Footprint {
	f := Footprint{WAL: after.WAL - before.WAL}
	storage := map[uint32]uint32{}
	for _, r := range after.Relations {
		storage[r.OID] = r.Storage
	}
	held, taken := before.strongest(nil), after.strongest(before.Locks)
	for _, r := range before.Relations {
		now, there := storage[r.OID]
		stored := r.Kind == "table" || r.Kind == "materialized view"
		rewritten := stored && there && now != r.Storage
		if rewritten {
			f.Rewritten = append(f.Rewritten, r.Name)
		}
		lock := Lock{Kind: r.Kind, Relation: r.Name, Mode: taken[r.OID]}
		if (lock.Mode != "" || rewritten) && strength(held[r.OID]) > strength(lock.Mode) {
			lock.Mode, lock.Earlier = held[r.OID], true
		}
		// whoever waits for it waits for its table
		weak := r.Kind == "index" && strength(lock.Mode) <= max(strength(taken[r.Table]), strength(held[r.Table]))
		if lock.Mode != "" && !weak {
			f.Locks = append(f.Locks, lock)
		}
	}
	slices.SortFunc(f.Locks, func(a, b Lock) int {
		return cmp.Or(strength(b.Mode)-strength(a.Mode), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Relation, b.Relation))
	})
	slices.Sort(f.Rewritten)
	return f
}

// strongest returns the strongest mode on each relation, but for locks that were held
// before.
func (s sight) strongest(before []lockSeen) map[uint32]string {
	modes := map[uint32]string{}
	for _, l := range s.Locks {
		if !slices.Contains(before, l) && (modes[l.OID] == "" || strength(l.Mode) > strength(modes[l.OID])) {
			modes[l.OID] = l.Mode
		}
	}
	return modes
}

// sight looks at the database from inside the transaction that is open, if any. It
// reads catalogues only.
func (m *Migrator) sight(ctx context.Context, conn *pgconn.PgConn) (s sight, err error) {
	answers, err := pg.Batch(ctx, conn, pg.Untimed+strings.NewReplacer("$schema", sqltext.QuoteText(m.Schema), "$ledger", sqltext.QuoteText(ledger.Name)).Replace(`
		WITH ledger AS MATERIALIZED (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace WHERE nspname = $schema AND relname = $ledger)
		SELECT json_build_object(
			'wal', pg_current_wal_insert_lsn() - '0/0',
			'relations', (SELECT coalesce(json_agg(json_build_object('oid', c.oid::bigint, 'storage', c.relfilenode::bigint, 'table', coalesce(indrelid, c.oid)::bigint,
					'kind', CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table'
						WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' ELSE 'table' END,
					'name', CASE WHEN nspname = $schema THEN '' ELSE nspname || '.' END || c.relname || coalesce(' of ' || t.relname, ''))), '[]')
				FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
					LEFT JOIN pg_catalog.pg_index ON indexrelid = c.oid LEFT JOIN pg_catalog.pg_class t ON t.oid = indrelid
				WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I') AND nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\_t%'
					AND coalesce(indrelid, c.oid) NOT IN (SELECT oid FROM ledger)),
			'locks', (`+locksOf("pg_backend_pid()")+`))`))
	if err != nil {
		return s, err
	}
	if err := answers[0].Decode(&s); err != nil {
		return s, fmt.Errorf("look at what a file did: %w", err)
	}
	return s, nil
}

// locksOf asks for the locks on relations that a server process holds or waits for.
func locksOf(pid string) string {
	return `SELECT coalesce(json_agg(json_build_object('oid', relation::bigint, 'mode', mode)), '[]') FROM pg_catalog.pg_locks
		WHERE pid = ` + pid + ` AND locktype = 'relation' AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())`
}
