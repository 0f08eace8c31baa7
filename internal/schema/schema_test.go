package schema_test

import (
	_ "embed"
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
	WHERE relnamespace = 'avtotpy'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
	  AND relname <> 'migrations'
	  -- The sequence of an identity column needs no privilege.
	  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'i')
	UNION ALL
	SELECT 'FUNCTION ' || proname || '(' || oidvectortypes(proargtypes) || ')'
	FROM pg_proc WHERE pronamespace = 'avtotpy'::regnamespace
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

// held lists what the web role can do, from the catalogue, one privilege a line.
//
//go:embed testdata/held.sql
var held string

// TestPrivilegesAmountToWhatWasReviewed shows a change of the web role's privileges in
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
		t.Errorf("the web role's privileges are not those of %s; when that is meant, run go test ./internal/schema "+
			"-update and review the difference. Got:\n%s", golden, got)
	}
}

//go:embed testdata/of_vaults.sql
var ofVaults string

// TestTablesOfVaultsHaveRowSecurity finds a table that was added and forgotten.
func TestTablesOfVaultsHaveRowSecurity(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
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

// TestFunctionsCannotBeMisled holds for all of them, so that no one has to know
// which one runs with its owner's privileges.
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
