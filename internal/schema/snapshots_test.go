package schema_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// TestSnapshotsAreWhatTheMigrationsMake shows a change of the schema in the review of
// the file after the last one. CI holds the newest PostgreSQL to the same files.
func TestSnapshotsAreWhatTheMigrationsMake(t *testing.T) {
	t.Parallel()
	const folder = "migrations/snapshots"
	bundle, err := bundle.Load(schema.Files())
	if err != nil {
		t.Fatal(err)
	}
	m := migrate.Migrator{Bundle: bundle, Schema: schema.Name}
	texts, err := migrate.Snapshots(t.Context(), &m, pgtest.Blank(t).MigratorConn)
	if err != nil {
		t.Fatal(err)
	}
	update := flag.Lookup("update").Value.String() == "true"
	if update {
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i, text := range texts {
		file := filepath.Join(folder, fmt.Sprintf("%04d.txt", i+1))
		if update {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%v; run go test ./internal/schema -update", err)
			continue
		}
		if text != string(have) {
			t.Errorf("%s is stale; run go test ./internal/schema -update and review the difference", file)
			for _, d := range snapshot.Compare(string(have), text) {
				t.Log(d)
			}
		}
	}
	if _, err := schema.Load(os.DirFS("migrations")); err != nil {
		t.Error(err)
	}
}

func TestEveryRoleReadsTheSameSnapshot(t *testing.T) {
	t.Parallel()
	db := pgtest.Migrated(t)
	pgtest.Exec(t, db.SuperConn, "CREATE ROLE reader_"+db.Name+" LOGIN PASSWORD '"+db.WebPassword+"'")
	t.Cleanup(func() { pgtest.Exec(t, db.SuperConn, "DROP ROLE reader_"+db.Name) })
	texts := map[string]string{}
	for who, conn := range map[string]string{
		"migrator": db.MigratorConn, "web": db.WebConn, "superuser": db.SuperConn,
		"nobody": db.WebConn + " user=reader_" + db.Name,
	} {
		text, err := migrate.Snapshot(t.Context(), db.Connect(t, conn), schema.Name)
		if err != nil {
			t.Fatalf("%s: %v", who, err)
		}
		texts[who] = text
	}
	for who, text := range texts {
		if text != texts["migrator"] {
			t.Errorf("the role %q reads something else than the migrator: %v", who,
				snapshot.Compare(texts["migrator"], text))
		}
	}
}
