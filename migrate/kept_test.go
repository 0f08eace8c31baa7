package migrate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// changesOfTheLedger are statements that make, change, lock or drop the ledger or what
// belongs to it; $l is its name.
var changesOfTheLedger = []string{
	"CREATE TABLE $l (id int)", "CREATE TABLE IF NOT EXISTS $l (version int)", "CREATE UNLOGGED TABLE $l (id int)",
	"CREATE TABLE $l AS SELECT 1",
	"CREATE VIEW $l AS SELECT 1", "CREATE OR REPLACE VIEW $l AS SELECT 1",
	"CREATE MATERIALIZED VIEW IF NOT EXISTS $l AS SELECT 1", "CREATE RECURSIVE VIEW $l (a) AS SELECT 1",
	"CREATE SEQUENCE IF NOT EXISTS $l", "CREATE TYPE $l AS (a int)", "CREATE TYPE $l AS ENUM ('a')",
	"CREATE DOMAIN $l AS int", "CREATE FOREIGN TABLE $l (a int) SERVER s",
	"SELECT 1 AS a INTO $l", "SELECT 1 AS a INTO UNLOGGED TABLE $l", "CREATE TABLE x PARTITION OF $l DEFAULT",
	"CREATE TABLE x () INHERITS (y, $l)",
	"CREATE TABLE x (a int REFERENCES $l)", "CREATE TABLE x (a int, FOREIGN KEY (a) REFERENCES $l (version))",
	"ALTER TABLE $l ADD COLUMN a int", "ALTER TABLE IF EXISTS ONLY $l ENABLE ROW LEVEL SECURITY",
	"ALTER TABLE $l RENAME TO old", "ALTER TABLE $l RENAME COLUMN name TO title",
	"ALTER TABLE $l SET SCHEMA x", "ALTER TABLE $l OWNER TO x", "ALTER VIEW $l RENAME TO x",
	"ALTER TABLE x ATTACH PARTITION $l DEFAULT", "ALTER TABLE x INHERIT $l",
	"ALTER SEQUENCE x OWNED BY $l.version", "ALTER TRIGGER x ON $l RENAME TO y", "ALTER POLICY x ON $l USING (true)",
	"CREATE INDEX ON $l (name)", "CREATE INDEX IF NOT EXISTS i ON $l USING btree (name)",
	"CREATE UNIQUE INDEX i ON ONLY $l (name)",
	"CREATE TRIGGER x BEFORE INSERT OR UPDATE OF name ON $l FOR EACH ROW EXECUTE FUNCTION f()",
	"CREATE OR REPLACE CONSTRAINT TRIGGER x AFTER INSERT ON $l EXECUTE FUNCTION f()",
	"CREATE POLICY x ON $l USING (true)", "CREATE RULE x AS ON INSERT TO $l DO INSTEAD NOTHING",
	"CREATE RULE x AS ON UPDATE TO y DO ALSO DELETE FROM $l",
	"CREATE STATISTICS x ON name, version FROM $l", "CREATE PUBLICATION x FOR TABLE y, $l",
	"ALTER PUBLICATION x ADD TABLE $l",
	"DROP TABLE $l", "DROP TABLE IF EXISTS x, $l CASCADE", "DROP VIEW $l", "DROP TRIGGER x ON $l",
	"DROP POLICY IF EXISTS x ON $l", "DROP RULE x ON $l",
	"TRUNCATE $l", "TRUNCATE TABLE ONLY x *, $l CASCADE", "LOCK TABLE x, $l IN SHARE MODE", "LOCK $l",
	"COMMENT ON TABLE $l IS 'x'", "COMMENT ON COLUMN $l.name IS 'x'",
	"COMMENT ON CONSTRAINT migrations_prev_check ON $l IS 'x'", "COMMENT ON TYPE $l IS 'x'",
	"SECURITY LABEL FOR p ON TABLE $l IS 'x'", "GRANT SELECT ON $l TO x",
	"REVOKE GRANT OPTION FOR ALL ON TABLE x, $l FROM y", "GRANT SELECT (name) ON $l TO x",
	"INSERT INTO $l (version) VALUES (1)", "UPDATE ONLY $l SET name = 'x'", "DELETE FROM $l",
	"MERGE INTO ONLY $l USING x ON true WHEN MATCHED THEN DELETE", "COPY $l (name) FROM '/x'",
	"WITH x AS (DELETE FROM $l RETURNING *) SELECT * FROM x", "EXPLAIN ANALYZE UPDATE $l SET name = 'x'",
	"REINDEX TABLE $l", "CLUSTER VERBOSE $l USING migrations_pkey",
	"CREATE FUNCTION f() RETURNS void BEGIN ATOMIC INSERT INTO $l VALUES (1); END",
}

func TestTheLedgersNameIsKept(t *testing.T) {
	t.Parallel()
	for _, sql := range changesOfTheLedger {
		for _, name := range []string{
			"migrations", "MIGRATIONS", `"migrations"`, `U&"\006digrations"`,
			`U&"!006digrations" UESCAPE '!'`,
		} {
			sql := "SELECT 1;\n" + strings.ReplaceAll(sql, "$l", name)
			_, err := bundle.Load(files(sql))
			if err == nil || !strings.HasPrefix(err.Error(), "0001_m1.sql:2:") ||
				!strings.Contains(err.Error(), ": this name is kept for the ledger") {
				t.Errorf("%s: got %v, want that the name is kept", sql, err)
			}
		}
		for schema, want := range map[string]bool{"app": true, "other": false} {
			loaded, err := bundle.Load(files(strings.ReplaceAll(sql, "$l", schema+".migrations")))
			if err != nil {
				t.Errorf("%s in %s: %v, want that only Up can know", sql, schema, err)
				continue
			}
			err = loaded.KeepsOff("app")
			bad, refused := errors.AsType[*bundle.Error](err)
			if refused != want {
				t.Errorf("%s in %s: got %v, want refused %t", sql, schema, err, want)
			}
			if refused && (bad.Problems[0].Line != 1 || bad.Problems[0].Column == 0) {
				t.Errorf("%s: at %+v", sql, bad.Problems)
			}
		}
	}
}

// TestTheLedgersOwnIndexesAndSchemaAreKept has what is known only with the schema's name.
func TestTheLedgersOwnIndexesAndSchemaAreKept(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"ALTER INDEX app.migrations_pkey RENAME TO x", "DROP INDEX app.x, app.migrations_prev_key",
		"CREATE INDEX IF NOT EXISTS migrations_pkey ON app.t (a)", "ALTER TABLE app.x RENAME TO migrations",
		"ALTER VIEW app.x RENAME TO migrations", "ALTER TABLE other.migrations SET SCHEMA app",
		"DROP SCHEMA other, app CASCADE", `DROP SCHEMA IF EXISTS "app"`, "ALTER SCHEMA app RENAME TO x",
		"ALTER SCHEMA APP OWNER TO x", "CREATE TABLE db.app.migrations (a int)",
	} {
		loaded, err := bundle.Load(files(sql))
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		m := migrate.Migrator{Bundle: loaded, Schema: "app"} // refused without a connection
		if _, err := m.Up(t.Context(), "host=/nowhere user=u dbname=d"); !is[*bundle.Error](err) {
			t.Errorf("%s: got %v, want that it is refused", sql, err)
		}
		if err := loaded.KeepsOff("another"); err != nil {
			t.Errorf("%s: got %v in another schema", sql, err)
		}
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// TestReadingTheLedgerAndItsNameElsewhereAreFine applies them.
func TestReadingTheLedgerAndItsNameElsewhereAreFine(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, withoutRole(t, db,
		"CREATE TABLE app.stats (id int PRIMARY KEY, migrations int UNIQUE, migrations_pkey int); INSERT INTO "+
			"app.stats (id, migrations) SELECT count(*), 1 FROM app.migrations",
		"UPDATE app.stats SET migrations = 2, id = m.version FROM migrations m WHERE stats.migrations = 1; COMMENT "+
			"ON COLUMN app.stats.migrations IS 'migrations'",
		"INSERT INTO app.stats AS migrations VALUES (3, 4) ON CONFLICT (migrations) DO UPDATE SET migrations = 5 "+
			"WHERE migrations.migrations = 4",
		"CREATE VIEW app.v AS SELECT s.migrations, m.name AS migrations_name FROM app.stats s JOIN app.migrations m "+
			"ON m.version = s.migrations; DROP VIEW app.v",
		"CREATE INDEX stats_migrations_idx ON app.stats (migrations); DELETE FROM app.stats USING migrations WHERE "+
			"false; CREATE TABLE app.copy (LIKE app.migrations INCLUDING ALL)",
		"ALTER TABLE app.stats RENAME COLUMN migrations_pkey TO old; ALTER TABLE app.stats RENAME migrations TO "+
			"migrated; ALTER TABLE app.stats RENAME migrated TO migrations",
		"CREATE FUNCTION app.migrations() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION app.migrations(); "+
			"CREATE SCHEMA migrations; CREATE TABLE migrations.t (id int); DROP SCHEMA migrations CASCADE",
		"DO $$ BEGIN GRANT SELECT ON ALL TABLES IN SCHEMA app TO pg_monitor; REVOKE ALL ON ALL TABLES IN SCHEMA app "+
			"FROM PUBLIC; COMMENT ON TABLE app.stats IS 'x'; END $$; ANALYZE; SELECT 1",
		"CREATE SCHEMA other; CREATE TABLE other.migrations (a int); ALTER TABLE other.migrations ADD COLUMN b int; "+
			"DROP SCHEMA other CASCADE; ANALYZE app.migrations",
	), db.MigratorConn)
}

// withoutRole migrates without the service's role, whose rights name tables.
func withoutRole(t *testing.T, db *pgtest.DB, sql ...string) *migrate.Migrator {
	t.Helper()
	m := migrator(t, db, sql...)
	m.Role = privilege.Role{}
	return m
}

// TestAFileThatChangesTheLedgerUnseenIsRolledBack hides each change from the loader in a DO
// block, with and without a subtransaction.
func TestAFileThatChangesTheLedgerUnseenIsRolledBack(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, withoutRole(t, db, "CREATE TABLE app.t (id int); CREATE FUNCTION app.f() RETURNS trigger LANGUAGE plpgsql "+
		"AS 'BEGIN RETURN NULL; END'"), db.MigratorConn)
	before, err := withoutRole(t, db, "SELECT 1").LedgerTable(t.Context(), db.Connect(t, db.SuperConn))
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"ALTER TABLE app.migrations ENABLE ROW LEVEL SECURITY", "ALTER TABLE app.migrations FORCE ROW LEVEL SECURITY",
		"ALTER TABLE app.migrations RENAME TO old", "CREATE SCHEMA other; ALTER TABLE app.migrations SET SCHEMA other",
		"ALTER TABLE app.migrations ADD COLUMN extra int NOT NULL DEFAULT 1",
		"ALTER TABLE app.migrations DROP COLUMN app_version CASCADE",
		"ALTER TABLE app.migrations RENAME COLUMN duration TO took",
		"ALTER TABLE app.migrations DROP CONSTRAINT migrations_prev_fkey",
		"ALTER TABLE app.migrations ALTER COLUMN name TYPE varchar", "ALTER TABLE app.migrations SET UNLOGGED",
		"CREATE TRIGGER x AFTER INSERT ON app.migrations FOR EACH ROW EXECUTE FUNCTION app.f()",
		"CREATE RULE x AS ON INSERT TO app.migrations DO ALSO NOTHING",
		"CREATE POLICY x ON app.migrations USING (false)",
		"CREATE UNIQUE INDEX x ON app.migrations (name)", "CREATE TABLE app.r (a int REFERENCES app.migrations)",
		"LOCK TABLE app.migrations IN EXCLUSIVE MODE", "DROP TABLE app.migrations", "DROP SCHEMA app CASCADE",
		"ALTER TABLE app.migrations RENAME TO old; CREATE VIEW app.migrations AS SELECT * FROM app.old",
		"ALTER SCHEMA app RENAME TO other", "ALTER TABLE app.migrations DISABLE TRIGGER USER",
		"COMMENT ON TABLE app.migrations IS NULL; COMMENT ON TABLE app.migrations IS 'mine'",
		"COMMENT ON COLUMN app.migrations.name IS 'mine'",
		"CREATE STATISTICS app.s ON name, version FROM app.migrations",
		"REVOKE ALL ON app.migrations FROM CURRENT_USER", "CREATE PUBLICATION p FOR TABLE app.migrations",
	} {
		for _, block := range []string{
			"DO $do$ BEGIN $sql; END $do$",
			"DO $do$ BEGIN BEGIN EXECUTE $q$$sql$q$; EXCEPTION WHEN division_by_zero THEN NULL; END; END $do$",
		} {
			file := strings.Replace(block, "$sql", sql, 1)
			m := withoutRole(t, db, "CREATE TABLE app.t (id int); CREATE FUNCTION app.f() RETURNS trigger LANGUAGE "+
				"plpgsql AS 'BEGIN RETURN NULL; END'", file)
			m.Log = nil
			if _, err := m.Up(t.Context(), db.MigratorConn); !is[*migrate.MigrationError](err) ||
				!strings.Contains(err.Error(), "the file changed the table of applied migrations, or locked it") ||
				!strings.Contains(err.Error(), "rolled back; the schema is at version 1.") {
				t.Errorf("%s: got %v, want that the file changed the ledger", file, err)
			}
		}
	}
	const hidden = "CREATE FUNCTION app.h() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN COMMENT ON TABLE " +
		"app.migrations IS 'x'; RETURN 1; END $f$; INSERT INTO app.t SELECT app.h()"
	m := withoutRole(t, db, "CREATE TABLE app.t (id int); CREATE FUNCTION app.f() RETURNS trigger LANGUAGE plpgsql "+
		"AS 'BEGIN RETURN NULL; END'", hidden)
	if _, err := m.Up(t.Context(), db.MigratorConn); !is[*migrate.MigrationError](err) ||
		!strings.Contains(err.Error(), "changed the table of applied migrations") {
		t.Errorf("%s: got %v, want that the file changed the ledger", hidden, err)
	}
	const ends = "CREATE PROCEDURE app.p() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'; CALL app.p()"
	m = withoutRole(t, db, "CREATE TABLE app.t (id int); CREATE FUNCTION app.f() RETURNS trigger LANGUAGE plpgsql "+
		"AS 'BEGIN RETURN NULL; END'", ends)
	if _, err := m.Up(t.Context(), db.MigratorConn); !is[*migrate.MigrationError](err) ||
		!strings.Contains(err.Error(), "leave its COMMIT and ROLLBACK out") {
		t.Errorf("%s: got %v, want what to do", ends, err)
	}
	after, err := withoutRole(t, db, "SELECT 1").LedgerTable(t.Context(), db.Connect(t, db.SuperConn))
	if err != nil || before != after {
		t.Errorf("the ledger is\n%s\nand was\n%s, %v", after, before, err)
	}
}
