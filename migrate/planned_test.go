package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
)

// TestUpDoesWhatPlanSaid holds a plan to what the Up that follows it reports.
func TestUpDoesWhatPlanSaid(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string][]string{
		"current":           {"SELECT 1"},
		"a right less":      {"REVOKE SELECT ON app.t1 FROM $role"},
		"a right more":      {"GRANT DELETE ON app.t1 TO $role", "GRANT SELECT (id) ON app.t2 TO $role"},
		"rights to hand on": {"GRANT SELECT ON app.t1 TO $role WITH GRANT OPTION"},
		"no role":           {"DROP OWNED BY $role", "DROP ROLE $role"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			m := migrator(t, db, tables(3)...)
			up(t, m, db.MigratorConn)
			for _, sql := range damage {
				pgtest.Exec(t, db.SuperConn, named(sql, db))
			}
			plan := planned(t, m, db.MigratorConn)
			before := pgtest.Value[string](t, db.SuperConn,
				"SELECT relacl::text FROM pg_class WHERE oid = 'app.t1'::regclass")
			if again := planned(t, m, db.MigratorConn); !slices.Equal(again.Grant, plan.Grant) ||
				!slices.Equal(again.Revoke, plan.Revoke) {
				t.Errorf("planning twice: got %+v, want %+v", again, plan)
			}
			if after := pgtest.Value[string](t, db.SuperConn,
				"SELECT relacl::text FROM pg_class WHERE oid = 'app.t1'::regclass"); after != before {
				t.Errorf("planning changed rights: %s, before %s", after, before)
			}
			report := up(t, m, db.MigratorConn)
			slices.Sort(report.Granted)
			if !slices.Equal(plan.Grant, report.Granted) || !slices.Equal(plan.Revoke, report.Revoked) ||
				plan.CreateRole != report.RoleCreated {
				t.Errorf("planned %q, %q, role %t; done %q, %q, role %t", plan.Grant, plan.Revoke, plan.CreateRole,
					report.Granted, report.Revoked, report.RoleCreated)
			}
			if plan.Nothing() != (len(report.Granted)+len(report.Revoked) == 0 && !report.RoleCreated) {
				t.Errorf("Nothing is %t, and the report %+v", plan.Nothing(), report)
			}
			if rest := planned(t, m, db.MigratorConn); !rest.Nothing() || rest.Refusal != nil {
				t.Errorf("afterwards: got %+v, want nothing to do", rest)
			}
		})
	}
}

func TestPlanOfABlankDatabaseIsAllOfIt(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, tables(3)...)
	plan := planned(t, m, db.MigratorConn)
	if !plan.CreateSchema || !plan.CreateRole || len(plan.Status.Pending) != 3 || plan.Refusal != nil ||
		plan.Nothing() {
		t.Errorf("got %+v, want schema, role and three files", plan)
	}
	if pgtest.Value[bool](t, db.SuperConn, "SELECT to_regnamespace('app') IS NOT NULL OR to_regrole($1) IS NOT NULL",
		db.WebRole) {
		t.Error("planning created something")
	}
}

// TestPlanForeseesARefusal compares the plan with the error of the Up that follows.
func TestPlanForeseesARefusal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		migrated bool
		damage   string
	}{
		"no right to create a schema": {false, "REVOKE CREATE ON DATABASE $database FROM $migrator"},
		"no right to create the role": {false, "ALTER ROLE $migrator NOCREATEROLE"},
		"a superuser":                 {true, "ALTER ROLE $role SUPERUSER"},
		"a right elsewhere":           {true, "CREATE TABLE public.x (); GRANT SELECT ON public.x TO $role"},
		"rights here and elsewhere": {
			true,
			"CREATE TABLE public.x (); GRANT SELECT ON public.x TO $role; GRANT DELETE ON app.t1 TO $role",
		},
		"a ledger that diverged": {true, "UPDATE app.migrations SET name = 'other' WHERE version = 1"},
		"a lost ledger":          {true, "DROP TABLE app.migrations"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			m := migrator(t, db, tables(2)...)
			if c.migrated {
				up(t, m, db.MigratorConn)
			}
			pgtest.Exec(t, db.SuperConn, named(c.damage, db))
			plan := planned(t, m, db.MigratorConn)
			_, err := m.Up(t.Context(), db.MigratorConn)
			if err == nil || plan.Refusal == nil || plan.Refusal.Error() != err.Error() {
				t.Errorf("planned %v\nUp    %v", plan.Refusal, err)
			}
		})
	}
}

func planned(t *testing.T, m *migrate.Migrator, connString string) migrate.Plan {
	t.Helper()
	plan, err := askPlan(t.Context(), m, connString)
	if err != nil {
		t.Fatalf("Plan: %v", err)
	}
	return plan
}

// named puts the names of a database into SQL.
func named(sql string, db *pgtest.DB) string {
	return strings.NewReplacer("$database", db.Name, "$migrator", db.Migrator(), "$role", db.WebRole).Replace(sql)
}
