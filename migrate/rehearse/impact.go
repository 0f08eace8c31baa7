package rehearse

import (
	"cmp"
	_ "embed" // for a long question
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// An Impact is what a file did to a database besides its work.
type Impact struct {
	Locks     []Lock   // the strongest on each relation that existed before, the hardest first
	Rewritten []string // tables and materialised views that got new files on disk, as TRUNCATE gives them, too
	WAL       int64    // bytes that the server wrote to its log in that time, those of other sessions included
}

// A Lock is the strongest lock that a file took on one relation.
type Lock struct {
	Kind     string // "table", "view", "index" …
	Relation string // with its schema, when that is not the one that is migrated; an index with its table
	Mode     string // as pg_locks names it
}

// A File is one file that was applied, and what it cost.
type File struct {
	Version       int
	Name          string
	File          string
	NoTransaction bool          // its locks are those that PostgreSQL documents for its statement
	Elapsed       time.Duration // of its statements, without the commit
	Unmeasured    bool          // the probe failed, or its answers were lost: Impact is empty
	Impact
}

//go:embed impact.sql
var impactSQL string

// Probe is the question that a Migrator asks, as its Probe, so that [Files] can report what each file did to the
// database.
func Probe(schema string) string {
	return strings.ReplaceAll(impactSQL, ":'schema'", sqltext.QuoteText(schema))
}

// Files reports what each file did that a Migrator applied with [Probe] as its probe.
func Files(b bundle.Bundle, applied []migrate.Applied) []File {
	files := make([]File, 0, len(applied))
	for _, a := range applied {
		m := b.Migration(a.Version)
		f := File{
			Version: a.Version, Name: a.Name, File: m.File, NoTransaction: m.NoTransaction, Elapsed: a.Duration,
		}
		before, errBefore := readState(a.Before)
		after, errAfter := readState(a.After)
		if f.Unmeasured = errors.Join(errBefore, errAfter) != nil; !f.Unmeasured {
			if m.NoTransaction {
				after.Locks = before.documented(m.NoTx())
			}
			f.Elapsed = time.Duration(after.Began-before.Ended) * time.Microsecond
			f.Impact = impact(before, after)
		}
		files = append(files, f)
	}
	return files
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

// A catalogState is what the server shows of a database at a moment.
type catalogState struct {
	Began     int64          `json:"began"` // when the probe began, and when it ended, in microseconds
	Ended     int64          `json:"ended"`
	WAL       int64          `json:"wal"`
	Relations []relation     `json:"relations"`
	Locks     []relationLock `json:"locks"` // of our own transaction
}

type relation struct {
	OID      uint32 `json:"oid"`
	Kind     string `json:"kind"`
	Schema   string `json:"schema"`
	Relation string `json:"relation"`
	Name     string `json:"name"`    // for people
	Storage  uint32 `json:"storage"` // of its file on disk
	Table    uint32 `json:"table"`   // of an index; its own oid otherwise
}

type relationLock struct {
	OID  uint32 `json:"oid"`
	Mode string `json:"mode"`
}

func readState(answer json.RawMessage) (s catalogState, err error) {
	err = json.Unmarshal(answer, &s)
	return s, err
}

// impact compares two states, before a file and at the end of its transaction. It is
// a pure function. What the file itself created was not there before and so does not
// count.
func impact(before, after catalogState) Impact {
	i := Impact{WAL: after.WAL - before.WAL}
	storage := map[uint32]uint32{}
	for _, r := range after.Relations {
		storage[r.OID] = r.Storage
	}
	taken := after.strongest()
	for _, r := range before.Relations {
		now, there := storage[r.OID]
		stored := r.Kind == "table" || r.Kind == "materialized view"
		if stored && there && now != r.Storage {
			i.Rewritten = append(i.Rewritten, r.Name)
		}
		// a statement that waits for such an index waits for its table
		weak := r.Kind == "index" && strength(taken[r.OID]) <= strength(taken[r.Table])
		if mode := taken[r.OID]; mode != "" && !weak {
			i.Locks = append(i.Locks, Lock{Kind: r.Kind, Relation: r.Name, Mode: mode})
		}
	}
	slices.SortFunc(i.Locks, func(a, b Lock) int {
		return cmp.Or(strength(b.Mode)-strength(a.Mode), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Relation, b.Relation))
	})
	slices.Sort(i.Rewritten)
	return i
}

// strongest returns the strongest mode on each relation.
func (s catalogState) strongest() map[uint32]string {
	modes := map[uint32]string{}
	for _, l := range s.Locks {
		if modes[l.OID] == "" || strength(l.Mode) > strength(modes[l.OID]) {
			modes[l.OID] = l.Mode
		}
	}
	return modes
}
