package migrate_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// audited is what an audit over the migrator's connection finds.
func audited(t *testing.T, m *migrate.Migrator, db *pgtest.DB) privilege.Audit {
	t.Helper()
	v, err := askVerify(t.Context(), m, db.MigratorConn)
	if err != nil || v.Audit == nil {
		t.Fatalf("verify: %+v, %v", v, err)
	}
	return *v.Audit
}

// serious leaves out warnings.
func serious(a privilege.Audit) []privilege.Finding {
	return slices.DeleteFunc(slices.Clone(a.Findings),
		func(f privilege.Finding) bool { return f.Severity == privilege.Warn })
}

func TestAFreshDatabaseHasNothingToFind(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(2)...)
	up(t, m, db.MigratorConn)
	a := audited(t, m, db)
	if found := serious(a); len(found) > 0 || a.Err() != nil {
		t.Errorf("found %v, %v", found, a.Err())
	}
	var warnings []string
	for _, f := range a.Findings {
		warnings = append(warnings, f.What)
	}
	slices.Sort(warnings)
	want := []string{"CONNECT ON DATABASE " + db.Name + ", as everybody (PUBLIC)", "TEMPORARY ON DATABASE " + db.Name +
		", as everybody (PUBLIC)"}
	if !slices.Equal(warnings, want) {
		t.Errorf("warnings %q, want those that every database has: %q", warnings, want)
	}
}

// TestFindingsComeInOneOrder, in whatever order their rights were granted: what is larger first, and objects by their
// names. A start that revokes them lists them alike.
func TestFindingsComeInOneOrder(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, append(tables(3),
		"CREATE SEQUENCE app.s; CREATE FUNCTION app.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; "+
			"REVOKE ALL ON FUNCTION app.f() FROM PUBLIC")...)
	up(t, m, db.MigratorConn)
	grants := []string{
		"CREATE ON SCHEMA app", "DELETE ON TABLE app.t1", "INSERT ON TABLE app.t2", "UPDATE (id) ON TABLE app.t2",
		"TRUNCATE ON TABLE app.t3", "USAGE ON SEQUENCE app.s", "EXECUTE ON FUNCTION app.f()",
	}
	for range 3 {
		for _, i := range rand.Perm(len(grants)) {
			pgtest.Exec(t, db.MigratorConn, "GRANT "+grants[i]+" TO "+db.WebRole)
		}
		v, err := askAudit(t.Context(), m, db.MigratorConn)
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, f := range v.Audit.Findings {
			if f.Severity == privilege.Excess {
				found = append(found, f.What)
			}
		}
		report := up(t, m, db.MigratorConn)
		if !slices.Equal(found, grants) || !slices.Equal(report.Revoked, grants) {
			t.Errorf("found   %q\nrevoked %q\nwant    %q", found, report.Revoked, grants)
		}
	}
}

// How a start in mode RUN takes what was planted.
const (
	mended = "mended by the next Up"
	fails  = "an error of the next Up"
	stays  = "left alone, with a warning"
	hidden = "mended before anything is planned"
)

// TestAPlantedViolationIsFound plants one violation at a time, and demands that
// the audit names it, that the next Up does what it should, and that the SQL that the
// audit gives really mends it.
func TestAPlantedViolationIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plant    string // %w the service's role, %m the migrator's, %d the database, %o another database
		severity privilege.Severity
		what     string
		up       string
		over     string // where to plant: "" as superuser, "other" in the other database
	}{
		"row level security": {
			"ALTER TABLE app.t1 ENABLE ROW LEVEL SECURITY", privilege.Excess,
			"ROW LEVEL SECURITY ON TABLE app.t1, which no migration turns on", mended, "",
		},
		"it forced": {
			"ALTER TABLE app.t1 ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
			privilege.Excess, "FORCED ROW LEVEL SECURITY ON TABLE app.t1, which no migration turns on", mended, "",
		},
		"it on the ledger": {
			"ALTER TABLE app.migrations ENABLE ROW LEVEL SECURITY", privilege.Excess,
			"ROW LEVEL SECURITY ON TABLE app.migrations, which no migration turns on", hidden, "",
		},
		"an extra verb": {
			"GRANT DELETE ON app.t2 TO %w", privilege.Excess, "DELETE ON TABLE app.t2",
			mended, "",
		},
		"an extra column": {
			"GRANT UPDATE (id) ON app.t1 TO %w", privilege.Excess,
			"UPDATE (id) ON TABLE app.t1", mended, "",
		},
		"a grant option": {
			"GRANT SELECT ON app.t1 TO %w WITH GRANT OPTION", privilege.Excess,
			"SELECT ON TABLE app.t1 WITH GRANT OPTION", mended, "",
		},
		"the ledger": {
			"GRANT INSERT ON app.migrations TO %w", privilege.Excess,
			"INSERT ON TABLE app.migrations", mended, "",
		},
		"a sequence": {"CREATE SEQUENCE app.s; ALTER SEQUENCE app.s OWNER TO %m; GRANT USAGE ON " +
			"SEQUENCE app.s TO %w", privilege.Excess, "USAGE ON SEQUENCE app.s", mended, ""},
		"a function": {
			"CREATE FUNCTION app.f(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT " +
				"1'; ALTER FUNCTION app.f OWNER TO %m; GRANT EXECUTE ON FUNCTION app.f TO %w", privilege.Excess,
			"EXECUTE ON FUNCTION app.f(integer, text)", mended, "",
		},
		"a function of our type": {"CREATE TYPE app.mood AS ENUM ('glad'); CREATE FUNCTION app.f(app.mood) " +
			"RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION app.f OWNER TO %m; GRANT EXECUTE ON FUNCTION " +
			"app.f TO %w", privilege.Excess, "EXECUTE ON FUNCTION app.f(app.mood)", mended, ""},
		"a function of another type": {"CREATE DOMAIN public.word AS text; CREATE FUNCTION app.f(public.word, " +
			"\"char\"[]) RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION app.f OWNER TO %m; GRANT EXECUTE ON " +
			"FUNCTION app.f TO %w", privilege.Excess, "EXECUTE ON FUNCTION app.f(public.word, \"char\"[])", mended, ""},
		"a procedure": {
			"CREATE PROCEDURE app.p() LANGUAGE sql AS 'SELECT 1'; ALTER PROCEDURE " +
				"app.p OWNER TO %m; GRANT EXECUTE ON PROCEDURE app.p TO %w", privilege.Excess,
			"EXECUTE ON FUNCTION app.p()",
			mended, "",
		},
		"a type": {"CREATE DOMAIN app.d AS text; ALTER DOMAIN app.d OWNER TO %m; GRANT USAGE " +
			"ON DOMAIN app.d TO %w", privilege.Excess, "USAGE ON TYPE app.d", mended, ""},
		"a quoted name": {
			`CREATE TABLE app."A b" ("c d" int); ALTER TABLE app."A b" OWNER TO %m; ` +
				`GRANT SELECT ("c d") ON app."A b" TO %w`,
			privilege.Excess, "SELECT (c d) ON TABLE app.A b", mended, "",
		},
		"CREATE on the schema": {
			"GRANT CREATE ON SCHEMA app TO %w", privilege.Excess, "CREATE ON SCHEMA app",
			mended, "",
		},
		"default privileges of ours": {
			"ALTER DEFAULT PRIVILEGES FOR ROLE %m IN SCHEMA app GRANT SELECT ON " +
				"TABLES TO %w", privilege.Excess, "SELECT ON FUTURE TABLES, default privileges FOR ROLE %m IN " +
				"SCHEMA app",
			mended, "",
		},
		"another grantor": {
			"CREATE ROLE %w_x; GRANT USAGE ON SCHEMA app TO %w_x; GRANT DELETE ON " +
				"app.t1 TO %w_x WITH GRANT OPTION; SET ROLE %w_x; GRANT DELETE ON app.t1 TO %w", privilege.Excess,
			`DELETE ON TABLE app.t1, granted by "%w_x"`, fails, "",
		},
		"CREATE on the database": {
			"GRANT CREATE ON DATABASE %d TO %w", privilege.Excess, "CREATE ON DATABASE %d",
			fails, "",
		},
		"a table elsewhere": {
			"CREATE TABLE public.t (id int); GRANT SELECT ON public.t TO %w",
			privilege.Excess, "SELECT ON TABLE public.t", fails, "",
		},
		"a column elsewhere": {
			`CREATE TABLE public."T" ("c d" int); GRANT UPDATE ("c d") ON public."T" TO %w`, privilege.Excess,
			`UPDATE (c d) ON TABLE public."T"`, fails, "",
		},
		"a sequence elsewhere": {
			"CREATE SEQUENCE public.s; GRANT USAGE ON SEQUENCE public.s TO %w",
			privilege.Excess, "USAGE ON SEQUENCE public.s", fails, "",
		},
		"a schema elsewhere": {
			`CREATE SCHEMA "Other s"; GRANT USAGE ON SCHEMA "Other s" TO %w`,
			privilege.Excess, "USAGE ON SCHEMA Other s", fails, "",
		},
		"a function of the server": {
			"GRANT EXECUTE ON FUNCTION pg_read_file(text) TO %w", privilege.Excess,
			"EXECUTE ON FUNCTION pg_catalog.pg_read_file(pg_catalog.text)", fails, "",
		},
		"a catalogue": {
			"GRANT SELECT ON pg_authid TO %w", privilege.Excess,
			"SELECT ON TABLE pg_catalog.pg_authid", fails, "",
		},
		"a type elsewhere": {
			"CREATE TYPE public.e AS ENUM ('a'); GRANT USAGE ON TYPE public.e TO %w",
			privilege.Excess, "USAGE ON TYPE public.e", fails, "",
		},
		"a language": {
			"GRANT USAGE ON LANGUAGE plpgsql TO %w", privilege.Excess,
			"USAGE ON LANGUAGE plpgsql", fails, "",
		},
		"a foreign data wrapper": {
			"CREATE FOREIGN DATA WRAPPER w; GRANT USAGE ON FOREIGN DATA WRAPPER w TO %w",
			privilege.Excess, "USAGE ON FOREIGN DATA WRAPPER w", fails, "",
		},
		"a foreign server": {"CREATE FOREIGN DATA WRAPPER w; CREATE SERVER v FOREIGN DATA WRAPPER w; " +
			"GRANT USAGE ON FOREIGN SERVER v TO %w", privilege.Excess, "USAGE ON FOREIGN SERVER v", fails, ""},
		"a tablespace": {
			"GRANT CREATE ON TABLESPACE pg_default TO %w", privilege.Excess,
			"CREATE ON TABLESPACE pg_default", fails, "",
		},
		"a large object": {
			"SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO %w",
			privilege.Excess, "SELECT ON LARGE OBJECT 4711", fails, "",
		},
		"a parameter": {
			"GRANT SET ON PARAMETER log_statement TO %w", privilege.Excess,
			"SET ON PARAMETER log_statement", fails, "",
		},
		"default privileges elsewhere": {
			"ALTER DEFAULT PRIVILEGES FOR ROLE %m GRANT SELECT ON TABLES TO %w",
			privilege.Excess, "SELECT ON FUTURE TABLES, default privileges FOR ROLE %m", mended, "",
		},
		"superuser":   {"ALTER ROLE %w SUPERUSER", privilege.Excess, "is a superuser", fails, ""},
		"CREATEDB":    {"ALTER ROLE %w CREATEDB", privilege.Excess, "may create databases", fails, ""},
		"CREATEROLE":  {"ALTER ROLE %w CREATEROLE", privilege.Excess, "may create roles", fails, ""},
		"REPLICATION": {"ALTER ROLE %w REPLICATION", privilege.Excess, "may replicate", fails, ""},
		"BYPASSRLS": {
			"ALTER ROLE %w BYPASSRLS", privilege.Excess, "bypasses row level security",
			fails, "",
		},
		"a membership": {
			"GRANT pg_monitor TO %w", privilege.Excess, `is a member of "pg_monitor"`,
			fails, "",
		},
		"an owned table": {
			"CREATE TABLE public.mine (id int); ALTER TABLE public.mine OWNER TO %w",
			privilege.Excess, "owns table public.mine", fails, "",
		},
		"an owned database": {
			"ALTER DATABASE %o OWNER TO %w", privilege.Excess, "owns database %o", fails,
			"",
		},
		"an owned object elsewhere": {
			"CREATE TABLE public.mine (id int); ALTER TABLE public.mine OWNER TO %w",
			privilege.Warn, `owns 1 objects in the database "%o", temporary ones or not`, stays, "other",
		},
		"an owned schema elsewhere": {
			"CREATE SCHEMA mine AUTHORIZATION %w", privilege.Excess,
			`owns 1 objects in the database "%o"`, fails, "other",
		},
		"a whole verb over columns": {
			"GRANT INSERT ON app.t1 TO %w", privilege.Excess, "INSERT ON TABLE app.t1",
			mended, "",
		},
		"a user mapping": {
			"CREATE FOREIGN DATA WRAPPER w; CREATE SERVER \"v w\" FOREIGN DATA " +
				"WRAPPER w; CREATE USER MAPPING FOR %w SERVER \"v w\"", privilege.Excess,
			`has a user mapping on the foreign server "v w"`, fails, "",
		},
		"its own large object": {
			"SET ROLE %w; SELECT lo_create(4712)", privilege.Warn, "owns 1 large objects",
			stays, "",
		},
		"membership, other grantor": {"CREATE ROLE %w_x; GRANT pg_monitor TO %w_x WITH ADMIN OPTION; SET ROLE " +
			"%w_x; GRANT pg_monitor TO %w", privilege.Excess, `is a member of "pg_monitor"`, fails, ""},
		"files for everybody": {
			"GRANT EXECUTE ON FUNCTION pg_read_file(text) TO PUBLIC", privilege.Warn,
			"EXECUTE ON FUNCTION pg_catalog.pg_read_file(pg_catalog.text), as everybody (PUBLIC)", stays, "",
		},
		"a parameter for everybody": {
			"GRANT SET ON PARAMETER log_min_duration_statement TO PUBLIC", privilege.Warn,
			"SET ON PARAMETER log_min_duration_statement, as everybody (PUBLIC)", stays, "",
		},
		"future tables for everybody": {"ALTER DEFAULT PRIVILEGES FOR ROLE %m IN SCHEMA app GRANT SELECT ON " +
			"TABLES TO PUBLIC", privilege.Warn, "SELECT ON FUTURE TABLES, default privileges FOR ROLE %m IN SCHEMA " +
			"app, as everybody (PUBLIC)", stays, ""},
		"no login": {"ALTER ROLE %w NOLOGIN", privilege.Missing, "may not log in", fails, ""},
		"a missing verb": {
			"REVOKE SELECT ON app.t1 FROM %w", privilege.Missing, "SELECT ON TABLE app.t1",
			mended, "",
		},
		"a missing column": {
			"REVOKE INSERT (id) ON app.t1 FROM %w", privilege.Missing,
			"INSERT (id) ON TABLE app.t1", mended, "",
		},
		"the schema's missing": {
			"REVOKE USAGE ON SCHEMA app FROM %w", privilege.Missing, "USAGE ON SCHEMA app",
			mended, "",
		},
		"the ledger's missing": {
			"REVOKE SELECT ON app.migrations FROM %w", privilege.Missing,
			"SELECT ON TABLE app.migrations", mended, "",
		},
		"no CONNECT": {"REVOKE CONNECT ON DATABASE %d FROM PUBLIC; GRANT CONNECT ON " +
			"DATABASE %d TO %m", privilege.Missing, "CONNECT ON DATABASE %d", fails, ""},
		"no CONNECT, and a way": {"REVOKE CONNECT ON DATABASE %d FROM PUBLIC; GRANT CONNECT ON DATABASE %d " +
			"TO %m WITH GRANT OPTION", privilege.Missing, "CONNECT ON DATABASE %d", mended, ""},
		"rights in another database": {
			"CREATE TABLE public.t (id int); GRANT SELECT ON public.t TO %w",
			privilege.Warn, `rights on 1 objects in the database "%o"`, stays, "other",
		},
		"another database": {
			"GRANT CREATE ON DATABASE %o TO %w", privilege.Warn,
			`rights on the database "%o"`, stays, "",
		},
		"a setting of the role": {
			"ALTER ROLE %w SET search_path = public", privilege.Warn,
			"the setting search_path=public", stays, "",
		},
		"a setting of the database": {
			"ALTER DATABASE %d SET session_replication_role = replica", privilege.Warn,
			`the setting session_replication_role=replica in database "%d", for each role`, stays, "",
		},
		"a setting in this database": {
			"ALTER ROLE %w IN DATABASE %d SET statement_timeout = '1s'", privilege.Warn,
			`the setting statement_timeout=1s in database "%d"`, stays, "",
		},
		"a table for everybody": {
			"GRANT UPDATE ON app.t1 TO PUBLIC", privilege.Excess,
			"UPDATE ON TABLE app.t1, as everybody (PUBLIC)", mended, "",
		},
		"a column for everybody": {
			"GRANT UPDATE (id) ON app.t1 TO PUBLIC", privilege.Excess,
			"UPDATE (id) ON TABLE app.t1, as everybody (PUBLIC)", mended, "",
		},
		"our function for everybody": {
			"CREATE FUNCTION app.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER " +
				"FUNCTION app.f OWNER TO %m", privilege.Excess, "EXECUTE ON FUNCTION app.f(), as everybody (PUBLIC)",
			mended,
			"",
		},
		"another's table for everybody": {
			"CREATE TABLE app.x (); GRANT SELECT ON app.x TO PUBLIC", privilege.Warn,
			"SELECT ON TABLE app.x, as everybody (PUBLIC)", stays, "",
		},
		"a function for everybody": {
			"CREATE FUNCTION app.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
			privilege.Warn, "EXECUTE ON FUNCTION app.f(), as everybody (PUBLIC)", stays, "",
		},
		"our schema for everybody": {
			"GRANT USAGE ON SCHEMA app TO PUBLIC", privilege.Warn,
			"USAGE ON SCHEMA app, as everybody (PUBLIC)", stays, "",
		},
		"our schema's CREATE": {
			"GRANT CREATE ON SCHEMA app TO PUBLIC", privilege.Excess,
			"CREATE ON SCHEMA app, as everybody (PUBLIC)", mended, "",
		},
		"the database's CREATE": {
			"GRANT CREATE ON DATABASE %d TO PUBLIC", privilege.Excess,
			"CREATE ON DATABASE %d, as everybody (PUBLIC)", fails, "",
		},
		"the ledger for everybody": {
			"GRANT INSERT ON app.migrations TO PUBLIC", privilege.Excess,
			"INSERT ON TABLE app.migrations, as everybody (PUBLIC)", mended, "",
		},
		"the ledger's column": {
			"GRANT UPDATE (name) ON app.migrations TO PUBLIC", privilege.Excess,
			"UPDATE (name) ON TABLE app.migrations, as everybody (PUBLIC)", mended, "",
		},
		"reading the ledger": {
			"GRANT SELECT ON app.migrations TO PUBLIC", privilege.Excess,
			"SELECT ON TABLE app.migrations, as everybody (PUBLIC)", mended, "",
		},
		"passwords for everybody": {
			"GRANT SELECT ON pg_authid TO PUBLIC", privilege.Warn,
			"SELECT ON TABLE pg_catalog.pg_authid, as everybody (PUBLIC)", stays, "",
		},
		"one column of passwords": {
			"GRANT SELECT (rolpassword) ON pg_authid TO PUBLIC", privilege.Warn,
			"SELECT (rolpassword) ON TABLE pg_catalog.pg_authid, as everybody (PUBLIC)", stays, "",
		},
		"a catalogue to write to": {
			"GRANT UPDATE ON pg_class TO PUBLIC", privilege.Warn,
			"UPDATE ON TABLE pg_catalog.pg_class, as everybody (PUBLIC)", stays, "",
		},
		"a server for everybody": {
			"CREATE FOREIGN DATA WRAPPER w; CREATE SERVER v FOREIGN DATA WRAPPER w; " +
				"GRANT USAGE ON FOREIGN SERVER v TO PUBLIC", privilege.Warn,
			"USAGE ON FOREIGN SERVER v, as everybody (PUBLIC)", stays, "",
		},
		"a wrapper for everybody": {"CREATE FOREIGN DATA WRAPPER w; GRANT USAGE ON FOREIGN DATA WRAPPER " +
			"w TO PUBLIC", privilege.Warn, "USAGE ON FOREIGN DATA WRAPPER w, as everybody (PUBLIC)", stays, ""},
		"future tables of the owner": {
			"ALTER DEFAULT PRIVILEGES FOR ROLE %m GRANT ALL ON TABLES TO PUBLIC",
			privilege.Warn, "DELETE ON FUTURE TABLES, default privileges FOR ROLE %m, as everybody (PUBLIC)", stays, "",
		},
		"future sequences": {
			"ALTER DEFAULT PRIVILEGES FOR ROLE %m GRANT USAGE ON SEQUENCES TO PUBLIC",
			privilege.Warn, "USAGE ON FUTURE SEQUENCES, default privileges FOR ROLE %m, as everybody (PUBLIC)", stays,
			"",
		},
		"a view over our table": {"CREATE VIEW public.v AS SELECT * FROM app.t1; GRANT ALL ON " +
			"public.v TO PUBLIC", privilege.Warn, "SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON VIEW public.v, which " +
			"reaches app.t1 from outside of the schema", stays, ""},
		"a column of a view of a view": {
			"CREATE VIEW public.u AS SELECT * FROM app.t1; CREATE VIEW public.v AS " +
				"SELECT * FROM public.u; GRANT SELECT (id) ON public.v TO PUBLIC", privilege.Warn,
			"SELECT ON VIEW public.v, which reaches app.t1 from outside of the schema", stays, "",
		},
		"a copy of our table": {
			"CREATE MATERIALIZED VIEW public.v AS SELECT * FROM app.t1; GRANT SELECT " +
				"ON public.v TO PUBLIC", privilege.Warn,
			"SELECT ON MATERIALIZED VIEW public.v, which reaches app.t1 from " +
				"outside of the schema", stays, "",
		},
		"a parent of our table": {
			"CREATE TABLE public.v (id int); ALTER TABLE app.t1 INHERIT public.v; " +
				"GRANT SELECT ON public.v TO PUBLIC", privilege.Warn,
			"SELECT ON TABLE public.v, which reaches app.t1 from outside of the schema", stays, "",
		},
		"a superuser's function": {"CREATE FUNCTION public.f(int) RETURNS int LANGUAGE sql SECURITY DEFINER " +
			"AS 'SELECT 1'", privilege.Warn, "EXECUTE ON ROUTINE public.f(integer), which runs with the rights of " +
			"postgres on the tables of the schema", stays, ""},
		"the migrator's procedure": {
			"CREATE PROCEDURE public.f() LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; " +
				"ALTER PROCEDURE public.f OWNER TO %m", privilege.Warn,
			"EXECUTE ON ROUTINE public.f(), which runs with the rights of %m on the tables of the schema", stays, "",
		},
		"CREATE for everybody": {
			"GRANT CREATE ON SCHEMA public TO PUBLIC", privilege.Warn,
			"CREATE ON SCHEMA public, as everybody (PUBLIC)", stays, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, other := pgtest.Blank(t), new(pgtest.DB)
			if strings.Contains(c.plant+c.what, "%o") {
				other = pgtest.Blank(t)
			}
			m := migrator(t, db, tables(2)...)
			up(t, m, db.MigratorConn)
			fill := strings.NewReplacer("%w", db.WebRole, "%m", owner(t, db), "%d", db.Name, "%o", other.Name).Replace
			at := db.SuperConn
			if c.over == "other" {
				at = other.SuperConn
			}
			pgtest.Exec(t, at, fill(c.plant))
			finding := findingOf(audited(t, m, db), c.severity, fill(c.what))
			if finding == nil {
				t.Fatalf("planted %s, and found %v; want %v %s", fill(c.plant), audited(t, m, db).Findings, c.severity,
					fill(c.what))
			}
			report, err := m.Up(t.Context(), db.MigratorConn)
			left := findingOf(audited(t, m, db), c.severity, fill(c.what))
			switch c.up {
			case mended:
				if err != nil || left != nil || len(report.Granted)+len(report.Revoked) == 0 {
					t.Errorf("Up: %+v, %v, and left %v", report, err, left)
				}
				return
			case hidden:
				if err != nil || left != nil {
					t.Errorf("Up: %v, and left %v", err, left)
				}
				return
			case fails:
				lacks, ok := errors.AsType[*pg.PrivilegeError](err)
				if !ok || left == nil || !slices.Contains(lacks.SQL, finding.SQL) {
					t.Errorf("Up: %v, want a PrivilegeError with %s; left %v", err, finding.SQL, left)
				}
			case stays:
				if err != nil || left == nil || len(report.Granted)+len(report.Revoked) > 0 {
					t.Errorf("Up: %+v, %v, and left %v", report, err, left)
				}
			}
			// What a DBA is told to run mends it.
			at = db.SuperConn
			if strings.HasPrefix(finding.SQL, "/* in the database ") {
				at = other.SuperConn
			}
			pgtest.Exec(t, at, finding.SQL)
			if left := findingOf(audited(t, m, db), c.severity, fill(c.what)); left != nil {
				t.Errorf("%s did not mend %s", finding.SQL, left)
			}
			if _, err := m.Up(t.Context(), db.MigratorConn); err != nil {
				t.Errorf("Up after it was mended: %v", err)
			}
		})
	}
}

// TestTakingEverythingFromEverybodyLeavesAStartThatWorks runs the SQL of every warning
// that a usual database has.
func TestTakingEverythingFromEverybodyLeavesAStartThatWorks(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(2)...)
	up(t, m, db.MigratorConn)
	for _, f := range audited(t, m, db).Findings {
		pgtest.Exec(t, db.SuperConn, f.SQL)
	}
	if a := audited(t, m, db); len(a.Findings) > 0 {
		t.Errorf("left %v", a.Findings)
	}
	up(t, m, db.MigratorConn)
	if n := pgtest.Value[int](t, db.WebConn, "SELECT count(*) FROM app.t1"); n != 1 {
		t.Errorf("the role reads %d rows, want 1", n)
	}
}

func findingOf(a privilege.Audit, severity privilege.Severity, what string) *privilege.Finding {
	for _, f := range a.Findings {
		if f.Severity == severity && f.What == what {
			return &f
		}
	}
	return nil
}

// TestARevokedVerbKeepsTheDeclaredColumns: a REVOKE on a table takes the same verb
// from its columns, too.
func TestARevokedVerbKeepsTheDeclaredColumns(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(2)...)
	up(t, m, db.MigratorConn)
	want := held(t, db)
	pgtest.Exec(t, db.SuperConn, "GRANT INSERT ON app.t1 TO "+db.WebRole)
	finding := findingOf(audited(t, m, db), privilege.Excess, "INSERT ON TABLE app.t1")
	up(t, m, db.MigratorConn)
	if got := held(t, db); !slices.Equal(got, want) {
		t.Errorf("after Up got %q, want %q", got, want)
	}
	pgtest.Exec(t, db.SuperConn, "GRANT INSERT ON app.t1 TO "+db.WebRole, finding.SQL)
	if got := held(t, db); !slices.Equal(got, want) {
		t.Errorf("after %s got %q, want %q", finding.SQL, got, want)
	}
}

func TestASchemaThatIsAheadIsJudgedByWhatNoVersionAllows(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	up(t, migrator(t, db, tables(3)...), db.MigratorConn)
	older := migrator(t, db, tables(2)...)
	older.Role.Rotate = true
	if a := audited(t, older, db); len(serious(a)) > 0 {
		t.Errorf("found %v", serious(a))
	}
	pgtest.Exec(t, db.SuperConn, "GRANT SELECT ON app.t3 TO "+db.WebRole) // perhaps the newer program's declaration
	if a := audited(t, older, db); len(serious(a)) > 0 {
		t.Errorf("found %v, which the newer program may have declared", serious(a))
	}
	older.Role.Password = "changed"
	if report := up(t, older, db.MigratorConn); !report.PasswordSet || report.State != migrate.AheadCompatible {
		t.Errorf("report %+v, want that the password was set", report)
	}
	for name, c := range map[string]struct{ plant, undo string }{
		"a membership": {"GRANT pg_monitor TO %w", "REVOKE pg_monitor FROM %w"},
		"a table elsewhere": {
			"CREATE TABLE public.t (id int); GRANT SELECT ON public.t TO %w WITH GRANT OPTION",
			"",
		},
		"CREATE on the schema":  {"GRANT CREATE ON SCHEMA app TO %w", ""},
		"writing the ledger":    {"GRANT UPDATE (name) ON app.migrations TO %w", ""},
		"everybody's CREATE":    {"GRANT CREATE ON DATABASE %d TO PUBLIC", ""},
		"no reading the ledger": {"REVOKE SELECT ON app.migrations FROM %w", ""},
		"no use of the schema":  {"REVOKE USAGE ON SCHEMA app FROM %w", ""},
		"no role": {
			"DROP OWNED BY %w; DROP ROLE %w",
			"GRANT USAGE ON SCHEMA app TO %w; GRANT SELECT ON app.migrations TO %w",
		},
	} {
		fill := strings.NewReplacer("%w", db.WebRole, "%d", db.Name).Replace
		pgtest.Exec(t, db.SuperConn, fill(c.plant))
		a := audited(t, older, db)
		if a.Err() == nil {
			t.Errorf("%s: the audit found nothing", name)
			continue
		}
		_, err := older.Up(t.Context(), db.MigratorConn)
		lacks, ok := errors.AsType[*pg.PrivilegeError](err)
		if plan := planned(t, older, db.MigratorConn); !ok || !slices.Contains(lacks.SQL, serious(a)[0].SQL) ||
			plan.Refusal == nil || plan.Refusal.Error() != err.Error() {
			t.Errorf("%s: Up: %v, planned %v; want a PrivilegeError with %s", name, err, plan.Refusal,
				serious(a)[0].SQL)
		}
		pgtest.Exec(t, db.SuperConn, serious(a)[0].SQL, fill(c.undo))
		if left := serious(audited(t, older, db)); len(left) > 0 {
			t.Errorf("%s: %s left %v", name, serious(a)[0].SQL, left)
		}
	}
}

// TestWhoMayNotReadTheLedgerIsToldWhatIsMissing: the audit does not need the ledger.
func TestWhoMayNotReadTheLedgerIsToldWhatIsMissing(t *testing.T) {
	t.Parallel()
	for what, revoke := range map[string]string{
		"SELECT ON TABLE app.migrations": "REVOKE SELECT ON app.migrations FROM ",
		"USAGE ON SCHEMA app":            "REVOKE USAGE ON SCHEMA app FROM ",
	} {
		db := pgtest.Blank(t)
		m := migrator(t, db, tables(2)...)
		up(t, m, db.MigratorConn)
		pgtest.Exec(t, db.SuperConn, revoke+db.WebRole)
		m.Role.Name = ""
		v, err := askAudit(t.Context(), m, db.WebConn)
		if _, ok := errors.AsType[*pg.PrivilegeError](err); !ok || v.Audit == nil ||
			findingOf(*v.Audit, privilege.Missing, what) == nil || v.Status.Role != db.WebRole {
			t.Errorf("got %+v, %v; want a PrivilegeError and that %s is missing", v, err, what)
		}
	}
}

// TestWhatTheRoleOwnsGoesToSomebodyElse asks as each role that may, with a schema that
// was handed to the service's role.
func TestWhatTheRoleOwnsGoesToSomebodyElse(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(*migrate.Migrator, *pgtest.DB) string{
		"a superuser": func(_ *migrate.Migrator, db *pgtest.DB) string { return db.SuperConn },
		"itself":      func(m *migrate.Migrator, db *pgtest.DB) string { m.Role.Name = ""; return db.WebConn },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			m := migrator(t, db, tables(2)...)
			up(t, m, db.MigratorConn)
			pgtest.Exec(t, db.SuperConn, "ALTER SCHEMA app OWNER TO "+db.WebRole)
			conn := ask(m, db)
			v, err := askVerify(t.Context(), m, conn)
			if err != nil || v.Audit == nil {
				t.Fatalf("verify: %+v, %v", v, err)
			}
			finding := findingOf(*v.Audit, privilege.Excess, "owns schema app")
			if finding == nil {
				t.Fatalf("found %v, want that it owns the schema", v.Audit.Findings)
			}
			pgtest.Exec(t, db.SuperConn, finding.SQL)
			if is := pgtest.Value[string](t, db.SuperConn,
				"SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'app'"); is == db.WebRole {
				t.Errorf("%s left the schema with %s", finding.SQL, is)
			}
		})
	}
}

// TestWhatAnybodyCanMakeStopsNoStart: a role needs no right for temporary objects, in
// whichever database it may connect to.
func TestWhatAnybodyCanMakeStopsNoStart(t *testing.T) {
	t.Parallel()
	db, other := pgtest.Blank(t), pgtest.Blank(t)
	m := migrator(t, db, tables(2)...)
	up(t, m, db.MigratorConn)
	for _, conn := range []string{db.WebConn, db.WebConn + " dbname=" + other.Name} {
		web := db.Connect(t, conn)
		if _, err := web.Exec(t.Context(), "CREATE TEMP TABLE t (id serial); CREATE FUNCTION pg_temp.f() RETURNS "+
			"int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE pg_temp.e AS ENUM ('a'); CREATE OPERATOR pg_temp.!! "+
			"(rightarg = int, function = int4um)"); err != nil {
			t.Fatal(err)
		}
	}
	a := audited(t, m, db)
	if found := serious(a); len(found) > 0 {
		t.Errorf("found %v, want warnings only", found)
	}
	if findingOf(a, privilege.Warn, `owns 5 objects in the database "`+other.Name+`", temporary ones or not`) == nil {
		t.Errorf("found %v, want a warning about the other database", a.Findings)
	}
	up(t, m, db.MigratorConn)
	if status, err := askStatus(t.Context(), m, db.WebConn); err != nil || len(status.TooMuch) > 0 {
		t.Errorf("as the service: too much %q, %v", status.TooMuch, err)
	}
}

// TestWhatEverybodyMayDoStopsAStartBeforeItMigrates: the role is not there yet, and would
// be unfit as soon as it is.
func TestWhatEverybodyMayDoStopsAStartBeforeItMigrates(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	pgtest.Exec(t, db.SuperConn, "GRANT CREATE ON DATABASE "+db.Name+" TO PUBLIC")
	_, err := migrator(t, db, tables(1)...).Up(t.Context(), db.MigratorConn)
	lacks, ok := errors.AsType[*pg.PrivilegeError](err)
	if !ok || !slices.Contains(lacks.SQL, `REVOKE CREATE ON DATABASE "`+db.Name+`" FROM PUBLIC CASCADE`) {
		t.Errorf("got %v, want a PrivilegeError with the REVOKE", err)
	}
	if pgtest.Value[bool](t, db.SuperConn, "SELECT to_regnamespace('app') IS NOT NULL") {
		t.Error("the schema was created all the same")
	}
}

// TestWhatPostgresGivesEverybodyIsNoFinding: default privileges that say nothing new are
// kept in the catalogue with those that are built in.
func TestWhatPostgresGivesEverybodyIsNoFinding(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(1)...)
	up(t, m, db.MigratorConn)
	before := len(audited(t, m, db).Findings)
	pgtest.Exec(t, db.SuperConn, "CREATE ROLE "+db.WebRole+"_x", "ALTER DEFAULT PRIVILEGES FOR ROLE "+owner(t, db)+
		" GRANT EXECUTE ON FUNCTIONS TO "+db.WebRole+"_x",
		"GRANT SELECT ON pg_authid TO "+db.WebRole+"_x", "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO "+db.WebRole+
			"_x")
	if a := audited(t, m, db); len(a.Findings) != before {
		t.Errorf("found %v", a.Findings)
	}
}

// TestRowSecurityIsTurnedOnAgain: without it the declared verbs reach every row.
func TestRowSecurityIsTurnedOnAgain(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(2)[0],
		`CREATE TABLE app."T 2" (id int); ALTER TABLE app."T 2" ENABLE ROW LEVEL SECURITY`)
	m.Role.Privileges = append(m.Role.Privileges,
		privilege.Privilege{On: "TABLE T 2", Allow: "SELECT", RowSecurity: true})
	if report := up(t, m, db.MigratorConn); len(report.Granted) > 0 {
		t.Errorf("the first start mended %q", report.Granted)
	}
	if a := audited(t, m, db); len(serious(a)) > 0 {
		t.Errorf("found %v", serious(a))
	}
	const off = `ALTER TABLE app."T 2" DISABLE ROW LEVEL SECURITY`
	const what = "ROW LEVEL SECURITY ON TABLE app.T 2"
	pgtest.Exec(t, db.SuperConn, off)
	finding := findingOf(audited(t, m, db), privilege.Missing, what)
	if finding == nil {
		t.Fatalf("found %v, want that %s is missing", audited(t, m, db).Findings, what)
	}
	if plan := planned(t, m, db.MigratorConn); !slices.Equal(plan.Grant, []string{what}) {
		t.Errorf("planned %q, want %q", plan.Grant, what)
	}
	if report := up(t, m, db.MigratorConn); !slices.Equal(report.Granted, []string{what}) {
		t.Errorf("mended %q, want %q", report.Granted, what)
	}
	pgtest.Exec(t, db.SuperConn, off, finding.SQL, "ALTER TABLE app.t1 ENABLE ROW LEVEL SECURITY",
		"ALTER TABLE app.migrations ENABLE ROW LEVEL SECURITY")
	if a := audited(t, m, db); a.Count(privilege.Excess) != 2 || a.Count(privilege.Missing) != 0 {
		t.Errorf("after %s found %v; want what no migration turns on", finding.SQL, serious(a))
	}
	up(t, m, db.MigratorConn)
	if a := audited(t, m, db); len(serious(a)) > 0 {
		t.Errorf("left %v", serious(a))
	}
}

// TestAStartAndAnAuditSeeTheSameRights: they ask in two ways, of which the one that each
// start takes is quicker and does not tell what is odd, only that something is.
func TestAStartAndAnAuditSeeTheSameRights(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, "CREATE TABLE app.t1 (id int, \"a column\" int); CREATE VIEW app.v1 AS SELECT 1 AS one; "+
		"CREATE SEQUENCE app.s1; CREATE TABLE app.t2 (id int); ALTER TABLE app.t2 ENABLE ROW LEVEL SECURITY;\n"+
		"CREATE FUNCTION app.f1(text, int[]) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE PROCEDURE app.p1() "+
		"LANGUAGE sql AS 'SELECT 1'")
	up(t, m, db.MigratorConn)
	name := db.WebRole + ` "quoted"=r/x`
	role := pgx.Identifier{name}.Sanitize()
	pgtest.Exec(t, db.SuperConn, "CREATE ROLE "+role)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		conn, err := pgx.Connect(ctx, db.SuperConn)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close(ctx) }()
		if _, err := conn.Exec(ctx, "DROP OWNED BY "+role+"; DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct {
		sql string
		odd bool // from here on
	}{
		{"SELECT 1", false},
		{"GRANT CONNECT, TEMPORARY ON DATABASE " + db.Name + " TO " + role, false},
		{"GRANT USAGE ON SCHEMA app TO " + role, false},
		{"GRANT SELECT, INSERT (id), UPDATE (\"a column\") ON app.t1 TO " + role, false},
		{"GRANT SELECT (one) ON app.v1 TO " + role + " WITH GRANT OPTION", false},
		{"ALTER TABLE app.t1 ADD gone int, ADD stays int; GRANT INSERT (gone, stays) ON app.t1 TO " + role +
			"; ALTER TABLE app.t1 DROP gone", false},
		{"GRANT ALL ON SEQUENCE app.s1 TO " + role + "; GRANT ALL ON app.t2 TO " + role, false},
		{"GRANT EXECUTE ON FUNCTION app.f1 TO " + role + "; GRANT EXECUTE ON PROCEDURE app.p1 TO " + role, false},
		{"GRANT INSERT, DELETE ON app.migrations TO " + role, false},
		{"GRANT SELECT (one) ON app.v1 TO " + db.WebRole + "; SET ROLE " + role +
			"; GRANT SELECT (one) ON app.v1 TO " + db.Migrator() + "; RESET ROLE", false},
		{"GRANT SELECT ON app.migrations TO PUBLIC", false},
		{"GRANT UPDATE (name) ON app.migrations TO PUBLIC", false},
		{"REVOKE UPDATE (name) ON app.migrations FROM PUBLIC; GRANT CREATE ON SCHEMA app TO PUBLIC", false},
		{"REVOKE CREATE ON SCHEMA app FROM PUBLIC", false},
		{"CREATE TYPE app.colour AS ENUM ('red'); GRANT USAGE ON TYPE app.colour TO " + role, true},
		{"DROP TYPE app.colour", false},
		{"CREATE TABLE app.own (); ALTER TABLE app.own OWNER TO " + role, true},
		{"GRANT SELECT ON app.own TO " + role, true}, // now its list names the owner
		{"DROP TABLE app.own", false},
		{"CREATE TABLE public.other (); GRANT SELECT ON public.other TO " + role, true},
	} {
		pgtest.Exec(t, db.SuperConn, c.sql)
		brief, whole, odd, err := m.HeldBothWays(t.Context(), db.Connect(t, db.MigratorConn).PgConn(), name)
		if err != nil {
			t.Fatal(err)
		}
		if odd != c.odd {
			t.Errorf("%s: odd %t, want %t", c.sql, odd, c.odd)
		}
		if !odd && !slices.Equal(brief, whole) {
			t.Errorf("%s:\n a start sees %s\nan audit sees %s", c.sql, strings.Join(brief, "\n"),
				strings.Join(whole, "\n"))
		}
	}
}

// TestADangerousParameterForEverybodyStopsAStart: it is of the whole server, so this one is the test's own.
func TestADangerousParameterForEverybodyStopsAStart(t *testing.T) {
	t.Parallel()
	db := pgtest.OwnServer(t).DB
	m := migrator(t, db, tables(1)...)
	pending := migrator(t, db, tables(2)...)
	up(t, m, db.MigratorConn)
	for plant, want := range map[string]privilege.Severity{
		"SET ON PARAMETER session_replication_role": privilege.Excess,
		"SET ON PARAMETER lo_compat_privileges":     privilege.Excess,
		"ALTER SYSTEM ON PARAMETER archive_command": privilege.Excess,
		"SET ON PARAMETER log_statement":            privilege.Warn,
	} {
		pgtest.Exec(t, db.SuperConn, "GRANT "+plant+" TO PUBLIC")
		a := audited(t, m, db)
		if findingOf(a, want, plant+", as everybody (PUBLIC)") == nil {
			t.Fatalf("planted %s, and found %v; want %v", plant, a.Findings, want)
		}
		mend := "REVOKE " + plant + " FROM PUBLIC CASCADE"
		for _, m := range []*migrate.Migrator{m, pending} {
			if want == privilege.Warn {
				break
			}
			_, err := m.Up(t.Context(), db.MigratorConn)
			lacks, ok := errors.AsType[*pg.PrivilegeError](err)
			if !ok || !slices.Contains(lacks.SQL, mend) {
				t.Errorf("%s: got %v, want a PrivilegeError with the REVOKE", plant, err)
			}
		}
		pgtest.Exec(t, db.SuperConn, mend)
		up(t, m, db.MigratorConn)
	}
	if ledger(t, db) != "1" {
		t.Error("a file was applied all the same")
	}
}

// TestWhatRunsWithTheRolesOwnRightsIsNoDetour, nor what the role may not use, or whose owner may do no more.
func TestWhatRunsWithTheRolesOwnRightsIsNoDetour(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(1)...)
	up(t, m, db.MigratorConn)
	pgtest.Exec(t, db.SuperConn,
		"CREATE VIEW public.invoker WITH (security_invoker) AS SELECT * FROM app.t1; GRANT SELECT ON "+
			"public.invoker TO PUBLIC",
		"CREATE VIEW public.over AS SELECT * FROM public.invoker; GRANT SELECT ON public.over TO PUBLIC",
		"CREATE VIEW public.nobodys AS SELECT * FROM app.t1",
		"CREATE SCHEMA closed; CREATE FUNCTION closed.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
		"CREATE FUNCTION public.own() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"CREATE FUNCTION public.t() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NEW; END'",
		"CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
		"REVOKE EXECUTE ON FUNCTION public.mine FROM PUBLIC")
	if a := audited(t, m, db); a.Detours != 0 {
		t.Errorf("found %v", a.Findings)
	}
}
