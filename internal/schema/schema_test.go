package schema_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/schema"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write what is generated: testdata/privileges.golden, migrations/snapshots and the "+
		"tables in docs/privileges.md")
	pgtest.Main(m)
}

// objects lists what the schema holds besides the ledger, as declarations name it.
const objects = `
	SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || relname
	FROM pg_class
	WHERE relnamespace = 'avtotpy'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relname <> 'migrations'
	  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'i') -- the sequence of an identity column needs no right
	UNION ALL
	SELECT 'FUNCTION ' || proname || '(' || oidvectortypes(proargtypes) || ')' FROM pg_proc WHERE pronamespace = 'avtotpy'::regnamespace
	ORDER BY 1`

func TestEveryObjectIsDeclared(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	rows, _ := db.Connect(t, db.SuperConn).Query(t.Context(), objects) // CollectRows returns the error
	have, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(have) == 0 {
		t.Fatal("the schema holds nothing")
	}
	var declared []string
	for _, p := range schema.Privileges() {
		declared = append(declared, p.On)
		if !slices.Contains(have, p.On) {
			t.Errorf("%s is declared and does not exist", p.On)
		}
	}
	for _, object := range have {
		if !slices.Contains(declared, object) {
			t.Errorf("%s has no entry in Privileges; an empty Allow forbids everything", object)
		}
	}
}

// held lists what the web role can do, from the catalogue, one right a line.
const held = `
	SELECT format('%s %s%s', c.relname, a.privilege_type, CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
	FROM pg_class c, aclexplode(c.relacl) a
	WHERE c.relnamespace = 'avtotpy'::regnamespace AND a.grantee = to_regrole($1)
	UNION ALL
	SELECT format('%s %s (%s)%s', c.relname, a.privilege_type, string_agg(attname, ', ' ORDER BY attnum), CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
	FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
	WHERE c.relnamespace = 'avtotpy'::regnamespace AND a.grantee = to_regrole($1)
	GROUP BY c.relname, a.privilege_type, a.is_grantable
	UNION ALL
	SELECT format('%s(%s) %s%s', proname, oidvectortypes(proargtypes), a.privilege_type, CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
	FROM pg_proc p, aclexplode(p.proacl) a
	WHERE p.pronamespace = 'avtotpy'::regnamespace AND a.grantee = to_regrole($1)
	ORDER BY 1`

// TestPrivilegesAmountToWhatWasReviewed shows a change of the web role's rights in
// the review of the file.
func TestPrivilegesAmountToWhatWasReviewed(t *testing.T) {
	t.Parallel()
	const golden = "testdata/privileges.golden"
	db := pgtest.Migrated(t)
	rows, _ := db.Connect(t, db.SuperConn).Query(t.Context(), held, db.WebRole) // CollectRows returns the error
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(lines, "\n") + "\n"
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the web role's rights are not those of %s; when that is meant, run go test ./internal/schema "+
			"-update and review the difference. Got:\n%s", golden, got)
	}
}

// TestTablesOfVaultsHaveRowSecurity finds the table that somebody adds and forgets.
func TestTablesOfVaultsHaveRowSecurity(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	// The audit log can only be added to, also about vaults that are gone.
	const ofVaults = `
		SELECT relname, relrowsecurity, coalesce((SELECT string_agg(DISTINCT polcmd::text, '' ORDER BY polcmd::text) FROM pg_policy WHERE polrelid = c.oid), ''),
			(SELECT string_agg(cmd, '' ORDER BY cmd) FROM (VALUES ('r', 'SELECT'), ('a', 'INSERT'), ('w', 'UPDATE'), ('d', 'DELETE')) v (cmd, verb)
			 WHERE CASE verb WHEN 'DELETE' THEN has_table_privilege(to_regrole($1), c.oid, verb) ELSE has_any_column_privilege(to_regrole($1), c.oid, verb) END)
		FROM pg_class c
		WHERE relnamespace = 'avtotpy'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'audit_log'
		  AND (relname = 'vaults' OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname IN ('vault_id', 'account_id') AND NOT attisdropped))`
	declared := map[string]bool{}
	for _, p := range schema.Privileges() {
		declared[strings.TrimPrefix(p.On, "TABLE ")] = p.RowSecurity
	}
	rows, _ := db.Connect(t, db.SuperConn).Query(t.Context(), ofVaults, db.WebRole) // ForEachRow returns the error
	var table, policies, granted string
	var enabled bool
	tables := 0
	_, err := pgx.ForEachRow(rows, []any{&table, &enabled, &policies, &granted}, func() error {
		tables++
		if !enabled {
			t.Errorf("%s has no row security: ALTER TABLE avtotpy.%s ENABLE ROW LEVEL SECURITY, and a policy for "+
				"each command that is granted", table, table)
		}
		if !declared[table] {
			t.Errorf("%s is declared without RowSecurity in Privileges, so nobody notices when it is turned off", table)
		}
		if policies != granted { // the letters of pg_policy.polcmd; * would be a policy for all commands
			t.Errorf("%s has policies for %q, and the web role is granted %q", table, policies, granted)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if tables < 5 {
		t.Errorf("the query found %d tables of vaults, want at least 5", tables)
	}
}

// TestFunctionsCannotBeMisled holds for all of them, so that nobody has to know
// which one runs with its owner's rights.
func TestFunctionsCannotBeMisled(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	const functions = `
		SELECT proname, 'search_path=pg_catalog, pg_temp' = ANY (coalesce(proconfig, '{}')),
			EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee = 0),
			obj_description(oid, 'pg_proc') IS NOT NULL
		FROM pg_proc
		WHERE pronamespace = 'avtotpy'::regnamespace`
	rows, _ := db.Connect(t, db.SuperConn).Query(t.Context(), functions) // ForEachRow returns the error
	var name string
	var pinned, public, described bool
	tag, err := pgx.ForEachRow(rows, []any{&name, &pinned, &public, &described}, func() error {
		if !pinned {
			t.Errorf("%s has no SET search_path = pg_catalog, pg_temp", name)
		}
		if public {
			t.Errorf("PUBLIC can execute %s", name)
		}
		if !described {
			t.Errorf("%s has no comment", name)
		}
		return nil
	})
	if err != nil || tag.RowsAffected() == 0 {
		t.Errorf("looked at %d functions, %v", tag.RowsAffected(), err)
	}
}
