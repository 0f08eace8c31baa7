package review_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/avtotpy/avtotpy/internal/pgtest"
	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/review"
)

// released is what the last release made, in the tests below.
const released = `
CREATE TABLE app.teams (id uuid PRIMARY KEY, name text NOT NULL);
CREATE TABLE app.users (id uuid PRIMARY KEY, name text NOT NULL, email text, code varchar(20), price numeric(8, 2), age integer, team uuid);
CREATE TYPE app.colour AS ENUM ('red', 'green');
CREATE SEQUENCE app.counter;
CREATE FUNCTION app.one() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE VIEW app.names AS SELECT name FROM app.users;
CREATE TRIGGER touches BEFORE UPDATE ON app.users FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE INDEX users_age_idx ON app.users (age);
INSERT INTO app.users (id, name) VALUES (gen_random_uuid(), 'Alice');
CREATE TABLE app.visits (at date, note text) PARTITION BY RANGE (at);
CREATE TABLE app.visits_rest PARTITION OF app.visits DEFAULT;
CREATE TABLE app.visits_march (at date, note text);
INSERT INTO app.visits VALUES ('2026-01-01', '');
INSERT INTO app.visits_march VALUES ('2026-03-05', '');
CREATE DOMAIN app.named AS text CHECK (VALUE <> '');
CREATE UNIQUE INDEX users_email_key ON app.users (lower(email));
ALTER TABLE app.users ADD CONSTRAINT users_code_check CHECK (code <> '');
CREATE MATERIALIZED VIEW app.totals AS SELECT name FROM app.users;
CREATE UNIQUE INDEX totals_key ON app.totals (name);
CREATE TABLE app.codes (code text, tags text[]);
INSERT INTO app.codes VALUES ('x', '{y}');
CREATE UNIQUE INDEX codes_code_key ON app.codes (code);
CREATE INDEX codes_tags_idx ON app.codes USING hash (tags);
CREATE TABLE app.spans (span int4range);
INSERT INTO app.spans VALUES ('[1,2)');
CREATE INDEX spans_idx ON app.spans USING brin (span range_inclusion_ops);
CREATE DOMAIN app.plain AS text;
CREATE TABLE app.aliases (alias app.plain);
INSERT INTO app.aliases VALUES ('x');
CREATE TYPE app.pair AS (x integer, y text);
CREATE TABLE app.pairs OF app.pair;
INSERT INTO app.pairs VALUES (1, 'x');
CREATE TABLE app.sums (a integer, b integer GENERATED ALWAYS AS (a + 1) STORED);
INSERT INTO app.sums VALUES (1);
CREATE TABLE app.times (at timestamptz PRIMARY KEY);
CREATE TABLE app.events (at timestamp REFERENCES app.times);
INSERT INTO app.events VALUES (NULL);
CREATE TABLE app.numbers (id integer PRIMARY KEY);
CREATE TABLE app.logs (id integer REFERENCES app.numbers, at date) PARTITION BY RANGE (at);
CREATE INDEX logs_id_idx ON app.logs (id);
CREATE TABLE app.logs_1 PARTITION OF app.logs FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE app.logs_2 (id integer, at date NOT NULL, CHECK (at >= '2026-02-01' AND at < '2026-03-01'));
CREATE TABLE app.logs_3 (id integer, at date NOT NULL, CHECK (at >= '2026-03-01' AND at < '2026-04-01'));
CREATE INDEX logs_3_id_idx ON app.logs_3 (id);
CREATE TABLE app.lists (id integer, note text) PARTITION BY LIST (id);
CREATE TABLE app.lists_1 PARTITION OF app.lists FOR VALUES IN (1);
INSERT INTO app.lists VALUES (1, 'x');
CREATE INDEX lists_note_idx ON app.lists (note);
INSERT INTO app.logs_1 VALUES (NULL, '2026-01-05');
INSERT INTO app.logs_2 VALUES (NULL, '2026-02-05');
INSERT INTO app.logs_3 VALUES (NULL, '2026-03-05');`

// A mistake is a file that breaks a rule, what is said of it, and the files that do
// the same thing well.
type mistake struct {
	bad  string
	want []string // "line:column: message", but for the rule's name; one that starts with "…" ends like this
	good []string
}

var mistakes = map[string][]mistake{
	"qualified": {
		{
			"CREATE TABLE tags (id uuid PRIMARY KEY)",
			[]string{"1:14: tags is found only as long as the search_path is what it is today; write app.tags"},
			[]string{"CREATE TABLE app.tags (id uuid PRIMARY KEY)"},
		},
		{
			`CREATE TABLE "Tags" (id uuid PRIMARY KEY)`,
			[]string{"1:14: Tags is found only as long as the search_path is what it is today; write app.Tags"},
			[]string{`CREATE TABLE app."Tags" (id uuid PRIMARY KEY)`},
		},
		{
			"SELECT 1;\nALTER TABLE ONLY Users ADD COLUMN x integer",
			[]string{"2:18: users is found only as long as the search_path is what it is today; write app.users"},
			[]string{"ALTER TABLE ONLY app.Users ADD COLUMN x integer"},
		},
		{
			"CREATE TABLE public.tags (id uuid PRIMARY KEY)",
			[]string{"1:14: public.tags is in another schema than the one that is migrated; write app.tags"},
			nil,
		},
		{
			"INSERT INTO teams (id, name) SELECT id, name FROM users",
			[]string{"1:13: …write app.teams", "1:51: …write app.users"},
			[]string{"INSERT INTO app.teams (id, name) SELECT id, name FROM app.users"},
		},
		{
			"UPDATE users SET age = 1 WHERE age = 2",
			[]string{"1:8: …write app.users"},
			[]string{"UPDATE app.users SET age = 1 WHERE age = 2"},
		},
		{
			"DELETE FROM users USING teams WHERE team = teams.id",
			[]string{"1:13: …write app.users", "1:25: …write app.teams"},
			[]string{"DELETE FROM app.users USING app.teams WHERE team = teams.id"},
		},
		{
			"CREATE VIEW app.v AS SELECT u.name FROM users u, teams JOIN names n ON true",
			[]string{"1:41: …write app.users", "1:50: …write app.teams", "1:61: …write app.names"},
			[]string{"CREATE VIEW app.v AS SELECT u.name FROM app.users u, app.teams JOIN app.names n ON true"},
		},
		{
			"UPDATE app.users SET age = 1 WHERE id IN (SELECT id FROM users)",
			[]string{"1:58: …write app.users"},
			[]string{"WITH old (id) AS (SELECT id FROM app.users) UPDATE app.users SET age = extract(day FROM " +
				"now()) FROM pg_class, generate_series(1, 1) WHERE users.id IN (SELECT id FROM old) AND age IS " +
				"DISTINCT FROM 1"},
		},
		{
			"CREATE TABLE app.t (id uuid PRIMARY KEY REFERENCES users, FOREIGN KEY (id) REFERENCES teams (id))",
			[]string{"1:52: …write app.users", "1:87: …write app.teams"},
			[]string{"CREATE TABLE app.t (id uuid PRIMARY KEY REFERENCES app.users, FOREIGN KEY (id) REFERENCES " +
				"app.teams (id))"},
		},
		{
			"CREATE TABLE app.t (c colour)",
			[]string{"1:23: …write app.colour"},
			[]string{"CREATE TABLE app.t (c app.colour)"},
		},
		{
			"CREATE TABLE app.t (id integer); CREATE INDEX t_id_idx ON t (id)",
			[]string{"1:59: …write app.t"},
			[]string{"CREATE TABLE app.t (id integer); CREATE INDEX t_id_idx ON app.t (id)"},
		},
		{
			"CREATE TRIGGER again BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION touch()",
			[]string{"1:39: …write app.users", "1:75: …write app.touch"},
			[]string{"CREATE TRIGGER again BEFORE UPDATE ON app.users FOR EACH ROW EXECUTE FUNCTION " +
				"suppress_redundant_updates_trigger()"},
		},
		{
			"CREATE FUNCTION app.f() RETURNS void LANGUAGE sql SET search_path = app BEGIN ATOMIC SELECT age, name " +
				"FROM users; SELECT 1, (SELECT 2 FROM app.teams); END",
			[]string{"1:108: …write app.users"},
			[]string{"CREATE FUNCTION app.f() RETURNS integer LANGUAGE sql RETURN (SELECT max(age) FROM app.users)"},
		},
		{
			"CREATE POLICY p ON users USING (true)",
			[]string{"1:20: …write app.users"},
			[]string{"CREATE POLICY p ON app.users USING (EXISTS (SELECT FROM app.teams))"},
		},
		{
			"COMMENT ON TABLE users IS ''; COMMENT ON COLUMN users.age IS ''; COMMENT ON TRIGGER touches ON " +
				"users IS ''",
			[]string{"1:18: …write app.users", "1:49: …write app.users", "1:96: …write app.users"},
			[]string{"COMMENT ON TABLE app.users IS ''; COMMENT ON COLUMN app.users.age IS ''; COMMENT ON TRIGGER " +
				"touches ON app.users IS ''"},
		},
		{
			"DROP INDEX users_age_idx; DROP TRIGGER touches ON users",
			[]string{"1:12: …write app.users_age_idx", "1:51: …write app.users"},
			[]string{"DROP INDEX app.users_age_idx; DROP TRIGGER touches ON app.users"},
		},
		{
			"ALTER TABLE app.users SET SCHEMA public",
			[]string{"1:34: app.users would leave the schema that is migrated, and its migrations with it; leave it " +
				"where it is"},
			nil,
		},
		{
			"LOCK TABLE users IN SHARE MODE",
			[]string{"1:12: …write app.users"},
			[]string{"LOCK TABLE app.users IN SHARE MODE"},
		},
		{
			"CREATE TEMPORARY TABLE t AS SELECT * FROM users",
			[]string{"1:43: …write app.users"},
			[]string{"CREATE TEMPORARY TABLE t AS SELECT * FROM app.users; INSERT INTO t SELECT * FROM t; " +
				"DROP TABLE t"},
		},
	},
	"schema": {
		{
			"CREATE SCHEMA other; CREATE SCHEMA another",
			[]string{
				"1:1: schema other is not the one that is migrated, and a backup, a repair or a snapshot of app " +
					"leaves it out; keep everything in app, or let the DBA make the other one",
				"1:22: schema another …",
			},
			nil,
		},
		{"CREATE SCHEMA app", []string{"1:1: the schema and its comment are the migrator's; leave this out"}, nil},
		{
			"COMMENT ON SCHEMA public IS 'x'; DROP SCHEMA other",
			[]string{"1:1: schema public …", "1:34: schema other …"},
			nil,
		},
		{"COMMENT ON SCHEMA app IS 'mine'", []string{"1:1: the schema and its comment are the migrator's; " +
			"leave this out"}, []string{"COMMENT ON VIEW app.names IS 'mine'"}},
		{
			"ALTER SCHEMA app RENAME TO other; DROP SCHEMA app",
			[]string{"1:1: …leave this out", "1:35: …leave this out"},
			nil,
		},
	},
	"ledger": {
		{
			"DELETE FROM app.migrations WHERE version = 1",
			[]string{"1:13: the ledger of applied migrations is the migrator's; a file neither changes it nor " +
				"builds upon it"},
			[]string{"CREATE TEMPORARY TABLE migrated (id integer); DELETE FROM migrated"},
		},
		{
			"UPDATE app.migrations SET name = 'x' WHERE version = 1; INSERT INTO app.migrations (version) VALUES (9)",
			[]string{"1:8: …builds upon it", "1:69: …builds upon it"},
			nil,
		},
		{"ALTER TABLE app.migrations ADD COLUMN note text", []string{"1:13: …builds upon it"}, nil},
		{"-- migrate:min-version 1\n-- migrate:allow truncate because it says so\nDROP TABLE app.migrations; " +
			"TRUNCATE app.users, app.migrations", []string{"3:12: …builds upon it", "3:48: …builds upon it"}, nil},
		{
			"LOCK TABLE app.migrations; COMMENT ON TABLE app.migrations IS ''",
			[]string{"1:12: …builds upon it", "1:45: …builds upon it"},
			nil,
		},
		{
			"CREATE VIEW app.v AS SELECT version FROM app.migrations",
			[]string{"1:42: …builds upon it"},
			[]string{"CREATE VIEW app.v AS SELECT name AS migrations FROM app.users"},
		},
		{
			"CREATE TABLE app.t (version integer PRIMARY KEY REFERENCES app.migrations)",
			[]string{"1:60: …builds upon it"},
			nil,
		},
		{
			"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY migrations_name_idx ON app.migrations (name)",
			[]string{"2:50: …builds upon it"},
			nil,
		},
		{
			"CREATE TRIGGER t BEFORE DELETE ON app.migrations FOR EACH ROW EXECUTE FUNCTION app.touch()",
			[]string{"1:35: …builds upon it"},
			nil,
		},
		{
			"CREATE TABLE app.t () INHERITS (app.migrations); COPY app.migrations FROM '/tmp/rows'",
			[]string{"1:33: …builds upon it", "1:55: …builds upon it"},
			nil,
		},
		{
			"CREATE FUNCTION app.f(app.migrations) RETURNS SETOF app.migrations LANGUAGE sql AS ''",
			[]string{"1:23: …builds upon it", "1:53: …builds upon it"},
			nil,
		},
		{"CREATE SEQUENCE app.s OWNED BY app.migrations.version; CREATE STATISTICS app.x ON name, checksum FROM " +
			"app.migrations", []string{"1:32: …builds upon it", "1:103: …builds upon it"}, nil},
		{
			"ALTER INDEX app.migrations_pkey RENAME TO other; DROP INDEX app.migrations_prev_key",
			[]string{"1:13: …builds upon it", "1:61: …builds upon it"},
			nil,
		},
		{
			"UPDATE app.users u SET name = '' FROM (app.users JOIN d.app.\"migrations\" ON true) WHERE u.id " +
				"= 1; TABLE " +
				"app.migrations",
			[]string{"1:55: …builds upon it", "1:105: …builds upon it"},
			[]string{"SELECT u.name AS migrations FROM app.users u WHERE u.name = 'app.migrations'"},
		},
	},
	"if-exists": {
		{
			"CREATE TABLE IF NOT EXISTS app.t (id integer)",
			[]string{"1:14: IF NOT EXISTS takes whatever has that name for what this file would make; leave it out: " +
				"a file is applied once"},
			[]string{"CREATE TABLE app.t (id integer)"},
		},
		{
			"ALTER TABLE app.users ADD COLUMN IF NOT EXISTS x integer;\nDROP INDEX IF EXISTS app.users_age_idx",
			[]string{
				"1:34: …a file is applied once",
				"2:12: IF EXISTS says nothing when the schema is not what the files before this one made; " +
					"leave it out",
			},
			[]string{"ALTER TABLE app.users ADD COLUMN x integer;\nDROP INDEX app.users_age_idx"},
		},
	},
	"or-replace": {{
		"CREATE OR REPLACE FUNCTION app.two() RETURNS integer LANGUAGE sql AS 'SELECT 2'",
		[]string{"1:1: OR REPLACE would overwrite what somebody else made, for no file before made FUNCTION " +
			"app.two; write CREATE alone"},
		[]string{"CREATE FUNCTION app.two() RETURNS integer LANGUAGE sql AS 'SELECT 2'; CREATE OR REPLACE FUNCTION " +
			"app.one() RETURNS integer LANGUAGE sql AS 'SELECT 11'"},
	}, {
		"CREATE OR REPLACE TRIGGER other BEFORE UPDATE ON app.users FOR EACH ROW EXECUTE FUNCTION app.touch()",
		[]string{"1:1: …made TRIGGER other on app.users; write CREATE alone"},
		[]string{"CREATE OR REPLACE TRIGGER touches BEFORE INSERT ON app.users FOR EACH ROW EXECUTE FUNCTION " +
			"app.touch()"},
	}},
	"privileges": {
		{
			"GRANT SELECT ON app.users TO PUBLIC",
			[]string{"1:1: what a role may do is declared, in the program's list of privileges, and every start " +
				"makes it so; write it there"},
			[]string{"REVOKE EXECUTE ON FUNCTION app.one(), app.touch() FROM PUBLIC; REVOKE ALL ON ALL FUNCTIONS IN " +
				"SCHEMA app FROM PUBLIC"},
		},
		{
			"REVOKE SELECT ON app.users FROM somebody; REVOKE CONNECT ON DATABASE d FROM PUBLIC",
			[]string{"1:1: …write it there", "1:43: …write it there"},
			nil,
		},
		{
			"CREATE ROLE r; DROP USER r; DROP OWNED BY r",
			[]string{"1:1: …others are the DBA's", "1:16: …leave them to the DBA", "1:29: …leave them to the DBA"},
			nil,
		},
		{"COMMENT ON ROLE r IS 'x'", []string{"1:1: a role is not part of the schema; leave it to the DBA"}, nil},
		{"ALTER ROLE r SUPERUSER", []string{"1:1: a role is the server's, not the schema's; leave it to the DBA"}, nil},
		{
			"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC; REASSIGN OWNED BY a TO b",
			[]string{"1:1: …write it there", "1:60: …write it there"},
			nil,
		},
		{
			"ALTER TABLE app.users OWNER TO r; ALTER FUNCTION app.one() OWNER TO r",
			[]string{
				"1:23: the migrator owns what it makes, and must go on to; leave OWNER TO out",
				"1:60: …leave OWNER TO out",
			},
			nil,
		},
	},
	"column-type": {
		{
			"CREATE TABLE app.t (a varchar(20), b character varying(30)[])",
			[]string{
				"1:23: write text with CHECK (char_length(…) <= 20): a check can be changed without a rewrite, and " +
					"can have a lower bound, too",
				"1:38: write text with CHECK (char_length(…) <= 30): a check can be changed without a rewrite, and " +
					"can have a lower bound, too",
			},
			[]string{"CREATE TABLE app.t (a text CHECK (char_length(a) <= 20), b varchar)"},
		},
		{
			"CREATE TABLE app.t (a char(2), b bpchar)",
			[]string{"1:23: char pads with blanks and ignores them when comparing; write text, with a CHECK for " +
				"its length", "1:34: …with a CHECK for its length"},
			[]string{`CREATE TABLE app.t (a text CHECK (char_length(a) = 2), b "char")`},
		},
		{
			"CREATE TABLE app.t (a bigserial, b serial4)",
			[]string{"1:23: the sequence of a serial is an object of its own, with rights of its own; write bigint " +
				"GENERATED ALWAYS AS IDENTITY", "1:36: …GENERATED ALWAYS AS IDENTITY"},
			[]string{"CREATE TABLE app.t (a bigint GENERATED ALWAYS AS IDENTITY)"},
		},
		{
			"ALTER TABLE app.users ADD COLUMN a timestamp, ADD b timestamp(3) without time zone",
			[]string{
				"1:36: a timestamp without time zone is no point in time; write timestamptz",
				"1:53: …write timestamptz",
			},
			[]string{"ALTER TABLE app.users ADD COLUMN a timestamptz, ADD b timestamp(3) with time zone"},
		},
		{
			"CREATE TABLE app.t (a money, b json)",
			[]string{"1:23: what money means depends on a setting of the server's, lc_monetary; write numeric, or " +
				"bigint of the smallest unit", "1:32: json can neither be compared nor indexed; write jsonb, or " +
				"text where every byte matters"},
			[]string{"CREATE TABLE app.t (a numeric(12, 2), b jsonb)"},
		},
		{
			"CREATE DOMAIN app.d AS pg_catalog.varchar(20) CHECK (true)",
			[]string{"1:24: …and can have a lower bound, too"},
			[]string{"CREATE DOMAIN app.d AS text CHECK (char_length(value) <= 20)"},
		},
	},
	"fk-index": {
		{
			"CREATE TABLE app.t (\n  id uuid PRIMARY KEY,\n  team uuid REFERENCES app.teams\n)",
			[]string{"3:13: no index of app.t starts with (team), so deleting what the foreign key refers to reads " +
				"the whole table; create one"},
			[]string{
				"CREATE TABLE app.t (\n  id uuid PRIMARY KEY,\n  team uuid REFERENCES app.teams\n)",
				"CREATE INDEX t_team_idx ON app.t (team, id)",
			},
		},
		{
			"CREATE TABLE app.t (a uuid REFERENCES app.teams, b uuid REFERENCES app.teams, PRIMARY KEY (a, b))",
			[]string{"1:57: no index of app.t starts with (b), …create one"},
			[]string{"CREATE TABLE app.t (a uuid REFERENCES app.teams, b uuid REFERENCES app.teams, PRIMARY KEY (a, " +
				"b)); CREATE INDEX ON app.t (b) WHERE b IS NOT NULL"},
		},
		{
			"CREATE TABLE app.t (a uuid REFERENCES app.teams, b uuid[]); CREATE INDEX ON app.t (lower(a::text)); " +
				"CREATE INDEX ON app.t (a) WHERE b IS NULL; CREATE INDEX ON app.t USING brin (a)",
			[]string{"1:28: …create one"},
			[]string{"CREATE TABLE app.t (a uuid UNIQUE REFERENCES app.teams)"},
		},
		{
			"CREATE TABLE app.t (a uuid, b uuid, UNIQUE (a, b)); CREATE TABLE app.s (a uuid, b uuid, CONSTRAINT " +
				"pair FOREIGN KEY (a, b) REFERENCES app.t (a, b), UNIQUE (a))",
			[]string{"1:89: no index of app.s starts with (a, b), …create one"},
			[]string{"CREATE TABLE app.t (a uuid, b uuid, UNIQUE (a, b)); CREATE TABLE app.s (a uuid, b uuid, " +
				"CONSTRAINT pair FOREIGN KEY (a, b) REFERENCES app.t (a, b), UNIQUE (b, a))"},
		},
		{
			"CREATE TABLE app.t (a uuid REFERENCES app.teams); CREATE INDEX i ON app.t (a); DROP INDEX app.i",
			[]string{"1:28: …create one"},
			[]string{
				"CREATE TABLE app.t (a uuid REFERENCES app.teams); CREATE INDEX i ON app.t (a); ALTER TABLE " +
					"app.t RENAME COLUMN a TO b; ALTER TABLE app.t RENAME TO s",
				"CREATE TABLE app.u (a uuid REFERENCES app.teams); ALTER TABLE app.u RENAME CONSTRAINT u_a_fkey TO " +
					"k; ALTER TABLE app.u DROP CONSTRAINT k",
			},
		},
	},
	"min-version": {
		{
			"ALTER TABLE app.users RENAME TO people; ALTER TABLE app.codes ADD CONSTRAINT codes_code_key UNIQUE " +
				"USING INDEX codes_code_key DEFERRABLE",
			[]string{
				"1:23: RENAME of app.users takes away …",
				"1:67: DEFERRABLE for the index codes_code_key, without which ON CONFLICT fails, takes away …",
			},
			[]string{"ALTER TABLE app.users RENAME TO people; CREATE VIEW app.users AS SELECT * FROM app.people; " +
				"ALTER TABLE app.users_age_idx RENAME TO people_age_idx"},
		},
		{
			"DROP VIEW app.names",
			[]string{"1:1: DROP VIEW app.names takes away what programs of an earlier release may use, beside this " +
				"one or after a rollback; " +
				"write -- migrate:min-version N at the top, N being the last version of the oldest release that " +
				"does without it"},
			[]string{"-- migrate:min-version 1\nDROP VIEW app.names"},
		},
		{
			"DROP TABLE app.teams; DROP TYPE app.colour; DROP FUNCTION app.one(), app.touch() CASCADE; DROP " +
				"SEQUENCE app.counter",
			[]string{
				"1:1: DROP TABLE app.teams …", "1:23: DROP TYPE app.colour …", "1:45: DROP FUNCTION app.one …",
				"1:91: DROP SEQUENCE app.counter …",
			},
			[]string{"CREATE TABLE app.t (id integer); DROP TABLE app.t"},
		},
		{
			"ALTER TABLE app.users ADD COLUMN x integer, DROP COLUMN age, DROP email",
			[]string{"1:45: DROP COLUMN app.users.age …", "1:62: DROP COLUMN app.users.email …"},
			[]string{
				"ALTER TABLE app.users ADD COLUMN x integer",
				"ALTER TABLE app.users RENAME x TO y; ALTER TABLE app.users DROP y",
			},
		},
		{
			"ALTER TABLE app.users RENAME age TO years; ALTER TABLE app.users RENAME TO people; ALTER VIEW " +
				"app.names RENAME TO n; ALTER TYPE app.colour RENAME VALUE 'red' TO 'blue'",
			[]string{
				"1:23: RENAME of app.users.age …", "1:66: RENAME of app.users …",
				"1:105: RENAME in VIEW app.names …", "1:140: RENAME in TYPE app.colour …",
			},
			[]string{"ALTER INDEX app.users_age_idx RENAME TO i; ALTER TABLE app.users RENAME CONSTRAINT " +
				"users_code_check TO code_check; ALTER TRIGGER touches ON app.users RENAME TO touch"},
		},
	},
	"min-version, unique": {
		{
			"DROP EXTENSION hstore; DROP CAST (app.colour AS text); DROP TRIGGER t ON app.names",
			[]string{
				"1:1: DROP EXTENSION hstore …", "1:24: DROP CAST app.colour as text …",
				"1:56: DROP TRIGGER on app.names, which may be what writes to it, …",
			},
			[]string{"CREATE CAST (app.colour AS integer) WITH INOUT; DROP CAST (app.colour AS integer)"},
		},
		{
			"DROP VIEW app.names CASCADE; CREATE MATERIALIZED VIEW app.names AS SELECT name FROM app.users " +
				"WITH NO DATA",
			[]string{"1:1: DROP VIEW app.names …"},
			nil,
		},
		{
			"ALTER TABLE app.users RENAME TO people; CREATE VIEW app.users AS SELECT * FROM app.people; ALTER VIEW " +
				"app.users RENAME age TO years",
			[]string{"1:23: RENAME of app.users …"},
			nil,
		},
		{
			"CREATE VIEW app.two AS SELECT name FROM app.names",
			nil,
			[]string{"CREATE VIEW app.two AS SELECT name FROM app.names; DROP VIEW app.two; DROP VIEW app.names " +
				"CASCADE; CREATE VIEW app.names AS SELECT name FROM app.users"},
		},
		{
			"ALTER TABLE app.users RENAME CONSTRAINT users_pkey TO users_key; ALTER INDEX app.teams_pkey RENAME " +
				"TO teams_key",
			[]string{
				"1:23: RENAME of users_pkey, without which ON CONFLICT ON CONSTRAINT fails, takes away …",
				"1:93: RENAME of teams_pkey, without …",
			},
			[]string{"ALTER INDEX app.users_email_key RENAME TO users_mail_key; ALTER TABLE app.users RENAME " +
				"CONSTRAINT users_code_check TO code_check"},
		},
		{
			"CREATE RULE kept AS ON DELETE TO app.users DO INSTEAD NOTHING",
			[]string{"1:1: CREATE RULE on app.users, with which ON CONFLICT and MERGE fail, takes away …"},
			[]string{"CREATE TRIGGER kept BEFORE DELETE ON app.users FOR EACH ROW EXECUTE FUNCTION app.touch()"},
		},
		{
			"CREATE PUBLICATION p FOR TABLE app.codes",
			[]string{"1:32: a publication of app.codes without the columns of a primary key, with which UPDATE and " +
				"DELETE fail, takes away …"},
			nil, // the migrator's role may make none
		},
		{
			"DROP INDEX app.users_email_key; ALTER TABLE app.teams DROP CONSTRAINT teams_pkey",
			[]string{
				"1:1: DROP INDEX app.users_email_key, without which ON CONFLICT fails, takes away …",
				"1:55: DROP CONSTRAINT teams_pkey, without …",
			},
			[]string{"CREATE TABLE app.t (id integer PRIMARY KEY, n text); ALTER TABLE app.t DROP CONSTRAINT " +
				"t_pkey; ALTER TABLE app.users DROP CONSTRAINT users_code_check; DROP INDEX app.users_age_idx"},
		},
		{
			"ALTER TABLE app.users ENABLE ROW LEVEL SECURITY",
			[]string{"1:23: ENABLE ROW LEVEL SECURITY hides every row of app.users from programs that no policy " +
				"lets see it, and takes away …"},
			[]string{"CREATE POLICY all_of_them ON app.users USING (true); ALTER TABLE app.users ENABLE ROW " +
				"LEVEL SECURITY"},
		},
		{
			"CREATE OR REPLACE VIEW app.names AS SELECT name, age FROM app.users; DROP VIEW app.names",
			[]string{"1:70: DROP VIEW app.names …"},
			nil,
		},
		{
			"DROP VIEW app.names; CREATE VIEW app.names AS SELECT age FROM app.users",
			[]string{"1:1: DROP VIEW app.names …"},
			[]string{
				"DROP VIEW app.names; CREATE VIEW app.names AS SELECT age, name FROM app.users",
				"DROP TRIGGER touches ON app.users; DROP FUNCTION app.touch()",
			},
		},
		{
			"DROP FUNCTION app.one(); CREATE FUNCTION app.one(x integer) RETURNS integer LANGUAGE sql AS 'SELECT x'",
			[]string{"1:1: DROP FUNCTION app.one …"},
			[]string{"DROP FUNCTION app.one(); CREATE FUNCTION app.one(x integer DEFAULT 1) RETURNS integer " +
				"LANGUAGE sql AS 'SELECT x'"},
		},
	},
	"concurrently": {
		{
			"CREATE INDEX visits_note_idx ON app.visits (note)",
			[]string{"1:1: CREATE INDEX stops every write to app.visits while it builds one for each partition, and " +
				"CONCURRENTLY is not possible there; …"},
			[]string{
				"CREATE INDEX visits_note_idx ON ONLY app.visits (note)",
				"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY visits_rest_note_idx ON app.visits_rest (note)",
				"ALTER INDEX app.visits_note_idx ATTACH PARTITION app.visits_rest_note_idx",
			},
		},
		{
			"CREATE UNIQUE INDEX i ON app.users (name)",
			[]string{"1:1: CREATE INDEX stops every write to app.users, which has rows already, until it is built; " +
				"give it a file of its own with -- migrate:no-transaction and CREATE INDEX CONCURRENTLY"},
			[]string{"CREATE TABLE app.t (id integer); CREATE INDEX ON app.t (id)"},
		},
		{
			"REINDEX TABLE app.users",
			[]string{"1:1: REINDEX stops every write to the table; give it a file of its own with -- " +
				"migrate:no-transaction and REINDEX … CONCURRENTLY"},
			[]string{"CREATE TABLE app.t (id integer PRIMARY KEY); REINDEX TABLE app.t"},
		},
		{
			"-- migrate:no-transaction\nREINDEX SCHEMA app",
			[]string{"2:1: REINDEX stops every write to each table of the schema in turn; write REINDEX SCHEMA " +
				"CONCURRENTLY"},
			[]string{
				"-- migrate:no-transaction\nREINDEX SCHEMA CONCURRENTLY app",
				"-- migrate:no-transaction\nREINDEX (CONCURRENTLY, VERBOSE off) TABLE app.users",
			},
		},
	},
	"not-valid": {
		{
			"ALTER DOMAIN app.plain ADD CONSTRAINT filled CHECK (VALUE <> '')",
			[]string{"1:1: a constraint of a domain reads app.aliases and all others with it while nobody can write " +
				"to them; write ADD CONSTRAINT … CHECK (…) NOT VALID, which checks new values"},
			[]string{"ALTER DOMAIN app.plain ADD CONSTRAINT filled CHECK (VALUE <> '') NOT VALID"},
		},
		{
			"ALTER DOMAIN app.plain ADD CONSTRAINT filled CHECK (VALUE <> '') NOT VALID;\nALTER DOMAIN app.plain " +
				"VALIDATE CONSTRAINT filled",
			[]string{"2:1: VALIDATE CONSTRAINT of a domain reads app.aliases and all others with it, …leave it not " +
				"valid, …"},
			[]string{"ALTER DOMAIN app.plain ADD CONSTRAINT filled CHECK (VALUE <> '') NOT VALID"},
		},
		{
			"ALTER TABLE app.events ALTER at TYPE timestamptz",
			[]string{"1:24: with the type of app.events.at, foreign key events_at_fkey is checked again while " +
				"nobody can use the table; drop it before, and add it as NOT VALID after"},
			[]string{
				"ALTER TABLE app.events DROP CONSTRAINT events_at_fkey; ALTER TABLE app.events ALTER at TYPE " +
					"timestamptz",
			},
		},
		{
			"-- migrate:allow fk-index because of the test\nALTER TABLE app.visits ADD COLUMN team uuid, ADD " +
				"CONSTRAINT visits_team_fkey FOREIGN KEY (team) REFERENCES app.teams",
			[]string{"2:50: FOREIGN KEY reads all of app.visits while nobody can write to it, and before PostgreSQL " +
				"18 a partitioned table takes none that is NOT VALID; add it to each partition …"},
			[]string{
				"-- migrate:allow fk-index because of the test\nALTER TABLE app.visits ADD COLUMN team uuid; ALTER " +
					"TABLE app.visits_rest ADD CONSTRAINT visits_team_fkey FOREIGN KEY (team) REFERENCES " +
					"app.teams NOT VALID",
				"ALTER TABLE app.visits_rest VALIDATE CONSTRAINT visits_team_fkey",
				"-- migrate:allow fk-index because of the test\n-- migrate:allow not-valid because each partition " +
					"has it\nALTER TABLE app.visits ADD CONSTRAINT visits_team_fkey FOREIGN KEY (team) " +
					"REFERENCES app.teams",
			},
		},
		{
			"-- migrate:allow column-type because of the test\nALTER TABLE app.users ALTER code TYPE varchar(30)",
			[]string{"2:23: with the type of app.users.code, CHECK users_code_check is checked again for each row " +
				"while nobody can use the table; in the same ALTER TABLE, DROP CONSTRAINT and ADD it as NOT VALID, …"},
			[]string{
				"-- migrate:allow column-type because of the test\nALTER TABLE app.users ALTER code TYPE " +
					"varchar(30), DROP CONSTRAINT users_code_check, ADD CONSTRAINT users_code_check CHECK (code <> " +
					"'') NOT VALID",
				"ALTER TABLE app.users VALIDATE CONSTRAINT users_code_check",
			},
		},
		{
			"ALTER TABLE app.users ADD CONSTRAINT adult CHECK (age >= 18)",
			[]string{"1:27: CHECK reads all of app.users while nobody can use it; add it as NOT VALID, and VALIDATE " +
				"CONSTRAINT in the next file"},
			[]string{
				"ALTER TABLE app.users ADD CONSTRAINT adult CHECK (age >= 18) NOT VALID",
				"ALTER TABLE app.users VALIDATE CONSTRAINT adult",
			},
		},
		{
			"-- migrate:allow fk-index because teams are never deleted\nALTER TABLE app.users ADD FOREIGN KEY (age) " +
				"REFERENCES app.numbers, ADD COLUMN x integer CHECK (x > 0), ADD y uuid DEFAULT NULL " +
				"REFERENCES app.teams",
			[]string{
				"2:27: FOREIGN KEY reads all of app.users while nobody can write to it; …", "2:90: CHECK reads …",
				"2:129: FOREIGN KEY reads …",
			},
			[]string{"-- migrate:allow fk-index because teams are never deleted\nALTER TABLE app.users ADD y uuid " +
				"REFERENCES app.teams"},
		},
	},
	"not-valid, enforced": {{
		"ALTER TABLE app.events ALTER CONSTRAINT events_at_fkey NOT ENFORCED;\nALTER TABLE app.events ALTER " +
			"CONSTRAINT events_at_fkey ENFORCED",
		[]string{"2:24: ENFORCED reads all of app.events for foreign key events_at_fkey while nobody can write to " +
			"it; drop it, add it as NOT VALID, and VALIDATE CONSTRAINT in the next file"},
		nil,
	}},
	"attach": {{
		"ALTER TABLE app.logs ATTACH PARTITION app.logs_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
		[]string{"1:39: ATTACH PARTITION builds index logs_id_idx of app.logs_2 while nobody can use it; make the " +
			"same one before, with CREATE INDEX CONCURRENTLY in a file of its own with -- migrate:no-transaction"},
		[]string{
			"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY logs_2_id_idx ON app.logs_2 (id)",
			"ALTER TABLE app.logs_2 ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES app.numbers NOT VALID",
			"ALTER TABLE app.logs_2 VALIDATE CONSTRAINT f",
			"ALTER TABLE app.logs ATTACH PARTITION app.logs_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
		},
	}, {
		"ALTER TABLE app.logs ATTACH PARTITION app.logs_3 FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')",
		[]string{"1:39: ATTACH PARTITION reads all of app.logs_3 for foreign key logs_id_fkey while nobody can use " +
			"it; before it, add the same one to app.logs_3 as NOT VALID, and VALIDATE CONSTRAINT in the next file"},
		[]string{
			"ALTER TABLE app.logs_3 ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES app.numbers NOT VALID",
			"ALTER TABLE app.logs_3 VALIDATE CONSTRAINT f",
			"ALTER TABLE app.logs ATTACH PARTITION app.logs_3 FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')",
		},
	}, {
		"ALTER TABLE app.visits ATTACH PARTITION app.visits_march FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')",
		[]string{
			"1:41: ATTACH PARTITION reads all of app.visits_march while nobody can use it; before it, ADD " +
				"CONSTRAINT … CHECK (what FOR VALUES says, and that the key IS NOT NULL) NOT VALID to " +
				"app.visits_march, …",
			"1:41: a new partition of app.visits reads all of the default partition app.visits_rest while nobody " +
				"can use it; before it, ADD CONSTRAINT …",
		},
		[]string{
			"ALTER TABLE app.visits_march ADD CONSTRAINT fits CHECK (at IS NOT NULL AND at >= '2026-03-01' AND at < " +
				"'2026-04-01') NOT VALID; " +
				"ALTER TABLE app.visits_rest ADD CONSTRAINT apart CHECK (at < '2026-03-01' OR at >= " +
				"'2026-04-01') NOT VALID",
			"ALTER TABLE app.visits_march VALIDATE CONSTRAINT fits; ALTER TABLE app.visits_rest VALIDATE " +
				"CONSTRAINT apart",
			"ALTER TABLE app.visits ATTACH PARTITION app.visits_march FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')",
		},
	}, {
		"CREATE TABLE app.visits_may PARTITION OF app.visits FOR VALUES FROM ('2026-05-01') TO ('2026-06-01')",
		[]string{"1:14: a new partition of app.visits reads all of the default partition app.visits_rest while " +
			"nobody can use it; …"},
		[]string{
			"ALTER TABLE app.visits_rest ADD CONSTRAINT apart CHECK (at < '2026-05-01') NOT VALID",
			"ALTER TABLE app.visits_rest VALIDATE CONSTRAINT apart",
			"CREATE TABLE app.visits_may PARTITION OF app.visits FOR VALUES FROM ('2026-05-01') TO ('2026-06-01'); " +
				"ALTER TABLE app.visits_rest DROP CONSTRAINT apart",
		},
	}},
	"using-index": {{
		"ALTER TABLE app.logs ADD CONSTRAINT logs_key UNIQUE (id, at)",
		[]string{"1:26: UNIQUE builds an index of each partition of app.logs while nobody can use it; write ALTER " +
			"TABLE ONLY … ADD CONSTRAINT, make a unique index of each partition …"},
		[]string{
			"ALTER TABLE ONLY app.logs ADD CONSTRAINT logs_key UNIQUE (id, at)",
			"-- migrate:no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY logs_1_key ON app.logs_1 (id, at)",
			"ALTER TABLE app.logs_1 ADD CONSTRAINT logs_1_key UNIQUE USING INDEX logs_1_key; ALTER INDEX " +
				"app.logs_key ATTACH PARTITION app.logs_1_key",
		},
	}, {
		"ALTER TABLE app.users ADD CONSTRAINT users_name_key UNIQUE (name)",
		[]string{"1:27: UNIQUE builds its index while nobody can use app.users; make it with CREATE UNIQUE INDEX " +
			"CONCURRENTLY in a file of its own with -- migrate:no-transaction, " +
			"and then ADD CONSTRAINT … UNIQUE USING INDEX"},
		[]string{
			"-- migrate:no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY users_name_key ON app.users (name)",
			"ALTER TABLE app.users ADD CONSTRAINT users_name_key UNIQUE USING INDEX users_name_key",
		},
	}, {
		"ALTER TABLE app.users ADD COLUMN x integer UNIQUE, ADD EXCLUDE USING btree (age WITH =)",
		[]string{"1:44: UNIQUE builds …", "1:56: EXCLUDE builds its index while nobody can use app.users, and there " +
			"is no other way; -- migrate:allow it if the table is small"},
		[]string{"-- migrate:allow using-index because a program has a handful of users\nALTER TABLE app.users ADD " +
			"EXCLUDE USING btree (age WITH =)"},
	}},
	"not-null": {
		{
			"ALTER TABLE app.codes ADD PRIMARY KEY USING INDEX codes_code_key",
			[]string{"1:27: PRIMARY KEY reads all of app.codes while nobody can use it, for code may be null; " +
				"before it, ADD CONSTRAINT … CHECK (code IS NOT NULL) NOT VALID, …"},
			[]string{
				"ALTER TABLE app.codes ADD CONSTRAINT coded CHECK (code IS NOT NULL) NOT VALID",
				"ALTER TABLE app.codes VALIDATE CONSTRAINT coded; ALTER TABLE app.codes ADD PRIMARY KEY USING INDEX " +
					"codes_code_key; ALTER TABLE app.codes DROP CONSTRAINT coded",
			},
		},
		{
			"ALTER TABLE app.users ALTER COLUMN name DROP NOT NULL, ALTER name SET NOT NULL",
			[]string{"1:56: SET NOT NULL reads all of app.users while nobody can use it; before it, ADD CONSTRAINT " +
				"… CHECK (name IS NOT NULL) NOT VALID, and VALIDATE CONSTRAINT in the next file; drop the check in " +
				"a statement of its own, behind it"},
			[]string{
				"ALTER TABLE app.users ADD CONSTRAINT named CHECK (name IS NOT NULL) NOT VALID",
				"ALTER TABLE app.users VALIDATE CONSTRAINT named; ALTER TABLE app.users ALTER COLUMN name SET NOT " +
					"NULL; ALTER TABLE app.users DROP CONSTRAINT named",
			},
		},
		{
			"ALTER TABLE app.users ADD CONSTRAINT named CHECK ((email IS NOT NULL)) NOT VALID; ALTER TABLE " +
				"app.users ALTER email SET NOT NULL",
			[]string{"1:105: SET NOT NULL reads …"},
			[]string{"CREATE TABLE app.t (id integer); ALTER TABLE app.t ALTER id SET NOT NULL"},
		},
		{
			"ALTER TABLE app.visits ADD CONSTRAINT noted NOT NULL note NO INHERIT;\nALTER TABLE app.visits ALTER " +
				"CONSTRAINT noted INHERIT",
			[]string{"1:28: NOT NULL reads …", "2:24: INHERIT reads all tables that inherit from app.visits while " +
				"nobody can use them; before it, …"},
			nil,
		},
		{ // the server drops first, and reads the table
			"-- migrate:allow not-valid because of the test\nALTER TABLE app.users ADD CONSTRAINT named CHECK " +
				"(email IS NOT NULL);\n" +
				"ALTER TABLE app.users ALTER email SET NOT NULL, DROP CONSTRAINT named",
			[]string{"3:23: SET NOT NULL reads …"},
			nil,
		},
		{
			"ALTER TABLE app.users ADD COLUMN x integer NOT NULL",
			[]string{"1:34: a column that is NOT NULL without a default cannot be added to app.users, which has " +
				"rows, and programs of an earlier release do not fill it; give it a default or let it be null"},
			[]string{"ALTER TABLE app.users ADD COLUMN x integer NOT NULL DEFAULT 0"},
		},
		{
			"ALTER TABLE app.users ADD CONSTRAINT n NOT NULL name",
			[]string{"1:27: NOT NULL reads all of app.users while nobody can use it; write …"},
			nil,
		},
	},
	"volatile-default": {
		{
			"ALTER TABLE app.users ADD COLUMN x uuid NOT NULL DEFAULT gen_random_uuid()",
			[]string{"1:58: this default is computed for each row, so app.users is rewritten while nobody can read " +
				"it; ADD COLUMN without it, then ALTER COLUMN … SET DEFAULT, and fill old rows in a later file"},
			[]string{
				"ALTER TABLE app.users ADD COLUMN x uuid; ALTER TABLE app.users ALTER COLUMN x SET DEFAULT " +
					"gen_random_uuid()",
				"UPDATE app.users SET x = gen_random_uuid() WHERE x IS NULL",
			},
		},
		{
			"ALTER TABLE app.users ADD a float DEFAULT random(), ADD b timestamptz DEFAULT clock_timestamp(), ADD c " +
				"bigint DEFAULT nextval('app.counter'), ADD d integer DEFAULT 1 + app.one()",
			[]string{"1:43: this …", "1:79: this …", "1:119: this …", "1:165: this …"},
			[]string{"ALTER TABLE app.users ADD a float DEFAULT -1.5, ADD b timestamptz DEFAULT now() + interval '1 " +
				"day', ADD c text[] NOT NULL DEFAULT ARRAY['a', 'b']::text[], " +
				"ADD d numeric(8, 2) DEFAULT '1.5'::numeric(8, 2), ADD e date DEFAULT CURRENT_DATE, ADD f integer " +
				"DEFAULT NULL, ADD g app.colour DEFAULT 'red', ADD h numeric DEFAULT CAST('1' AS numeric(3))"},
		},
		{
			"ALTER TABLE app.users ADD x bigint GENERATED ALWAYS AS IDENTITY, ADD y integer GENERATED ALWAYS AS " +
				"(age + 1) STORED",
			[]string{
				"1:27: x gets another value in each row, so app.users is rewritten while nobody can read it; add it " +
					"without, and fill it in a later file",
				"1:70: y is computed for each row, so app.users is rewritten while nobody can read it; use a plain " +
					"column that the program fills, or a view",
			},
			[]string{"CREATE TABLE app.t (x bigint GENERATED ALWAYS AS IDENTITY, y float DEFAULT random(), z " +
				"integer GENERATED ALWAYS AS (1) STORED)"},
		},
	},
	"rewrite": {
		{
			`ALTER TABLE app.users ADD "nick" "app"."named"`,
			[]string{"1:34: a domain with a constraint is checked for each row, …"},
			[]string{`ALTER TABLE app.users ADD "nick" "text"`},
		},
		{
			"ALTER INDEX ALL IN TABLESPACE a SET TABLESPACE b",
			[]string{"1:1: SET TABLESPACE of all that is in a tablespace copies each index while nobody can use it; " +
				"leave it to the DBA"},
			nil,
		},
		{
			"ALTER TABLE app.spans ALTER span TYPE int4range",
			[]string{"1:23: with the type of app.spans.span, index spans_idx is built again …"},
			nil,
		},
		{
			"ALTER TABLE app.lists ALTER note TYPE varchar",
			[]string{"1:23: with the type of app.lists.note, index lists_note_idx is built again for each partition " +
				"while nobody can use the table; DROP INDEX in a file before, …"},
			[]string{
				"DROP INDEX app.lists_note_idx", "ALTER TABLE app.lists ALTER note TYPE varchar",
				"CREATE INDEX lists_note_idx ON ONLY app.lists (note)",
				"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY lists_1_note_idx ON app.lists_1 (note)",
				"ALTER INDEX app.lists_note_idx ATTACH PARTITION app.lists_1_note_idx",
			},
		},
		{
			"ALTER TYPE app.pair ALTER ATTRIBUTE x TYPE bigint CASCADE",
			[]string{"1:21: another type of an attribute rewrites the tables of type app.pair while nobody can read " +
				"them; add another attribute"},
			[]string{"ALTER TYPE app.pair ADD ATTRIBUTE z bigint CASCADE"},
		},
		{
			"ALTER TABLE app.sums ALTER b SET EXPRESSION AS (a + 2)",
			[]string{"1:22: SET EXPRESSION computes app.sums.b for each row, which rewrites the table while nobody " +
				"can read it; add a plain column that the program fills, or a view"},
			[]string{
				"ALTER TABLE app.sums ADD c integer",
				"CREATE VIEW app.more AS SELECT a, a + 2 AS b FROM app.sums",
			},
		},
		{
			"ALTER TABLE app.codes ALTER tags TYPE text[]",
			[]string{"1:23: with the type of app.codes.tags, index codes_tags_idx is built again while nobody can " +
				"use the table; …"},
			[]string{
				"-- migrate:no-transaction\nDROP INDEX CONCURRENTLY app.codes_tags_idx",
				"ALTER TABLE app.codes ALTER tags TYPE text[]",
				"-- migrate:no-transaction\nCREATE INDEX CONCURRENTLY codes_tags_idx ON app.codes USING hash (tags)",
			},
		},
		{
			`ALTER TABLE app.users ALTER name TYPE text COLLATE "C"; ALTER TABLE app.codes ALTER code TYPE text COLLATE "C"`,
			[]string{"1:79: with the type of app.codes.code, index codes_code_key is built again …"},
			[]string{
				`CREATE TABLE app.t (a text); CREATE INDEX i ON app.t (a COLLATE "C"); ALTER TABLE app.t ALTER a TYPE text COLLATE "C"`,
			},
		},
		{
			"-- migrate:no-transaction\nVACUUM (FULL, ANALYZE) app.users",
			[]string{"2:1: VACUUM FULL rewrites app.users while nobody can read it; write VACUUM, or leave FULL " +
				"to the DBA"},
			[]string{"-- migrate:no-transaction\nVACUUM (ANALYZE, FULL off) app.users"},
		},
		{
			"-- migrate:no-transaction\nVACUUM FULL",
			[]string{"2:1: VACUUM FULL rewrites each table while nobody can read it; write VACUUM, or leave FULL " +
				"to the DBA"},
			[]string{"-- migrate:no-transaction\nVACUUM ANALYZE app.users"},
		},
		{
			"ALTER TABLE app.users ADD COLUMN nick app.named",
			[]string{"1:39: a domain with a constraint is checked for each row, so app.users is rewritten while " +
				"nobody can read it; add nick with the type that the domain is of, and a CHECK … NOT VALID"},
			[]string{"ALTER TABLE app.users ADD COLUMN nick text; ALTER TABLE app.users ADD CHECK (nick <> " +
				"'') NOT VALID"},
		},
		{
			"ALTER TABLE app.users ALTER email TYPE varchar",
			[]string{"1:23: with the type of app.users.email, index users_email_key is built again while nobody can " +
				"use the table; …"},
			[]string{
				"-- migrate:no-transaction\n-- migrate:min-version 1\nDROP INDEX CONCURRENTLY app.users_email_key",
				"ALTER TABLE app.users ALTER email TYPE varchar",
				"-- migrate:no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY users_email_key ON app.users " +
					"(lower(email))",
			},
		},
		{
			"ALTER TABLE app.users ALTER COLUMN age TYPE bigint",
			[]string{"1:23: app.users.age becomes bigint, which rewrites the table while nobody can read it; add a " +
				"column of the new type, fill it, and drop this one in a later release"},
			[]string{"ALTER TABLE app.users ALTER price SET DATA TYPE numeric(10, 2), ALTER age TYPE int"},
		},
		{
			"ALTER TABLE app.users ALTER price TYPE numeric(8, 3), ALTER email TYPE text USING lower(email), ALTER " +
				"name TYPE app.colour USING 'red'",
			[]string{"1:23: …", "1:55: …", "1:97: …"},
			[]string{"CREATE TABLE app.t (x integer); ALTER TABLE app.t ALTER x TYPE bigint"},
		},
		{
			"ALTER TABLE app.users SET UNLOGGED; CLUSTER app.users USING users_age_idx",
			[]string{
				"1:23: SET UNLOGGED rewrites app.users while nobody can read it; leave it to the DBA",
				"1:37: CLUSTER rewrites app.users while nobody can read it; leave it to the DBA",
			},
			[]string{"CREATE TABLE app.t (x integer); ALTER TABLE app.t SET UNLOGGED"},
		},
	},
	"held-lock": {
		{
			"ALTER TYPE app.pair ADD ATTRIBUTE z bigint CASCADE; TABLE app.users",
			[]string{"1:53: the query reads app.users, and until the file ends nobody can use app.pairs, which " +
				"ALTER TYPE has locked above; …"},
			nil,
		},
		{
			"ALTER TABLE app.teams ADD x integer; TABLE app.users; COPY app.users (name) TO '/tmp/x'; COPY (SELECT " +
				"1 FROM app.users) TO '/tmp/x'; CREATE TABLE app.t AS TABLE app.users",
			[]string{
				"1:38: the query reads app.users, …", "1:55: COPY reads app.users, …",
				"1:95: the query reads app.users, …", "1:153: CREATE TABLE … AS reads app.users, …",
			},
			[]string{"TABLE app.users; ALTER TABLE app.teams ADD x integer"},
		},
		{
			"LOCK TABLE app.users IN ACCESS EXCLUSIVE MODE; UPDATE app.users SET age = 1 WHERE age = 2",
			[]string{"1:48: UPDATE of app.users may take long, and until the file ends nobody can use app.users, " +
				"which LOCK TABLE has locked above; leave LOCK TABLE out: what is changed is locked, row by row, " +
				"without it"},
			[]string{"UPDATE app.users SET age = 1 WHERE age = 2"},
		},
		{
			"-- migrate:allow attach because of the test\nCREATE TABLE app.visits_may PARTITION OF app.visits FOR " +
				"VALUES FROM ('2026-05-01') TO ('2026-06-01');\nUPDATE app.visits SET note = 'x' WHERE note = 'y'",
			[]string{"3:1: UPDATE of app.visits may take long, and until the file ends nobody can use " +
				"app.visits_rest, which a new partition has locked above; …"},
			nil,
		},
		{
			"REFRESH MATERIALIZED VIEW app.totals",
			[]string{"1:1: REFRESH computes app.totals while nobody can read it; write REFRESH MATERIALIZED VIEW " +
				"CONCURRENTLY, for which it needs a unique index"},
			[]string{"REFRESH MATERIALIZED VIEW CONCURRENTLY app.totals"},
		},
		{
			"ALTER TABLE app.users ADD CONSTRAINT adult CHECK (age >= 18) NOT VALID, VALIDATE CONSTRAINT adult",
			[]string{"1:73: VALIDATE CONSTRAINT reads all of app.users, and until the file ends nobody can use " +
				"app.users, which ALTER TABLE has locked above; put this into the next file"},
			[]string{
				"ALTER TABLE app.users ADD CONSTRAINT adult CHECK (age >= 18) NOT VALID",
				"ALTER TABLE app.users VALIDATE CONSTRAINT adult",
			},
		},
		{
			"ALTER TABLE app.teams ADD x integer;\nUPDATE app.users SET age = 1 WHERE age = 2;\nCREATE TABLE app.t " +
				"AS SELECT 1 AS id; INSERT INTO app.t SELECT age FROM app.users",
			[]string{
				"2:1: UPDATE of app.users may take long, and until the file ends nobody can use app.teams, …",
				"3:39: INSERT … SELECT reads app.users, and …",
			},
			[]string{"ALTER TABLE app.teams ADD x integer; CREATE TABLE app.t (id integer); INSERT INTO app.t " +
				"VALUES (1); UPDATE app.t SET id = 2", "UPDATE app.users SET age = 1 WHERE age = 2"},
		},
	},
	"whole-table": {
		{
			"CREATE TABLE app.t AS WITH gone AS (DELETE FROM app.users RETURNING id) SELECT id FROM gone; EXPLAIN " +
				"(ANALYZE) UPDATE app.users SET age = 1",
			[]string{"1:37: DELETE without WHERE …", "1:112: UPDATE without WHERE …"},
			[]string{"EXPLAIN UPDATE app.users SET age = 1"},
		},
		{
			"MERGE INTO app.users u USING app.teams t ON true WHEN MATCHED THEN DELETE",
			[]string{"1:1: the condition of MERGE is true of every row of app.users; …"},
			[]string{"MERGE INTO app.users u USING app.teams t ON t.id = u.team WHEN MATCHED THEN DELETE"},
		},
		{
			"UPDATE app.users SET age = 1 WHERE true; DELETE FROM app.users u WHERE u.id IS NOT NULL OR age = 1",
			[]string{"1:1: the condition of UPDATE is true of every row of app.users; write which ones (for a " +
				"backfill, WHERE the new column IS NULL)", "1:42: the condition of DELETE is true …"},
			[]string{"UPDATE app.users SET age = 1 WHERE true AND age IS NULL"},
		},
		{
			"DELETE FROM app.users WHERE EXISTS (SELECT FROM app.teams)",
			[]string{"1:1: the condition of DELETE names no column of app.users, so it is true of every row or of " +
				"none; write which ones"},
			[]string{"DELETE FROM app.users WHERE EXISTS (SELECT FROM app.teams t WHERE t.id = users.team)"},
		},
		{
			"UPDATE app.users SET age = 1",
			[]string{"1:1: UPDATE without WHERE changes every row of app.users; write which ones (for a backfill, " +
				"WHERE the new column IS NULL)"},
			[]string{"UPDATE app.users SET age = 1 WHERE age IS NULL"},
		},
		{
			"WITH gone AS (DELETE FROM app.teams RETURNING id) UPDATE app.users SET age = (SELECT 1 WHERE true)",
			[]string{"1:15: DELETE without WHERE changes every row of app.teams; …", "1:51: UPDATE …"},
			[]string{"CREATE TABLE app.t (id integer PRIMARY KEY); INSERT INTO app.t VALUES (1) ON CONFLICT (id) DO " +
				"UPDATE SET id = 2; UPDATE app.t SET id = 3; DELETE FROM app.t"},
		},
	},
	"truncate": {{
		"TRUNCATE TABLE app.users, ONLY app.teams CASCADE",
		[]string{"1:16: TRUNCATE loses what users have stored in app.users; if it may go, say so with -- " +
			"migrate:allow", "1:32: TRUNCATE …"},
		[]string{"-- migrate:allow truncate because nobody can have stored anything yet\nTRUNCATE " +
			"app.users, app.teams", "CREATE TABLE app.t (id integer); TRUNCATE app.t"},
	}},
}

// files names SQL texts as a bundle wants it.
func files(sql ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i, s := range sql {
		fsys[fmt.Sprintf("%04d_m%d.sql", i+1, i+1)] = &fstest.MapFile{Data: []byte(s)}
	}
	return fsys
}

func judge(tb testing.TB, sql ...string) []string {
	tb.Helper()
	bundle, err := bundle.Load(files(append([]string{released}, sql...)...))
	if err != nil {
		tb.Fatalf("%s: %v", strings.Join(sql, "\n"), err)
	}
	var said []string
	for _, p := range review.Bundle(bundle, "app", 1) {
		said = append(said, p.String())
	}
	return said
}

// fits compares a message with what is wanted of it: the ellipsis stands for
// anything.
func fits(message, want string) bool {
	parts := strings.Split(want, "…")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(message)
}

func TestReviewFindsMistakes(t *testing.T) {
	for _, rule := range review.Rules() {
		if !slices.ContainsFunc(mistakes[rule], func(m mistake) bool { return len(m.good) > 0 }) {
			t.Errorf("no file breaks the rule %s and is mended", rule)
		}
	}
	for rule, list := range mistakes {
		rule, _, _ = strings.Cut(rule, ",")
		for _, m := range list {
			said := judge(t, m.bad)
			ok := slices.EqualFunc(said, m.want, func(got,
				want string,
			) bool {
				return fits(got, "0002_m2.sql:"+want+" ("+rule+")")
			})
			if !ok {
				t.Errorf("%s: %s\n got %s\nwant %s", rule, m.bad, strings.Join(said, "\n     "),
					strings.Join(m.want, "\n     "))
			}
			if said := judge(t, m.good...); len(said) > 0 {
				t.Errorf("%s: %s\n got %s\nwant nothing", rule, strings.Join(m.good, "\n"),
					strings.Join(said, "\n     "))
			}
		}
	}
}

// TestTheGoodFormsWork keeps the advice honest: what a rule recommends is applied to what the
// release made, and nobody has to wait for it. That every name is qualified is seen from the
// search_path.
func TestTheGoodFormsWork(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	conn := db.Connect(t, db.MigratorConn)
	for _, sql := range []string{"CREATE SCHEMA app", released} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	j := newCourt(t)
	for rule, list := range mistakes {
		for _, m := range list {
			if slices.ContainsFunc(m.good, func(s string) bool { return strings.Contains(s, "no-transaction") }) {
				applied(t, m.good)
				continue
			}
			sql := append([]string{"BEGIN; SET LOCAL search_path = pg_catalog"}, m.good...)
			for _, sql := range append(sql, "ROLLBACK") {
				if _, err := conn.Exec(t.Context(), sql); err != nil {
					t.Errorf("%s: %s: %v", rule, sql, err)
				}
			}
			if !slices.Contains(dangers, rule) || len(m.good) == 0 {
				continue
			}
			c := change{made: released}
			for _, f := range m.good {
				c.files = append(c.files, strings.Split(f, "; "))
			}
			done, _ := j.done(t, c)
			for v, what := range done {
				if v.kind != "contract" && !slices.ContainsFunc(m.good,
					func(s string) bool { return strings.Contains(s, "migrate:allow using-index") }) {
					t.Errorf("%s: %s\nfile %d, statement %d: %s", rule, c, v.file+2, v.statement+1, what)
				}
			}
		}
	}
}

// applied lets the migrator apply files to what the release made, some of them without a
// transaction.
func applied(tb testing.TB, sql []string) {
	tb.Helper()
	bundle, err := bundle.Load(files(append([]string{released}, sql...)...))
	if err != nil {
		tb.Error(err)
		return
	}
	m := migrate.Migrator{Bundle: bundle, Schema: "app", Program: "Test"}
	if _, err := m.Up(tb.Context(), pgtest.Blank(tb).MigratorConn); err != nil {
		tb.Errorf("%s: %v", strings.Join(sql, "\n"), err)
	}
}

// TestVolatileFunctionsAreTheServers compares the list with the server's, which may be older.
func TestVolatileFunctionsAreTheServers(t *testing.T) {
	t.Parallel()
	db := pgtest.Blank(t)
	missing := pgtest.Value[[]string](t, db.SuperConn, `
		SELECT coalesce(array_agg(DISTINCT proname::text), '{}') FROM pg_proc p
		WHERE pronamespace = 'pg_catalog'::regnamespace AND provolatile = 'v' AND prokind = 'f' AND NOT proretset AND proname <> ALL ($1)
			AND (SELECT typtype FROM pg_type t WHERE t.oid = prorettype) <> 'p'`, review.Volatile())
	if len(missing) > 0 {
		t.Errorf("volatile, and not in the list: %v", missing)
	}
	wrong := pgtest.Value[[]string](t, db.SuperConn, `
		SELECT coalesce(array_agg(DISTINCT proname::text), '{}') FROM pg_proc p
		WHERE pronamespace = 'pg_catalog'::regnamespace AND provolatile <> 'v' AND proname = ANY ($1) AND proname <> 'ts_rewrite'`, review.Volatile())
	if len(wrong) > 0 {
		t.Errorf("in the list, and not volatile: %v", wrong)
	}
}

func TestReviewTakesAnIndexThatIsBuiltBeside(t *testing.T) {
	const alone = "-- migrate:no-transaction\n"
	bundle, err := bundle.Load(files(released, alone+"CREATE UNIQUE INDEX CONCURRENTLY i ON app.users (team)",
		"ALTER TABLE app.users ADD CONSTRAINT k UNIQUE USING INDEX i",
		"ALTER TABLE app.users ADD CONSTRAINT f FOREIGN KEY (team) REFERENCES app.teams NOT VALID", alone+
			"REINDEX TABLE CONCURRENTLY app.users", alone+"DROP INDEX CONCURRENTLY app.users_age_idx"))
	if err != nil {
		t.Fatal(err)
	}
	if said := review.Bundle(bundle, "app", 1); len(said) > 0 {
		t.Errorf("got %v, want nothing", said)
	}
	if said := judge(t, "ALTER TABLE app.users ADD CONSTRAINT f FOREIGN KEY (team) REFERENCES "+
		"app.teams NOT VALID"); len(said) != 1 {
		t.Errorf("got %v, want that the key has no index", said)
	}
}

// TestWhatIsBroughtBackIsAsOldAsItWas takes away again, in a third file, what the second one took away and
// brought back: programs of the release use it.
func TestWhatIsBroughtBackIsAsOldAsItWas(t *testing.T) {
	const view = "CREATE VIEW app.%s AS SELECT name FROM app.users"
	named := func(name string) string { return fmt.Sprintf(view, name) }
	for _, c := range []struct{ made, back, again string }{
		{"", "DROP VIEW app.names; " + named("names"), "DROP VIEW app.names"},
		{"", "ALTER VIEW app.names RENAME TO n; " + named("names"), "ALTER VIEW app.names RENAME TO m"},
		{"", "ALTER TABLE app.codes RENAME TO c; CREATE VIEW app.codes AS SELECT * FROM app.c", "DROP VIEW app.codes"},
		{
			"CREATE FUNCTION app.two() RETURNS integer LANGUAGE sql AS 'SELECT 2'",
			"DROP FUNCTION app.two(); CREATE FUNCTION app.two() RETURNS integer LANGUAGE sql AS 'SELECT 3'",
			"DROP FUNCTION app.two()",
		},
		{
			"CREATE TRIGGER writes INSTEAD OF INSERT ON app.names FOR EACH ROW EXECUTE FUNCTION app.touch()",
			"DROP TRIGGER writes ON app.names; CREATE TRIGGER writes INSTEAD OF INSERT ON app.names FOR EACH ROW " +
				"EXECUTE FUNCTION app.touch()",
			"DROP TRIGGER writes ON app.names",
		},
		{
			"CREATE TABLE app.k (a integer); CREATE UNIQUE INDEX i ON app.k (a)",
			"DROP INDEX app.i; CREATE UNIQUE INDEX i ON app.k (a)", "DROP INDEX app.i",
		},
		{
			"CREATE TABLE app.k (a integer); CREATE UNIQUE INDEX i ON app.k (a)",
			"DROP INDEX app.i; CREATE UNIQUE INDEX j ON app.k (a)", "DROP INDEX app.j",
		},
		{
			"CREATE TABLE app.k (a integer CONSTRAINT c UNIQUE)",
			"ALTER TABLE app.k DROP CONSTRAINT c; ALTER TABLE app.k ADD CONSTRAINT c UNIQUE (a)",
			"ALTER TABLE app.k RENAME CONSTRAINT c TO d",
		},
		{
			"CREATE TABLE app.k (a integer CONSTRAINT c UNIQUE)",
			"ALTER TABLE app.k RENAME CONSTRAINT c TO d; ALTER TABLE app.k ADD CONSTRAINT c UNIQUE (a)",
			"ALTER TABLE app.k DROP CONSTRAINT c",
		},
	} {
		b, err := bundle.Load(files(released+c.made, c.back, c.again))
		if err != nil {
			t.Fatal(err)
		}
		var contracting []string
		for _, p := range review.Bundle(b, "app", 1) {
			if strings.HasSuffix(p.Message, "(min-version)") {
				contracting = append(contracting, p.File)
			}
		}
		if !slices.Equal(contracting, []string{"0003_m3.sql"}) {
			t.Errorf("%s\n%s\nfiles that take something away: %v, want 0003_m3.sql", c.back, c.again, contracting)
		}
	}
}

func TestReviewLeavesHistoryAlone(t *testing.T) {
	bundle, err := bundle.Load(files("CREATE TABLE t (a serial)",
		"-- migrate:allow nonsense because it was so\nALTER TABLE t RENAME TO u", "CREATE TABLE v (a integer)"))
	if err != nil {
		t.Fatal(err)
	}
	for released, want := range []int{5, 4, 1, 0, 0} {
		if said := review.Bundle(bundle, "app", released); len(said) != want {
			t.Errorf("released %d: got %d problems, want %d: %v", released, len(said), want, said)
		}
	}
}

func TestReviewJudgesWhatIsAllowed(t *testing.T) {
	for sql, want := range map[string]string{
		"-- migrate:allow column-type because the other program sends it like that\nCREATE TABLE " +
			"app.t (a json)": "",
		"-- migrate:allow column-type because x\n-- migrate:allow fk-index because y\nCREATE TABLE " +
			"app.t (a json)": "0002_m2.sql:2:1: nothing in this file breaks the rule fk-index; leave the directive out",
		"-- migrate:allow colum-type because x\nCREATE TABLE " +
			"app.t (a jsonb)": `0002_m2.sql:1:1: there is no rule "colum-type" to allow; there are qualified, schema, …`,
		"-- migrate:allow fk-index because the teams never go\nCREATE TABLE app.t (a uuid REFERENCES " +
			"app.teams)": "",
		"-- migrate:min-version 1\n-- migrate:allow whole-table because all of them are wrong\nUPDATE app.users " +
			"SET age = 1": "",
		"-- migrate:allow whole-table because of 1\nUPDATE app.users SET age = 1;\nDROP " +
			"VIEW app.names": "0002_m2.sql:3:1: DROP VIEW …",
		"-- Contracting:\n-- migrate:min-version 1\nALTER TABLE app.users DROP " +
			"COLUMN age": "",
		"-- migrate:allow whole-table because of 1\nUPDATE app.users SET age = 1 " +
			"WHERE age = 2": "0002_m2.sql:1:1: nothing in this file …",
		"DO $$ BEGIN DROP TABLE users; END $$; CREATE FUNCTION app.f() RETURNS void LANGUAGE sql BEGIN ATOMIC " +
			"SELECT 1; END": "",
	} {
		if said := strings.Join(judge(t, sql), "\n"); !fits(said, want) {
			t.Errorf("%s\n got %s\nwant %s", sql, said, want)
		}
	}
}

// TestEveryRuleIsDocumented keeps the page for contributors complete.
func TestEveryRuleIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/writing-migrations.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	_, table, _ := strings.Cut(string(page), "\n| rule |")
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(table, -1) {
		documented = append(documented, row[1])
	}
	if !slices.Equal(documented, review.Rules()) {
		t.Errorf("docs/writing-migrations.md has %v\nthere are %v", documented, review.Rules())
	}
}

func FuzzReview(f *testing.F) {
	for _, list := range mistakes {
		for _, m := range list {
			f.Add(m.bad)
		}
	}
	f.Fuzz(func(_ *testing.T, sql string) {
		if bundle, err := bundle.Load(files(released, sql)); err == nil {
			review.Bundle(bundle, "app", 1)
		}
	})
}

// TestTheWorkedExampleWorks applies the files of docs/writing-migrations.md, and
// reviews them as the three releases that it tells of.
func TestTheWorkedExampleWorks(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/writing-migrations.md")
	if err != nil {
		t.Fatal(err)
	}
	fsys := files("CREATE TABLE avtotpy.sessions (id uuid PRIMARY KEY, agent text NOT NULL);\nINSERT INTO " +
		"avtotpy.sessions VALUES (gen_random_uuid(), 'x')")
	for version := 2; version < 20; version++ {
		fsys[fmt.Sprintf("%04d_m.sql", version)] = &fstest.MapFile{Data: []byte("SELECT 1")}
	}
	for _, block := range regexp.MustCompile("(?s)```sql\n-- "+
		"(\\d{4}_[a-z_]+\\.sql)\n.*?```").FindAllStringSubmatch(string(page), -1) {
		fsys[block[1]] = &fstest.MapFile{Data: []byte(strings.Trim(block[0], "`sql"))}
	}
	bundle, err := bundle.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for _, released := range []int{19, 20, 23} {
		if said := review.Bundle(bundle, "avtotpy", released); len(said) > 0 {
			t.Errorf("after %04d: %v", released, said)
		}
	}
	db := pgtest.Blank(t)
	m := migrate.Migrator{Bundle: bundle, Schema: "avtotpy"}
	report, err := m.Up(t.Context(), db.MigratorConn)
	if err != nil {
		t.Fatalf("Up: %v", err)
	}
	if report.To != 24 {
		t.Errorf("the example ends at %d, want 24", report.To)
	}
}
