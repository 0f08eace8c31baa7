// Package migrate brings one schema of a PostgreSQL database to the version that
// a program was built for, on every start of that program.
//
// A program bundles its migrations as SQL files, 0001_users.sql, 0002_tags.sql
// and so on, and calls [Migrator.Up] with a privileged connection string before it
// serves. Up creates the schema on a blank database, applies the files that are
// pending, creates the unprivileged role that the program itself connects as, and
// makes that role's privileges equal to the declared ones.
//
// What it promises, in this order:
//
//   - Nothing is lost. Each file runs in one transaction together with its row in
//     the ledger, the table "migrations" of the schema. A file that fails is rolled
//     back, the ones before it stay, and the next Up goes on with it. A database
//     that contradicts the bundle is refused and left as it is.
//   - Each file is applied once, however many programs start together. The ledger
//     is the lock: the row is inserted before the file runs, and its primary key
//     lets one of them go on. There is no other lock, so nothing leaks through a
//     pooler in transaction mode and nothing is stranded by a crash. Others wait
//     by polling and say for whom.
//   - A crash, a lost connection or a failover at any moment leaves a state from
//     which Up goes on by itself: it connects again and looks again.
//   - A start with nothing to do writes nothing, takes no lock and costs one round
//     trip after connecting. It works on a hot standby, too.
//   - Files are sent ahead of their answers, so a slow network costs a round trip
//     for each 64 files, not several for each file. Through a pooler each file waits
//     for the answer to the one before it, because some poolers pass the answers of a
//     client that vanished on to the next one.
//   - The service's role can do what is declared and nothing else. Its privileges are
//     made so and read back from the catalogue at each Up; what Up may not fix is
//     an error with the SQL for a DBA. [Migrator.Verify] proves the same at any time.
//   - An operator sees what happens: [Migrator.Progress] and the log say which file
//     runs, what it waits for, and which session blocks it.
//   - Errors say what an operator needs: the file, line and column, the statement,
//     and the next step.
//
// The role that Up connects as needs CONNECT and CREATE on the database, and
// CREATEROLE when the unprivileged role does not exist yet. It never needs to be a
// superuser, and no extension is used. PostgreSQL 15 and newer are supported.
//
// Inside each transaction the search_path is the migrated schema, the time
// zone is UTC, and no timeout of the server's cuts a file; lock_timeout is
// [Migrator.LockTimeout], since a statement that queues for a table lock makes
// every query of the application queue behind it. A file must not end its
// transaction, change the session, or use what cannot run in a transaction;
// [bundle.Load] refuses such files and says what to write instead.
//
// [Migrator.Status], [Migrator.Verify] and [Migrator.Plan] report how a database stands
// and what Up would do, and change nothing; they take a connection, which
// [Migrator.Connect] makes from a connection string. Package migrate/rehearse applies the files on a
// scratch database, and reports what each costs; [Migrator.Await] is for a service whose
// schema something else migrates.
//
// A comment "-- migrate:min-version N" at the top of a file says that bundles
// which end before N cannot work with the schema after it: the file takes away
// something that they use. Without it an older program may keep serving with a
// newer schema, which is what makes rolling updates and rollbacks possible.
//
// Package migrate/review is for a test in the program that bundles the files: it finds
// what the server would accept and operators would pay for, such as an index that stops
// every write while it is built. A comment "-- migrate:allow RULE because REASON" at
// the top says that a rule is wrong for a file; docs/writing-migrations.md lists them.
package migrate
