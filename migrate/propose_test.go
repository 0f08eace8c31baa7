package migrate_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// byHandChanges are changes of the schema that testdata/everything makes, by its owner. What verify proposes undoes
// each of them.
func byHandChanges() []string {
	return []string{
		// tables
		"ALTER TABLE parent SET (fillfactor = 60)",
		"ALTER TABLE parent RESET (fillfactor, autovacuum_enabled)",
		"ALTER TABLE quick SET (autovacuum_vacuum_scale_factor = 0.5)",
		"ALTER TABLE parent SET (toast.autovacuum_enabled = true)",
		"ALTER TABLE parent RESET (toast.autovacuum_enabled)",
		"ALTER TABLE parent DISABLE ROW LEVEL SECURITY",
		"ALTER TABLE parent NO FORCE ROW LEVEL SECURITY",
		"ALTER TABLE to_parts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
		"ALTER TABLE to_parts SET UNLOGGED",
		"ALTER TABLE parent REPLICA IDENTITY DEFAULT",
		"ALTER TABLE quick REPLICA IDENTITY NOTHING",
		"ALTER TABLE typed NOT OF",
		"ALTER TABLE child NO INHERIT parent",
		"ALTER TABLE parts DETACH PARTITION parts_2020",
		"ALTER TABLE parts_rest DETACH PARTITION parts_even",
		"ALTER TABLE parent SET WITHOUT CLUSTER",
		"ALTER TABLE parent CLUSTER ON identity_idx",
		// columns
		"ALTER TABLE parent ALTER born DROP DEFAULT",
		`ALTER TABLE parent ALTER "Odd Name" SET DEFAULT 'not null default x'`,
		"ALTER TABLE parent ALTER share SET DEFAULT 5",
		"ALTER TABLE parts ALTER parent_id SET NOT NULL",
		"ALTER TABLE parent ALTER number SET NOT NULL",
		"ALTER TABLE parent ALTER number DROP DEFAULT",
		"ALTER TABLE parent ALTER id SET GENERATED ALWAYS",
		"ALTER TABLE to_parts ALTER id SET NOT NULL, ALTER id ADD GENERATED ALWAYS AS IDENTITY",
		"ALTER TABLE parent ALTER document SET STORAGE MAIN",
		"ALTER TABLE parent ALTER raw SET STORAGE PLAIN",
		"ALTER TABLE parent ALTER raw SET COMPRESSION DEFAULT",
		"ALTER TABLE parent ALTER document SET COMPRESSION pglz",
		"ALTER TABLE parent ALTER ratio SET STATISTICS -1",
		"ALTER TABLE parent ALTER id SET STATISTICS 7",
		"ALTER TABLE parent ALTER born RESET (n_distinct)",
		"ALTER TABLE parent ALTER id SET (n_distinct = 3)",
		// constraints and indexes
		"ALTER TABLE parent DROP CONSTRAINT heavy",
		"ALTER TABLE parent DROP CONSTRAINT once",
		"ALTER TABLE parent DROP CONSTRAINT apart",
		"ALTER TABLE parent ADD CONSTRAINT more CHECK (number < 1000)",
		"ALTER TABLE quick ADD PRIMARY KEY (a)",
		`ALTER TABLE "Child ""Two""" DROP CONSTRAINT "Child ""Two""_parent_id_fkey"`,
		`ALTER TABLE "Child ""Two""" VALIDATE CONSTRAINT later`,
		`ALTER TABLE "Child ""Two""" DROP CONSTRAINT also_later`,
		"ALTER TABLE parts ADD CONSTRAINT positive CHECK (id > 0)",
		"ALTER TABLE parts DROP CONSTRAINT parts_parent_id_fkey",
		"ALTER TABLE to_parts DROP CONSTRAINT to_parts_id_day_fkey",
		"ALTER TABLE parent ADD CONSTRAINT checked_mood CHECK (mood <> 'sad'::mood)",
		"DROP INDEX upper_idx",
		"DROP INDEX document_idx; CREATE INDEX document_idx ON parent (born)",
		"CREATE INDEX extra ON parent (born, number)",
		"CREATE UNIQUE INDEX lone ON quick (a)",
		"DROP INDEX parts_day_idx",
		"CREATE INDEX on_parts ON parts (parent_id)",
		"DROP INDEX kept_id",
		"ALTER INDEX parent_pkey SET (fillfactor = 50)",
		"DROP STATISTICS together",
		"CREATE STATISTICS other_together ON born, raw FROM parent",
		"ALTER STATISTICS together SET STATISTICS 7",
		"DROP STATISTICS expression; CREATE STATISTICS expression ON (number % 12), born FROM parent",
		// what hangs on tables
		"DROP POLICY all_of_them ON parent",
		"DROP POLICY fewer ON parent; CREATE POLICY fewer ON parent AS RESTRICTIVE USING (true)",
		"CREATE POLICY open ON parent USING (true)",
		"DROP TRIGGER stamped ON parent",
		"DROP TRIGGER checked ON parent",
		"ALTER TABLE parent ENABLE TRIGGER off",
		"ALTER TABLE parent DISABLE TRIGGER stamped",
		"ALTER TABLE parts_2020 DISABLE TRIGGER stamped",
		"DROP TRIGGER stamped ON parts",
		"CREATE TRIGGER another AFTER UPDATE ON parts FOR EACH ROW EXECUTE FUNCTION stamp()",
		`CREATE TRIGGER "no way" BEFORE DELETE ON quick FOR EACH ROW EXECUTE FUNCTION stamp()`,
		"DROP RULE noted ON quick",
		"ALTER TABLE quick DISABLE RULE refused",
		"CREATE RULE quiet AS ON UPDATE TO to_parts DO INSTEAD NOTHING",
		"DROP TRIGGER instead ON one",
		// sequences
		"ALTER SEQUENCE odd_sequence INCREMENT 4 NO CYCLE CACHE 1",
		"ALTER SEQUENCE plain_sequence AS integer",
		"ALTER SEQUENCE owned_sequence OWNED BY NONE",
		"ALTER SEQUENCE plain_sequence OWNED BY quick.a",
		"ALTER SEQUENCE parent_id_seq CACHE 20",
		// types
		"ALTER DOMAIN percentage DROP DEFAULT",
		"ALTER DOMAIN percentage DROP NOT NULL",
		"ALTER DOMAIN word SET DEFAULT 'x'",
		"ALTER DOMAIN word SET NOT NULL",
		"ALTER DOMAIN word DROP CONSTRAINT no_space",
		"ALTER DOMAIN word ADD CONSTRAINT short CHECK (length(VALUE) < 9)",
		"DROP DOMAIN word",
		`DROP TYPE "Empty Enum"`,
		`CREATE TYPE extra_enum AS ENUM ('a'); CREATE DOMAIN extra_domain AS extra_enum`,
		"CREATE TYPE extra_range AS RANGE (subtype = date)",
		"CREATE TYPE extra_pair AS (a int, b mood)",
		"CREATE COLLATION extra_collation FROM \"C\"",
		"CREATE TEXT SEARCH CONFIGURATION extra_configuration (COPY = simple)",
		"CREATE CONVERSION extra_conversion FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
		// functions
		"CREATE OR REPLACE FUNCTION plain(a integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 2'",
		"ALTER FUNCTION plain(integer) SECURITY DEFINER",
		"ALTER FUNCTION plain(integer) SET work_mem = '5MB' SET search_path = ''",
		"ALTER FUNCTION plain(integer, text, mood[]) RESET ALL STABLE COST 9",
		"DROP FUNCTION plain(integer, text, mood[])",
		"DROP FUNCTION plain(integer); CREATE FUNCTION plain(b integer) RETURNS bigint LANGUAGE sql AS 'SELECT " +
			"1::bigint'",
		"DROP FUNCTION atomic",
		"DROP FUNCTION listed",
		"DROP PROCEDURE act",
		"CREATE FUNCTION extra(a int, b mood DEFAULT 'sad') RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"CREATE PROCEDURE extra_too(a mood) LANGUAGE sql AS ''",
		"CREATE AGGREGATE extra_total(integer) (SFUNC = add, STYPE = integer)",
		"CREATE FUNCTION first() RETURNS int LANGUAGE sql RETURN 1; " +
			"CREATE FUNCTION a_second() RETURNS int LANGUAGE sql RETURN first()",
		// views
		"DROP VIEW crossed",
		"CREATE VIEW more AS SELECT a FROM quick; CREATE VIEW a_more AS SELECT a FROM more",
		"CREATE OR REPLACE VIEW constant AS VALUES (2, 'a'), (1, 'b')",
		"DROP VIEW one; CREATE VIEW one AS SELECT id::text FROM parent",
		"DROP VIEW changeable",
		"ALTER VIEW changeable ALTER a DROP DEFAULT",
		"ALTER VIEW sampled ALTER a SET DEFAULT 6",
		"ALTER VIEW aliased RESET (security_barrier)",
		"ALTER VIEW changeable SET (check_option = cascaded)",
		"DROP MATERIALIZED VIEW kept",
		"ALTER VIEW windowed RENAME COLUMN a TO b",
		// what belongs together
		"CREATE FUNCTION by_hand() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER TABLE quick ALTER a SET " +
			"DEFAULT by_hand()",
		"CREATE FUNCTION fine(a int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true'; " +
			"ALTER TABLE quick ADD CHECK (fine(a)); CREATE INDEX fine_idx ON quick ((fine(a))); " +
			"CREATE POLICY fine ON quick USING (fine(a))",
		"CREATE VIEW over_kept AS SELECT id FROM kept",
	}
}

// undone runs what verify proposes as the schema's owner, and returns what differs afterwards.
func undone(t *testing.T, m *migrate.Migrator, conn *pgx.Conn) (found migrate.Verification, after []snapshot.Difference,
	err error,
) {
	t.Helper()
	found, err = m.Verify(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range found.Proposal {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			_, _ = conn.Exec(t.Context(), "ROLLBACK") // the error is the script's
			return found, nil, &statementError{sql, err}
		}
	}
	v, err := m.Verify(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return found, v.Drift, nil
}

type statementError struct {
	sql string
	err error
}

func (e *statementError) Error() string { return e.sql + ": " + e.err.Error() }

// proposal lists what verify found and proposes, for a test's message.
func proposal(v migrate.Verification) string {
	return snapshot.Lines(v.Drift) + "\n\t" + strings.Join(v.Proposal, "\n\t")
}

func everythingMigrated(t *testing.T) (*migrate.Migrator, *pgx.Conn) {
	t.Helper()
	db := pgtest.Blank(t)
	m := remembering(t, everything(t, "app"))
	up(t, m, db.MigratorConn)
	conn := db.Connect(t, db.MigratorConn)
	if _, err := conn.Exec(t.Context(), "SET search_path = app"); err != nil {
		t.Fatal(err)
	}
	return m, conn
}

// TestAProposalUndoesEachKindOfChange makes each change by hand, and runs what verify proposes.
func TestAProposalUndoesEachKindOfChange(t *testing.T) {
	t.Parallel()
	const parts = 4
	for part := range parts {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			m, conn := everythingMigrated(t)
			for i, sql := range byHandChanges() {
				if i%parts != part {
					continue
				}
				if _, err := conn.Exec(t.Context(), sql); err != nil {
					t.Errorf("%s: %v", sql, err)
					continue
				}
				found, after, err := undone(t, m, conn)
				if err != nil || len(after) > 0 || len(found.Drift) == 0 {
					t.Errorf("%s: found %s\nthen%s\n%v", sql, proposal(found), snapshot.Lines(after), err)
					m, conn = everythingMigrated(t)
				}
			}
		})
	}
}

// TestAProposalUndoesManyChangesAtOnce takes some of the changes at random: what belongs together has to run in an
// order in which it can.
func TestAProposalUndoesManyChangesAtOnce(t *testing.T) {
	t.Parallel()
	const parts, rounds, changes = 3, 5, 6
	for part := range parts {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			m, conn := everythingMigrated(t)
			random := rand.New(rand.NewPCG(uint64(part), 0))
			all := byHandChanges()
			for range rounds {
				var made []string
				for range changes {
					sql := all[random.IntN(len(all))]
					if _, err := conn.Exec(t.Context(), sql); err == nil { // another one may be in its way
						made = append(made, sql)
					}
				}
				found, after, err := undone(t, m, conn)
				if err != nil || len(after) > 0 {
					t.Errorf("%s\nfound %s\nthen%s\n%v", strings.Join(made, "\n"), proposal(found),
						snapshot.Lines(after),
						err)
					m, conn = everythingMigrated(t)
				}
			}
		})
	}
}

// TestAProposalAddsValuesToAType is apart: what verify adds to an enum can be used by the rest of it.
func TestAProposalAddsValuesToAType(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, `CREATE TYPE app.mood AS ENUM ('a', 'b', 'c', 'd', 'e');
		CREATE TABLE app.t1 (id app.mood DEFAULT 'e')`)
	up(t, remembering(t, m), db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, `ALTER TABLE app.t1 ALTER id DROP DEFAULT, ALTER id TYPE text; DROP TYPE app.mood;
		CREATE TYPE app.mood AS ENUM ('b', 'd'); ALTER TYPE app.mood OWNER TO `+db.Migrator()+`;
		ALTER TABLE app.t1 ALTER id TYPE app.mood USING id::app.mood`)
	conn := db.Connect(t, db.MigratorConn)
	if found, after, err := undone(t, m, conn); err != nil || len(after) > 0 {
		t.Errorf("found %s\nthen%s\n%v", proposal(found), snapshot.Lines(after), err)
	}
}
