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
	flag.Bool("update", false, "write testdata/privileges.golden")
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
		t.Errorf("the web role's rights are not those of %s; when that is meant, run go test ./internal/schema -update and review the difference. Got:\n%s", golden, got)
	}
}
