// Package ledger is the table of applied migrations.
package ledger

// Name is the table, in the schema that is migrated, which remembers
// what was applied. It is also the lock: see the package comment.
const Name = "migrations"
