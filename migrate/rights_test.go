package migrate_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// held lists what the role of the service holds in the schema, from the catalogue.
func held(tb testing.TB, db *pgtest.DB) []string {
	tb.Helper()
	return strings.Split(pgtest.Value[string](tb, db.SuperConn, fmt.Sprintf(`
		SELECT coalesce(string_agg(what, ';' ORDER BY what), '') FROM (
			SELECT 'schema ' || privilege_type AS what FROM pg_namespace, aclexplode(nspacl) a WHERE nspname = 'app' AND grantee = %[1]s::regrole
			UNION ALL SELECT relname || ' ' || privilege_type FROM pg_class, aclexplode(relacl) a WHERE relnamespace = 'app'::regnamespace AND grantee = %[1]s::regrole
			UNION ALL SELECT attrelid::regclass || '.' || attname || ' ' || privilege_type FROM pg_attribute, aclexplode(attacl) a WHERE grantee = %[1]s::regrole) held`,
		"'"+db.WebRole+"'")), ";")
}

func TestRoleHoldsExactlyTheDeclaredRights(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(2)...)
	up(t, m, db.MigratorConn)
	want := []string{"app.t1.id INSERT", "migrations SELECT", "schema USAGE", "t1 SELECT"}
	if got := held(t, db); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	attributes := pgtest.Value[string](t, db.SuperConn,
		`SELECT rolcanlogin::text || rolsuper || rolcreatedb || rolcreaterole || rolinherit || rolreplication || rolbypassrls FROM pg_roles WHERE rolname = '`+db.WebRole+`'`)
	if attributes != "truefalsefalsefalsefalsefalsefalse" {
		t.Errorf("attributes %s, want only LOGIN", attributes)
	}
	if stored := pgtest.Value[string](t, db.SuperConn, `SELECT rolpassword FROM pg_authid WHERE rolname = '`+
		db.WebRole+`'`); !strings.HasPrefix(stored, "SCRAM-SHA-256$4096:") {
		t.Errorf("the stored password starts %.14s, want a SCRAM verifier", stored)
	}
	db.Connect(t, db.WebConn) // it can log in
}

func TestRightsAreReconciledBothWays(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(2)...)
	up(t, m, db.MigratorConn)
	want := held(t, db)
	pgtest.Exec(t, db.SuperConn,
		"REVOKE SELECT ON app.t1 FROM "+db.WebRole, "GRANT DELETE ON app.t2 TO "+db.WebRole,
		"GRANT UPDATE (id) ON app.t1 TO "+db.WebRole,
		"GRANT SELECT ON app.migrations TO "+db.WebRole+" WITH GRANT OPTION", "GRANT CREATE ON SCHEMA app TO "+
			db.WebRole)
	report := up(t, m, db.MigratorConn)
	if len(report.Granted) == 0 || len(report.Revoked) == 0 {
		t.Errorf("report %+v, want what was granted and revoked", report)
	}
	if got := held(t, db); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if report := up(t, m, db.MigratorConn); len(report.Granted)+len(report.Revoked) > 0 {
		t.Errorf("the next start changed rights again: %+v", report)
	}
}

func TestAMissingRoleIsMadeAgain(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(2)...)
	up(t, m, db.MigratorConn)
	want := held(t, db)
	pgtest.Exec(t, db.SuperConn, "DROP OWNED BY "+db.WebRole, "DROP ROLE "+db.WebRole)
	if report := up(t, m, db.MigratorConn); !report.RoleCreated {
		t.Errorf("report %+v, want that the role was created", report)
	}
	if got := held(t, db); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	db.Connect(t, db.WebConn)
}

func TestARoleThatIsNotFitIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ make, says string }{
		"a superuser":     {"CREATE ROLE %s LOGIN SUPERUSER", "is a superuser"},
		"makes roles":     {"CREATE ROLE %s LOGIN CREATEROLE", "may create roles"},
		"makes databases": {"CREATE ROLE %s LOGIN CREATEDB", "may create databases"},
		"replicates":      {"CREATE ROLE %s LOGIN REPLICATION", "may replicate"},
		"bypasses":        {"CREATE ROLE %s LOGIN BYPASSRLS", "bypasses row level security"},
		"no login":        {"CREATE ROLE %s", "may not log in"},
		"a member":        {"CREATE ROLE %s LOGIN IN ROLE pg_monitor", `is a member of "pg_monitor"`},
		"an owner":        {"CREATE ROLE %[1]s LOGIN; CREATE SCHEMA theirs AUTHORIZATION %[1]s", "owns schema theirs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			pgtest.Exec(t, db.SuperConn, fmt.Sprintf(c.make, db.WebRole))
			_, err := migrator(t, db, tables(1)...).Up(t.Context(), db.MigratorConn)
			var lacks *pg.PrivilegeError
			if !errors.As(err, &lacks) || !strings.Contains(err.Error(), c.says) || len(lacks.SQL) == 0 {
				t.Errorf("got %v, want a PrivilegeError with %q and SQL", err, c.says)
			}
			if pgtest.Value[bool](t, db.SuperConn, "SELECT to_regnamespace('app') IS NOT NULL") {
				t.Error("the schema was created all the same")
			}
			pgtest.Exec(t, db.SuperConn, "DROP OWNED BY "+db.WebRole, "DROP ROLE "+db.WebRole)
		})
	}
}

func TestTheMigratorsOwnRoleIsNotTheServices(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(1)...)
	m.Role.Name = pgtest.Value[string](t, db.MigratorConn, "SELECT current_user::text")
	_, err := m.Up(t.Context(), db.MigratorConn)
	var lacks *pg.PrivilegeError
	if !errors.As(err, &lacks) || !strings.Contains(err.Error(), "the migrator itself") {
		t.Errorf("got %v, want that the role is the migrator's own", err)
	}
}

func TestAHarmlessRoleOfADBAIsUsedAsItIs(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	pgtest.Exec(t, db.SuperConn, "CREATE ROLE "+db.WebRole+" LOGIN PASSWORD 'the dba knows'")
	before := pgtest.Value[string](t, db.SuperConn, "SELECT rolpassword FROM pg_authid WHERE rolname = '"+db.WebRole+
		"'")
	if report := up(t, migrator(t, db, tables(1)...), db.MigratorConn); report.RoleCreated {
		t.Errorf("report %+v, want that the role was there", report)
	}
	if after := pgtest.Value[string](t, db.SuperConn, "SELECT rolpassword FROM pg_authid WHERE rolname = '"+db.WebRole+
		"'"); after != before {
		t.Error("somebody else's role got a new password")
	}
}

func TestMissingRightsOfTheMigratorAreNamedBeforeAnythingChanges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ prepare, says, sql string }{
		"no CREATE on the database": {
			"REVOKE CREATE ON DATABASE %[2]s FROM %[1]s", "may not create a schema",
			"GRANT CREATE ON DATABASE",
		},
		"no CREATEROLE": {"ALTER ROLE %[1]s NOCREATEROLE", "may not create roles", "CREATE ROLE"},
		"a schema that is only readable": {"CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO %[1]s; GRANT CONNECT ON " +
			"DATABASE %[2]s TO %[1]s", "does not own the schema", "ALTER SCHEMA"},
		"a schema of somebody else": {
			"CREATE SCHEMA app; GRANT CONNECT ON DATABASE %[2]s TO %[1]s",
			"may not read the ledger of applied migrations", "ALTER SCHEMA",
		},
		"no CONNECT": {
			"REVOKE CONNECT ON DATABASE %[2]s FROM PUBLIC, %[1]s", "does not let",
			"GRANT CONNECT ON DATABASE",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			pgtest.Exec(t, db.SuperConn, fmt.Sprintf(c.prepare, owner(t, db), quote(db.Name)))
			_, err := migrator(t, db, tables(1)...).Up(t.Context(), db.MigratorConn)
			var lacks *pg.PrivilegeError
			if !errors.As(err, &lacks) || !strings.Contains(err.Error(), c.says) ||
				!strings.Contains(strings.Join(lacks.SQL, ";"), c.sql) {
				t.Errorf("got %v, want %q and the SQL %q", err, c.says, c.sql)
			}
		})
	}
}

func TestTheServiceCannotWriteTheLedger(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(1)...), db.MigratorConn)
	web := db.Connect(t, db.WebConn)
	for _, sql := range []string{
		"INSERT INTO app.migrations (version) VALUES (2)", "UPDATE app.migrations SET name = 'x'",
		"DELETE FROM app.migrations", "TRUNCATE app.migrations",
		"DROP TABLE app.migrations", "BEGIN; LOCK TABLE app.migrations IN SHARE ROW EXCLUSIVE MODE; ROLLBACK",
		"ROLLBACK; CREATE TABLE app.x (id int)", "COMMENT ON SCHEMA app IS ''",
	} {
		if _, err := web.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: got %v, want that it is refused with 42501", sql, err)
		}
	}
}

// TestADumpThatSomebodyElseRestoredIsTakenOver restores as a superuser restores: all
// that is in the schema belongs to him.
func TestADumpThatSomebodyElseRestoredIsTakenOver(t *testing.T) {
	t.Parallel()
	const kinds = `CREATE SEQUENCE app.numbers; CREATE VIEW app.v AS SELECT 1 AS one; CREATE TYPE app.mood AS ENUM ('glad'); CREATE DOMAIN app.word AS text;
		CREATE TABLE app.counted (id serial, n int GENERATED ALWAYS AS IDENTITY);
		CREATE FUNCTION app.one(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE PROCEDURE app.nothing() LANGUAGE sql AS 'SELECT 1'`
	db := pgtest.Blank(t)
	up(t, migrator(t, db, append(tables(1), kinds)...), db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, "REASSIGN OWNED BY "+owner(t, db)+" TO postgres")
	next := migrator(t, db, append(tables(1), kinds,
		"ALTER TABLE app.t1 ADD COLUMN note text; ALTER TYPE app.mood ADD VALUE 'sad'; DROP FUNCTION app.one; DROP "+
			"VIEW app.v; ALTER SEQUENCE app.numbers INCREMENT 2")...)
	_, err := next.Up(t.Context(), db.MigratorConn)
	lacks, ok := errors.AsType[*pg.PrivilegeError](err)
	if !ok || len(lacks.SQL) == 0 {
		t.Fatalf("got %v, want a PrivilegeError with SQL", err)
	}
	pgtest.Exec(t, db.SuperConn, lacks.SQL...)
	if report := up(t, next, db.MigratorConn); len(report.Applied) != 1 {
		t.Errorf("report %+v, want one file applied", report)
	}
}

// TestATakeOverWorksWhateverTheNamesAre runs the SQL with names that hold its own
// quotes.
func TestATakeOverWorksWhateverTheNamesAre(t *testing.T) {
	t.Parallel()
	const schema, role, table = `$$ it's a "schema" $do1$ \`, `$$ o'role "$do1$" \`, `t $$ 'x' "y"`
	db := pgtest.Blank(t)
	quoted := pgx.Identifier{schema}.Sanitize()
	name := pgx.Identifier{role + db.Name}.Sanitize()
	pgtest.Exec(t, db.SuperConn, "CREATE ROLE "+name, "CREATE SCHEMA "+quoted, "CREATE TABLE "+
		pgx.Identifier{schema, table}.Sanitize()+" (id int)")
	t.Cleanup(func() { pgtest.Exec(t, db.SuperConn, "DROP OWNED BY "+name, "DROP ROLE "+name) })
	sql := migrate.TakeOver(schema, role+db.Name)
	pgtest.Exec(t, db.SuperConn, sql...)
	conn := db.Connect(t, db.SuperConn)
	var owner string
	if err := conn.QueryRow(t.Context(), "SELECT tableowner FROM pg_tables WHERE schemaname = $1 AND tablename = $2",
		schema, table).Scan(&owner); err != nil || owner != role+db.Name {
		t.Errorf("the owner is %q, want %q (%v)", owner, role+db.Name, err)
	}
}

func TestACommentIsOneWhateverTheDatabaseIsCalled(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	for _, name := range []string{"*/ DROP TABLE x; /*", "a /* b", "*/*", "/*/", "/**/"} {
		if got := pgtest.Value[int](t, db.SuperConn, migrate.InDatabase(name, "here")+"SELECT 1"); got != 1 {
			t.Errorf("%q: got %d, want 1", name, got)
		}
	}
}

// TestFunctionsAreDeclaredWithTheirTypesSchemas: format_type leaves a schema out that is
// in the search path, which a DBA can set for any role.
func TestFunctionsAreDeclaredWithTheirTypesSchemas(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	pgtest.Exec(t, db.SuperConn, "CREATE DOMAIN public.word AS text", "ALTER ROLE "+owner(t, db)+
		" SET search_path = app, public", "ALTER ROLE "+owner(t, db)+" SET quote_all_identifiers = on")
	m := migrator(t, db, tables(1)[0]+`
		CREATE TYPE app."Mood" AS ENUM ('glad');
		CREATE FUNCTION app.f(app."Mood", public.word, int) RETURNS int LANGUAGE sql AS 'SELECT 1';
		REVOKE ALL ON FUNCTION app.f FROM PUBLIC`)
	m.Role.Privileges = append(m.Role.Privileges,
		privilege.Privilege{On: `FUNCTION f(app."Mood", public.word, integer)`, Allow: "EXECUTE"})
	up(t, m, db.MigratorConn)
	if report := up(t, m, db.MigratorConn); len(report.Granted)+len(report.Revoked) > 0 {
		t.Errorf("the next start changed rights again: %+v", report)
	}
	for _, conn := range []string{db.MigratorConn, db.SuperConn, db.WebConn} {
		if v, err := askVerify(t.Context(), m, conn); err != nil || v.Err() != nil {
			t.Errorf("Verify: %v, %v", err, v.Err())
		}
	}
}
