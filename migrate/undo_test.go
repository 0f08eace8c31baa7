package migrate_test

import (
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// TestADriftComesWithTheSQLThatUndoesIt plants what changes the meaning of a privilege without
// being one, and runs what the difference says: then there is none.
func TestADriftComesWithTheSQLThatUndoesIt(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, `CREATE TABLE app.t1 (id int PRIMARY KEY, "a b" text CONSTRAINT short CHECK (length("a b") < 9));
		CREATE VIEW app.v WITH (security_barrier = true) AS SELECT id FROM app.t1;
		ALTER TABLE app.t1 ENABLE ROW LEVEL SECURITY;
		CREATE FUNCTION app.mine(id int) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT id > 0';
		CREATE FUNCTION app.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
		CREATE POLICY "one's own" ON app.t1 USING (app.mine(id)) WITH CHECK (id > 1);
		CREATE POLICY narrow ON app.t1 AS RESTRICTIVE FOR SELECT USING (id < 100);
		CREATE TRIGGER "st amp" BEFORE INSERT OR UPDATE OF id ON app.t1 FOR EACH ROW WHEN (new.id > 0) EXECUTE FUNCTION app.stamp();
		CREATE CONSTRAINT TRIGGER late AFTER INSERT ON app.t1 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.stamp();
		ALTER TABLE app.t1 ENABLE ALWAYS TRIGGER "st amp"`)
	m.Role.Privileges = []privilege.Privilege{{On: "TABLE t1", Allow: "SELECT, INSERT", RowSecurity: true}}
	up(t, remembering(t, m), db.MigratorConn)
	for _, plant := range []string{
		"CREATE POLICY open ON app.t1 USING (true)",
		`CREATE POLICY "a ""b"" c" ON app.t1 AS RESTRICTIVE FOR UPDATE TO PUBLIC USING (false)`,
		`DROP POLICY "one's own" ON app.t1`,
		"DROP POLICY narrow ON app.t1",
		`ALTER POLICY "one's own" ON app.t1 USING (true)`,
		"ALTER POLICY narrow ON app.t1 TO " + db.WebRole,
		"ALTER TABLE app.t1 FORCE ROW LEVEL SECURITY",
		"ALTER TABLE app.t1 DISABLE ROW LEVEL SECURITY",
		"CREATE RULE quiet AS ON UPDATE TO app.t1 DO INSTEAD NOTHING",
		`CREATE TRIGGER "no way" BEFORE DELETE ON app.t1 FOR EACH ROW EXECUTE FUNCTION app.stamp()`,
		`DROP TRIGGER "st amp" ON app.t1`,
		`ALTER TABLE app.t1 DISABLE TRIGGER "st amp"`,
		"DROP TRIGGER late ON app.t1",
		"ALTER VIEW app.v RESET (security_barrier)",
		"ALTER VIEW app.v SET (security_barrier = false)",
		"ALTER VIEW app.v SET (security_invoker = true)",
		"ALTER TABLE app.t1 DROP CONSTRAINT short",
		"ALTER TABLE app.t1 ADD CONSTRAINT more CHECK (id < 5)",
		"CREATE UNIQUE INDEX one ON app.t1 (\"a b\")",
		"CREATE FUNCTION app.extra(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"CREATE OR REPLACE FUNCTION app.mine(id int) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true'",
		"ALTER FUNCTION app.mine(int) SECURITY DEFINER",
	} {
		pgtest.Exec(t, db.SuperConn, plant)
		v, err := askVerify(t.Context(), m, db.MigratorConn)
		if err != nil || len(v.Drift) == 0 {
			t.Errorf("%s: drift %v, %v", plant, v.Drift, err)
			continue
		}
		for _, d := range v.Drift {
			if d.SQL != "" {
				pgtest.Exec(t, db.SuperConn, d.SQL)
			}
		}
		if after, err := askVerify(t.Context(), m, db.MigratorConn); err != nil || len(after.Drift) > 0 {
			t.Errorf("%s: after %+v: drift %+v, %v", plant, v.Drift, after.Drift, err)
		}
	}
}
