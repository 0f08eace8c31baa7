package migrate_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/internal/pg"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// logTo is a log that a test reads.
func logTo(log *pgtest.Output) *slog.Logger { return slog.New(slog.NewTextHandler(log, nil)) }

// trigger is an event trigger that runs a body in PL/pgSQL.
func trigger(name, event, body string) []string {
	return []string{
		"CREATE SCHEMA IF NOT EXISTS ops", "GRANT USAGE ON SCHEMA ops TO PUBLIC",
		fmt.Sprintf("CREATE FUNCTION ops.%s() RETURNS event_trigger LANGUAGE plpgsql AS $f$ DECLARE r record; BEGIN "+
			"%s END $f$", name, body),
		fmt.Sprintf("CREATE EVENT TRIGGER %s ON %s EXECUTE FUNCTION ops.%[1]s()", name, event),
	}
}

const (
	secureEach = `FOR r IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table' AND command_tag = 'CREATE TABLE'
		LOOP EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', r.object_identity); END LOOP;`
	takeEach = `FOR r IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table' AND command_tag = 'CREATE TABLE'
		LOOP EXECUTE format('ALTER TABLE %s OWNER TO CURRENT_USER', r.object_identity); END LOOP;`
	forceEach = `FOR r IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table' AND command_tag = 'CREATE TABLE'
		LOOP EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', r.object_identity); END LOOP;`
)

// TestRowLevelSecurityOfAPlatformIsTakenOff: the role's work goes on in a blank database, and
// at a table that comes later.
func TestRowLevelSecurityOfAPlatformIsTakenOff(t *testing.T) {
	t.Parallel()
	files := func(n int) (files []string) {
		for i := range n {
			files = append(files, fmt.Sprintf("CREATE TABLE app.t%d (id int)", i+1))
		}
		return files
	}
	for name, body := range map[string]string{"enabled": secureEach, "forced": forceEach} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, late %t", name, late), func(t *testing.T) {
				t.Parallel()
				db := pgtest.Blank(t)
				var log pgtest.Output
				with := func(n int) *migrate.Migrator {
					m := migrator(t, db, files(n)...)
					m.Log, m.Role.Privileges = logTo(&log), nil
					for i := range n {
						m.Role.Privileges = append(m.Role.Privileges, privilege.Privilege{On: fmt.Sprintf("TABLE t%d",
							i+
								1), Allow: "SELECT"})
					}
					return m
				}
				if late {
					up(t, with(1), db.MigratorConn)
				}
				pgtest.Exec(t, db.SuperConn, trigger("secure_each", "ddl_command_end", body)...)
				up(t, with(3), db.MigratorConn)
				if a := audited(t, with(3), db); a.Err() != nil {
					t.Error(a.Err())
				}
				// it fails where a policy would hide rows
				for _, table := range []string{"t1", "t2", "t3", "migrations"} {
					pgtest.Exec(t, db.WebConn, "SET row_security = off", "SELECT FROM app."+table)
					pgtest.Exec(t, db.MigratorConn, "SET row_security = off", "SELECT FROM app."+table)
				}
				for _, want := range []string{"secure_each", "taken off", "ROW LEVEL SECURITY ON TABLE app.t3"} {
					if !strings.Contains(strings.ToLower(log.String()), strings.ToLower(want)) {
						t.Errorf("the log lacks %q:\n%s", want, log.String())
					}
				}
				up(t, with(4), db.MigratorConn)
			})
		}
	}
}

// TestWhoStopsAMigrationIsNamed: neither the schema's owner nor the file is to blame, and the
// message goes out whole.
func TestWhoStopsAMigrationIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plant []string
		want  []string
		mend  string
	}{
		"a freeze": {
			trigger("frozen", "ddl_command_start", "RAISE 'no changes until Monday' USING HINT = 'Open a ticket "+
				"with the platform team.';"),
			[]string{
				"no changes until Monday", "Open a ticket with the platform team",
				`"frozen" on ddl_command_start`, `ALTER EVENT TRIGGER "frozen" DISABLE`,
			},
			`ALTER EVENT TRIGGER "frozen" DISABLE`,
		},
		"one that lacks a right": {
			slices.Concat([]string{"CREATE TABLE public.ddl_log (tag text)"},
				trigger("note", "ddl_command_end", "INSERT INTO public.ddl_log VALUES (tg_tag);")),
			[]string{"ddl_log", `"note" on ddl_command_end`, "SECURITY DEFINER", `ALTER EVENT TRIGGER "note" DISABLE`},
			"GRANT INSERT ON public.ddl_log TO PUBLIC",
		},
		"one that is odd about GRANT": {
			trigger("no_grant", "ddl_command_end", "IF tg_tag = 'GRANT' THEN RAISE 'grants are made by the "+
				"platform'; END IF;"),
			[]string{"grants are made by the platform", `"no_grant"`},
			`ALTER EVENT TRIGGER no_grant DISABLE`,
		},
		"one that is odd about COMMENT": {
			trigger("no_comment", "ddl_command_end", "IF tg_tag = 'COMMENT' THEN RAISE 'no comment'; END IF;"),
			[]string{"no comment", `"no_comment"`},
			`ALTER EVENT TRIGGER no_comment DISABLE`,
		},
		"one with an odd name": {
			[]string{
				`CREATE SCHEMA "The ops"`, `GRANT USAGE ON SCHEMA "The ops" TO PUBLIC`,
				`CREATE FUNCTION "The ops"."No 'way'"() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE 'no'; END $f$`,
				`CREATE EVENT TRIGGER "100 % no" ON ddl_command_start EXECUTE FUNCTION "The ops"."No 'way'"()`,
			},
			[]string{`"100 % no" on ddl_command_start`, `ALTER EVENT TRIGGER "100 % no" DISABLE`},
			`ALTER EVENT TRIGGER "100 % no" DISABLE`,
		},
		"one that forces row level security": {
			trigger("force_each", "ddl_command_end", forceEach),
			[]string{"row level security refused a row", `"force_each" on ddl_command_end`},
			`ALTER EVENT TRIGGER force_each DISABLE`,
		},
		"one that changes owners": {
			append(trigger("take", "ddl_command_end", takeEach), "ALTER FUNCTION ops.take() SECURITY DEFINER"),
			[]string{`"take" on ddl_command_end`, `ALTER EVENT TRIGGER "take" DISABLE`},
			`ALTER EVENT TRIGGER take DISABLE`,
		},
		"a tablespace": {
			[]string{"ALTER ROLE %m SET default_tablespace = pg_global"},
			[]string{`the tablespace "pg_global"`, `GRANT CREATE ON TABLESPACE "pg_global" TO "%m"`},
			"ALTER ROLE %m RESET default_tablespace",
		},
	} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, late %t", name, late), func(t *testing.T) {
				t.Parallel()
				db := pgtest.Blank(t)
				fill := strings.NewReplacer("%m", db.Migrator(), "%w", db.WebRole).Replace
				if late {
					up(t, migrator(t, db, tables(1)...), db.MigratorConn)
				}
				for _, sql := range c.plant {
					pgtest.Exec(t, db.SuperConn, fill(sql))
				}
				m := migrator(t, db, tables(3)...)
				_, err := m.Up(t.Context(), db.MigratorConn)
				if err == nil {
					t.Fatal("it went through")
				}
				for _, want := range c.want {
					if !strings.Contains(err.Error(), fill(want)) {
						t.Errorf("got %v\nwant %q in it", err, fill(want))
					}
				}
				if strings.Contains(err.Error(), "ALTER SCHEMA") {
					t.Errorf("it wants the schema to have another owner: %v", err)
				}
				pgtest.Exec(t, db.SuperConn, fill(c.mend))
				up(t, m, db.MigratorConn)
			})
		}
	}
}

// TestATalkativeServerIsHeardOut: what it says is logged, and so much of it.
func TestATalkativeServerIsHeardOut(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	pgtest.Exec(t, db.SuperConn, trigger("talks", "ddl_command_end",
		"FOR i IN 1..300 LOOP RAISE NOTICE 'line %', i; END LOOP;")...)
	m := migrator(t, db, tables(2)...)
	var log pgtest.Output
	m.Log = logTo(&log)
	up(t, m, db.MigratorConn)
	if n := strings.Count(log.String(), "the server says\""); n == 0 || n > 200 ||
		!strings.Contains(log.String(), "says more") {
		t.Errorf("%d lines were logged:\n%.2000s", n, log.String())
	}
}

// TestAHardenedCatalogueIsNamed takes each catalogue and each function of the server that a
// start, an audit, a history and a plan ask from everybody: it goes on without, or the error
// gives the SQL that gives it back, and which helps. It runs with AVTOTPY_LONG=1;
// TestWithoutAnythingOfTheServersEachStepSaysWhatItNeeds takes them all at once.
func TestAHardenedCatalogueIsNamed(t *testing.T) {
	if os.Getenv("AVTOTPY_LONG") == "" {
		t.Skip("with AVTOTPY_LONG=1")
	}
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(2)...)
	up(t, m, db.MigratorConn)
	var hardened []string
	for _, name := range m.AskedOfTheServer() {
		kind := pgtest.Value[string](t, db.SuperConn, `SELECT coalesce((SELECT 'table ' || oid::regclass FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relname = $1),
			(SELECT 'functions ' || string_agg(oid::regprocedure::text, ', ') FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = $1), '')`, name)
		if kind != "" {
			hardened = append(hardened, kind)
		}
	}
	if len(hardened) < 60 {
		t.Fatalf("only %d things are asked of the server: %q", len(hardened), hardened)
	}
	for _, what := range hardened {
		kind, names, _ := strings.Cut(what, " ")
		right, on := "SELECT", names
		if kind == "functions" {
			right, on = "EXECUTE", "FUNCTION "+names
		}
		pgtest.Exec(t, db.SuperConn, "REVOKE "+right+" ON "+on+" FROM PUBLIC")
		for step, do := range map[string]func() error{
			"a start":   func() error { _, err := m.Up(t.Context(), db.MigratorConn); return err },
			"a plan":    func() error { _, err := askPlan(t.Context(), m, db.MigratorConn); return err },
			"an audit":  func() error { _, err := askVerify(t.Context(), m, db.MigratorConn); return err },
			"a history": func() error { _, _, err := askHistory(t.Context(), m, db.MigratorConn); return err },
		} {
			for round := 0; ; round++ {
				err := do()
				if err == nil {
					break
				}
				lacks, ok := errors.AsType[*pg.PrivilegeError](err)
				if !ok || len(lacks.SQL) == 0 || !strings.Contains(strings.Join(lacks.SQL, ""), "GRANT "+right) ||
					round > 5 {
					t.Errorf("without %s %s: %s: %v; want the SQL that gives it back", right, on, step, err)
					break
				}
				pgtest.Exec(t, db.SuperConn, lacks.SQL...)
			}
		}
		pgtest.Exec(t, db.SuperConn, "GRANT "+right+" ON "+on+" TO PUBLIC")
	}
}
