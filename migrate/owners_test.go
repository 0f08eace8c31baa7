package migrate_test

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/privilege"
	"github.com/avtotpy/avtotpy/migrate/snapshot"
)

// ownable has one of each kind of object that has an owner of its own.
const ownable = `CREATE TABLE app.t (id int PRIMARY KEY, n bigint GENERATED ALWAYS AS IDENTITY, s serial); CREATE TABLE app.p (id int) PARTITION BY RANGE (id);
	CREATE VIEW app.v AS SELECT 1; CREATE MATERIALIZED VIEW app.m AS SELECT 1; CREATE SEQUENCE app.s;
	CREATE FUNCTION app.f(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE PROCEDURE app.p() LANGUAGE sql AS 'SELECT 1';
	CREATE AGGREGATE app.plus(int) (sfunc = int4pl, stype = int); CREATE TYPE app.e AS ENUM ('a'); CREATE TYPE app.c AS (a int);
	CREATE TYPE app.r AS RANGE (subtype = int); CREATE DOMAIN app.d AS text`

func lines(drift []snapshot.Difference) (all []string) {
	for _, d := range drift {
		all = append(all, d.String()+" | "+d.SQL)
	}
	return all
}

// TestAnObjectOfAnotherOwnerIsNamed by a start, with the SQL that undoes it, and by verify, as the migrator and as the
// service's role, in the same words: no migration can change it. What the migrator can act as is not.
func TestAnObjectOfAnotherOwnerIsNamed(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := migrator(t, db, append(tables(1), ownable)...)
	m = remembering(t, m)
	log := &syncBuffer{}
	m.Log = slog.New(slog.NewTextHandler(log, nil))
	up(t, m, db.MigratorConn)
	own := *m
	own.Role = privilege.Role{Privileges: m.Role.Privileges}
	verify := func(m *migrate.Migrator, conn string) migrate.Verification {
		v, err := askVerify(t.Context(), m, conn)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	super := pgtest.Value[string](t, db.SuperConn, "SELECT current_user::text")
	for object, called := range map[string]string{
		"TABLE app.t": "", "TABLE app.p": "", "VIEW app.v": "", "MATERIALIZED VIEW app.m": "", "SEQUENCE app.s": "",
		"FUNCTION app.f(integer, text)": "", "PROCEDURE app.p()": "", "AGGREGATE app.plus(integer)": "",
		"DOMAIN app.d": "",
		"TYPE app.e":   "enum", "TYPE app.c": "composite type", "TYPE app.r": "range type",
	} {
		pgtest.Exec(t, db.SuperConn, "ALTER "+object+" OWNER TO CURRENT_USER")
		kind, name, _ := strings.Cut(object, " app.")
		undo := fmt.Sprintf("ALTER %s OWNER TO %s", object, db.Migrator())
		want := []string{fmt.Sprintf("%s %s: has   owner %s | %s", cmp.Or(called, strings.ToLower(kind)), name, super,
			undo)}
		started := lines(up(t, m, db.MigratorConn).Drift)
		seen := lines(verify(m, db.MigratorConn).Drift)
		itself := lines(verify(&own, db.WebConn).Drift)
		if !slices.Equal(started, want) || !slices.Equal(seen, want) || !slices.Equal(itself, want) {
			t.Errorf("%s:\nstart  %q\nverify %q\nitself %q\nwant   %q", object, started, seen, itself, want)
		}
		if !strings.Contains(log.String(), undo) {
			t.Errorf("%s: the log lacks %s:\n%s", object, undo, log.String())
		}
		pgtest.Exec(t, db.SuperConn, undo)
	}
	pgtest.Exec(t, db.SuperConn, "CREATE ROLE "+db.Name+"_group", "GRANT "+db.Name+"_group TO "+db.Migrator())
	t.Cleanup(func() { pgtest.Exec(t, db.SuperConn, "DROP OWNED BY "+db.Name+"_group", "DROP ROLE "+db.Name+"_group") })
	for _, state := range []string{"ALTER TABLE app.t OWNER TO ", "ALTER SCHEMA app OWNER TO "} {
		pgtest.Exec(t, db.SuperConn, state+db.Name+"_group")
		if found := lines(verify(m, db.MigratorConn).Drift); found != nil {
			t.Errorf("%s a group of the migrator's: %q", state, found)
		}
		pgtest.Exec(t, db.SuperConn, "ALTER TABLE app.t OWNER TO "+db.Migrator())
	}
	if found := lines(verify(&own, db.WebConn).Drift); found != nil {
		t.Errorf("the service, where a group owns the schema: %q", found)
	}
	pgtest.Exec(t, db.SuperConn, "ALTER SCHEMA app OWNER TO "+db.Migrator())
}

// TestASchemaOfAnotherOwnerIsNamed where the migrator may still look at it.
func TestASchemaOfAnotherOwnerIsNamed(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	m := remembering(t, migrator(t, db, tables(1)...))
	up(t, m, db.MigratorConn)
	pgtest.Exec(t, db.SuperConn, "ALTER SCHEMA app OWNER TO CURRENT_USER", "GRANT USAGE ON SCHEMA app TO "+
		db.Migrator())
	undo := "ALTER SCHEMA app OWNER TO " + db.Migrator()
	started := lines(up(t, m, db.MigratorConn).Drift)
	v, err := askVerify(t.Context(), m, db.MigratorConn)
	if err != nil || !slices.Equal(started, lines(v.Drift)) || len(started) != 1 ||
		!strings.HasSuffix(started[0], " | "+undo) {
		t.Errorf("start %q, verify %q, %v, want %s", started, lines(v.Drift), err, undo)
	}
	pgtest.Exec(t, db.SuperConn, undo)
	if v, err = askVerify(t.Context(), m, db.MigratorConn); err != nil || len(v.Drift) != 0 {
		t.Errorf("afterwards: %q, %v", lines(v.Drift), err)
	}
}

// TestAStartAndVerifyReportTheSameDifferences where an event trigger changes what a file makes: its column and its
// owner.
func TestAStartAndVerifyReportTheSameDifferences(t *testing.T) {
	t.Parallel()
	const each = `FOR r IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE command_tag = 'CREATE TABLE' AND object_identity = 'app.t2'
		LOOP EXECUTE format('ALTER TABLE %s ', r.object_identity) || `
	for name, c := range map[string]struct{ does, want string }{
		"a column": {"'ADD COLUMN audited timestamptz'", "table t2: has   column audited timestamp with time zone"},
		"an owner": {"'OWNER TO CURRENT_USER'", "table t2: has   owner "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Blank(t)
			m := remembering(t, migrator(t, db, append(tables(1), "CREATE TABLE app.t2 (id int)")...))
			var log pgtest.Output
			m.Log = logTo(&log)
			pgtest.Exec(t, db.SuperConn, append(trigger("meddle", "ddl_command_end", each+c.does+"; END LOOP;"),
				"ALTER FUNCTION ops.meddle() SECURITY DEFINER")...)
			started := up(t, m, db.MigratorConn).Drift
			v, err := askVerify(t.Context(), m, db.MigratorConn)
			if err != nil || !slices.Equal(lines(started), lines(v.Drift)) || len(started) != 1 ||
				!strings.HasPrefix(started[0].String(), c.want) {
				t.Errorf("start  %q\nverify %q, %v\nwant   %q", lines(started), lines(v.Drift), err, c.want)
			}
			for _, want := range []string{
				c.want, "until then verify reports the same",
				`ALTER EVENT TRIGGER \"meddle\" DISABLE`, started[0].SQL,
			} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("the log lacks %q:\n%s", want, log.String())
				}
			}
		})
	}
}
